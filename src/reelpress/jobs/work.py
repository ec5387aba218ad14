"""What workers write of jobs. Every write names the claim it rests on, and is refused when that is no longer in force.

A worker that was taken for dead may wake up and go on: by then its job has a higher fence, and nothing it writes counts
(Kleppmann, "How to do distributed locking", 2016).
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from reelpress.facts.values import Value
from reelpress.jobs.claiming import Claim, FencedOff
from reelpress.jobs.database import Database, encode
from reelpress.jobs.model import Job, JobError, JobResult, Stage, StageTime, Status
from reelpress.jobs.reading import get_job, row_to_job
from reelpress.jobs.tables import JOBS, WORKERS
from reelpress.jobs.telling import OnEnd, add_event, export_of, hold_export, tell_end


class ProgressNote(Value, frozen=True, kw_only=True):
    """How far a claim's job is."""

    claim: Claim
    percent: float
    eta_s: float | None
    speed: float | None


def note_progress(database: Database, notes: Sequence[ProgressNote], *, now: float) -> dict[str, str]:
    """Write how far jobs are; return for each job ``ok``, ``cancel`` when that was asked for, or ``lost``."""
    said = {}
    with database.noting() as connection:
        # in the order in which all clips of an export are held to be cancelled
        for note in sorted(notes, key=lambda note: note.claim.job.id):
            larger = sa.case((JOBS.c.percent > note.percent, JOBS.c.percent), else_=note.percent)
            values = {"percent": larger, "eta_s": note.eta_s, "speed": note.speed, "updated_at": now}
            change = JOBS.update().where(*_in_force(note.claim)).values(**values).returning(JOBS.c.cancel_requested)
            row = connection.execute(change).one_or_none()
            said[note.claim.job.id] = "lost" if row is None else "cancel" if row[0] else "ok"
    return said


def begin_stage(database: Database, claim: Claim, stage: Stage, percent: float, *, now: float) -> None:
    """Write that a stage begins, which ends the one before. Raises :class:`FencedOff`."""
    with database.writing() as connection:
        job = _mine(connection, claim)
        stages = (*_ended(job.stages, now), StageTime(stage=stage, attempt=job.attempts, started_at=now))
        values = {"stage": stage, "percent": max(job.percent, percent), "stages": encode(stages), "updated_at": now}
        connection.execute(JOBS.update().where(JOBS.c.id == job.id).values(**values))
        add_event(connection, job.id, job.user_id, "stage", now, {"stage": stage, "attempt": job.attempts})


def note_content(database: Database, claim: Claim, cache_key: str) -> Job | None:
    """Write what stands for this work, and return a job of the same user that did the same, if there is one done.

    Raises :class:`FencedOff`.
    """
    with database.writing() as connection:
        job = _mine(connection, claim)
        connection.execute(JOBS.update().where(JOBS.c.id == job.id).values(cache_key=cache_key))
        query = (
            sa.select(JOBS)
            .where(JOBS.c.user_id == job.user_id, JOBS.c.cache_key == cache_key, JOBS.c.status == "done")
            .where(JOBS.c.id != job.id)
            .order_by(JOBS.c.finished_at.desc())
            .limit(1)
        )
        row = connection.execute(query).mappings().one_or_none()
        return None if row is None else row_to_job(row)


def note_details(
    database: Database, claim: Claim, details: Value, kind: str, data: dict[str, Any], *, now: float
) -> None:
    """Write what was found out so far, with an event of a kind that says so. Raises :class:`FencedOff`."""
    with database.writing() as connection:
        job = _mine(connection, claim)
        connection.execute(JOBS.update().where(JOBS.c.id == job.id).values(details=encode(details), updated_at=now))
        add_event(connection, job.id, job.user_id, kind, now, data)


def check_in_force(database: Database, claim: Claim) -> None:
    """Raise :class:`FencedOff` unless the claim is in force now."""
    with database.reading() as connection:
        if connection.execute(sa.select(JOBS.c.id).where(*_in_force(claim))).first() is None:
            raise FencedOff("Another worker has this job now, or it ended.", evidence=claim.job.id)


def finish(
    database: Database,
    claim: Claim,
    status: Status,
    *,
    now: float,
    result: JobResult | None = None,
    error: JobError | None = None,
    receipt: str | None = None,
    details: Value | None = None,
    on_end: OnEnd = lambda _connection, _job: None,
) -> Job:
    """Write how a job ended, once: where this claim wrote it already, that stands. Raises :class:`FencedOff`.

    ``details`` ``None`` leaves those that were noted.
    """
    with database.writing() as connection:
        hold_export(connection, export_of(claim.job))
        before = connection.execute(sa.select(JOBS.c.status, JOBS.c.fence).where(JOBS.c.id == claim.job.id)).one()
        if before == (status, claim.fence):  # the answer to the first try was lost
            return get_job(connection, claim.job.id)
        job = _mine(connection, claim)
        values: dict[str, Any] = {
            "status": status, "result": encode(result) if result else None, "error": encode(error) if error else None,
            "finished_at": now, "updated_at": now, "eta_s": None, "stages": encode(_ended(job.stages, now)),
        }  # fmt: skip
        if receipt is not None:
            values["receipt"] = receipt
        if details is not None:
            values["details"] = encode(details)
        if status == "done":
            values |= {"percent": 100.0, "stage": "finished"}
        connection.execute(JOBS.update().where(JOBS.c.id == job.id).values(**values))
        return tell_end(connection, job, now, on_end)


def release(
    database: Database,
    claim: Claim,
    *,
    now: float,
    why: Literal["drain", "no_room", "stray"],
    delay_s: float = 0,
    counts: bool = False,
    on_end: OnEnd = lambda _connection, _job: None,
) -> None:
    """Give a job back unfinished, which is no attempt unless it ``counts``; one that is to be cancelled ends.

    Raises :class:`FencedOff`.
    """
    with database.writing() as connection:
        hold_export(connection, export_of(claim.job))
        job = _mine(connection, claim)
        attempts = job.attempts if counts else max(job.attempts - 1, 0)
        told = {"why": why, "worker": claim.worker}
        _let_go(connection, job, "handed_back", told, now, on_end, attempts=attempts, not_before=now + delay_s)


def hand_over(database: Database, claim: Claim, *, now: float) -> None:
    """Let any worker have a job that was pushed, once it is given back. Raises :class:`FencedOff`."""
    with database.writing() as connection:
        job = _mine(connection, claim)
        connection.execute(JOBS.update().where(JOBS.c.id == job.id).values(queue="pull", updated_at=now))
        add_event(connection, job.id, job.user_id, "handed_over", now, {"worker": claim.worker})


def take_from_dead(connection: Connection, *, now: float, on_end: OnEnd = lambda _connection, _job: None) -> list[str]:
    """Put jobs whose worker does not live back into the queue and return their ids; those to be cancelled end."""
    alive = sa.select(WORKERS.c.id).where(WORKERS.c.dead_at.is_(None))
    # nobody works on an export, and nothing is in the set of no workers
    lost = sa.and_(JOBS.c.status == "running", JOBS.c.queue != "none", JOBS.c.worker.not_in(alive))
    exports = sa.select(JOBS.c.parent).distinct().where(lost, JOBS.c.kind == "clip")
    held = sorted(connection.execute(exports).scalars())
    for export_id in held:
        hold_export(connection, export_id)
    # what has been lost since then is taken the next time
    mine = sa.or_(JOBS.c.kind != "clip", JOBS.c.parent.in_(held))
    query = sa.select(JOBS).where(lost, mine).order_by(JOBS.c.id)
    taken = []
    for row in connection.execute(query.with_for_update()).mappings().all():
        job = row_to_job(row)
        _let_go(connection, job, "worker_lost", {"worker": job.worker, "attempt": job.attempts}, now, on_end)
        taken.append(job.id)
    return taken


def _let_go(
    connection: Connection, job: Job, kind: str, told: dict[str, Any], now: float, on_end: OnEnd, **more: float
) -> None:
    """Write that nobody is at a job any more: it waits for another, or it ends if it is to be cancelled."""
    status: Status = "cancelled" if job.cancel_requested else "queued"
    values: dict[str, Any] = {
        "status": status, "worker": None, "updated_at": now, "eta_s": None, "stages": encode(_ended(job.stages, now)),
        **more,
    }  # fmt: skip
    if status == "cancelled":
        values["finished_at"] = now
    connection.execute(JOBS.update().where(JOBS.c.id == job.id).values(**values))
    add_event(connection, job.id, job.user_id, kind, now, told)
    if status == "cancelled":
        tell_end(connection, job, now, on_end)


def release_strays(
    database: Database,
    worker: str,
    fences: dict[str, int],
    *,
    now: float,
    on_end: OnEnd = lambda _connection, _job: None,
) -> list[str]:
    """Put jobs back into the queue that a worker has without knowing: it claimed them, and the answer was lost.

    ``fences`` are those it knows of, by job; no claim may be under way. Returns the ids of those given back.
    """
    query = sa.select(JOBS).where(JOBS.c.status == "running", JOBS.c.worker == worker)
    with database.reading() as connection:
        strays = [row for row in connection.execute(query).mappings() if fences.get(row["id"]) != row["fence"]]
    given_back = []
    for row in strays:
        claim = Claim(job=row_to_job(row), fence=row["fence"], worker=worker)
        with contextlib.suppress(FencedOff):  # somebody else was quicker
            release(database, claim, now=now, why="stray", counts=True, on_end=on_end)
            given_back.append(claim.job.id)
    return given_back


def _in_force(claim: Claim) -> tuple[sa.ColumnElement[bool], ...]:
    return (JOBS.c.id == claim.job.id, JOBS.c.fence == claim.fence, JOBS.c.status == "running")


def _mine(connection: Connection, claim: Claim) -> Job:
    # SQLAlchemy leaves FOR UPDATE out for SQLite, which has one writer
    query = sa.select(JOBS).where(*_in_force(claim)).with_for_update()
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise FencedOff("Another worker has this job now, or it ended.", evidence=claim.job.id)
    return row_to_job(row)


def _ended(stages: tuple[StageTime, ...], now: float) -> tuple[StageTime, ...]:
    if not stages or stages[-1].wall_s is not None:
        return stages
    last = msgspec.structs.replace(stages[-1], wall_s=max(now - stages[-1].started_at, 0.0))
    return (*stages[:-1], last)
