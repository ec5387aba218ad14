"""Follows one run of FFmpeg: its progress as events, what tells a stall, and outputs that outgrow their worth."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from reelpress.events import OnEvent, Progressed
from reelpress.facts.media import VideoTrack
from reelpress.facts.values import Value
from reelpress.plan.worth import outgrown, spent_by
from reelpress.run.progress import Progress, ProgressParser

_SPEED_WINDOW_S = 20.0


class Job(Value, frozen=True, kw_only=True):
    """What the events of one job carry: its id and the input as the caller named it."""

    id: str
    input: str
    key: str = ""  # names the input the same way in every job that reads it


class Watch:
    """Turns FFmpeg's progress into events, and sees stalls and runaway outputs."""

    def __init__(
        self, job: Job, target: Path, duration_s: float | None, max_bytes: int | None, on_event: OnEvent,
        percent: float, track: VideoTrack | None = None,
    ) -> None:  # fmt: skip
        self._job, self._target, self._duration_s, self._max_bytes = job, target, duration_s, max_bytes
        self._track, self._on_event = track, on_event
        self._parser = ProgressParser()
        self._latest: Progress | None = None
        self.percent = percent
        self._history: list[tuple[float, float]] = []

    def on_line(self, line: str) -> None:
        """Take one line of FFmpeg's progress."""
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
        """Return why the run is not worth going on with, or ``None``."""
        latest = self._latest
        if self._max_bytes is None or latest is None or latest.total_size_bytes is None:
            return None
        return outgrown(latest.total_size_bytes, self._done(latest), self._max_bytes, self._spent(latest))

    def _spent(self, progress: Progress) -> float | None:
        if self._track is None or progress.out_time_s is None:
            return None
        return spent_by(self._track, progress.out_time_s)

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
        share = self._spent(progress) or done  # an encode's bytes go where the source's do
        predicted = round(size / share) if size and share and done and done >= 0.1 else None
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
