"""News of jobs for many watchers: one reader of the database for each process, and a small queue for each watcher.

Everything is made into bytes once and handed to all. A watcher that reads slowly loses progress that newer progress
has overtaken, and never an event: one that is too far behind is let go, and comes back with the last number it saw.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Iterable

import sqlalchemy as sa
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from reelpress.facts.values import Value, to_json
from reelpress.jobs.database import Database
from reelpress.jobs.model import JobEvent
from reelpress.jobs.reading import events_since, last_seq
from reelpress.jobs.tables import EVENTS, JOBS

_LOG = logging.getLogger("reelpress.service")
_POLL_S = 0.15
_PING_S = 15.0
_LONGEST_S = 3600.0  # then the watcher comes back, and shows a key that is still good
_MOST_EVENTS = 1000
_MOST_PROGRESS = 2000
_PAGE = 1000
# Workers write by their own clocks; one whose clock is this much behind is still heard.
_OVERLAP_S = 5.0


class Progress(Value, frozen=True, kw_only=True):
    """How far a job is; ``percent`` and ``eta_s`` as in the job itself. Not numbered: the next one replaces it."""

    job: str
    status: str
    stage: str
    percent: float
    eta_s: float | None
    speed: float | None
    cancel_requested: bool
    updated_at: float


class Watcher:
    """One stream: what it is to see of whose jobs, and what waits to be sent."""

    def __init__(self, user_id: str | None, jobs: frozenset[str]) -> None:
        self.user_id, self.jobs = user_id, jobs
        self.after = 0
        self.is_over = False
        self._events: deque[tuple[int, bytes]] = deque()
        self._progress: OrderedDict[str, bytes] = OrderedDict()
        self._news = asyncio.Event()

    def sees(self, user_id: str, job: str) -> bool:
        """Tell whether news of a job is for this watcher."""
        return self.user_id in (None, user_id) and (not self.jobs or job in self.jobs)

    def put_event(self, seq: int, raw: bytes) -> None:
        """Queue an event, or let the watcher go if it is too far behind."""
        if len(self._events) >= _MOST_EVENTS:
            self.is_over = True
        else:
            self._events.append((seq, raw))
        self._news.set()

    def put_progress(self, job: str, raw: bytes) -> None:
        """Queue progress in place of what was queued of the same job."""
        self._progress[job] = raw
        self._progress.move_to_end(job)
        if len(self._progress) > _MOST_PROGRESS:
            self._progress.popitem(last=False)
        self._news.set()

    def end(self) -> None:
        """Let the watcher go once it has got what is queued."""
        self.is_over = True
        self._news.set()

    async def take(self) -> bytes:
        """Return what is queued, or a sign of life after 15 s without news; empty when the watcher is let go."""
        try:
            async with asyncio.timeout(_PING_S):
                while not (self._events or self._progress or self.is_over):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return KEEPALIVE_COMMENT
        raw = b"".join(raw for seq, raw in self._events if seq > self.after) + b"".join(self._progress.values())
        self._events.clear()
        self._progress.clear()
        return raw


class Feed:
    """Reads the database while anybody watches; belongs to one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._watchers: set[Watcher] = set()
        self._reader: asyncio.Task[None] | None = None
        self._has_begun = asyncio.Event()
        self._seq = -1
        self._heard: dict[str, float] = {}
        self._is_stopped = False

    @property
    def watchers(self) -> int:
        """How many streams are open."""
        return len(self._watchers)

    async def stream(self, user_id: str | None, jobs: Iterable[str], after: int | None) -> AsyncIterator[bytes]:
        """Yield server-sent events: those numbered above ``after``, how far the jobs are, and then whatever happens.

        ``after`` ``None`` begins with all events of the named ``jobs``, or with what happens from now on.
        """
        watcher = Watcher(user_id, frozenset(jobs))
        deadline = time.monotonic() + _LONGEST_S
        self._watchers.add(watcher)  # before the past is read, so that nothing falls between
        try:
            await self._start()
            yield b"retry: 1000\n\n"
            start = after if after is not None else (0 if watcher.jobs else await run_in_threadpool(self._last_seq))
            watcher.after = start
            while page := await run_in_threadpool(self._events, watcher, watcher.after):
                watcher.after = page[-1].seq
                yield b"".join(map(_event, page))
            if watcher.jobs:
                yield await run_in_threadpool(self._snapshot, watcher)
            while not self._is_stopped and time.monotonic() < deadline:
                raw = await watcher.take()
                if raw:
                    yield raw
                if watcher.is_over:
                    return
        finally:
            self._watchers.discard(watcher)

    def stop(self) -> None:
        """End all streams; those who watch come back, to a server that goes on."""
        self._is_stopped = True
        for watcher in self._watchers:
            watcher.end()
        self._has_begun.set()
        if self._reader is not None:
            self._reader.cancel()

    async def _start(self) -> None:
        """Have the reader at work, from a number on that is older than whatever the caller reads afterwards."""
        if self._reader is None or self._reader.done():
            self._seq, self._heard = -1, {}
            self._has_begun.clear()
            self._reader = asyncio.get_running_loop().create_task(self._read_on())
        await self._has_begun.wait()

    async def _read_on(self) -> None:
        while self._watchers:
            try:
                events, progress = await run_in_threadpool(self._news)
            except SQLAlchemyError as error:
                _LOG.warning("events cannot be read: %s", type(error).__name__)
                await asyncio.sleep(1.0)
                continue
            self._has_begun.set()
            for user_id, event in events:
                self._seq = event.seq
                raw = _event(event)
                for watcher in self._watchers:
                    if watcher.sees(user_id, event.job):
                        watcher.put_event(event.seq, raw)
            for user_id, one in progress:
                raw = _progress(one)
                for watcher in self._watchers:
                    if watcher.sees(user_id, one.job):
                        watcher.put_progress(one.job, raw)
            await asyncio.sleep(_POLL_S)

    def _news(self) -> tuple[list[tuple[str, JobEvent]], list[tuple[str, Progress]]]:
        with self._database.reading() as connection:
            if self._seq < 0:  # what was before, each watcher reads for itself
                self._seq = last_seq(connection)
                return [], self._changes(connection)
            return _numbered(connection, self._seq), self._changes(connection)

    def _changes(self, connection: Connection) -> list[tuple[str, Progress]]:
        since = min(time.time(), max(self._heard.values(), default=time.time())) - _OVERLAP_S
        rows = [
            (user_id, one)
            for user_id, one in _progress_since(connection, JOBS.c.updated_at >= since)
            if self._heard.get(one.job) != one.updated_at
        ]
        self._heard = {job: at for job, at in self._heard.items() if at >= since}
        self._heard |= {one.job: one.updated_at for _, one in rows}
        return rows

    def _last_seq(self) -> int:
        with self._database.reading() as connection:
            return last_seq(connection)

    def _events(self, watcher: Watcher, after: int) -> list[JobEvent]:
        with self._database.reading() as connection:
            return events_since(connection, after, user_id=watcher.user_id, jobs=sorted(watcher.jobs), limit=_PAGE)

    def _snapshot(self, watcher: Watcher) -> bytes:
        with self._database.reading() as connection:
            found = _progress_since(connection, JOBS.c.id.in_(watcher.jobs))
        return b"".join(_progress(one) for user_id, one in found if watcher.sees(user_id, one.job))


def _numbered(connection: Connection, after: int) -> list[tuple[str, JobEvent]]:
    events = events_since(connection, after, user_id=None, limit=_PAGE)
    if not events:
        return []
    whose = sa.select(EVENTS.c.seq, EVENTS.c.user_id).where(EVENTS.c.seq > after, EVENTS.c.seq <= events[-1].seq)
    users = {row.seq: row.user_id for row in connection.execute(whose)}
    # who kept house between the two questions has deleted the others, and they are of jobs that are gone
    return [(users[event.seq], event) for event in events if event.seq in users]


def _progress_since(connection: Connection, which: sa.ColumnElement[bool]) -> list[tuple[str, Progress]]:
    columns = (
        JOBS.c.id, JOBS.c.user_id, JOBS.c.status, JOBS.c.stage, JOBS.c.percent, JOBS.c.eta_s, JOBS.c.speed,
        JOBS.c.cancel_requested, JOBS.c.updated_at,
    )  # fmt: skip
    rows = connection.execute(sa.select(*columns).where(which).order_by(JOBS.c.updated_at).limit(_MOST_PROGRESS))
    return [
        (
            row.user_id,
            Progress(
                job=row.id, status=row.status, stage=row.stage, percent=row.percent, eta_s=row.eta_s, speed=row.speed,
                cancel_requested=bool(row.cancel_requested), updated_at=row.updated_at,
            ),
        )
        for row in rows
    ]  # fmt: skip


def _event(event: JobEvent) -> bytes:
    return format_sse_event(event=event.kind, data_str=to_json(event).decode(), id=str(event.seq))


def _progress(progress: Progress) -> bytes:
    return format_sse_event(event="progress", data_str=to_json(progress).decode())
