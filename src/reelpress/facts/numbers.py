"""Sums over numbers that several layers make: quantiles, the middles of equal parts, fits that never rise. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the exact quantile of values in rising order, between two of them by their distance.

    As NumPy's default and ``statistics.quantiles(method="inclusive")``; of one value it is that value. ``share`` is 0
    to 1, and there is at least one value.
    """
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def middles(length: float, parts: int) -> list[float]:
    """Return the middles of so many equal parts of a length, in rising order."""
    return [length * (number + 0.5) / parts for number in range(parts)]


def never_rising(values: Sequence[float], weights: Sequence[float] = ()) -> list[float]:
    """Return values as near to these as can be that never rise from one to the next; ``weights`` are 1 if not given.

    Pool adjacent violators (Ayer and others 1955), which is least squares under that condition.
    """
    pools: list[tuple[float, float, int]] = []  # sum, weight, how many
    for value, weight in zip(values, weights or [1] * len(values), strict=True):
        pools.append((value * weight, weight, 1))
        while len(pools) > 1 and pools[-1][0] / pools[-1][1] > pools[-2][0] / pools[-2][1]:
            last, before = pools.pop(), pools.pop()
            pools.append((before[0] + last[0], before[1] + last[1], before[2] + last[2]))
    return [total / weight for total, weight, count in pools for _ in range(count)]
