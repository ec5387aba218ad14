"""The planner of clips: ``plan_clip(media, host, request, framing) -> Encode | Reject``. Pure, as ``plan``.

One FFmpeg does all of it: it reads from a little before the clip, makes its frames, frames each shot, draws captions,
sets the loudness and encodes once.
"""

from __future__ import annotations

import itertools
import math
import re

import msgspec

from reelpress.clip_request import ClipRequest
from reelpress.facts.framing import MAX_ZOOM, Framing, Shot
from reelpress.facts.host import HostFacts
from reelpress.facts.media import AudioTrack, MediaFacts, VideoTrack
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
from reelpress.plan.clip_sound import AS_IT_IS, Level, sound_filters
from reelpress.plan.compress import deinterlace, no_video
from reelpress.plan.encoders import SHORTS, X264_PRESETS, cpu_row
from reelpress.plan.expect import AUDIO_TOLERANCE_S
from reelpress.plan.geometry import Size
from reelpress.plan.model import (
    Attempt,
    ClipExpectation,
    Encode,
    Expectation,
    PicturePlace,
    Reason,
    Reject,
    Skip,
    StreamDecision,
)
from reelpress.plan.window_path import TOLERANCE_PX

CLIP_PRESETS = (SHORTS, *X264_PRESETS)
MIN_DURATION_S = 0.2
# So much beyond the end of the programme is taken for its end: pages and people round.
END_SLACK_S = 0.5
MIN_SIDE, MAX_SIDE = 64, 4096
MAX_SHOTS = 2000
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
    refused = refuse(media, host, request) or _refuse_framing(framing)
    if refused is not None:
        return refused
    track = media.main_video
    assert track is not None  # noqa: S101 - refuse has answered otherwise
    request = within(media, request)
    clock, clock_reasons = clip_clock(media, track, request)
    size, row = Size(width=request.width, height=request.height), cpu_row("h264")
    deinterlacing, field_reasons = deinterlace(track)
    has_captions = request.captions is not None and bool(request.captions.cues)
    stage = Stage(
        track=track, row=row, size=size, before=before_framing(track, deinterlacing), has_captions=has_captions
    )
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


def within(media: MediaFacts, request: ClipRequest) -> ClipRequest:
    """Return the request with its end inside the programme, where it is at most ``END_SLACK_S`` beyond it."""
    end_s = programme_s(media)
    return request if end_s is None or request.end_s <= end_s else msgspec.structs.replace(request, end_s=end_s)


def programme_s(media: MediaFacts) -> float | None:
    """Return how long the pictures go on, in seconds, as far as is known."""
    track = media.main_video
    if track is not None and track.duration_s is not None:
        return track.duration_s
    return media.duration_s


def refuse(media: MediaFacts, host: HostFacts, request: ClipRequest) -> Reject | None:
    """Return why no clip can be made, before anything is analysed, or ``None``."""
    if request.hardware == "require" and host.gpu_note is not None:
        return _hardware_absent(host.gpu_note)
    if not host.ffmpegs:
        hint = "Reinstall imageio-ffmpeg, or set REELPRESS_FFMPEG to a binary."
        return _reject("hardware_absent", "no_ffmpeg", "No FFmpeg was found.", None, hint)
    track = media.main_video
    if track is None:
        missing = no_video(media)
        why = missing.hint if isinstance(missing, Reject) else "A clip needs pictures."
        return Reject(code="input_unusable", reasons=missing.reasons, hint=why)
    dolby = track.colour.dolby_vision
    if dolby is not None and dolby.base_layer == "none":
        text = "Dolby Vision profile 5 has no base layer: decoded without Dolby's own mapping its colours are wrong."
        hint = "Export the video as HDR10 or SDR first."
        return _reject("input_unusable", "dolby_vision_only", text, f"profile {dolby.profile}", hint)
    return _refuse_range(media, request) or _refuse_wish(request)


def _refuse_range(media: MediaFacts, request: ClipRequest) -> Reject | None:
    start, end, programme = request.start_s, request.end_s, programme_s(media)
    asked = f"{start:g} s to {end:g} s"
    if not (math.isfinite(start) and math.isfinite(end)) or start < 0 or end <= start:
        text = "The clip does not end after it begins, at a time of the programme."
        return _reject("usage", "range_empty", text, asked, "Times are seconds from the first picture on.")
    if programme is not None and (start >= programme or end > programme + END_SLACK_S):
        text = f"The clip reaches beyond the programme, which is {programme:.3f} s long."
        return _reject("usage", "range_outside", text, asked, "Choose times inside the programme.")
    if min(end, programme or end) - start < MIN_DURATION_S:
        text = f"The clip is shorter than {MIN_DURATION_S:g} s."
        return _reject("usage", "range_too_short", text, asked, "Let it end later.")
    return None


def _refuse_wish(request: ClipRequest) -> Reject | None:
    crf_max = cpu_row("h264").crf_max
    sides = (request.width, request.height)
    checks = (
        (
            any(side % 2 or not MIN_SIDE <= side <= MAX_SIDE for side in sides), "size_unusable",
            f"Sides of a clip are even and from {MIN_SIDE} to {MAX_SIDE} pixels.", f"{sides[0]}x{sides[1]}",
        ),
        (request.preset not in CLIP_PRESETS, "preset_unknown", "There is no such preset.", request.preset),
        (
            request.crf is not None and not 0 <= request.crf <= crf_max, "crf_outside",
            f"A CRF lies from 0 to {crf_max:g}.", f"{request.crf}",
        ),
        (
            not 1 <= request.min_fps <= request.max_fps <= 240, "fps_outside",
            "The frame rate is from 1 to 240, the least at most the greatest.",
            f"{float(request.min_fps):g} to {float(request.max_fps):g}",
        ),
        (
            request.name is not None and not request.name.isprintable(), "name_unusable",
            "A clip's name is one line of printable characters.", None,
        ),
    )  # fmt: skip
    found = next((check for check in checks if check[0]), None)
    if found is None:
        return None
    hint = f"Presets are {', '.join(CLIP_PRESETS)}." if found[1] == "preset_unknown" else None
    return _reject("usage", found[1], found[2], found[3], hint)


def _refuse_framing(framing: Framing) -> Reject | None:
    counts = {"still": 1, "track": 1, "fit": 0, "split": 2}
    shots = framing.shots
    fact = None
    if not shots or len(shots) > MAX_SHOTS:
        fact = f"{len(shots)} shots"
    elif any(a.start_s >= b.start_s for a, b in itertools.pairwise(shots)):
        fact = "shots out of order"
    else:
        fact = next((why for shot in shots if (why := _odd(shot, counts[shot.layout])) is not None), None)
    if fact is None:
        return None
    return _reject("usage", "framing_unusable", "The framing is not one that can be drawn.", fact, None)


def _odd(shot: Shot, windows: int) -> str | None:
    if len(shot.windows) < windows:
        return f"{len(shot.windows)} windows for {shot.layout}"
    for window in shot.windows:
        numbers = [number for key in window.path for number in (key.t_s, key.x, key.y)]
        if not window.path or not 1 <= window.zoom <= MAX_ZOOM or not all(abs(n) < 1e7 for n in numbers):
            return f"a window without a place, or a zoom that is not from 1 to {MAX_ZOOM:g}"
        if any(a.t_s > b.t_s for a, b in itertools.pairwise(window.path)):
            return "keys out of order"
    return None


def _graph(stage: Stage, framing: Framing, clock: Clock) -> tuple[str, float] | Reject:
    """Return the graph, as exact as fits into one argument, and by how many pixels it may be off."""
    for tolerance_px in _TOLERANCES_PX:
        graph = video_graph(stage, framing, clock, tolerance_px=tolerance_px)
        if len(graph.encode()) <= MAX_GRAPH_BYTES:
            return graph, tolerance_px
    hint = "Cut the clip in two, or let its windows move less."
    return _reject("usage", "framing_too_large", "The framing changes too often for one clip.", None, hint)


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
        return _hardware_absent(on_gpu.why_none) if on_gpu.why_none is not None else (on_gpu.attempts, on_gpu.reasons)
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
    return _reject("hardware_absent", "encoder_missing", text, "libx264", hint)


def _places(stage: Stage, framing: Framing, shape: ClipShape, tolerance_px: float) -> tuple[PicturePlace, ...]:
    made: list[PicturePlace] = []
    clock = shape.clock
    for share in PLACES:
        last = max(0, clock.frames - PLACE_FRAMES)
        frame = min(int(clock.frames * share), last) // clock.repeats * clock.repeats
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
        audio_tolerance_s=AUDIO_TOLERANCE_S, audio_offset_s=0.0 if sound else None, subtitles=0, chapters=0,
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


def _hardware_absent(why: str) -> Reject:
    text = "Hardware was required; no GPU encodes this here."
    hint = "Use --hardware auto to let the CPU do it, or see `reelpress doctor`."
    return _reject("hardware_absent", "hardware_required", text, why, hint)


def _reject(code: str, reason: str, text: str, fact: str | None, hint: str | None) -> Reject:
    return Reject(code=code, reasons=(Reason(code=reason, text=text, fact=fact),), hint=hint)  # type: ignore[arg-type]
