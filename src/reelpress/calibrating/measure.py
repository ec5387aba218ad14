"""The measurement: every clip with every setting of every encoder, encoded and scored."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from reelpress.calibrating.material import GENERATED, Clip, clip_of_file, generated_clip, scorer_of
from reelpress.calibrating.orders import Order, orders
from reelpress.errors import HardwareError
from reelpress.facts.calibration import Calibration, Curve, CurvePoint
from reelpress.facts.host import HostFacts
from reelpress.facts.values import Value
from reelpress.plan.calibration import preset_name
from reelpress.plan.encoders import ENCODERS
from reelpress.probe.gpu_survey import survey
from reelpress.probe.gpu_wishes import Wish
from reelpress.probe.trial import try_encoder
from reelpress.quality.sample_encode import TrialError
from reelpress.quality.trial import take_trial
from reelpress.run.host_state import host_folder
from reelpress.run.slots import GpuSlots
from reelpress.version import VERSION

_CPU_MODEL = Path("/proc/cpuinfo")
_PATIENCE_S = 60.0  # how long a trial waits for a slot on a GPU that jobs are using
_GPU_ENCODERS = tuple(Wish(kind="encode", name=row.name) for row in ENCODERS if row.device == "nvidia")


class Scope(Value, frozen=True, kw_only=True):
    """How much is measured, and on what. ``files`` come beside the generated clips, or in place of them."""

    files: tuple[str, ...] = ()
    generated: bool = True
    quick: bool = False
    all_presets: bool = False
    width: int = 1280
    height: int = 720
    seconds: float = 3.0
    gpu_preset: str = "fast"


class Step(Value, frozen=True, kw_only=True):
    """How far it is: so many trials of so many are done, and what is being encoded."""

    done: int
    of: int
    text: str


class Measured(Value, frozen=True, kw_only=True):
    """The calibration, and which curves could not be finished, with what was said.

    ``unfinished`` are those of ``failed``, in its order and without points.
    """

    calibration: Calibration
    failed: tuple[tuple[str, str], ...] = ()
    unfinished: tuple[Curve, ...] = ()


def with_gpus(host: HostFacts, *, cache_dir: Path | None) -> HostFacts:
    """Return the machine with what its GPUs encode."""
    if host.gpu_note is not None:
        return host
    return msgspec.structs.replace(host, gpus=survey(host, wanted=_GPU_ENCODERS, cache_dir=cache_dir))


def measure(
    host: HostFacts, scope: Scope, folder: Path, *, on_step: Callable[[Step], None] = lambda _step: None
) -> Measured:
    """Measure every encoder that works on this machine; ``host`` comes from :func:`with_gpus`.

    Clips and encodes lie in ``folder`` for the time. Raises :class:`HardwareError` where there is nothing to measure
    or to measure with, and what :func:`clip_of_file` raises.
    """
    score_with = scorer_of(host)
    works = [
        (row.name, build.path)
        for row in ENCODERS if row.device == "cpu"
        for build in host.ffmpegs if try_encoder(build, row).opens
    ]  # fmt: skip
    wanted = orders(host, works, gpu_preset=scope.gpu_preset, quick=scope.quick, all_presets=scope.all_presets)
    if not wanted:
        raise HardwareError("No encoder works here.", hint="See `reelpress doctor`.")
    on_step(Step(done=0, of=0, text="preparing clips"))
    clips = _clips(host, scope, folder, score_with)
    total = len(clips) * sum(len(order.qualities) for order in wanted)
    done = 0
    curves: list[Curve] = []
    failed: list[tuple[str, str]] = []
    unfinished: list[Curve] = []
    for order in wanted:
        points: list[CurvePoint] = []
        try:
            for clip in clips:
                for quality in order.qualities:
                    on_step(Step(done=done, of=total, text=f"{order.label} {quality:g}, {clip.about.name}"))
                    points.append(_point(order, clip, quality, folder, score_with, threads=host.cores))
                    done += 1
        except TrialError as error:
            failed.append((order.label, error.evidence or error.what))
            unfinished.append(_curve(order, ()))
            done += len(clips) * len(order.qualities) - len(points)
            continue
        curves.append(_curve(order, tuple(points)))
    on_step(Step(done=total, of=total, text="done"))
    return Measured(
        calibration=Calibration(
            made_at=datetime.now(UTC).isoformat(timespec="seconds"), reelpress_version=VERSION, cpu=cpu_model(),
            cores=host.cores, clips=tuple(clip.about for clip in clips), curves=tuple(curves),
        ),
        failed=tuple(failed), unfinished=tuple(unfinished),
    )  # fmt: skip


def cpu_model() -> str | None:
    """Return the processor's name as the system tells it."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        for line in _CPU_MODEL.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or None


def _clips(host: HostFacts, scope: Scope, folder: Path, ffmpeg: str) -> Sequence[Clip]:
    # first, for a file that cannot be used ends it
    taken = [clip_of_file(number, Path(name), host, folder=folder) for number, name in enumerate(scope.files, 1)]
    names = GENERATED if scope.generated else ()
    drawn = [
        generated_clip(name, (scope.width, scope.height), scope.seconds, ffmpeg=ffmpeg, folder=folder) for name in names
    ]
    return (*drawn, *taken)


def _point(order: Order, clip: Clip, quality: float, folder: Path, score_with: str, *, threads: int) -> CurvePoint:
    with _pinned(order) as env:
        trial = take_trial(
            clip.samples, order.options(quality), folder, encoder_ffmpeg=order.build.path, scorer_ffmpeg=score_with,
            threads=threads, env=env, spend=lambda _cpu_s: None,
        )  # fmt: skip
    return CurvePoint(
        clip=clip.about.name, quality=quality, vmaf=trial.vmaf.mean, bytes_per_s=round(trial.bytes_per_s, 1),
        cpu_s_per_s=round(trial.encode_cpu_s / trial.coded_seconds, 4),
    )  # fmt: skip


@contextlib.contextmanager
def _pinned(order: Order) -> Iterator[dict[str, str]]:
    """Hold a slot of the order's GPU as every job does; yield what makes it the only one that FFmpeg sees."""
    if order.gpu is None or order.gpu.uuid is None:
        yield {}
        return
    uuid = order.gpu.uuid
    counted = {uuid: order.gpu.sessions} if order.gpu.sessions else {}
    lease = GpuSlots(host_folder(), counted).acquire([uuid], patience_s=_PATIENCE_S)
    if lease is None:
        raise TrialError(f"{order.gpu.name} had no room.", evidence=f"no slot for {_PATIENCE_S:g} s")
    with lease:
        yield {"CUDA_VISIBLE_DEVICES": uuid}


def _curve(order: Order, points: tuple[CurvePoint, ...]) -> Curve:
    gpu = order.gpu
    return Curve(
        encoder=order.row.name, preset=preset_name(order.preset, order.tune), ffmpeg_version=order.build.version,
        gpu=gpu.name if gpu else None, driver_version=gpu.driver_version if gpu else None,
        compute_capability=gpu.compute_capability if gpu else None, points=points,
    )  # fmt: skip
