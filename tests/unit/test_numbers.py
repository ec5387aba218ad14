"""Sums over numbers: quantiles."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelpress.facts.numbers import quantile

VALUES = st.lists(st.floats(min_value=0.001, max_value=1e6), min_size=1, max_size=200)


@given(VALUES, st.sampled_from([0.01, 0.05, 0.5, 0.95, 0.99]))
def test_quantiles_are_exact(values: list[float], share: float) -> None:
    assert quantile(sorted(values), share) == pytest.approx(float(np.quantile(values, share)), rel=1e-9)


def test_quantiles_are_those_of_the_standard_library() -> None:
    values = [5.0, 1.0, 9.0, 2.0, 7.0]
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    found = [quantile(sorted(values), share) for share in (0.5, 0.95, 0.99)]
    assert found == pytest.approx([cuts[49], cuts[94], cuts[98]])
