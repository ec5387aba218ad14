"""What a job delivered: a signed address where the store has such a thing, else the bytes, with ranges."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import PurePosixPath
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response, StreamingResponse

from reelpress.facts.values import Value
from reelpress.jobs.house import House
from reelpress.jobs.model import JobResult, StoredObject
from reelpress.jobs.reading import find_job
from reelpress.service.access import Caller, HouseOf, Reader
from reelpress.service.answers import answer, documented
from reelpress.service.jobs_routes import JobId
from reelpress.service.problems import RequestRefused, not_found
from reelpress.storage.calls import ObjectInfo
from reelpress.storage.keys import safe_name
from reelpress.storage.signing import can_sign, sign_download
from reelpress.storage.store import Store

router = APIRouter(prefix="/v1/jobs", tags=["outputs"])
_AsAddress = Annotated[
    bool, Query(description="Answer with the address instead of leading there: pages cannot send a key along with it.")
]
_BLOCK_BYTES = 2**20
_SIGNED_S = 3600
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
_BYTES = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
_ANSWERS = documented({}, problems={409: "The job has not got as far as that."}) | {
    200: {"description": "The object.", **_BYTES},
    206: {"description": "A range of it.", **_BYTES},
    304: {"description": "It is what you have."},
    307: {"description": "Its address in the store, which is a secret and good for an hour."},
    416: {"description": "There is no such range."},
}


class OutputAddress(Value, frozen=True, kw_only=True):
    """Where an object is in the store: a secret, good for an hour. ``None`` where the service itself has to send it."""

    url: str | None


@router.get("/{job_id}/output", response_class=Response, responses=_ANSWERS)
async def read_output(
    job_id: JobId, caller: Reader, house: HouseOf, request: Request, as_address: _AsAddress = False
) -> Response:
    """Get the video."""
    result = await _result(house, caller, job_id)
    if result.output is None:
        not_found("The job has no output: the input is as small as it gets.")
    return await _deliver(house.store, result.output, request, as_address=as_address)


@router.get("/{job_id}/transcript/{form}", response_class=Response, responses=_ANSWERS)
async def read_transcript(
    job_id: JobId,
    form: Literal["vtt", "srt", "json"],
    caller: Reader,
    house: HouseOf,
    request: Request,
    as_address: _AsAddress = False,
) -> Response:
    """Get what was said in it."""
    found = (await _result(house, caller, job_id)).transcript.get(form)
    if found is None:
        not_found("The job has no such transcript.")
    return await _deliver(house.store, found, request, as_address=as_address)


async def _result(house: House, caller: Caller, job_id: str) -> JobResult:
    def find() -> JobResult:
        with house.database.reading() as connection:
            job = caller.own(find_job(connection, job_id))
        if job.result is None:
            raise RequestRefused(409, "no_result", "The job has delivered nothing.", evidence=f"it is {job.status}")
        return job.result

    return await run_in_threadpool(find)


async def _deliver(store: Store, wanted: StoredObject, request: Request, *, as_address: bool) -> Response:
    url = None
    if can_sign(store):
        url = (await run_in_threadpool(sign_download, store, wanted.key, expires_s=_SIGNED_S)).url
    if as_address:
        return answer(OutputAddress(url=url))
    if url is not None:
        return RedirectResponse(url, 307)
    info = await store.calls.stat(wanted.key)
    tag = f'"{(info.etag or wanted.sha256).strip(chr(34))}"'
    headers = {
        "Accept-Ranges": "bytes", "ETag": tag, "Cache-Control": "private, no-cache",
        "Content-Disposition": disposition(PurePosixPath(wanted.key).name),
    }  # fmt: skip
    if request.headers.get("if-none-match") == tag:
        return Response(None, 304, headers)
    asked = request.headers.get("range")
    if asked is not None and request.headers.get("if-range", tag) == tag and (match := _RANGE.fullmatch(asked)):
        start, end = _bounds(match[1], match[2], info.size_bytes)
        if start >= end:
            unmet = {"Content-Range": f"bytes */{info.size_bytes}"}
            raise RequestRefused(416, "no_such_range", "There is no such range.", headers=unmet)
        headers |= {"Content-Range": f"bytes {start}-{end - 1}/{info.size_bytes}", "Content-Length": str(end - start)}
        return StreamingResponse(_blocks(store, info, start, end), 206, headers, wanted.content_type)
    headers["Content-Length"] = str(info.size_bytes)
    return StreamingResponse(_blocks(store, info, 0, info.size_bytes), 200, headers, wanted.content_type)


def disposition(name: str) -> str:
    """Return the header that makes a browser save a file under a name, whatever is in it."""
    safe = safe_name(name)
    plain = safe.encode("ascii", "replace").decode().replace("?", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(safe, safe='')}"


def _bounds(first: str, last: str, size_bytes: int) -> tuple[int, int]:
    """Return where a range begins and where it has ended; nothing of it is there if the first is not smaller."""
    if not first:  # so many from the end
        return (max(size_bytes - int(last), 0), size_bytes) if last else (0, 0)
    if last and int(last) < int(first):
        return 0, 0
    return int(first), min(int(last) + 1, size_bytes) if last else size_bytes


async def _blocks(store: Store, info: ObjectInfo, start: int, end: int) -> AsyncIterator[bytes]:
    for at in range(start, end, _BLOCK_BYTES):
        yield await store.calls.read(info.key, at, min(at + _BLOCK_BYTES, end), info.etag)
