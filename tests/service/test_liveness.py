"""Who is taken for dead, when, and what becomes of their jobs; clocks are the test's."""

from __future__ import annotations

import threading
import time

import pytest
from sqlalchemy.exc import OperationalError

from reelpress.jobs import liveness
from reelpress.jobs.changing import cancel
from reelpress.jobs.claiming import FencedOff
from reelpress.jobs.liveness import Liveness, workers_alive
from reelpress.jobs.tables import WORKERS
from reelpress.jobs.work import begin_stage

from job_table import NOW, claim, enlist, open_empty, put, row, set_row

BEAT_S, DEAD_AFTER_S = 2.0, 9.0


class Clocks:
    """The database's clock, and this machine's steady one."""

    def __init__(self):
        self.database, self.steady = NOW, 1000.0

    def pass_by(self, seconds, *, jump=0.0):
        self.database += seconds + jump
        self.steady += seconds


@pytest.fixture
def clocks(monkeypatch):
    made = Clocks()
    monkeypatch.setattr(liveness, "database_now", lambda _connection: made.database)
    monkeypatch.setattr(liveness.time, "monotonic", lambda: made.steady)
    return made


@pytest.fixture
def database(database_url, tmp_path):
    opened = open_empty(database_url, tmp_path)
    yield opened
    opened.close()


class Watch(Liveness):
    """Beats when the test says so."""

    def __init__(self, database, me="me", **more):
        self.died = []
        super().__init__(
            database, me, kind="worker", facts={}, beat_s=BEAT_S, dead_after_s=DEAD_AFTER_S,
            on_dead=lambda: self.died.append(me), **more,
        )  # fmt: skip
        self._thread = threading.Thread(target=lambda: None)
        self.start()

    def beat(self):
        """Do what the thread does every few seconds."""
        if not self._beat():
            self._on_dead()
            return []
        steady = liveness.time.monotonic() - self._steady_since >= DEAD_AFTER_S
        return self.judge() if steady else []


def go(clocks, *watches, seconds, **jump):
    """Let time go by, with a beat of these every two seconds; return the jobs they took."""
    taken = []
    for _ in range(int(seconds / BEAT_S)):
        clocks.pass_by(BEAT_S)
        for watch in watches:
            taken += watch.beat()
    return taken


def test_jobs_of_the_silent_go_back_once(database, clocks):
    dead = Watch(database, "dead")
    jobs = {put(database).id for _ in range(3)}
    claims = [claim(database, "dead") for _ in jobs]
    lost = []
    me = Watch(database, on_lost=lost.append)
    assert go(clocks, me, dead, seconds=20) == []
    assert sorted(go(clocks, me, seconds=14)) == sorted(jobs)
    assert go(clocks, me, seconds=20) == []
    assert lost == [1]
    for one in claims:
        with pytest.raises(FencedOff):
            begin_stage(database, one, "store", 90, now=NOW)
    dead.beat()
    assert dead.died == ["dead"]
    with pytest.raises(FencedOff):
        claim(database, "dead")
    assert claim(database, "me") is not None


def test_nobody_judges_before_it_has_lived_for_as_long_as_a_death_takes(database, clocks):
    enlist(database, "dead", seen_at=NOW - 1000)
    put(database)
    claim(database, "dead")
    me = Watch(database)
    assert go(clocks, me, seconds=8) == []
    assert len(go(clocks, me, seconds=4)) == 1


def test_an_outage_kills_nobody(database, clocks):
    """After the database was away, all beats are old; the first who comes back must not judge the others by that."""
    me, other = Watch(database), Watch(database, "other")
    job = put(database)
    claim(database, "other")
    go(clocks, me, other, seconds=20)
    clocks.pass_by(60)
    assert go(clocks, me, seconds=8) == []
    other.beat()
    assert go(clocks, me, other, seconds=30) == []
    assert row(database, job.id).worker == "other"
    assert me.died == other.died == []


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 30.0, -30.0])
def test_a_jump_of_the_clock_kills_nobody(database, clocks, jump):
    me, other = Watch(database), Watch(database, "other")
    put(database)
    claim(database, "other")
    go(clocks, me, other, seconds=20)
    clocks.pass_by(0, jump=jump)
    assert go(clocks, me, other, seconds=40) == []
    assert me.died == other.died == []


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_who_dies_about_a_jump_of_the_clock_is_found(database, clocks, jump):
    """Set back by an hour, a clock would let the dead look young for an hour."""
    me, other = Watch(database), Watch(database, "other")
    job = put(database)
    claim(database, "other")
    go(clocks, me, other, seconds=20)
    clocks.pass_by(0, jump=jump)
    assert go(clocks, me, seconds=40) == [job.id]
    assert me.died == []


def test_a_jump_between_a_beat_and_its_judgement_kills_nobody(database, clocks):
    me, other = Watch(database), Watch(database, "other")
    put(database)
    claim(database, "other")
    go(clocks, me, other, seconds=20)
    me._beat()
    clocks.pass_by(0, jump=3600)
    assert me.judge() == []
    other.beat()
    assert other.died == []


def test_a_job_that_was_to_be_cancelled_ends_with_its_worker_and_is_told_of(database, clocks):
    told = []
    Watch(database, "dead")
    job = put(database)
    claim(database, "dead")
    cancel(database, job.id, now=NOW)
    me = Watch(database, on_end=lambda _connection, ended: told.append((ended.id, ended.status)))
    go(clocks, me, seconds=20)
    assert row(database, job.id).status == "cancelled"
    assert told == [(job.id, "cancelled")]


def test_who_takes_leave_leaves_its_jobs_at_once(database, clocks):
    me = Watch(database)
    job = put(database)
    claim(database, "me")
    me.stop()
    assert row(database, job.id).status == "queued"
    with database.reading() as connection:
        assert workers_alive(connection, dead_after_s=DEAD_AFTER_S) == []


def test_jobs_of_a_worker_that_is_not_even_known_go_back(database, clocks):
    job = put(database)
    enlist(database, "gone")
    claim(database, "gone")
    with database.writing() as connection:
        connection.execute(WORKERS.delete().where(WORKERS.c.id == "gone"))
    assert go(clocks, Watch(database), seconds=20) == [job.id]


def test_a_job_that_cannot_be_read_stops_no_heart(database_url, tmp_path, monkeypatch):
    """As one that a newer program submitted, and whose worker died: others would take this worker for dead, too."""
    opened = open_empty(database_url, tmp_path)
    monkeypatch.setattr(liveness, "database_now", lambda _connection: time.time())
    enlist(opened, "gone")
    job = put(opened)
    claim(opened, "gone")
    set_row(opened, job.id, spec='{"input":{"kind":"hologram","value":"x"}}')
    beaten, judged = [], threading.Event()

    class Beating(Liveness):
        def _beat(self):
            beaten.append(1)
            return super()._beat()

        def judge(self):
            if len(beaten) > 3:
                judged.set()
            return super().judge()

    watch = Beating(
        opened, "me", kind="worker", facts={}, beat_s=0.01, dead_after_s=0, on_dead=lambda: None
    )  # fmt: skip
    watch.start()
    assert judged.wait(20)
    watch._stop.set()
    watch._thread.join(20)
    opened.close()


def test_beats_that_fail_are_tried_again(database_url, tmp_path, monkeypatch):
    opened = open_empty(database_url, tmp_path)
    beaten = threading.Event()
    failures = [OperationalError("x", {}, Exception()), OperationalError("x", {}, Exception())]

    def now(_connection):
        if failures:
            raise failures.pop()
        beaten.set()
        return NOW

    died = []
    watch = Liveness(
        opened, "me", kind="worker", facts={}, beat_s=0.01, dead_after_s=1, on_dead=lambda: died.append(1)
    )  # fmt: skip
    left, failures = failures, []
    watch.start()
    beaten.clear()
    failures = left
    monkeypatch.setattr(liveness, "database_now", now)
    assert beaten.wait(20)
    watch.stop()
    assert died == []
    opened.close()
