"""One claim at work: what its steps leave behind when a job is taken away, handed back, or goes on elsewhere."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from sqlalchemy.exc import OperationalError
from task_steps import Steps, begin, task_of

from reelpress.errors import Cancelled, InputError, StorageError
from reelpress.facts.values import from_json
from reelpress.jobs import quote_stages
from reelpress.jobs import stages as stages_module
from reelpress.jobs import worker as worker_module
from reelpress.jobs.ending import on_end
from reelpress.jobs.fetching import Fetched, fetch_input
from reelpress.jobs.house import House
from reelpress.jobs.kinds import Delivered
from reelpress.jobs.ledger import entries
from reelpress.jobs.model import JobInput, JobSpec, QuoteWanted
from reelpress.jobs.reading import receipt_of
from reelpress.jobs.stages import Compressed, Probed, Stages, patiently, raise_for
from reelpress.jobs.submission import NewJob, submit_new
from reelpress.jobs.task import LeftToOthers, Task
from reelpress.jobs.work import finish, release
from reelpress.jobs.worker import Worker
from reelpress.receipt import CostParts, Receipt
from reelpress.run.process import CancelToken
from reelpress.service import push
from reelpress.storage.scratch import Need

import clips
from job_table import NOW, claim, enlist, put, row, set_row
from receipts import receipt

FETCHED = Fetched(path="input.mp4", is_foreign=False, size_bytes=4, sha256="00", key="in.mp4", name="in.mp4")
PASSING = StorageError("The store fails.", reason="unreachable", retryable=True)


def test_a_job_that_was_taken_away_leaves_no_step_behind(houses, encoding):
    """What a step raised would be raised again for whoever goes on with the job."""
    job = put(houses[0].database)
    task = task_of(houses[0], encoding)
    set_row(houses[0].database, job.id, status="queued", worker=None)
    steps = begin(task)
    assert task.done.wait(20)
    assert steps.left == []
    assert row(houses[0].database, job.id).status == "queued"


def test_a_job_taken_away_before_its_end_leaves_no_step_behind(houses, encoding, monkeypatch):
    database = houses[0].database
    job = put(database)
    task = task_of(houses[0], encoding)
    set_row(database, job.id, fence=9)
    steps = Steps()
    with pytest.raises(LeftToOthers):
        task._deliver(steps, Delivered())
    assert steps.left == []


def test_a_job_handed_back_while_it_waits_to_try_again_has_not_failed(houses, encoding, monkeypatch):
    job = put(houses[0].database)
    task = task_of(houses[0], encoding)
    tried = threading.Event()

    def fetch(_stages):
        tried.set()
        raise PASSING

    monkeypatch.setattr(Stages, "fetch", fetch)
    steps = begin(task)
    assert tried.wait(20)
    task.stop("drain")
    assert task.done.wait(20)
    back = row(houses[0].database, job.id)
    assert (back.status, back.attempts, back.error, steps.left) == ("queued", 0, None, [])


def test_a_job_cancelled_while_it_waits_to_try_again_is_cancelled(houses, encoding, monkeypatch):
    job = put(houses[0].database)
    task = task_of(houses[0], encoding)
    tried = threading.Event()

    def fetch(_stages):
        tried.set()
        raise PASSING

    monkeypatch.setattr(Stages, "fetch", fetch)
    begin(task)
    assert tried.wait(20)
    task.stop("user")
    assert task.done.wait(20)
    assert row(houses[0].database, job.id).status == "cancelled"


def test_an_error_once_the_work_is_stopped_is_none(houses, encoding, monkeypatch):
    job = put(houses[0].database)
    task = task_of(houses[0], encoding)

    def fetch(_stages):
        task.stop("drain")
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Stages, "fetch", fetch)
    begin(task)
    assert task.done.wait(20)
    assert row(houses[0].database, job.id).status == "queued"


def test_a_bug_fails_the_job_and_not_the_worker(houses, encoding, monkeypatch):
    job = put(houses[0].database)
    task = task_of(houses[0], encoding)
    monkeypatch.setattr(Stages, "fetch", lambda _stages: 1 / 0)
    begin(task)
    assert task.done.wait(20)
    failed = row(houses[0].database, job.id)
    assert (failed.status, failed.error.code, failed.error.evidence) == ("failed", "bug", "ZeroDivisionError")


def test_a_job_that_failed_in_the_engine_keeps_its_receipt_and_its_line(houses, encoding, monkeypatch):
    database = houses[0].database
    job = put(database)
    task = task_of(houses[0], encoding, on_end=on_end(houses[0]))
    made = receipt(status="failed", exit_code=5, encoder=None, device=None, result=None, error="The disk is full.",
                   error_code="output_failed", usd=0.5, usd_parts=CostParts(cpu=0.5))  # fmt: skip
    monkeypatch.setattr(Stages, "fetch", lambda _stages: FETCHED)
    monkeypatch.setattr(Stages, "probe", lambda _stages, _fetched: Probed(same_as=None))
    monkeypatch.setattr(Stages, "compress", lambda _stages, _fetched: raise_for(made))
    begin(task)
    assert task.done.wait(20)
    with database.reading() as connection:
        kept, lines = receipt_of(connection, job.id), entries(connection)
    assert from_json(kept, Receipt).error == "The disk is full."
    assert [(line.job, line.status, line.error_code, line.usd) for line in lines] == [
        (job.id, "failed", "output_failed", 0.5)
    ]


def test_faults_that_pass_are_waited_out(monkeypatch):
    monkeypatch.setattr(stages_module, "PAUSES_S", (0, 0))
    tries = []

    def work(fail):
        tries.append(1)
        if len(tries) <= fail:
            raise PASSING
        return "done"

    assert patiently(lambda: work(2), CancelToken()) == "done"
    tries.clear()
    with pytest.raises(StorageError):
        patiently(lambda: work(9), CancelToken())
    assert len(tries) == 3


def test_room_that_other_jobs_have_is_waited_for_as_long_as_they_have_it(houses, monkeypatch):
    """A job that gave up would fail, and so would the next one, all while the one that has the room goes on."""
    monkeypatch.setattr(stages_module, "PAUSES_S", (0, 0))
    monkeypatch.setattr(stages_module, "ROOM_PAUSE_S", 0)
    scratch, tries = houses[0].scratch, []
    free = scratch.room().disk_bytes
    other = contextlib.ExitStack()
    other.enter_context(scratch.reserve(Need(input_bytes=free * 2 // 3, output_bytes=0)))

    def work():
        tries.append(1)
        if len(tries) == 9:
            other.close()
        with scratch.reserve(Need(input_bytes=free // 2, output_bytes=0)):
            return "done"

    assert patiently(work, CancelToken()) == "done"
    with pytest.raises(StorageError) as refused:  # what would not fit beside nobody either is not waited for
        patiently(lambda: scratch.reserve(Need(input_bytes=free * 2, output_bytes=0)).__enter__(), CancelToken())
    assert refused.value.reason == "full"


def test_a_file_that_is_hashed_when_work_stops_has_no_hash(tmp_path, houses):
    """Half a file's hash would stand for the whole file ever after."""
    video = tmp_path / "video.mp4"
    video.write_bytes(b"x" * 100)
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        fetch_named(houses[0], tmp_path, video, cancel=cancel)


def fetch_named(house, allowed, path, **more):
    """Fetch what a job names by its path."""
    settings = msgspec.structs.replace(house.settings, local_paths=(str(allowed),))
    given = {"cancel": CancelToken(), "max_bytes": 1000, "on_share": lambda _share: None} | more
    return fetch_input(
        House(settings, house.database, house.store, house.scratch), JobInput(kind="path", value=str(path)), allowed,
        **given,
    )  # fmt: skip


def test_a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for(tmp_path, houses):
    os.mkfifo(tmp_path / "video.mp4")
    with pytest.raises(InputError, match="not a regular file"):
        fetch_named(houses[0], tmp_path, tmp_path / "video.mp4")


def test_a_file_that_is_still_written_has_no_hash(tmp_path, houses):
    """It is of a content that nobody has."""
    video = tmp_path / "video.mp4"
    video.write_bytes(b"x" * 100)

    class Writing(CancelToken):
        @property
        def is_cancelled(self):
            with video.open("ab") as file:
                file.write(b"y")
            return super().is_cancelled

    with pytest.raises(InputError, match="changed") as refused:
        fetch_named(houses[0], tmp_path, video, cancel=Writing())
    assert refused.value.reason == "changed"


def stages_of(house, encoding, taken):
    return Stages(house, encoding, taken, CancelToken(), lambda *_: None)


def made(stages, content):
    """Do as if this had been encoded on that machine."""
    stages.folder.mkdir(parents=True, exist_ok=True)
    path = stages.folder / f"output.{stages.claim.fence}.mp4"
    path.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    return Compressed(file=path.name, size_bytes=len(content), sha256=sha256, receipt=f'{{"made":"{sha256}"}}')


@pytest.mark.parametrize("key", [None, "out/mine.mp4"])
def test_an_output_that_its_dead_maker_stored_is_not_made_again(houses, encoding, monkeypatch, key):
    job = put(houses[0].database)
    spec = msgspec.structs.replace(job.spec, output_key=key)
    set_row(houses[0].database, job.id, spec=msgspec.json.encode(spec).decode())
    first = stages_of(houses[0], encoding, claim(houses[0].database, "w1"))
    compressed = made(first, b"first")
    first.store(FETCHED, compressed)
    release(houses[0].database, first.claim, now=NOW, why="drain")
    second = stages_of(houses[1], encoding, claim(houses[1].database, "w2"))
    monkeypatch.setattr(Stages, "compress", lambda *_: pytest.fail("it was encoded again"))
    stored = second.store(FETCHED, compressed)
    assert stored.made == compressed
    assert stored.output.sha256 == compressed.sha256


def test_a_file_of_this_machine_is_encoded_by_who_never_fetched_it(houses, encoding, tmp_path):
    """Its own folder on the scratch disk is not there: the one that died had made its own."""
    video = clips.plain(tmp_path / "in.mp4", seconds=1)
    place = JobInput(kind="path", value=str(video))
    submit_new(houses[0].database, NewJob(spec=JobSpec(input=place, transcribe=False)), user_id="ann", now=NOW)
    first = stages_of(houses[0], encoding, claim(houses[0].database, "w1"))
    fetched = first.fetch()
    release(houses[0].database, first.claim, now=NOW, why="drain")
    second = stages_of(houses[1], encoding, claim(houses[1].database, "w2"))
    made = second.compress(fetched)
    assert (second.folder / made.file).stat().st_size == made.size_bytes


def test_room_for_an_output_is_held_beside_its_input(houses, encoding, monkeypatch):
    """The input lies in the job's folder by then: counted as what was promised, it would leave the output no room."""
    house, promised = houses[0], []
    put(house.database)
    stages = stages_of(house, encoding, claim(house.database))
    fetched = msgspec.structs.replace(FETCHED, size_bytes=2**20)
    stages.make_folder()
    (stages.folder / fetched.path).write_bytes(os.urandom(2**20))

    def compress(_source, _target, **_options):
        promised.append(house.scratch.room().promised_bytes)
        return receipt(status="skipped", encoder=None, device=None, result=None)

    def quote(_source, _folder, **_options):
        promised.append(house.scratch.room().promised_bytes)
        raise Cancelled

    monkeypatch.setattr(stages_module, "compress_file", compress)
    stages.compress(fetched)
    spec = msgspec.structs.replace(stages.spec, wants=QuoteWanted(codecs=("h264",)))
    quotes = quote_stages.QuoteStages(house, encoding, stages.claim, stages.cancel, stages.on_share)
    quotes.spec = spec
    monkeypatch.setattr(quotes, "look", lambda _source: None)
    monkeypatch.setattr(quote_stages, "quote_file", quote)
    with pytest.raises(Cancelled):
        quotes.find_out(fetched)
    assert promised == [2**20, 2**20 + 300_000_000]


def test_what_is_made_anew_elsewhere_is_what_the_receipt_tells_of(houses, encoding, monkeypatch):
    put(houses[0].database)
    first = stages_of(houses[0], encoding, claim(houses[0].database, "w1"))
    compressed = made(first, b"first")
    release(houses[0].database, first.claim, now=NOW, why="drain")
    second = stages_of(houses[1], encoding, claim(houses[1].database, "w2"))
    monkeypatch.setattr(Stages, "compress", lambda stages, _fetched: made(stages, b"second"))
    stored = second.store(FETCHED, compressed)
    assert stored.output.sha256 == hashlib.sha256(b"second").hexdigest() == stored.made.sha256
    objects = Path(houses[1].settings.storage.removeprefix("file://"))
    assert (objects / stored.receipt.key).read_text() == stored.made.receipt


def test_a_claim_whose_answer_was_lost_goes_back(houses, encoding, monkeypatch):
    """The database committed, and its connection broke before it could say so."""
    database = houses[0].database
    worker = Worker(houses[0], encoding, capacity=1)
    enlist(database, worker.id)
    job = put(database)

    def claim_next(*arguments, **named):
        assert worker_claims(*arguments, **named) is not None
        raise OperationalError("x", {}, Exception("the connection broke"))

    worker_claims = worker_module.claim_next
    monkeypatch.setattr(worker_module, "claim_next", claim_next)
    with pytest.raises(OperationalError):
        worker._claim()
    assert row(database, job.id).status == "running"
    worker._give_back_strays()
    assert row(database, job.id).status == "queued"


def test_a_job_that_could_not_be_begun_and_has_another_owner_by_then_is_no_death(houses, encoding, monkeypatch):
    """What went wrong is told, and not that this worker was taken for dead, with which it would end."""
    database = houses[0].database
    worker = Worker(houses[0], encoding, capacity=1)
    enlist(database, worker.id)
    job = put(database)

    def begin(task):
        set_row(database, job.id, fence=task.claim.fence + 1)
        raise OperationalError("x", {}, Exception("the connection broke"))

    monkeypatch.setattr(worker._workflows, "begin", begin)
    with pytest.raises(OperationalError):
        worker._claim()
    assert worker.active() == []


def test_a_worker_keeps_what_it_knows(houses, encoding, monkeypatch):
    database = houses[0].database
    worker = Worker(houses[0], encoding, capacity=1)
    enlist(database, worker.id)
    job = put(database)
    monkeypatch.setattr(worker._workflows, "begin", lambda task: task.claim.workflow_id)
    worker._claim()
    worker._give_back_strays()
    assert row(database, job.id).worker == worker.id
    assert worker.active() == [job.id]


def test_a_job_that_ends_while_it_is_handed_over_is_answered_for_as_it_ended(houses, encoding):
    database = houses[0].database
    job = put(database, origin="push")
    task = Task(houses[0], encoding, claim(database, only=job.id), on_end=lambda _connection, _job: None)
    finish(database, task.claim, "done", now=NOW)
    assert push._hand_over(houses[0], job.id, task).status == "done"


def test_no_more_is_pushed_to_a_worker_at_once_than_it_has_room_for(houses, encoding, monkeypatch):
    database = houses[0].database
    worker = Worker(houses[0], encoding, capacity=0, push_capacity=2)
    enlist(database, worker.id)
    monkeypatch.setattr(worker._workflows, "begin", lambda task: task.claim.workflow_id)
    jobs = [put(database, origin="push").id for _ in range(8)]
    gate = threading.Barrier(len(jobs))

    def push_it(job_id):
        gate.wait()
        return worker.take(job_id)

    with ThreadPoolExecutor(len(jobs)) as pool:
        taken = [task for task in pool.map(push_it, jobs) if task is not None]
    assert len(taken) == len(worker.active()) == 2


def test_what_is_too_large_for_a_copy_in_the_store_is_written_in_its_place(houses, encoding, tmp_path, monkeypatch):
    """S3 copies no more than 5 GiB at once, and what is uploaded gets its name by a copy."""
    put(houses[0].database)
    task = task_of(houses[0], encoding)
    monkeypatch.setattr(houses[0].store, "copy_limit_bytes", 3)
    (tmp_path / "out.mp4").write_bytes(b"larger")
    stored = task._work._stages.put(tmp_path / "out.mp4", "users/ann/out.mp4", "video/mp4")
    assert stored.sha256 == hashlib.sha256(b"larger").hexdigest()
    assert houses[0].store.find("users/ann/out.mp4").size_bytes == 6


def test_an_object_that_changes_while_a_video_is_made_ready_is_told(houses, encoding, tmp_path, monkeypatch):
    """Clips are checked against the version that is noted: it has to be that of what was looked at."""
    place = JobInput(kind="object", value="in.mp4")
    object_ = tmp_path / "objects/in.mp4"
    clips.plain(object_, seconds=1.0)
    new = NewJob(spec=JobSpec(input=place, transcribe=False), kind="video")
    submit_new(houses[0].database, new, user_id="ann", now=NOW)
    task = task_of(houses[0], encoding)
    stages = task._work
    here = stages.fetch()
    facts = stages.probe(here)
    preview = stages.preview(here, facts)
    clips.plain(object_, seconds=1.5)
    with pytest.raises(InputError, match="changed"):
        stages.store(here, facts, preview)


def test_no_scratch_is_left_of_jobs_that_ended(houses, encoding):
    house = houses[0]
    ended, waiting = put(house.database), put(house.database)
    set_row(house.database, ended.id, status="done")
    folders = [house.settings.scratch / "jobs" / name for name in (ended.id, waiting.id, "nobody's")]
    for folder in folders:
        folder.mkdir(parents=True)
    Worker(house, encoding, capacity=1)._sweep_scratch()
    assert [folder.exists() for folder in folders] == [False, True, False]


def test_what_was_handed_over_is_swept_once_it_ended_elsewhere_and_what_is_under_way_is_not(
    houses, encoding, monkeypatch
):
    house = houses[0]
    worker = Worker(house, encoding, capacity=1)
    enlist(house.database, worker.id)
    mine, other = put(house.database), put(house.database)
    monkeypatch.setattr(worker._workflows, "begin", lambda task: task.claim.workflow_id)
    worker._claim()
    folders = [house.settings.scratch / "jobs" / job.id for job in (mine, other)]
    for job, folder in zip((mine, other), folders, strict=True):
        folder.mkdir(parents=True)
        set_row(house.database, job.id, status="done")
    monkeypatch.setattr(worker_module, "_SWEEP_EVERY_S", 0.0)
    thread = threading.Thread(target=worker._claim_on, daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while folders[1].exists() and time.monotonic() < until:
        thread.join(0.05)
    worker._draining.set()
    thread.join(10)
    assert [folder.exists() for folder in folders] == [True, False]
