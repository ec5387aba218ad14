"""``/v1/exports``: drafts of clips, edited here and started once; then each clip is a job."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response, StreamingResponse
from sqlalchemy.engine import Connection

from reelpress.errors import ReelpressError
from reelpress.facts.values import Value
from reelpress.jobs.changing import cancel, retry
from reelpress.jobs.clip_model import StoredObject, VideoDetails
from reelpress.jobs.ending import on_end
from reelpress.jobs.exports import change_export, create_export, forget_export, place_of, start_export
from reelpress.jobs.house import House
from reelpress.jobs.model import Job
from reelpress.jobs.owners import user_prefix
from reelpress.jobs.reading import children_of, details_of, find_job, list_jobs
from reelpress.net.addresses import check_url
from reelpress.service.access import Caller, HouseOf, Reader, Writer
from reelpress.service.answers import answer, documented
from reelpress.service.clip_requests import wanted_of
from reelpress.service.clip_shapes import ExportChangeShape, ExportShape
from reelpress.service.clip_views import Export, export_of, exports_of, name_of_video
from reelpress.service.jobs_routes import IdempotencyKey
from reelpress.service.objects import blocks_of, disposition
from reelpress.service.paging import before_cursor, cursor_of, wake
from reelpress.service.problems import RequestRefused, not_found
from reelpress.service.videos_routes import Cursor, Limit
from reelpress.service.zipping import ZipEntry, zip_stream
from reelpress.storage.store import Store

router = APIRouter(prefix="/v1/exports", tags=["exports"])
ExportId = Annotated[str, Path(pattern="^[A-Za-z0-9_-]{1,64}$", examples=["exp_019a9f6c1e2a5d0b3c4f8e7a"])]
_LOG = logging.getLogger("reelpress.service")
_ENDING = re.compile(r"\.[A-Za-z0-9]{2,5}$")  # of a file; names may hold dots of their own
_EXPORT = {200: ("The export.", Export)}
_ZIP = {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}


class ExportPage(Value, frozen=True, kw_only=True):
    """Exports, the newest first, without the framing and the captions of their clips."""

    exports: tuple[Export, ...]
    next_cursor: str | None


@router.post(
    "",
    response_class=Response,
    status_code=201,
    responses=documented(
        {201: ("It was made.", Export), 200: ("The key stands for this export, made earlier.", Export)},
        problems={409: "The video is not ready to be exported from, or there are no clips to start."},
    ),
)
def add_export(
    shape: ExportShape, caller: Writer, house: HouseOf, request: Request, idempotency_key: IdempotencyKey = None
) -> Response:
    """Make an export: a draft, unless it is to start at once."""
    if shape.webhook is not None:
        check_url(shape.webhook, allow_private=house.settings.allow_private_urls)
    made = create_export(
        house.database, wanted_of(shape), video=shape.video, user_id=caller.user_id, sees=caller.sees,
        now=time.time(), webhook=shape.webhook, idempotency_key=idempotency_key,
    )  # fmt: skip
    if shape.start:
        _start(house, caller, made.job.id, request)
    headers = {"Location": f"/v1/exports/{made.job.id}"}
    return _answer(house, caller, made.job.id, status=201 if made.is_new else 200, headers=headers)


@router.get("", response_class=Response, responses=documented({200: ("Exports.", ExportPage)}))
def read_exports(
    caller: Reader,
    house: HouseOf,
    video: Annotated[str | None, Query(pattern="^[A-Za-z0-9_-]{1,64}$", description="Only of this video.")] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Response:
    """List exports."""
    before = None if cursor is None else before_cursor(cursor)
    with house.database.reading() as connection:
        jobs = list_jobs(
            connection, user_id=caller.sees, kind="export", parent=video, before=before, limit=limit + 1
        )  # fmt: skip
        exports = exports_of(connection, jobs[:limit])
    more = cursor_of(jobs[limit - 1]) if len(jobs) > limit else None
    return answer(ExportPage(exports=tuple(exports), next_cursor=more))


@router.get("/{export_id}", response_class=Response, responses=documented(_EXPORT))
def read_export(export_id: ExportId, caller: Reader, house: HouseOf) -> Response:
    """Look at one export, with all that is known of its clips."""
    return _answer(house, caller, export_id)


@router.put(
    "/{export_id}",
    response_class=Response,
    responses=documented(_EXPORT, problems={409: "It was changed or started meanwhile."}),
)
def change_draft(export_id: ExportId, shape: ExportChangeShape, caller: Writer, house: HouseOf) -> Response:
    """Put other clips into a draft; `version` must be the one that it has."""
    change_export(
        house.database, export_id, wanted_of(shape), version=shape.version, now=time.time(), user_id=caller.sees
    )  # fmt: skip
    return _answer(house, caller, export_id)


@router.delete(
    "/{export_id}",
    status_code=204,
    response_class=Response,
    responses=documented({204: ("Gone.", None)}, problems={409: "A clip of it is unfinished."}),
)
def delete_export(export_id: ExportId, caller: Writer, house: HouseOf) -> Response:
    """Delete a draft, or a finished export with the files of its clips."""
    clips = forget_export(house.database, export_id, user_id=caller.sees)
    if clips:
        try:
            house.store.delete_under(f"{user_prefix(clips[0].user_id)}/{place_of(export_id)}")
        except ReelpressError as error:  # nobody can reach them any more
            _LOG.warning("files of %s are left in the store: %s", export_id, error.what)
    return Response(status_code=204)


@router.post(
    "/{export_id}/start",
    response_class=Response,
    responses=documented(_EXPORT, problems={409: "The video is not ready, or there are no clips."}),
)
def start(export_id: ExportId, caller: Writer, house: HouseOf, request: Request) -> Response:
    """Queue all clips at once; again is no error."""
    _start(house, caller, export_id, request)
    return _answer(house, caller, export_id)


@router.post("/{export_id}/cancel", response_class=Response, responses=documented(_EXPORT))
def cancel_export(export_id: ExportId, caller: Writer, house: HouseOf, request: Request) -> Response:
    """Cancel every unfinished clip."""
    _find(house, caller, export_id)
    cancel(house.database, export_id, now=time.time(), user_id=caller.sees, on_end=on_end(house))
    wake(request)
    return _answer(house, caller, export_id)


@router.post(
    "/{export_id}/retry",
    response_class=Response,
    responses=documented(_EXPORT, problems={409: "It is a draft."}),
)
def retry_export(export_id: ExportId, caller: Writer, house: HouseOf, request: Request) -> Response:
    """Do every clip again that failed, died or was cancelled."""
    _find(house, caller, export_id)
    retry(house.database, export_id, now=time.time(), user_id=caller.sees)
    wake(request)
    return _answer(house, caller, export_id)


@router.get(
    "/{export_id}/zip",
    response_class=Response,
    responses=documented({}, problems={409: "No clip is finished."}) | {200: {"description": "The clips.", **_ZIP}},
)
async def download_clips(export_id: ExportId, caller: Reader, house: HouseOf) -> Response:
    """Download all finished clips as one archive."""
    name, outputs = await run_in_threadpool(_finished, house, caller, export_id)
    if not outputs:
        raise RequestRefused(409, "no_result", "No clip is finished.")
    entries = [
        ZipEntry(
            name=one.key.rpartition("/")[2], size_bytes=one.size_bytes, modified_at=at,
            blocks=partial(_blocks, house.store, one),
        )
        for one, at in outputs
    ]  # fmt: skip
    length, blocks = zip_stream(entries)
    headers = {"Content-Length": str(length), "Content-Disposition": disposition(name)}
    return StreamingResponse(blocks, 200, headers, "application/zip")


async def _blocks(store: Store, wanted: StoredObject) -> AsyncIterator[bytes]:
    async for block in blocks_of(store, await store.calls.stat(wanted.key), 0, wanted.size_bytes):
        yield block


def _finished(house: House, caller: Caller, export_id: str) -> tuple[str, list[tuple[StoredObject, float]]]:
    export = _find(house, caller, export_id)
    with house.database.reading() as connection:
        clips, name = children_of(connection, export_id, "clip"), _archive_name(connection, export)
    done = [
        (clip.result.output, clip.finished_at or export.created_at)
        for clip in clips
        if clip.status == "done" and clip.result is not None and clip.result.output is not None
    ]
    return name, sorted(done, key=lambda one: one[0].key)


def _archive_name(connection: Connection, export: Job) -> str:
    """Return what the archive of an export is called: as the video that it was cut from."""
    video = find_job(connection, export.parent or "")
    if video is None:
        return f"clips-{export.id}.zip"
    named = name_of_video(video, details_of(connection, [video.id], VideoDetails).get(video.id))
    return f"{_ENDING.sub('', named)}-clips.zip"


def _find(house: House, caller: Caller, export_id: str) -> Job:
    with house.database.reading() as connection:
        job = find_job(connection, export_id)
    if job is None or job.kind != "export" or caller.sees not in (None, job.user_id):
        not_found("There is no such export.")
    return job


def _start(house: House, caller: Caller, export_id: str, request: Request) -> None:
    start_export(
        house.database, export_id, now=time.time(), user_id=caller.sees, max_queued=house.settings.max_queued
    )  # fmt: skip
    wake(request)


def _answer(
    house: House, caller: Caller, export_id: str, *, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    job = _find(house, caller, export_id)
    with house.database.reading() as connection:
        export = export_of(connection, job)
    return answer(export, status=status, headers={"ETag": f'"{export.version}"', **(headers or {})})
