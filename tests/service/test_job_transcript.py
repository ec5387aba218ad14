"""The transcript of a job: whatever becomes of it, the video is delivered, and what may pass is waited for."""

from __future__ import annotations

import types

import pytest

from reelpress.errors import StorageError
from reelpress.jobs import stages as stages_module
from reelpress.jobs import transcript
from reelpress.jobs.fetching import Fetched
from reelpress.jobs.stages import Stages
from reelpress.jobs.transcript import transcribe_job
from reelpress.run.process import CancelToken
from reelpress.transcribe.transcript import TranscriptFile

from job_table import claim, put

FETCHED = Fetched(path="input.mp4", is_foreign=False, size_bytes=4, sha256="00", key="in.mp4", name="in.mp4")
PASSING = StorageError("The store fails.", reason="unreachable", retryable=True)


class Speech:
    """A stand-in for the model: writes the three files, and counts how often it had to listen."""

    def __init__(self):
        self.heard = 0

    def __call__(self, _source, folder, *, stem, **_options):
        self.heard += 1
        files = {}
        for suffix in ("vtt", "srt", "json"):
            path = folder / f"{stem}.{suffix}"
            path.write_text(f"heard {self.heard}")
            files[suffix] = TranscriptFile(path=str(path), size_bytes=7, sha256="")
        return types.SimpleNamespace(**files, notes=())


def stages_of(house, encoding):
    """Return the stages of a job whose input is here."""
    put(house.database)
    stages = Stages(house, encoding, claim(house.database), CancelToken(), lambda *_: None)
    stages.make_folder()
    (stages.folder / FETCHED.path).write_bytes(b"1234")
    return stages


def transcribed(stages):
    return transcribe_job(stages, FETCHED, model="m", cancel=stages.cancel, on_share=lambda _share: None)


@pytest.fixture
def speech(monkeypatch):
    standing_in = Speech()
    monkeypatch.setattr(transcript, "transcribe", standing_in)
    monkeypatch.setattr(stages_module, "PAUSES_S", (0, 0))
    return standing_in


@pytest.mark.parametrize("where", ["source", "store_transcript"])
def test_a_store_that_is_away_for_a_moment_costs_no_transcript(houses, encoding, monkeypatch, speech, where):
    stages = stages_of(houses[0], encoding)
    fails, real = [PASSING, PASSING], getattr(Stages, where)

    def away(*given):
        if fails:
            raise fails.pop()
        return real(*given)

    monkeypatch.setattr(Stages, where, away)
    made = transcribed(stages)
    assert (made.status, made.note, set(made.files)) == ("done", None, {"vtt", "srt", "json"})
    assert speech.heard == 1, "nothing is heard again for the store's sake"


@pytest.mark.parametrize("error", [PASSING, StorageError("No.", reason="denied", evidence="HTTP 403")])
def test_a_transcript_that_cannot_be_stored_fails_no_job(houses, encoding, monkeypatch, speech, error):
    """The video is delivered by then."""
    stages = stages_of(houses[0], encoding)

    def store(*_given):
        raise error

    monkeypatch.setattr(Stages, "store_transcript", store)
    made = transcribed(stages)
    assert (made.status, made.files) == ("failed", {})
    assert error.what in made.note
