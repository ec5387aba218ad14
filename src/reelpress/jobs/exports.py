"""Exports: drafts of clips that are edited, then started once; then each clip is a job, the export their parent."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from reelpress.facts.values import from_json
from reelpress.jobs.clip_model import MAX_CLIPS, ClipDraft, ClipWanted, Export, VideoDetails
from reelpress.jobs.database import Database, encode
from reelpress.jobs.model import UNFINISHED, Job, JobInput, JobSpec
from reelpress.jobs.reading import children_of, details_of, find_job, get_job
from reelpress.jobs.submission import JobRefused, NewJob, Submission, hold_user, insert_jobs, owned, submit_new
from reelpress.jobs.tables import EVENTS, EXPORTS, JOBS
from reelpress.jobs.telling import add_event, hold_export
from reelpress.plan.clip_refusals import refuse_range
from reelpress.plan.platforms import PlatformName


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What an export is to hold: clips of a size, for a platform or for none."""

    width: int
    height: int
    platform: PlatformName | None
    drafts: tuple[ClipDraft, ...]


def create_export(
    database: Database,
    wanted: Wanted,
    *,
    video: str,
    user_id: str,
    sees: str | None,
    now: float,
    webhook: str | None = None,
    idempotency_key: str | None = None,
) -> Submission:
    """Make a draft; the same key of the same user finds the export that is there.

    ``sees`` is whose videos may be cut, ``None`` everybody's. Raises :class:`JobRefused`: ``not_found`` for a video
    that is not there, ``invalid`` for drafts that cannot be or lie beyond a video that is ready, ``key_reused``.
    """
    _check(wanted)
    with database.reading() as connection:
        _video(connection, video, sees)
    spec = JobSpec(input=JobInput(kind="video", value=video), webhook=webhook, transcribe=False, reuse=False)
    new = NewJob(spec=spec, kind="export", parent=video, status="draft", queue="none")
    # the document is part of what the key stands for; a repeat after changes is still a repeat of the first request
    return submit_new(
        database, new, user_id=user_id, now=now, idempotency_key=idempotency_key, hashed_with=encode(wanted),
        also=lambda connection, job: _insert(connection, job, video, wanted),
    )  # fmt: skip


def find_exports(connection: Connection, ids: list[str]) -> dict[str, Export]:
    """Return the documents of exports, by id."""
    query = sa.select(EXPORTS).where(EXPORTS.c.id.in_(ids))
    return {row.id: _document(row.document, row.version) for row in connection.execute(query)}


def get_export(connection: Connection, export_id: str) -> Export:
    """Return the document of an export that is known to be there."""
    row = connection.execute(sa.select(EXPORTS).where(EXPORTS.c.id == export_id)).one()
    return _document(row.document, row.version)


def change_export(
    database: Database, export_id: str, wanted: Wanted, *, version: int, now: float, user_id: str | None
) -> Job:
    """Put other clips into a draft.

    Raises :class:`JobRefused`: ``not_found``; ``started`` once it is; ``changed`` when the draft has another version by
    now, with that version as evidence; ``invalid``.
    """
    _check(wanted)
    with database.writing() as connection:
        job = _held(connection, export_id, user_id)
        if job.status != "draft":
            raise JobRefused("started", "The export was started, and changes no more.", hint="Make another.")
        there = get_export(connection, export_id)
        if there.version != version:
            raise JobRefused(
                "changed", "The export was changed meanwhile.", evidence=str(there.version),
                hint="Read it again, and send your change with its version.",
            )  # fmt: skip
        _check_inside(connection, there.video, wanted.drafts)
        document = _made(export_id, there.video, wanted, version + 1)
        values = {"version": version + 1, "document": encode(document)}
        connection.execute(EXPORTS.update().where(EXPORTS.c.id == export_id).values(**values))
        connection.execute(JOBS.update().where(JOBS.c.id == export_id).values(updated_at=now))
        return get_job(connection, export_id)


def start_export(
    database: Database, export_id: str, *, now: float, user_id: str | None, max_queued: int = 1 << 31
) -> Job:
    """Queue all clips, in one transaction; an export that was started stays as it is.

    Raises :class:`JobRefused`: ``not_found``; ``empty``; ``video_not_ready``; ``invalid`` for clips beyond the video,
    which may not have been ready when they were drafted; ``queue_full``.
    """
    with database.writing() as connection:
        job = _held(connection, export_id, user_id)
        if job.status != "draft":
            return job
        export = get_export(connection, export_id)
        if not export.drafts:
            raise JobRefused("empty", "The export has no clips.", hint="Put clips into it first.")
        # held, so that it is not deleted meanwhile
        held = sa.select(JOBS.c.id).where(JOBS.c.id == export.video).with_for_update()
        connection.execute(held).all()
        video = _video(connection, export.video, None)
        if video.status != "done":
            raise JobRefused("video_not_ready", "The video is not ready.", evidence=f"it is {video.status}")
        _check_inside(connection, export.video, export.drafts)
        hold_user(connection, job.user_id)
        values: dict[str, Any] = {"status": "running", "started_at": now, "updated_at": now}
        connection.execute(JOBS.update().where(JOBS.c.id == export_id).values(**values))
        clips = [_clip(job, export, draft, index) for index, draft in enumerate(export.drafts)]
        insert_jobs(connection, clips, user_id=job.user_id, now=now, max_queued=max_queued)
        add_event(connection, export_id, job.user_id, "export_started", now, {"clips": len(clips)})
        return get_job(connection, export_id)


def place_of(export_id: str) -> str:
    """Return where the files of an export's clips are, under its owner's prefix."""
    return f"exports/{export_id}"


def forget_export(database: Database, export_id: str, *, user_id: str | None) -> list[Job]:
    """Delete an export with its clips, and return those, whose outputs are still in the store.

    Raises :class:`JobRefused`: ``not_found``; ``not_finished`` while a clip is unfinished.
    """
    with database.writing() as connection:
        job = _held(connection, export_id, user_id)
        if job.status in UNFINISHED:
            raise JobRefused("not_finished", "The export is not finished.", hint="Wait for it, or cancel it.")
        clips = children_of(connection, export_id, "clip")
        forget_rows(connection, [export_id, *(clip.id for clip in clips)])
        return clips


_LAST = sa.select(sa.func.max(EVENTS.c.seq)).scalar_subquery()


def forget_rows(connection: Connection, job_ids: list[str]) -> None:
    """Delete what the tables hold of jobs.

    The last event of all stays, its job's or not, until there is a later one: SQLite gives the number after the highest
    there is, and one that was given before would not be seen by whoever asks for what came after it.
    """
    for start in range(0, len(job_ids), 500):  # databases bound the number of values in a statement
        some = job_ids[start : start + 500]
        connection.execute(sa.delete(EVENTS).where(EVENTS.c.job.in_(some), EVENTS.c.seq < _LAST))
        connection.execute(sa.delete(EXPORTS).where(EXPORTS.c.id.in_(some)))
        connection.execute(sa.delete(JOBS).where(JOBS.c.id.in_(some)))


def forget_left_events(connection: Connection) -> None:
    """Delete events that :func:`forget_rows` left for their number, once there are later ones."""
    left = EVENTS.c.job.not_in(sa.select(JOBS.c.id))
    connection.execute(sa.delete(EVENTS).where(left, EVENTS.c.seq < _LAST))


def _check(wanted: Wanted) -> None:
    ids = [draft.id for draft in wanted.drafts]
    if len(ids) > MAX_CLIPS:
        raise JobRefused("too_many_clips", "There are too many clips.", evidence=f"{len(ids)}, {MAX_CLIPS} allowed")
    if len(set(ids)) < len(ids):
        twice = next(one for number, one in enumerate(ids) if one in ids[:number])
        raise JobRefused("invalid", "Two clips have the same id.", evidence=repr(twice))


def _check_inside(connection: Connection, video: str, drafts: tuple[ClipDraft, ...]) -> None:
    """Raise :class:`JobRefused` ``invalid`` where no clip could be made of a video, once it is known."""
    details = details_of(connection, [video], VideoDetails).get(video)
    if details is None:
        return
    for number, draft in enumerate(drafts):
        refused = refuse_range(details.facts, draft.start_s, draft.end_s)
        if refused is not None:
            reason = refused.reasons[0]
            raise JobRefused("invalid", reason.text, evidence=f"clips.{number}: {reason.fact}", hint=refused.hint)


def _insert(connection: Connection, job: Job, video: str, wanted: Wanted) -> None:
    _check_inside(connection, video, wanted.drafts)
    values = {"id": job.id, "version": 1, "document": encode(_made(job.id, video, wanted, 1))}
    connection.execute(EXPORTS.insert().values(**values))


def _made(export_id: str, video: str, wanted: Wanted, version: int) -> Export:
    return Export(
        id=export_id, video=video, width=wanted.width, height=wanted.height, platform=wanted.platform,
        drafts=wanted.drafts, version=version,
    )  # fmt: skip


def _clip(export: Job, document: Export, draft: ClipDraft, index: int) -> NewJob:
    wants = ClipWanted(
        draft=draft, index=index, width=document.width, height=document.height, platform=document.platform
    )  # fmt: skip
    place = JobInput(kind="video", value=document.video)
    spec = JobSpec(input=place, transcribe=False, reuse=False, wants=wants)
    return NewJob(spec=spec, kind="clip", parent=export.id)


def _document(text: str, version: int) -> Export:
    return msgspec.structs.replace(from_json(text, Export), version=version)


def _held(connection: Connection, export_id: str, user_id: str | None) -> Job:
    hold_export(connection, export_id)
    job = owned(connection, export_id, user_id)
    if job.kind != "export":
        raise JobRefused("not_found", "There is no such export.")
    return job


def _video(connection: Connection, video_id: str, sees: str | None) -> Job:
    video = find_job(connection, video_id)
    if video is None or video.kind != "video" or sees not in (None, video.user_id):
        raise JobRefused("not_found", "There is no such video.")
    return video
