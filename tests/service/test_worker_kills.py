"""Workers are killed at random moments of every stage; no job is lost, none is done twice, nothing is left behind.

``make kill-tests`` does a hundred rounds on each kind of database and writes docs/kill-tests.md.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reelpress.jobs.reading import events_since
from reelpress.storage.orphans import sweep_orphans

from fleet_of_workers import PATIENCE_S, Fleet, fleet, make_clips
from kill_page import Batch, add_to_page

pytestmark = pytest.mark.faults

ROUNDS = int(os.environ.get("REELPRESS_KILL_ROUNDS", "4"))
PAGE = os.environ.get("REELPRESS_KILL_PAGE")
# Up to how many seconds into a stage a worker is killed.
LONGEST_S = {
    "fetch": 0.02, "probe": 0.3, "compress": 0.6, "check": 0.3, "store": 0.05, "transcribe": 2.0, "notify": 0.01,
}  # fmt: skip
STAGES = list(LONGEST_S)
IN_FLIGHT = 4


@pytest.fixture(scope="module")
def reels(tmp_path_factory):
    return make_clips(tmp_path_factory.mktemp("reels"))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A speech model that knows nothing, where the extra is there."""
    pytest.importorskip("ctranslate2") if not os.environ.get("CI") else None
    from whisper_model import make_model

    return make_model(tmp_path_factory.mktemp("models") / "tiny")


class Kills:
    """One batch: workers that are killed in one stage after the other, and jobs to keep them busy."""

    def __init__(self, workers: Fleet, reels: list[Path]) -> None:
        self.workers, self.reels, self.random = workers, reels, random.Random(ROUNDS)
        self.jobs: list[str] = []
        self.hit: Counter[str] = Counter()
        self.moments: dict[str, list[float]] = {}
        self.aimed_at = self.kills = 0
        self.order = workers.folder / "order"

    def go_on(self) -> None:
        """Do all rounds."""
        deadline = time.monotonic() + PATIENCE_S
        self._aim(0)
        while self.kills < ROUNDS:
            assert time.monotonic() < deadline, self.workers.logs()
            self._feed()
            for pid in self.workers.keep_up(str(self.order)):
                deadline = time.monotonic() + PATIENCE_S
                self._note(pid)
            if self.aimed_at not in [worker.pid for worker in self.workers.workers.values()]:
                # the one that has lived longest
                self._aim(min(worker.pid for worker in self.workers.workers.values()))
            time.sleep(0.05)
        self._aim(0)

    def _feed(self) -> None:
        while len(self.workers.unfinished()) < IN_FLIGHT:
            number = len(self.jobs)
            key = f"in/{number}.mp4"
            self.workers.input(self.reels[number % len(self.reels)], key)
            job = self.workers.submit(key, f"user{number % 3}", transcribe=number % 2 == 0)
            self.jobs.append(job.id)

    def _aim(self, pid: int) -> None:
        stage = STAGES[self.kills % len(STAGES)]
        self.aimed_at = pid
        new = self.order.with_suffix(".new")
        new.write_text(f"{pid} {stage} {self.random.uniform(0, LONGEST_S[stage])}")
        new.replace(self.order)

    def _note(self, pid: int) -> None:
        self.kills += 1
        for job in self.workers.unfinished():
            if job.worker is not None and job.worker.endswith(f"-{pid}"):
                self.hit[job.stage] += 1
                self.moments.setdefault(job.id, []).append(time.time())

    def recoveries_s(self) -> list[float]:
        """How long after each kill another worker began the job."""
        took = []
        for job_id, moments in self.moments.items():
            with self.workers.house.database.reading() as connection:
                events = events_since(connection, 0, user_id=None, jobs=[job_id])
            begun = [event.at for event in events if event.kind == "started"]
            took += [min(at for at in begun if at > moment) - moment for moment in moments]
        return took


@pytest.mark.parametrize(("kind", "machines"), [pytest.param("sqlite", 1, marks=pytest.mark.thorough), ("postgres", 2)])
def test_killed_workers_lose_nothing(kind, machines, reels, model, tmp_path, request):
    url = "sqlite" if kind == "sqlite" else request.getfixturevalue("new_postgres")()
    began = time.monotonic()
    with fleet(tmp_path, url, machines=machines, REELPRESS_TRANSCRIBE_MODEL=str(model)) as workers:
        kills = Kills(workers, reels)
        kills.go_on()
        workers.wait_for_all()
        for job_id in kills.jobs:
            workers.check_done_once(workers.job(job_id))
            if workers.job(job_id).spec.transcribe:
                assert workers.job(job_id).result.transcript_status == "done"
        gone = workers.stop()
        assert set(gone) == {0}
        assert workers.programs() == []

        temporary = workers.temporary()
        assert all(name.startswith(".reelpress/tmp/") for name in temporary)
        later = datetime.now(UTC) + timedelta(hours=2)
        sweep_orphans(workers.house.store, older_than_s=3600, now=later)
        assert workers.temporary() == []

        took = kills.recoveries_s()
        workers.keep_up()  # a worker that starts clears up what was left of jobs that ended
        for machine in range(machines):
            wait_until_empty(workers.scratch(machine) / "jobs")
        batch = Batch(
            kind=kind, workers=machines, rounds=ROUNDS, jobs=len(kills.jobs), killed_in=dict(kills.hit),
            temporary=len(temporary), recovery_s=sorted(took), other_exits=dict(workers.exits),
            wall_s=time.monotonic() - began,
        )  # fmt: skip
    print(batch)
    assert sum(kills.hit.values()) >= ROUNDS * 0.5, "kills that hit no job prove nothing"
    if ROUNDS >= 70:
        assert set(kills.hit) >= set(STAGES)
    if PAGE:
        add_to_page(Path(PAGE), batch)
    shutil.rmtree(tmp_path, ignore_errors=True)


def wait_until_empty(folder: Path) -> None:
    deadline = time.monotonic() + 30
    while folder.is_dir() and any(folder.iterdir()):
        assert time.monotonic() < deadline, list(folder.iterdir())
        time.sleep(0.05)
