"""The Python API of clips: the same export as the command line, from threads or asyncio."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict, Unpack

from reelpress.api import in_thread, log_receipt, policy_from
from reelpress.clip_request import ClipRequest, LayoutChoice
from reelpress.clips.control import ExportControl
from reelpress.clips.export import export_clips
from reelpress.clips.specs import ClipSpec, parse_range, spec_of
from reelpress.clips.wishes import platforms_from, requests_of, require_extra, wishes_from
from reelpress.errors import ReelpressError, UsageError
from reelpress.events import OnEvent
from reelpress.facts.captions import CaptionStyle
from reelpress.facts.gate import GateWish
from reelpress.plan.platforms import PlatformName
from reelpress.probe.host import probe_host
from reelpress.receipt import Receipt
from reelpress.reframe.face_model import find_face_model
from reelpress.request import Hardware
from reelpress.settings import Settings, gate_from, load
from reelpress.source.opening import open_source

Time = float | str
# A range as typed, (start, end), (start, end, name), or what a file of clips or a program says of one.
Clip = str | tuple[Time, Time] | tuple[Time, Time, str] | ClipSpec | ClipRequest


class ClipOptions(TypedDict, total=False):
    """How clips are made; what is not given is as on the command line.

    ``captions`` is a file for all clips. ``loudness`` is in LUFS, ``"off"`` leaves the sound as it is. ``platforms``
    are warned about in ``clip.warnings`` of receipts. ``jobs`` are at work at once. ``allow_private`` lets addresses
    lead into private networks. ``settings`` stand in for the environment and ``.env``. ``gate`` asks for a quality or a
    size.
    """

    size: str | tuple[int, int]
    layout: LayoutChoice
    captions: str | os.PathLike[str]
    caption_style: CaptionStyle
    preset: str
    crf: float
    loudness: float | str
    hardware: Hardware
    gate: GateWish
    platforms: Sequence[PlatformName]
    jobs: int
    overwrite: bool
    allow_private: bool
    settings: Settings


def cut_clips(
    video: str | os.PathLike[str],
    clips: Sequence[Clip],
    output_folder: str | os.PathLike[str],
    *,
    on_event: OnEvent | None = None,
    control: ExportControl | None = None,
    **options: Unpack[ClipOptions],
) -> tuple[Receipt, ...]:
    """Cut vertical clips out of a video, a file or an HTTP(S) address, and return their receipts in order.

    ``clips`` are ranges as ``"0:12-0:57=intro"``, tuples of start, end and maybe a name, in seconds of the programme or
    as ``"1:02.5"``, or a :class:`ClipRequest`, which says everything of its clip. ``control`` cancels and retries
    single clips from any thread. ``on_event`` is called from several threads, never two at once.

    What becomes of a clip is told by its receipt's ``status``, not raised. Raises :class:`UsageError` for arguments
    that cannot be meant, :class:`InputError` when the video or the captions cannot be read, :class:`OutputError` when
    the folder cannot be written.
    """
    require_extra()
    jobs, captions = options.get("jobs"), options.get("captions")
    settings = load({"jobs": None if jobs is None else str(jobs)}, base=options.get("settings"))
    wishes = wishes_from(
        settings, size=options.get("size"), layout=options.get("layout"),
        captions=None if captions is None else Path(captions), caption_style=options.get("caption_style"),
        preset=options.get("preset"), crf=options.get("crf"), loudness=options.get("loudness"),
        hardware=options.get("hardware"),
    )  # fmt: skip
    platforms = platforms_from(options.get("platforms", ()))
    specs = [clip if isinstance(clip, ClipRequest) else _spec(clip, n) for n, clip in enumerate(clips, start=1)]
    gate = options.get("gate") or gate_from(settings)
    made = iter(requests_of((s for s in specs if isinstance(s, ClipSpec)), wishes, settings, gate))
    requests = [spec if isinstance(spec, ClipRequest) else next(made) for spec in specs]
    face_model = find_face_model(settings.face_model, settings.cache_path)
    host = probe_host(ffmpeg=settings.ffmpeg, cache_dir=settings.cache_path)
    with open_source(video, allow_private=options.get("allow_private", False)) as source:
        receipts = export_clips(
            source, requests, Path(output_folder), host=host, policy=policy_from(settings), jobs=settings.jobs,
            platforms=platforms, face_model=face_model, cache_dir=settings.cache_path,
            overwrite=options.get("overwrite", False), on_event=on_event, control=control,
        )  # fmt: skip
    for receipt in receipts:
        log_receipt(receipt)
    return receipts


async def acut_clips(
    video: str | os.PathLike[str],
    clips: Sequence[Clip],
    output_folder: str | os.PathLike[str],
    *,
    on_event: OnEvent | None = None,
    control: ExportControl | None = None,
    **options: Unpack[ClipOptions],
) -> tuple[Receipt, ...]:
    """Do as :func:`cut_clips` does, in a thread; cancelling the task stops every FFmpeg before it returns.

    ``on_event`` is called in the event loop's thread.
    """
    steering = control or ExportControl()

    def work(relay: OnEvent) -> tuple[Receipt, ...]:
        return cut_clips(video, clips, output_folder, on_event=relay, control=steering, **options)

    return await in_thread(work, on_event=on_event, stop=steering.cancel_all)


def _spec(clip: str | tuple[Time, Time] | tuple[Time, Time, str] | ClipSpec, number: int) -> ClipSpec:
    try:
        if isinstance(clip, ClipSpec):
            return clip
        if isinstance(clip, str):
            return parse_range(clip)
        start, end, name = clip if len(clip) == 3 else (*clip, None)
        return spec_of(start, end, name=None if name is None else str(name))
    except ReelpressError as error:
        raise UsageError(f"Clip {number}: {error.what}", hint=error.hint) from None
    except (TypeError, ValueError) as error:
        hint = "A clip is a range as text, (start, end), (start, end, name) or a ClipRequest."
        raise UsageError(f"Clip {number} is none.", evidence=str(error), hint=hint) from error
