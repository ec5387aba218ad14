"""Sums over numbers: quantiles, middles of parts, fits that never rise."""

from __future__ import annotations

import itertools
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelpress.facts.numbers import middles, never_rising, quantile
from reelpress.facts.quality import spread_windows

VALUES = st.lists(st.floats(min_value=0.001, max_value=1e6), min_size=1, max_size=200)


@given(VALUES, st.sampled_from([0.01, 0.05, 0.5, 0.95, 0.99]))
def test_quantiles_are_exact(values: list[float], share: float) -> None:
    assert quantile(sorted(values), share) == pytest.approx(float(np.quantile(values, share)), rel=1e-9)


def test_quantiles_are_those_of_the_standard_library() -> None:
    values = [5.0, 1.0, 9.0, 2.0, 7.0]
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    found = [quantile(sorted(values), share) for share in (0.5, 0.95, 0.99)]
    assert found == pytest.approx([cuts[49], cuts[94], cuts[98]])


def test_middles_are_as_far_from_each_other_as_twice_from_the_ends() -> None:
    assert middles(12.0, 3) == [2.0, 6.0, 10.0]
    assert middles(5.0, 1) == [2.5]


def test_windows_lie_in_the_middles_of_equal_parts() -> None:
    windows = spread_windows(20.0, 3, 2.0)
    assert [(window.start_s, window.duration_s) for window in windows] == [(2.333, 2.0), (9.0, 2.0), (15.667, 2.0)]


@given(VALUES)
def test_a_fit_never_rises_and_keeps_the_sum(values: list[float]) -> None:
    fitted = never_rising(values)
    assert len(fitted) == len(values)
    assert all(after <= before * (1 + 1e-12) for before, after in itertools.pairwise(fitted))
    assert sum(fitted) == pytest.approx(sum(values))


def test_a_value_pulls_by_its_weight() -> None:
    assert never_rising([90.0, 94.0, 80.0]) == [92.0, 92.0, 80.0]
    assert never_rising([90.0, 94.0, 80.0], [3, 1, 1]) == [91.0, 91.0, 80.0]
    assert never_rising([]) == []
