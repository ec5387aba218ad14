"""Which job a worker gets: the one whose turn it is, once, with a fence by which everything it writes is known.

Jobs under which too many workers died are parked on the way.
"""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from reelpress.errors import ReelpressError
from reelpress.facts.values import Value
from reelpress.jobs.database import Database, encode, lock
from reelpress.jobs.model import Job, JobError
from reelpress.jobs.reading import get_job, row_to_job
from reelpress.jobs.spending import budget_now
from reelpress.jobs.tables import JOBS, TURNS, WORKERS
from reelpress.jobs.telling import OnEnd, add_event, export_of, hold_export, tell_end
from reelpress.observe.budget import Budget

_CLAIM_LOCK = 7_205_759_405
# No job that was given back waits longer; who seems to has a clock that was set back since.
_LONGEST_DELAY_S = 60.0


class FencedOff(ReelpressError):  # noqa: N818 - it is what happened
    """This claim is no longer in force: somebody else has the job, or it ended."""

    code = "fenced_off"


class Claim(Value, frozen=True, kw_only=True):
    """A worker's right to work on a job. ``cpu_only`` says why no GPU may be used for it, where none may.

    ``trace`` is the ``traceparent`` of the request that submitted it.
    """

    job: Job
    fence: int
    worker: str
    cpu_only: str | None = None
    trace: str | None = None

    @property
    def workflow_id(self) -> str:
        """The durable workflow of this run of the job."""
        return f"{self.job.id}.{self.job.run}"


def claim_next(
    database: Database,
    worker: str,
    *,
    now: float,
    max_attempts: int,
    global_limit: int | None = None,
    only: str | None = None,
    budget: Budget | None = None,
    on_end: OnEnd = lambda _connection, _job: None,
) -> Claim | None:
    """Take the job whose turn it is, or ``only`` that one if it is queued; ``None`` where there is none to take.

    Jobs under which ``max_attempts`` workers died are parked as ``dead`` on the way. Where a ``budget`` that is spent
    says so, nothing is taken, or no GPU is to be used.
    """
    if only is None:
        with database.reading() as connection:
            if connection.execute(_candidates(now).limit(1)).first() is None or _is_paused(connection, budget, now):
                return None
    while True:
        found = _claim(database, worker, now, max_attempts, global_limit, only, budget)
        if not isinstance(found, Job):
            return found
        _park(database, found, now, max_attempts, on_end)


def _claim(
    database: Database, worker: str, now: float, max_attempts: int, global_limit: int | None, only: str | None,
    budget: Budget | None,
) -> Claim | Job | None:  # fmt: skip
    """Return what was taken, or a job that is to be parked."""
    with database.writing() as connection:
        alive = sa.select(WORKERS.c.id).where(WORKERS.c.id == worker, WORKERS.c.dead_at.is_(None))
        if connection.execute(alive).first() is None:
            raise FencedOff("This worker was taken for dead.", evidence=worker)
        if global_limit is not None:
            lock(connection, _CLAIM_LOCK)
            running = sa.select(sa.func.count()).where(JOBS.c.status == "running", JOBS.c.queue != "none")
            if connection.execute(running).scalar_one() >= global_limit:
                return None
        named = sa.select(JOBS).where(JOBS.c.id == only, JOBS.c.status == "queued")
        query = (_candidates(now) if only is None else named).limit(1)
        row = connection.execute(query.with_for_update(skip_locked=True)).mappings().one_or_none()
        if row is None:
            return None
        state = budget_now(connection, budget, now)
        if state is not None and state.action == "pause":
            return None
        if row["attempts"] < max_attempts:
            claim = _take(connection, row, worker, now)
            if state is None or state.action != "cpu":
                return claim
            return msgspec.structs.replace(claim, cpu_only=state.text)
        # in a transaction of its own: its export is held before its row, and events are numbered last
        return row_to_job(row)


def _is_paused(connection: Connection, budget: Budget | None, now: float) -> bool:
    state = budget_now(connection, budget, now)
    return state is not None and state.action == "pause"


def _candidates(now: float) -> sa.Select[Any]:
    is_due = sa.or_(JOBS.c.not_before <= now, JOBS.c.not_before > now + _LONGEST_DELAY_S)
    queued = sa.select(JOBS).where(JOBS.c.status == "queued", JOBS.c.queue == "pull", is_due)
    return queued.order_by(JOBS.c.priority, JOBS.c.turn, JOBS.c.created_at)


def _take(connection: Connection, row: Any, worker: str, now: float) -> Claim:  # noqa: ANN401 - a row of the table
    values = {
        "status": "running", "worker": worker, "fence": row["fence"] + 1, "attempts": row["attempts"] + 1,
        "started_at": row["started_at"] or now, "updated_at": now,
    }  # fmt: skip
    connection.execute(JOBS.update().where(JOBS.c.id == row["id"]).values(**values))
    connection.execute(TURNS.update().where(TURNS.c.served < row["turn"]).values(served=row["turn"]))
    data = {"worker": worker, "attempt": row["attempts"] + 1}
    add_event(connection, row["id"], row["user_id"], "started", now, data)
    job = get_job(connection, row["id"])
    return Claim(job=job, fence=row["fence"] + 1, worker=worker, trace=row["trace"])


def _park(database: Database, seen: Job, now: float, max_attempts: int, on_end: OnEnd) -> None:
    with database.writing() as connection:
        hold_export(connection, export_of(seen))
        still = sa.and_(JOBS.c.id == seen.id, JOBS.c.status == "queued", JOBS.c.attempts >= max_attempts)
        row = connection.execute(sa.select(JOBS).where(still).with_for_update()).mappings().one_or_none()
        if row is None:
            return
        job = row_to_job(row)
        last = job.stages[-1].stage if job.stages else job.stage
        error = JobError(
            code="workers_died",
            text=f"{job.attempts} workers died while they worked on this job, the last in {last}.",
            hint="Look at the workers' logs and memory; then retry the job.", retryable=True,
        )  # fmt: skip
        values = {"status": "dead", "error": encode(error), "finished_at": now, "updated_at": now, "worker": None}
        connection.execute(JOBS.update().where(JOBS.c.id == job.id).values(**values))
        tell_end(connection, job, now, on_end)
