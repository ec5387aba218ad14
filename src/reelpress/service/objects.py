"""Objects of the store as answers of this service: whole or in ranges, with an ETag, to look at or to save."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response, StreamingResponse

from reelpress.facts.values import Value
from reelpress.jobs.clip_model import StoredObject
from reelpress.service.problems import RequestRefused
from reelpress.storage.calls import ObjectInfo
from reelpress.storage.keys import safe_name
from reelpress.storage.signing import can_sign, sign_download
from reelpress.storage.store import Store

AsAddress = Annotated[
    bool, Query(description="Answer with the address in the store: pages cannot send a key along with what they play.")
]
_BLOCK_BYTES = 2**20
_SIGNED_S = 3600
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
_BYTES = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
OBJECT_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The object.", **_BYTES},
    206: {"description": "A range of it.", **_BYTES},
    304: {"description": "It is what you have."},
    416: {"description": "There is no such range."},
}


class OutputAddress(Value, frozen=True, kw_only=True):
    """Where an object is in the store: a secret, good for an hour. ``None`` where the service itself has to send it."""

    url: str | None


async def address_of(store: Store, wanted: StoredObject) -> str | None:
    """Return a signed address of an object, or ``None`` where it has none. Raises :class:`StorageError`."""
    if not can_sign(store, wanted.key):
        return None
    return (await run_in_threadpool(sign_download, store, wanted.key, expires_s=_SIGNED_S)).url


async def stream_object(
    store: Store, wanted: StoredObject, request: Request, *, save_as: str | None = None
) -> Response:
    """Answer with an object, or the range of it that a request asks for; ``save_as`` has browsers save it.

    Raises :class:`RequestRefused` 416, :class:`StorageError`.
    """
    info = await store.calls.stat(wanted.key)
    tag = f'"{(info.etag or wanted.sha256).strip(chr(34))}"'
    headers = {"Accept-Ranges": "bytes", "ETag": tag, "Cache-Control": "private, no-cache"}
    if save_as is not None:
        headers["Content-Disposition"] = disposition(save_as)
    if request.headers.get("if-none-match") == tag:
        return Response(None, 304, headers)
    asked = request.headers.get("range")
    if asked is not None and request.headers.get("if-range", tag) == tag and (match := _RANGE.fullmatch(asked)):
        start, end = _bounds(match[1], match[2], info.size_bytes)
        if start >= end:
            unmet = {"Content-Range": f"bytes */{info.size_bytes}"}
            raise RequestRefused(416, "no_such_range", "There is no such range.", headers=unmet)
        headers |= {"Content-Range": f"bytes {start}-{end - 1}/{info.size_bytes}", "Content-Length": str(end - start)}
        return StreamingResponse(blocks_of(store, info, start, end), 206, headers, wanted.content_type)
    headers["Content-Length"] = str(info.size_bytes)
    return StreamingResponse(blocks_of(store, info, 0, info.size_bytes), 200, headers, wanted.content_type)


def disposition(name: str, *, inline: bool = False) -> str:
    """Return the header that makes a browser save a file under a name, whatever is in it, or ``inline`` show it."""
    safe = safe_name(name)
    plain = safe.encode("ascii", "replace").decode().replace("?", "_")
    how = "inline" if inline else "attachment"
    return f"{how}; filename=\"{plain}\"; filename*=UTF-8''{quote(safe, safe='')}"


async def blocks_of(store: Store, info: ObjectInfo, start: int, end: int) -> AsyncIterator[bytes]:
    """Yield the bytes from ``start`` to before ``end`` of an object; one that was replaced meanwhile is an error."""
    for at in range(start, end, _BLOCK_BYTES):
        yield await store.calls.read(info.key, at, min(at + _BLOCK_BYTES, end), info.etag)


def _bounds(first: str, last: str, size_bytes: int) -> tuple[int, int]:
    """Return where a range begins and where it has ended; nothing of it is there if the first is not smaller."""
    if not first:  # so many from the end
        return (max(size_bytes - int(last), 0), size_bytes) if last else (0, 0)
    if last and int(last) < int(first):
        return 0, 0
    return int(first), min(int(last) + 1, size_bytes) if last else size_bytes
