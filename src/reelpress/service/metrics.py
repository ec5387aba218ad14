"""What every request leaves: a count, a time, a line in the log, and a span of those that ask for work."""

from __future__ import annotations

import logging
import time

from opentelemetry.trace import SpanKind
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reelpress.observe.telemetry import Telemetry
from reelpress.observe.tracing import asked_with, fail, traceparent_in

_LOG = logging.getLogger("reelpress.access")
_QUIET = frozenset({"/health", "/ready", "/metrics"})


class CountedRequests:
    """Counts and logs what is answered; counts by the route's form: an id in a label would be a series for each job."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self._app, self._telemetry = app, telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        header = dict(scope["headers"]).get(b"traceparent", b"").decode("latin-1")
        traceparent = traceparent_in(header)
        with asked_with(traceparent):
            if scope["method"] == "POST":  # all that makes jobs, and no stream
                with self._telemetry.span("POST", parent=traceparent, role=SpanKind.SERVER) as span:
                    status = await self._pass_on(scope, receive, send)
                    span.update_name(f"POST {_route_of(scope)}")
                    span.set_attributes({"http.route": _route_of(scope), "http.response.status_code": status})
                    if status >= 500:
                        fail(span, str(status))
            else:
                await self._pass_on(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> int:
        began, status = time.perf_counter(), 0

        async def counting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status, route, waited_s = message["status"], _route_of(scope), time.perf_counter() - began
                count = self._telemetry.instruments
                count.add("reelpress_http_requests_total", method=scope["method"], route=route, status=str(status))
                count.record("reelpress_http_first_byte_seconds", waited_s, route=route)
                level = logging.DEBUG if route in _QUIET else logging.INFO
                said = {"user": scope.get("state", {}).get("user_id"), "ms": round(waited_s * 1000, 1)}
                # the path without its query, which may be a signature
                _LOG.log(level, "%s %s %d", scope["method"], scope["path"], status, extra=said)
            await send(message)

        await self._app(scope, receive, counting)
        return status


def _route_of(scope: Scope) -> str:
    return str(getattr(scope.get("route"), "path", "none"))
