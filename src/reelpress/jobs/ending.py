"""Who is told that a job ended: an event into the outbox of webhooks, in the transaction in which it ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from reelpress.jobs.clip_model import ClipWanted
from reelpress.jobs.counting import count_end
from reelpress.jobs.database import Database, encode, once_committed
from reelpress.jobs.house import House
from reelpress.jobs.ledger import Charging, note_end
from reelpress.jobs.model import Job, Kind, new_id
from reelpress.jobs.reading import children_of
from reelpress.jobs.spending import tell_budget
from reelpress.jobs.tables import SECRETS, WEBHOOKS
from reelpress.service_settings import ServiceSettings
from reelpress.webhooks.outbox import add, insert_new
from reelpress.webhooks.sender import Sender
from reelpress.webhooks.signing import new_secret

# Whose ends are told, and as what.
_TOLD: dict[Kind, str] = {"compress": "job", "export": "export"}


def on_end(house: House, charging: Charging | None = None) -> Callable[[Connection, Job], None]:
    """Return what workers call for every job that ends: it gets its line in the ledger, and whoever asked is told.

    Once that stands it is counted. Of clips, their export tells, when the last one ends. ``charging`` is by what this
    process charges jobs.
    """

    def tell(connection: Connection, job: Job) -> None:
        entry = note_end(connection, job, charging)
        once_committed(connection, lambda: count_end(house.telemetry.instruments, job, entry))
        if entry is not None:
            tell_budget(connection, house.settings.budget, house.settings.webhook_url, now=entry.finished_at)
        if job.kind not in _TOLD:
            return
        url = job.spec.webhook or house.settings.webhook_url
        if url is not None:
            # one event for each end of each run: should the same end be written twice, the second is this one
            event_id = f"evt_{job.id.removeprefix('job_')}_{job.run}"
            add(
                connection, WEBHOOKS, event_id=event_id, user_id=job.user_id, job_id=job.id, url=url,
                kind=_event_of(job), payload=_payload_of(connection, job), now=time.time(),
            )  # fmt: skip

    return tell


def _event_of(job: Job) -> str:
    return f"{_TOLD[job.kind]}.{job.status}"


def _payload_of(connection: Connection, job: Job) -> str:
    return payload_of(job) if job.kind == "compress" else payload_of_export(connection, job)


def add_test_event(connection: Connection, user_id: str, url: str, *, now: float) -> str:
    """Put an event into the outbox that says nothing but that it is a test, and return its id."""
    event_id = new_id("evt", now)
    payload = encode({"type": "webhook.test", "timestamp": _iso(now), "data": {"user_id": user_id}})
    add(
        connection, WEBHOOKS, event_id=event_id, user_id=user_id, job_id=None, url=url, kind="webhook.test",
        payload=payload, now=now,
    )  # fmt: skip
    return event_id


def payload_of(job: Job) -> str:
    """Return the body of the event that a job ended."""
    data: dict[str, Any] = {
        "id": job.id, "user_id": job.user_id, "status": job.status, "labels": job.spec.labels, "run": job.run,
        "created_at": job.created_at, "finished_at": job.finished_at,
        "result": msgspec.to_builtins(job.result), "error": msgspec.to_builtins(job.error),
    }  # fmt: skip
    return encode({"type": f"job.{job.status}", "timestamp": _iso(job.finished_at or time.time()), "data": data})


def payload_of_export(connection: Connection, job: Job) -> str:
    """Return the body of the event that an export ended, with what became of each clip."""
    clips = [
        {
            "id": clip.id, "draft": clip.spec.wants.draft.id, "index": clip.spec.wants.index,
            "name": clip.spec.wants.draft.name, "status": clip.status, "run": clip.run,
            "output": msgspec.to_builtins(clip.result.output) if clip.result is not None else None,
            "error": msgspec.to_builtins(clip.error),
        }
        for clip in children_of(connection, job.id, "clip")
        if isinstance(clip.spec.wants, ClipWanted)
    ]  # fmt: skip
    data: dict[str, Any] = {
        "id": job.id, "user_id": job.user_id, "video": job.parent, "status": job.status, "run": job.run,
        "created_at": job.created_at, "finished_at": job.finished_at,
        "clips": sorted(clips, key=lambda clip: int(clip["index"])),
    }  # fmt: skip
    timestamp = _iso(job.finished_at or time.time())
    return encode({"type": _event_of(job), "timestamp": timestamp, "data": data})


def secret_of(database: Database, user_id: str) -> str:
    """Return what a user's webhooks are signed with, making one the first time."""
    query = sa.select(SECRETS.c.secret).where(SECRETS.c.user_id == user_id)
    with database.reading() as connection:
        found = connection.execute(query).scalar_one_or_none()
    if found is not None:
        return str(found)
    row = {"user_id": user_id, "secret": new_secret(), "created_at": time.time()}
    with database.writing() as connection:
        insert_new(connection, SECRETS, row)
        return str(connection.execute(query).scalar_one())


def rotate_secret(database: Database, user_id: str) -> str:
    """Give a user a new secret, in force for all that is sent from now on, and return it."""
    secret_of(database, user_id)
    secret = new_secret()
    with database.writing() as connection:
        values = {"secret": secret, "created_at": time.time()}
        connection.execute(SECRETS.update().where(SECRETS.c.user_id == user_id).values(**values))
    return secret


def sender(database: Database, settings: ServiceSettings) -> Sender:
    """Return what sends the outbox; start it once per process."""
    return Sender(
        database.engine, WEBHOOKS, lambda user_id: secret_of(database, user_id),
        allow_private=settings.allow_private_urls,
    )  # fmt: skip


def _iso(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
