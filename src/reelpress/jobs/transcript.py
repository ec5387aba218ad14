"""The transcript of a job. Whatever becomes of it, the compressed video is delivered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from reelpress.errors import Cancelled, ReelpressError
from reelpress.facts.values import Value
from reelpress.jobs.claiming import FencedOff
from reelpress.jobs.clip_model import StoredObject
from reelpress.jobs.fetching import Fetched
from reelpress.jobs.model import JobResult
from reelpress.jobs.stages import Stages, patiently
from reelpress.run.process import CancelToken
from reelpress.transcribe.options import TranscribeOptions
from reelpress.transcribe.transcribe import transcribe
from reelpress.transcribe.transcript import Transcript

_TYPES = {"vtt": "text/vtt", "srt": "application/x-subrip", "json": "application/json"}


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
    """Make a transcript of the input and store it beside the output; what goes wrong with it is in what is returned.

    What may pass is waited for first. Windows of it that an earlier attempt on this machine finished are not made
    again. Raises :class:`Cancelled`.
    """

    def hear() -> Transcript:
        options = TranscribeOptions(model=model, max_duration_s=min(stages.house.settings.max_duration_s, 604_800.0))
        return transcribe(
            stages.source(fetched), stages.folder, stem="transcript", options=options, cancel=cancel,
            on_progress=on_share,
        )  # fmt: skip

    try:
        made = patiently(hear, cancel)
        files = {kind: (Path(getattr(made, kind).path), content_type) for kind, content_type in _TYPES.items()}
        stored = patiently(lambda: stages.store_transcript(files), cancel)
    except (Cancelled, FencedOff):
        raise
    except ReelpressError as error:
        if cancel.is_cancelled:
            raise  # what goes wrong then tells nothing of the sound
        note = f"{error.what} ({error.evidence})" if error.evidence else error.what
        return Transcribed(status="failed", note=note, files={})
    return Transcribed(status="done", note="; ".join(made.notes) or None, files=stored)
