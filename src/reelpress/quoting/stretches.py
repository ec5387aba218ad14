"""Which stretches of a programme are encoded to say something of all of it. Pure."""

from __future__ import annotations

from reelpress.facts.media import VideoTrack
from reelpress.facts.numbers import middles
from reelpress.facts.quality import Window
from reelpress.facts.values import Value
from reelpress.plan.model import Encode
from reelpress.plan.sampling import is_seekable

# A programme up to this long is encoded whole: less of it would be hardly cheaper, and could only guess.
WHOLE_UP_TO_S = 30.0
# But no more pixels than that of 1080p at 60 frames a second, so that a quote stays cheap for 4K too.
WHOLE_UP_TO_PIXELS = WHOLE_UP_TO_S * 60 * 1920 * 1080
# An encoder looks ahead up to 60 frames, and spends less where it sees the end: the last 1.5 s of a stretch are encoded
# and not counted.
UNCOUNTED_TAIL_S = 1.5
STRETCH_S = 4.0 + UNCOUNTED_TAIL_S
FEWEST, MOST, EACH_S = 3, 8, 9.0  # a stretch for so many seconds of a programme
# What is scored: three stretches of two seconds, or all of what is shorter.
SCORED_STRETCHES, SCORED_S = 3, 2.0


class Order(Value, frozen=True, kw_only=True):
    """What to encode. ``whole``: all of it. ``head_only``: its keyframes lie too far apart for more than its start."""

    whole: bool
    windows: tuple[Window, ...] = ()
    head_only: bool = False


def order_of(decided: Encode, track: VideoTrack) -> Order:
    """Return what to encode of a programme for a quote on this plan, the most telling stretches first.

    Of one whose length is not known nothing is encoded in part; it is for the caller not to begin it.
    """
    duration = track.duration_s
    if duration is None or duration <= WHOLE_UP_TO_S:
        frames = decided.expect.frames or decided.expect.frames_at_most or track.frames or 0
        if duration is None or frames * decided.expect.width * decided.expect.height <= WHOLE_UP_TO_PIXELS:
            return Order(whole=True)
    if not is_seekable(track):
        head = Window(start_s=0.0, duration_s=round(min(duration, WHOLE_UP_TO_S), 3))
        return Order(whole=False, windows=(head,), head_only=True)
    count = int(min(MOST, max(FEWEST, duration // EACH_S)))
    each = min(STRETCH_S, duration / count)
    windows = [Window(start_s=round(start, 3), duration_s=round(each, 3)) for start in middles(duration - each, count)]
    return Order(whole=False, windows=tuple(_spread(windows)))


def scored_windows(duration_s: float | None, *, head_only: bool) -> tuple[Window, ...]:
    """Return the stretches whose encodes are scored; ``None`` as a length takes the start."""
    if duration_s is None or head_only:
        return (Window(start_s=0.0, duration_s=SCORED_S * SCORED_STRETCHES),)
    if duration_s <= SCORED_S * SCORED_STRETCHES:
        return (Window(start_s=0.0, duration_s=round(duration_s, 3)),)
    return tuple(
        Window(start_s=round(start, 3), duration_s=SCORED_S)
        for start in middles(duration_s - SCORED_S, SCORED_STRETCHES)
    )


def _spread(windows: list[Window]) -> list[Window]:
    """Return the middle first, then what is farthest from all before: wherever work stops, what was done is spread."""
    left = list(windows)
    out = [left.pop(len(left) // 2)]
    while left:
        farthest = max(left, key=lambda w: min(abs(w.start_s - o.start_s) for o in out))
        out.append(farthest)
        left.remove(farthest)
    return out
