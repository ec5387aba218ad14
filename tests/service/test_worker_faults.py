"""Workers that are stopped and go on, told to end, or lose their database or their disk in the middle of a job."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

import clips
from fleet_of_workers import fleet
from thorough import every_second

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def reel(tmp_path_factory):
    """Some seconds of work."""
    out = tmp_path_factory.mktemp("reel") / "reel.mp4"
    return clips.plain(out, "-qp", "10", size="1280x720", seconds=6)


def encodes(job):
    return job.stage == "compress" and job.percent > 12


def family_of(worker):
    """Return the worker and all that it started."""
    parents, found = {}, [worker.pid]
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text(errors="replace").rpartition(")")[2].split()[1])
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def send(worker, number):
    for pid in family_of(worker):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


@pytest.mark.parametrize("database_url", every_second(["postgres", "sqlite"]), indirect=True)
def test_a_worker_that_was_taken_for_dead_changes_nothing_and_ends(tmp_path, database_url, reel):
    with fleet(tmp_path, database_url, machines=2) as workers:
        workers.input(reel, "in/reel.mp4")
        zombie = workers.start(0)
        job = workers.submit("in/reel.mp4")
        workers.wait(job.id, encodes)
        send(zombie, signal.SIGSTOP)
        workers.start(1)
        done = workers.wait(job.id)
        workers.check_done_once(done)
        assert (done.attempts, workers.kinds(job.id).count("worker_lost")) == (2, 1)
        output = workers.objects / done.result.output.key
        before = output.stat()
        send(zombie, signal.SIGCONT)
        assert zombie.wait(timeout=60) == 70
        assert workers.job(job.id) == done
        workers.check_done_once(done)
        after = output.stat()
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("database_url", every_second(["sqlite", "postgres"]), indirect=True)
def test_a_worker_told_to_end_hands_back_and_another_goes_on(tmp_path, database_url, reel):
    with fleet(tmp_path, database_url, machines=2, REELPRESS_DEAD_AFTER="600") as workers:
        workers.input(reel, "in/reel.mp4")
        leaving = workers.start(0)
        job = workers.submit("in/reel.mp4")
        workers.wait(job.id, encodes)
        leaving.send_signal(signal.SIGTERM)
        assert leaving.wait(timeout=60) == 0
        handed = workers.job(job.id)
        assert (handed.status, handed.attempts) == ("queued", 0)
        assert workers.kinds(job.id)[-1] == "handed_back"
        workers.start(1)
        done = workers.wait(job.id)
        workers.check_done_once(done)
        assert done.attempts == 1
        # its input was fetched and probed by the one that left: those steps are not done again
        stages = [stage.stage for stage in done.stages]
        assert (stages.count("fetch"), stages.count("probe"), stages.count("compress")) == (1, 1, 2)


@pytest.mark.thorough
def test_a_worker_told_to_end_finishes_what_it_can_within_the_grace(tmp_path, reel):
    with fleet(tmp_path, "sqlite", REELPRESS_GRACE="120") as workers:
        workers.input(reel, "in/reel.mp4")
        leaving = workers.start()
        job = workers.submit("in/reel.mp4")
        workers.wait(job.id, encodes)
        leaving.send_signal(signal.SIGTERM)
        assert leaving.wait(timeout=120) == 0
        workers.check_done_once(workers.job(job.id))


@pytest.mark.parametrize("stage", every_second(["compress", "store"]))
def test_a_database_that_is_restarted_costs_one_attempt_at_most(tmp_path, postgres_server, new_postgres, reel, stage):
    with fleet(tmp_path, new_postgres()) as workers:
        workers.input(reel, "in/reel.mp4")
        workers.start()
        job = workers.submit("in/reel.mp4")
        workers.wait(job.id, lambda job: job.stage == stage)
        postgres_server.stop()
        time.sleep(3)
        postgres_server.start()
        done = workers.wait(job.id)
        workers.check_done_once(done)
        assert done.attempts <= 2  # DBOS may give a workflow up just then; the same worker goes on with it
        assert workers.workers[0].poll() is None


@pytest.mark.parametrize("stage", ["fetch", "compress"])
@pytest.mark.thorough
def test_a_database_that_another_holds_for_seconds_costs_no_attempt(tmp_path, reel, stage):
    with fleet(tmp_path, "sqlite") as workers:
        workers.input(reel, "in/reel.mp4")
        workers.start()
        job = workers.submit("in/reel.mp4")
        workers.wait(job.id, lambda job: job.stage == stage)
        files = [sqlite3.connect(tmp_path / "data" / name) for name in ("reelpress.sqlite", "workflows.sqlite")]
        for file in files:
            file.isolation_level = None
            file.execute("PRAGMA busy_timeout=20000")
            file.execute("BEGIN IMMEDIATE")
        time.sleep(3)
        for file in files:
            file.rollback()
            file.close()
        done = workers.wait(job.id)
        workers.check_done_once(done)
        assert done.attempts == 1


def test_a_full_disk_is_said_and_harms_nobody(tmp_path, reel):
    """Somebody else fills the scratch disk while a job is at work there."""
    scratch = tmp_path / "scratch0"
    scratch.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=420m", "tmpfs", str(scratch)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("a disk of its own needs root")
    try:
        with fleet(tmp_path, "sqlite") as workers:
            workers.input(reel, "in/reel.mp4")
            workers.input(clips.plain(tmp_path / "long.mp4", "-qp", "10", size="1280x720", seconds=12), "in/long.mp4")
            workers.start()
            job = workers.submit("in/long.mp4")
            workers.wait(job.id, encodes)
            ballast = scratch / "ballast"
            with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                free = os.fstatvfs(file.fileno())
                # most of it at once, for the job goes on; with too much nothing would be taken
                os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - 2**24)
                file.seek(0, os.SEEK_END)
                while True:
                    file.write(bytes(2**16))
            ended = workers.wait(job.id)
            assert ended.status == "failed", ended
            assert ended.error.retryable
            assert ended.error.code in ("disk_full", "full", "output_failed"), ended.error
            ballast.unlink()
            again = workers.submit("in/reel.mp4")
            workers.check_done_once(workers.wait(again.id))
            assert workers.stop() == [0]
    finally:
        subprocess.run(["umount", "-l", str(scratch)], check=True)
