"""The path of a window along one axis: as still as it can be, and where the subject is. Pure.

What was measured goes through a median of five, which takes out single false hits. The path is the one that costs
least, where being away from the subject costs, and so do speed, its change, and the change of that: all as absolute
values, so that a path holds quite still, moves evenly, or changes its speed evenly, and does nothing in between
(Grundmann, Kwatra and Essa: Auto-Directed Video Stabilization with Robust L1 Optimal Camera Paths, CVPR 2011). That
is a linear programme, with the edges of the picture and a limit on speed as hard constraints.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import block_array, csr_array, diags_array, eye_array

from reelpress.errors import ReelpressError
from reelpress.facts.values import Value

Line = NDArray[np.float64]

STEP_S = 0.2  # the keys of a path lie this far apart
_MOST_STEPS = 600  # of one programme; longer shots get a coarser grid
_STILL = 1e-6  # shares of the picture; what the solver leaves below this is no movement


class Manner(Value, frozen=True, kw_only=True):
    """How a path trades nearness for calm. Lengths are shares of the picture's side.

    ``comfort`` is how far the subject may be from the middle at almost no cost. ``calm_s``, ``even_s2`` and
    ``soft_s3`` weigh speed, acceleration and jerk against distance. ``speed_limit`` is in shares of the picture a
    second.

    The weights were searched on human tracks (benchmarks/reframe.py): of those that move no more than 9 px/s and
    accelerate no more than 5 px/s² in a picture 640 px wide, these come closest to where people put a window.
    """

    comfort: float = 0.0
    calm_s: float = 0.75
    even_s2: float = 0.3
    soft_s3: float = 0.1
    speed_limit: float = 0.078  # 150 px/s of a picture 1920 px wide: beyond it a pan is a whip


def median_of_five(values: Sequence[float]) -> list[float]:
    """Return each value replaced by the median of itself and two on either side; at the ends, of those there are."""
    return [float(np.median(values[max(0, i - 2) : i + 3])) for i in range(len(values))]


def solve_path(
    times_s: Sequence[float], places: Sequence[float], weights: Sequence[float], *, start_s: float, end_s: float,
    low: float, high: float, manner: Manner,
) -> list[tuple[float, float]]:  # fmt: skip
    """Return keys (time in seconds, place) of a path from ``start_s`` to ``end_s``, to be joined by straight lines.

    ``places`` is where the subject was seen at ``times_s``, which rise; ``weights`` say how much each counts, 1 for a
    usual one. The path stays between ``low`` and ``high``. Keys that lie on the line between their neighbours are left
    out: a path that holds still has one key.

    Raises :class:`ReelpressError` when the solver fails, which it has no reason to.
    """
    if not places:
        return [(start_s, (low + high) / 2)]
    smooth = np.clip(median_of_five(places), low, high)
    steps = int(np.clip(np.ceil((end_s - start_s) / STEP_S), 1, _MOST_STEPS))
    grid = np.linspace(start_s, end_s, steps + 1)
    if low >= high or np.ptp(smooth) < _STILL:
        return [(start_s, float(np.clip(smooth[0], low, high)))]
    path = _solve(grid, np.asarray(times_s, float), smooth, np.asarray(weights, float), (low, high), manner)
    return thinned([(float(t), float(place)) for t, place in zip(grid, path, strict=True)])


def thinned(keys: list[tuple[float, float]], tolerance: float = 1e-5) -> list[tuple[float, float]]:
    """Return the keys without those that lie within ``tolerance`` on the line through their neighbours."""
    kept, first = [keys[0]], 0
    for last in range(2, len(keys)):
        (t0, p0), (t1, p1) = keys[first], keys[last]
        between = keys[first + 1 : last]
        if any(abs(p0 + (p1 - p0) * (t - t0) / (t1 - t0) - p) > tolerance for t, p in between):
            first = last - 1
            kept.append(keys[first])
    if len(keys) > 1:
        kept.append(keys[-1])
    if all(abs(place - kept[0][1]) <= tolerance for _, place in kept):
        return kept[:1]
    return kept


def _solve(grid: Line, times_s: Line, seen: Line, weights: Line, edges: tuple[float, float], manner: Manner) -> Line:
    n, m, dt = len(grid), len(seen), float(grid[1] - grid[0])
    # where the path is when something was seen, as a mixture of the two keys around it
    at = np.clip((times_s - grid[0]) / dt, 0, n - 1)
    left = np.minimum(at.astype(int), n - 2)
    share, rows = at - left, np.arange(m)
    mixed = csr_array(
        (np.concatenate([1 - share, share]), (np.concatenate([rows, rows]), np.concatenate([left, left + 1]))),
        shape=(m, n),
    )
    changes = [_difference(n, order) for order in (1, 2, 3) if n > order]
    calm = [manner.calm_s, manner.even_s2 / dt, manner.soft_s3 / dt**2]
    # variables: places of the keys, distances of what was seen, those beyond comfort, sizes of all changes
    lengths = [n, m, m, *(change.shape[0] for change in changes)]
    blocks: list[list[csr_array | None]] = []
    limits: list[Line] = []
    for sign in (1, -1):
        for slot, matrix, limit in (
            (1, mixed, sign * seen),
            (2, mixed, sign * seen + manner.comfort),
            *((slot, change, np.zeros(change.shape[0])) for slot, change in enumerate(changes, start=3)),
        ):
            row: list[csr_array | None] = [None] * len(lengths)
            row[0], row[slot] = csr_array(sign * matrix), csr_array(-eye_array(lengths[slot]))
            blocks.append(row)
            limits.append(limit)
    spacing = (grid[-1] - grid[0]) / m
    inside = 0.1 if manner.comfort else 1.0
    cost = np.concatenate([
        np.zeros(n), inside * weights * spacing, (1 - inside) * weights * spacing,
        *(np.full(change.shape[0], calm[k]) for k, change in enumerate(changes)),
    ])  # fmt: skip
    fastest = manner.speed_limit * dt
    bounds = [edges] * n + [(0, None)] * (2 * m) + [(0, fastest)] * lengths[3] + [(0, None)] * sum(lengths[4:])
    done = linprog(
        cost, A_ub=block_array(blocks, format="csr"), b_ub=np.concatenate(limits), bounds=bounds, method="highs"
    )
    if done.x is None:
        raise ReelpressError("The path of a window could not be solved.", evidence=str(done.message)[:200])
    steps = np.diff(done.x[:n])
    steps[np.abs(steps) < _STILL] = 0  # the solver's rounding
    path: Line = np.clip(np.concatenate([[0.0], np.cumsum(steps)]) + done.x[0], *edges)
    return path


def _difference(n: int, order: int) -> csr_array:
    matrix = csr_array(eye_array(n))
    for size in range(n - 1, n - 1 - order, -1):
        ones = np.ones(size)
        matrix = csr_array(diags_array([-ones, ones], offsets=[0, 1], shape=(size, size + 1)) @ matrix)
    return matrix
