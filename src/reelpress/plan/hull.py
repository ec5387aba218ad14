"""Which size an encode should have: reads trials of samples, and asks for the next one until they tell. Pure.

At few bits a smaller picture looks better than a large one full of blocks, at many bits it lacks detail: the curves of
bytes against quality cross. Their upper hull is what a video can look like at each bit rate
(https://netflixtechblog.com/per-title-encode-optimization-7e99442b62a2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from reelpress.facts.values import Value

# Shorter sides that are tried below an encode's own size, in pixels: what players and televisions are made for.
LINES = (1080, 720, 540, 480, 360)
NEAR_SIZE = 0.92  # a size that near to the next larger one would tell nothing

# What a smaller size must save against a larger one at the same score, as a share: less is noise of the samples
# (three stretches of two seconds), and pixels that are gone do not come back.
STEP_SAVING = 0.05  # against the next larger that is worth it
LEAST_SAVING = 0.08  # against the full size
WORST_SECOND_LOSS = 3.0  # VMAF by which the worst second may be below that at the full size

CLOSE = 0.4  # VMAF: a trial that near to the target tells the bytes by the slope alone
FAR = 1.5  # VMAF beyond the trials up to which their line is followed
TRIALS_PER_SIZE = 3
# Where nothing was measured yet: x264 gives half the bits for 6 steps of CRF; VMAF loses about 1.3 for one step where
# it lies between 80 and 95 (docs/resolution.md). Only guesses of where to measure rest on the latter.
LOG_BYTES_PER_CRF = -math.log(2) / 6
VMAF_PER_CRF = -1.3
FINER_PER_STEP = 2.0  # CRF by which a smaller size is tried finer than the next larger one


class Point(Value, frozen=True, kw_only=True):
    """One trial: samples at a size, given by its shorter side in pixels, and a CRF.

    ``vmaf`` is the mean at the size it is watched at; ``worst`` is of the worst second, ``None`` for less than one.
    """

    lines: int
    crf: float
    bytes_per_s: float
    vmaf: float
    worst: float | None = None


class Order(Value, frozen=True, kw_only=True):
    """What to find out. ``sizes`` are shorter sides, the full size first, then ever smaller.

    With ``target`` ``None`` the target is what the full size scores at ``crf``, the plan's own. CRF stays from
    ``crf_min`` to ``crf_max``; ``crf_step`` is how many of this encoder's steps are one of x264's 51.
    """

    sizes: tuple[int, ...]
    crf: float
    target: float | None
    crf_min: float
    crf_max: float
    crf_step: float = 1.0
    crf_integer: bool = False


class Ask(Value, frozen=True, kw_only=True, tag_field="kind", tag="ask"):
    """The next trial to make."""

    lines: int
    crf: float


class AtTarget(Value, frozen=True, kw_only=True):
    """What one size costs at the target, between its trials."""

    lines: int
    crf: float
    bytes_per_s: float
    vmaf: float
    worst: float | None


class Choice(Value, frozen=True, kw_only=True, tag_field="kind", tag="choice"):
    """The answer: a size, its CRF, and what every size came to that was tried, larger sizes first."""

    chosen: AtTarget
    tried: tuple[AtTarget, ...]
    target: float
    reached: bool  # False: not even the full size scores the target within the range of CRF
    ended: str  # why no smaller size was looked at


def step(points: Sequence[Point], order: Order) -> Ask | Choice:
    """Return the next trial to make, or the choice once the trials tell it.

    Sizes are tried from the largest down, and the first that does not pay ends it: what a size costs at one score has
    a single minimum over sizes.
    """
    full = order.sizes[0]
    if order.target is None:
        first = next((p for p in points if p.lines == full and p.crf == order.crf), None)
        if first is None:
            return Ask(lines=full, crf=order.crf)
        return _descend(points, order, first.vmaf, _known(first))
    asked = _ask(points, full, order.target, order, order.crf)
    if asked is not None:
        return asked
    found = _found(points, full, order.target, order)
    if found is not None:
        return _descend(points, order, order.target, found)
    target = order.target
    nearest = _known(min((p for p in points if p.lines == full), key=lambda p: abs(p.vmaf - target)))
    return _answer([nearest], target, reached=False, ended="the full size does not score the target")


def _descend(points: Sequence[Point], order: Order, target: float, full: AtTarget) -> Ask | Choice:
    """Go on to smaller sizes for as long as they pay."""
    tried = [full]
    for lines in order.sizes[1:]:
        larger = tried[-1]
        if any(p.lines == lines and p.vmaf < target - CLOSE and p.bytes_per_s >= larger.bytes_per_s for p in points):
            return _answer(tried, target, reached=True, ended=f"{lines} lines take more for less")
        asked = _ask(points, lines, target, order, larger.crf - FINER_PER_STEP * order.crf_step)
        if asked is not None:
            return asked
        found = _found(points, lines, target, order)
        if found is None:
            return _answer(tried, target, reached=True, ended=f"{lines} lines do not score that at any rate tried")
        tried.append(found)
        if _is_worse_at_its_worst(found, full):
            return _answer(tried, target, reached=True, ended=f"{lines} lines look worse in their worst second")
        if found.bytes_per_s >= larger.bytes_per_s:
            return _answer(tried, target, reached=True, ended=f"{lines} lines take more")
    return _answer(tried, target, reached=True, ended="there is no smaller size to try")


def at_target(points: Sequence[Point], lines: int, target: float) -> AtTarget | None:
    """Return what a size costs at a score, or ``None`` where its trials do not tell.

    Between two trials the logarithm of bytes, CRF and the worst second follow the score in a line; outside they are
    followed for a little.
    """
    line = front([p for p in points if p.lines == lines])
    if not line:
        return None
    below = [p for p in line if p.vmaf <= target]
    above = [p for p in line if p.vmaf > target]
    if below and above:
        return _between(below[-1], above[0], target)
    nearest = min(line, key=lambda p: abs(p.vmaf - target))
    off = target - nearest.vmaf
    if abs(off) > FAR or (len(line) == 1 and abs(off) > CLOSE):
        return None
    if len(line) == 1:
        crf = nearest.crf + off / VMAF_PER_CRF
        worst = None if nearest.worst is None else nearest.worst + off
        return AtTarget(
            lines=lines, crf=crf, bytes_per_s=nearest.bytes_per_s * math.exp((crf - nearest.crf) * LOG_BYTES_PER_CRF),
            vmaf=target, worst=worst,
        )  # fmt: skip
    return _between(line[-2], line[-1], target) if off > 0 else _between(line[0], line[1], target)


def front(points: Sequence[Point]) -> tuple[Point, ...]:
    """Return the points that no other beats in bytes and score at once, cheapest first: both rise along it."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda p: (p.bytes_per_s, -p.vmaf)):
        if not kept or point.vmaf > kept[-1].vmaf:
            kept.append(point)
    return tuple(kept)


def hull(points: Sequence[Point]) -> tuple[Point, ...]:
    """Return the upper convex hull of score over bytes, cheapest first: the best that can be had at each rate."""
    kept: list[Point] = []
    for point in front(points):
        while len(kept) >= 2 and not _bends_down(kept[-2], kept[-1], point):
            kept.pop()
        kept.append(point)
    return tuple(kept)


def _found(points: Sequence[Point], lines: int, target: float, order: Order) -> AtTarget | None:
    """Return what a size costs at the target; at the coarsest CRF where even that scores more."""
    coarsest = max((p for p in points if p.lines == lines), key=lambda p: p.crf)
    if coarsest.crf >= order.crf_max and coarsest.vmaf > target:
        return _known(coarsest)
    return at_target(points, lines, target)


def _bends_down(a: Point, b: Point, c: Point) -> bool:
    """Tell whether score rises more steeply from a to b than from b to c."""
    return (b.vmaf - a.vmaf) * (c.bytes_per_s - b.bytes_per_s) > (c.vmaf - b.vmaf) * (b.bytes_per_s - a.bytes_per_s)


def _ask(points: Sequence[Point], lines: int, target: float, order: Order, first_crf: float) -> Ask | None:
    """Return the trial that would tell what a size costs at the target; ``None`` when it is known or past knowing."""
    here = [p for p in points if p.lines == lines]
    if not here:
        return Ask(lines=lines, crf=_allowed(first_crf, order))
    if len(here) >= TRIALS_PER_SIZE or any(abs(p.vmaf - target) <= CLOSE for p in here):
        return None
    if any(p.vmaf > target for p in here) and any(p.vmaf < target for p in here):
        return None
    nearest = min(here, key=lambda p: abs(p.vmaf - target))
    slope = _slope(here) if len(here) > 1 else VMAF_PER_CRF / order.crf_step
    if slope is None:  # flat as far as it was seen: only the end of the range can tell more
        crf = order.crf_max if nearest.vmaf > target else order.crf_min
    else:  # a little too far, so that the target comes to lie between two trials
        crf = _allowed(nearest.crf + 1.25 * (target - nearest.vmaf) / slope, order)
    return None if any(p.crf == crf for p in here) else Ask(lines=lines, crf=crf)


def _slope(points: Sequence[Point]) -> float | None:
    """Return VMAF per step of CRF over these trials, where it falls as it should."""
    low, high = min(points, key=lambda p: p.crf), max(points, key=lambda p: p.crf)
    slope = (high.vmaf - low.vmaf) / (high.crf - low.crf) if high.crf > low.crf else 0.0
    return slope if slope < -0.05 else None


def _allowed(crf: float, order: Order) -> float:
    grid = 1.0 if order.crf_integer else 0.5
    return min(order.crf_max, max(order.crf_min, round(crf / grid) * grid))


def _between(low: Point, high: Point, target: float) -> AtTarget:
    part = (target - low.vmaf) / (high.vmaf - low.vmaf)

    def mixed(a: float, b: float) -> float:
        return a + part * (b - a)

    worst = None if low.worst is None or high.worst is None else mixed(low.worst, high.worst)
    rate = math.exp(mixed(math.log(max(1.0, low.bytes_per_s)), math.log(max(1.0, high.bytes_per_s))))
    return AtTarget(lines=low.lines, crf=mixed(low.crf, high.crf), bytes_per_s=rate, vmaf=target, worst=worst)


def _known(point: Point) -> AtTarget:
    return AtTarget(lines=point.lines, crf=point.crf, bytes_per_s=point.bytes_per_s, vmaf=point.vmaf, worst=point.worst)


def _is_worse_at_its_worst(found: AtTarget, full: AtTarget) -> bool:
    return found.worst is not None and full.worst is not None and found.worst < full.worst - WORST_SECOND_LOSS


def _answer(tried: list[AtTarget], target: float, *, reached: bool, ended: str) -> Choice:
    full = tried[0]
    fit = [t for t in tried if not _is_worse_at_its_worst(t, full)]
    least = min(t.bytes_per_s for t in fit)
    best = next(t for t in fit if t.bytes_per_s <= least / (1 - STEP_SAVING))
    if best.bytes_per_s > full.bytes_per_s * (1 - LEAST_SAVING):
        best = full
        ended = f"none smaller saves {LEAST_SAVING:.0%}; {ended}" if len(tried) > 1 else ended
    return Choice(chosen=best, tried=tuple(tried), target=target, reached=reached, ended=ended)
