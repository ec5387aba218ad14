"""Real workers in processes of their own, the jobs they are given, and the proof that nothing was lost."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import sqlalchemy as sa

from reelpress.jobs.house import House
from reelpress.jobs.model import FINISHED, Job, JobInput, JobSpec
from reelpress.jobs.reading import events_since, find_job, list_jobs, receipt_of
from reelpress.jobs.submission import submit
from reelpress.jobs.tables import WEBHOOKS
from reelpress.receipt import Receipt
from reelpress.service_settings import load_service

import clips

WORKER = Path(__file__).with_name("work_process.py")
HOOK = "http://127.0.0.1:9/hook"
BEAT_S, DEAD_AFTER_S = 0.5, 2.0
PATIENCE_S = 120.0


class Fleet:
    """A database, a store, and workers on some machines, each with a scratch folder of its own."""

    def __init__(self, folder: Path, database_url: str, *, machines: int = 1, **settings: str) -> None:
        self.folder, self.machines = folder, machines
        self.objects = folder / "objects"
        self.objects.mkdir(parents=True, exist_ok=True)
        self.workers: dict[int, subprocess.Popen[str]] = {}
        self.exits: Counter[int] = Counter()
        self.environment = {
            "REELPRESS_DATA_DIR": str(folder / "data"), "REELPRESS_STORAGE_URL": f"file://{self.objects}",
            "REELPRESS_HEARTBEAT": str(BEAT_S), "REELPRESS_DEAD_AFTER": str(DEAD_AFTER_S), "REELPRESS_GRACE": "0",
            "REELPRESS_MAX_ATTEMPTS": "100", "REELPRESS_WORKER_JOBS": "2", "REELPRESS_WEBHOOK_URL": HOOK,
            "REELPRESS_CACHE_DIR": str(folder / "cache"), **settings,
        }  # fmt: skip
        if not database_url.startswith("sqlite"):
            self.environment["REELPRESS_DATABASE_URL"] = database_url
        self.house = House.open(load_service(environ=self.environment, env_file=None))

    def start(self, machine: int = 0, *arguments: str) -> subprocess.Popen[str]:
        """Start a worker on a machine where there is none."""
        scratch = self.scratch(machine)
        log = (self.folder / f"worker{machine}.log").open("a")
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("REELPRESS_")},
            **self.environment, "REELPRESS_SCRATCH_DIR": str(scratch),
        }  # fmt: skip
        with log:
            # the program itself, unless it is to be told when to die
            program = [str(WORKER)] if arguments else ["-m", "reelpress", "worker"]
            command = [sys.executable, *program, *arguments]
            worker = subprocess.Popen(command, env=environment, stdout=log, stderr=log, text=True, process_group=0)
        self.workers[machine] = worker
        return worker

    def scratch(self, machine: int) -> Path:
        return self.folder / f"scratch{machine}"

    def keep_up(self, *arguments: str) -> list[int]:
        """Start what is not there, as a supervisor does, and return the process ids of those that had been killed."""
        killed = []
        for machine in range(self.machines):
            worker = self.workers.get(machine)
            if worker is not None and worker.poll() is None:
                continue
            if worker is not None:
                self.exits[worker.returncode] += 1
                if worker.returncode == -signal.SIGKILL:
                    killed.append(worker.pid)
            self.start(machine, *arguments)
        return killed

    def stop(self, number: signal.Signals = signal.SIGTERM) -> list[int]:
        """End all workers and return how they went."""
        for worker in self.workers.values():
            if worker.poll() is None:
                worker.send_signal(number)
        gone = [worker.wait(timeout=30) for worker in self.workers.values()]
        self.workers.clear()
        return gone

    def input(self, clip: Path, key: str) -> None:
        target = self.objects / key
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(clip, target)

    def submit(self, key: str, user_id: str = "ann", **spec: object) -> Job:
        wanted = JobSpec(
            input=JobInput(kind="object", value=key), **{"reuse": False, "transcribe": False, "hardware": "off", **spec}
        )
        return submit(self.house.database, wanted, user_id=user_id, now=time.time()).job

    def job(self, job_id: str) -> Job:
        with self.house.database.reading() as connection:
            found = find_job(connection, job_id)
        assert found is not None
        return found

    def unfinished(self) -> list[Job]:
        with self.house.database.reading() as connection:
            return list_jobs(connection, user_id=None, statuses=["queued", "running"], limit=10_000)

    def kinds(self, job_id: str) -> list[str]:
        with self.house.database.reading() as connection:
            return [event.kind for event in events_since(connection, 0, user_id=None, jobs=[job_id])]

    def wait(self, job_id: str, until: Callable[[Job], bool] = lambda job: job.status in FINISHED) -> Job:
        """Return a job when it is so; workers that end are started again meanwhile."""
        deadline = time.monotonic() + PATIENCE_S
        while not until(job := self.job(job_id)):
            assert time.monotonic() < deadline, f"{job}\n{self.logs()}"
            time.sleep(0.005)
        return job

    def wait_for_all(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while left := self.unfinished():
            assert time.monotonic() < deadline, f"{left}\n{self.logs()}"
            self.keep_up()
            time.sleep(0.05)

    def logs(self) -> str:
        return "\n".join(path.read_text()[-6000:] for path in self.folder.glob("worker*.log"))

    def programs(self) -> list[str]:
        """Return the command lines of programs that work in this fleet's folders."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    words = (entry / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
                    # one that was killed has no command line any more
                    if str(self.folder) in words and "pytest" not in words:
                        found.append(words)
        return found

    def objects_of(self, job_id: str) -> list[str]:
        return sorted(str(path.relative_to(self.objects)) for path in self.objects.rglob(f"{job_id}/*"))

    def check_done_once(self, job: Job) -> None:
        """One output, of the hash that its receipt says; one end; one event to tell others."""
        assert job.status == "done", f"{job}\n{self.logs()}"
        assert job.percent == 100
        result = job.result
        with self.house.database.reading() as connection:
            text = receipt_of(connection, job.id)
            told = connection.execute(sa.select(WEBHOOKS.c.kind).where(WEBHOOKS.c.job_id == job.id)).scalars().all()
        receipt = msgspec.json.decode(text, type=Receipt)
        assert told == ["job.done"]
        assert self.kinds(job.id).count("done") == 1
        outputs = [name for name in self.objects_of(job.id) if name.endswith(".mp4")]
        expected = [] if result.output is None else [result.output.key]
        assert outputs == expected
        if result.output is not None:
            sha256 = hashlib.sha256((self.objects / result.output.key).read_bytes()).hexdigest()
            assert sha256 == result.output.sha256 == receipt.result.sha256
        assert (self.objects / result.receipt.key).read_text() == text

    def temporary(self) -> list[str]:
        """Return the objects that no job delivered: what uploads that were killed left."""
        names = (str(path.relative_to(self.objects)) for path in self.objects.rglob("*") if path.is_file())
        return [name for name in names if not name.startswith(("users/", "in/"))]

    def close(self) -> None:
        self.stop(signal.SIGKILL)
        self.house.close()


@contextlib.contextmanager
def fleet(folder: Path, database_url: str, **options: object) -> Iterator[Fleet]:
    """Open a fleet and end whatever of it is left."""
    opened = Fleet(folder, database_url, **options)
    try:
        yield opened
    finally:
        opened.close()


def make_clips(folder: Path) -> list[Path]:
    """Return short clips that differ, each large enough to be worth encoding."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number, (size, seconds) in enumerate([("320x180", 1), ("480x270", 1.5), ("640x360", 1), ("320x240", 2)]):
        out = folder / f"clip{number}.mp4"
        sound = ("-c:a", "aac") if number % 2 else ("-an",)
        source = (*clips.picture(size, "25", seconds), *(clips.tone(300 + number, seconds) if number % 2 else ()))
        made.append(clips.make(out, *source, *clips.X264, "-qp", "12", *sound))
    return made
