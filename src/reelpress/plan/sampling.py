"""Which samples to encode before deciding: whether encoding pays, and what kind of picture it is. Pure.

Both questions are asked only where the programme is long enough for the answer to cost a few percent of its encode.
"""

from __future__ import annotations

from fractions import Fraction

from reelpress.facts.media import VideoTrack
from reelpress.facts.values import Value
from reelpress.plan.encoders import LEAN, LEAN_MOTION, LEAN_STILL
from reelpress.plan.model import INPUT, OUTPUT, Attempt, Encode
from reelpress.plan.worth import Window, is_still, outlook_of, sample_windows
from reelpress.request import Request

# Seeking lands on keyframes. Where they lie further apart than this (browser recordings have one in all), samples
# from the middle would cost the decoding of all that comes before.
MAX_KEYFRAME_DISTANCE_S = 10.0
CONTENT_FROM_DURATION_S = 40.0  # samples cost a CPU second; where the picture repeats they save an eighth of the encode
CONTENT_WINDOWS = 3
CONTENT_WINDOW_ALONE_S = 3.0
CONTENT_SHARE = 1 / 40  # of the programme in each window, between 1 and 1.5 s


class SampleOrder(Value, frozen=True, kw_only=True):
    """Commands for one FFmpeg to run, and the programme seconds they cover in all.

    ``counts_bytes``: made as the real encode would be, so their size says something.
    """

    ffmpeg: str
    commands: tuple[tuple[str, ...], ...]
    windows: int
    seconds: float
    counts_bytes: bool


def sample_order(decided: Encode, track: VideoTrack, request: Request) -> SampleOrder | None:
    """Return the samples this plan would be better with, or ``None``."""
    # a GPU's time is not spent on samples, and its sizes would not be the CPU's
    attempt, fps = next((a for a in decided.attempts if not a.gpus), None), track.fps_avg
    if fps is None or attempt is None:
        return None
    seekable = _is_seekable(track)
    if seekable and not request.always_encode and outlook_of(decided.reasons) == "doubtful":
        windows = sample_windows(track)
        if windows:
            return _order(attempt, windows, [_full_size(attempt.args, w, fps) for w in windows], counts_bytes=True)
    duration = track.duration_s
    lean = attempt is decided.attempts[0] and attempt.encoder == "libx264" and (request.preset or LEAN) == LEAN
    if lean and duration is not None and duration >= CONTENT_FROM_DURATION_S and not is_still(track):
        width, height = decided.expect.width // 4 * 2, decided.expect.height // 4 * 2
        each = min(1.5, max(1.0, duration * CONTENT_SHARE))
        parts = (duration * (i + 0.5) / CONTENT_WINDOWS - each / 2 for i in range(CONTENT_WINDOWS))
        places = parts if seekable else (CONTENT_WINDOW_ALONE_S,)
        windows = tuple(Window(start_s=round(start, 3), duration_s=round(each, 3)) for start in places)
        if width >= 64 and height >= 64:
            return _order(attempt, windows, [_half_size(attempt.args, windows, fps, width, height)], counts_bytes=False)
    return None


def _is_seekable(track: VideoTrack) -> bool:
    return bool(track.keyframes and track.duration_s and track.duration_s / track.keyframes <= MAX_KEYFRAME_DISTANCE_S)


def _order(
    attempt: Attempt, windows: tuple[Window, ...], commands: list[tuple[str, ...]], *, counts_bytes: bool
) -> SampleOrder:
    seconds = sum(w.duration_s for w in windows)
    return SampleOrder(
        ffmpeg=attempt.ffmpeg,
        commands=tuple(commands),
        windows=len(windows),
        seconds=seconds,
        counts_bytes=counts_bytes,
    )


def _full_size(args: tuple[str, ...], window: Window, fps: Fraction) -> tuple[str, ...]:
    """Cut a command down to one window of the video, encoded as planned; packets are counted, not kept."""
    settings = args[args.index("-filter:v:0") : args.index("-video_track_timescale")]
    swaps = {LEAN_MOTION: LEAN_STILL, "vfr": "passthrough"}
    still = tuple(swaps.get(token, token) for token in settings)
    return (*_from_keyframe(args, window), *still, *_frames(window, fps), *_COUNTED)


def _half_size(
    args: tuple[str, ...], windows: tuple[Window, ...], fps: Fraction, width: int, height: int
) -> tuple[str, ...]:
    """Encode all windows at half the size in one process: what x264 skips there, it skips at full size too."""
    start, at, first_map = args.index("-protocol_whitelist"), args.index("-i"), args.index("-map")
    stream = args[first_map + 1].removeprefix("0:")
    filters = f"scale=w={width}:h={height}:flags=fast_bilinear,format=yuv420p"
    quality = ("-c:v:0", "libx264", "-preset:v:0", "veryfast", "-crf:v:0", "22.5", "-x264-params:v:0", LEAN_STILL)
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    for number, window in enumerate(windows):
        # the loop filter is a fifth of decoding, and its absence no matter here
        inputs = (*inputs, *args[start:at], "-skip_loop_filter", "all", *_place(window), "-i", INPUT)
        taken = ("-map", f"{number}:{stream}", "-filter:v:0", filters, *quality, "-fps_mode:v:0", "passthrough")
        outputs = (*outputs, *taken, *_frames(window, fps), *_COUNTED)
    return (*args[:start], *inputs, *outputs)


_COUNTED = ("-an", "-sn", "-dn", "-map_metadata", "-1", "-f", "rawvideo", OUTPUT)


def _from_keyframe(args: tuple[str, ...], window: Window) -> tuple[str, ...]:
    """Start at the keyframe before the window: nothing is decoded in vain, and any place is as good as another.

    Frames before the wished time are only kept with ``-fps_mode passthrough``.
    """
    at, first_map = args.index("-i"), args.index("-map")
    return (*args[:at], *_place(window), "-i", INPUT, *args[first_map : first_map + 2])


def _place(window: Window) -> tuple[str, ...]:
    return ("-noaccurate_seek", "-ss", f"{window.start_s:.3f}")


def _frames(window: Window, fps: Fraction) -> tuple[str, ...]:
    return ("-frames:v:0", str(max(2, round(window.duration_s * fps))))
