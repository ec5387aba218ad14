"""Quotes as jobs: what is asked for, what was found out, and what of it stands for a job that follows."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from reelpress.facts.prediction import Predicted
from reelpress.facts.values import Value
from reelpress.jobs.database import Database
from reelpress.jobs.model import Job, JobSpec
from reelpress.jobs.reading import details_of, find_job
from reelpress.jobs.submission import JobRefused, NewJob, Submission, submit_new
from reelpress.quoting.model import Quote


class QuoteDetails(Value, frozen=True, kw_only=True):
    """The quote, once it is made."""

    quote: Quote


def submit_quote(
    database: Database,
    spec: JobSpec,
    *,
    user_id: str,
    now: float,
    idempotency_key: str | None = None,
    max_queued: int = 1 << 31,
) -> Submission:
    """Have a quote made; somebody waits for it, so it goes before jobs. Errors as those of a job's submission."""
    new = NewJob(spec=spec, kind="quote", priority="high")
    return submit_new(
        database, new, user_id=user_id, now=now, idempotency_key=idempotency_key, max_queued=max_queued
    )  # fmt: skip


def quote_of(connection: Connection, job_id: str) -> Quote | None:
    """Return what a job of kind quote found out; ``None`` while it has not."""
    found = details_of(connection, [job_id], QuoteDetails).get(job_id)
    return None if found is None else found.quote


def check_quote(connection: Connection, quote_id: str, *, user_id: str | None) -> Job:
    """Return a quote that a job may name: the caller's (``None``: anybody's). Raises :class:`JobRefused`."""
    job = find_job(connection, quote_id)
    if job is None or job.kind != "quote" or user_id not in (None, job.user_id):
        raise JobRefused("not_found", "There is no such quote.", evidence=quote_id)
    if job.status != "done":
        raise JobRefused("quote_not_ready", "The quote is not made.", evidence=f"it is {job.status}")
    return job


def predicted_by(
    connection: Connection, quote_id: str, codec: str, *, may_use_gpu: bool, of_bytes: int
) -> Predicted | None:
    """Return what a quote said of a job, or ``None`` where it says nothing of such a one, or is of another input."""
    quote = quote_of(connection, quote_id)
    if quote is None or quote.size_bytes != of_bytes:
        return None
    return quote.of_job(codec, may_use_gpu=may_use_gpu)
