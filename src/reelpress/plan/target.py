"""The setting that gives a quality asked for, searched with as few trials as may be: a state machine fed with points.

Pure. What settings come to is read off :mod:`reelpress.plan.crf_curve`: one point and the usual rate say nearly where
the target is, two points and their own rate say it well.
"""

from __future__ import annotations

from collections.abc import Sequence

from reelpress.facts.values import Value
from reelpress.plan.crf_curve import Point, Scale, crf_at, falling, is_flat, loss_of, predict, rate_of

TOLERANCE = 0.25  # VMAF; viewers tell 6 apart, encoders' steps are 0.1 to 0.6
MOST_TRIALS = 8
# A guess between two points is taken without a trial of its own where the loss, as a logarithm, grows by no more than
# this between them: 3 units of x264's scale, 6 of SVT-AV1's. On four real clips what lies midway between points 8 apart
# was off by 0.16 in the median and 0.69 at most, and that falls with the square of the distance.
_TRUSTED = 0.33
_MOST_TRIALS_IN_VAIN = 5  # of them all, once the best setting is known to miss the target


class Search(Value, frozen=True, kw_only=True):
    """A search as far as it has come. ``points`` are of different settings; others of the scale may be among them."""

    target: float
    scale: Scale
    points: tuple[Point, ...] = ()
    tolerance: float = TOLERANCE
    most_trials: int = MOST_TRIALS


class Try(Value, frozen=True, kw_only=True):
    """Make a trial with this setting."""

    crf: float


class Found(Value, frozen=True, kw_only=True):
    """The largest setting that keeps to the target, and what it is predicted to come to.

    ``measured`` is whether a trial was made of just that setting. ``at_end`` says that the scale ends there, and more
    could have been saved.
    """

    point: Point
    measured: bool
    at_end: bool = False


class Unreachable(Value, frozen=True, kw_only=True):
    """No setting reaches the target; ``best`` is the one to take instead."""

    best: Point
    why: str


Step = Try | Found | Unreachable


def next_step(search: Search) -> Step:
    """Return the trial to make next, or the end. It ends for any points, and proposes no setting twice."""
    scale, target = search.scale, search.target
    numbers = scale.numbers()
    if not search.points:
        return Try(crf=_nearest(numbers, scale.usual_crf + (loss_of(target) - loss_of(93.0)) / scale.rate))
    points = falling(search.points)
    tried = {point.crf for point in search.points}
    better = [p for p in points if p.vmaf >= target]
    worse = [p for p in points if p.vmaf < target]
    if len(search.points) >= search.most_trials:
        return _settle(search, points)
    if not worse:
        return _beyond(search, points, tried, upward=True)
    if not better:
        return _beyond(search, points, tried, upward=False)
    low, high = better[-1], worse[0]
    between = [n for n in numbers if low.crf < n < high.crf]
    if not between or (high.crf - low.crf) * scale.rate <= _TRUSTED + 1e-9 or _is_met(search, points):
        return _settle(search, points)
    # in the inner part of the gap, so that a curve with a knee cannot have it closed by crumbs
    margin = (len(between) - 1) // 8
    inner = between[margin : len(between) - margin]
    return Try(crf=_nearest(inner, crf_at(points, scale, target)))


def _beyond(search: Search, points: list[Point], tried: set[float], *, upward: bool) -> Step:
    """Go on beyond the outermost point: up the scale where all points are better than the target, else down."""
    scale = search.scale
    edge = points[-1] if upward else points[0]
    numbers = scale.numbers()
    left = [n for n in numbers if (n > edge.crf if upward else n < edge.crf) and n not in tried]
    if abs(edge.vmaf - search.target) <= search.tolerance:
        return _settle(search, points)
    if not left:
        return Found(point=edge, measured=True, at_end=True) if upward else _at_best(search, points)
    if not upward and is_flat(points, scale):
        return _unreachable(search, points)
    aim = edge.crf + (loss_of(search.target) - loss_of(edge.vmaf)) / rate_of(points, scale)
    # a little beyond where it is expected: then the next trial has it between two points
    if len(search.points) >= 2:
        aim += 0.5 if upward else -0.5
    return Try(crf=_nearest(left, aim))


def _at_best(search: Search, points: list[Point]) -> Step:
    """Go on from the best setting, which misses the target: where coarser ones score as well, they are as good."""
    scale, edge = search.scale, points[0]
    if len(search.points) >= _MOST_TRIALS_IN_VAIN:
        return _unreachable(search, points)
    if len(points) > 1 and not is_flat(points, scale):
        return _unreachable(search, points)
    as_good = [p for p in points if p.vmaf >= edge.vmaf - search.tolerance]
    coarser = [n for n in scale.numbers() if n > as_good[-1].crf]
    worse = [p.crf for p in points if p.crf > as_good[-1].crf]
    if not coarser or worse:
        return _unreachable(search, points)
    return Try(crf=_nearest(coarser, as_good[-1].crf + 0.5 * scale.halves * len(search.points)))


def _settle(search: Search, points: list[Point]) -> Step:
    """Choose among all settings near the points: the nearest to the target, not below it by more than allowed."""
    scale, target = search.scale, search.target
    first, last = points[0].crf, points[-1].crf
    reach = 2 * max(1.0, scale.step)  # beyond the outermost points only as far as a slope carries
    around = [n for n in scale.numbers() if first - reach <= n <= last + reach] or [p.crf for p in points]
    guesses = [predict(points, scale, n) for n in sorted({*around, *(p.crf for p in points)})]
    good = [g for g in guesses if g.vmaf >= target - search.tolerance]
    if not good:
        return _unreachable(search, points)
    nearest = min(abs(g.vmaf - target) for g in good)
    # of settings that are as near, the one with the fewest bytes: where VMAF no longer falls, this is far along
    best = max((g for g in good if abs(g.vmaf - target) <= nearest + 0.02), key=lambda g: g.crf)
    measured = any(p.crf == best.crf for p in search.points)
    return Found(point=best, measured=measured, at_end=best.crf == scale.numbers()[-1] and best.vmaf > target)


def _unreachable(search: Search, points: list[Point]) -> Unreachable:
    """Return the best there is: of settings that score as high as any, the one with the fewest bytes."""
    top = max(p.vmaf for p in points)
    best = max((p for p in points if p.vmaf >= top - search.tolerance / 2), key=lambda p: p.crf)
    flat = is_flat(points, search.scale)
    why = "better settings score no higher" if flat else f"the best setting tried, {points[0].crf:g}, ends its scale"
    return Unreachable(best=best, why=f"VMAF {top:.2f} is the most it came to: {why}")


def _is_met(search: Search, points: list[Point]) -> bool:
    return any(abs(p.vmaf - search.target) <= search.tolerance / 2 for p in points)


def _nearest(numbers: Sequence[float], wanted: float) -> float:
    return min(numbers, key=lambda n: (abs(n - wanted), n))
