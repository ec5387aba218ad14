"""One claim at work: the stages in order, each a durable step, and how it all ends."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Literal, NoReturn, TypeVar

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from reelpress.errors import Cancelled, InputError, ReelpressError
from reelpress.facts.values import Value, from_json, to_json
from reelpress.jobs.database import persist
from reelpress.jobs.encoding import Encoding
from reelpress.jobs.fetching import Fetched
from reelpress.jobs.house import House
from reelpress.jobs.model import Job, JobError, JobResult, Stage, percent_at
from reelpress.jobs.reading import find_job, receipt_of
from reelpress.jobs.stages import Compressed, Probed, Stages, Stored, patiently
from reelpress.jobs.submission import OnEnd
from reelpress.jobs.transcript import Transcribed, transcribe_job
from reelpress.jobs.work import Claim, FencedOff, ProgressNote, begin_stage, finish, release
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
    cancelled: bool = False


class _Failed(Exception):  # noqa: N818 - carries the error of a step through the workflow
    def __init__(self, error: JobError | None) -> None:
        super().__init__(error.text if error else "cancelled")
        self.error = error


class Task:
    """A claim, and what this process does for it. Made by the worker, run in a thread of the workflow engine."""

    def __init__(self, house: House, encoding: Encoding, claim: Claim, *, on_end: OnEnd) -> None:
        self.house, self.claim, self._on_end = house, claim, on_end
        self.cancel = CancelToken()
        self.done = threading.Event()
        self._why: Why | None = None
        self._transcribes = claim.job.spec.transcribe and house.settings.transcribe_model is not None
        self._stage: Stage = claim.job.stage
        self._note = ProgressNote(claim=claim, percent=claim.job.percent, eta_s=None, speed=None)
        self._stages = Stages(house, encoding, claim, self.cancel, self._on_share)

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
        try:
            self._run(step)
        except (FencedOff, SQLAlchemyError) as error:
            # the workflow engine does not wait for its database in every case; this worker takes the job up again
            _LOG.warning("%s leaves %s: %s", self.claim.worker, self.claim.job.id, type(error).__name__)
            self._leave_to_others()
        except Exception as error:  # noqa: BLE001 - the job must not look as if it went on
            self._finish("failed", error=_error_of(error, f"job {self.claim.job.id}"))
        finally:
            self.cancel.cancel()
            self.done.set()

    def _run(self, step: RunStep) -> None:
        stages = self._stages
        try:
            fetched = self._step(step, "fetch", stages.fetch, Fetched)
            probed = self._step(step, "probe", lambda: stages.probe(fetched), Probed)
            if probed.same_as is not None:
                self._deliver_again(step, probed.same_as)
                return
            compressed = self._step(step, "compress", lambda: stages.compress(fetched), Compressed)
            stored = self._step(step, "store", lambda: stages.store(fetched, compressed), Stored)
            result = stages.result(fetched, stored)
            if self._transcribes:
                spoken = self._step(step, "transcribe", lambda: self._transcribe(fetched), Transcribed)
                result = spoken.into(result)
            self._end(step, result, stored.made.receipt)
        except _Failed as failed:
            status: Literal["failed", "cancelled"] = "cancelled" if failed.error is None else "failed"
            self._finish(status, error=failed.error)
            stages.clear()

    def _end(self, step: RunStep, result: JobResult, receipt: str | None) -> None:
        def notify() -> str:
            try:
                self._enter("notify")
                self._finish("done", result=result, receipt=receipt)
            except (Cancelled, FencedOff, SQLAlchemyError):
                self._leave_to_others()
            return ""

        step("notify", notify)
        self._stages.clear()

    def _finish(
        self,
        status: Literal["done", "failed", "cancelled"],
        *,
        result: JobResult | None = None,
        error: JobError | None = None,
        receipt: str | None = None,
    ) -> None:
        def write() -> None:
            finish(
                self.house.database, self.claim, status, now=time.time(), result=result, error=error, receipt=receipt,
                on_end=self._on_end,
            )  # fmt: skip

        persist(write)

    def _deliver_again(self, step: RunStep, job_id: str) -> None:
        def read() -> tuple[Job | None, str | None]:
            with self.house.database.reading() as connection:
                return find_job(connection, job_id), receipt_of(connection, job_id)

        earlier, receipt = persist(read, give_up=lambda: self.cancel.is_cancelled)
        if earlier is None or earlier.result is None:
            raise _Failed(JobError(code="gone", text="The earlier result is gone.", retryable=True))
        origin = earlier.result.reused_from or job_id
        self._end(step, msgspec.structs.replace(earlier.result, reused_from=origin, usd=0.0, wall_s=0.0), receipt)

    def _transcribe(self, fetched: Fetched) -> Transcribed:
        return transcribe_job(
            self._stages, fetched, model=self.house.settings.transcribe_model or "", cancel=self.cancel,
            on_share=lambda share: self._on_share("transcribe", share, None, None),
        )  # fmt: skip

    def _step(self, step: RunStep, stage: Stage, work: Callable[[], T], kind: type[T]) -> T:
        def go() -> str:
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
                return _left(error=_error_of(error, f"stage {stage} of {claim.job.id}"))

        claim = self.claim
        outcome = from_json(step(stage, go), _Outcome)
        if outcome.error is not None or outcome.cancelled:
            raise _Failed(outcome.error)
        return from_json(bytes(outcome.value), kind)

    def _enter(self, stage: Stage) -> None:
        if self.cancel.is_cancelled and self._why != "user":
            raise Cancelled("Stopped before the next stage.")
        self._stage = stage
        percent = percent_at(stage, 0.0, transcribes=self._transcribes)
        self._show(percent, None, None)
        persist(
            lambda: begin_stage(self.house.database, self.claim, stage, percent, now=time.time()),
            give_up=lambda: self.cancel.is_cancelled,
        )

    def _on_share(self, stage: Stage, share: float, eta_s: float | None, speed: float | None) -> None:
        if stage == "check" and self._stage == "compress":
            self._enter("check")
        elif stage == "compress" and self._stage == "check":
            self._enter("compress")  # what was made did not pass; the next attempt begins
        self._show(percent_at(stage, share, transcribes=self._transcribes), eta_s, speed)

    def _show(self, percent: float, eta_s: float | None, speed: float | None) -> None:
        percent = max(self._note.percent, percent)
        self._note = ProgressNote(claim=self.claim, percent=percent, eta_s=eta_s, speed=speed)

    def _leave_to_others(self) -> NoReturn:
        """Give the job back if it is still ours, and end the workflow here without a word of how it ended."""
        if self._why == "drain":
            try:
                release(self.house.database, self.claim, now=time.time(), why="drain")
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
