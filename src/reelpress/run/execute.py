"""Walks the attempts of a plan: run, classify, check, and move on only where the plan says the next one may help."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from reelpress.events import AttemptFailed, AttemptStarted, OnEvent, Progressed
from reelpress.facts.failure import Failure
from reelpress.facts.values import Value
from reelpress.plan.ladder import BUILD_FAILURES
from reelpress.plan.model import INPUT, OUTPUT, Attempt, argv
from reelpress.plan.worth import outgrown
from reelpress.receipt import AttemptRecord
from reelpress.run.failures import classify
from reelpress.run.process import CancelToken, Finished, Limits, run
from reelpress.run.progress import Progress, ProgressParser

_SPEED_WINDOW_S = 20.0


class Job(Value, frozen=True, kw_only=True):
    """What the events of one job carry: its id and the input as the caller named it."""

    id: str
    input: str


class Execution(Value, frozen=True, kw_only=True):
    """How it went. ``delivered`` is the attempt whose output passed; else ``failure`` is the last one's."""

    records: tuple[AttemptRecord, ...]
    delivered: Attempt | None
    failure: Failure | None
    outgrew: str | None


# Judges an attempt's output before it counts; a failure makes the attempt one that did not deliver.
Accept = Callable[[Attempt, Finished], Failure | None]


def execute(
    attempts: tuple[Attempt, ...],
    *,
    job: Job,
    source: Path,
    target: Path,
    limits: Limits,
    versions: dict[str, str],
    duration_s: float | None,
    max_bytes: int | None,
    accept: Accept,
    on_event: OnEvent,
    cancel: CancelToken,
) -> Execution:
    """Run attempts, best first, into ``target`` until one delivers.

    ``versions`` maps an FFmpeg's path to its version, for the records. An encode that grows past ``max_bytes`` is
    stopped: ``outgrew`` then says how far it came.
    """
    records: list[AttemptRecord] = []
    failure: Failure | None = None
    percent = 0.0
    unfit: set[str] = set()  # builds that failed in a way no other command of theirs would mend
    for number, attempt in enumerate(attempts, start=1):
        if attempt.ffmpeg in unfit:
            continue
        command = argv(attempt, source=str(source), target=str(target))
        on_event(
            AttemptStarted(job=job.id, input=job.input, number=number, of=len(attempts), encoder=attempt.encoder,
                           why=attempt.why, argv=command)
        )  # fmt: skip
        watch = _Watch(job, target, duration_s, max_bytes, on_event, percent)
        done = run(
            command, limits=limits, cancel=cancel,
            on_line=watch.on_line, activity=watch.activity, stop_if=watch.stop_if,
        )  # fmt: skip
        done = _without_names(done, source, target)
        percent = watch.percent
        failure = classify(done.returncode, done.stderr_tail, done.stopped, output=OUTPUT)
        outgrew = done.stop_reason if done.stopped == "caller" else None
        if failure is None:
            failure = accept(attempt, done)
        records.append(_record(attempt, done, failure, versions))
        if failure is None:
            return Execution(records=tuple(records), delivered=attempt, failure=None, outgrew=None)
        if failure.kind in BUILD_FAILURES:
            unfit.add(attempt.ffmpeg)
        rest = (a for a in attempts[number:] if a.ffmpeg not in unfit)
        following = next(rest, None) if failure.kind in attempt.falls_back_on else None
        on_event(
            AttemptFailed(job=job.id, input=job.input, number=number, encoder=attempt.encoder, failure=failure.kind,
                          evidence=failure.evidence, next_encoder=following.encoder if following else None)
        )  # fmt: skip
        if outgrew is not None or following is None:
            return Execution(records=tuple(records), delivered=None, failure=failure, outgrew=outgrew)
    return Execution(records=tuple(records), delivered=None, failure=failure, outgrew=None)


def _without_names(done: Finished, source: Path, target: Path) -> Finished:
    """Take file names out of what FFmpeg said: a name may hold line breaks, and with them any message it likes."""
    text = done.stderr_tail
    for path, token in ((source, INPUT), (target, OUTPUT)):
        name = os.fsencode(path).decode("utf-8", "replace")
        # as FFmpeg's log has it
        name = "".join("?" if c < "\x08" or "\x0d" < c < " " else c for c in name)
        for told in (f"file:{name}", name):
            text = text.replace(told.replace("\r\n", "\n").replace("\r", "\n"), token)
    return msgspec.structs.replace(done, stderr_tail=text)


def _record(attempt: Attempt, done: Finished, failure: Failure | None, versions: dict[str, str]) -> AttemptRecord:
    return AttemptRecord(
        encoder=attempt.encoder, device=attempt.device, ffmpeg_version=versions.get(attempt.ffmpeg, "unknown"),
        argv=done.argv, returncode=done.returncode, wall_s=round(done.wall_s, 3), cpu_s=round(done.cpu_s, 3),
        peak_memory_bytes=done.peak_memory_bytes, failure=failure.kind if failure else None,
        evidence=failure.evidence if failure else None, stderr_tail=done.stderr_tail[-4000:],
    )  # fmt: skip


class _Watch:
    """Turns FFmpeg's progress into events, and sees stalls and runaway outputs."""

    def __init__(
        self, job: Job, target: Path, duration_s: float | None, max_bytes: int | None, on_event: OnEvent, percent: float
    ) -> None:
        self._job, self._target, self._duration_s, self._max_bytes = job, target, duration_s, max_bytes
        self._on_event = on_event
        self._parser = ProgressParser()
        self._latest: Progress | None = None
        self.percent = percent
        self._history: list[tuple[float, float]] = []

    def on_line(self, line: str) -> None:
        progress = self._parser.feed(line)
        if progress is None:
            return
        self._latest = progress
        self._on_event(self._event(progress))

    def activity(self) -> object:
        """Return what changes while FFmpeg gets on: frames, time and bytes, also while it moves the index forward."""
        stat: tuple[int, int] | None = None
        with contextlib.suppress(OSError):
            found = os.stat(self._target)  # noqa: PTH116 - polled many times a second
            stat = (found.st_size, found.st_mtime_ns)
        latest = self._latest
        return stat, (latest.frames, latest.out_time_s, latest.total_size_bytes) if latest else None

    def stop_if(self) -> str | None:
        latest = self._latest
        if self._max_bytes is None or latest is None or latest.total_size_bytes is None:
            return None
        return outgrown(latest.total_size_bytes, self._done(latest), self._max_bytes)

    def _done(self, progress: Progress) -> float | None:
        if not self._duration_s or progress.out_time_s is None:
            return None
        return min(1.0, max(0.0, progress.out_time_s / self._duration_s))

    def _event(self, progress: Progress) -> Progressed:
        done = self._done(progress)
        speed = self._speed(progress.out_time_s)
        eta = None
        if done is not None:
            # 100 is said by the receipt alone, once the output is checked and in place
            self.percent = max(self.percent, min(99.0, 99.0 * done))
            if speed and self._duration_s and progress.out_time_s is not None:
                eta = max(0.0, (self._duration_s - progress.out_time_s) / speed)
        size = progress.total_size_bytes
        predicted = round(size / done) if size and done and done >= 0.1 else None
        return Progressed(
            job=self._job.id, input=self._job.input, percent=None if done is None else round(self.percent, 1),
            frames=progress.frames, fps=progress.fps, speed=speed, eta_s=None if eta is None else round(eta, 1),
            size_bytes=size, predicted_bytes=predicted,
        )  # fmt: skip

    def _speed(self, out_time_s: float | None) -> float | None:
        """Return programme seconds per second over the last stretch, so that the ETA follows the content."""
        if out_time_s is None:
            return None
        now = time.monotonic()
        self._history.append((now, out_time_s))
        while len(self._history) > 2 and now - self._history[0][0] > _SPEED_WINDOW_S:
            self._history.pop(0)
        (t0, p0), (t1, p1) = self._history[0], self._history[-1]
        return round((p1 - p0) / (t1 - t0), 2) if t1 - t0 > 0.5 else None
