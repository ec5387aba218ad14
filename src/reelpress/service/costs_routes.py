"""``/v1/costs``: what jobs cost, and how the budget stands."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from reelpress.facts.values import Value
from reelpress.jobs.ledger import lines
from reelpress.jobs.spending import budget_now
from reelpress.observe.budget import BudgetState
from reelpress.observe.cost import By, CostReport, cost_report
from reelpress.service.access import HouseOf, Reader
from reelpress.service.answers import answer, documented

router = APIRouter(prefix="/v1/costs", tags=["costs"])
_LATEST = 253_402_300_799.0  # the end of the year 9999
_DEFAULT_S = 7 * 86_400.0


class Costs(Value, frozen=True, kw_only=True):
    """What jobs cost; ``budget`` is for callers who see everything, and ``null`` where there is none."""

    report: CostReport
    budget: BudgetState | None


@router.get("", response_class=Response, responses=documented({200: ("What jobs cost.", Costs)}))
def read_costs(
    caller: Reader,
    house: HouseOf,
    since: Annotated[
        float | None, Query(ge=0, le=_LATEST, description="Jobs that ended from then on; 7 days ago if left out.")
    ] = None,
    until: Annotated[float | None, Query(ge=0, le=_LATEST, description="And before then; now if left out.")] = None,
    by: Annotated[By, Query(description="What each line adds up.")] = "day",
    user: Annotated[str | None, Query(pattern="^[^\\x00-\\x1f]{1,128}$", description="One user's; for admin.")] = None,
) -> Response:
    """Add up what jobs cost: everybody's for admin, else the caller's own. Times are seconds since 1970."""
    now = time.time()
    start = since if since is not None else (now if until is None else until) - _DEFAULT_S
    sees = user if caller.sees is None else caller.sees
    with house.database.reading() as connection:
        found = (entry for _, entry in lines(connection, since=start, until=until, user_id=sees))
        report = cost_report(found, by=by, since=start, until=until)
        budget = budget_now(connection, house.settings.budget, now) if caller.sees is None else None
    return answer(Costs(report=report, budget=budget))
