"""A budget: what may be spent in a day or a month, how far that is used up, and what follows from it. Pure.

Whatever follows, no job that runs is stopped: a budget decides about the next ones. So more than the budget can be
spent, by what was running when it was used up.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

from reelpress.facts.values import Value

Window = Literal["day", "month"]
Action = Literal["alert", "cpu", "pause"]
# Shares of the budget at which somebody is told; reelpress_budget_state counts them.
STEPS = (0.5, 0.8, 1.0, 1.2)
_SPENT, _OVERRUN = 3, 4
_SEVERITY: dict[Action, int] = {"alert": 0, "cpu": 1, "pause": 2}


class Budget(Value, frozen=True, kw_only=True):
    """What may be spent in a window, in USD, what is done at 100 % of it, and what at 120 %."""

    amount_usd: float
    window: Window = "month"
    at_100: Action = "alert"
    at_120: Action = "alert"


class BudgetState(Value, frozen=True, kw_only=True):
    """How a budget stands. ``state`` is the number of steps reached: 1 from 50 %, 2 from 80, 3 from 100, 4 from 120.

    ``action`` is what holds now; ``period`` is the day or month, ``until`` its end in seconds since 1970.
    """

    amount_usd: float
    spent_usd: float
    window: Window
    period: str
    until: float
    state: int
    action: Action | None

    @property
    def share(self) -> float:
        """What part of the budget is spent; 1 is all of it."""
        return self.spent_usd / self.amount_usd if self.amount_usd else float("inf")

    @property
    def text(self) -> str:
        """The state in one sentence."""
        return f"{self.spent_usd:.4g} of {self.amount_usd:.4g} USD for {self.period} are spent ({self.share:.0%})."

    @property
    def holds(self) -> str | None:
        """Why queued jobs wait; ``None`` while they do not."""
        if self.action != "pause":
            return None
        end = datetime.fromtimestamp(self.until, UTC).strftime("%Y-%m-%d %H:%M UTC")
        return f"The budget is spent: {self.text} Jobs wait until {end}, or for a higher budget."


def budget_state(budget: Budget, spent_usd: float, now: float) -> BudgetState:
    """Return how a budget stands at ``now``, seconds since 1970, with so much spent in its period."""
    share = spent_usd / budget.amount_usd if budget.amount_usd else float("inf")
    state = sum(share >= step for step in STEPS)
    # 120 % never allows what 100 % forbids
    overrun = max(budget.at_100, budget.at_120, key=lambda action: _SEVERITY[action])
    action = overrun if state >= _OVERRUN else budget.at_100 if state >= _SPENT else None
    period, until = period_of(budget.window, now)
    return BudgetState(
        amount_usd=budget.amount_usd, spent_usd=spent_usd, window=budget.window, period=period, until=until,
        state=state, action=action,
    )  # fmt: skip


def period_of(window: Window, at: float) -> tuple[str, float]:
    """Return the day or month, UTC, that a moment is in, and when it ends; both moments in seconds since 1970."""
    moment = datetime.fromtimestamp(at, UTC)
    if window == "day":
        start = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        return moment.strftime("%Y-%m-%d"), (start + timedelta(days=1)).timestamp()
    start = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return moment.strftime("%Y-%m"), (start + timedelta(days=32)).replace(day=1).timestamp()


def periods_of(at: float) -> tuple[str, str]:
    """Return the day and the month, UTC, that a moment in seconds since 1970 is in."""
    return period_of("day", at)[0], period_of("month", at)[0]
