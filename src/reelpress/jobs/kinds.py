"""What is done for a job of each kind: which stages, in which order, and what they deliver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import msgspec

from reelpress.errors import ReelpressError, UsageError
from reelpress.facts.values import Value
from reelpress.jobs.claiming import Claim
from reelpress.jobs.database import persist
from reelpress.jobs.desk import Desk, OnShare
from reelpress.jobs.encoding import Encoding
from reelpress.jobs.fetching import Fetched
from reelpress.jobs.house import House
from reelpress.jobs.model import COMPRESS_STARTS, TRANSCRIBED_STARTS, Job, JobResult, Kind, Stage, Starts
from reelpress.jobs.reading import find_job, receipt_of
from reelpress.jobs.stages import Compressed, Probed, Stages, Stored
from reelpress.jobs.transcript import Transcribed, transcribe_job
from reelpress.run.process import CancelToken

T = TypeVar("T")


class Do(Protocol):
    """Does a stage as a durable step of its name: what it returned, of a kind, is kept, and it is not done again."""

    def __call__(self, stage: Stage, work: Callable[[], T], kind: type[T], /) -> T:
        """Return what the stage returned, now or earlier."""


class Delivered(Value, frozen=True, kw_only=True):
    """What a job that is done leaves in the tables; ``details`` ``None`` keeps what was noted."""

    result: JobResult | None = None
    receipt: str | None = None
    details: Value | None = None


class Work(Protocol):
    """The stages of one claim on a job of one kind."""

    @property
    def starts(self) -> Starts:
        """How far the job is when each stage begins."""

    def run(self, do: Do) -> Delivered:
        """Do all stages."""

    def clear(self) -> None:
        """Delete the job's files here."""


class Compress:
    """A smaller video, and perhaps a transcript."""

    def __init__(self, stages: Stages) -> None:
        self._stages, self.clear = stages, stages.clear
        self._transcribes = stages.spec.transcribe and stages.house.settings.transcribe_model is not None

    @property
    def starts(self) -> Starts:
        """How far the job is when each stage begins."""
        return TRANSCRIBED_STARTS if self._transcribes else COMPRESS_STARTS

    def run(self, do: Do) -> Delivered:
        """Do all stages, or deliver what an earlier job made of the same input."""
        stages = self._stages
        fetched = do("fetch", stages.fetch, Fetched)
        probed = do("probe", lambda: stages.probe(fetched), Probed)
        if probed.same_as is not None:
            result, receipt = self._again(probed.same_as, fetched)
        else:
            compressed = do("compress", lambda: stages.compress(fetched), Compressed)
            stored = do("store", lambda: stages.store(fetched, compressed), Stored)
            result, receipt = stages.result(fetched, stored), stored.made.receipt
        # an earlier job's is kept, too, unless it could make none
        if self._transcribes and result.transcript_status in ("off", "failed"):
            result = do("transcribe", lambda: self._transcribe(fetched), Transcribed).into(result)
        return Delivered(result=result, receipt=receipt)

    def _transcribe(self, fetched: Fetched) -> Transcribed:
        return transcribe_job(
            self._stages, fetched, model=self._stages.house.settings.transcribe_model or "",
            cancel=self._stages.cancel, on_share=lambda share: self._stages.tell("transcribe", share),
        )  # fmt: skip

    def _again(self, job_id: str, fetched: Fetched) -> tuple[JobResult, str | None]:
        def read() -> tuple[Job | None, str | None]:
            with self._stages.house.database.reading() as connection:
                return find_job(connection, job_id), receipt_of(connection, job_id)

        earlier, receipt = persist(read, give_up=self._stages.is_cancelled)
        if earlier is None or earlier.result is None:
            raise EarlierResultGoneError("The earlier result is gone.")
        origin = earlier.result.reused_from or job_id
        result = msgspec.structs.replace(
            earlier.result, input_key=fetched.key, reused_from=origin, usd=0.0, wall_s=0.0
        )  # fmt: skip
        return result, receipt


class EarlierResultGoneError(ReelpressError):
    """The job whose result was to be this one's was deleted meanwhile; the next try does the work."""

    code = "gone"
    retryable = True


class Undoable(Desk):
    """A job that cannot be done here, and why."""

    why: ReelpressError

    @property
    def starts(self) -> Starts:
        """How far the job is when each stage begins: there are none."""
        return {}

    def run(self, _do: Do) -> Delivered:
        """Raise why it cannot be done."""
        raise self.why


def work_of(house: House, encoding: Encoding, claim: Claim, cancel: CancelToken, on_share: OnShare) -> Work:
    """Return what is to be done for a claim."""
    if claim.job.kind == "compress":
        return Compress(Stages(house, encoding, claim, cancel, on_share))
    try:
        return _stages_of(claim.job.kind)(house, encoding, claim, cancel, on_share)
    except ModuleNotFoundError as error:
        undoable = Undoable(house, encoding, claim, cancel, on_share)
        undoable.why = UsageError(
            "This worker lacks what cutting videos needs.", evidence=str(error),
            hint="pip install 'reelpress[service,clips]'",
        )  # fmt: skip
        return undoable


def _stages_of(kind: Kind) -> Callable[[House, Encoding, Claim, CancelToken, OnShare], Work]:
    # what cutting needs takes a while to import, and workers that only compress never need it
    if kind == "quote":
        from reelpress.jobs.quote_stages import QuoteStages

        return QuoteStages
    if kind == "video":
        from reelpress.jobs.video_stages import VideoStages

        return VideoStages
    if kind == "analysis":
        from reelpress.jobs.analysis_stages import AnalysisStages

        return AnalysisStages
    from reelpress.jobs.clip_stages import ClipStages

    return ClipStages
