"""What callers do to jobs: submit, cancel, ask again. Each is one transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from reelpress.errors import ReelpressError
from reelpress.facts.values import Value
from reelpress.jobs.database import Database, encode, lock
from reelpress.jobs.model import PRIORITIES, UNFINISHED, Job, JobSpec, Priority, new_id
from reelpress.jobs.reading import get_job, row_to_job
from reelpress.jobs.tables import EVENTS, JOBS, TURNS

_EVENT_LOCK = 7_205_759_404
_USER_LOCK = 7_205_759  # with a hash of the user
# Told of a job that ends, in the transaction in which it does.
OnEnd = Callable[[Connection, Job], None]


class JobRefused(ReelpressError):  # noqa: N818 - the error tree's names say what happened
    """A job was not taken, or cannot be changed as was asked. ``code`` is one stable word."""

    def __init__(self, code: str, what: str, *, evidence: str | None = None, hint: str | None = None) -> None:
        super().__init__(what, evidence=evidence, hint=hint)
        self.code = code


class Submission(Value, frozen=True, kw_only=True):
    """The job, and whether this call made it."""

    job: Job
    is_new: bool


def submit(
    database: Database,
    spec: JobSpec,
    *,
    user_id: str,
    now: float,
    priority: Priority = "normal",
    idempotency_key: str | None = None,
    origin: Literal["api", "push"] = "api",
    max_queued: int = 1 << 31,
) -> Submission:
    """Put a job into the queue; the same key of the same user finds the job that is there.

    Users take turns: a job's turn is one after its user's last, or after the turn served last if that is later. So a
    thousand jobs of one user do not keep one of another waiting, and who was away gets nothing extra for it
    (start-time fair queuing; Goyal, Vin, Cheng, 1996).

    Raises :class:`JobRefused`: ``key_reused`` for a key that stands for another request, ``queue_full``.
    """
    spec_hash = hashlib.sha256(encode(spec).encode()).hexdigest()
    try:
        with database.writing() as connection:
            # or jobs submitted at once would share a turn, and overfill the queue
            lock(connection, _USER_LOCK, of=user_id)
            found = _by_key(connection, user_id, idempotency_key, spec_hash)
            if found is not None:
                return Submission(job=found, is_new=False)
            mine = sa.and_(JOBS.c.user_id == user_id, JOBS.c.status.in_(UNFINISHED))
            count, last = connection.execute(sa.select(sa.func.count(), sa.func.max(JOBS.c.turn)).where(mine)).one()
            if count >= max_queued:
                raise JobRefused(
                    "queue_full", "There are too many unfinished jobs.", evidence=f"{count} of {max_queued}",
                    hint="Wait until some are done.",
                )  # fmt: skip
            served = connection.execute(sa.select(TURNS.c.served)).scalar_one()
            values: dict[str, Any] = {
                "id": new_id("job", now), "user_id": user_id, "status": "queued", "stage": "queued", "percent": 0.0,
                "priority": PRIORITIES.index(priority), "turn": max(last or 0, served) + 1, "origin": origin,
                "queue": "push" if origin == "push" else "pull", "run": 1,
                "fence": 0, "attempts": 0, "idempotency_key": idempotency_key, "spec_hash": spec_hash,
                "spec": encode(spec), "created_at": now, "not_before": 0.0, "updated_at": now, "cancel_requested": 0,
                "stages": "[]",
            }  # fmt: skip
            connection.execute(JOBS.insert().values(**values))
            add_event(connection, values["id"], user_id, "queued", now, {"priority": priority})
            return Submission(job=get_job(connection, values["id"]), is_new=True)
    except IntegrityError:  # another process took the same key meanwhile
        with database.reading() as connection:
            found = _by_key(connection, user_id, idempotency_key, spec_hash)
        if found is None:
            raise
        return Submission(job=found, is_new=False)


def cancel(
    database: Database,
    job_id: str,
    *,
    now: float,
    user_id: str | None = None,
    on_end: OnEnd = lambda _connection, _job: None,
) -> Job:
    """Cancel a job at once if nobody works on it, else ask its worker to stop; a finished one stays as it is.

    Raises :class:`JobRefused` ``not_found``.
    """
    with database.writing() as connection:
        job = owned(connection, job_id, user_id)
        if job.status == "queued":
            values = {"status": "cancelled", "finished_at": now, "updated_at": now, "cancel_requested": 1}
            connection.execute(JOBS.update().where(JOBS.c.id == job_id).values(**values))
            return tell_end(connection, job, now, on_end)
        if job.status == "running" and not job.cancel_requested:
            connection.execute(JOBS.update().where(JOBS.c.id == job_id).values(cancel_requested=1, updated_at=now))
            add_event(connection, job_id, job.user_id, "cancel_requested", now, {})
        return get_job(connection, job_id)


def retry(database: Database, job_id: str, *, now: float, user_id: str | None = None) -> Job:
    """Do a finished job again, from its beginning, under the same id.

    Whoever pushed it has had an answer and will not push it again, so that any worker may take it.

    Raises :class:`JobRefused`: ``not_found``; ``not_finished`` and ``done``, for which there is nothing to do again.
    """
    with database.writing() as connection:
        job = owned(connection, job_id, user_id)
        if job.status in UNFINISHED:
            raise JobRefused("not_finished", f"The job is {job.status}.", hint="Wait for it, or cancel it.")
        if job.status == "done":
            raise JobRefused("done", "The job is done.", hint="Submit it anew with reuse off to encode again.")
        values: dict[str, Any] = {
            "status": "queued", "stage": "queued", "percent": 0.0, "run": job.run + 1, "attempts": 0, "worker": None,
            "queue": "pull", "not_before": 0.0, "started_at": None, "finished_at": None, "updated_at": now,
            "cancel_requested": 0, "eta_s": None, "speed": None, "result": None, "error": None, "receipt": None,
            "stages": "[]",
        }  # fmt: skip
        connection.execute(JOBS.update().where(JOBS.c.id == job_id).values(**values))
        add_event(connection, job_id, job.user_id, "retried", now, {"run": job.run + 1})
        return get_job(connection, job_id)


def owned(connection: Connection, job_id: str, user_id: str | None) -> Job:
    """Return a job of this user; ``None`` may see all. Raises :class:`JobRefused` ``not_found``, also for others'."""
    query = sa.select(JOBS).where(JOBS.c.id == job_id).with_for_update()
    row = connection.execute(query).mappings().one_or_none()
    if row is None or (user_id is not None and row["user_id"] != user_id):
        raise JobRefused("not_found", "There is no such job.")
    return row_to_job(row)


def add_event(connection: Connection, job: str, user_id: str, kind: str, now: float, data: dict[str, Any]) -> None:
    """Note something that happened, in this transaction.

    Numbers are given out in the order in which transactions end: a reader who has seen one will see no smaller one.
    """
    lock(connection, _EVENT_LOCK)
    connection.execute(EVENTS.insert().values(job=job, user_id=user_id, kind=kind, at=now, data=encode(data)))


def tell_end(connection: Connection, job: Job, now: float, on_end: OnEnd) -> Job:
    """Note, in the transaction in which a job ends, that it did, and return it as it is now."""
    ended = get_job(connection, job.id)
    data: dict[str, Any] = {"status": ended.status}
    if ended.error is not None:
        data["error"] = msgspec.to_builtins(ended.error)
    add_event(connection, job.id, job.user_id, ended.status, now, data)
    on_end(connection, ended)
    return ended


def _by_key(connection: Connection, user_id: str, key: str | None, spec_hash: str) -> Job | None:
    if key is None:
        return None
    query = sa.select(JOBS).where(JOBS.c.user_id == user_id, JOBS.c.idempotency_key == key)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        return None
    if row["spec_hash"] != spec_hash:
        raise JobRefused(
            "key_reused", "This idempotency key stands for another request.", evidence=f"job {row['id']}",
            hint="Use a new key for every request.",
        )  # fmt: skip
    return row_to_job(row)
