"""What callers do to jobs that there are: cancel them, ask for them again. Each is one transaction."""

from __future__ import annotations

from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from reelpress.jobs.database import Database
from reelpress.jobs.model import FINISHED, UNFINISHED, Job, Status
from reelpress.jobs.reading import find_job, get_job, row_to_job
from reelpress.jobs.submission import JobRefused, hold_user, last_turn, owned
from reelpress.jobs.tables import JOBS
from reelpress.jobs.telling import OnEnd, add_event, export_of, hold_export, tell_end


def cancel(
    database: Database,
    job_id: str,
    *,
    now: float,
    user_id: str | None = None,
    on_end: OnEnd = lambda _connection, _job: None,
) -> Job:
    """Cancel a job at once if nobody works on it, else ask its worker to stop; a finished one stays as it is.

    Of an export, every clip. Raises :class:`JobRefused` ``not_found``.
    """
    with database.writing() as connection:
        job = _held(connection, job_id, user_id)
        if job.kind != "export":
            return _cancel(connection, job, now, on_end)
        # rows first, all of them, and then events: see telling.py
        for row in connection.execute(_clips(job_id, UNFINISHED)).mappings().all():
            _cancel(connection, row_to_job(row), now, on_end)
        return get_job(connection, job_id)


def _cancel(connection: Connection, job: Job, now: float, on_end: OnEnd) -> Job:
    if job.status == "queued":
        values = {"status": "cancelled", "finished_at": now, "updated_at": now, "cancel_requested": 1}
        connection.execute(JOBS.update().where(JOBS.c.id == job.id).values(**values))
        return tell_end(connection, job, now, on_end)
    if job.status == "running" and not job.cancel_requested:
        connection.execute(JOBS.update().where(JOBS.c.id == job.id).values(cancel_requested=1, updated_at=now))
        add_event(connection, job.id, job.user_id, "cancel_requested", now, {})
    return get_job(connection, job.id)


def retry(
    database: Database, job_id: str, *, now: float, user_id: str | None = None, queue: Literal["pull", "push"] = "pull"
) -> Job:
    """Do a finished job again, from its beginning, under the same id; of an export, every clip that is not done.

    Any worker may take it, whether it was pushed or not; ``queue`` ``push`` is for who pushes it again with this call.

    Raises :class:`JobRefused`: ``not_found``; ``not_finished`` and ``done``, for which there is nothing to do again.
    """
    with database.writing() as connection:
        job = _held(connection, job_id, user_id)
        export_id = export_of(job)
        if job.kind == "export":
            if job.status == "draft":
                raise JobRefused("not_finished", "The export is a draft.", hint="Start it.")
            undone = tuple(status for status in FINISHED if status != "done")
            rows = connection.execute(_clips(job_id, undone)).mappings().all()
            again = [row_to_job(row) for row in sorted(rows, key=lambda row: int(row["turn"]))]
        elif job.status in UNFINISHED:
            raise JobRefused("not_finished", f"The job is {job.status}.", hint="Wait for it, or cancel it.")
        elif job.status == "done":
            raise JobRefused("done", "The job is done.", hint="Submit it anew with reuse off to encode again.")
        else:
            again = [job]
        revived = bool(again) and export_id is not None and _revive(connection, export_id, now)
        hold_user(connection, job.user_id)
        turn = last_turn(connection, job.user_id)  # the old ones would go before everybody else's
        for number, one in enumerate(again, 1):
            _again(connection, one, now, queue, turn + number)
        for one in again:
            add_event(connection, one.id, one.user_id, "retried", now, {"run": one.run + 1})
        if revived and export_id is not None:
            export = get_job(connection, export_id)
            add_event(connection, export_id, export.user_id, "retried", now, {"run": export.run})
        return get_job(connection, job_id)


def _again(connection: Connection, job: Job, now: float, queue: str, turn: int) -> None:
    values: dict[str, Any] = {
        "status": "queued", "stage": "queued", "percent": 0.0, "run": job.run + 1, "attempts": 0, "worker": None,
        "queue": queue, "turn": turn, "not_before": 0.0, "started_at": None, "finished_at": None, "updated_at": now,
        "cancel_requested": 0, "eta_s": None, "speed": None, "result": None, "error": None, "receipt": None,
        "stages": "[]", "details": None,
    }  # fmt: skip
    connection.execute(JOBS.update().where(JOBS.c.id == job.id).values(**values))


def _revive(connection: Connection, export_id: str, now: float) -> bool:
    """Let an export go on if it had ended: it will end again, and that is told again."""
    ended = JOBS.update().where(JOBS.c.id == export_id, JOBS.c.status.in_(FINISHED))
    values: dict[str, Any] = {"status": "running", "stage": "queued", "run": JOBS.c.run + 1, "finished_at": None}
    return bool(connection.execute(ended.values(**values, percent=0.0, updated_at=now)).rowcount)


def _held(connection: Connection, job_id: str, user_id: str | None) -> Job:
    """Return a job as :func:`owned` does, with its export held before."""
    seen = find_job(connection, job_id)
    if seen is not None:
        hold_export(connection, export_of(seen))
    return owned(connection, job_id, user_id)


def _clips(export_id: str, statuses: tuple[Status, ...]) -> sa.Select[Any]:
    query = sa.select(JOBS).where(JOBS.c.parent == export_id, JOBS.c.kind == "clip", JOBS.c.status.in_(statuses))
    return query.order_by(JOBS.c.id).with_for_update()
