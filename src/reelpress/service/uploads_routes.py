"""``/v1/uploads``: files in segments, straight into the store where it signs addresses, else by the service.

A segment that broke off is sent again, alone; what is missing can be asked at any time.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from msgspec import field

from reelpress.facts.values import Value
from reelpress.jobs.house import House
from reelpress.jobs.uploads import (
    Upload,
    add_upload,
    complete_upload,
    count_open,
    find_upload,
    forget_upload,
    reopen_upload,
)
from reelpress.service.access import Caller, HouseOf, Reader, Writer
from reelpress.service.answers import answer, documented
from reelpress.service.problems import RequestRefused, not_found
from reelpress.service.schemas import UploadShape
from reelpress.storage.keys import safe_name
from reelpress.storage.segments import discard, missing_segments, plan_upload, put_segment, sign_segment
from reelpress.storage.signing import can_sign
from reelpress.storage.store import Store

router = APIRouter(prefix="/v1/uploads", tags=["uploads"])
_UploadId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
_MOST_OPEN = 1000
_MOST_ADDRESSES = 100
_SIGNED_S = 24 * 3600


class SegmentAddress(Value, frozen=True, kw_only=True):
    """Where and how to send a segment: with ``headers``, and to one's own service with the API key as well.

    ``url`` is a path of this service, or a whole address of the store's, good until ``expires_at``, and a secret.
    """

    number: int
    size_bytes: int
    url: str
    method: Literal["PUT"] = "PUT"
    headers: dict[str, str] = field(default_factory=dict)
    expires_at: datetime | None = None


class UploadState(Value, frozen=True, kw_only=True):
    """A file to come in ``count`` segments of ``segment_bytes``, numbered from 0, the last one shorter.

    ``missing`` are the numbers of those not there; ``send`` says how to send the first hundred of them.
    """

    id: str
    name: str
    size_bytes: int
    segment_bytes: int
    count: int
    sha256: str | None
    is_complete: bool
    missing: tuple[int, ...]
    send: tuple[SegmentAddress, ...]


@router.post("", response_class=Response, status_code=201, responses=documented({201: ("Send this.", UploadState)}))
def begin_upload(shape: UploadShape, caller: Writer, house: HouseOf) -> Response:
    """Begin an upload."""
    limit = house.settings.max_upload_bytes
    if shape.size_bytes > limit:
        raise RequestRefused(
            413, "too_large", "The file is too large.", evidence=f"{shape.size_bytes} bytes, {limit} allowed"
        )
    plan = plan_upload(shape.size_bytes)
    upload = Upload(
        id=plan.upload_id, user_id=caller.user_id, name=safe_name(shape.name), size_bytes=plan.size_bytes,
        segment_bytes=plan.segment_bytes, sha256=shape.sha256.lower() if shape.sha256 else None, created_at=time.time(),
    )  # fmt: skip
    with house.database.writing() as connection:
        if count_open(connection, caller.user_id) >= _MOST_OPEN:
            raise RequestRefused(
                429, "too_many_uploads", "There are too many unfinished uploads.", evidence=f"{_MOST_OPEN}",
                hint="Complete or delete some.",
            )  # fmt: skip
        add_upload(connection, upload)
    return answer(_state(house.store, upload, list(range(plan.count))), status=201)


@router.get("/{upload_id}", response_class=Response, responses=documented({200: ("What is missing.", UploadState)}))
def read_upload(
    upload_id: _UploadId,
    caller: Reader,
    house: HouseOf,
    after: Annotated[int, Query(ge=-1, le=10_000, description="Say how to send segments after this one.")] = -1,
) -> Response:
    """Ask what is missing, and how to send it."""
    upload = _own(house, caller, upload_id)
    missing = [] if upload.completed_at else missing_segments(house.store, upload.plan)
    return answer(_state(house.store, upload, missing, after=after))


@router.put(
    "/{upload_id}/segments/{number}",
    status_code=204,
    response_class=Response,
    responses=documented({204: ("It is there.", None)}, problems={408: "It came too slowly.", 409: "Too short."}),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def send_segment(
    upload_id: _UploadId,
    number: Annotated[int, Path(ge=0, le=10_000)],
    caller: Writer,
    house: HouseOf,
    request: Request,
) -> Response:
    """Send a segment by the service; again is no error."""
    upload = await run_in_threadpool(_own, house, caller, upload_id)
    if upload.completed_at is not None:
        raise RequestRefused(409, "upload_complete", "The upload is complete.", hint="Begin another.")
    await put_segment(house.store, upload.plan, number, request.stream())
    return Response(status_code=204)


@router.post(
    "/{upload_id}/complete",
    response_class=Response,
    responses=documented({200: ("It is complete.", UploadState)}, problems={409: "Segments are missing."}),
)
def finish_upload(upload_id: _UploadId, caller: Writer, house: HouseOf) -> Response:
    """Say that all was sent; the content is compared with its hash when a job fetches it."""
    upload = _own(house, caller, upload_id)
    if upload.completed_at is None:
        missing = missing_segments(house.store, upload.plan)
        if missing:
            shown = ", ".join(map(str, missing[:20]))
            raise RequestRefused(
                409, "segments_missing", f"{len(missing)} segments are missing.", evidence=f"numbers {shown}",
                hint=f"GET /v1/uploads/{upload_id} says how to send them.",
            )  # fmt: skip
        with house.database.writing() as connection:
            complete_upload(connection, upload_id, now=time.time())
            upload = find_upload(connection, upload_id) or upload
    return answer(_state(house.store, upload, []))


@router.delete("/{upload_id}", status_code=204, response_class=Response, responses=documented({204: ("Gone.", None)}))
def delete_upload(upload_id: _UploadId, caller: Writer, house: HouseOf) -> Response:
    """Delete an upload with all that was sent; jobs that have yet to fetch it will fail."""
    upload = _own(house, caller, upload_id)
    with house.database.writing() as connection:
        reopen_upload(connection, upload_id)  # should deleting break off
    discard(house.store, upload.plan)
    with house.database.writing() as connection:
        forget_upload(connection, upload_id)
    return Response(status_code=204)


def _own(house: House, caller: Caller, upload_id: str) -> Upload:
    with house.database.reading() as connection:
        upload = find_upload(connection, upload_id)
    if upload is None or caller.sees not in (None, upload.user_id):
        not_found("There is no such upload.")
    return upload


def _state(store: Store, upload: Upload, missing: list[int], *, after: int = -1) -> UploadState:
    wanted = [number for number in missing if number > after][:_MOST_ADDRESSES]
    return UploadState(
        id=upload.id, name=upload.name, size_bytes=upload.size_bytes, segment_bytes=upload.segment_bytes,
        count=upload.plan.count, sha256=upload.sha256, is_complete=upload.completed_at is not None,
        missing=tuple(missing), send=tuple(_address(store, upload, number) for number in wanted),
    )  # fmt: skip


def _address(store: Store, upload: Upload, number: int) -> SegmentAddress:
    size_bytes = upload.plan.bytes_of(number)
    if not can_sign(store):
        return SegmentAddress(
            number=number, size_bytes=size_bytes, url=f"/v1/uploads/{upload.id}/segments/{number}"
        )  # fmt: skip
    signed = sign_segment(store, upload.plan, number, expires_s=_SIGNED_S)
    return SegmentAddress(
        number=number, size_bytes=size_bytes, url=signed.url, headers=signed.headers, expires_at=signed.expires_at
    )
