"""Files that callers send in segments, as the database knows them; the bytes are in the store."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from reelpress.facts.values import Value
from reelpress.jobs.model import UNFINISHED
from reelpress.jobs.reading import row_to_job
from reelpress.jobs.tables import JOBS, UPLOADS
from reelpress.storage.segments import UploadPlan


class Upload(Value, frozen=True, kw_only=True):
    """A file to come, or, with ``completed_at``, one that is there in full. Times are seconds since 1970, UTC."""

    id: str
    user_id: str
    name: str
    size_bytes: int
    segment_bytes: int
    sha256: str | None
    created_at: float
    completed_at: float | None = None

    @property
    def plan(self) -> UploadPlan:
        """Where its segments are in the store."""
        return UploadPlan(upload_id=self.id, size_bytes=self.size_bytes, segment_bytes=self.segment_bytes)


def add_upload(connection: Connection, upload: Upload) -> None:
    """Remember a file to come."""
    row: dict[str, Any] = {name: getattr(upload, name) for name in upload.__struct_fields__}
    connection.execute(UPLOADS.insert().values(**row))


def find_upload(connection: Connection, upload_id: str) -> Upload | None:
    """Return an upload, or ``None``."""
    row = connection.execute(sa.select(UPLOADS).where(UPLOADS.c.id == upload_id)).mappings().one_or_none()
    return None if row is None else Upload(**row)


def complete_upload(connection: Connection, upload_id: str, *, now: float) -> None:
    """Note that all segments are there."""
    connection.execute(UPLOADS.update().where(UPLOADS.c.id == upload_id).values(completed_at=now))


def reopen_upload(connection: Connection, upload_id: str) -> None:
    """Note that segments may be missing."""
    connection.execute(UPLOADS.update().where(UPLOADS.c.id == upload_id).values(completed_at=None))


def forget_upload(connection: Connection, upload_id: str) -> None:
    """Forget an upload whose segments are gone, or will be swept."""
    connection.execute(UPLOADS.delete().where(UPLOADS.c.id == upload_id))


def count_open(connection: Connection, user_id: str) -> int:
    """Return how many uploads of a user are not complete."""
    query = sa.select(sa.func.count()).where(UPLOADS.c.user_id == user_id, UPLOADS.c.completed_at.is_(None))
    return connection.execute(query).scalar_one()


def uploads_waited_for(connection: Connection) -> set[str]:
    """Return the ids of uploads that a job has yet to fetch, or would fetch once more if somebody retried it."""
    may_run = JOBS.c.status.in_((*UNFINISHED, "dead", "failed"))
    query = sa.select(JOBS).where(may_run, JOBS.c.spec.contains('"upload"'))
    jobs = [row_to_job(row) for row in connection.execute(query).mappings()]
    again = [job for job in jobs if job.status != "failed" or job.error is None or job.error.retryable]
    return {job.spec.input.value for job in again if job.spec.input.kind == "upload"}


def give_up_uploads(connection: Connection, *, older_than: float, keep: Collection[str]) -> set[str]:
    """Forget uploads that were begun, and completed if they were, before ``older_than``, and return their ids.

    Those in ``keep`` stay.
    """
    completed = sa.func.coalesce(UPLOADS.c.completed_at, UPLOADS.c.created_at)
    old = connection.execute(sa.select(UPLOADS.c.id).where(completed < older_than)).scalars()
    gone = set(old).difference(keep)
    for upload_id in gone:
        forget_upload(connection, upload_id)
    return gone


def all_uploads(connection: Connection) -> set[str]:
    """Return the ids of all uploads that are known."""
    return set(connection.execute(sa.select(UPLOADS.c.id)).scalars())
