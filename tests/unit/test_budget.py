"""A budget's steps and what follows from them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelpress.observe.budget import Budget, budget_state, period_of, periods_of

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("spent", "state"), [(0, 0), (49.99, 0), (50, 1), (79.99, 1), (80, 2), (99.99, 2), (100, 3), (119, 3), (120, 4)]
)
def test_steps_are_reached_at_their_share(spent: float, state: int) -> None:
    assert budget_state(Budget(amount_usd=100), spent, NOW).state == state


@pytest.mark.parametrize(
    ("at_100", "at_120", "spent", "action"),
    [
        ("pause", "pause", 99.0, None), ("alert", "alert", 200.0, "alert"), ("cpu", "alert", 100.0, "cpu"),
        ("cpu", "pause", 100.0, "cpu"), ("cpu", "pause", 120.0, "pause"), ("pause", "alert", 120.0, "pause"),
    ],
)  # fmt: skip
def test_the_stricter_action_holds(at_100, at_120, spent, action) -> None:
    state = budget_state(Budget(amount_usd=100, at_100=at_100, at_120=at_120), spent, NOW)
    assert state.action == action
    assert (state.holds is not None) == (action == "pause")


def test_a_hold_says_until_when() -> None:
    state = budget_state(Budget(amount_usd=1, at_100="pause"), 2.0, NOW)
    assert "2026-12-01 00:00 UTC" in (state.holds or "")
    day = budget_state(Budget(amount_usd=1, window="day", at_100="pause"), 2.0, NOW)
    assert "2026-11-23 00:00 UTC" in (day.holds or "")


@given(st.floats(min_value=0, max_value=4e9))
def test_a_moment_is_in_one_period_that_ends_after_it_and_begins_the_next(at: float) -> None:
    for window in ("day", "month"):
        period, until = period_of(window, at)
        assert until > at
        assert period_of(window, until)[0] > period
        assert period_of(window, until - 1)[0] == period
    assert periods_of(at)[0].startswith(periods_of(at)[1])
