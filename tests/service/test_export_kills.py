"""Exports over HTTP while all is killed, cancelled and retried: no clip is lost, none doubled, nothing left behind.

``make kill-tests`` does 300 exports on each kind of database and writes what it saw to docs/kill-tests.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from reelpress.jobs.clip_model import VideoSource
from reelpress.jobs.liveness import workers_alive
from reelpress.jobs.model import FINISHED, Job
from reelpress.jobs.telling import status_of_clips
from reelpress.look import look_at
from reelpress.run.process import CancelToken
from reelpress.storage.orphans import sweep_orphans

import clip_tables
import clips as media
from clip_tables import clips_of, job, kinds, put_video, told
from fleet_of_workers import DEAD_AFTER_S, Fleet, fleet
from kill_page import ExportBatch, add_exports_to_page
from served import Service, without_settings

pytestmark = pytest.mark.faults

EXPORTS = int(os.environ.get("REELPRESS_STORM_EXPORTS", "6"))
PAGE = os.environ.get("REELPRESS_KILL_PAGE")
PROGRAM = Path(__file__).with_name("serve_process.py")
CLIPS = 3
IN_FLIGHT = 6
KILL_AFTER_S = (0.3, 2.5)
PATIENCE_S = 240.0
FRAMED = {"shots": [{"start_s": 0.0, "end_s": 60.0, "layout": "fit", "rule": "centre", "windows": []}]}


class Storm:
    """A server, perhaps workers beside it, and somebody who asks, cancels, retries and kills."""

    def __init__(self, workers: Fleet, video: str, *, real: bool = False) -> None:
        self.fleet, self.video, self.real = workers, video, real
        self.random = random.Random(EXPORTS)
        self.exports: dict[str, str] = {}  # by idempotency key
        self.kills: Counter[str] = Counter()
        self.begun: dict[int, int] = {}  # by machine, how many workers of it had begun before the one of now
        self.asked: Counter[str] = Counter()
        self.server: Service | None = None
        self._next_kill, self._most_kills = 0.0, 0

    def start(self) -> None:
        """Start everything, and wait until it works."""
        with self.fleet.house.database.reading() as connection:
            before = {seen.id for seen in workers_alive(connection, dead_after_s=DEAD_AFTER_S)}
        self._start_server()
        for machine in range(1, self.fleet.machines):
            self._start_worker(machine)
        deadline = time.monotonic() + 60
        while True:
            with self.fleet.house.database.reading() as connection:
                now = {seen.id for seen in workers_alive(connection, dead_after_s=DEAD_AFTER_S)}
            if len(now - before) == self.fleet.machines:
                return
            assert time.monotonic() < deadline, self.fleet.logs()
            time.sleep(0.05)

    def _start_server(self) -> None:
        environment = {**self._environment(0), "REELPRESS_PORT": "0"}
        program = ["-m", "reelpress", "serve"] if self.real else [str(PROGRAM)]
        self.server = Service(environment, self.fleet.folder / "worker0.log", program=program)
        self._next_kill = time.monotonic() + self.random.uniform(*KILL_AFTER_S)

    def _start_worker(self, machine: int) -> None:
        self.begun[machine] = self._begun(machine)
        with (self.fleet.folder / f"worker{machine}.log").open("a") as log:
            self.fleet.workers[machine] = subprocess.Popen(
                [sys.executable, str(PROGRAM), "worker"], stdout=log, stderr=log, text=True, process_group=0,
                env={**without_settings(), **self._environment(machine)},
            )  # fmt: skip

    def _begun(self, machine: int) -> int:
        log = self.fleet.folder / f"worker{machine}.log"
        return log.read_text().count(" jobs at once") if log.exists() else 0

    def _environment(self, machine: int) -> dict[str, str]:
        return {**self.fleet.environment, "REELPRESS_SCRATCH_DIR": str(self.fleet.scratch(machine))}

    def go_on(self, count: int, *, most_s: float) -> None:
        """Have ``count`` exports made, with everything else at random between."""
        over = time.monotonic() + most_s
        # with programs that really run, a server on a busy machine may not get to anything between two kills
        self._most_kills = max(2, count // 5)
        while len(self.exports) < count or not self.kills.total():
            assert time.monotonic() < over, self.fleet.logs()
            if len(self._unfinished()) < IN_FLIGHT:
                self._export(f"export-{len(self.exports)}")
            self._meddle()
            self._perhaps_kill()
            time.sleep(0.02)

    def end(self) -> None:
        """Wait until everything has ended."""
        deadline = time.monotonic() + PATIENCE_S
        self._next_kill = float("inf")
        while self._unfinished():
            assert time.monotonic() < deadline, f"{self._unfinished()}\n{self.fleet.logs()}"
            time.sleep(0.1)

    def stop(self) -> None:
        deadline = time.monotonic() + 60
        for machine in self.fleet.workers:  # told to end before it is a worker, a stand-in just dies
            while self._begun(machine) <= self.begun[machine]:
                assert time.monotonic() < deadline, self.fleet.logs()
                time.sleep(0.05)
        if self.server is not None:
            assert self.server.end() == 0, self.fleet.logs()
        for code in self.fleet.stop():
            assert code == 0, self.fleet.logs()

    def _ask(self, method: str, path: str, **more: object) -> httpx.Response | None:
        """Ask the server; ``None`` when it died meanwhile, and nobody knows whether it heard."""
        assert self.server is not None
        with contextlib.suppress(httpx.TransportError):
            return httpx.request(method, f"{self.server.url}{path}", timeout=30, **more)
        return None

    def _export(self, key: str) -> None:
        name = "bad" if self.random.random() < 0.15 else "good"
        clips = [
            {
                "id": f"c{n}", "name": f"{name} {n}" if n == 0 else f"clip {n}", "start_s": n * 0.2,
                "end_s": n * 0.2 + 0.8, "framing": FRAMED if self.real else None,
            }
            for n in range(CLIPS)
        ]  # fmt: skip
        body = {"video": self.video, "clips": clips, "start": True, "width": 144, "height": 256}
        answer = self._ask("POST", "/v1/exports", json=body, headers={"Idempotency-Key": key})
        # it may have been made before the server died: the same key finds it, and starts it
        if answer is not None:
            assert answer.status_code in (200, 201), answer.text
            self.exports[key] = answer.json()["id"]

    def _meddle(self) -> None:
        if self.random.random() > 0.25 or not self.exports:
            return
        export_id = self.random.choice(list(self.exports.values())[-2 * IN_FLIGHT :])
        what = self.random.choice(["cancel", "retry", "retry"])
        if self.random.random() < 0.3:
            answer = self._ask("POST", f"/v1/exports/{export_id}/{what}")
        else:
            clip = self.random.choice(clips_of(self.fleet.house.database, export_id))
            answer = self._ask("POST", f"/v1/clips/{clip.id}/{what}")
        if answer is not None:
            assert answer.status_code in (200, 409), answer.text
            self.asked[f"{what} {answer.status_code}"] += 1

    def _perhaps_kill(self) -> None:
        if time.monotonic() < self._next_kill or self.kills.total() >= self._most_kills:
            return
        assert self.server is not None
        machine = self.random.choice([0, *self.fleet.workers])
        if machine == 0:
            self.server.end(signal.SIGKILL)
            self._start_server()
        else:
            worker = self.fleet.workers.pop(machine)
            worker.kill()
            worker.wait(30)
            self._start_worker(machine)
        self.kills["worker" if machine else "server"] += 1
        self._next_kill = time.monotonic() + self.random.uniform(*KILL_AFTER_S)

    def _unfinished(self) -> list[Job]:
        return [one for one in self.fleet.unfinished() if one.kind == "clip"]

    def check(self) -> Counter[str]:
        """Every clip is there, ended once in each of its runs, and is in the store as its job says; count the ends."""
        database, objects = self.fleet.house.database, self.fleet.objects
        seen: Counter[str] = Counter()
        delivered: dict[str, str] = {}
        may_be_there: set[str] = set()
        for export_id in self.exports.values():
            export, clips = job(database, export_id), clips_of(database, export_id)
            assert sorted(clip.spec.wants.index for clip in clips) == list(range(CLIPS))
            assert export.status == status_of_clips({clip.status for clip in clips}), (export, clips)
            ends = [kind for kind in kinds(database, export_id) if kind in FINISHED]
            assert len(ends) == export.run == len(told(database, export_id))
            seen[f"export {export.status}"] += 1
            for clip in clips:
                of_clip = [kind for kind in kinds(database, clip.id) if kind in FINISHED]
                assert (len(of_clip), of_clip[-1]) == (clip.run, clip.status), kinds(database, clip.id)
                seen[clip.status] += 1
                if clip.status == "done":
                    output = clip.result.output
                    assert output.key not in delivered
                    delivered[output.key] = output.sha256
                else:  # stored just before it was cancelled
                    may_be_there.add(f"users/local/exports/{export_id}/{clip.spec.wants.index + 1:02d}-")
        there = {str(path.relative_to(objects)) for path in (objects / "users").rglob("*.mp4")}
        assert set(delivered) <= there
        assert all(name in delivered or name.rpartition("/")[0] + "/" + name.rpartition("/")[2][:3] in may_be_there
                   for name in there)  # fmt: skip
        for key, sha256 in delivered.items():
            assert hashlib.sha256((objects / key).read_bytes()).hexdigest() == sha256
        return seen


@pytest.fixture(scope="module")
def reel(tmp_path_factory):
    """A video with sound, long enough for three clips."""
    return media.make(
        tmp_path_factory.mktemp("reel") / "long.mp4", *media.picture("320x180", "25", 3), *media.tone(440, 3),
        *media.X264, "-c:a", "aac",
    )  # fmt: skip


def storm(reel: Path, folder: Path, url: str, *, machines: int, count: int, real: bool = False) -> None:
    began = time.monotonic()
    with fleet(folder, url, machines=machines, REELPRESS_GRACE="20") as workers:
        workers.input(reel, "in/long.mp4")
        store = workers.house.store
        source = VideoSource(
            kind="object", value="in/long.mp4", size_bytes=reel.stat().st_size, version=store.find("in/long.mp4").etag,
            name="long.mp4", is_ours=False,
        )  # fmt: skip
        known = clip_tables.details(source, facts=look_at(reel, CancelToken()).facts)
        video = put_video(workers.house.database, "local", known=known, now=time.time())
        blowing = Storm(workers, video.id, real=real)
        try:
            blowing.start()
            blowing.go_on(count, most_s=PATIENCE_S + 3.0 * count)
            blowing.end()
            seen = blowing.check()
            blowing.stop()
        finally:
            if blowing.server is not None:
                blowing.server.end(signal.SIGKILL)
        assert workers.programs() == []
        left = len(workers.temporary())
        sweep_orphans(store, older_than_s=3600, now=datetime.now(UTC) + timedelta(hours=2))
        assert workers.temporary() == []
        # a server that starts clears up what was left of clips that ended
        blowing.start()
        blowing.stop()
        assert [path for n in range(machines) for path in workers.scratch(n).glob("*/*")] == []
    made = len(blowing.exports)
    batch = ExportBatch(
        kind="SQLite" if url == "sqlite" else "Postgres", exports=made, clips=made * CLIPS, seen=dict(seen),
        kills=dict(blowing.kills), asked=dict(blowing.asked), temporary=left, wall_s=time.monotonic() - began,
    )  # fmt: skip
    print(batch)
    assert blowing.kills.total() >= 1
    if PAGE and not real:
        add_exports_to_page(Path(PAGE), batch)


@pytest.mark.parametrize(("kind", "machines"), [pytest.param("sqlite", 1, marks=pytest.mark.thorough), ("postgres", 2)])
def test_exports_in_a_storm_lose_nothing(kind, machines, reel, tmp_path, request):
    url = "sqlite" if kind == "sqlite" else request.getfixturevalue("new_postgres")()
    storm(reel, tmp_path, url, machines=machines, count=EXPORTS)


@pytest.mark.thorough
def test_real_exports_in_a_storm_leave_no_program_behind(reel, tmp_path):
    storm(reel, tmp_path, "sqlite", machines=1, count=2 if EXPORTS < 100 else 12, real=True)
