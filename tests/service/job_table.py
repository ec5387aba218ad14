"""Short words for tests that fill the tables of jobs."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from reelpress.jobs.claiming import Claim, claim_next
from reelpress.jobs.database import Database, open_database
from reelpress.jobs.model import Job, JobInput, JobSpec
from reelpress.jobs.reading import find_job
from reelpress.jobs.submission import submit
from reelpress.jobs.tables import JOBS, WORKERS

NOW = 1_790_000_000.0


def open_empty(url: str, folder: Path) -> Database:
    """Open what the fixture ``database_url`` made."""
    return open_database(None if url.startswith("sqlite") else url, folder)


def spec(key: str = "in.mp4", **more) -> JobSpec:
    return JobSpec(input=JobInput(kind="object", value=key), transcribe=False, **more)


def put(database: Database, user_id: str = "ann", *, now: float = NOW, **more) -> Job:
    return submit(database, spec(), user_id=user_id, now=now, **more).job


def enlist(database: Database, *workers: str, seen_at: float = NOW) -> None:
    """Have workers that live."""
    with database.writing() as connection:
        for worker in workers:
            row = {"id": worker, "host": "h", "kind": "worker", "facts": "{}", "started_at": NOW, "seen_at": seen_at}
            connection.execute(WORKERS.insert().values(**row))


def claim(database: Database, worker: str = "w1", *, now: float = NOW, max_attempts: int = 3, **more) -> Claim | None:
    return claim_next(database, worker, now=now, max_attempts=max_attempts, **more)


def row(database: Database, job_id: str) -> Job:
    with database.reading() as connection:
        found = find_job(connection, job_id)
    assert found is not None
    return found


def set_row(database: Database, job_id: str, **values) -> None:
    with database.writing() as connection:
        connection.execute(sa.update(JOBS).where(JOBS.c.id == job_id).values(**values))
