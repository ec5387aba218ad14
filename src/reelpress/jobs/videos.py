"""Videos made ready for cutting, and what is found out about stretches of them; each is a job."""

from __future__ import annotations

import hashlib

import sqlalchemy as sa

from reelpress.jobs.clip_model import AnalysisWanted
from reelpress.jobs.database import Database, encode
from reelpress.jobs.exports import forget_rows
from reelpress.jobs.model import UNFINISHED, Job, JobInput, JobSpec
from reelpress.jobs.owners import user_prefix
from reelpress.jobs.reading import children_of
from reelpress.jobs.submission import JobRefused, NewJob, Submission, owned, submit_new
from reelpress.jobs.tables import JOBS
from reelpress.jobs.telling import hold_export
from reelpress.storage.store import Store

# The label under which a video keeps what people call it, where that is not the name of its file.
NAME = "name"


def submit_video(
    database: Database,
    place: JobInput,
    *,
    user_id: str,
    now: float,
    name: str | None = None,
    idempotency_key: str | None = None,
    max_queued: int = 1 << 31,
) -> Submission:
    """Have a video made ready, called ``name``; errors as :func:`reelpress.jobs.submission.submit`."""
    labels = {NAME: name} if name is not None else {}
    spec = JobSpec(input=place, transcribe=False, reuse=False, labels=labels)
    return submit_new(
        database, NewJob(spec=spec, kind="video"), user_id=user_id, now=now, idempotency_key=idempotency_key,
        max_queued=max_queued,
    )  # fmt: skip


def submit_analysis(
    database: Database,
    video: Job,
    wanted: AnalysisWanted,
    *,
    user_id: str,
    now: float,
    max_queued: int = 1 << 31,
) -> Submission:
    """Ask about a stretch of a video that is ready; the same question is answered by the analysis that is there.

    Somebody waits for the answer, so it goes before clips. Raises :class:`JobRefused`: ``video_not_ready``,
    ``queue_full``.
    """
    if video.status != "done":
        raise JobRefused("video_not_ready", "The video is not ready.", evidence=f"it is {video.status}")
    question = hashlib.sha256(f"{video.id} {encode(wanted)}".encode()).hexdigest()
    spec = JobSpec(input=JobInput(kind="video", value=video.id), transcribe=False, reuse=False, wants=wanted)
    new = NewJob(spec=spec, kind="analysis", parent=video.id, priority="high", cache_key=question)
    return submit_new(database, new, user_id=user_id, now=now, max_queued=max_queued)


def place_of(video_id: str) -> str:
    """Return where the files are that the service makes of a video, under its owner's prefix."""
    return f"videos/{video_id}"


def forget_video(database: Database, video_id: str, *, user_id: str | None) -> Job:
    """Delete a video with its analyses and drafts, and return what it was; its files are still in the store.

    Exports that are finished stay. Raises :class:`JobRefused`: ``not_found``; ``in_use`` while an export of it is
    unfinished; ``not_finished`` while a worker is still at it, or at an analysis.
    """
    with database.writing() as connection:
        exports = sa.select(JOBS.c.id).where(JOBS.c.parent == video_id, JOBS.c.kind == "export")
        for export_id in sorted(connection.execute(exports).scalars()):
            hold_export(connection, export_id)
        video = owned(connection, video_id, user_id)
        if video.kind != "video":
            raise JobRefused("not_found", "There is no such video.")
        of_it = children_of(connection, video_id, "export")
        if any(export.status in UNFINISHED for export in of_it):
            raise JobRefused("in_use", "An export of this video is unfinished.", hint="Wait for it, or cancel it.")
        analyses = children_of(connection, video_id, "analysis")
        if any(job.status in UNFINISHED for job in (video, *analyses)):
            raise JobRefused("not_finished", "A worker is still at this video.", hint="Ask again in a moment.")
        drafts = [export.id for export in of_it if export.status == "draft"]
        forget_rows(connection, [video_id, *drafts, *(analysis.id for analysis in analyses)])
        return video


def remove_video_files(store: Store, video: Job) -> None:
    """Delete what the service put into the store of a video that is forgotten, ready or not.

    Raises :class:`StorageError`.
    """
    store.delete_under(f"{user_prefix(video.user_id)}/{place_of(video.id)}")


def unfinished_of(database: Database, video_id: str) -> list[str]:
    """Return the ids of jobs that still look at a video: its own, and its analyses'."""
    looking = sa.or_(JOBS.c.id == video_id, sa.and_(JOBS.c.parent == video_id, JOBS.c.kind == "analysis"))
    with database.reading() as connection:
        query = sa.select(JOBS.c.id).where(looking, JOBS.c.status.in_(UNFINISHED))
        return list(connection.execute(query).scalars())
