"""Claims and what is written under them, on both kinds of database."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reelpress.jobs import work
from reelpress.jobs.changing import cancel
from reelpress.jobs.claiming import FencedOff, claim_next
from reelpress.jobs.model import JobError
from reelpress.jobs.reading import events_since
from reelpress.jobs.tables import EVENTS, JOBS, TURNS
from reelpress.jobs.work import (
    ProgressNote,
    begin_stage,
    check_in_force,
    finish,
    note_content,
    note_progress,
    release,
    release_strays,
)

from job_table import NOW, claim, enlist, open_empty, put, row, set_row

WORKERS_HERE = ("w1", "w2", "w3", "w4")
ERROR = JobError(code="x", text="x")


@pytest.fixture
def database(database_url, tmp_path):
    opened = open_empty(database_url, tmp_path)
    enlist(opened, *WORKERS_HERE)
    yield opened
    opened.close()


def stages_of(database, job_id):
    with database.reading() as connection:
        return [event.data for event in events_since(connection, 0, user_id=None, jobs=[job_id])]


def test_a_claim_is_refused_everything_once_another_is_in_force(database):
    job = put(database)
    old = claim(database, "w1")
    set_row(database, job.id, status="queued", worker=None)
    new = claim(database, "w2")
    assert new.fence == old.fence + 1
    before = row(database, job.id)
    attempts = [
        lambda: begin_stage(database, old, "store", 90, now=NOW),
        lambda: finish(database, old, "done", now=NOW),
        lambda: finish(database, old, "failed", now=NOW, error=ERROR),
        lambda: release(database, old, now=NOW, why="drain"),
        lambda: check_in_force(database, old),
        lambda: note_content(database, old, "key"),
    ]
    for attempt in attempts:
        with pytest.raises(FencedOff):
            attempt()
    note = ProgressNote(claim=old, percent=99, eta_s=None, speed=None)
    assert note_progress(database, [note], now=NOW) == {job.id: "lost"}
    assert row(database, job.id) == before
    finish(database, new, "done", now=NOW)
    with pytest.raises(FencedOff):
        finish(database, old, "failed", now=NOW, error=ERROR)
    assert row(database, job.id).status == "done"


def test_the_same_end_written_twice_is_written_once(database):
    """As when the answer of the database was lost with its connection."""
    told = []
    job = put(database)
    taken = claim(database)
    for _ in range(2):
        ended = finish(database, taken, "done", now=NOW, on_end=lambda _c, ended: told.append(ended.id))
        assert ended.status == "done"
    assert told == [job.id]
    with pytest.raises(FencedOff):
        finish(database, taken, "failed", now=NOW, error=ERROR)


def test_who_was_taken_for_dead_claims_nothing(database):
    put(database)
    with pytest.raises(FencedOff):
        claim(database, "nobody")


def test_progress_never_goes_back_and_asks_whether_to_go_on(database):
    job = put(database)
    taken = claim(database)

    def note(percent):
        return note_progress(database, [ProgressNote(claim=taken, percent=percent, eta_s=1, speed=2)], now=NOW)

    assert note(40) == {job.id: "ok"}
    assert note(30) == {job.id: "ok"}
    assert row(database, job.id).percent == 40
    begin_stage(database, taken, "probe", 10, now=NOW)
    assert row(database, job.id).percent == 40
    cancel(database, job.id, now=NOW)
    assert note(50) == {job.id: "cancel"}


def test_stages_follow_one_another_and_end_where_the_next_begins(database):
    job = put(database)
    taken = claim(database)
    for at, stage in enumerate(["fetch", "probe", "compress"]):
        begin_stage(database, taken, stage, at, now=NOW + at)
    finish(database, taken, "failed", now=NOW + 5, error=ERROR)
    seen = [(stage.stage, stage.wall_s) for stage in row(database, job.id).stages]
    assert seen == [("fetch", 1), ("probe", 1), ("compress", 3)]


def test_priorities_go_before_turns(database):
    order = ["low", "normal", "high", "normal", "high", "low"]
    jobs = [put(database, f"user{n}", priority=priority) for n, priority in enumerate(order)]
    taken = [claim(database).job.id for _ in jobs]
    assert taken == [jobs[n].id for n in (2, 4, 1, 3, 0, 5)]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    acts=st.lists(st.sampled_from(["ann", "bob", "eve", "claim", "claim"]), min_size=1, max_size=40),
    backlog=st.integers(0, 12),
)
def test_users_take_turns_whatever_they_submit_and_when(database, acts, backlog):
    """While a user waits, no other is served twice more often than once each round; nobody starves."""
    with database.writing() as connection:
        for table in (EVENTS, JOBS):
            connection.execute(sa.delete(table))
        connection.execute(TURNS.update().values(served=0))
    waiting = Counter()
    served_since: dict[str, Counter] = {}

    def submit_for(user):
        put(database, user)
        if not waiting[user]:
            served_since[user] = Counter()
        waiting[user] += 1

    def serve():
        taken = claim(database)
        assert (taken is None) == (not +waiting)
        if taken is None:
            return
        user = taken.job.user_id
        for other in +waiting:
            if other != user:
                served_since[other][user] += 1
                assert served_since[other][user] <= 2, f"{user} was served thrice while {other} waited"
        waiting[user] -= 1
        served_since[user] = Counter()

    for _ in range(backlog):
        submit_for("mob")
    for act in acts:
        serve() if act == "claim" else submit_for(act)
    while +waiting:
        serve()
    assert claim(database) is None


def test_a_thousand_jobs_of_one_keep_no_other_waiting(database):
    for _ in range(50):
        put(database, "mob")
    for _ in range(10):
        claim(database)
    late = put(database, "ann")
    assert late.id in {claim(database).job.id for _ in range(2)}


def test_a_global_limit_holds_among_many_who_claim_at_once(database):
    for number in range(20):
        put(database, f"user{number % 5}")

    def take(number):
        return claim(database, WORKERS_HERE[number % 4], global_limit=5)

    with ThreadPoolExecutor(8) as pool:
        taken = [one for one in pool.map(take, range(24)) if one is not None]
    while (one := claim(database, "w1", global_limit=5)) is not None:  # who met another's claim may have got none
        taken.append(one)
    assert len(taken) == 5
    finish(database, taken[0], "failed", now=NOW, error=ERROR)
    assert claim(database, global_limit=5) is not None
    assert claim(database, global_limit=5) is None


def test_poison_is_parked_with_its_reason_and_told_of(database):
    told = []
    job, healthy = put(database, "ann"), put(database, "bob", now=NOW + 1)
    for attempt in range(3):
        taken = claim_next(database, "w1", now=NOW, max_attempts=3, only=job.id)
        begin_stage(database, taken, "compress", 10, now=NOW)
        assert row(database, job.id).attempts == attempt + 1
        set_row(database, job.id, status="queued", worker=None)
    taken = claim(database, on_end=lambda _connection, ended: told.append((ended.id, ended.status)))
    assert taken.job.id == healthy.id
    parked = row(database, job.id)
    assert (parked.status, parked.error.code, parked.worker) == ("dead", "workers_died", None)
    assert "3 workers" in parked.error.text
    assert "compress" in parked.error.text
    assert told == [(job.id, "dead")]
    assert claim(database) is None


def test_jobs_parked_and_claimed_by_many_at_once_end_once(database):
    told = []
    poison = {put(database, f"user{n % 3}").id for n in range(6)}
    for job_id in poison:
        set_row(database, job_id, attempts=9)
    healthy = {put(database, f"user{n % 3}").id for n in range(6)}

    def take(number):
        return claim(database, WORKERS_HERE[number % 4], on_end=lambda _c, ended: told.append(ended.id))

    with ThreadPoolExecutor(4) as pool:
        taken = [one.job.id for one in pool.map(take, range(16)) if one is not None]
    while (one := take(0)) is not None:
        taken.append(one.job.id)
    assert sorted(taken) == sorted(healthy)
    assert sorted(told) == sorted(poison)


def test_handing_back_is_no_attempt(database):
    job = put(database)
    for _ in range(5):
        taken = claim(database)
        release(database, taken, now=NOW, why="drain")
    handed = row(database, job.id)
    assert (handed.status, handed.attempts, handed.worker) == ("queued", 0, None)


@pytest.mark.parametrize("why", ["drain", "stray"])
def test_what_was_to_be_cancelled_ends_when_it_is_given_back(database, why):
    """Nobody may come for it again: it would wait for ever, as what its user has cancelled."""
    told = []

    def tell(_connection, job):
        told.append((job.id, job.status))

    job = put(database)
    taken = claim(database)
    cancel(database, job.id, now=NOW)
    if why == "drain":
        release(database, taken, now=NOW + 1, why="drain", on_end=tell)
    else:
        assert release_strays(database, "w1", {}, now=NOW + 1, on_end=tell) == [job.id]
    ended = row(database, job.id)
    assert (ended.status, ended.finished_at, ended.worker) == ("cancelled", NOW + 1, None)
    assert told == [(job.id, "cancelled")]


def test_a_job_claimed_by_who_never_knew_goes_back(database):
    lost, kept = put(database, "ann"), put(database, "bob")
    taken = {one.job.id: one.fence for one in (claim(database), claim(database))}
    assert release_strays(database, "w1", taken, now=NOW) == []
    del taken[lost.id]
    assert release_strays(database, "w2", {}, now=NOW) == []
    assert release_strays(database, "w1", taken, now=NOW) == [lost.id]
    assert (row(database, lost.id).status, row(database, kept.id).status) == ("queued", "running")
    assert row(database, lost.id).attempts == 1
    assert claim(database).job.id == lost.id


def test_a_stray_that_somebody_gave_back_meanwhile_is_no_death_of_its_worker(database, monkeypatch):
    """A worker that is refused a write takes itself for dead, and ends with all that it is at."""
    jobs = [put(database), put(database)]
    claims = {one.job.id: one for one in (claim(database), claim(database))}
    real, seen = work.release, []

    def release_late(database, stray, **more):
        if not seen:
            real(database, claims[stray.job.id], now=NOW, why="no_room")
        seen.append(stray.job.id)
        real(database, stray, **more)

    monkeypatch.setattr(work, "release", release_late)
    assert release_strays(database, "w1", {}, now=NOW) == seen[1:]
    assert [row(database, job.id).status for job in jobs] == ["queued", "queued"]


def test_work_that_was_done_is_found_by_its_user_alone(database):
    first = put(database, "ann")
    taken = claim(database)
    assert note_content(database, taken, "same") is None
    finish(database, taken, "done", now=NOW)
    for user, expected in (("ann", first.id), ("bob", None)):
        put(database, user)
        found = note_content(database, claim(database), "same")
        assert (found.id if found else None) == expected
