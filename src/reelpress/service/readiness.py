"""Can jobs be done here now: database, store, scratch space, and which encoders open and why others do not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from reelpress.errors import ReelpressError
from reelpress.facts.host import HostFacts
from reelpress.facts.values import Value
from reelpress.jobs.house import House
from reelpress.jobs.spending import budget_now
from reelpress.plan.encoders import ENCODERS
from reelpress.probe.gpu_finding import find_gpu
from reelpress.probe.host import probe_host
from reelpress.probe.nvml import device_present
from reelpress.probe.trial import try_encoder
from reelpress.settings import Settings
from reelpress.storage.scratch import RESERVE_BYTES

if TYPE_CHECKING:
    from reelpress.jobs.worker import Worker

_CHECKS_LAST_S = 2.0  # probes may come often, and the store may cost money for every question
_ENCODERS_LAST_S = 600.0
_LOOKED_UP = "ready/probe"


class EncoderState(Value, frozen=True, kw_only=True):
    """One encoder; it opens only if a trial encode was decoded and compared."""

    name: str
    opens: bool
    why_not: str | None = None


class Check(Value, frozen=True, kw_only=True):
    """One thing that jobs need; ``note`` says what was seen."""

    name: str
    is_good: bool
    note: str | None = None


class Readiness(Value, frozen=True, kw_only=True):
    """Whether this process can take and do jobs. Details are for callers with a key, and on this machine."""

    ready: bool
    checks: tuple[Check, ...] = ()
    encoders: tuple[EncoderState, ...] = ()


class ReadinessCheck:
    """What is known, and when it was found out; safe to use from several threads.

    Without a ``worker`` this process does no jobs, and what encodes here does not matter.
    """

    def __init__(self, house: House, worker: Worker | None, settings: Settings) -> None:
        self._house, self._has_worker, self._settings = house, worker is not None, settings
        self._lock = threading.Lock()
        self._known: tuple[float, tuple[Check, ...]] | None = None
        self._encoders: tuple[EncoderState, ...] | None = None
        self._encoders_at = float("-inf")
        self._is_ending = False

    def end(self) -> None:
        """Say from now on that no more jobs are taken: this process was told to end."""
        self._is_ending = True

    def look(self) -> Readiness:
        """Return how things are, as of 2 seconds ago at most; encoders of 10 minutes ago."""
        with self._lock:
            now = time.monotonic()
            if self._has_worker and now - self._encoders_at > _ENCODERS_LAST_S:
                self._encoders_at = now
                threading.Thread(target=self._try_encoders, name="reelpress-encoders", daemon=True).start()
            if self._known is None or now - self._known[0] > _CHECKS_LAST_S:
                found = (self._check("database", self._database), self._check("storage", self._storage),
                         self._check("scratch", self._scratch))  # fmt: skip
                self._known = (time.monotonic(), found)
            checks, encoders = self._known[1], self._encoders
        if self._has_worker:
            checks = (*checks, _encoders_check(encoders))
        # a database that does not answer the check would be waited for once more, by every probe
        budget = self._budget() if checks[0].is_good else None
        if budget is not None:
            checks = (*checks, budget)
        if self._is_ending:
            checks = (*checks, Check(name="ending", is_good=False, note="no more jobs are taken"))
        return Readiness(ready=all(check.is_good for check in checks), checks=checks, encoders=encoders or ())

    def _budget(self) -> Check | None:
        """Return what a budget keeps jobs from. Requests are answered all the same, so it makes nothing unready."""
        budget = self._house.settings.budget
        if budget is None:
            return None
        try:
            with self._house.database.reading() as connection:
                state = budget_now(connection, budget, time.time())
        except SQLAlchemyError:
            return None  # the check of the database says so
        return None if state is None else Check(name="budget", is_good=True, note=state.holds or state.text)

    def _try_encoders(self) -> None:
        try:
            host = probe_host(ffmpeg=self._settings.ffmpeg, cache_dir=self._settings.cache_path)
            found = (*_cpu_encoders(host), *self._gpu_encoder(host))
        except ReelpressError as error:
            found = (EncoderState(name="ffmpeg", opens=False, why_not=error.what),)
        with self._lock:
            self._encoders = found

    def _gpu_encoder(self, host: HostFacts) -> tuple[EncoderState, ...]:
        if not self._settings.use_gpu:
            return (EncoderState(name="h264_nvenc", opens=False, why_not="the settings use no GPU"),)
        if not device_present():
            return (EncoderState(name="h264_nvenc", opens=False, why_not=host.gpu_note),)
        found = find_gpu(host, cache_dir=self._settings.cache_path)
        return (EncoderState(name=found.encoder or "h264_nvenc", opens=found.available, why_not=found.reason),)

    def _check(self, name: str, look: Callable[[], str | None]) -> Check:
        try:
            note = look()
        except ReelpressError as error:
            return Check(name=name, is_good=False, note=error.what)
        except SQLAlchemyError as error:
            return Check(name=name, is_good=False, note=type(error).__name__)
        return Check(name=name, is_good=True, note=note)

    def _database(self) -> str:
        with self._house.database.reading() as connection:
            connection.execute(sa.text("SELECT 1"))
        return "Postgres" if self._house.database.is_postgres else "SQLite"

    def _storage(self) -> str:
        store = self._house.store
        if store.kind == "local" and not Path(unquote(urlsplit(store.url).path)).is_dir():
            raise ReelpressError("The folder of the store is gone.")
        store.find(_LOOKED_UP)  # that it is not there is an answer, too
        return store.kind

    def _scratch(self) -> str:
        room = self._house.scratch.room()
        free = room.disk_bytes if room.memory_bytes is None else min(room.disk_bytes, room.memory_bytes)
        note = f"{free - room.promised_bytes} bytes free{', in memory' if room.in_memory else ''}"
        if free - room.promised_bytes < RESERVE_BYTES:
            raise ReelpressError(f"Too little scratch space: {note}.")
        return note


def _encoders_check(encoders: tuple[EncoderState, ...] | None) -> Check:
    if encoders is None:
        return Check(name="encoders", is_good=False, note="they are being tried")
    good = [encoder.name for encoder in encoders if encoder.opens]
    return Check(name="encoders", is_good="libx264" in good, note=", ".join(good) or "none opens")


def _cpu_encoders(host: HostFacts) -> tuple[EncoderState, ...]:
    """Try each encoder with the newest build first, until one does it."""
    states = []
    for row in (row for row in ENCODERS if row.device == "cpu"):
        state = EncoderState(name=row.name, opens=False, why_not="no FFmpeg was found")
        for build in host.ffmpegs:
            tried = try_encoder(build, row)
            state = EncoderState(name=row.name, opens=tried.opens is True, why_not=tried.why_not)
            if state.opens:
                break
        states.append(state)
    return tuple(states)
