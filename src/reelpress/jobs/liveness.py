"""Who lives: every worker says so every few seconds, and what a silent one had goes back into the queue.

A worker that was found dead stays dead: its id is never used again, it may claim nothing, and when it notices, it ends.
All times are the database's, and nobody judges others who has not himself beaten steadily for as long as a death takes:
after an outage of the database, or a jump of its clock, all beats look old.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from reelpress.facts.values import Value
from reelpress.jobs.database import Database, encode
from reelpress.jobs.tables import WORKERS
from reelpress.jobs.telling import OnEnd
from reelpress.jobs.work import take_from_dead

_LOG = logging.getLogger("reelpress.jobs")
_FORGET_DEAD_AFTER_S = 7 * 86_400.0


class WorkerSeen(Value, frozen=True, kw_only=True):
    """A worker as the database knows it. Times are seconds since 1970."""

    id: str
    host: str
    kind: str
    started_at: float
    seen_at: float
    facts: str


class Liveness:
    """One worker's beat, and its watch over the others'. ``on_dead`` is called, once, when it was itself found dead.

    ``on_taken`` and ``on_lost`` are told which jobs were taken back from dead workers, and how many were found dead.
    """

    def __init__(
        self,
        database: Database,
        me: str,
        *,
        kind: str,
        facts: dict[str, object],
        beat_s: float,
        dead_after_s: float,
        on_dead: Callable[[], None],
        on_taken: Callable[[list[str]], None] = lambda _jobs: None,
        on_lost: Callable[[int], None] = lambda _workers: None,
        on_end: OnEnd = lambda _connection, _job: None,
    ) -> None:
        self._database, self.me, self._kind, self._facts = database, me, kind, facts
        self._beat_s, self._dead_after_s = beat_s, dead_after_s
        self._on_dead, self._on_taken, self._on_lost, self._on_end = on_dead, on_taken, on_lost, on_end
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="reelpress-liveness", daemon=True)
        self._steady_since = self._last = time.monotonic()
        self._last_clock = 0.0

    def start(self) -> None:
        """Say for the first time that this worker lives, and go on in a thread."""
        with self._database.writing() as connection:
            now = self._last_clock = database_now(connection)
            row = {"id": self.me, "host": socket.gethostname(), "kind": self._kind, "facts": encode(self._facts)}
            connection.execute(WORKERS.insert().values(**row, started_at=now, seen_at=now))
        self._steady_since = self._last = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """Say that this worker is gone; what it still has goes to others at once."""
        self._stop.set()
        self._thread.join(timeout=self._beat_s + 5)
        with self._database.writing() as connection:
            now = database_now(connection)
            connection.execute(WORKERS.update().where(WORKERS.c.id == self.me).values(dead_at=now))
            take_from_dead(connection, now=time.time(), on_end=self._on_end)

    def _go_on(self) -> None:
        while not self._stop.wait(self._beat_s):
            try:
                if not self._beat():
                    self._on_dead()
                    return
                if time.monotonic() - self._steady_since >= self._dead_after_s:
                    self.judge()
            except SQLAlchemyError as error:
                _LOG.warning("a heartbeat did not reach the database: %s", type(error).__name__)
            except Exception as error:  # noqa: BLE001 - whatever it was, a heart that stops is taken for a death
                _LOG.warning("jobs of dead workers cannot be taken back: %s: %s", type(error).__name__, error)

    def _beat(self) -> bool:
        with self._database.noting() as connection:
            clock = database_now(connection)
            mine = WORKERS.update().where(WORKERS.c.id == self.me, WORKERS.c.dead_at.is_(None)).values(seen_at=clock)
            lives = connection.execute(mine).rowcount == 1
        now = time.monotonic()
        since, by_clock = now - self._last, clock - self._last_clock
        if since > 2.5 * self._beat_s or abs(by_clock - since) > 1.5 * self._beat_s:
            self._steady_since = now
        self._last, self._last_clock = now, clock
        return lives

    def judge(self) -> list[str]:
        """Mark silent workers dead, and put what the dead still have into the queue; return those jobs.

        The time is that of this worker's last beat, by which the clock was found steady.
        """
        now = self._last_clock
        others = sa.and_(WORKERS.c.dead_at.is_(None), WORKERS.c.id != self.me)
        with self._database.writing() as connection:
            silent = WORKERS.c.seen_at < now - self._dead_after_s
            lost = connection.execute(WORKERS.update().where(others, silent).values(dead_at=now)).rowcount
            # beats from before the clock was set back: who lives beats again, who does not shall not look young
            ahead = WORKERS.c.seen_at > now + self._dead_after_s
            connection.execute(WORKERS.update().where(others, ahead).values(seen_at=now))
            connection.execute(WORKERS.delete().where(WORKERS.c.dead_at < now - _FORGET_DEAD_AFTER_S))
            taken = take_from_dead(connection, now=time.time(), on_end=self._on_end)
        if lost:
            self._on_lost(lost)
        if taken:
            _LOG.warning("took %d jobs back from dead workers: %s", len(taken), ", ".join(taken))
            self._on_taken(taken)
        return taken


def database_now(connection: Connection) -> float:
    """Return the database's time in seconds since 1970."""
    if connection.dialect.name == "postgresql":
        return float(connection.execute(sa.text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
    return time.time()


def workers_alive(connection: Connection, *, dead_after_s: float) -> list[WorkerSeen]:
    """Return the workers that live, the oldest first."""
    now = database_now(connection)
    query = sa.select(WORKERS).where(WORKERS.c.dead_at.is_(None), WORKERS.c.seen_at >= now - dead_after_s)
    return [
        WorkerSeen(
            id=row.id, host=row.host, kind=row.kind, started_at=row.started_at, seen_at=row.seen_at, facts=row.facts
        )
        for row in connection.execute(query.order_by(WORKERS.c.started_at))
    ]
