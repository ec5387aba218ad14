"""``POST /process-video``: one job inside one request, as Cloud Tasks delivers it, again and again until it hears 2xx.

The request waits while the job runs; its work is a job like any other, so that a repeat finds it. What no retry can
mend is answered 200 with ``failed`` to Cloud Tasks, which would retry any other answer for days, and as a problem to
anybody else. See docs/push.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import time
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from reelpress.errors import UsageError
from reelpress.facts.values import Value
from reelpress.jobs.changing import retry
from reelpress.jobs.claiming import FencedOff
from reelpress.jobs.ending import on_end
from reelpress.jobs.house import House
from reelpress.jobs.liveness import workers_alive
from reelpress.jobs.model import Job, JobError, JobInput, JobResult, JobSpec
from reelpress.jobs.owners import user_prefix
from reelpress.jobs.reading import get_job
from reelpress.jobs.spending import budget_now
from reelpress.jobs.submission import submit
from reelpress.jobs.task import Task
from reelpress.jobs.undelivered import park_undelivered
from reelpress.jobs.work import hand_over
from reelpress.jobs.worker import Worker
from reelpress.service.access import Caller, HouseOf
from reelpress.service.answers import answer, documented
from reelpress.service.oidc import Verifier, fetch_jwks_at, is_iam_checked
from reelpress.service.problems import RequestRefused
from reelpress.service.push_sender import Sender, sender_of
from reelpress.storage.keys import check_key

router = APIRouter(tags=["push"])
_LOG = logging.getLogger("reelpress.service")
_LOOK_EVERY_S = 0.5
# Before the deadline at which Cloud Tasks hangs up: time to say why.
_MARGIN_S = 10.0
_BUSY_S, _RUNNING_S = 10, 20
_ANY = 1 << 31


class PushShape(BaseModel):
    """A video to process, as the upload service names it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"video_id": "v1", "r2_key": "uploads/v1.mov", "user_id": "u1"}]}
    )
    video_id: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
    r2_key: Annotated[str, Field(min_length=1, max_length=900)]
    user_id: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f]+$")]


class Pushed(Value, frozen=True, kw_only=True):
    """What became of a video. ``job`` is its id under ``/v1/jobs``; ``queued`` says that the workers have it now."""

    status: Literal["done", "failed", "queued"]
    video_id: str
    job: str
    result: JobResult | None = None
    error: JobError | None = None


def verifier_of(house: House) -> Verifier | None:
    """Return what checks Cloud Tasks' tokens, where settings say whose. Raises :class:`UsageError` for half of it."""
    settings = house.settings
    if settings.push_audience is None and settings.push_service_account is None:
        return None
    if settings.push_audience is None or settings.push_service_account is None:
        raise UsageError("REELPRESS_PUSH_AUDIENCE and REELPRESS_PUSH_SERVICE_ACCOUNT are set together, or neither.")
    issuer = settings.push_issuer
    return Verifier(
        audience=(settings.push_audience,), email=settings.push_service_account,
        issuers=(issuer, issuer.removeprefix("https://")), jwks_url=settings.push_jwks_url,
        fetch_jwks=partial(fetch_jwks_at, allow_private=settings.allow_private_urls),
        iam_checked=is_iam_checked(settings),
    )  # fmt: skip


@router.post(
    "/process-video",
    response_class=Response,
    responses=documented(
        {
            200: ("It is done; or, to Cloud Tasks alone, it failed in a way that no retry mends.", Pushed),
            202: ("The work takes longer than this request may: the workers have it now.", Pushed),
        },
        problems={
            422: "It failed, and no retry mends that.",
            429: "This instance has no room; Retry-After says when to ask again.",
            503: "It runs elsewhere, or failed in passing; Retry-After says when to ask again.",
        },
    ),
)
def process_video(
    shape: PushShape,
    who: Annotated[tuple[Sender, Caller | None], Depends(sender_of)],
    house: HouseOf,
    request: Request,
) -> Response:
    """Compress a video of the store, and answer when that is done."""
    sender, caller = who
    if caller is not None and not (caller.may("write") and caller.sees in (None, shape.user_id)):
        raise RequestRefused(403, "scope_needed", "This key may not process videos of this user.")
    if caller is not None and caller.sees is not None and not shape.r2_key.startswith(f"{user_prefix(shape.user_id)}/"):
        raise RequestRefused(404, "not_found", "There is no such object.")
    # the queue drops the task after its last delivery and tells nobody: then there must be a job that says it
    job = _job_of(house, shape, max_queued=_ANY if sender.is_last else house.settings.max_queued)
    try:
        return _done(house, request.app.state.worker, job, shape, sender)
    except RequestRefused as error:
        if not sender.is_last or error.status not in (429, 503):
            raise
    job = park_undelivered(house.database, job.id, deliveries=sender.tries + 1, now=time.time(), on_end=on_end(house))
    _LOG.error("task %s: job %s is %s after its last delivery", sender.task, job.id, job.status,
               extra={"job": job.id, "user": job.user_id})  # fmt: skip
    if job.status != "dead":
        return _answer(house, job, shape, sender)
    return answer(Pushed(status="failed", video_id=shape.video_id, job=job.id, error=job.error))


def _done(house: House, worker: Worker | None, job: Job, shape: PushShape, sender: Sender) -> Response:
    """Do a job, unless it is done or runs elsewhere, and answer. Raises :class:`RequestRefused` for another time."""
    until = time.monotonic() + sender.deadline_s - _MARGIN_S
    if job.status in ("failed", "dead", "cancelled") and job.error is not None and job.error.retryable:
        job = retry(house.database, job.id, now=time.time(), queue="push")
    if sender.task is not None:
        _LOG.info("task %s, try %d: job %s is %s", sender.task, sender.tries + 1, job.id, job.status,
                  extra={"job": job.id, "user": job.user_id})  # fmt: skip
    if job.status == "queued":
        task: Task | None = worker.take(job.id) if worker is not None else None
        job = _wait(house, job.id, task, until) if task is not None else _read(house, job.id)
        if task is None and job.status == "queued" and not _workers_have(house, job):
            _refuse_on_hold(house, job)
            raise _later(429, "no_room", "This instance has no room for the job now.", job, _BUSY_S)
    return _answer(house, job, shape, sender)


def _refuse_on_hold(house: House, job: Job) -> None:
    with house.database.reading() as connection:
        state = budget_now(connection, house.settings.budget, time.time())
    if state is not None and state.holds is not None:
        raise _later(503, "budget_spent", "The budget is spent; the job waits.", job, _RUNNING_S, evidence=state.holds)


def _job_of(house: House, shape: PushShape, *, max_queued: int) -> Job:
    check_key(shape.r2_key)
    spec = JobSpec(
        input=JobInput(kind="object", value=shape.r2_key), labels={"video_id": shape.video_id}, reuse=False
    )  # fmt: skip
    digest = hashlib.sha256(f"{shape.video_id}\0{shape.r2_key}".encode()).hexdigest()
    return submit(
        house.database, spec, user_id=shape.user_id, now=time.time(), origin="push",
        idempotency_key=f"push:{digest}", max_queued=max_queued,
    ).job  # fmt: skip


def _wait(house: House, job_id: str, task: Task, until: float) -> Job:
    """Wait for the job's end, as long as whoever pushed does; hand it to the workers if it is sure to take longer."""
    while not task.done.wait(_LOOK_EVERY_S):
        now = time.monotonic()
        eta_s = task.note.eta_s
        if (eta_s is not None and now + eta_s > until and _has_workers(house)) or now > until:
            return _hand_over(house, job_id, task) if _has_workers(house) else _read(house, job_id)
    return _read(house, job_id)


def _has_workers(house: House) -> bool:
    with house.database.reading() as connection:
        seen = workers_alive(connection, dead_after_s=house.settings.dead_after_s)
    return any(worker.kind == "worker" for worker in seen)


def _workers_have(house: House, job: Job) -> bool:
    # to 202 the task is deleted: somebody else has to be there for the job
    return job.queue == "pull" and job.status in ("queued", "running") and _has_workers(house)


def _hand_over(house: House, job_id: str, task: Task) -> Job:
    with contextlib.suppress(FencedOff):  # it has ended just now
        hand_over(house.database, task.claim, now=time.time())
        task.stop("drain")
        task.done.wait(_MARGIN_S / 2)
    return _read(house, job_id)


def _read(house: House, job_id: str) -> Job:
    with house.database.reading() as connection:
        return get_job(connection, job_id)


def _answer(house: House, job: Job, shape: PushShape, sender: Sender) -> Response:
    if job.status == "done":
        return answer(Pushed(status="done", video_id=shape.video_id, job=job.id, result=job.result))
    if _workers_have(house, job):
        return answer(Pushed(status="queued", video_id=shape.video_id, job=job.id), status=202)
    if job.status in ("queued", "running"):
        hint = "For videos that take longer than the dispatch deadline, run reelpress worker beside this service."
        raise _later(503, "running", "The job is running.", job, _RUNNING_S, hint=hint)
    error = job.error or JobError(code=job.status, text=f"The job was {job.status}.")
    if error.retryable and job.status != "cancelled":
        raise _later(503, error.code, error.text, job, _RUNNING_S, evidence=error.evidence)
    if sender.is_cloud_tasks:
        return answer(Pushed(status="failed", video_id=shape.video_id, job=job.id, error=error))
    raise RequestRefused(422, error.code, error.text, evidence=error.evidence, hint=error.hint)


def _later(
    status: int, code: str, what: str, job: Job, after_s: int, *, evidence: str | None = None, hint: str | None = None
) -> RequestRefused:
    return RequestRefused(
        status, code, what, evidence=evidence or f"job {job.id}", hint=hint, headers={"Retry-After": str(after_s)}
    )
