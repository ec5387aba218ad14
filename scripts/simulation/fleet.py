"""Workers of two processes, one with a GPU, that do the jobs of the tables: claimed, ended and counted by the service.

Only the encoding is made up, and the clock: everything that takes the time is told the simulated one.
"""

from __future__ import annotations

import heapq
import itertools
import random
import time
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from reelpress.facts.failure import Failure, FailureKind
from reelpress.facts.values import to_json
from reelpress.jobs.claiming import Claim, claim_next
from reelpress.jobs.clip_model import StoredObject
from reelpress.jobs.ending import on_end
from reelpress.jobs.house import House
from reelpress.jobs.ledger import Charging
from reelpress.jobs.model import JobError, JobInput, JobResult, JobSpec
from reelpress.jobs.submission import submit
from reelpress.jobs.tables import WORKERS
from reelpress.jobs.telling import OnEnd
from reelpress.jobs.work import begin_stage, finish, release, take_from_dead
from reelpress.plan.model import Reason
from reelpress.run.breaker import Breaker
from reelpress.run.slots import GpuSlots, Lease

from simulation.encoder import GPU, Encoding, encode
from simulation.traffic import START_S, Incident, Trouble, Video

_FFMPEG = "/usr/bin/ffmpeg"
_BACK_AFTER_S = 30.0  # a platform starts a worker anew


class Clock:
    """The simulated time, in seconds since 1970."""

    def __init__(self) -> None:
        self.now = START_S

    def __call__(self) -> float:
        """Return it."""
        return self.now


class Running:
    """A claim at work, and the slot of the GPU that it holds."""

    def __init__(self, claim: Claim, made: Encoding, lease: Lease | None) -> None:
        self.claim, self.made, self.lease = claim, made, lease


class Process:
    """One process of the service with its workers; ``has_gpu`` is of the machine it is on."""

    def __init__(self, name: str, house: House, charging: Charging, clock: Clock, state: Path, *, seats: int) -> None:
        self.name, self.house, self.charging, self.clock, self.seats = name, house, charging, clock, seats
        self.has_gpu = name.startswith("gpu")
        self.breaker = Breaker(state, clock=clock)
        self.slots = GpuSlots(state, {GPU: seats}, clock=clock)
        self.on_end: OnEnd = on_end(house, charging)
        self.worker: str | None = None
        self.running: dict[str, Running] = {}
        self._numbers = itertools.count(1)

    def start(self) -> None:
        """Have a worker that lives. It beats by the clock of the database, which is the real one."""
        self.worker = f"{self.name}-{next(self._numbers)}"
        row = {"id": self.worker, "host": self.name, "kind": "worker", "facts": "{}"}
        with self.house.database.writing() as connection:
            connection.execute(WORKERS.insert().values(**row, started_at=self.clock.now, seen_at=time.time()))

    def beat(self) -> None:
        """Say that the worker lives."""
        with self.house.database.noting() as connection:
            mine = WORKERS.c.id == self.worker
            connection.execute(sa.update(WORKERS).where(mine).values(seen_at=time.time()))

    def stop(self) -> None:
        """End as SIGTERM does: what is under way is handed back."""
        for run in self.running.values():
            release(self.house.database, run.claim, now=self.clock.now, why="drain")
        self._gone()

    def die(self, judge: Process) -> None:
        """End without a word; another process finds out, and has the jobs queued again."""
        self._gone()
        judge.house.telemetry.instruments.add("reelpress_workers_lost_total")
        with judge.house.database.writing() as connection:
            take_from_dead(connection, now=self.clock.now, on_end=judge.on_end)

    def _gone(self) -> None:
        with self.house.database.writing() as connection:
            values = {"dead_at": self.clock.now}
            connection.execute(sa.update(WORKERS).where(WORKERS.c.id == self.worker).values(**values))
        for run in self.running.values():
            if run.lease is not None:
                run.lease.release()
        self.running.clear()
        self.worker = None


class Fleet:
    """All processes, and what happens next."""

    def __init__(self, processes: list[Process], incidents: tuple[Incident, ...], clock: Clock, seed: int) -> None:
        self.processes, self.clock = processes, clock
        self._incidents = {incident.trouble: incident for incident in incidents}
        self._dice = random.Random(f"{seed} fleet")
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._videos: dict[str, Video] = {}
        for process in processes:
            process.start()

    def incident(self, trouble: Trouble) -> Incident:
        """Return when and for how long something is wrong."""
        return self._incidents[trouble]

    def is_on(self, trouble: Trouble) -> bool:
        """Tell whether something is wrong now."""
        return self._incidents[trouble].lasts_at(self.clock.now)

    def at(self, when: float, do: Callable[[], None]) -> None:
        """Have something done at a time."""
        heapq.heappush(self._due, (when, next(self._numbers), do))

    def go_on_until(self, end: float) -> None:
        """Let time pass."""
        while self._due and self._due[0][0] <= end:
            self.clock.now, _, do = heapq.heappop(self._due)
            do()
            self._claim_all()
        self.clock.now = end
        self._claim_all()

    def submit(self, video: Video) -> None:
        """Have a user submit a video."""
        spec = JobSpec(
            input=JobInput(kind="object", value="in.mp4", size_bytes=video.size_bytes), transcribe=False, reuse=False
        )
        job = submit(self.processes[0].house.database, spec, user_id=video.user, now=self.clock.now).job
        self._videos[job.id] = video

    def stop_all(self) -> None:
        """Stop every worker, in order."""
        for process in self.processes:
            if process.worker is not None:
                process.stop()

    def start_all(self) -> None:
        """Start those that do not run."""
        for process in self.processes:
            if process.worker is None:
                process.start()

    def _claim_all(self) -> None:
        took = True
        while took:  # whoever asks first
            took = False
            for process in self._dice.sample(self.processes, len(self.processes)):
                if process.worker is not None and len(process.running) < process.seats:
                    took |= self._claim(process)

    def _claim(self, process: Process) -> bool:
        settings = process.house.settings
        claim = claim_next(
            process.house.database, process.worker or "", now=self.clock.now, max_attempts=settings.max_attempts,
            budget=settings.budget, on_end=process.on_end,
        )  # fmt: skip
        if claim is None:
            return False
        begin_stage(process.house.database, claim, "fetch", 0.0, now=self.clock.now)
        video = self._videos[claim.job.id]
        made, lease = self._encode(process, claim, video)
        process.running[claim.job.id] = Running(claim, made, lease)
        worker = process.worker
        if video.is_poisonous:
            self.at(self.clock.now + 45.0, lambda: self._kill(process, worker))
        else:
            self.at(self.clock.now + made.wall_s, lambda: self._end(process, claim))
        return True

    def _encode(self, process: Process, claim: Claim, video: Video) -> tuple[Encoding, Lease | None]:
        dice, now, job = self._dice, self.clock.now, claim.job.id
        is_lost = self.is_on("gpu lost")
        why_no_gpu, gpu_fails, lease = None, None, None

        def reprobe(_gpu: str) -> bool:
            return not is_lost

        if process.has_gpu and claim.cpu_only is not None:
            why_no_gpu = Reason(code="budget_spent", text=claim.cpu_only)
        elif process.has_gpu and not process.breaker.may_use(GPU, _FFMPEG, reprobe=reprobe):
            why_no_gpu = Reason(code="cpu_only", text="The GPU is left alone for some seconds more.")
        elif process.has_gpu and is_lost:
            gpu_fails = FailureKind.DEVICE_LOST
            failure = Failure(kind=gpu_fails, evidence="CUDA_ERROR_LAUNCH_FAILED")
            process.breaker.failed(GPU, _FFMPEG, failure, job=job, reprobe=reprobe)
        elif process.has_gpu:
            lease = process.slots.acquire([GPU], patience_s=0.0)
        fails = FailureKind.CRASHED if self.is_on("errors") and dice.random() < 0.7 else None
        slowness = 4.0 if self.is_on("slow encoder") else 1.0
        made = encode(
            video, dice, job=job, now=now, tariff=process.charging.tariff, has_gpu=process.has_gpu, gpu_fails=gpu_fails,
            why_no_gpu=why_no_gpu, fails=fails, slowness=slowness,
        )  # fmt: skip
        return made, lease

    def _end(self, process: Process, claim: Claim) -> None:
        run = process.running.get(claim.job.id)
        if run is None or run.claim.fence != claim.fence:
            return  # it was handed back, or its worker died
        del process.running[claim.job.id]
        if run.lease is not None:
            run.lease.release()
            process.breaker.worked(GPU)
        self._write_end(process, run)

    def _write_end(self, process: Process, run: Running) -> None:
        database, claim, receipt = process.house.database, run.claim, run.made.receipt
        at = self.clock.now - run.made.wall_s
        for stage, seconds in run.made.stages:
            if stage != "fetch":
                begin_stage(database, claim, stage, 50.0, now=at)
            at += seconds
        begin_stage(database, claim, "notify", 99.0, now=self.clock.now)
        result, error = None, None
        if receipt.status == "encoded" and receipt.source is not None and receipt.result is not None:
            stored = StoredObject(key="out", size_bytes=receipt.result.size_bytes, sha256="", content_type="video/mp4")
            result = JobResult(
                outcome="encoded", encoder=receipt.encoder, device=receipt.device, input_key="in.mp4",
                input_bytes=receipt.source.size_bytes, output=stored, receipt=None, saved_share=receipt.saved_share,
                usd=receipt.usd, wall_s=receipt.wall_s,
            )  # fmt: skip
        else:
            error = JobError(code="encode_failed", text="Every attempt failed.", retryable=True)
        finish(
            database, claim, "done" if result else "failed", now=self.clock.now, result=result, error=error,
            receipt=to_json(receipt).decode(), on_end=process.on_end,
        )  # fmt: skip

    def _kill(self, process: Process, worker: str | None) -> None:
        if process.worker != worker or worker is None:
            return
        judge = next(other for other in self.processes if other is not process)
        process.die(judge)
        self.at(self.clock.now + _BACK_AFTER_S, self.start_all)
