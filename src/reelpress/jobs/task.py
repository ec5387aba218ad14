"""One claim at work: the stages in order, each a durable step, and how it all ends."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Literal, NoReturn, TypeVar

import msgspec
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind
from sqlalchemy.exc import SQLAlchemyError

from reelpress.errors import Cancelled, InputError, ReelpressError
from reelpress.facts.values import Value, from_json, to_json
from reelpress.jobs.claiming import Claim, FencedOff
from reelpress.jobs.database import persist
from reelpress.jobs.encoding import Encoding
from reelpress.jobs.house import House
from reelpress.jobs.kinds import Delivered, work_of
from reelpress.jobs.model import TOGETHER, JobError, JobResult, Stage, percent_at
from reelpress.jobs.stages import patiently
from reelpress.jobs.telling import OnEnd
from reelpress.jobs.work import ProgressNote, begin_stage, finish, release
from reelpress.observe.tracing import fail
from reelpress.run.process import CancelToken

_LOG = logging.getLogger("reelpress.jobs")
T = TypeVar("T")
Why = Literal["user", "drain", "lost"]
# Runs a function as the durable step of a name: once it has returned, it is not run again for this workflow.
RunStep = Callable[[str, Callable[[], str]], str]


class LeftToOthers(BaseException):
    """Others go on with this job.

    No ``Exception``: those the workflow engine takes for how a step, or the workflow, ended. Past this one it writes
    nothing, and whoever resumes the workflow begins the step anew.
    """


class _Outcome(Value, frozen=True, kw_only=True):
    """What a step leaves in the database: errors are values, since they are told to whoever goes on, too."""

    value: msgspec.Raw = msgspec.Raw()
    error: JobError | None = None
    receipt: str | None = None
    cancelled: bool = False


class _Failed(Exception):  # noqa: N818 - carries the error of a step through the workflow
    def __init__(self, error: JobError | None, receipt: str | None) -> None:
        super().__init__(error.text if error else "cancelled")
        self.error, self.receipt = error, receipt


class Task:
    """A claim, and what this process does for it. Made by the worker, run in a thread of the workflow engine."""

    def __init__(self, house: House, encoding: Encoding, claim: Claim, *, on_end: OnEnd) -> None:
        self.house, self.claim, self._on_end = house, claim, on_end
        self.cancel = CancelToken()
        self.done = threading.Event()
        self._span: Span = INVALID_SPAN
        self._why: Why | None = None
        self._stage: Stage = claim.job.stage
        self._note = ProgressNote(claim=claim, percent=claim.job.percent, eta_s=None, speed=None)
        self._work = work_of(house, encoding, claim, self.cancel, self._on_share)

    @property
    def note(self) -> ProgressNote:
        """How far it is now."""
        return self._note

    def stop(self, why: Why) -> None:
        """Have the work stopped; the first reason counts, but for a lost claim, with which nothing may be written."""
        if self._why is None or why == "lost":
            self._why = why
        self.cancel.cancel()

    def run(self, step: RunStep) -> None:
        """Do the job to its end, whatever that is. Raises :class:`LeftToOthers` when others are to go on with it."""
        job = self.claim.job
        about: dict[str, str | float] = {"job": job.id, "kind": job.kind, "run": job.run, "attempt": job.attempts}
        telemetry = self.house.telemetry
        with telemetry.span("job", parent=self.claim.trace, role=SpanKind.CONSUMER, **about) as self._span:
            self._run_all(step)

    def _run_all(self, step: RunStep) -> None:
        try:
            self._run(step)
        except (FencedOff, SQLAlchemyError) as error:
            # the workflow engine does not wait for its database in every case; this worker takes the job up again
            _LOG.warning("%s leaves %s: %s", self.claim.worker, self.claim.job.id, type(error).__name__)
            self._leave_to_others()
        except Exception as error:  # noqa: BLE001 - the job must not look as if it went on
            self._finish("failed", error=_error_of(error, f"job {self.claim.job.id}"))
            self._work.clear()
        finally:
            self.cancel.cancel()
            self.done.set()

    def _run(self, step: RunStep) -> None:
        def do(stage: Stage, work: Callable[[], T], kind: type[T]) -> T:
            return self._step(step, stage, work, kind)

        try:
            self._deliver(step, self._work.run(do))
        except _Failed as failed:
            status: Literal["failed", "cancelled"] = "cancelled" if failed.error is None else "failed"
            self._finish(status, error=failed.error, receipt=failed.receipt)
            self._work.clear()

    def _deliver(self, step: RunStep, made: Delivered) -> None:
        def notify() -> str:
            with self.house.telemetry.span("notify", job=self.claim.job.id):
                try:
                    self._enter("notify")
                    self._finish("done", result=made.result, receipt=made.receipt, details=made.details)
                except (Cancelled, FencedOff, SQLAlchemyError):
                    self._leave_to_others()
            return ""

        step("notify", notify)
        self._work.clear()

    def _finish(
        self,
        status: Literal["done", "failed", "cancelled"],
        *,
        result: JobResult | None = None,
        error: JobError | None = None,
        receipt: str | None = None,
        details: Value | None = None,
    ) -> None:
        def write() -> None:
            finish(
                self.house.database, self.claim, status, now=time.time(), result=result, error=error, receipt=receipt,
                details=details, on_end=self._on_end,
            )  # fmt: skip

        if error is not None:
            fail(self._span, error.code)
        if result is not None and result.encoder is not None:
            self._span.set_attribute("reelpress.encoder", result.encoder)
        persist(write)

    def _step(self, step: RunStep, stage: Stage, work: Callable[[], T], kind: type[T]) -> T:
        def go() -> str:
            with self.house.telemetry.span(stage, job=claim.job.id) as span:
                return attempt(span)

        def attempt(span: Span) -> str:
            try:
                self._enter(stage)
                return _left(value=patiently(work, self.cancel))
            except (FencedOff, SQLAlchemyError) as error:
                # without a database nothing can be said of this job; it will be taken back when there is one
                _LOG.warning("%s leaves %s in stage %s: %s", claim.worker, claim.job.id, stage, error)
                self._leave_to_others()
            except Exception as error:  # noqa: BLE001 - a bug in one job must not take the worker with it
                # what goes wrong once the work is being stopped tells nothing
                if self.cancel.is_cancelled or isinstance(error, Cancelled):
                    if self._why != "user":
                        self._leave_to_others()
                    return _left(cancelled=True)
                found = _error_of(error, f"stage {stage} of {claim.job.id}")
                fail(span, found.code)
                receipt = error.receipt_json if isinstance(error, ReelpressError) else None
                return _left(error=found, receipt=receipt)

        claim = self.claim
        outcome = from_json(step(stage, go), _Outcome)
        if outcome.error is not None or outcome.cancelled:
            raise _Failed(outcome.error, outcome.receipt)
        return from_json(bytes(outcome.value), kind)

    def _enter(self, stage: Stage) -> None:
        if self.cancel.is_cancelled and self._why != "user":
            raise Cancelled("Stopped before the next stage.")
        self._stage = stage
        percent = percent_at(stage, 0.0, self._work.starts)
        self._show(percent, None, None)
        persist(
            lambda: begin_stage(self.house.database, self.claim, stage, percent, now=time.time()),
            give_up=lambda: self.cancel.is_cancelled,
        )

    def _on_share(self, stage: Stage, share: float, eta_s: float | None, speed: float | None) -> None:
        # from making to checking, and back where what was made did not pass and the next attempt begins
        if stage != self._stage and any({stage, self._stage} <= stages for stages in TOGETHER):
            self._enter(stage)
        self._show(percent_at(stage, share, self._work.starts), eta_s, speed)

    def _show(self, percent: float, eta_s: float | None, speed: float | None) -> None:
        percent = max(self._note.percent, percent)
        self._note = ProgressNote(claim=self.claim, percent=percent, eta_s=eta_s, speed=speed)

    def _leave_to_others(self) -> NoReturn:
        """Give the job back if it is still ours, and end the workflow here without a word of how it ended."""
        if self._why == "drain":
            try:
                release(self.house.database, self.claim, now=time.time(), why="drain", on_end=self._on_end)
            except Exception as error:  # noqa: BLE001 - then it is taken back as a dead worker's
                _LOG.warning("%s could not be handed back: %s", self.claim.job.id, type(error).__name__)
        raise LeftToOthers(self.claim.job.id)


def _left(**outcome: object) -> str:
    return to_json(outcome).decode()


def _error_of(error: Exception, where: str) -> JobError:
    if isinstance(error, ReelpressError):
        return job_error(error)
    if isinstance(error, OSError):
        text = "A file could not be read or written."
        return JobError(code="output_failed", text=text, evidence=str(error.strerror), retryable=True)
    _LOG.error("a bug in %s", where, exc_info=error)
    hint = "Report it with the worker's log."
    return JobError(code="bug", text="This is a bug in Reelpress.", evidence=type(error).__name__, hint=hint)


def job_error(error: ReelpressError) -> JobError:
    """Return an error as it stands in a job."""
    code = getattr(error, "reason", None) or error.code
    retryable = bool(getattr(error, "retryable", False))
    if not isinstance(error, InputError) and error.exit_code in (1, 5):
        retryable = True
    return JobError(code=code, text=error.what, evidence=error.evidence, hint=error.hint, retryable=retryable)
