"""Short words for tests that fill the tables with videos, exports and clips."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from reelpress.jobs.clip_model import ClipDraft, Sprites, StoredObject, StoredPreview, VideoDetails, VideoSource
from reelpress.jobs.database import Database, encode
from reelpress.jobs.exports import Wanted, create_export, start_export
from reelpress.jobs.model import Job, JobInput
from reelpress.jobs.reading import children_of, events_since, find_job
from reelpress.jobs.tables import JOBS, WEBHOOKS
from reelpress.jobs.videos import submit_video

import factories
from job_table import NOW

HOOK = "http://127.0.0.1:9/hook"


def drafts(count: int, *, seconds: float = 2.0) -> tuple[ClipDraft, ...]:
    return tuple(
        ClipDraft(id=f"c{number}", name=f"Clip {number}", start_s=number * 0.1, end_s=number * 0.1 + seconds)
        for number in range(count)
    )


def wanted(count: int, **more) -> Wanted:
    return Wanted(**{"width": 1080, "height": 1920, "platform": None, "drafts": drafts(count), **more})


def details(source: VideoSource, key_folder: str = "users/ann/videos/v", facts=None) -> VideoDetails:
    def stored(name: str, content_type: str) -> StoredObject:
        return StoredObject(key=f"{key_folder}/{name}", size_bytes=4, sha256="0" * 64, content_type=content_type)

    sprites = Sprites(
        sheets=1, columns=10, rows=10, tile_width=160, tile_height=90, interval_s=1.0, count=20
    )  # fmt: skip
    preview = StoredPreview(
        proxy=stored("proxy.mp4", "video/mp4"), width=640, height=360,
        sheets=(stored("sprites-000.jpg", "image/jpeg"),), sprites=sprites,
        peaks=stored("peaks.json", "application/json"), cuts_s=(1.5,),
    )  # fmt: skip
    return VideoDetails(source=source, facts=facts or factories.media(), preview=preview)


def put_video(database: Database, user_id: str = "ann", *, now: float = NOW, known: VideoDetails | None = None) -> Job:
    """Put a video into the tables that is ready."""
    video = submit_video(database, JobInput(kind="object", value="in.mp4"), user_id=user_id, now=now).job
    source = VideoSource(kind="object", value="in.mp4", size_bytes=4, version="1", name="in.mp4", is_ours=False)
    found = known or details(source, f"users/{user_id}/videos/{video.id}")
    return make_ready(database, video.id, found, now=now)


def make_ready(database: Database, video_id: str, found: VideoDetails, *, now: float = NOW) -> Job:
    with database.writing() as connection:
        values = {"status": "done", "stage": "finished", "percent": 100.0, "finished_at": now, "details": encode(found)}
        connection.execute(sa.update(JOBS).where(JOBS.c.id == video_id).values(**values))
    return job(database, video_id)


def put_export(database: Database, video: Job, count: int = 3, *, start: bool = True, now: float = NOW) -> Job:
    made = create_export(
        database, wanted(count), video=video.id, user_id=video.user_id, sees=None, now=now, webhook=HOOK
    ).job  # fmt: skip
    return start_export(database, made.id, now=now, user_id=None) if start else made


def job(database: Database, job_id: str) -> Job:
    with database.reading() as connection:
        found = find_job(connection, job_id)
    assert found is not None
    return found


def clips_of(database: Database, export_id: str) -> list[Job]:
    with database.reading() as connection:
        return children_of(connection, export_id, "clip")


def kinds(database: Database, job_id: str) -> list[str]:
    with database.reading() as connection:
        return [event.kind for event in events_since(connection, 0, user_id=None, jobs=[job_id])]


def told(database: Database, job_id: str) -> list[str]:
    with database.reading() as connection:
        query = sa.select(WEBHOOKS.c.kind).where(WEBHOOKS.c.job_id == job_id).order_by(WEBHOOKS.c.created_at)
        return list(connection.execute(query).scalars())


def make_folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path
