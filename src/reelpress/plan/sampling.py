"""Which samples to encode before deciding: whether encoding pays, and what kind of picture it is. Pure.

Both questions are asked only where the programme is long enough for the answer to cost a few percent of its encode.
"""

from __future__ import annotations

from fractions import Fraction

from reelpress.facts.media import MediaFacts, VideoTrack
from reelpress.facts.numbers import middles
from reelpress.facts.quality import Window
from reelpress.facts.values import Value
from reelpress.plan.colour import hidden_matrix
from reelpress.plan.encoders import LEAN, LEAN_MOTION, LEAN_STILL
from reelpress.plan.model import INPUT, OUTPUT, Attempt, Encode
from reelpress.plan.worth import is_still, outlook_of, sample_windows
from reelpress.request import Request

# Seeking lands on keyframes. Where they lie further apart than this (browser recordings have one in all), samples
# from the middle would cost the decoding of all that comes before.
MAX_KEYFRAME_DISTANCE_S = 10.0
# Where the picture repeats, content samples save an eighth of the encode. For sources that are not made smaller.
CONTENT_FROM_DURATION_S = 40.0
CONTENT_WINDOWS = 3
# 8 frames at 3/8 of the size tell kinds of picture apart as well as 1.5 s at half did, for half the CPU seconds: what
# remains is opening the input and decoding up to the first frame.
CONTENT_FRAMES = 8
CONTENT_FRAMES_ALONE = 40  # where only the beginning can be had cheaply
CONTENT_SCALE = 3 / 8
KEYFRAME_MARGIN_S = 0.05


class SampleOrder(Value, frozen=True, kw_only=True):
    """Commands for one FFmpeg to run, and the programme seconds they cover in all.

    ``counts_bytes``: made as the real encode would be, so their size says something.
    """

    ffmpeg: str
    commands: tuple[tuple[str, ...], ...]
    windows: int
    seconds: float
    counts_bytes: bool


def sample_order(decided: Encode, media: MediaFacts, request: Request) -> SampleOrder | None:
    """Return the samples this plan would be better with, or ``None``."""
    # a GPU's time is not spent on samples, and its sizes would not be the CPU's
    attempt, track = next((a for a in decided.attempts if not a.gpus), None), media.main_video
    fps = track.fps_avg if track is not None else None
    if track is None or fps is None or attempt is None:
        return None
    seekable = is_seekable(track)
    if seekable and not request.always_encode and outlook_of(decided.reasons) == "doubtful":
        windows = sample_windows(track)
        if windows:
            return _order(attempt, windows, [_full_size(attempt.args, w, fps) for w in windows], counts_bytes=True)
    duration = track.changes_until_s
    lean = attempt is decided.attempts[0] and attempt.encoder == "libx264" and (request.preset or LEAN) == LEAN
    # samples cost by the pixels that are decoded, and save by those that are encoded
    shrunk = track.width * track.height / (decided.expect.width * decided.expect.height)
    from_s = CONTENT_FROM_DURATION_S * max(1.0, shrunk)
    if lean and duration is not None and duration >= from_s and not is_still(track):
        width, height = (round(side * CONTENT_SCALE / 2) * 2 for side in (decided.expect.width, decided.expect.height))
        each = (CONTENT_FRAMES if seekable else CONTENT_FRAMES_ALONE) / float(fps)
        evenly = middles(duration, CONTENT_WINDOWS)
        places = [_at_keyframe(place, track, media.start_s or 0.0) for place in evenly] if seekable else [0.0]
        windows = tuple(Window(start_s=round(start, 3), duration_s=round(each, 3)) for start in places)
        if width >= 64 and height >= 64:
            scale = f"scale=w={width}:h={height}:flags=fast_bilinear"
            filters = ",".join((*hidden_matrix(track), scale, "format=yuv420p"))
            return _order(attempt, windows, [_small(attempt.args, windows, fps, filters)], counts_bytes=False)
    return None


def is_seekable(track: VideoTrack) -> bool:
    """Tell whether keyframes lie close enough for stretches from the middle to cost little."""
    return bool(track.keyframes and track.duration_s and track.duration_s / track.keyframes <= MAX_KEYFRAME_DISTANCE_S)


def _at_keyframe(place_s: float, track: VideoTrack, file_start_s: float) -> float:
    """Return the place just before the keyframe nearest to ``place_s`` seconds into the file, where one is known.

    MPEG-TS is seeked by bytes, and what lies between the place found and the next keyframe is read in vain.
    """
    from_start = (at - file_start_s for at in track.keyframe_times_s)
    nearest = min(from_start, key=lambda at: abs(at - place_s), default=None)
    return place_s if nearest is None else max(0.0, nearest - KEYFRAME_MARGIN_S)


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


def _small(args: tuple[str, ...], windows: tuple[Window, ...], fps: Fraction, filters: str) -> tuple[str, ...]:
    """Encode all windows, small, in one process: what x264 skips there, it mostly skips at full size too."""
    start, at, first_map = args.index("-protocol_whitelist"), args.index("-i"), args.index("-map")
    stream = args[first_map + 1].removeprefix("0:")
    settings = f"threads=1:{LEAN_STILL}"
    quality = ("-c:v:0", "libx264", "-preset:v:0", "veryfast", "-crf:v:0", "22.5", "-x264-params:v:0", settings)
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    for number, window in enumerate(windows):
        # the loop filter is a fifth of decoding, and its absence no matter here; windows run beside each other already
        inputs = (*inputs, *args[start:at], "-threads", "1", "-skip_loop_filter", "all", *_place(window), "-i", INPUT)
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
