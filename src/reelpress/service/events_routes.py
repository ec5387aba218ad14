"""What happens to jobs, as a stream (server-sent events) or asked for now and then."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from fastapi.sse import EventSourceResponse

from reelpress.facts.values import Value
from reelpress.jobs.house import House
from reelpress.jobs.model import JobEvent
from reelpress.jobs.reading import events_since, find_job
from reelpress.service.access import Caller, HouseOf, Reader
from reelpress.service.answers import answer, documented
from reelpress.service.jobs_routes import JobId

router = APIRouter(prefix="/v1", tags=["events"])
_PAGE = 1000
_LastEventId = Annotated[str | None, Header(max_length=40, description="Go on after this event, as browsers send it.")]
_Poll = Annotated[
    int | None, Query(ge=0, le=2**53, description="Answer at once, with JSON: the events with greater numbers.")
]
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # nginx would hold a stream back
_STREAM = {"text/event-stream": {"schema": {"type": "string"}}}


class EventPage(Value, frozen=True, kw_only=True):
    """Events, the oldest first; ``last`` is where to go on."""

    events: tuple[JobEvent, ...]
    last: int


_ANSWERS = documented(
    {200: ("A stream: each event with its number as id, `progress` without one; or, with poll, JSON.", EventPage)}
)
_ANSWERS[200]["content"] = _STREAM | _ANSWERS[200]["content"]


@router.get("/events", response_class=Response, responses=_ANSWERS)
async def watch_jobs(
    request: Request,
    caller: Reader,
    house: HouseOf,
    job: Annotated[list[JobId], Query(max_length=200, description="Only these jobs; all you see if left out.")] = [],  # noqa: B006
    poll: _Poll = None,
    last_event_id: _LastEventId = None,
) -> Response:
    """Watch many jobs over one stream."""
    return await _watch(request, caller, house, job, poll, last_event_id)


@router.get("/jobs/{job_id}/events", response_class=Response, responses=_ANSWERS)
async def watch_job(
    request: Request,
    caller: Reader,
    house: HouseOf,
    job_id: JobId,
    poll: _Poll = None,
    last_event_id: _LastEventId = None,
) -> Response:
    """Watch one job from its beginning; the stream stays open when the job ends, for it may be done again."""

    def find() -> None:
        with house.database.reading() as connection:
            caller.own(find_job(connection, job_id))

    await run_in_threadpool(find)
    return await _watch(request, caller, house, [job_id], poll, last_event_id)


async def _watch(
    request: Request, caller: Caller, house: House, jobs: list[str], poll: int | None, last_event_id: str | None
) -> Response:
    if poll is not None:
        return answer(await run_in_threadpool(_page, house, caller, jobs, poll))
    after = int(last_event_id) if last_event_id and last_event_id.isascii() and last_event_id.isdigit() else None
    if after is not None:
        after = min(after, 2**53)
    stream = request.app.state.feed.stream(caller.sees, jobs, after)
    return EventSourceResponse(stream, headers=_HEADERS)


def _page(house: House, caller: Caller, jobs: list[str], after: int) -> EventPage:
    with house.database.reading() as connection:
        events = events_since(connection, after, user_id=caller.sees, jobs=jobs, limit=_PAGE)
    return EventPage(events=tuple(events), last=events[-1].seq if events else after)
