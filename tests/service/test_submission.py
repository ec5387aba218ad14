"""What callers do to jobs, on both kinds of database: submit, cancel, retry, in every state a job can be in."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from reelpress.jobs.changing import cancel, retry
from reelpress.jobs.claiming import claim_next
from reelpress.jobs.model import FINISHED, JobError, JobInput, JobResult, JobSpec
from reelpress.jobs.reading import count_jobs, events_since, find_by_key, last_seq, list_jobs
from reelpress.jobs.submission import JobRefused, submit
from reelpress.jobs.tables import JOBS
from reelpress.jobs.videos import submit_video
from reelpress.jobs.work import finish, release

from job_table import NOW, claim, enlist, open_empty, put, row, set_row, spec

RESULT = JobResult(
    outcome="skipped", encoder=None, device=None, input_key="in.mp4", input_bytes=1, output=None, receipt=None,
    saved_share=None,
)  # fmt: skip


@pytest.fixture
def database(database_url, tmp_path):
    opened = open_empty(database_url, tmp_path)
    enlist(opened, "w1", "w2")
    yield opened
    opened.close()


def kinds(database, job_id):
    with database.reading() as connection:
        return [event.kind for event in events_since(connection, 0, user_id=None, jobs=[job_id])]


def test_one_key_is_one_job_however_many_ask_at_once(database):
    def ask(number):
        return submit(database, spec(), user_id="ann", now=NOW + number, idempotency_key="k")

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(16)))
    assert len({answer.job.id for answer in answers}) == 1
    assert sum(answer.is_new for answer in answers) == 1
    assert kinds(database, answers[0].job.id) == ["queued"]


def test_a_key_is_one_users_and_stands_for_one_request(database):
    first = submit(database, spec(), user_id="ann", now=NOW, idempotency_key="k")
    other = submit(database, spec("b.mp4"), user_id="bob", now=NOW, idempotency_key="k")
    assert other.is_new
    with pytest.raises(JobRefused) as refused:
        submit(database, spec("b.mp4"), user_id="ann", now=NOW, idempotency_key="k")
    assert refused.value.code == "key_reused"
    with database.reading() as connection:
        assert find_by_key(connection, "ann", "k").id == first.job.id
        assert find_by_key(connection, "ann", "other") is None


def test_a_key_of_a_video_to_cut_stands_for_no_job_that_compresses_it(database):
    """As the name of a file makes a key: what is asked for is the same in every word but not the same work."""
    place = JobInput(kind="object", value="in.mp4")
    submit_video(database, place, user_id="ann", now=NOW, idempotency_key="in.mp4")
    with pytest.raises(JobRefused) as refused:
        submit(
            database, JobSpec(input=place, transcribe=False, reuse=False), user_id="ann", now=NOW,
            idempotency_key="in.mp4",
        )  # fmt: skip
    assert refused.value.code == "key_reused"


def test_a_key_finds_the_job_that_an_older_program_took(database):
    """A task that is delivered again after an upgrade asks for the same; only what can be asked for has grown."""
    job = submit(database, spec(), user_id="ann", now=NOW, idempotency_key="k").job
    known = msgspec.to_builtins(spec())
    older = {name: known[name] for name in ("input", "settings", "transcribe")}
    set_row(database, job.id, spec=msgspec.json.encode(older).decode(), spec_hash="of what stood there")
    again = submit(database, spec(), user_id="ann", now=NOW, idempotency_key="k")
    assert (again.is_new, again.job.id) == (False, job.id)
    with pytest.raises(JobRefused):
        submit(database, spec(reuse=False), user_id="ann", now=NOW, idempotency_key="k")


def test_a_key_finds_its_job_after_it_ended(database):
    job = submit(database, spec(), user_id="ann", now=NOW, idempotency_key="k").job
    finish(database, claim(database), "done", now=NOW, result=RESULT)
    again = submit(database, spec(), user_id="ann", now=NOW, idempotency_key="k")
    assert (again.is_new, again.job.id, again.job.status) == (False, job.id, "done")


def test_a_full_queue_refuses_and_takes_again(database):
    def ask(_):
        try:
            return put(database, max_queued=3).status
        except JobRefused as error:
            return error.code

    with ThreadPoolExecutor(6) as pool:
        assert Counter(pool.map(ask, range(12))) == {"queued": 3, "queue_full": 9}
    put(database, "bob", max_queued=3)
    finish(database, claim(database), "done", now=NOW, result=RESULT)
    put(database, max_queued=3)


def bring_to(database, status):
    """Return a job in this state."""
    job = put(database)
    if status == "queued":
        return job.id
    if status == "dead":
        set_row(database, job.id, attempts=3)
        assert claim(database) is None
        return job.id
    taken = claim(database)
    if status == "cancelled":
        cancel(database, job.id, now=NOW)
    if status != "running":
        error = JobError(code="x", text="x") if status == "failed" else None
        finish(database, taken, status, now=NOW, error=error, result=RESULT if status == "done" else None)
    return job.id


@pytest.mark.parametrize("status", ["queued", "running", *FINISHED])
def test_cancel_in_every_state(database, status):
    job_id = bring_to(database, status)
    before = row(database, job_id)
    after = cancel(database, job_id, now=NOW + 1)
    assert (after.status, after.cancel_requested) == {
        "queued": ("cancelled", True), "running": ("running", True),
    }.get(status, (status, before.cancel_requested))  # fmt: skip
    again = cancel(database, job_id, now=NOW + 2)
    assert again == after
    events = kinds(database, job_id)
    assert events.count("cancelled") == (after.status == "cancelled")
    assert events.count("cancel_requested") == (status in ("running", "cancelled"))


@pytest.mark.parametrize("status", ["queued", "running", *FINISHED])
def test_retry_in_every_state(database, status):
    job_id = bring_to(database, status)
    if status in ("queued", "running", "done"):
        with pytest.raises(JobRefused) as refused:
            retry(database, job_id, now=NOW + 1)
        assert refused.value.code == ("done" if status == "done" else "not_finished")
        return
    again = retry(database, job_id, now=NOW + 1)
    assert (again.status, again.run, again.attempts, again.percent) == ("queued", 2, 0, 0.0)
    assert (again.error, again.cancel_requested, again.stages, again.finished_at) == (None, False, (), None)
    taken = claim(database, now=NOW + 1)
    assert taken.job.id == job_id
    assert taken.workflow_id == f"{job_id}.2"


def test_others_jobs_are_not_there(database):
    job = put(database)
    for change in (cancel, retry):
        with pytest.raises(JobRefused) as refused:
            change(database, job.id, now=NOW, user_id="bob")
        assert refused.value.code == "not_found"
        with pytest.raises(JobRefused):
            change(database, "job_none", now=NOW)
    assert row(database, job.id) == job


def test_a_job_that_was_pushed_and_is_asked_for_again_waits_for_nobody_to_push_it(database):
    job = put(database, origin="push")
    assert claim(database) is None
    finish(database, claim(database, only=job.id), "failed", now=NOW, error=JobError(code="x", text="x"))
    retry(database, job.id, now=NOW)
    assert claim(database).job.id == job.id


def test_a_cancelled_job_is_told_of_once_wherever_it_stands(database):
    told = []

    def tell(_connection, job):
        told.append((job.id, job.status))

    queued = put(database)
    cancel(database, queued.id, now=NOW, on_end=tell)
    cancel(database, queued.id, now=NOW, on_end=tell)
    assert told == [(queued.id, "cancelled")]


def test_clocks_that_go_back_hide_no_job(database):
    """A job submitted by a machine whose clock is ahead, or before a clock was set back, is claimed at once."""
    job = put(database, now=NOW + 7200)
    taken = claim(database, now=NOW)
    assert taken.job.id == job.id
    release(database, taken, now=NOW + 7200, why="no_room", delay_s=2.0)
    assert claim(database, now=NOW).job.id == job.id


def test_a_job_given_back_for_want_of_room_waits(database):
    put(database)
    release(database, claim(database), now=NOW, why="no_room", delay_s=2.0)
    assert claim(database, now=NOW + 1) is None
    assert claim(database, now=NOW + 2.1) is not None


def test_pages_and_counts(database):
    jobs = [put(database, "ann" if n % 3 else "bob", now=NOW + n // 2) for n in range(9)]
    finish(database, claim(database), "done", now=NOW, result=RESULT)
    with database.reading() as connection:
        assert sum(count_jobs(connection).values()) == 9
        assert count_jobs(connection)["done"] == 1
        assert count_jobs(connection, user_id="bob")["queued"] in (2, 3)
        seen, before = [], None
        while page := list_jobs(connection, user_id=None, before=before, limit=2):
            seen += [job.id for job in page]
            before = (page[-1].created_at, page[-1].id)
        assert sorted(seen) == sorted(job.id for job in jobs)
        assert {job.user_id for job in list_jobs(connection, user_id="bob")} == {"bob"}
        assert [job.status for job in list_jobs(connection, user_id=None, statuses=["done"])] == ["done"]


def test_events_are_numbered_in_the_order_in_which_readers_see_them(database):
    """A reader that has seen a number never finds a smaller one later."""
    stop, seen, late = [], [0], []

    def read():
        while True:
            last = bool(stop)
            with database.reading() as connection:
                new = events_since(connection, seen[-1], user_id=None)
                late.extend(event.seq for event in new if event.seq <= seen[-1])
                seen.extend(event.seq for event in new)
            if last:
                return

    def write(number):
        user_id = f"user{number % 4}"
        job = put(database, user_id)
        cancel(database, job.id, now=NOW)

    with ThreadPoolExecutor(5) as pool:
        reader = pool.submit(read)
        list(pool.map(write, range(40)))
        stop.append(True)
        reader.result()
    assert late == []
    with database.reading() as connection:
        everything = [event.seq for event in events_since(connection, 0, user_id=None)]
        assert last_seq(connection) == everything[-1]
    assert seen[1:] == everything
    assert len(everything) == 80


def test_submissions_at_once_take_turns_one_after_another(database):
    """A user does not get ahead of others by asking for much at the same moment."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: put(database), range(16)))
    with database.reading() as connection:
        turns = sorted(connection.execute(JOBS.select()).scalars(JOBS.c.turn))
    assert turns == list(range(1, 17))


def test_what_is_retried_takes_its_turn_again(database):
    """Old turns were served long ago; a thousand jobs retried with them would all go before everybody else's."""
    jobs = [put(database, "mob") for _ in range(6)]
    for _ in jobs:
        finish(database, claim(database), "failed", now=NOW, error=JobError(code="x", text="x"))
    for _ in range(3):
        put(database, "ann", now=NOW + 1)
    for job in jobs:
        retry(database, job.id, now=NOW + 2)
    served = [claim(database).job.user_id for _ in range(9)]
    assert Counter(served[:6]) == {"ann": 3, "mob": 3}
    assert set(served[6:]) == {"mob"}


def test_the_same_job_is_never_claimed_twice(database):
    jobs = {put(database, f"user{n % 3}").id for n in range(24)}

    def take(worker):
        mine = []
        while (taken := claim_next(database, worker, now=NOW, max_attempts=3)) is not None:
            mine.append(taken.job.id)
        return mine

    with ThreadPoolExecutor(4) as pool:
        taken = [job for mine in pool.map(take, ["w1", "w2", "w1", "w2"]) for job in mine]
    while (rest := claim(database)) is not None:  # who looks while others' claims are open may see nothing
        taken.append(rest.job.id)
    assert len(taken) == 24
    assert set(taken) == jobs
