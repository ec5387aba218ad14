"""The transcript of a job. Whatever becomes of it, the compressed video is delivered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from reelpress.facts.values import Value
from reelpress.jobs.fetching import Fetched
from reelpress.jobs.model import JobResult, StoredObject
from reelpress.jobs.stages import Stages
from reelpress.run.process import CancelToken


class Transcribed(Value, frozen=True, kw_only=True):
    """What became of a transcript."""

    status: Literal["done", "failed", "skipped"]
    note: str | None
    files: dict[str, StoredObject]

    def into(self, result: JobResult) -> JobResult:
        """Return a job's result with this."""
        return msgspec.structs.replace(
            result, transcript_status=self.status, transcript_note=self.note, transcript=self.files
        )  # fmt: skip


def transcribe_job(
    stages: Stages, fetched: Fetched, *, model: str, cancel: CancelToken, on_share: Callable[[float], None]
) -> Transcribed:
    """Make a transcript of the input and store it. Raises only :class:`Cancelled` and storage's passing faults."""
    raise NotImplementedError
