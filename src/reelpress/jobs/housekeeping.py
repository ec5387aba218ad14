"""Throws away what nobody will ask for any more: old jobs, their events and workflows, delivered webhooks, orphans."""

from __future__ import annotations

import contextlib
import logging
import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from reelpress.errors import StorageError
from reelpress.jobs.exports import forget_export, forget_left_events, forget_rows
from reelpress.jobs.house import House
from reelpress.jobs.ledger import LEDGER_LASTS_S, forget_lines
from reelpress.jobs.liveness import database_now
from reelpress.jobs.model import FINISHED
from reelpress.jobs.submission import JobRefused
from reelpress.jobs.tables import JOBS, WEBHOOKS
from reelpress.jobs.uploads import all_uploads, give_up_uploads, uploads_waited_for
from reelpress.jobs.videos import forget_video, remove_video_files
from reelpress.storage.orphans import sweep_orphans, uploads_written_since
from reelpress.webhooks.outbox import purge

_LOG = logging.getLogger("reelpress.jobs")
DAY_S = 86_400.0
# An upload that nobody went on with for so long is given up, and its segments with it, unless a job waits for it.
UPLOADS_LAST_S = 2 * DAY_S
_EVERY_S = 3600.0
_FIRST_AFTER_S = 60.0
_MOST_AT_ONCE = 500


class Housekeeping:
    """Cleans up once an hour, in a thread. ``forget_workflows`` deletes those that ended before a time."""

    def __init__(self, house: House, forget_workflows: Callable[[float], int] = lambda _older_than: 0) -> None:
        self._house, self._forget = house, forget_workflows
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="reelpress-housekeeping", daemon=True)

    def start(self) -> None:
        """Begin, with the first round in a minute."""
        self._thread.start()

    def stop(self) -> None:
        """End, without waiting for a round that is under way."""
        self._stop.set()

    def run_once(self, now: float) -> dict[str, int]:
        """Throw away what is old at ``now``, in epoch seconds, and return how many of what.

        Raises :class:`StorageError` where the store does not tell what is in it; all else is done by then.
        """
        house, oldest = self._house, now - self._house.settings.keep_days * DAY_S
        jobs = 0
        for forget in (self._forget_jobs, self._forget_exports, self._forget_videos):
            while gone := forget(oldest):
                jobs += gone
        with house.database.writing() as connection:
            forgotten = forget_lines(connection, older_than=now - LEDGER_LASTS_S)
            forget_left_events(connection)
        webhooks = purge(house.database.engine, WEBHOOKS, older_than=oldest)
        workflows = self._forget(oldest)
        uploads, orphans = self._sweep_store(now)  # at the end: a store may be away, or let nobody list it
        return {
            "jobs": jobs,
            "workflows": workflows,
            "uploads": uploads,
            "webhooks": webhooks,
            "orphans": orphans,
            "ledger": forgotten,
        }

    def _sweep_store(self, now: float) -> tuple[int, int]:
        """Give up old uploads and delete what is nobody's; return how many uploads and how many objects.

        An upload is forgotten before its segments go, so that nobody is told it is complete when it is not there.
        """
        store, at = self._house.store, datetime.fromtimestamp(now, UTC)
        written = uploads_written_since(store, at - timedelta(seconds=UPLOADS_LAST_S))
        with self._house.database.writing() as connection:
            waited_for = uploads_waited_for(connection)
            given_up = give_up_uploads(connection, older_than=now - UPLOADS_LAST_S, keep=written | waited_for)
            keep = all_uploads(connection) | waited_for
        orphans = sweep_orphans(store, older_than_s=UPLOADS_LAST_S, now=at, keep_uploads=keep)
        return len(given_up), len(orphans)

    def _forget_jobs(self, oldest: float) -> int:
        old = sa.select(JOBS.c.id).where(JOBS.c.status.in_(FINISHED), JOBS.c.finished_at < oldest)
        alone = old.where(JOBS.c.kind.in_(("compress", "analysis", "quote"))).limit(_MOST_AT_ONCE)
        with self._house.database.writing() as connection:
            ids = list(connection.execute(alone).scalars())
            forget_rows(connection, ids)
        return len(ids)

    def _forget_exports(self, oldest: float) -> int:
        """Forget exports with their clips, and drafts that nobody went on with."""
        finished = sa.and_(JOBS.c.status.in_(FINISHED), JOBS.c.finished_at < oldest)
        left = sa.and_(JOBS.c.status == "draft", JOBS.c.updated_at < oldest)
        count = 0
        for export_id in self._ids(sa.and_(JOBS.c.kind == "export", sa.or_(finished, left))):
            with contextlib.suppress(JobRefused):  # somebody goes on with it after all
                clips = forget_export(self._house.database, export_id, user_id=None)
                count += 1 + len(clips)
        return count

    def _forget_videos(self, oldest: float) -> int:
        """Forget videos that nobody has used since, with the files that the service made of them.

        Exports and analyses tell of use, and those that are as old are forgotten before.
        """
        uses = sa.select(JOBS.c.parent).where(JOBS.c.kind.in_(("export", "analysis")))
        unused = sa.and_(JOBS.c.finished_at < oldest, JOBS.c.id.not_in(uses))
        count = 0
        for video_id in self._ids(sa.and_(JOBS.c.kind == "video", JOBS.c.status.in_(FINISHED), unused)):
            with contextlib.suppress(JobRefused):
                video = forget_video(self._house.database, video_id, user_id=None)
                count += 1
                try:
                    remove_video_files(self._house.store, video)
                except StorageError as error:  # nobody can reach them any more
                    _LOG.warning("files of %s are left in the store: %s", video_id, error.what)
        return count

    def _ids(self, which: sa.ColumnElement[bool]) -> list[str]:
        with self._house.database.reading() as connection:
            return list(connection.execute(sa.select(JOBS.c.id).where(which).limit(_MOST_AT_ONCE)).scalars())

    def _now(self) -> float:
        # a machine whose clock is wrong must not find everything old
        with self._house.database.reading() as connection:
            return database_now(connection)

    def _go_on(self) -> None:
        # not all processes at the same moment
        wait_s = _FIRST_AFTER_S * (1 + random.random())  # noqa: S311 - to spread load, no secret
        while not self._stop.wait(wait_s):
            wait_s = _EVERY_S
            try:
                done = self.run_once(self._now())
                _LOG.info("thrown away: %s", ", ".join(f"{count} {what}" for what, count in done.items()))
            except Exception as error:  # noqa: BLE001 - whatever it was, the next round is to come
                _LOG.warning("housekeeping did not finish: %s: %s", type(error).__name__, error)
