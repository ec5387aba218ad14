"""What callers read of jobs: one, many, their receipts and events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from reelpress.facts.values import from_json
from reelpress.jobs.model import PRIORITIES, Job, JobError, JobEvent, JobResult, JobSpec, Kind, StageTime
from reelpress.jobs.tables import EVENTS, JOBS

_SHOWN = [column for column in JOBS.c if column.name not in ("receipt", "spec_hash", "cache_key", "details", "trace")]
T = TypeVar("T")


def row_to_job(row: Mapping[Any, Any]) -> Job:
    """Return the job that stands in a row."""
    return Job(
        id=row["id"], user_id=row["user_id"], status=row["status"], stage=row["stage"], percent=row["percent"],
        priority=PRIORITIES[row["priority"]], origin=row["origin"],
        queue=row["queue"], run=row["run"], attempts=row["attempts"],
        worker=row["worker"], spec=from_json(row["spec"], JobSpec), created_at=row["created_at"],
        started_at=row["started_at"], finished_at=row["finished_at"], updated_at=row["updated_at"],
        cancel_requested=bool(row["cancel_requested"]), eta_s=row["eta_s"], speed=row["speed"],
        result=from_json(row["result"], JobResult) if row["result"] else None,
        error=from_json(row["error"], JobError) if row["error"] else None,
        stages=from_json(row["stages"], tuple[StageTime, ...]), kind=row["kind"], parent=row["parent"],
    )  # fmt: skip


def find_job(connection: Connection, job_id: str) -> Job | None:
    """Return a job, or ``None``."""
    row = connection.execute(sa.select(*_SHOWN).where(JOBS.c.id == job_id)).mappings().one_or_none()
    return None if row is None else row_to_job(row)


def get_job(connection: Connection, job_id: str) -> Job:
    """Return a job that is known to be there."""
    return row_to_job(connection.execute(sa.select(*_SHOWN).where(JOBS.c.id == job_id)).mappings().one())


def find_by_key(connection: Connection, user_id: str, idempotency_key: str) -> Job | None:
    """Return the job that a key stands for, or ``None``."""
    query = sa.select(*_SHOWN).where(JOBS.c.user_id == user_id, JOBS.c.idempotency_key == idempotency_key)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else row_to_job(row)


def list_jobs(
    connection: Connection,
    *,
    user_id: str | None,
    kind: Kind | None = None,
    parent: str | None = None,
    statuses: Sequence[str] = (),
    before: tuple[float, str] | None = None,
    limit: int = 100,
) -> list[Job]:
    """Return jobs, the newest first; ``before`` continues after the last one of a page (``created_at``, ``id``).

    ``kind`` and ``parent`` ``None`` are jobs of all kinds, and of all parents.
    """
    query = sa.select(*_SHOWN).order_by(JOBS.c.created_at.desc(), JOBS.c.id.desc()).limit(limit)
    if user_id is not None:
        query = query.where(JOBS.c.user_id == user_id)
    if kind is not None:
        query = query.where(JOBS.c.kind == kind)
    if parent is not None:
        query = query.where(JOBS.c.parent == parent)
    if statuses:
        query = query.where(JOBS.c.status.in_(statuses))
    if before is not None:
        at, last = before
        query = query.where(sa.or_(JOBS.c.created_at < at, sa.and_(JOBS.c.created_at == at, JOBS.c.id < last)))
    return [row_to_job(row) for row in connection.execute(query).mappings()]


def count_jobs(connection: Connection, *, user_id: str | None = None, kind: Kind | None = None) -> dict[str, int]:
    """Return how many jobs there are of each status."""
    query = sa.select(JOBS.c.status, sa.func.count()).group_by(JOBS.c.status)
    if user_id is not None:
        query = query.where(JOBS.c.user_id == user_id)
    if kind is not None:
        query = query.where(JOBS.c.kind == kind)
    return {row[0]: row[1] for row in connection.execute(query)}


def children_of(connection: Connection, parent: str, kind: Kind) -> list[Job]:
    """Return the jobs of a kind that belong to another, the oldest first."""
    query = sa.select(*_SHOWN).where(JOBS.c.parent == parent, JOBS.c.kind == kind)
    return [row_to_job(row) for row in connection.execute(query.order_by(JOBS.c.created_at, JOBS.c.id)).mappings()]


def details_of(connection: Connection, job_ids: Sequence[str], kind: type[T]) -> dict[str, T]:
    """Return what jobs of a kind have found out so far, as the values of that kind, by id."""
    query = sa.select(JOBS.c.id, JOBS.c.details).where(JOBS.c.id.in_(job_ids), JOBS.c.details.is_not(None))
    return {row.id: from_json(row.details, kind) for row in connection.execute(query)}


def receipt_of(connection: Connection, job_id: str) -> str | None:
    """Return a job's receipt as JSON, or ``None`` while there is none."""
    return connection.execute(sa.select(JOBS.c.receipt).where(JOBS.c.id == job_id)).scalar_one_or_none()


def events_since(
    connection: Connection,
    seq: int,
    *,
    user_id: str | None,
    jobs: Sequence[str] = (),
    limit: int = 1000,
) -> list[JobEvent]:
    """Return events with a number above ``seq``, the oldest first, of these jobs or of all."""
    query = sa.select(EVENTS).where(EVENTS.c.seq > seq).order_by(EVENTS.c.seq).limit(limit)
    if user_id is not None:
        query = query.where(EVENTS.c.user_id == user_id)
    if jobs:
        query = query.where(EVENTS.c.job.in_(jobs))
    return [
        JobEvent(seq=row.seq, job=row.job, kind=row.kind, at=row.at, data=msgspec.json.decode(row.data))
        for row in connection.execute(query)
    ]


def last_seq(connection: Connection) -> int:
    """Return the number of the newest event, 0 where there is none."""
    return connection.execute(sa.select(sa.func.max(EVENTS.c.seq))).scalar() or 0


def changed_since(connection: Connection, at: float, *, limit: int = 2000) -> list[Job]:
    """Return jobs that changed at ``at`` or later, the oldest change first."""
    query = sa.select(*_SHOWN).where(JOBS.c.updated_at >= at).order_by(JOBS.c.updated_at).limit(limit)
    return [row_to_job(row) for row in connection.execute(query).mappings()]
