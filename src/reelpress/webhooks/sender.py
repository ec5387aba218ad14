"""Sends what is due in the outbox, several at a time; any number of senders in any number of processes may run."""

from __future__ import annotations

import logging
import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine, Table
from sqlalchemy.exc import SQLAlchemyError

from reelpress.webhooks.backoff import next_attempt_at
from reelpress.webhooks.delivery import Delivery, deliver
from reelpress.webhooks.outbox import Event, due, settle

_LOG = logging.getLogger("reelpress.webhooks")
_PARALLEL = 8
_POLL_S = 1.0


class Sender:
    """``secret_of`` returns the secret that a user's webhooks are signed with."""

    def __init__(
        self,
        engine: Engine,
        table: Table,
        secret_of: Callable[[str], str],
        *,
        allow_private: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._engine, self._table, self._secret_of = engine, table, secret_of
        self._allow_private, self._clock = allow_private, clock
        self._me = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def run_once(self, now: float) -> int:
        """Try all that is due at ``now``, in epoch seconds, but at most eight events, and return how many were tried.

        Raises what the database or ``secret_of`` raises; the events that this hits are sent again when their lease
        has run out.
        """
        events = due(self._engine, self._table, me=self._me, now=now, limit=_PARALLEL)
        if not events:
            return 0
        with ThreadPoolExecutor(len(events), thread_name_prefix="reelpress-webhook") as pool:
            for done in [pool.submit(self._send, event, now) for event in events]:
                done.result()
        return len(events)

    def start(self) -> None:
        """Begin to send in a thread of its own, looking once a second for what is due."""
        self._thread = threading.Thread(target=self._loop, name="reelpress-webhooks", daemon=True)
        self._thread.start()

    def stop(self, wait_s: float = 20.0) -> None:
        """End after the tries that are under way, which take some 15 seconds at most; wait no longer than said."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(wait_s)

    def _loop(self) -> None:
        while not self._stop.is_set():
            try:
                sent = self.run_once(self._clock())
            except (SQLAlchemyError, OSError) as error:
                _LOG.warning("webhooks wait for the database: %s", type(error).__name__)
                sent = 0
            except Exception:  # noqa: BLE001 - one that cannot be sent must not keep all others back
                _LOG.exception("webhooks: unexpected")
                sent = 0
            if sent < _PARALLEL:
                self._stop.wait(_POLL_S)

    def _send(self, event: Event, now: float) -> None:
        secret = self._secret_of(event.user_id)
        request = Delivery(id=event.id, url=event.url, payload=event.payload, secret=secret)
        began = time.monotonic()
        outcome = deliver(request, now=now, allow_private=self._allow_private)
        ended = now + time.monotonic() - began
        next_at = None
        if outcome.verdict == "again":
            first_at = event.tries[0].at if event.tries else ended
            chance = random.random()  # noqa: S311 - to spread load, no secret
            next_at = next_attempt_at(
                event.attempts, first_at, ended, chance=chance, retry_after_s=outcome.retry_after_s
            )
        kept = settle(self._engine, self._table, event, outcome, me=self._me, now=ended, next_at=next_at)
        _LOG.info(
            "webhook %s for job %s: %s", event.id, event.job_id, outcome.error or outcome.verdict,
            extra={"user": event.user_id, "job": event.job_id, "status": outcome.status, "settled": kept},
        )  # fmt: skip
