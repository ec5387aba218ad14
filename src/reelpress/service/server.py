"""The processes of the service: a server with its workers, or workers alone. Told to end, they hand back and end."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import math
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from types import FrameType

import uvicorn
from fastapi import FastAPI

from reelpress.errors import ExitCode, UsageError
from reelpress.jobs.counting import count_regression
from reelpress.jobs.encoding import Encoding
from reelpress.jobs.ending import on_end, sender
from reelpress.jobs.house import House
from reelpress.jobs.housekeeping import Housekeeping
from reelpress.jobs.ledger import charging_for
from reelpress.jobs.performance import SpeedWatch
from reelpress.jobs.worker import Worker
from reelpress.jobs.workflows import forget_workflows
from reelpress.policy import clips_at_once
from reelpress.service.access import is_loopback
from reelpress.service.app import create_app, create_health_app
from reelpress.service.gauges import show_gauges
from reelpress.service.keys import has_good_key
from reelpress.service.logs import set_up_logs
from reelpress.service.patience import PatientH11
from reelpress.service_settings import ServiceSettings

_LOG = logging.getLogger("reelpress.service")
_MOST_CONNECTIONS = 4000
_BACKLOG = 2048  # what uvicorn asks for, too
_KEEP_ALIVE_S = 15
_LOOK_EVERY_S = 0.1
_M_ARENA_MAX = -8  # of glibc's malloc.h
_AFTER_GRACE_S = 6.0  # what a worker may need to stop its programs, once the grace time is over


def serve(settings: ServiceSettings) -> int:
    """Answer requests, and do jobs, until told to end; returns the exit code.

    Raises :class:`UsageError` for settings that cannot be, and for an address that is taken.
    """
    told = _told_to_end()
    set_up_logs(settings.log_format)
    _share_memory_between_threads()
    house = House.open(settings)
    house.private.take_temporary_files()
    try:
        worker = _worker(house)
        listening = _listen(settings.host, settings.port)
        _warn_without_keys(house)
        if worker is not None:
            worker.start()
        with _errands(house):
            _run(create_app(house, worker), listening, worker, settings.grace_s, told)
    finally:
        house.close()
    return int(ExitCode.DONE)


def work(settings: ServiceSettings, *, health_port: int | None) -> int:
    """Do jobs until told to end, answering nothing, or ``/health``, ``/ready`` and ``/metrics`` at ``health_port``."""
    told = _told_to_end()
    set_up_logs(settings.log_format)
    _share_memory_between_threads()
    house = House.open(settings)
    house.private.take_temporary_files()
    try:
        worker = _worker(house)
        if worker is None:
            raise UsageError("This worker may do no jobs.", hint="Set REELPRESS_WORKER_JOBS to 1 or more.")
        listening = None if health_port is None else _listen(settings.host, health_port)
        worker.start()
        with _errands(house):
            if listening is not None:
                # its last jobs are to be seen, and counted, too
                _run(create_health_app(house, worker), listening, worker, settings.grace_s, told, answers_last=True)
            else:
                show_gauges(house, worker)
                told.wait()
                worker.drain(settings.grace_s)
    finally:
        house.close()
    return int(ExitCode.DONE)


def _share_memory_between_threads() -> None:
    """Have all threads allocate from two arenas. glibc gives each its own, and each keeps the most it ever needed."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have no arenas
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 2)


@contextlib.contextmanager
def _errands(house: House) -> Iterator[None]:
    """Send webhooks, throw away what is old, and watch how fast jobs are, for as long as the context lasts."""
    sending, keeping = sender(house.database, house.settings), Housekeeping(house, forget_workflows)
    watching = SpeedWatch(house.database, house.settings, partial(count_regression, house.telemetry.instruments))
    sending.start()
    keeping.start()
    watching.start()
    try:
        yield
    finally:
        watching.stop()
        keeping.stop()
        sending.stop(wait_s=2.0)  # what is under way then is sent again by others


class _Server(uvicorn.Server):
    """Ends with exit code 0 when told to, and lets the worker drain while answers are still on their way.

    Where it ``answers_last``, it takes connections until the worker has drained.
    """

    def __init__(
        self, config: uvicorn.Config, app: FastAPI, worker: Worker | None, grace_s: float, told: threading.Event,
        *, answers_last: bool,
    ) -> None:  # fmt: skip
        super().__init__(config)
        self._answers_last = answers_last
        self._app, self._worker, self._grace_s, self._told = app, worker, grace_s, told
        self.draining: threading.Thread | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's own form
        """Note that it is time to end; the second Ctrl-C waits for nobody."""
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True

    async def main_loop(self) -> None:
        """Answer until told to end, which may have been before there were signal handlers of uvicorn's."""
        if not self._told.is_set():
            await super().main_loop()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, or not yet; end streams; let jobs end or hand them back; wait for answers."""
        _LOG.info("ending: jobs get %g s", self._grace_s)
        self._app.state.feed.stop()
        if self._worker is not None:
            self.draining = threading.Thread(target=self._worker.drain, args=(self._grace_s,), name="reelpress-drain")
            self.draining.start()
            self._app.state.readiness.end()
            while self._answers_last and self.draining.is_alive() and not self.force_exit:
                await asyncio.sleep(_LOOK_EVERY_S)
        await super().shutdown(sockets)


def _run(
    app: FastAPI, listening: socket.socket, worker: Worker | None, grace_s: float, told: threading.Event,
    *, answers_last: bool = False,
) -> None:  # fmt: skip
    config = uvicorn.Config(
        app, http=PatientH11, ws="none", log_config=None, access_log=False, lifespan="on", proxy_headers=False,
        server_header=False, date_header=True, limit_concurrency=_MOST_CONNECTIONS, timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=math.ceil(grace_s + _AFTER_GRACE_S), h11_max_incomplete_event_size=16 * 1024,
    )  # fmt: skip
    server = _Server(config, app, worker, grace_s, told, answers_last=answers_last)
    host, port = listening.getsockname()[:2]
    _LOG.info("listening on http://%s:%d", f"[{host}]" if ":" in host else host, port)
    server.run(sockets=[listening])
    if server.draining is not None:
        server.draining.join()
    _LOG.info("ended")


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)  # before it is said: who reads that and connects at once is not refused
        listening.set_inheritable(False)
    except OSError as error:
        raise UsageError(
            f"Nothing can listen on {host} port {port}.", evidence=error.strerror or type(error).__name__,
            hint="Choose another with --host and --port; 0 takes a free port.",
        ) from None  # fmt: skip
    return listening


def _worker(house: House) -> Worker | None:
    settings = house.settings
    encoding = Encoding.here()
    capacity = settings.worker_jobs
    if capacity is None:
        capacity = clips_at_once(encoding.host, encoding.policy, uses_gpu=True)
    push_capacity = max(1, capacity) if settings.push_jobs is None else settings.push_jobs
    if settings.worker_jobs == 0 and settings.push_jobs is None:
        push_capacity = 0  # a server that only answers
    if not capacity and not push_capacity:
        return None
    # each is charged its share of the machine
    encoding = Encoding(encoding.settings, encoding.host, at_once=max(capacity, push_capacity))
    return Worker(
        house, encoding, capacity=capacity, push_capacity=push_capacity,
        on_end=on_end(house, charging_for(house.settings, encoding)),
    )  # fmt: skip


def _warn_without_keys(house: House) -> None:
    if is_loopback(house.settings.host):
        return
    with house.database.reading() as connection:
        if not has_good_key(connection, time.time()):
            print(  # noqa: T201 - whoever starts it must see this, whatever becomes of logs
                "There is no API key yet, and every request needs one. Make one: reelpress keys create --user NAME",
                file=sys.stderr,
            )


def _told_to_end() -> threading.Event:
    """Return what is set once this process is told to end: it ends in order also while it is still starting."""
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    return told
