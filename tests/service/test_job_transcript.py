"""The transcript of a job, and what it takes over from an earlier one; the video is delivered in any case."""

from __future__ import annotations

import types

import msgspec
import pytest
from task_steps import begin, task_of

from reelpress.errors import StorageError
from reelpress.jobs import stages as stages_module
from reelpress.jobs import transcript
from reelpress.jobs.fetching import Fetched
from reelpress.jobs.house import House
from reelpress.jobs.model import JobInput, JobResult, JobSpec
from reelpress.jobs.stages import Probed, Stages
from reelpress.jobs.submission import submit
from reelpress.jobs.transcript import transcribe_job
from reelpress.jobs.work import finish
from reelpress.run.process import CancelToken
from reelpress.transcribe.transcript import TranscriptFile

from job_table import NOW, claim, put, row

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


def reused(house, encoding, monkeypatch, *, before, key="other.mp4"):
    """Have a job done whose input an earlier job had, with a transcript that ended so; return both."""
    told = JobResult(
        outcome="encoded", encoder="libx264", device="cpu", input_key="in.mp4", input_bytes=4, output=None,
        receipt=None, saved_share=0.5, transcript_status=before, usd=1.0,
    )  # fmt: skip
    settings = msgspec.structs.replace(house.settings, transcribe_model="m")
    house = House(settings, house.database, house.store, house.scratch)
    first = put(house.database)
    finish(house.database, claim(house.database), "done", now=NOW, result=told)
    submit(house.database, JobSpec(input=JobInput(kind="object", value=key)), user_id="ann", now=NOW)
    fetched = msgspec.structs.replace(FETCHED, key=key)
    monkeypatch.setattr(Stages, "fetch", lambda _stages: fetched)
    monkeypatch.setattr(Stages, "probe", lambda _stages, _fetched: Probed(same_as=first.id))
    monkeypatch.setattr(Stages, "source", lambda stages, _fetched: stages.folder / "input.mp4")
    monkeypatch.setattr(Stages, "compress", lambda *_: pytest.fail("it was encoded again"))
    task = task_of(house, encoding)
    task._work._stages.make_folder()
    begin(task)
    assert task.done.wait(20)
    return first, row(house.database, task.claim.job.id)


@pytest.mark.parametrize(("before", "heard"), [("done", 0), ("failed", 1)])
def test_a_transcript_that_failed_is_made_for_the_next_who_asks(houses, encoding, monkeypatch, speech, before, heard):
    """The video need not be made again; the model that was not there may be there now."""
    first, done = reused(houses[0], encoding, monkeypatch, before=before)
    assert (done.status, done.result.transcript_status, speech.heard) == ("done", "done", heard)
    assert (done.result.reused_from, done.result.usd) == (first.id, 0.0)
    assert all(f"/{done.id}/" in file.key for file in done.result.transcript.values())


def test_what_is_reused_names_the_input_of_who_asked(houses, encoding, monkeypatch, speech):
    """Another's may be gone by now; where the input is as small as it gets, it is what the caller goes on with."""
    _first, done = reused(houses[0], encoding, monkeypatch, before="done", key="mine.mp4")
    assert done.result.input_key == "mine.mp4"
