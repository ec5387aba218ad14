"""``/v1/jobs``: submit, list, look at, cancel, do again."""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.responses import Response

from reelpress.facts.values import Value
from reelpress.jobs.changing import cancel, retry
from reelpress.jobs.ending import on_end
from reelpress.jobs.model import Job, Kind, Status
from reelpress.jobs.reading import count_jobs, find_job, list_jobs, receipt_of
from reelpress.jobs.spending import explained
from reelpress.jobs.submission import submit
from reelpress.service.access import HouseOf, Reader, Writer
from reelpress.service.answers import answer, documented
from reelpress.service.paging import before_cursor, cursor_of, wake
from reelpress.service.problems import not_found
from reelpress.service.requests import spec_of
from reelpress.service.schemas import JobShape

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])
JobId = Annotated[str, Path(pattern="^[A-Za-z0-9_-]{1,64}$", examples=["job_019a9f6c1e2a5d0b3c4f8e7a"])]
IdempotencyKey = Annotated[
    str | None,
    Header(pattern="^[\\x21-\\x7e]{1,200}$", description="The same key of the same user finds the same job."),
]


class JobPage(Value, frozen=True, kw_only=True):
    """Jobs, the newest first. ``next_cursor`` leads to older ones; ``counts`` are of all the caller sees, by status."""

    jobs: tuple[Job, ...]
    next_cursor: str | None
    counts: dict[str, int]


@router.post(
    "",
    response_class=Response,
    status_code=201,
    responses=documented(
        {201: ("The job was taken.", Job), 200: ("The key stands for this job, taken earlier.", Job)},
        problems={409: "The upload is not complete."},
    ),
)
def submit_job(
    shape: JobShape,
    caller: Writer,
    house: HouseOf,
    request: Request,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Submit a job; it starts as soon as a worker is free."""
    spec = spec_of(shape, caller, house, request.app.state.encoding)
    done = submit(
        house.database, spec, user_id=caller.user_id, now=time.time(), priority=shape.priority,
        idempotency_key=idempotency_key, max_queued=house.settings.max_queued,
    )  # fmt: skip
    wake(request)
    location = {"Location": f"/v1/jobs/{done.job.id}"}
    return answer(done.job, status=201 if done.is_new else 200, headers=location)


@router.get("", response_class=Response, responses=documented({200: ("Jobs.", JobPage)}))
def read_jobs(
    caller: Reader,
    house: HouseOf,
    status: Annotated[list[Status], Query(max_length=8, description="Only these.")] = [],  # noqa: B006 - never changed
    kind: Annotated[Kind | Literal["all"], Query(description="Only jobs of this kind.")] = "compress",
    user: Annotated[str | None, Query(pattern="^[^\\x00-\\x1f]{1,128}$", description="One user's; for admin.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(max_length=200, description="next_cursor of the page before.")] = None,
) -> Response:
    """List jobs."""
    before = None if cursor is None else before_cursor(cursor)
    sees = user if caller.sees is None else caller.sees
    only = None if kind == "all" else kind
    with house.database.reading() as connection:
        jobs = list_jobs(connection, user_id=sees, kind=only, statuses=status, before=before, limit=limit + 1)
        counts = count_jobs(connection, user_id=sees, kind=only)
        jobs = explained(connection, jobs, house.settings.budget, now=time.time())
    more, jobs = len(jobs) > limit, jobs[:limit]
    return answer(JobPage(jobs=tuple(jobs), next_cursor=cursor_of(jobs[-1]) if more else None, counts=counts))


@router.get("/{job_id}", response_class=Response, responses=documented({200: ("The job.", Job)}))
def read_job(job_id: JobId, caller: Reader, house: HouseOf) -> Response:
    """Look at one job."""
    with house.database.reading() as connection:
        job = caller.own(find_job(connection, job_id))
        return answer(*explained(connection, [job], house.settings.budget, now=time.time()))


@router.post(
    "/{job_id}/cancel",
    response_class=Response,
    responses=documented({200: ("The job: cancelled, or about to be, or finished before.", Job)}),
)
def cancel_job(job_id: JobId, caller: Writer, house: HouseOf, request: Request) -> Response:
    """Cancel a job; a finished one stays as it is."""
    job = cancel(
        house.database, job_id, now=time.time(), user_id=caller.sees, on_end=on_end(house)
    )  # fmt: skip
    wake(request)
    return answer(job)


@router.post(
    "/{job_id}/retry",
    response_class=Response,
    responses=documented({200: ("The job, queued again.", Job)}, problems={409: "It is not finished, or done."}),
)
def retry_job(job_id: JobId, caller: Writer, house: HouseOf, request: Request) -> Response:
    """Do a job again that failed, died or was cancelled, under the same id."""
    job = retry(house.database, job_id, now=time.time(), user_id=caller.sees)
    wake(request)
    return answer(job)


_RECEIPT: dict[int | str, dict[str, Any]] = {
    200: {"description": "The receipt (docs/json.md).", "content": {"application/json": {"schema": {"type": "object"}}}}
}


@router.get("/{job_id}/receipt", response_class=Response, responses=documented({}) | _RECEIPT)
def read_receipt(job_id: JobId, caller: Reader, house: HouseOf) -> Response:
    """Get the receipt of a job that came as far as that."""
    with house.database.reading() as connection:
        caller.own(find_job(connection, job_id))
        receipt = receipt_of(connection, job_id)
    if receipt is None:
        not_found("The job has no receipt.")
    disposition = {"Content-Disposition": f'inline; filename="{job_id}.receipt.json"'}
    return Response(receipt, 200, disposition, "application/json")
