"""Jobs whose last delivery has failed: a queue that gives a task up says nothing, so the job says it."""

from __future__ import annotations

import sqlalchemy as sa

from reelpress.jobs.database import Database, encode
from reelpress.jobs.model import Job, JobError
from reelpress.jobs.reading import get_job, row_to_job
from reelpress.jobs.tables import JOBS
from reelpress.jobs.telling import OnEnd, add_event, tell_end


def park_undelivered(database: Database, job_id: str, *, deliveries: int, now: float, on_end: OnEnd) -> Job:
    """Park a job as dead if it waits, or failed in passing, and nobody will deliver it again; return it as it is then.

    A job that runs goes on, and one that has ended otherwise stays as it is.
    """
    with database.writing() as connection:
        waiting = sa.and_(JOBS.c.id == job_id, JOBS.c.status.in_(("queued", "failed")))
        row = connection.execute(sa.select(JOBS).where(waiting).with_for_update()).mappings().one_or_none()
        if row is None:
            return get_job(connection, job_id)
        job = row_to_job(row)
        before = job.error.text if job.error is not None else "No instance had room for it."
        error = JobError(
            code="deliveries_spent", text=f"Given up after {deliveries} deliveries. {before}", retryable=True,
            evidence=job.error.evidence if job.error is not None else None,
            hint="Mend what it says, then retry the job.",
        )  # fmt: skip
        values = {"status": "dead", "error": encode(error), "finished_at": now, "updated_at": now, "worker": None}
        connection.execute(JOBS.update().where(JOBS.c.id == job.id).values(**values))
        if job.status == "queued":
            return tell_end(connection, job, now, on_end)
        # its end was told when it failed
        add_event(connection, job.id, job.user_id, "dead", now, {"status": "dead", "deliveries": deliveries})
        return get_job(connection, job_id)
