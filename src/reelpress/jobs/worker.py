"""A worker: claims jobs while it has room, has them run as durable workflows, and says how far they are."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from reelpress.jobs.claiming import FencedOff, claim_next
from reelpress.jobs.encoding import Encoding
from reelpress.jobs.house import House
from reelpress.jobs.liveness import Liveness
from reelpress.jobs.model import UNFINISHED, Job, new_id
from reelpress.jobs.reading import find_job
from reelpress.jobs.task import Task
from reelpress.jobs.telling import OnEnd
from reelpress.jobs.work import note_progress, release, release_strays
from reelpress.jobs.workflows import Workflows
from reelpress.probe.gpu_finding import find_gpu
from reelpress.probe.media import for_many_files
from reelpress.version import VERSION

_LOG = logging.getLogger("reelpress.jobs")
_CLAIM_EVERY_S = 0.1
_LOOK_FOR_STRAYS_EVERY_S = 2.0
# Jobs that were handed over, or lost, end elsewhere, and the disk is this machine's.
_SWEEP_EVERY_S = 60.0
_TELL_EVERY_S = 0.25
_TELL_AT_LEAST_EVERY_S = 1.0
_STOPPING_S = 5.0
EXIT_FOUND_DEAD = 70


class Worker:
    """The worker of this process; there is one at most, since DBOS has one executor per process.

    ``capacity`` jobs are claimed at once, ``push_capacity`` more are taken only by name. ``on_dead`` is called when
    others took this worker for dead: what it does no longer counts, so by default the process ends with code 70.
    """

    def __init__(
        self,
        house: House,
        encoding: Encoding,
        *,
        capacity: int,
        push_capacity: int = 0,
        on_end: OnEnd = lambda _connection, _job: None,
        on_dead: Callable[[], None] | None = None,
    ) -> None:
        self.house, self.encoding, self.capacity, self.push_capacity = house, encoding, capacity, push_capacity
        self.id = f"{new_id('worker')}-{os.getpid()}"
        self._workflows = Workflows(self.id)
        self._on_end, self._on_dead = on_end, on_dead or self._end_process
        self._kept = contextlib.ExitStack()  # for as long as it works
        self._lock = threading.Lock()
        self._claiming = threading.Lock()  # held from before a claim until it stands among the active ones
        self._active: list[tuple[Task, bool]] = []  # and whether it was pushed
        self._wake, self._stop, self._draining = threading.Event(), threading.Event(), threading.Event()
        settings = house.settings
        self._liveness = Liveness(
            house.database, self.id, kind="worker" if capacity else "push", facts=self.facts(),
            beat_s=settings.heartbeat_s, dead_after_s=settings.dead_after_s, on_dead=self._found_dead,
            on_taken=lambda _jobs: self.wake(), on_end=on_end,
            on_lost=lambda lost: house.telemetry.instruments.add("reelpress_workers_lost_total", lost),
        )  # fmt: skip
        self._threads = [
            threading.Thread(target=self._claim_on, name="reelpress-claims", daemon=True),
            threading.Thread(target=self._tell_on, name="reelpress-progress", daemon=True),
        ]

    def facts(self) -> dict[str, object]:
        """Return what others may know of this worker."""
        host = self.encoding.host
        return {
            "version": VERSION, "capacity": self.capacity, "push_capacity": self.push_capacity, "cores": host.cores,
            "gpus": [gpu.name for gpu in host.gpus], "pid": os.getpid(),
        }  # fmt: skip

    def start(self) -> None:
        """Bring the workflow engine up and begin to claim jobs."""
        self._workflows.launch(self.house.settings)
        self._sweep_scratch()
        self.house.private.sweep()
        self._kept.enter_context(for_many_files())
        self._liveness.start()
        for thread in self._threads:
            thread.start()
        _LOG.info("worker %s: %d jobs at once", self.id, self.capacity)
        # with a GPU, finding out takes seconds, which jobs need not wait for: each finds out what it needs itself
        threading.Thread(target=self._say_what_encodes, name="reelpress-gpu", daemon=True).start()

    def wake(self) -> None:
        """Look for jobs now: one was just submitted."""
        self._wake.set()

    def active(self) -> list[str]:
        """Return the ids of jobs this worker is at."""
        with self._lock:
            return [task.claim.job.id for task, _ in self._active]

    def take(self, job_id: str) -> Task | None:
        """Begin this very job now, if it is queued and there is room for one that was pushed; ``None`` otherwise."""
        return self._claim(only=job_id)

    def drain(self, grace_s: float) -> None:
        """Claim nothing more, go on with what is begun for ``grace_s`` seconds, hand the rest back, and be gone."""
        self._draining.set()
        self._wake.set()
        self._threads[0].join(timeout=_STOPPING_S)  # a claim that is under way becomes a task
        self._wait_for_tasks(grace_s)
        for task in self._tasks():
            task.stop("drain")
        self._wait_for_tasks(_STOPPING_S)
        self._stop.set()
        self._kept.close()
        try:
            self._liveness.stop()
            self._workflows.leave()
        except SQLAlchemyError as error:  # then others find this worker dead
            _LOG.warning("the database did not take leave: %s", type(error).__name__)

    def _say_what_encodes(self) -> None:
        settings, host = self.encoding.settings, self.encoding.host
        if not settings.use_gpu:
            _LOG.info("CPU-only mode: the settings use no GPU")
            return
        found = find_gpu(host, cache_dir=settings.cache_path)
        if found.available and found.gpu is not None:
            _LOG.info("GPU acceleration enabled: %s", found.gpu.name)
        else:
            _LOG.info("CPU-only mode: %s", found.reason)

    def _tasks(self) -> list[Task]:
        with self._lock:
            return [task for task, _ in self._active]

    def _wait_for_tasks(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        for task in self._tasks():
            task.done.wait(max(0.0, deadline - time.monotonic()))

    def _claim_on(self) -> None:
        looked = swept = time.monotonic()
        while not self._draining.is_set():
            self._wake.wait(_CLAIM_EVERY_S)
            self._wake.clear()
            try:
                if time.monotonic() - looked >= _LOOK_FOR_STRAYS_EVERY_S:
                    looked = time.monotonic()
                    self._give_back_strays()
                if time.monotonic() - swept >= _SWEEP_EVERY_S:
                    swept = time.monotonic()
                    self._sweep_scratch()
                while not self._draining.is_set() and self._room() > 0:
                    if self._claim() is None:
                        break
            except FencedOff:
                self._found_dead()
                return
            except Exception as error:  # noqa: BLE001 - whatever it was, the next jobs must not wait for ever
                _LOG.warning("no job could be claimed: %s: %s", type(error).__name__, error)
                self._stop.wait(1.0)

    def _room(self) -> int:
        with self._lock:
            return self.capacity - self._taken(pushed=False)

    def _takes_pushed(self) -> bool:
        with self._lock:
            return not self._draining.is_set() and self._taken(pushed=True) < self.push_capacity

    def _taken(self, *, pushed: bool) -> int:
        # a job that has ended leaves the list a moment later, and must not keep the next one out until then
        return sum(was_pushed is pushed and not task.done.is_set() for task, was_pushed in self._active)

    def _claim(self, *, only: str | None = None) -> Task | None:
        settings = self.house.settings
        with self._claiming:
            if only is not None and not self._takes_pushed():
                return None
            claim = claim_next(
                self.house.database, self.id, now=time.time(), max_attempts=settings.max_attempts, only=only,
                budget=settings.budget, global_limit=settings.global_jobs if only is None else None,
                on_end=self._on_end,
            )  # fmt: skip
            if claim is None:
                return None
            task = Task(self.house, self.encoding, claim, on_end=self._on_end)
            with self._lock:
                self._active.append((task, only is not None))
        try:
            workflow_id = self._workflows.begin(task)
            threading.Thread(target=self._wait_and_forget, args=(task, workflow_id), daemon=True).start()
        except BaseException:
            self._forget(task)
            with contextlib.suppress(FencedOff):  # another has it by now, or it ended
                release(
                    self.house.database, claim, now=time.time(), why="no_room", delay_s=2.0, on_end=self._on_end
                )  # fmt: skip
            raise
        return task

    def _wait_and_forget(self, task: Task, workflow_id: str) -> None:
        task.done.wait()
        self._workflows.forget(workflow_id, task)
        self._forget(task)
        self.wake()

    def _forget(self, task: Task) -> None:
        with self._lock:
            self._active = [entry for entry in self._active if entry[0] is not task]

    def _give_back_strays(self) -> None:
        with self._claiming:
            fences = {task.claim.job.id: task.claim.fence for task in self._tasks()}
            strays = release_strays(self.house.database, self.id, fences, now=time.time(), on_end=self._on_end)
        for job_id in strays:
            _LOG.warning("%s was claimed, and nobody here knew; it is given back", job_id)

    def _tell_on(self) -> None:
        told: dict[str, tuple[float, float]] = {}
        while not self._stop.wait(_TELL_EVERY_S):
            now = time.monotonic()
            tasks = [task for task in self._tasks() if not task.done.is_set()]
            notes = [task.note for task in tasks]
            due = [
                note for note in notes
                if note.percent != (last := told.get(note.claim.job.id, (-1.0, 0.0)))[0]
                or now - last[1] >= _TELL_AT_LEAST_EVERY_S
            ]  # fmt: skip
            try:
                said = note_progress(self.house.database, due, now=time.time()) if due else {}
            except SQLAlchemyError as error:
                _LOG.warning("progress did not reach the database: %s", type(error).__name__)
                continue
            told = {note.claim.job.id: told.get(note.claim.job.id, (-1.0, 0.0)) for note in notes}
            told |= {note.claim.job.id: (note.percent, now) for note in due}
            for task in tasks:
                answer = said.get(task.claim.job.id)
                if answer in ("cancel", "lost"):
                    task.stop("user" if answer == "cancel" else "lost")

    def _found_dead(self) -> None:
        _LOG.error("worker %s was taken for dead; its jobs are with others", self.id)
        self._draining.set()
        for task in self._tasks():
            task.stop("lost")
        self._on_dead()

    def _end_process(self) -> None:
        self._wait_for_tasks(_STOPPING_S)  # their programs are stopped; files of theirs are of no use to anybody
        os._exit(EXIT_FOUND_DEAD)

    def _sweep_scratch(self) -> None:
        """Delete the files of jobs that nobody works on any more: what a killed worker left, or one that lost a job."""
        jobs, active = self.house.settings.scratch / "jobs", self.active()
        for folder in jobs.iterdir() if jobs.is_dir() else ():
            if folder.name in active:
                continue
            with self.house.database.reading() as connection:
                job: Job | None = find_job(connection, folder.name)
            if job is None or job.status not in UNFINISHED:
                shutil.rmtree(folder, ignore_errors=True)
