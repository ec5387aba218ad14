"""``POST /events/storage``: a video that was put into the bucket becomes a job, once, however often it is told of.

Google's senders take every answer but 2xx for "try again", for days. So what no retry mends is answered 204 to them,
with the reason in a header and in the log; anybody else who sends the same hears a problem. See docs/firebase.md.
"""

from __future__ import annotations

import hashlib
import logging
import time
from functools import partial
from pathlib import PurePosixPath
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from fastapi.security import HTTPAuthorizationCredentials

from reelpress.errors import UsageError
from reelpress.facts.values import Value
from reelpress.jobs.house import House
from reelpress.jobs.model import JobInput, JobSpec, Status
from reelpress.jobs.submission import submit
from reelpress.service.access import BEARER, KEY_HEADER, Caller, HouseOf, service_account_or_caller
from reelpress.service.answers import answer, documented
from reelpress.service.oidc import Verifier, fetch_jwks_at, is_iam_checked
from reelpress.service.paging import wake
from reelpress.service.problems import RequestRefused
from reelpress.service.storage_events import Ignored, NewObject, input_of_event, read_event

router = APIRouter(tags=["push"])
_LOG = logging.getLogger("reelpress.service")
_REASON = "Reelpress-Reason"


class EventTaken(Value, frozen=True, kw_only=True):
    """The job that an object became; ``is_new`` is false where an earlier delivery made it."""

    job: str
    status: Status
    is_new: bool


def events_verifier_of(house: House) -> Verifier | None:
    """Return what checks the tokens of those who send events, where settings say whose.

    Raises :class:`UsageError` for half of it.
    """
    settings = house.settings
    audience, account = settings.events_audience, settings.events_service_account
    if audience is None and account is None:
        return None
    if audience is None or account is None:
        raise UsageError("REELPRESS_EVENTS_AUDIENCE and REELPRESS_EVENTS_SERVICE_ACCOUNT are set together, or neither.")
    issuer = settings.push_issuer
    return Verifier(
        audience=(audience,), email=account, issuers=(issuer, issuer.removeprefix("https://")),
        jwks_url=settings.push_jwks_url, fetch_jwks=partial(fetch_jwks_at, allow_private=settings.allow_private_urls),
        iam_checked=is_iam_checked(settings),
    )  # fmt: skip


def _sender(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)],
    header: Annotated[str | None, Depends(KEY_HEADER)],
) -> Caller | None:
    return service_account_or_caller(request, request.app.state.events_verifier, bearer, header)


@router.post(
    "/events/storage",
    response_class=Response,
    responses=documented(
        {200: ("It is a job, now or since an earlier delivery.", EventTaken), 204: ("It asks for nothing.", None)},
        problems={400: "It is no such event; to Google's senders 204."},
    ),
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}},
)
async def take_storage_event(
    caller: Annotated[Caller | None, Depends(_sender)], house: HouseOf, request: Request
) -> Response:
    """Take an event of Eventarc's or Pub/Sub's about a new object of the store."""
    try:
        new = read_event(request.headers, await request.body())
    except RequestRefused as refused:
        if caller is not None:
            raise
        _LOG.warning("an event cannot be read and is let go: %s", refused.evidence)
        return Response(status_code=204, headers={_REASON: refused.evidence or refused.what})
    if isinstance(new, Ignored):
        return Response(status_code=204, headers={_REASON: new.reason})
    done = await run_in_threadpool(_submit, house, caller, new)
    if isinstance(done, Ignored):
        return Response(status_code=204, headers={_REASON: done.reason})
    if done.is_new:
        wake(request)
    return answer(done)


def _submit(house: House, caller: Caller | None, new: NewObject) -> EventTaken | Ignored:
    settings = house.settings
    found = input_of_event(
        new, store_url=house.store.url, folder=settings.events_folder, endings=settings.events_endings
    )  # fmt: skip
    if isinstance(found, Ignored):
        return found
    if caller is not None and not (caller.may("write") and caller.sees in (None, found.user_id)):
        raise RequestRefused(403, "scope_needed", "This key may not make jobs for this user.")
    generation = hashlib.sha256(f"{new.bucket}\0{new.name}\0{new.generation}".encode()).hexdigest()
    spec = JobSpec(
        input=JobInput(kind="object", value=found.key, name=PurePosixPath(found.key).name),
        labels={"generation": new.generation},
    )  # fmt: skip
    done = submit(
        house.database, spec, user_id=found.user_id, now=time.time(), idempotency_key=f"event:{generation}",
        max_queued=settings.max_queued,
    )  # fmt: skip
    _LOG.info("object %s is job %s", found.key, done.job.id, extra={"job": done.job.id, "user": found.user_id})
    return EventTaken(job=done.job.id, status=done.job.status, is_new=done.is_new)
