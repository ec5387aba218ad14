"""An export and its clips in the tables, on both kinds of database: nothing is lost or doubled, whoever comes when."""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from reelpress.jobs.changing import cancel, retry
from reelpress.jobs.claiming import FencedOff
from reelpress.jobs.clip_model import AnalysisWanted
from reelpress.jobs.ending import on_end
from reelpress.jobs.exports import change_export, create_export, forget_export, get_export, start_export
from reelpress.jobs.house import House
from reelpress.jobs.model import FINISHED, UNFINISHED, JobError
from reelpress.jobs.reading import events_since
from reelpress.jobs.submission import JobRefused
from reelpress.jobs.tables import WORKERS
from reelpress.jobs.telling import status_of_clips
from reelpress.jobs.videos import forget_video, submit_analysis
from reelpress.jobs.work import ProgressNote, finish, note_progress, take_from_dead
from reelpress.service_settings import load_service

from clip_tables import clips_of, job, kinds, put_export, put_video, told, wanted
from job_table import NOW, claim, enlist, open_empty, put

STORM_EXPORTS, STORM_CLIPS, STORM_S = 6, 5, 30.0 if os.environ.get("REELPRESS_THOROUGH") else 2.5
FAILED = JobError(code="input_unusable", text="It cannot be cut.")


@pytest.fixture
def database(database_url, tmp_path):
    opened = open_empty(database_url, tmp_path)
    enlist(opened, "w1", "w2", "w3", "w4")
    yield opened
    opened.close()


@pytest.fixture
def tell(tmp_path):
    house = House.open(load_service({"data_dir": str(tmp_path)}, environ={}, env_file=None))
    yield on_end(house)
    house.close()


def test_all_clips_are_queued_at_once_and_only_once(database):
    draft = put_export(database, put_video(database), 5, start=False)
    assert (draft.status, clips_of(database, draft.id)) == ("draft", [])
    with ThreadPoolExecutor(6) as pool:
        started = list(pool.map(lambda n: start_export(database, draft.id, now=NOW + n, user_id="ann"), range(6)))
    assert {export.status for export in started} == {"running"}
    clips = clips_of(database, draft.id)
    assert sorted(clip.spec.wants.index for clip in clips) == [0, 1, 2, 3, 4]
    assert {clip.status for clip in clips} == {"queued"}
    assert kinds(database, draft.id) == ["export_started"]
    # each has a turn of its own, so that others' jobs come between
    other = put(database, "bob", now=NOW + 10)
    order = [claim(database, "w1", now=NOW + 11).job.id for _ in range(4)]
    assert other.id in order


def test_a_key_finds_its_export_and_refuses_another(database):
    video = put_video(database)

    def make(count, **more):
        return create_export(
            database, wanted(count), video=video.id, user_id="ann", sees="ann", now=NOW, idempotency_key="k"
        )

    first = make(2)
    assert first.is_new
    change_export(database, first.job.id, wanted(3), version=1, now=NOW, user_id="ann")
    again = make(2)
    assert (again.is_new, again.job.id) == (False, first.job.id)
    with pytest.raises(JobRefused) as refused:
        make(4)
    assert refused.value.code == "key_reused"


def test_a_draft_is_changed_by_who_knows_its_version(database):
    draft = put_export(database, put_video(database), 1, start=False)
    change_export(database, draft.id, wanted(2), version=1, now=NOW, user_id="ann")
    with pytest.raises(JobRefused) as refused:
        change_export(database, draft.id, wanted(3), version=1, now=NOW, user_id="ann")
    assert (refused.value.code, refused.value.evidence) == ("changed", "2")
    with pytest.raises(JobRefused) as refused:
        change_export(database, draft.id, wanted(3), version=2, now=NOW, user_id="bob")
    assert refused.value.code == "not_found"
    start_export(database, draft.id, now=NOW, user_id="ann")
    with pytest.raises(JobRefused) as refused:
        change_export(database, draft.id, wanted(3), version=2, now=NOW, user_id="ann")
    assert refused.value.code == "started"
    with database.reading() as connection:
        assert len(get_export(connection, draft.id).drafts) == 2


def test_what_cannot_be_started_is_not(database):
    video = put_video(database)
    for count, most, code in ((0, 100, "empty"), (5, 4, "queue_full")):
        draft = put_export(database, video, count, start=False)
        with pytest.raises(JobRefused) as refused:
            start_export(database, draft.id, now=NOW, user_id="ann", max_queued=most)
        assert refused.value.code == code
        assert job(database, draft.id).status == "draft"
        assert clips_of(database, draft.id) == []


@pytest.mark.parametrize(
    ("ends", "status"),
    [("done done", "done"), ("done failed", "failed"), ("cancelled done", "cancelled"), ("cancelled failed", "failed")],
)
def test_an_export_ends_with_its_last_clip(database, tell, ends, status):
    export = put_export(database, put_video(database), 2)
    claims = [claim(database, "w1"), claim(database, "w1")]
    for number, (one, end) in enumerate(zip(claims, ends.split(), strict=True)):
        assert job(database, export.id).status == "running"
        finish(database, one, end, now=NOW + number, error=FAILED if end == "failed" else None, on_end=tell)
    ended = job(database, export.id)
    assert (ended.status, ended.finished_at, ended.stage) == (status, NOW + 1, "finished")
    assert kinds(database, export.id) == ["export_started", status]
    assert told(database, export.id) == [f"export.{status}"]
    assert [told(database, clip.id) for clip in clips_of(database, export.id)] == [[], []]


def test_clips_that_end_at_the_same_moment_end_their_export_once(database, tell):
    export = put_export(database, put_video(database), 12)
    claims = [claim(database, f"w{number % 4 + 1}") for number in range(12)]
    gate = threading.Barrier(12)

    def end(one):
        gate.wait()
        finish(database, one, "done", now=NOW, on_end=tell)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(end, claims))
    assert job(database, export.id).status == "done"
    assert kinds(database, export.id).count("done") == 1
    assert told(database, export.id) == ["export.done"]


def test_a_cancelled_export_ends_at_once_what_waits_and_asks_the_rest_to_stop(database, tell):
    export = put_export(database, put_video(database), 3)
    running = claim(database, "w1")
    cancel(database, export.id, now=NOW, user_id="ann", on_end=tell)
    states = sorted((clip.status, clip.cancel_requested) for clip in clips_of(database, export.id))
    assert states == [("cancelled", True), ("cancelled", True), ("running", True)]
    assert job(database, export.id).status == "running"
    note = ProgressNote(claim=running, percent=50.0, eta_s=None, speed=None)
    assert note_progress(database, [note], now=NOW) == {running.job.id: "cancel"}
    # it was done before it heard of it: what is delivered counts
    finish(database, running, "done", now=NOW, on_end=tell)
    assert job(database, export.id).status == "cancelled"
    assert told(database, export.id) == ["export.cancelled"]
    cancel(database, export.id, now=NOW, user_id="ann", on_end=tell)
    assert told(database, export.id) == ["export.cancelled"]


def test_a_retried_clip_has_its_export_end_anew(database, tell):
    export = put_export(database, put_video(database), 2)
    for end in ("done", "failed"):
        finish(database, claim(database, "w1"), end, now=NOW, error=FAILED if end == "failed" else None, on_end=tell)
    bad = next(clip for clip in clips_of(database, export.id) if clip.status == "failed")
    with pytest.raises(JobRefused):
        retry(database, bad.id, now=NOW, user_id="bob")
    again = retry(database, bad.id, now=NOW, user_id="ann")
    assert (again.status, again.run, again.error) == ("queued", 2, None)
    assert (job(database, export.id).status, job(database, export.id).run) == ("running", 2)
    finish(database, claim(database, "w1"), "done", now=NOW + 1, on_end=tell)
    assert job(database, export.id).status == "done"
    assert told(database, export.id) == ["export.failed", "export.done"]
    assert kinds(database, export.id) == ["export_started", "failed", "retried", "done"]
    # of an export that is done nothing is to be done again
    assert retry(database, export.id, now=NOW, user_id="ann").status == "done"


def test_a_retried_export_does_what_is_not_done(database, tell):
    export = put_export(database, put_video(database), 3)
    finish(database, claim(database, "w1"), "done", now=NOW, on_end=tell)
    cancel(database, export.id, now=NOW, on_end=tell)
    retry(database, export.id, now=NOW, user_id="ann")
    assert sorted(clip.run for clip in clips_of(database, export.id)) == [1, 2, 2]
    assert job(database, export.id).status == "running"


def test_clips_of_dead_workers_go_on_or_end(database, tell):
    export = put_export(database, put_video(database), 2)
    lost = [claim(database, "w1"), claim(database, "w1")]
    cancel(database, lost[0].job.id, now=NOW)
    with database.writing() as connection:
        connection.execute(WORKERS.delete())  # with no worker at all, an export must not look like a lost job
        assert sorted(take_from_dead(connection, now=NOW, on_end=tell)) == sorted(one.job.id for one in lost)
    assert sorted(clip.status for clip in clips_of(database, export.id)) == ["cancelled", "queued"]
    assert job(database, export.id).status == "running"
    with pytest.raises(FencedOff):
        finish(database, lost[1], "done", now=NOW, on_end=tell)
    enlist(database, "w9")
    finish(database, claim(database, "w9"), "done", now=NOW, on_end=tell)
    assert told(database, export.id) == ["export.cancelled"]


def test_a_clip_under_which_workers_die_is_parked_and_ends_its_export(database, tell):
    export = put_export(database, put_video(database), 1)
    for worker in ("w1", "w2", "w3"):
        assert claim(database, worker, on_end=tell) is not None
        with database.writing() as connection:
            connection.execute(WORKERS.update().where(WORKERS.c.id == worker).values(dead_at=NOW))
            take_from_dead(connection, now=NOW, on_end=tell)
    assert claim(database, "w4", on_end=tell) is None
    assert [clip.status for clip in clips_of(database, export.id)] == ["dead"]
    assert job(database, export.id).status == "failed"


def test_a_video_in_use_is_not_deleted_and_its_drafts_go_with_it(database):
    video = put_video(database)
    draft, running = put_export(database, video, 1, start=False), put_export(database, video, 1)
    with pytest.raises(JobRefused) as refused:
        forget_video(database, video.id, user_id="ann")
    assert refused.value.code == "in_use"
    cancel(database, running.id, now=NOW)
    forget_video(database, video.id, user_id="ann")
    assert job(database, running.id).status == "cancelled"
    with pytest.raises(JobRefused):
        start_export(database, draft.id, now=NOW, user_id="ann")
    assert len(forget_export(database, running.id, user_id="ann")) == 1
    assert clips_of(database, running.id) == []


def test_the_same_question_has_one_answer(database):
    video = put_video(database)
    question = AnalysisWanted(about="framing", start_s=1.0, end_s=4.0)

    def ask(wanted, number=0):
        return submit_analysis(database, video, wanted, user_id="ann", now=NOW + number)

    with ThreadPoolExecutor(6) as pool:
        asked = list(pool.map(lambda number: ask(question, number), range(6)))
    assert len({one.job.id for one in asked}) == 1
    assert sum(one.is_new for one in asked) == 1
    assert ask(msgspec.structs.replace(question, end_s=5.0)).is_new
    # analyses go before clips: somebody waits for them
    put_export(database, video, 1)
    assert claim(database, "w1").job.kind == "analysis"
    cancel(database, asked[0].job.id, now=NOW)
    assert ask(question).is_new or job(database, asked[0].job.id).status == "running"


def test_no_clip_is_lost_or_doubled_in_a_storm(database, tell):
    """Workers end clips at random, die, and park; callers cancel and retry clips and exports, all at once."""
    video = put_video(database)
    exports = [put_export(database, video, STORM_CLIPS).id for _ in range(STORM_EXPORTS)]
    clips = [clip.id for export in exports for clip in clips_of(database, export)]
    over = time.monotonic() + STORM_S
    broken: list[Exception] = []

    def guarded(work, seed):
        chance = random.Random(seed)
        try:
            while time.monotonic() < over:
                work(chance, seed)
        except Exception as error:  # noqa: BLE001 - shown by the test
            broken.append(error)

    def worker(chance, seed):
        taken = claim(database, f"w{seed}", now=time.time(), max_attempts=3, on_end=tell)
        if taken is None:
            time.sleep(0.01)
            return
        note = ProgressNote(claim=taken, percent=50.0, eta_s=None, speed=None)
        said = note_progress(database, [note], now=time.time())[taken.job.id]
        end = "cancelled" if said == "cancel" else chance.choice(["done", "done", "failed", "die"])
        if end == "die":
            with database.writing() as connection:
                mine = WORKERS.update().where(WORKERS.c.id == f"w{seed}")
                connection.execute(mine.values(dead_at=NOW))
                take_from_dead(connection, now=time.time(), on_end=tell)
                connection.execute(mine.values(dead_at=None))
            return
        with contextlib.suppress(FencedOff):  # another thread's search for the dead took it
            finish(
                database, taken, end, now=time.time(), error=FAILED if end == "failed" else None, on_end=tell
            )  # fmt: skip

    def caller(chance, _seed):
        what, which = chance.choice([cancel, retry]), chance.choice([*clips, *exports, *exports])
        with contextlib.suppress(JobRefused):  # done, or not finished
            what(database, which, now=time.time(), **({"on_end": tell} if what is cancel else {}))
        time.sleep(chance.uniform(0, 0.02))

    threads = [threading.Thread(target=guarded, args=(worker, seed)) for seed in (1, 2, 3, 4)]
    threads += [threading.Thread(target=guarded, args=(caller, seed)) for seed in (11, 12, 13)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert broken == []
    while (left := claim(database, "w1", now=time.time(), on_end=tell)) is not None:
        finish(database, left, "done", now=time.time(), on_end=tell)
    with database.writing() as connection:
        connection.execute(WORKERS.delete())
        take_from_dead(connection, now=time.time(), on_end=tell)
    enlist(database, "last")
    while (left := claim(database, "last", now=time.time(), on_end=tell)) is not None:
        finish(database, left, "done", now=time.time(), on_end=tell)

    for export_id in exports:
        children, export = clips_of(database, export_id), job(database, export_id)
        assert sorted(clip.spec.wants.index for clip in children) == list(range(STORM_CLIPS))
        assert not {clip.status for clip in children} & set(UNFINISHED)
        assert export.status == status_of_clips({clip.status for clip in children})
        ends = [kind for kind in kinds(database, export_id) if kind in FINISHED]
        # every run of an export ended once, and was told once
        assert len(ends) == export.run == len(told(database, export_id))
        for clip in children:
            of_clip = [kind for kind in kinds(database, clip.id) if kind in FINISHED]
            assert len(of_clip) == clip.run, kinds(database, clip.id)
    with database.reading() as connection:
        numbers = [event.seq for event in events_since(connection, 0, user_id=None, limit=100_000)]
    assert numbers == sorted(set(numbers))
