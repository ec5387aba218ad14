"""The planner of clips: ``plan_clip(media, host, request, framing) -> Encode | Reject``. Pure, as ``plan``.

One FFmpeg does all of it: it reads from a little before the clip, makes its frames, frames each shot, draws captions,
sets the loudness and encodes once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from reelpress.clip_request import ClipRequest
from reelpress.facts.framing import Framing
from reelpress.facts.host import HostFacts
from reelpress.facts.media import AudioTrack, MediaFacts, VideoTrack
from reelpress.facts.quality import Window
from reelpress.plan.clip_clock import Clock, clip_clock
from reelpress.plan.clip_colour import clip_colour
from reelpress.plan.clip_graph import Stage, before_framing, enlargement, shot_frames, video_graph
from reelpress.plan.clip_ladder import (
    MAX_GOP_S,
    ClipShape,
    clip_crf,
    cpu_attempts,
    gpu_attempts,
    input_args,
    most_bytes,
    no_gpu_decode,
)
from reelpress.plan.clip_refusals import programme_s, refuse, refuse_framing, reject, within
from reelpress.plan.clip_sound import AS_IT_IS, Level, sound_filters
from reelpress.plan.compress import deinterlace, hardware_absent
from reelpress.plan.encoders import cpu_row
from reelpress.plan.expect import AUDIO_TOLERANCE_S
from reelpress.plan.geometry import Size
from reelpress.plan.model import (
    Attempt,
    ClipExpectation,
    ClipStretch,
    Encode,
    Expectation,
    PicturePlace,
    Reason,
    Reject,
    Skip,
    StreamDecision,
)
from reelpress.plan.window_path import TOLERANCE_PX

_NOT_EVERYWHERE = (
    "alimiter", "ass", "bwdif", "framestep", "gblur", "lutyuv", "overlay", "perspective", "tonemap", "tpad", "vstack",
    "zscale",
)  # fmt: skip
# A single argument of a process holds 128 KiB on Linux.
MAX_GRAPH_BYTES = 120_000
_TOLERANCES_PX = (TOLERANCE_PX, 0.2, 0.5, 1.0)
# Where a GPU's output is compared with the source, as shares of the clip, and how many frames there.
PLACES = (0.03, 0.35, 0.65, 0.95)
PLACE_FRAMES = 2


def plan_clip(
    media: MediaFacts,
    host: HostFacts,
    request: ClipRequest,
    framing: Framing,
    *,
    level: Level = AS_IT_IS,
    protocols: str = "file",
    input_options: tuple[str, ...] = (),
) -> Encode | Reject:
    """Decide how to make one clip.

    ``framing`` covers the clip; its first and last shot reach to the clip's ends. ``level`` is what to do to the
    loudness (:func:`reelpress.plan.clip_sound.level_for`). ``protocols`` are those that FFmpeg may read the source by,
    ``input_options`` what it is told about that before ``-i``.
    """
    refused = refuse(media, host, request) or refuse_framing(framing)
    if refused is not None:
        return refused
    track = media.main_video
    assert track is not None  # noqa: S101 - refuse has answered otherwise
    request = within(media, request)
    clock, clock_reasons = clip_clock(media, track, request)
    stage, field_reasons = _stage(track, request), deinterlace(track)[1]
    size, row = stage.size, stage.row
    drawn = _graph(stage, framing, clock)
    if isinstance(drawn, Reject):
        return drawn
    graph, tolerance_px = drawn
    audio = media.main_audio
    shape = ClipShape(
        media=media, track=track, audio=audio, request=request, size=size, clock=clock, graph=graph, level=level,
        filters=_filters_of(graph, clock, audio, level), protocols=protocols,
        input_options=input_options, prepares=no_gpu_decode(track),
    )  # fmt: skip
    devices = _devices(shape, host)
    if isinstance(devices, Reject):
        return devices
    attempts, device_reasons = devices
    places: tuple[PicturePlace, ...] = ()
    if any(a.gpus for a in attempts):
        places = _places(stage, framing, shape, tolerance_px)
    return Encode(
        attempts=attempts, expect=_expect(shape, places), streams=_streams(media, track, audio),
        reasons=(
            *device_reasons, *_range_reasons(media, request), *_size_reasons(stage, framing, clock), *field_reasons,
            *clip_colour(track, size, row).reasons, *clock_reasons, *_sound_reasons(media, audio, level),
        ),
        otherwise=Skip(reasons=(Reason(code="not_made", text="There is nothing to deliver instead of a clip."),)),
    )  # fmt: skip


def clip_stretches(
    media: MediaFacts,
    request: ClipRequest,
    framing: Framing,
    windows: Sequence[Window],
    *,
    protocols: str = "file",
    input_options: tuple[str, ...] = (),
) -> tuple[ClipStretch, ...]:
    """Return how software makes stretches of a clip out of its source, for holding an encode of it against them.

    ``windows`` are in seconds from the clip's first picture; the clip is one that :func:`plan_clip` made a plan for.
    """
    track = media.main_video
    assert track is not None  # noqa: S101 - else there was no plan
    request = within(media, request)
    clock, _ = clip_clock(media, track, request)
    stage = _stage(track, request)
    drawn = _graph(stage, framing, clock)
    tolerance_px = TOLERANCE_PX if isinstance(drawn, Reject) else drawn[1]
    made = []
    for window in windows:
        first = min(int(window.start_s * float(clock.fps)), clock.frames - 1) // clock.aligned * clock.aligned
        frames = max(1, min(round(window.duration_s * float(clock.fps)), clock.frames - first))
        part = clock.part(first, frames)
        graph = video_graph(stage, framing, part, first=first, tolerance_px=tolerance_px)
        args = input_args(media, request, part, protocols, input_options)
        made.append(ClipStretch(first=first, frames=frames, fps=clock.fps, input_args=args, graph=graph))
    return tuple(made)


def _stage(track: VideoTrack, request: ClipRequest) -> Stage:
    deinterlacing, _ = deinterlace(track)
    has_captions = request.captions is not None and bool(request.captions.cues)
    size = Size(width=request.width, height=request.height)
    return Stage(
        track=track, row=cpu_row("h264"), size=size, before=before_framing(track, deinterlacing),
        has_captions=has_captions,
    )  # fmt: skip


def _graph(stage: Stage, framing: Framing, clock: Clock) -> tuple[str, float] | Reject:
    """Return the graph, as exact as fits into one argument, and by how many pixels it may be off."""
    for tolerance_px in _TOLERANCES_PX:
        graph = video_graph(stage, framing, clock, tolerance_px=tolerance_px)
        if len(graph.encode()) <= MAX_GRAPH_BYTES:
            return graph, tolerance_px
    hint = "Cut the clip in two, or let its windows move less."
    return reject("usage", "framing_too_large", "The framing changes too often for one clip.", None, hint)


def _filters_of(graph: str, clock: Clock, audio: AudioTrack | None, level: Level) -> frozenset[str]:
    """Return the names of filters in use that some FFmpeg may be built without."""
    sound = () if audio is None else sound_filters(clock, level)
    used = ",".join((graph, *sound))
    return frozenset(name for name in _NOT_EVERYWHERE if re.search(rf"[],;]{name}[=,]", used))


def _devices(shape: ClipShape, host: HostFacts) -> tuple[tuple[Attempt, ...], tuple[Reason, ...]] | Reject:
    policy = shape.request.hardware
    text = f"libx264, preset {shape.request.preset}, CRF {clip_crf(shape.request):g}."
    settings = Reason(code="settings", text=text, fact=None)
    if policy == "off":
        asked = Reason(code="cpu_asked", text="The CPU was asked for.", fact=None)
        return _or_none(cpu_attempts(shape, host), (settings, asked))
    on_gpu = gpu_attempts(shape, host)
    if policy == "require":
        return hardware_absent(on_gpu.why_none) if on_gpu.why_none is not None else (on_gpu.attempts, on_gpu.reasons)
    reasons = on_gpu.reasons
    if on_gpu.why_none is not None:
        only = Reason(code="cpu_only", text=f"Encoded on the CPU: {on_gpu.why_none}.", fact=None)
        reasons = (settings, only)
    return _or_none((*on_gpu.attempts, *cpu_attempts(shape, host)), reasons)


def _or_none(
    attempts: tuple[Attempt, ...], reasons: tuple[Reason, ...]
) -> tuple[tuple[Attempt, ...], tuple[Reason, ...]] | Reject:
    if attempts:
        return attempts, reasons
    hint = "Run `reelpress doctor`, or reinstall imageio-ffmpeg, whose FFmpeg has them all."
    text = "No FFmpeg here has libx264 and the filters this clip needs."
    return reject("hardware_absent", "encoder_missing", text, "libx264", hint)


def _places(stage: Stage, framing: Framing, shape: ClipShape, tolerance_px: float) -> tuple[PicturePlace, ...]:
    made: list[PicturePlace] = []
    clock = shape.clock
    for share in PLACES:
        last = max(0, clock.frames - PLACE_FRAMES)
        frame = min(int(clock.frames * share), last) // clock.aligned * clock.aligned
        part = clock.part(frame, min(PLACE_FRAMES, clock.frames))
        graph = video_graph(stage, framing, part, first=frame, tolerance_px=tolerance_px)
        args = input_args(shape.media, shape.request, part, shape.protocols, shape.input_options)
        if frame not in {place.frame for place in made}:
            made.append(PicturePlace(frame=frame, input_args=args, graph=graph))
    return tuple(made)


def _expect(shape: ClipShape, places: tuple[PicturePlace, ...]) -> Expectation:
    clock, request, sound = shape.clock, shape.request, shape.audio is not None
    return Expectation(
        codec="h264", width=shape.size.width, height=shape.size.height, pix_fmt="yuv420p", sample_aspect_ratio=None,
        rotation_deg=0, frames=clock.frames, frames_at_most=None, duration_s=clock.duration_s,
        duration_tolerance_s=0.5 / float(clock.fps), promised_s=None, audio=(clock.duration_s,) if sound else (),
        audio_tolerance_s=AUDIO_TOLERANCE_S, audio_most_s=AUDIO_TOLERANCE_S,
        audio_offset_s=0.0 if sound else None, subtitles=0, chapters=0,
        colour_transfer="bt709", colour_primaries="bt709", colour_matrix="bt709", colour_range="limited",
        copied_codecs=(), max_bytes=None, audio_sync_s=0.02,
        clip=ClipExpectation(
            fps=clock.fps, max_gop_s=MAX_GOP_S, loudness_lufs=shape.level.wanted_lufs if sound else None,
            true_peak_dbtp=request.true_peak_dbtp, places=places,
            most_bytes=most_bytes(clock, request.audio_bitrate_bps),
        ),
    )  # fmt: skip


def _streams(media: MediaFacts, track: VideoTrack, audio: AudioTrack | None) -> tuple[StreamDecision, ...]:
    made = [
        StreamDecision(
            index=track.index, kind="video", action="encode", codec="h264", reason=f"{track.codec} becomes h264."
        )
    ]
    if audio is not None:
        text = f"{audio.codec or 'Its codec'} becomes AAC in stereo at 48 kHz."
        made.append(StreamDecision(index=audio.index, kind="audio", action="encode", codec="aac", reason=text))
    made += [
        StreamDecision(index=a.index, kind="audio", action="drop", codec=None, reason="A clip has one sound.")
        for a in media.audio if audio is not None and a.index != audio.index
    ]  # fmt: skip
    return tuple(made)


def _range_reasons(media: MediaFacts, request: ClipRequest) -> tuple[Reason, ...]:
    end_s = programme_s(media)
    if end_s is None or request.end_s < end_s - 1e-9:
        return ()
    text = f"The clip ends with the programme, at {end_s:.3f} s."
    return (Reason(code="ends_with_programme", text=text, fact=f"{end_s:.3f} s"),)


def _size_reasons(stage: Stage, framing: Framing, clock: Clock) -> tuple[Reason, ...]:
    scale = max((enlargement(stage, shot) for _, _, shot in shot_frames(framing, clock)), default=1.0)
    if scale <= 1.0:
        return ()
    picture = f"{stage.track.display_width}x{stage.track.display_height}"
    text = f"The picture is enlarged {scale:.2g} times to fill {stage.size.width}x{stage.size.height}."
    return (Reason(code="scaled_up", text=text, fact=picture),)


def _sound_reasons(media: MediaFacts, audio: AudioTrack | None, level: Level) -> tuple[Reason, ...]:
    if audio is None:
        text = "The clip has no sound: none of the source's decodes." if media.audio else "The source has no sound."
        return (Reason(code="no_sound", text=text, fact=None),)
    return level.reasons
