"""Sums over numbers that several layers make: quantiles, and the middles of equal parts. Pure."""

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
