"""What is told of jobs, in the transactions in which it happens: events, ends, an export's end with its last clip.

Whoever may end or revive a clip holds its export first (:func:`hold_export`), before any row of a job and before the
number of an event: then nobody waits in a circle, and exactly one of the clips that end at once is the last.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from reelpress.jobs.database import encode, lock
from reelpress.jobs.model import UNFINISHED, Job, Status
from reelpress.jobs.reading import get_job
from reelpress.jobs.tables import EVENTS, JOBS

_EVENT_LOCK = 7_205_759_404
_EXPORT_LOCK = 7_205_760  # with a hash of the export
# Told of a job that ends, in the transaction in which it does.
OnEnd = Callable[[Connection, Job], None]


def hold_export(connection: Connection, export_id: str | None) -> None:
    """Let nobody else change an export or its clips until this transaction ends; ``None`` is no export."""
    if export_id is not None:
        lock(connection, _EXPORT_LOCK, of=export_id)


def export_of(job: Job) -> str | None:
    """Return the export that a job belongs to, or is; ``None`` for a job that has to do with none."""
    if job.kind == "export":
        return job.id
    return job.parent if job.kind == "clip" else None


def add_event(connection: Connection, job: str, user_id: str, kind: str, now: float, data: dict[str, Any]) -> None:
    """Note something that happened, in this transaction.

    Numbers are given out in the order in which transactions end: a reader who has seen one will see no smaller one.
    """
    lock(connection, _EVENT_LOCK)
    connection.execute(EVENTS.insert().values(job=job, user_id=user_id, kind=kind, at=now, data=encode(data)))


def tell_end(connection: Connection, job: Job, now: float, on_end: OnEnd) -> Job:
    """Note, in the transaction in which a job ends, that it did, and return it as it is now.

    The last clip of an export to end ends the export; the caller holds it.
    """
    ended = get_job(connection, job.id)
    data: dict[str, Any] = {"status": ended.status}
    if ended.error is not None:
        data["error"] = msgspec.to_builtins(ended.error)
    add_event(connection, job.id, job.user_id, ended.status, now, data)
    on_end(connection, ended)
    if job.kind == "clip" and job.parent is not None:
        settle_export(connection, job.parent, now, on_end)
    return ended


def settle_export(connection: Connection, export_id: str, now: float, on_end: OnEnd) -> None:
    """End an export if it runs and all its clips have ended; the caller holds it."""
    query = sa.select(JOBS.c.status).distinct().where(JOBS.c.parent == export_id, JOBS.c.kind == "clip")
    statuses = set(connection.execute(query).scalars())
    if not statuses or statuses & set(UNFINISHED):
        return
    status = status_of_clips(statuses)
    values: dict[str, Any] = {"status": status, "stage": "finished", "finished_at": now, "updated_at": now}
    if status == "done":
        values["percent"] = 100.0
    runs = JOBS.update().where(JOBS.c.id == export_id, JOBS.c.status == "running")
    if connection.execute(runs.values(**values)).rowcount:
        tell_end(connection, get_job(connection, export_id), now, on_end)


def status_of_clips(statuses: set[str]) -> Status:
    """Return how an export ended whose clips ended so: one that failed counts more than one that was cancelled."""
    if statuses <= {"done"}:
        return "done"
    return "failed" if statuses & {"failed", "dead"} else "cancelled"
