"""What the attempts of one job share, and how they went, in values and in words."""

from __future__ import annotations

from pathlib import Path

from reelpress.facts.failure import Failure, FailureKind
from reelpress.facts.media import VideoTrack
from reelpress.facts.values import Value
from reelpress.plan.model import RUNG_WORDS, Attempt, Reason
from reelpress.receipt import AttemptRecord
from reelpress.run.process import Limits
from reelpress.run.watch import Job


class Setting(Value, frozen=True, kw_only=True):
    """What every attempt of one job shares. ``versions`` maps an FFmpeg's path to its version, for the records.

    ``source`` is the URL that FFmpeg opens; records and events name a source that is no file of ours by ``<input>``,
    since such a URL may hold a secret. ``track`` is the source's, where an encode of it may not have more than
    ``max_bytes``. ``files`` are those that stand in a filter graph. ``percent`` is how far the job
    was said to be before, which no event goes back behind.
    """

    job: Job
    source: str
    target: Path
    limits: Limits
    versions: dict[str, str]
    duration_s: float | None
    max_bytes: int | None
    track: VideoTrack | None = None
    files: dict[str, str] = {}  # noqa: RUF012 - msgspec copies it
    percent: float = 0.0


class Execution(Value, frozen=True, kw_only=True):
    """How it went. ``delivered`` is the attempt whose output passed; else ``failure`` is the last one's.

    ``passed_over`` says which attempts were never made because no GPU was to be had, and why.
    """

    records: tuple[AttemptRecord, ...]
    passed_over: tuple[Failure, ...]
    delivered: Attempt | None
    failure: Failure | None
    outgrew: str | None
    percent: float = 0.0

    def reasons(self) -> tuple[Reason, ...]:
        """Return why what delivered is not what was to deliver, from the first failure on."""
        told = [
            f"{r.encoder} {RUNG_WORDS[r.rung]} did not deliver ({r.failure}): {r.evidence}"
            for r in self.records
            if r.failure is not None
        ]
        told += [f"no GPU was to be had ({failure.kind}): {failure.evidence}" for failure in self.passed_over]
        delivered = self.delivered
        notes = {r.note for r in self.records if r.note is not None and r.failure is None}
        text = "FFmpeg decoded in software although the GPU was to: {}"
        reasons = [Reason(code="decoded_in_software", text=text.format(note), fact=None) for note in notes]
        if delivered is None:
            return tuple(reasons)
        what = f"{delivered.encoder} {RUNG_WORDS[delivered.rung]}"
        return (*(Reason(code="fell_back", text=f"{what}, because: {why}", fact=None) for why in told), *reasons)

    def too_large(self) -> str | None:
        """Return the size that was too large, if it was."""
        failure = self.failure
        if self.outgrew is None and failure is not None and failure.kind is FailureKind.OUTPUT_LIMIT:
            return failure.evidence
        return self.outgrew
