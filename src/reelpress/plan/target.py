"""The setting that gives a quality asked for, searched with as few trials as may be: a state machine fed with points.

Pure. Over most of its scale 100 less VMAF grows with CRF as an exponential does, at a rate that differs little between
pictures: one point and that rate say nearly where the target is, two points and their own rate say it well.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from reelpress.facts.numbers import never_rising
from reelpress.facts.values import Value
from reelpress.plan.encoders import EncoderRow

TOLERANCE = 0.25  # VMAF; viewers tell 6 apart, encoders' steps are 0.1 to 0.6
MOST_TRIALS = 8
# A guess between two points is taken without a trial of its own where the loss, as a logarithm, grows by no more than
# this between them: 3 units of x264's scale, 6 of SVT-AV1's. On four real clips what lies midway between points 8 apart
# was off by 0.16 in the median and 0.69 at most, and that falls with the square of the distance.
_TRUSTED = 0.33
_MOST_TRIALS_IN_VAIN = 5  # of them all, once the best setting is known to miss the target
_LEAST_LOSS = 0.05  # nothing scores more than 100 less this here, so that there is a logarithm of what is lost
_RATES = (0.4, 2.5)  # a measured rate is believed within these multiples of the usual one


class Point(Value, frozen=True, kw_only=True):
    """What a setting came to on the samples: mean VMAF, and bytes of video per second of programme."""

    crf: float
    vmaf: float
    bytes_per_s: float


class Scale(Value, frozen=True, kw_only=True):
    """An encoder's scale as far as it is searched: ``best`` to ``worst`` in ``step``, lower numbers being better.

    ``usual_crf`` is where VMAF 93 is expected, ``rate`` by how much the logarithm of what is lost to 100 grows for one
    more on the scale, ``halves`` how many more halve the bytes.
    """

    best: float
    worst: float
    step: float
    usual_crf: float
    rate: float
    halves: float

    def numbers(self) -> list[float]:
        """Return all settings, best quality first."""
        count = math.floor((self.worst - self.best) / self.step + 1e-9) + 1
        return [round(self.best + n * self.step, 4) for n in range(count)]


# Ends: below the best nothing is seen any more and bytes run away; above the worst VMAF no longer tells how bad it
# looks (banding, blocks in the dark). Where VMAF 93 lies and how fast it falls are about the medians of four real clips
# (two films, two talks) at 540 lines: x264 had 93 at CRF 23 to 31 and rates of 0.07 to 0.16, x265 at 23 to 34 and 0.05
# to 0.16, SVT-AV1 at 34 to 45 and 0.03 to 0.07. NVENC's are guesses after plan.nvenc; a search corrects them.
_SCALES = {
    "libx264": Scale(best=12, worst=40, step=0.25, usual_crf=25.0, rate=0.11, halves=6.0),
    "libx265": Scale(best=12, worst=42, step=0.25, usual_crf=26.0, rate=0.105, halves=5.7),
    "libsvtav1": Scale(best=12, worst=58, step=1, usual_crf=37.0, rate=0.055, halves=10.7),
    "h264_nvenc": Scale(best=12, worst=44, step=1, usual_crf=28.0, rate=0.115, halves=6.0),
    "hevc_nvenc": Scale(best=12, worst=44, step=1, usual_crf=28.0, rate=0.11, halves=6.0),
    "av1_nvenc": Scale(best=12, worst=56, step=1, usual_crf=34.0, rate=0.08, halves=9.0),
}


def scale_of(row: EncoderRow) -> Scale:
    """Return the scale on which an encoder is searched."""
    return _SCALES[row.name]


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
        return Try(crf=_nearest(numbers, scale.usual_crf + (_loss(target) - _loss(93.0)) / scale.rate))
    points = _falling(search.points)
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
    return Try(crf=_nearest(inner, _crf_at(points, scale, target)))


def predict(points: Sequence[Point], scale: Scale, crf: float) -> Point:
    """Return what a setting will come to: as measured where a point is of it, else between the points or beyond."""
    known = _falling(points)
    at = next((p for p in known if p.crf == crf), None)
    if at is not None:
        return at
    left = next((p for p in reversed(known) if p.crf < crf), None)
    right = next((p for p in known if p.crf > crf), None)
    if left is not None and right is not None:
        share = (crf - left.crf) / (right.crf - left.crf)
        loss = _loss(left.vmaf) + share * (_loss(right.vmaf) - _loss(left.vmaf))
        size = math.exp(_log(left.bytes_per_s) + share * (_log(right.bytes_per_s) - _log(left.bytes_per_s)))
    else:
        near = left or right
        assert near is not None  # noqa: S101 - there is at least one point
        loss = _loss(near.vmaf) + (crf - near.crf) * _rate(known, scale)
        size = near.bytes_per_s * 2 ** ((near.crf - crf) / scale.halves)
    return Point(crf=crf, vmaf=round(_vmaf(loss), 3), bytes_per_s=round(size, 1))


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
    if not upward and _is_flat(points, scale):
        return _unreachable(search, points)
    aim = edge.crf + (_loss(search.target) - _loss(edge.vmaf)) / _rate(points, scale)
    # a little beyond where it is expected: then the next trial has it between two points
    if len(search.points) >= 2:
        aim += 0.5 if upward else -0.5
    return Try(crf=_nearest(left, aim))


def _at_best(search: Search, points: list[Point]) -> Step:
    """Go on from the best setting, which misses the target: where coarser ones score as well, they are as good."""
    scale, edge = search.scale, points[0]
    if len(search.points) >= _MOST_TRIALS_IN_VAIN:
        return _unreachable(search, points)
    if len(points) > 1 and not _is_flat(points, scale):
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
    flat = _is_flat(points, search.scale)
    why = "better settings score no higher" if flat else f"the best setting tried, {points[0].crf:g}, ends its scale"
    return Unreachable(best=best, why=f"VMAF {top:.2f} is the most it came to: {why}")


def _is_met(search: Search, points: list[Point]) -> bool:
    return any(abs(p.vmaf - search.target) <= search.tolerance / 2 for p in points)


def _is_flat(points: list[Point], scale: Scale) -> bool:
    """Tell whether better settings score no higher any more: of two points some way apart, at the good end."""
    if len(points) < 2:
        return False
    first, second = points[0], points[1]
    apart = second.crf - first.crf
    return apart * scale.rate >= 0.2 and _loss(second.vmaf) - _loss(first.vmaf) < 0.15 * scale.rate * apart


def _rate(points: list[Point], scale: Scale) -> float:
    """Return how fast the loss grows: as between the outermost points, if that is credible."""
    if len(points) < 2:
        return scale.rate
    seen = (_loss(points[-1].vmaf) - _loss(points[0].vmaf)) / (points[-1].crf - points[0].crf)
    return min(max(seen, scale.rate * _RATES[0]), scale.rate * _RATES[1])


def _crf_at(points: list[Point], scale: Scale, target: float) -> float:
    """Return the setting at which the line through the two points around the target meets it."""
    for low, high in itertools.pairwise(points):
        if low.vmaf >= target > high.vmaf:
            share = (_loss(target) - _loss(low.vmaf)) / (_loss(high.vmaf) - _loss(low.vmaf))
            return low.crf + share * (high.crf - low.crf)
    return scale.usual_crf


def _falling(points: Sequence[Point]) -> list[Point]:
    """Return points in order of settings with scores and bytes that never rise: neighbours that do are pooled."""
    ordered = sorted({p.crf: p for p in points}.values(), key=lambda p: p.crf)
    vmaf = never_rising([p.vmaf for p in ordered])
    size = never_rising([p.bytes_per_s for p in ordered])
    return [Point(crf=p.crf, vmaf=v, bytes_per_s=s) for p, v, s in zip(ordered, vmaf, size, strict=True)]


def _loss(vmaf: float) -> float:
    return math.log(max(100.0 - vmaf, _LEAST_LOSS))


def _vmaf(loss: float) -> float:
    return max(0.0, 100.0 - math.exp(loss))


def _log(value: float) -> float:
    return math.log(max(value, 1.0))


def _nearest(numbers: Sequence[float], wanted: float) -> float:
    return min(numbers, key=lambda n: (abs(n - wanted), n))
