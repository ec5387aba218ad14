"""``/v1/quotes``: what a job would come to, before it is done."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from reelpress.facts.values import Value
from reelpress.jobs.model import Job, JobError, Stage, Status
from reelpress.jobs.quotes import quote_of, submit_quote
from reelpress.jobs.reading import find_job
from reelpress.quoting.model import Quote
from reelpress.service.access import HouseOf, Reader, Writer
from reelpress.service.answers import answer, documented
from reelpress.service.jobs_routes import IdempotencyKey
from reelpress.service.paging import wake
from reelpress.service.problems import not_found
from reelpress.service.requests import quote_spec_of
from reelpress.service.schemas import QuoteShape

router = APIRouter(prefix="/v1/quotes", tags=["quotes"])
QuoteId = Annotated[str, Path(pattern="^[A-Za-z0-9_-]{1,64}$", examples=["quo_019a9f6c1e2a5d0b3c4f8e7a"])]


class QuoteJob(Value, frozen=True, kw_only=True):
    """A quote under way, or made: ``quote`` once ``status`` is ``done``, ``error`` where there is none."""

    id: str
    status: Status
    stage: Stage
    percent: float
    quote: Quote | None
    error: JobError | None


@router.post(
    "",
    response_class=Response,
    status_code=201,
    responses=documented(
        {201: ("It is being made.", QuoteJob), 200: ("The key stands for this quote, asked for earlier.", QuoteJob)},
        problems={409: "The upload is not complete."},
    ),
)
def ask_for_quote(
    shape: QuoteShape, caller: Writer, house: HouseOf, request: Request, idempotency_key: IdempotencyKey = None
) -> Response:
    """Have found out what a job would come to: size, VMAF, seconds and dollars, with intervals."""
    spec = quote_spec_of(shape, caller, house, request.app.state.encoding)
    done = submit_quote(
        house.database, spec, user_id=caller.user_id, now=time.time(), idempotency_key=idempotency_key,
        max_queued=house.settings.max_queued,
    )  # fmt: skip
    wake(request)
    location = {"Location": f"/v1/quotes/{done.job.id}"}
    with house.database.reading() as connection:
        return answer(
            _shown(done.job, quote_of(connection, done.job.id)), status=201 if done.is_new else 200, headers=location
        )


@router.get("/{quote_id}", response_class=Response, responses=documented({200: ("It.", QuoteJob)}))
def read_quote(quote_id: QuoteId, caller: Reader, house: HouseOf) -> Response:
    """Look at a quote; `POST /v1/jobs/{id}/cancel` stops one that is being made."""
    with house.database.reading() as connection:
        job = find_job(connection, quote_id)
        if job is None or job.kind != "quote" or caller.sees not in (None, job.user_id):
            not_found("There is no such quote.")
        return answer(_shown(job, quote_of(connection, quote_id)))


def _shown(job: Job, quote: Quote | None) -> QuoteJob:
    return QuoteJob(
        id=job.id, status=job.status, stage=job.stage, percent=job.percent, quote=quote, error=job.error
    )  # fmt: skip
