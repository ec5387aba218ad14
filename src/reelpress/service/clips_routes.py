"""``/v1/clips``: the clips of exports, one by one, and their files; and what exports are made with here."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from sqlalchemy.engine import Connection

from reelpress.clip_request import LayoutChoice
from reelpress.errors import UsageError
from reelpress.facts.captions import CAPTION_STYLES, CaptionStyle
from reelpress.facts.values import Value
from reelpress.jobs.changing import cancel, retry
from reelpress.jobs.clip_model import MAX_CLIPS, ClipDetails, ClipWanted, StoredObject
from reelpress.jobs.ending import on_end
from reelpress.jobs.house import House
from reelpress.jobs.model import Job
from reelpress.jobs.reading import details_of, find_job, receipt_of
from reelpress.plan.platforms import PLATFORMS, Platform, PlatformName
from reelpress.reframe.face_model import find_face_model
from reelpress.service.access import Caller, HouseOf, Reader, Writer
from reelpress.service.answers import answer, documented
from reelpress.service.clip_views import Clip, clips_of
from reelpress.service.jobs_routes import JobId
from reelpress.service.objects import (
    OBJECT_ANSWERS,
    AsAddress,
    OutputAddress,
    address_of,
    disposition,
    stream_object,
)
from reelpress.service.paging import wake
from reelpress.service.problems import RequestRefused, not_found
from reelpress.settings import Settings

router = APIRouter(prefix="/v1", tags=["clips"])
_CLIP = {200: ("The clip.", Clip)}
_LAYOUTS: tuple[LayoutChoice, ...] = ("auto", "still", "track", "fit", "split")
_STREAMED = documented({}, problems={409: "The clip is not finished."}) | OBJECT_ANSWERS
_TEXT = {"content": {"text/plain": {"schema": {"type": "string"}}}}
_JSON = {"content": {"application/json": {"schema": {"type": "object"}}}}


class Sources(Value, frozen=True, kw_only=True):
    """Where videos may come from for this caller."""

    upload: bool
    url: bool
    path: bool


class ClipsInfo(Value, frozen=True, kw_only=True):
    """What exports are made with here."""

    layouts: tuple[LayoutChoice, ...]
    caption_styles: tuple[CaptionStyle, ...]
    platforms: Mapping[PlatformName, Platform]
    has_transcription: bool
    has_faces_model: str | None
    sources: Sources
    max_clips: int
    max_upload_bytes: int


@router.get("/clips-info", response_class=Response, responses=documented({200: ("This.", ClipsInfo)}))
def read_info(caller: Reader, house: HouseOf, request: Request) -> Response:
    """Ask what there is to choose from."""
    settings = house.settings
    may_name_paths = bool(settings.local_paths) and caller.may("admin")
    return answer(
        ClipsInfo(
            layouts=_LAYOUTS, caption_styles=CAPTION_STYLES, platforms=PLATFORMS,
            has_transcription=settings.transcribe_model is not None,
            has_faces_model=_face_model(request.app.state.encoding),
            sources=Sources(upload=True, url=True, path=may_name_paths), max_clips=MAX_CLIPS,
            max_upload_bytes=settings.max_upload_bytes,
        )
    )  # fmt: skip


@router.get("/clips/{job_id}", response_class=Response, responses=documented(_CLIP))
def read_clip(job_id: JobId, caller: Reader, house: HouseOf) -> Response:
    """Look at one clip."""
    return _answer(house, _find(house, caller, job_id))


@router.post("/clips/{job_id}/cancel", response_class=Response, responses=documented(_CLIP))
def cancel_clip(job_id: JobId, caller: Writer, house: HouseOf, request: Request) -> Response:
    """Cancel a clip; a finished one stays as it is, and so do the others."""
    _find(house, caller, job_id)
    job = cancel(house.database, job_id, now=time.time(), user_id=caller.sees, on_end=on_end(house))
    wake(request)
    return _answer(house, job)


@router.post(
    "/clips/{job_id}/retry",
    response_class=Response,
    responses=documented(_CLIP, problems={409: "It is not finished, or done."}),
)
def retry_clip(job_id: JobId, caller: Writer, house: HouseOf, request: Request) -> Response:
    """Do a clip again that failed, died or was cancelled."""
    _find(house, caller, job_id)
    job = retry(house.database, job_id, now=time.time(), user_id=caller.sees)
    wake(request)
    return _answer(house, job)


@router.get("/clips/{job_id}/output", response_class=Response, responses=_STREAMED)
async def read_clip_file(
    job_id: JobId,
    caller: Reader,
    house: HouseOf,
    request: Request,
    download: Annotated[bool, Query(description="Have a browser save it.")] = False,
    as_address: AsAddress = False,
) -> Response:
    """Get the clip; never by redirect, for a page may take media from this service alone."""
    output = await run_in_threadpool(_output, house, caller, job_id)
    if as_address:
        return answer(OutputAddress(url=await address_of(house.store, output)))
    save_as = output.key.rpartition("/")[2] if download else None
    return await stream_object(house.store, output, request, save_as=save_as)


@router.get(
    "/clips/{job_id}/receipt",
    response_class=Response,
    responses=documented({}) | {200: {"description": "The receipt (docs/json.md).", **_JSON}},
)
def read_clip_receipt(job_id: JobId, caller: Reader, house: HouseOf) -> Response:
    """Get the receipt of a clip that came as far as that."""
    job = _find(house, caller, job_id)
    with house.database.reading() as connection:
        receipt, name = receipt_of(connection, job_id), _stem(connection, job)
    if receipt is None:
        not_found("The clip has no receipt.")
    headers = {"Content-Disposition": disposition(f"{name}.receipt.json", inline=True)}
    return Response(receipt, 200, headers, "application/json")


@router.get(
    "/clips/{job_id}/captions.{form}",
    response_class=Response,
    responses=documented({}) | {200: {"description": "The captions, with times of the clip.", **_TEXT}},
)
def read_clip_captions(job_id: JobId, form: Literal["srt", "vtt"], caller: Reader, house: HouseOf) -> Response:
    """Get the captions of a clip as a file."""
    from reelpress.jobs.subtitles import subtitle_files

    job = _find(house, caller, job_id)
    wanted = job.spec.wants
    files = subtitle_files(wanted.draft) if isinstance(wanted, ClipWanted) else {}
    if form not in files:
        not_found("The clip has no captions.")
    text, _content_type = files[form]
    with house.database.reading() as connection:
        name = _stem(connection, job)
    # as text: nothing that browsers might take for something else
    return Response(text, 200, {"Content-Disposition": disposition(f"{name}.{form}")}, "text/plain; charset=utf-8")


def _stem(connection: Connection, job: Job) -> str:
    """Return what files of a clip are called, without ending: as the clip itself is, so that players find them."""
    file = details_of(connection, [job.id], ClipDetails).get(job.id, ClipDetails()).file
    wanted = job.spec.wants
    drafted = wanted.draft.name if isinstance(wanted, ClipWanted) else ""
    return PurePosixPath(file.file_name).stem if file is not None else drafted or "clip"


def _face_model(settings: Settings) -> str | None:
    """Return the name of the model that finds faces; ``None`` for none, and for one that is not here."""
    with contextlib.suppress(UsageError):
        found = find_face_model(settings.face_model, settings.cache_path)
        return None if found is None else found.name
    return None


def _find(house: House, caller: Caller, job_id: str) -> Job:
    with house.database.reading() as connection:
        job = find_job(connection, job_id)
    if job is None or job.kind != "clip" or caller.sees not in (None, job.user_id):
        not_found("There is no such clip.")
    return job


def _output(house: House, caller: Caller, job_id: str) -> StoredObject:
    job = _find(house, caller, job_id)
    if job.result is None or job.result.output is None:
        raise RequestRefused(409, "no_result", "The clip is not finished.", evidence=f"it is {job.status}")
    return job.result.output


def _answer(house: House, job: Job) -> Response:
    with house.database.reading() as connection:
        [clip] = clips_of(connection, [job])
    return answer(clip)
