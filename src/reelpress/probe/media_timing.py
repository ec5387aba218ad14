"""Frame rates from presentation times: average, nominal, peak, and whether they vary. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from fractions import Fraction
from heapq import nlargest
from itertools import islice, pairwise

from reelpress.facts.media import MOST_HELD, MOST_PAUSES, PAUSE_S
from reelpress.facts.values import Value

_COMMON_RATES = tuple(
    Fraction(n, d)
    for n, d in (
        (30000, 1001), (24000, 1001), (60000, 1001), (24, 1), (25, 1), (30, 1), (50, 1), (60, 1), (48, 1), (10, 1),
        (12, 1), (15, 1), (20, 1), (100, 1), (120000, 1001), (120, 1), (240, 1), (15000, 1001), (12000, 1001), (5, 1),
    )
)  # fmt: skip

# What comes sooner than the one may be thinned by a cap on the rate; what stays for longer than the other is read.
_QUICK_S, _HELD_S = 0.1, 0.2
# Caps on the rate that are asked for, in frames a second.
_SLOTS_A_SECOND = (5, 10, 15, 20, 24, 25, 30, 50, 60)


class Timing(Value, frozen=True, kw_only=True):
    """The rates of a :class:`~reelpress.facts.media.VideoTrack`; ``why`` explains what is missing."""

    fps_avg: Fraction | None = None
    fps_nominal: Fraction | None = None
    fps_peak: float | None = None
    is_vfr: bool | None = None
    why: str | None = None


def _exact(rate: Fraction) -> Fraction:
    """Return 30000/1001 for the 29.97 that containers make of it."""
    return next((c for c in _COMMON_RATES if abs(c - rate) < c / 100_000), rate)


def frame_timing(
    pts: Sequence[int], time_base: Fraction, last_duration: int, claims: Sequence[Fraction | None]
) -> Timing:
    """Return the rates that presentation times show.

    ``pts`` is sorted. ``claims`` are the container's and the codec's own rates, the most trusted first. A stream is
    variable only when no constant rate explains its times to within a millisecond, or a tick where that is coarser:
    containers round, and remuxing keeps the rounding while refining the time base.
    """
    sane = tuple(_exact(c) for c in claims if c is not None and Fraction(1, 1000) < c <= 1000)
    count = len(pts)
    if count < 2 or pts[-1] == pts[0]:
        why = (
            "a single frame has no interval"
            if count == 1
            else "all frames carry the same time"
            if count
            else "no frames"
        )
        return Timing(fps_nominal=sane[0] if sane else None, why=why)
    span, gaps = pts[-1] - pts[0], count - 1
    mean = span / gaps
    tolerance = max(1.0, float(Fraction(1, 1000) / time_base))
    steps = array("q", (b - a for a, b in pairwise(pts)))
    is_even = max(steps) - mean <= tolerance + 1 / gaps and mean - min(steps) <= tolerance + 1 / gaps
    drift = max(abs(t - pts[0] - i * mean) for i, t in enumerate(pts)) if is_even else 0.0
    is_vfr = not is_even or drift > max(tolerance, mean / 2)
    steps = array("q", sorted(steps))
    median = max(steps[gaps // 2], 1)
    matching = [c for c in sane if abs(1 / (c * time_base) - median) <= tolerance]
    nominal = matching[0] if matching else None
    if is_vfr:
        fps_avg = count / ((span + (last_duration or median)) * time_base)
        fast = steps[int(gaps * 0.05)] or median
        peak = float(1 / (fast * time_base))
        near = [c for c in (nominal, *_COMMON_RATES) if c is not None and abs(1 / (c * time_base) - fast) <= 1]
        peak = float(min(near, key=lambda c: abs(float(c) - peak))) if near else peak
        fps_avg = fps_avg.limit_denominator(100_000)
        return Timing(
            fps_avg=fps_avg,
            fps_nominal=nominal or (sane[0] if sane else None),
            fps_peak=max(peak, float(fps_avg)),  # a few pictures at one time make the rest slower than the average
            is_vfr=True,
        )
    fitting = [c for c in (*sane, *_COMMON_RATES) if abs(gaps / (c * time_base) - span) <= tolerance]
    fps = fitting[0] if fitting else (gaps / (span * time_base)).limit_denominator(100_000)
    return Timing(fps_avg=fps, fps_nominal=nominal or fps, fps_peak=float(fps), is_vfr=False)


def held_frames(pts: Sequence[int], time_base: Fraction) -> tuple[float, ...]:
    """Return when frames come that stay on the screen right after others came quickly, in seconds from the first on.

    Of a screen that is recorded only while it changes these are what is read, and the last one of all is among them.
    ``pts`` is sorted. They are at most ``MOST_HELD``, the first ones.
    """
    quick, held, last = _QUICK_S / time_base, _HELD_S / time_base, len(pts) - 1
    ends = (
        n for n in range(1, len(pts))
        if pts[n] - pts[n - 1] < quick and (n == last or pts[n + 1] - pts[n] >= held)
    )  # fmt: skip
    return tuple(_seconds(pts[n] - pts[0], time_base) for n in islice(ends, MOST_HELD))


def pauses(pts: Sequence[int], time_base: Fraction) -> tuple[tuple[float, float], ...]:
    """Return from when to when one picture stays, of the longest such pauses, in order; ``pts`` is sorted."""
    least = PAUSE_S / time_base
    found = ((b - a, n) for n, (a, b) in enumerate(pairwise(pts)) if b - a >= least)
    longest = sorted(n for _, n in nlargest(MOST_PAUSES, found))
    return tuple((_seconds(pts[n] - pts[0], time_base), _seconds(pts[n + 1] - pts[0], time_base)) for n in longest)


def _seconds(ticks: int, time_base: Fraction) -> float:
    return round(float(ticks * time_base), 4)


def filled_slots(pts: Sequence[int], time_base: Fraction, fps_peak: float) -> tuple[tuple[int, int], ...]:
    """Return how many slots of 1/n second hold a frame, as pairs of n and that, for each n below ``fps_peak``.

    So many frames a cap of n frames a second leaves. The first slot begins a quarter of its length before the first
    frame, as :func:`reelpress.plan.geometry.timing` has it. ``pts`` is sorted.
    """
    rates = [n for n in _SLOTS_A_SECOND if pts and n < fps_peak]
    return tuple((n, _filled(pts, time_base * n)) for n in rates)


def _filled(pts: Sequence[int], slots_a_tick: Fraction) -> int:
    up, down, first = 4 * slots_a_tick.numerator, 4 * slots_a_tick.denominator, pts[0]
    quarter, filled, last = slots_a_tick.denominator, 0, -1
    for at in pts:
        slot = ((at - first) * up + quarter) // down
        filled += slot != last
        last = slot
    return filled
