"""The watch over speed: a baseline in the database, a comparison with it now and then, an event when jobs are slower.

All processes of the service share the work: whoever finds that the last comparison is too old takes the next one. A
group of jobs (encoder, size of input) becomes a part of the baseline by itself once enough of it ended; from then on it
stays as it is until somebody makes it anew (``reelpress perf baseline``).
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from reelpress.facts.values import Value, from_json, to_plain
from reelpress.jobs.database import Database, encode
from reelpress.jobs.ledger import lines
from reelpress.jobs.tables import BASELINES, PERFORMANCE
from reelpress.jobs.telling import add_event
from reelpress.observe.baseline import Baseline, Comparison, compare, completed, speeds
from reelpress.service_settings import ServiceSettings

_LOG = logging.getLogger("reelpress.jobs")
_EVERY_S = 900.0
_LOOK_EVERY_S = 60.0
_HOUR_S = 3600.0


class Check(Value, frozen=True, kw_only=True):
    """A comparison with the baseline; ``regressed`` are those that were not beyond what is allowed before."""

    checked_at: float
    comparisons: tuple[Comparison, ...]
    regressed: tuple[Comparison, ...] = ()


def newest_baseline(connection: Connection) -> Baseline | None:
    """Return the baseline that counts, or ``None``."""
    query = sa.select(BASELINES.c.baseline).order_by(BASELINES.c.seq.desc()).limit(1)
    found = connection.execute(query).scalar()
    return None if found is None else from_json(found, Baseline)


def keep_baseline(connection: Connection, baseline: Baseline) -> None:
    """Have this baseline count from now on; earlier ones stay in the table."""
    connection.execute(BASELINES.insert().values(made_at=baseline.made_at, baseline=encode(baseline)))


def last_check(connection: Connection) -> tuple[Comparison, ...]:
    """Return the last comparison with the baseline, for each encoder and size class; empty before the first."""
    found = connection.execute(sa.select(PERFORMANCE.c.comparisons)).scalar()
    return () if found is None else from_json(found, tuple[Comparison, ...])


def check_speed(
    database: Database, *, now: float, window_h: float, factor: float, min_samples: int, every_s: float = _EVERY_S
) -> Check | None:
    """Compare, unless somebody did within ``every_s`` seconds (``None``), and tell of what became slower.

    Jobs of the last ``window_h`` hours are compared. What regressed is told once, until it has recovered.
    """
    with database.writing() as connection:
        if not _take_turn(connection, now, every_s):
            return None
        before = {(c.encoder, c.size_class) for c in last_check(connection) if c.regressed}
    with database.reading() as connection:
        baseline = newest_baseline(connection)
        here = speeds(entry for _, entry in lines(connection, since=now - window_h * _HOUR_S, until=now))
    found = () if baseline is None else compare(baseline, here, factor=factor, min_samples=min_samples)
    new = tuple(c for c in found if c.regressed and (c.encoder, c.size_class) not in before)
    more = completed(baseline, here, min_samples=min_samples, at=now)
    with database.writing() as connection:
        if more is not None:
            keep_baseline(connection, more)
        connection.execute(PERFORMANCE.update().values(comparisons=encode(found)))
        for comparison in new:
            data = {**to_plain(comparison), "text": comparison.text}
            add_event(connection, "", "", "performance_regressed", now, data)
    for comparison in new:
        _LOG.warning("slower than the baseline allows: %s", comparison.text)
    return Check(checked_at=now, comparisons=found, regressed=new)


def _take_turn(connection: Connection, now: float, every_s: float) -> bool:
    """Take the next comparison, if it is due, so that nobody else does."""
    # a clock that was set back must not keep everybody from it
    due = sa.or_(PERFORMANCE.c.checked_at <= now - every_s, PERFORMANCE.c.checked_at > now + every_s)
    if connection.execute(PERFORMANCE.update().where(due).values(checked_at=now)).rowcount:
        return True
    if connection.execute(sa.select(PERFORMANCE.c.id)).first() is not None:
        return False
    connection.execute(PERFORMANCE.insert().values(id=1, checked_at=now, comparisons="[]"))
    return True


class SpeedWatch:
    """Compares every 15 minutes, in a thread; ``on_regressed`` is called for each group that this process found."""

    def __init__(
        self,
        database: Database,
        settings: ServiceSettings,
        on_regressed: Callable[[Comparison], None] = lambda _comparison: None,
    ) -> None:
        self._database, self._settings, self._on_regressed = database, settings, on_regressed
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="reelpress-speed", daemon=True)

    def start(self) -> None:
        """Begin, with the first look within a minute."""
        self._thread.start()

    def stop(self) -> None:
        """End, without waiting for a comparison that is under way."""
        self._stop.set()

    def look(self, now: float) -> Check | None:
        """Compare if that is due at ``now``, seconds since 1970."""
        settings = self._settings
        found = check_speed(
            self._database, now=now, window_h=settings.regression_window_h, factor=settings.regression_factor,
            min_samples=settings.regression_samples,
        )  # fmt: skip
        for comparison in found.regressed if found is not None else ():
            self._on_regressed(comparison)
        return found

    def _go_on(self) -> None:
        # not all processes at the same moment
        wait_s = _LOOK_EVERY_S * random.random()  # noqa: S311 - to spread load, no secret
        while not self._stop.wait(wait_s):
            wait_s = _LOOK_EVERY_S
            try:
                self.look(time.time())
            except SQLAlchemyError as error:
                _LOG.warning("speed could not be compared: %s", type(error).__name__)
