"""Where work belongs that is traced: a request says it by W3C's ``traceparent``, and a job keeps it for its workers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry.context import get_current
from opentelemetry.trace import INVALID_SPAN, Span, Status, StatusCode, Tracer, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from reelpress.events import AttemptFailed, AttemptStarted, Checked, Event
from reelpress.receipt import Receipt

W3C = TraceContextTextMapPropagator()
# w3.org/TR/trace-context: version, trace, parent, flags; zeros are no ids, and ff is no version.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_asked_with: ContextVar[str | None] = ContextVar("reelpress_traceparent", default=None)


def traceparent_in(header: str | None) -> str | None:
    """Return what a header says if it makes sense; strangers write it."""
    return header if header is not None and _TRACEPARENT.fullmatch(header) else None


@contextmanager
def asked_with(traceparent: str | None) -> Iterator[None]:
    """Remember what a request carried while it is answered, for jobs that it submits."""
    token = _asked_with.set(traceparent)
    try:
        yield
    finally:
        _asked_with.reset(token)


def traceparent_now() -> str | None:
    """Return where work belongs that is begun now: to the span around this, else to what the request carried."""
    carrier: dict[str, str] = {}
    W3C.inject(carrier)
    return carrier.get("traceparent") or _asked_with.get()


def fail(span: Span, why: str) -> None:
    """Say of a span that what it traces went wrong; ``why`` is a code or class, no text of users."""
    if span.is_recording():
        span.set_status(Status(StatusCode.ERROR, why))


class AttemptSpans:
    """Makes a span of each attempt of an engine out of its events, inside the span around this object's making."""

    def __init__(self, tracer: Tracer | None) -> None:
        self._tracer, self._context, self._around = tracer, get_current(), get_current_span()
        self._span: Span = INVALID_SPAN

    def note(self, event: Event) -> None:
        """Take an event in, whatever thread it comes from."""
        if self._tracer is None:
            return
        if isinstance(event, AttemptStarted):
            self._span.end()
            said: dict[str, str | int] = {
                "reelpress.encoder": event.encoder,
                "reelpress.number": event.number,
                "reelpress.why": event.why,
            }
            if event.gpu is not None:
                said["reelpress.gpu"] = event.gpu
            self._span = self._tracer.start_span(f"attempt {event.encoder}", self._context, attributes=said)
        elif isinstance(event, Checked):
            self._span.add_event("checked", {"failed": [g.name for g in event.gates if g.verdict == "failed"]})
        elif isinstance(event, AttemptFailed):
            fail(self._span, event.failure)
            self._span.end()
        elif isinstance(event, Receipt):
            self._span.end()
            # how long the engine probed, encoded and checked: what it does by itself has no events of its own
            self._around.set_attributes({f"reelpress.{stage.name}_s": stage.wall_s for stage in event.stages})
