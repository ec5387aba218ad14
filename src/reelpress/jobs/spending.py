"""The budget at work: how it stands by the ledger, who is told of its steps, and what it keeps queued jobs from.

What was spent is added up in the transaction in which a job ends, so every process sees the same, also after a restart.
A step is told in that transaction, too: once for a period and an amount, whosever job it was that reached it.
"""

from __future__ import annotations

import logging
import time

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from reelpress.facts.values import to_plain
from reelpress.jobs.database import encode
from reelpress.jobs.ledger import spent_usd
from reelpress.jobs.model import Job
from reelpress.jobs.tables import BUDGET_STEPS, WEBHOOKS
from reelpress.jobs.telling import add_event
from reelpress.observe.budget import STEPS, Budget, BudgetState, budget_state, period_of
from reelpress.webhooks.outbox import add

_LOG = logging.getLogger("reelpress.jobs")
# What is told of the service and not of a job: only who may see everything sees it, and it is signed with the secret
# of the user that the operator is on the machine itself.
OPERATOR = "local"


def budget_now(connection: Connection, budget: Budget | None, now: float) -> BudgetState | None:
    """Return how a budget stands at ``now``, seconds since 1970; ``None`` without one."""
    if budget is None:
        return None
    period, _ = period_of(budget.window, now)
    return budget_state(budget, spent_usd(connection, period), now)


def tell_budget(connection: Connection, budget: Budget | None, webhook_url: str | None, *, now: float) -> None:
    """Tell of the highest step that is reached, unless it was told of: an event, a line in the log, a webhook.

    To be called where something was spent, in the same transaction.
    """
    state = budget_now(connection, budget, now)
    if state is None or state.state == 0:
        return
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    is_new = False
    for step in range(1, state.state + 1):
        row = {"period": state.period, "amount_usd": state.amount_usd, "step": step, "at": now}
        told = insert(BUDGET_STEPS).values(row).on_conflict_do_nothing().returning(BUDGET_STEPS.c.step)
        is_new = connection.execute(told).first() is not None  # in the end, of the highest
    if not is_new:
        return
    data = {"step_percent": round(STEPS[state.state - 1] * 100), **to_plain(state), "text": state.text}
    add_event(connection, "", "", "budget", now, data)
    _LOG.warning("budget: %s%s", state.text, f" From now on: {state.action}." if state.action else "")
    if webhook_url is not None:
        kind = "budget.step"
        # no dots: what is signed is put together with them
        event_id = f"evt_budget_{state.period}_{round(state.amount_usd * 100)}_{state.state}"
        timestamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
        add(
            connection, WEBHOOKS, event_id=event_id, user_id=OPERATOR, job_id=None, url=webhook_url, kind=kind,
            payload=encode({"type": kind, "timestamp": timestamp, "data": data}), now=now,
        )  # fmt: skip


def explained(connection: Connection, jobs: list[Job], budget: Budget | None, *, now: float) -> list[Job]:
    """Return jobs that say of themselves that they wait for a budget, where they do."""
    if budget is None or not any(job.status == "queued" for job in jobs):
        return jobs
    state = budget_now(connection, budget, now)
    holds = state.holds if state is not None else None
    return [msgspec.structs.replace(job, waits_for=holds) if job.status == "queued" else job for job in jobs]


def steps_told(connection: Connection, period: str) -> list[tuple[float, int]]:
    """Return the steps that were told of in a period: amount of the budget in USD, and number of the step."""
    query = sa.select(BUDGET_STEPS.c.amount_usd, BUDGET_STEPS.c.step).where(BUDGET_STEPS.c.period == period)
    rows = connection.execute(query.order_by(BUDGET_STEPS.c.amount_usd, BUDGET_STEPS.c.step))
    return [(row.amount_usd, row.step) for row in rows]
