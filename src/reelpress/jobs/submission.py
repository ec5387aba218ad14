"""How callers submit jobs, each in one transaction; :mod:`reelpress.jobs.changing` is what they may do to them then."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from reelpress.errors import ReelpressError
from reelpress.facts.values import Value
from reelpress.jobs.database import Database, encode, lock
from reelpress.jobs.model import (
    PREFIXES,
    PRIORITIES,
    UNFINISHED,
    Job,
    JobSpec,
    Kind,
    Priority,
    Status,
    new_id,
)
from reelpress.jobs.reading import get_job, row_to_job
from reelpress.jobs.tables import JOBS, TURNS
from reelpress.jobs.telling import add_event
from reelpress.observe.tracing import traceparent_now

_USER_LOCK = 7_205_759  # with a hash of the user


class JobRefused(ReelpressError):  # noqa: N818 - the error tree's names say what happened
    """A job was not taken, or cannot be changed as was asked. ``code`` is one stable word."""

    def __init__(self, code: str, what: str, *, evidence: str | None = None, hint: str | None = None) -> None:
        super().__init__(what, evidence=evidence, hint=hint)
        self.code = code


class Submission(Value, frozen=True, kw_only=True):
    """The job, and whether this call made it."""

    job: Job
    is_new: bool


class NewJob(Value, frozen=True, kw_only=True):
    """A job to put into the tables. ``cache_key`` stands for its work: one that did the same may answer for it."""

    spec: JobSpec
    kind: Kind = "compress"
    parent: str | None = None
    status: Status = "queued"
    queue: Literal["pull", "push", "none"] = "pull"
    priority: Priority = "normal"
    cache_key: str | None = None


def submit(
    database: Database,
    spec: JobSpec,
    *,
    user_id: str,
    now: float,
    kind: Kind = "compress",
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
    new = NewJob(spec=spec, kind=kind, queue="push" if origin == "push" else "pull", priority=priority)
    return submit_new(
        database, new, user_id=user_id, now=now, idempotency_key=idempotency_key, max_queued=max_queued
    )  # fmt: skip


def submit_new(
    database: Database,
    new: NewJob,
    *,
    user_id: str,
    now: float,
    idempotency_key: str | None = None,
    max_queued: int = 1 << 31,
    hashed_with: str = "",
    also: Callable[[Connection, Job], None] = lambda _connection, _job: None,
) -> Submission:
    """Do as :func:`submit` for a job of any kind; one that goes on or ended well and did the same work answers for it.

    ``hashed_with`` is what a request asks for beyond the specification; ``also`` is done in the same transaction.
    """
    spec_hash = hashlib.sha256((encode(new.spec) + hashed_with).encode()).hexdigest()

    def by_key(connection: Connection) -> Job | None:
        return _by_key(connection, user_id, idempotency_key, new, spec_hash, is_all=not hashed_with)

    try:
        with database.writing() as connection:
            hold_user(connection, user_id)
            found = by_key(connection) or _by_work(connection, user_id, new)
            if found is not None:
                return Submission(job=found, is_new=False)
            [job] = insert_jobs(
                connection, [new], user_id=user_id, now=now, max_queued=max_queued, idempotency_key=idempotency_key,
                spec_hash=spec_hash,
            )  # fmt: skip
            also(connection, job)
            return Submission(job=job, is_new=True)
    except IntegrityError:  # another process took the same key meanwhile
        with database.reading() as connection:
            found = by_key(connection)
        if found is None:
            raise
        return Submission(job=found, is_new=False)


def hold_user(connection: Connection, user_id: str) -> None:
    """Let nobody else submit for a user until this transaction ends: jobs would share a turn, or overfill the queue."""
    lock(connection, _USER_LOCK, of=user_id)


def insert_jobs(
    connection: Connection,
    wanted: list[NewJob],
    *,
    user_id: str,
    now: float,
    max_queued: int,
    idempotency_key: str | None = None,
    spec_hash: str = "",
) -> list[Job]:
    """Put jobs into the tables, all or none, each with a turn of its own; the caller holds the user.

    Raises :class:`JobRefused` ``queue_full``.
    """
    count, turn = _unfinished(connection, user_id)
    queued = sum(new.status == "queued" for new in wanted)
    if queued and count + queued > max_queued:
        raise JobRefused(
            "queue_full", "There are too many unfinished jobs.", evidence=f"{count} of {max_queued}",
            hint="Wait until some are done.",
        )  # fmt: skip
    rows: list[dict[str, Any]] = []
    for number, new in enumerate(wanted, 1):
        rows.append({
            "id": new_id(PREFIXES[new.kind], now), "user_id": user_id, "status": new.status, "stage": "queued",
            "percent": 0.0, "priority": PRIORITIES.index(new.priority), "turn": turn + number,
            "origin": "push" if new.queue == "push" else "api", "queue": new.queue, "run": 1,
            "fence": 0, "attempts": 0, "idempotency_key": idempotency_key, "spec_hash": spec_hash,
            "spec": encode(new.spec), "created_at": now, "not_before": 0.0, "updated_at": now, "cancel_requested": 0,
            "stages": "[]", "kind": new.kind, "parent": new.parent, "cache_key": new.cache_key,
            "trace": traceparent_now(),
        })  # fmt: skip
    connection.execute(JOBS.insert(), rows)
    for row, new in zip(rows, wanted, strict=True):
        if new.status == "queued":
            add_event(connection, row["id"], user_id, "queued", now, {"priority": new.priority})
    return [get_job(connection, row["id"]) for row in rows]


def last_turn(connection: Connection, user_id: str) -> int:
    """Return the turn after which that of the user's next job comes; the caller holds the user."""
    return _unfinished(connection, user_id)[1]


def _unfinished(connection: Connection, user_id: str) -> tuple[int, int]:
    mine = sa.and_(JOBS.c.user_id == user_id, JOBS.c.status.in_(UNFINISHED), JOBS.c.queue != "none")
    count, last = connection.execute(sa.select(sa.func.count(), sa.func.max(JOBS.c.turn)).where(mine)).one()
    served = connection.execute(sa.select(TURNS.c.served)).scalar_one()
    return count, max(last or 0, served)


def owned(connection: Connection, job_id: str, user_id: str | None) -> Job:
    """Return a job of this user; ``None`` may see all. Raises :class:`JobRefused` ``not_found``, also for others'."""
    query = sa.select(JOBS).where(JOBS.c.id == job_id).with_for_update()
    row = connection.execute(query).mappings().one_or_none()
    if row is None or (user_id is not None and row["user_id"] != user_id):
        raise JobRefused("not_found", "There is no such job.")
    return row_to_job(row)


def _by_work(connection: Connection, user_id: str, new: NewJob) -> Job | None:
    if new.cache_key is None:
        return None
    same = sa.and_(JOBS.c.user_id == user_id, JOBS.c.cache_key == new.cache_key, JOBS.c.kind == new.kind)
    good = sa.and_(JOBS.c.status.in_((*UNFINISHED, "done")), JOBS.c.cancel_requested == 0)
    query = sa.select(JOBS).where(same, good).order_by(JOBS.c.created_at.desc()).limit(1)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else row_to_job(row)


def _by_key(
    connection: Connection, user_id: str, key: str | None, new: NewJob, spec_hash: str, *, is_all: bool
) -> Job | None:
    """Return the job that a key stands for; ``is_all`` says that the specification is all that is asked for."""
    if key is None:
        return None
    query = sa.select(JOBS).where(JOBS.c.user_id == user_id, JOBS.c.idempotency_key == key)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        return None
    job = row_to_job(row)
    # the hash of an older program is of less, where more can be asked for since
    is_same = row["spec_hash"] == spec_hash or (is_all and job.spec == new.spec)
    if job.kind != new.kind or not is_same:
        raise JobRefused(
            "key_reused", "This idempotency key stands for another request.", evidence=f"job {job.id}",
            hint="Use a new key for every request.",
        )  # fmt: skip
    return job
