"""What every request meets first: bounds on its body, in bytes and in time, and headers that keep browsers strict."""

from __future__ import annotations

import asyncio
import time

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

JSON_LIMIT_BYTES = 64 * 1024
# Drafts with the framing and the captions of a hundred clips; a file of captions.
EXPORT_LIMIT_BYTES = 16 * 2**20
CAPTIONS_LIMIT_BYTES = 2 * 2**20
_BODY_S = 15.0  # for a body of JSON
_SILENCE_S = 30.0  # between two pieces of a segment
_SLOWEST_BYTES_PER_S = 16_000
_API_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": _API_POLICY,
    "Cache-Control": "no-store",
}


class StrictHeaders:
    """Adds the headers that an answer does not set itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


class BoundedBodies:
    """Ends requests whose body is too long (413) or too slow (408: a silence, or below 16 kB/s).

    Segments of uploads are bounded in length by their route, which knows how long each is.
    """

    def __init__(self, app: ASGIApp, *, body_s: float = _BODY_S, silence_s: float = _SILENCE_S) -> None:
        self._app, self._body_s, self._silence_s = app, body_s, silence_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = _limit_of(scope["method"], scope["path"])
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        began, got_bytes, is_whole = time.monotonic(), 0, False

        async def bounded() -> Message:
            nonlocal got_bytes, is_whole
            if is_whole:  # whoever waits now waits for the client to leave
                return await receive()
            if limit is not None and announced.isdigit() and int(announced) > limit:
                raise _too_long(limit)
            allowed_s = self._body_s + got_bytes / _SLOWEST_BYTES_PER_S - (time.monotonic() - began)
            try:
                async with asyncio.timeout(min(self._silence_s, max(allowed_s, 0))):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, "The request came too slowly", {"Connection": "close"}) from None
            got_bytes += len(message.get("body", b""))
            if limit is not None and got_bytes > limit:
                raise _too_long(limit)
            is_whole = not message.get("more_body", False)
            return message

        await self._app(scope, bounded, send)


def _limit_of(method: str, path: str) -> int | None:
    if method == "PUT" and path.startswith("/v1/uploads/"):
        return None
    if method in ("PUT", "POST") and path.startswith("/v1/exports"):
        return EXPORT_LIMIT_BYTES
    if method == "PUT" and path.startswith("/v1/videos/") and path.endswith("/captions"):
        return CAPTIONS_LIMIT_BYTES
    return JSON_LIMIT_BYTES


def _too_long(limit: int) -> HTTPException:
    # the rest of the body is not worth reading, so the connection ends
    return HTTPException(413, f"The body is longer than {limit} bytes", {"Connection": "close"})
