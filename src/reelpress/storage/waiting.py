"""Waiting for an asynchronous call from ordinary threads, so that a wish to stop ends it at once.

obstore's blocking calls cannot be interrupted; its asynchronous ones end when they are cancelled. They run on one event
loop in a thread of its own, so callers need no loop and may have one.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from reelpress.errors import Cancelled

T = TypeVar("T")
_POLL_S = 0.1


class CancelSign(Protocol):
    """Whatever knows that the caller wants to stop; ``reelpress.CancelToken`` is one."""

    @property
    def is_cancelled(self) -> bool:
        """True once the work is to stop."""
        ...


class Within:
    """A sign to stop after so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    @property
    def is_cancelled(self) -> bool:
        """True once the time is over."""
        return time.monotonic() >= self._until


class _Loop:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0

    def get(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._pid != os.getpid():  # a fork leaves the thread behind
                self._pid = os.getpid()
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="reelpress-storage", daemon=True).start()
            return self._loop


_LOOP = _Loop()


def wait_for(work: Coroutine[Any, Any, T], cancel: CancelSign | None = None) -> T:
    """Return what ``work`` returns, or raise what it raises. Raises :class:`Cancelled` when ``cancel`` says so."""
    if cancel is not None and cancel.is_cancelled:  # else what takes no time would be done all the same
        work.close()
        raise Cancelled
    future = asyncio.run_coroutine_threadsafe(work, _LOOP.get())
    try:
        while not future.done():
            if cancel is not None and cancel.is_cancelled:
                raise Cancelled
            concurrent.futures.wait([future], timeout=_POLL_S)
        return future.result()
    finally:
        future.cancel()  # of a call that has ended, this changes nothing


async def in_thread(work: Callable[[], T]) -> T:
    """Return what ``work`` returns in a thread of its own, or raise what it raises.

    Who is cancelled meanwhile goes on only when the thread has ended: until then it uses what would be closed.
    """
    thread = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        with contextlib.suppress(Exception):
            await thread
        raise
