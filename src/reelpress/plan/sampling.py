"""Which samples to encode before deciding: whether encoding pays, and what kind of picture it is. Pure.

Both questions are asked only where the programme is long enough for the answer to cost a few percent of its encode.
"""

from __future__ import annotations

from reelpress.facts.media import VideoTrack
from reelpress.facts.values import Value
from reelpress.plan.encoders import LEAN, LEAN_MOTION, LEAN_STILL
from reelpress.plan.model import INPUT, OUTPUT, Encode
from reelpress.plan.worth import Window, outlook_of, sample_windows
from reelpress.request import Request

CONTENT_FROM_DURATION_S = 40.0
CONTENT_WINDOWS = 3
CONTENT_WINDOW_S = 2.0


class SampleOrder(Value, frozen=True, kw_only=True):
    """Commands to run (without the FFmpeg's path), and the programme seconds they cover in all.

    ``counts_bytes``: made as the real encode would be, so their size says something.
    """

    commands: tuple[tuple[str, ...], ...]
    seconds: float
    counts_bytes: bool


def sample_order(decided: Encode, track: VideoTrack, request: Request) -> SampleOrder | None:
    """Return the samples this plan would be better with, or ``None``."""
    attempt = decided.attempts[0]
    if not request.always_encode and outlook_of(decided.reasons) == "doubtful":
        windows = sample_windows(track)
        if windows:
            return _order(windows, [_full_size(attempt.args, w) for w in windows], counts_bytes=True)
    duration = track.duration_s
    lean = attempt.encoder == "libx264" and (request.preset or LEAN) == LEAN
    if lean and duration is not None and duration >= CONTENT_FROM_DURATION_S:
        width, height = decided.expect.width // 4 * 2, decided.expect.height // 4 * 2
        parts = (duration * (i + 0.5) / CONTENT_WINDOWS - CONTENT_WINDOW_S / 2 for i in range(CONTENT_WINDOWS))
        windows = tuple(Window(start_s=round(start, 3), duration_s=CONTENT_WINDOW_S) for start in parts)
        if width >= 64 and height >= 64:
            return _order(windows, [_half_size(attempt.args, w, width, height) for w in windows], counts_bytes=False)
    return None


def _order(windows: tuple[Window, ...], commands: list[tuple[str, ...]], *, counts_bytes: bool) -> SampleOrder:
    seconds = sum(w.duration_s for w in windows)
    return SampleOrder(commands=tuple(commands), seconds=seconds, counts_bytes=counts_bytes)


def _full_size(args: tuple[str, ...], window: Window) -> tuple[str, ...]:
    """Cut a command down to one window of the video, encoded as planned; packets are counted, not kept."""
    settings = args[args.index("-filter:v:0") : args.index("-video_track_timescale")]
    still = tuple(LEAN_STILL if token == LEAN_MOTION else token for token in settings)
    return (*_windowed(args, window), *still, *_COUNTED)


def _half_size(args: tuple[str, ...], window: Window, width: int, height: int) -> tuple[str, ...]:
    """Encode one window at half the size, as fast as can be: what x264 skips there, it skips at full size too."""
    filters = f"scale=w={width}:h={height}:flags=fast_bilinear,format=yuv420p"
    quality = ("-c:v:0", "libx264", "-preset:v:0", "veryfast", "-crf:v:0", "22.5", "-x264-params:v:0", LEAN_STILL)
    return (*_windowed(args, window), "-filter:v:0", filters, *quality, "-fps_mode:v:0", "vfr", *_COUNTED)


_COUNTED = ("-an", "-sn", "-dn", "-map_metadata", "-1", "-f", "rawvideo", OUTPUT)


def _windowed(args: tuple[str, ...], window: Window) -> tuple[str, ...]:
    at, first_map = args.index("-i"), args.index("-map")
    span = ("-ss", f"{window.start_s:.3f}", "-t", f"{window.duration_s:.3f}")
    return (*args[:at], *span, "-i", INPUT, *args[first_map : first_map + 2])
