"""Gauges: what the database says of queue and workers, how full disks are, who watches. Read when somebody asks."""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from reelpress.jobs.house import House
from reelpress.jobs.liveness import workers_alive
from reelpress.jobs.model import FINISHED, KINDS, UNFINISHED
from reelpress.jobs.performance import last_check
from reelpress.jobs.spending import budget_now
from reelpress.jobs.tables import JOBS, WEBHOOKS
from reelpress.observe.baseline import QUANTILES, Comparison
from reelpress.observe.budget import BudgetState
from reelpress.observe.instruments import Seen
from reelpress.service.feed import Feed
from reelpress.service.gpu_gauges import GpuGauges
from reelpress.version import VERSION

if TYPE_CHECKING:
    from reelpress.jobs.worker import Worker

# One collection asks for several gauges; all of them are of one reading.
_BELIEVED_S = 1.0
# Says of a file system its size, what is used and what is free, in bytes.
DiskUsage = Callable[[Path], tuple[int, int, int]]
_TOTAL, _FREE = 0, 2


class _Reading(NamedTuple):
    """What the database says of all jobs at one moment."""

    jobs: Counter[tuple[str, str]]  # by kind and status
    queued: Counter[str]  # by kind, those that any worker may take
    queued_since: float | None
    workers: Counter[str]
    webhooks_pending: int
    budget: BudgetState | None
    speed: tuple[Comparison, ...]


def show_gauges(
    house: House,
    worker: Worker | None,
    feed: Feed | None = None,
    *,
    clock: Callable[[], float] = time.time,
    disk_usage: DiskUsage = shutil.disk_usage,
) -> None:
    """Have this process show its gauges for as long as the house is open; GPUs only where a worker uses them.

    ``clock`` says the time in seconds since 1970.
    """
    _Gauges(house, clock, disk_usage)
    if feed is not None:
        house.telemetry.instruments.watch("reelpress_event_watchers", lambda: [(feed.watchers, {})])
    if worker is not None:
        GpuGauges(house.telemetry.instruments, worker.encoding)


class _Gauges:
    def __init__(self, house: House, clock: Callable[[], float], disk_usage: DiskUsage) -> None:
        self._house, self._clock, self._disk_usage = house, clock, disk_usage
        self._lock = threading.Lock()
        self._read: tuple[float, _Reading | SQLAlchemyError] | None = None
        watch = house.telemetry.instruments.watch
        watch("reelpress_jobs", self._jobs)
        watch("reelpress_queue_depth", lambda: [(self._now().queued[kind], {"kind": kind}) for kind in KINDS])
        watch("reelpress_queue_age_seconds", self._queue_age)
        watch("reelpress_workers", lambda: [(self._now().workers[kind], {"kind": kind}) for kind in ("worker", "push")])
        watch("reelpress_webhooks_pending", lambda: [(self._now().webhooks_pending, {})])
        watch("reelpress_budget_usd", lambda: self._budget(lambda budget: budget.amount_usd))
        watch("reelpress_budget_spent_usd", lambda: self._budget(lambda budget: budget.spent_usd))
        watch("reelpress_budget_state", lambda: self._budget(lambda budget: budget.state))
        watch("reelpress_performance_ratio", self._speed)
        watch("reelpress_disk_free_bytes", lambda: self._disks(_FREE))
        watch("reelpress_disk_size_bytes", lambda: self._disks(_TOTAL))
        watch("reelpress_build_info", lambda: [(1, {"version": VERSION})])

    def _now(self) -> _Reading:
        with self._lock:
            now = self._clock()
            if self._read is None or not 0 <= now - self._read[0] <= _BELIEVED_S:  # nor where the clock was set back
                found = self._look(now)
                self._read = self._clock(), found
            found = self._read[1]
        if isinstance(found, SQLAlchemyError):
            raise found
        return found

    def _look(self, now: float) -> _Reading | SQLAlchemyError:
        """Return a reading, or why there is none: to find out that a database is away may take seconds."""
        try:
            return _read(self._house, now)
        except SQLAlchemyError as error:
            return error

    def _jobs(self) -> Iterable[Seen]:
        jobs = self._now().jobs
        for kind in KINDS:
            for status in (*UNFINISHED, *FINISHED):
                yield jobs[kind, status], {"kind": kind, "status": status}

    def _queue_age(self) -> Iterable[Seen]:
        since = self._now().queued_since
        yield (max(self._clock() - since, 0.0) if since is not None else 0.0), {}

    def _budget(self, read: Callable[[BudgetState], float]) -> Iterable[Seen]:
        budget = self._now().budget
        return [] if budget is None else [(read(budget), {})]

    def _speed(self) -> Iterable[Seen]:
        for found in self._now().speed:
            for quantile, ratio in zip(QUANTILES, found.ratios, strict=True):
                if ratio is not None:
                    labels = {"encoder": found.encoder, "size_class": found.size_class, "quantile": f"{quantile:g}"}
                    yield ratio, labels

    def _disks(self, place: int) -> Iterable[Seen]:
        settings = self._house.settings
        for folder, path in (("data", settings.data), ("scratch", settings.scratch)):
            yield self._disk_usage(path)[place], {"folder": folder}


def _read(house: House, now: float) -> _Reading:
    by_status = sa.select(JOBS.c.kind, JOBS.c.status, sa.func.count()).group_by(JOBS.c.kind, JOBS.c.status)
    waits = sa.and_(JOBS.c.status == "queued", JOBS.c.queue == "pull")
    by_kind = sa.select(JOBS.c.kind, sa.func.count()).where(waits).group_by(JOBS.c.kind)
    backlog = sa.select(sa.func.count()).select_from(WEBHOOKS).where(WEBHOOKS.c.state == "pending")
    oldest = sa.select(sa.func.min(JOBS.c.updated_at)).where(JOBS.c.status == "queued")
    with house.database.reading() as connection:
        return _Reading(
            jobs=Counter({(kind, status): count for kind, status, count in connection.execute(by_status)}),
            queued=Counter({row[0]: row[1] for row in connection.execute(by_kind)}),
            queued_since=connection.execute(oldest).scalar(),
            workers=Counter(w.kind for w in workers_alive(connection, dead_after_s=house.settings.dead_after_s)),
            webhooks_pending=connection.execute(backlog).scalar_one(),
            budget=budget_now(connection, house.settings.budget, now),
            speed=last_check(connection),
        )
