"""From where a subject is to a window: one that holds still if that will do, else one that follows. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from reelpress.facts.framing import PathKey, Window, window_shares
from reelpress.facts.values import Value
from reelpress.reframe.path import Manner, median_of_five, solve_path

Line = NDArray[np.float64]

# A window holds still while its subject stays within the middle half of it (after AutoFlip, whose rule that is).
COMFORT = 0.25  # of the window, to either side
_OUTLIERS = 0.05  # of the samples need not be comfortable
_LEAST_TRAVEL = 0.04  # of the window: a path that moves less is none
_FACE_AT = 0.38  # of the window's height: eyes lie at about a third


class Target(Value, frozen=True, kw_only=True):
    """Where a subject is at a time; ``weight`` is how sure that is, 1 for a usual sample."""

    t_s: float
    x: float
    y: float
    weight: float = 1.0


class Placed(Value, frozen=True, kw_only=True):
    """A window, whether it moves, and which share of the targets (by weight) it has within its sides."""

    window: Window
    moves: bool
    held: float


def place(
    targets: Sequence[Target], *, start_s: float, end_s: float, shares: tuple[float, float], zoom: float = 1.0,
    may_move: bool = True, must_move: bool = False,
) -> Placed:  # fmt: skip
    """Return the window of these ``shares`` of the picture that shows the targets best from ``start_s`` to ``end_s``.

    Times of targets and keys are the same clock. Where ``may_move`` is false it holds still whatever is lost;
    ``must_move`` has it follow even a subject that hardly moves.
    """
    times = [target.t_s for target in targets]
    weights = np.array([target.weight for target in targets])
    axes: list[list[tuple[float, float]]] = []
    moves = False
    held = np.ones(len(targets), bool)
    for share, places in zip(shares, ([t.x for t in targets], [t.y for t in targets]), strict=True):
        low, high = share / 2, 1 - share / 2
        keys = [(start_s, 0.5)]
        if share < 1 and places:
            seen = np.clip(median_of_five(places), low, high)
            still = _still_place(seen, weights, share)
            comfortable = _weighed(np.abs(seen - still) <= COMFORT * share + 1e-9, weights) >= 1 - _OUTLIERS
            if not may_move or (comfortable and not must_move):
                keys = [(start_s, still)]
            else:
                manner = Manner(comfort=0.0 if must_move else 0.08 * share)
                keys = solve_path(
                    times, places, [float(weight) for weight in weights], start_s=start_s, end_s=end_s,
                    low=low, high=high, manner=manner,
                )  # fmt: skip
                if not must_move and _travel(keys) < _LEAST_TRAVEL * share:
                    keys = [(start_s, float(np.median([at for _, at in keys])))]
            moves = moves or len(keys) > 1
            at = np.interp(times, [t for t, _ in keys], [p for _, p in keys])
            held &= np.abs(np.array(places) - at) <= share / 2
        axes.append(keys)
    return Placed(
        window=Window(path=_joined(*axes), zoom=round(zoom, 4)), moves=moves,
        held=_weighed(held, weights) if targets else 0.0,
    )  # fmt: skip


def shares_of(display_aspect: float, aspect: float, zoom: float = 1.0) -> tuple[float, float]:
    """Return width and height of a window as shares of the picture, never more than all of it."""
    width, height = window_shares(display_aspect, aspect, zoom)
    return min(1.0, width), min(1.0, height)


def head_room(face_y: float, height_share: float) -> float:
    """Return where the middle of a window is that has a face in its upper part."""
    return face_y + (0.5 - _FACE_AT) * height_share


def _still_place(seen: Line, weights: Line, share: float) -> float:
    """Return the usual place, moved as little as has all but outliers in comfort, if that can be."""
    order = np.argsort(seen)
    mass = np.cumsum(weights[order]) / weights.sum()
    usual = float(seen[order][np.searchsorted(mass, 0.5)])
    first = float(seen[order][np.searchsorted(mass, _OUTLIERS / 2)])
    last = float(seen[order][min(len(seen) - 1, int(np.searchsorted(mass, 1 - _OUTLIERS / 2)))])
    lowest, highest = last - COMFORT * share, first + COMFORT * share
    return float(np.clip(usual, lowest, highest)) if lowest <= highest else usual


def _weighed(true: NDArray[np.bool_], weights: Line) -> float:
    return float((true * weights).sum() / weights.sum())


def _travel(keys: Sequence[tuple[float, float]]) -> float:
    places = [place for _, place in keys]
    return max(places) - min(places)


def _joined(across: Sequence[tuple[float, float]], down: Sequence[tuple[float, float]]) -> tuple[PathKey, ...]:
    times = sorted({t for keys in (across, down) if len(keys) > 1 for t, _ in keys}) or [across[0][0]]
    xs = np.interp(times, [t for t, _ in across], [p for _, p in across])
    ys = np.interp(times, [t for t, _ in down], [p for _, p in down])
    return tuple(
        PathKey(t_s=round(t, 4), x=round(float(x), 5), y=round(float(y), 5))
        for t, x, y in zip(times, xs, ys, strict=True)
    )
