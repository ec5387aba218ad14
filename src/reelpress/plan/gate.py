"""The gate on quality and size: whether an encode meets what was asked, and at which setting to make it again. Pure.

Settings are counted as a shift from the plan's own, on the scale of its CPU encoder: below 0 is finer and larger. The
same shift goes for every encoder of the plan, so that a retry may run on another device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from reelpress.facts.gate import GateWish
from reelpress.facts.values import Value
from reelpress.plan.encoders import ENCODERS, EncoderRow
from reelpress.plan.model import Attempt, Encode

# In how many steps of x264's CRF what is missing to 100 grows, and bits shrink, by a factor of e: medians over six real
# clips from CRF 18 to 38 (benchmarks/gate_steps.py: 4.7 to 15.8, 7.3 to 12.5). A second retry follows its own points.
LOSS_E_FOLD_CRF = 8.0
SIZE_E_FOLD_CRF = 9.8
# How much a slope between two tries may differ from these before it is taken for noise.
_LEAST_SLOPE, _MOST_SLOPE = 0.4, 2.5
# Retries aim a little beyond the limit: a third encode costs more than the bytes of a third of a VMAF.
_VMAF_TO_SPARE, _SIZE_TO_SPARE = 0.3, 0.97
# Beyond this score models do not tell pictures apart: identical ones have 97 to 100.
_LEAST_LOSS = 0.5
# CRF 0 is lossless for x264, which the profile `high` has not, and 0 means automatic to NVENC.
FINEST = 1.0
_FLAGS = ("-crf:v:0", "-cq:v:0")


class Seen(Value, frozen=True, kw_only=True):
    """What a try showed. ``None``: not known, because it was not asked for, not measured, or it was stopped.

    ``size_ratio`` is its bytes for each of the input's. ``outgrew``: it was, or would have become, too large to pay.
    """

    shift: float
    vmaf: float | None = None
    worst: float | None = None
    size_ratio: float | None = None
    outgrew: bool = False


class Scale(Value, frozen=True, kw_only=True):
    """How far settings can be shifted, by what at least, and how many of these steps are one of x264's CRF."""

    finest: float
    coarsest: float
    step: float
    per_crf: float


class Next(Value, frozen=True, kw_only=True):
    """What follows a miss: another try at ``shift``, or with ``None`` no more. ``why`` is half a sentence."""

    shift: float | None
    why: str


def missed(wish: GateWish, seen: Seen) -> tuple[str, ...]:
    """Return the names of the gates that a try is known not to pass. What is not known is no miss."""
    checks = (
        ("vmaf", _under(seen.vmaf, wish.min_vmaf)),
        ("vmaf_worst", _under(seen.worst, wish.min_vmaf_worst)),
        ("size_ratio", _over(seen.size_ratio, wish.max_size_ratio)),
    )
    return tuple(name for name, is_missed in checks if is_missed)


def _under(value: float | None, limit: float | None) -> bool:
    return value is not None and limit is not None and value < limit


def _over(value: float | None, limit: float | None) -> bool:
    return value is not None and limit is not None and value > limit


def too_coarse(wish: GateWish, seen: Seen) -> bool:
    """Tell whether a try looks worse than was asked."""
    return bool({"vmaf", "vmaf_worst"} & set(missed(wish, seen)))


def too_large(wish: GateWish, seen: Seen) -> bool:
    """Tell whether a try is larger than was asked, or than pays."""
    return seen.outgrew or "size_ratio" in missed(wish, seen)


def next_try(wish: GateWish, tries: Sequence[Seen], scale: Scale) -> Next:
    """Return what follows the last of these tries, which missed. Never beyond the scale, never the same twice."""
    last = tries[-1]
    if too_coarse(wish, last) and too_large(wish, last):
        return Next(shift=None, why="it is too large and not good enough at once, so no setting meets both")
    floor = max((t.shift for t in tries if too_large(wish, t)), default=None)
    ceiling = min((t.shift for t in tries if too_coarse(wish, t)), default=None)
    low = scale.finest if floor is None else floor + scale.step
    high = scale.coarsest if ceiling is None else ceiling - scale.step
    if low > high + 1e-9:
        if floor is not None and ceiling is not None:
            return Next(shift=None, why="no setting between these is both good and small enough")
        return Next(shift=None, why="the encoder's scale ends there")
    if len(tries) > wish.retries:
        return Next(shift=None, why=f"that was all of {_times(wish.retries)}")
    guess = _finer(wish, tries, scale) if too_coarse(wish, last) else _coarser(wish, tries, scale)
    if floor is not None and ceiling is not None and not floor < guess < ceiling:
        guess = (floor + ceiling) / 2
    rounded = math.floor(guess / scale.step + 1e-9) if too_coarse(wish, last) else math.ceil(guess / scale.step - 1e-9)
    why = "it has to look better" if too_coarse(wish, last) else "it has to be smaller"
    return Next(shift=min(max(rounded * scale.step, low), high), why=why)


def _times(retries: int) -> str:
    return {0: "no retries", 1: "one retry"}.get(retries, f"{retries} retries")


def _finer(wish: GateWish, tries: Sequence[Seen], scale: Scale) -> float:
    """Return the shift at which both scores should be met."""
    guesses = []
    for limit, scores in (
        (wish.min_vmaf, [(t.shift, t.vmaf) for t in tries]),
        (wish.min_vmaf_worst, [(t.shift, t.worst) for t in tries]),
    ):
        points = [(shift, math.log(max(100 - score, _LEAST_LOSS))) for shift, score in scores if score is not None]
        if limit is not None and points:
            aim = math.log(max(100 - limit - _VMAF_TO_SPARE, _LEAST_LOSS))
            guesses.append(_follow(points, aim, 1 / (LOSS_E_FOLD_CRF * scale.per_crf)))
    return min(guesses)


def _coarser(wish: GateWish, tries: Sequence[Seen], scale: Scale) -> float:
    """Return the shift at which the size should be met."""
    points = [(t.shift, math.log(t.size_ratio)) for t in tries if t.size_ratio is not None and t.size_ratio > 0]
    if wish.max_size_ratio is None or not points or tries[-1].size_ratio is None:
        return tries[-1].shift + 2 * scale.per_crf  # it outgrew its input, and by how much is not known
    return _follow(points, math.log(wish.max_size_ratio * _SIZE_TO_SPARE), -1 / (SIZE_E_FOLD_CRF * scale.per_crf))


def _follow(points: Sequence[tuple[float, float]], aim: float, usual: float) -> float:
    """Return where a line through the last point meets ``aim``: through the one before too, or with the usual slope."""
    (x, y), slope = points[-1], usual
    other = next((p for p in reversed(points[:-1]) if p[0] != x), None)
    if other is not None:
        found = (y - other[1]) / (x - other[0])
        slope = usual * min(max(found / usual, _LEAST_SLOPE), _MOST_SLOPE)
    return x + (aim - y) / slope


def setting_of(args: Sequence[str]) -> float:
    """Return the CRF or CQ that a command encodes at; it has one."""
    return float(next(args[at + 1] for at, token in enumerate(args) if token in _FLAGS))


def row_of(attempt: Attempt) -> EncoderRow:
    """Return the row of an attempt's encoder."""
    return next(row for row in ENCODERS if row.name == attempt.encoder)


def scale_of(decided: Encode) -> Scale:
    """Return how far the settings of a plan can be shifted: as far as its first encoder's scale goes."""
    first = decided.attempts[0]
    row, setting = row_of(first), setting_of(first.args)
    per_crf = row.crf_max / 51
    step = 1.0 if any(row_of(a).crf_integer for a in decided.attempts) else 0.5
    finest, coarsest = math.ceil((FINEST - setting) / step) * step, math.floor((row.crf_max - setting) / step) * step
    return Scale(finest=min(0.0, finest), coarsest=max(0.0, coarsest), step=step, per_crf=per_crf)


def shifted(decided: Encode, by: float) -> Encode:
    """Return a plan with the quality of all its attempts shifted, each within its encoder's scale."""
    return msgspec.structs.replace(decided, attempts=tuple(_shifted(attempt, by) for attempt in decided.attempts))


def _shifted(attempt: Attempt, by: float) -> Attempt:
    args = list(attempt.args)
    row = row_of(attempt)
    for at, token in enumerate(args):
        if token in _FLAGS:
            setting = float(args[at + 1]) + by
            args[at + 1] = f"{min(max(setting, FINEST), row.crf_max):g}"
    return msgspec.structs.replace(attempt, args=tuple(args))


def best_of(wish: GateWish, tries: Sequence[Seen]) -> int | None:
    """Return which try to deliver where none passed: the best looking of those small enough, else the smallest.

    Tries that were stopped cannot be. ``None``: none can.
    """
    made = [(number, seen) for number, seen in enumerate(tries) if not seen.outgrew]
    if not made:
        return None
    small = [(number, seen) for number, seen in made if not too_large(wish, seen)]
    if not small:
        return min(made, key=lambda one: one[1].size_ratio or math.inf)[0]
    return max(small, key=lambda one: _margin(wish, one[1]))[0]


def _margin(wish: GateWish, seen: Seen) -> float:
    pairs = ((seen.vmaf, wish.min_vmaf), (seen.worst, wish.min_vmaf_worst))
    return min((score - limit for score, limit in pairs if score is not None and limit is not None), default=0.0)
