"""The Python API: the same engine as the command line, from threads or asyncio."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import msgspec

from reelpress.batch import Item, refuse_clashes, run_batch
from reelpress.engine import compress_file
from reelpress.events import Event, OnEvent
from reelpress.facts.gate import GateWish
from reelpress.facts.host import HostFacts
from reelpress.facts.media import MediaFacts
from reelpress.gpus import GpuPolicy
from reelpress.observe.prices import choose_rates
from reelpress.policy import RunPolicy
from reelpress.probe.host import probe_host
from reelpress.probe.media import probe
from reelpress.probe.nvml import device_present
from reelpress.receipt import Receipt
from reelpress.request import Codec, Hardware, Request
from reelpress.run.process import CancelToken
from reelpress.settings import Settings, load, request_from, split_size

Source = str | os.PathLike[str]
T = TypeVar("T")

_RATE_SLACK = 1e-6  # of a rate: a frame in nine hours of 30 a second

_LOG = logging.getLogger("reelpress")


def compress(
    input: Source,  # noqa: A002 - the field's word
    output: Source | None = None,
    *,
    codec: Codec | None = None,
    crf: float | None = None,
    target_vmaf: float | None = None,
    preset: str | None = None,
    max_size: str | tuple[int, int] | None = None,
    max_fps: float | Fraction | str | None = None,
    audio_bitrate: int | str | None = None,
    hardware: Hardware | None = None,
    overwrite: bool = False,
    always_encode: bool = False,
    gate: GateWish | None = None,
    settings: Settings | None = None,
    on_event: OnEvent | None = None,
    cancel: CancelToken | None = None,
) -> Receipt:
    """Make a smaller, checked MP4 of a video and return the receipt.

    Whatever is not given comes from ``settings``, or from the environment and ``.env``. ``max_size`` is a box for the
    longer and the shorter side, as ``"1280x720"``. ``target_vmaf`` aims at a quality, in place of ``crf``. ``output``
    ``None`` writes ``NAME.compressed.mp4`` beside the input. ``on_event`` is called in the thread that called us.
    ``cancel`` stops the work from any thread. ``gate`` asks for a quality or a size, and has what misses it encoded
    again.

    An input that cannot be used, or an encode that fails, is told by the receipt's ``status``, not raised. Raises
    :class:`UsageError` for arguments or settings that cannot be meant.
    """
    flags = _flags(codec, crf, target_vmaf, preset, max_size, max_fps, audio_bitrate)
    request, policy, host = _prepare(flags, settings, hardware, always_encode=always_encode)
    if gate is not None:
        gate = msgspec.structs.replace(gate, measures=gate.measures or request.gate.measures)
        request = msgspec.structs.replace(request, gate=gate)
    receipt = compress_file(
        input,
        output,
        host=host,
        request=request,
        policy=policy,
        overwrite=overwrite,
        on_event=on_event,
        cancel=cancel,
    )
    log_receipt(receipt)
    return receipt


async def acompress(
    input: Source,  # noqa: A002 - the field's word
    output: Source | None = None,
    *,
    codec: Codec | None = None,
    crf: float | None = None,
    target_vmaf: float | None = None,
    preset: str | None = None,
    max_size: str | tuple[int, int] | None = None,
    max_fps: float | Fraction | str | None = None,
    audio_bitrate: int | str | None = None,
    hardware: Hardware | None = None,
    overwrite: bool = False,
    always_encode: bool = False,
    gate: GateWish | None = None,
    settings: Settings | None = None,
    on_event: OnEvent | None = None,
) -> Receipt:
    """Do as :func:`compress` does, in a thread; cancelling the task stops FFmpeg before it returns.

    ``on_event`` is called in the event loop's thread.
    """
    cancel = CancelToken()

    def work(relay: OnEvent) -> Receipt:
        return compress(
            input, output, codec=codec, crf=crf, target_vmaf=target_vmaf, preset=preset, max_size=max_size,
            max_fps=max_fps, audio_bitrate=audio_bitrate, hardware=hardware, overwrite=overwrite,
            always_encode=always_encode, gate=gate, settings=settings, on_event=relay, cancel=cancel,
        )  # fmt: skip

    return await in_thread(work, on_event=on_event, stop=cancel.cancel)


async def in_thread(work: Callable[[OnEvent], T], *, on_event: OnEvent | None, stop: Callable[[], None]) -> T:
    """Do work in a thread; cancelling the task calls ``stop``, and waits for the work to end before it returns.

    ``work`` is given a listener that calls ``on_event`` in the event loop's thread.
    """
    import asyncio  # not above: the command line has no use for it, and it takes its time

    loop = asyncio.get_running_loop()

    def relay(event: Event) -> None:
        if on_event is not None:
            loop.call_soon_threadsafe(on_event, event)

    working = asyncio.ensure_future(asyncio.to_thread(work, relay))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        stop()
        while not working.done():
            with contextlib.suppress(asyncio.CancelledError):  # asked again: the work ends no sooner for that
                await asyncio.wait([working])
        raise


def compress_many(
    inputs: Mapping[Path, Path],
    *,
    settings: Settings | None = None,
    hardware: Hardware | None = None,
    jobs: int | None = None,
    overwrite: bool = False,
    always_encode: bool = False,
    on_event: OnEvent | None = None,
    cancel: CancelToken | None = None,
) -> tuple[Receipt, ...]:
    """Compress several inputs, each to its own output, ``jobs`` at a time; one failure touches no other.

    ``jobs`` ``None`` is as the settings say. Receipts come in the order of ``inputs``. ``on_event`` is called from
    several threads, never two at once. Raises :class:`UsageError` for arguments or settings that cannot be meant, and
    before any work where an output would be another's, or an input.
    """
    items = [Item(source=source, target=target) for source, target in inputs.items()]
    refuse_clashes(items)
    chosen = load({"jobs": None if jobs is None else str(jobs)}, base=settings)
    request, policy, host = _prepare({}, chosen, hardware, always_encode=always_encode)
    receipts = run_batch(
        items, host=host, request=request, policy=policy, jobs=chosen.jobs, overwrite=overwrite, on_event=on_event,
        cancel=cancel,
    )  # fmt: skip
    for receipt in receipts:
        log_receipt(receipt)
    return receipts


def probe_file(path: Source) -> MediaFacts:
    """Return the facts of a media file.

    Raises :class:`InputError`, whose ``reason`` is stable, when it cannot be used.
    """
    return probe(path)


def log_receipt(receipt: Receipt) -> None:
    """Say in one line what became of an input: encoder, sizes, and every attempt that had to be given up."""
    head = f"{receipt.input!r} {receipt.status}"
    parts = []
    if receipt.encoder is not None and receipt.device is not None:
        head += f" with {receipt.encoder} on the {receipt.device.upper()}"
    if receipt.source is not None and receipt.result is not None and receipt.saved_share is not None:
        sizes = f"{receipt.source.size_bytes} -> {receipt.result.size_bytes} bytes"
        parts.append(f"{sizes} ({receipt.saved_share:.1%} smaller)")
    parts += [
        f"after {a.encoder} failed ({a.failure}: {a.evidence})" for a in receipt.attempts if a.failure is not None
    ]
    if receipt.error is not None:
        parts.append(f"because {receipt.error}")
    level = logging.ERROR if receipt.status in ("failed", "rejected") else logging.INFO
    _LOG.log(level, "%s", ", ".join((head, *parts)))


def _flags(
    codec: Codec | None,
    crf: float | None,
    target_vmaf: float | None,
    preset: str | None,
    max_size: str | tuple[int, int] | None,
    max_fps: float | Fraction | str | None,
    audio_bitrate: int | str | None,
) -> dict[str, str | None]:
    width, height = split_size(max_size) if max_size is not None else (None, None)
    given = {
        "codec": codec, "crf": crf, "target_vmaf": target_vmaf, "preset": preset, "max_width": width,
        "max_height": height, "max_fps": _rate(max_fps), "audio_bitrate_bps": audio_bitrate,
    }  # fmt: skip
    return {name: None if value is None else str(value) for name, value in given.items()}


def _rate(rate: float | Fraction | str | None) -> float | Fraction | str | None:
    """Return a frame rate so that its text is one that settings take: 30000/1001 for 29.97002997002997."""
    if not isinstance(rate, (float, Fraction)) or not 1 <= rate <= 1000:  # what is none is refused as it was said
        return rate
    near = Fraction(rate).limit_denominator(1001)
    return near if abs(near - Fraction(rate)) <= rate * _RATE_SLACK else f"{float(rate):.9f}"


def _prepare(
    flags: Mapping[str, str | None], settings: Settings | None, hardware: Hardware | None, *, always_encode: bool
) -> tuple[Request, RunPolicy, HostFacts]:
    chosen = load(flags, base=settings)
    host = probe_host(ffmpeg=chosen.ffmpeg, cache_dir=chosen.cache_path)
    return request_from(chosen, hardware=hardware, always_encode=always_encode), policy_from(chosen), host


def policy_from(settings: Settings) -> RunPolicy:
    """Return how long and with what a run may go on, as these settings say. Raises :class:`UsageError`."""
    return RunPolicy(
        timeout_s=settings.timeout_s,
        stall_timeout_s=settings.stall_timeout_s,
        memory_limit_bytes=settings.memory_limit_bytes,
        rates=choose_rates(
            settings.prices,
            own_file=settings.prices_file,
            usd_per_cpu_hour=settings.usd_per_cpu_hour,
            usd_per_gpu_hour=settings.usd_per_gpu_hour,
            environ=os.environ,
            has_gpu=device_present(),
        ),
        decode_whole=settings.decode_check == "whole",
        gpu=GpuPolicy(cache_dir=settings.cache_dir, patience_s=settings.gpu_patience_s, sessions=settings.gpu_sessions),
    )
