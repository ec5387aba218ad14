"""One process that probes are forked from, for as long as many files are looked at.

A look at a short file costs a tenth of the start of the process that looks, and every job looks twice. While a
:func:`nursery` is kept, :func:`reelpress.probe.media.probe` has its processes forked from one that has imported
everything; they are no less apart, and limited no less (:mod:`reelpress.probe.nursery_child`).
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal

import msgspec

from reelpress.facts.values import from_json, to_json
from reelpress.probe.media_request import Begun, Ended, Order, Request
from reelpress.run.ahead import Ahead
from reelpress.run.output import Output
from reelpress.run.process import CancelToken, Finished, Limits, run

_TICK_S = 0.05  # the longest time between two looks at cancel and the clock
_BEGIN_S = 20.0  # the start of Python on a busy machine
_DEATH_S = 1.0  # the longest time SIGKILL may take before a stopped process is left to die alone
_MAX_ANSWER_BYTES = 16 * 1024 * 1024
_CHUNK_BYTES = 256 * 1024
_ENDS_BADLY = 3  # after so many bad ends it is not started again
_Stop = tuple[Literal["cancelled", "wall_clock"], str]


class Nursery:
    """The process that others are forked from; it is started when it is first needed, and when it went."""

    def __init__(self, argv: Sequence[str], ahead: Ahead | None = None) -> None:
        self._argv, self._ahead = tuple(argv), ahead
        self._lock = threading.Lock()
        # the kernel kills a program when the thread that started it ends: this one stays
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reelpress-nursery")
        self._running: Future[Finished] | None = None
        self._orders: socket.socket | None = None
        if ahead is not None:
            self._orders = socket.socket(fileno=ahead.take_line())
            self._orders.settimeout(_BEGIN_S)
        self._cancel = CancelToken()
        self._bad_ends = 0

    def close(self) -> None:
        """End the process, and with it whatever works for somebody."""
        with self._lock:
            self._cancel.cancel()
            if self._orders is not None:
                self._orders.close()
            if self._ahead is not None:
                self._ahead.end()
        self._pool.shutdown()

    def start(self) -> socket.socket | None:
        """Return the way to the process, which is started unless it lives; ``None`` where it does not stay alive."""
        with self._lock:
            if self._running is not None and self._running.done():
                self._bad_ends += self._running.exception() is not None or self._running.result().returncode != 0
                self._running = None
            if self._ahead is not None and self._ahead.has_ended():
                self._ahead = None
            if self._running is None and self._ahead is None and self._orders is not None:
                self._orders.close()
            if self._cancel.is_cancelled or self._bad_ends >= _ENDS_BADLY:
                return None
            if self._running is None and self._ahead is None:
                # whole messages, so that two who ask at once do not mix
                self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                self._orders.settimeout(_BEGIN_S)
                self._running = self._pool.submit(self._run, theirs)
            return self._orders

    def ask(self, request: Request, limits: Limits, cancel: CancelToken | None) -> Finished | None:
        """Have a process look at a file and return how it ended; ``None`` where none could be had."""
        orders = self.start()
        if orders is None:
            return None
        order = Order(
            request=request, cpu_s=limits.cpu_s, memory_bytes=limits.memory_bytes,
            file_size_bytes=limits.file_size_bytes,
        )  # fmt: skip
        with contextlib.ExitStack() as held:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            held.callback(ours.close)
            (answers, answer_end), (complaints, complaint_end) = os.pipe(), os.pipe()
            held.callback(os.close, answers)
            held.callback(os.close, complaints)
            try:
                socket.send_fds(orders, [to_json(order)], [answer_end, complaint_end, theirs.fileno()])
            except OSError:  # it just went, or the order is too long for one message
                return None
            finally:
                theirs.close()
                os.close(answer_end)
                os.close(complaint_end)
            return _Asked(self._argv, ours, answers, complaints).wait(limits, cancel)

    def _run(self, theirs: socket.socket) -> Finished:
        with theirs:
            return run(self._argv, cancel=self._cancel, stdin=theirs.fileno())


class _Asked:
    """One who asked, and waits."""

    def __init__(self, argv: tuple[str, ...], line: socket.socket, answers: int, complaints: int) -> None:
        self._argv, self._line, self._output = argv, line, Output(None, _MAX_ANSWER_BYTES)
        self._selector = selectors.DefaultSelector()
        self._pipes: dict[int, Callable[[bytes], None]] = {
            answers: self._output.take_stdout, complaints: self._output.take_stderr,
        }  # fmt: skip
        for descriptor in self._pipes:
            self._selector.register(descriptor, selectors.EVENT_READ)
        self._selector.register(line, selectors.EVENT_READ)
        self._begun_at: float | None = None
        self._ended: Ended | None = None
        self._is_alone = False  # nobody is there any more to say how it ends

    def wait(self, limits: Limits, cancel: CancelToken | None) -> Finished | None:
        asked_at = time.monotonic()
        stop: _Stop | None = None
        with self._selector:
            while self._ended is None and stop is None:
                self._read()
                now = time.monotonic()
                begun_s = now - asked_at if self._begun_at is None else 0.0
                if self._is_alone or begun_s > _BEGIN_S:
                    return None
                if self._ended is None:
                    stop = _reason_to_stop(limits, cancel, 0.0 if self._begun_at is None else now - self._begun_at)
            if stop is not None:
                self._selector.unregister(self._line)
                self._line.close()  # which ends it
            until = time.monotonic() + _DEATH_S
            while self._pipes and time.monotonic() < until:
                self._read()
        wall_s = time.monotonic() - asked_at
        ended = self._ended or Ended(returncode=-signal.SIGKILL, cpu_s=0.0, peak_memory_bytes=0)
        told: tuple[Literal["cancelled", "wall_clock", "cpu_limit"], str] | None = stop
        if ended.returncode == -signal.SIGXCPU:
            told = "cpu_limit", f"used {limits.cpu_s} s of CPU"
        return Finished(
            argv=self._argv, returncode=ended.returncode, stdout=bytes(self._output.stdout),
            stdout_truncated=self._output.stdout_truncated, stderr_tail=self._output.stderr_tail(), wall_s=wall_s,
            cpu_s=ended.cpu_s, peak_memory_bytes=ended.peak_memory_bytes, stopped=None if told is None else told[0],
            stop_reason=None if told is None else told[1],
        )  # fmt: skip

    def _read(self) -> None:
        for key, _ in self._selector.select(_TICK_S):
            if key.fileobj is self._line:
                self._hear()
                continue
            take = self._pipes[key.fd]
            chunk = os.read(key.fd, _CHUNK_BYTES)
            take(chunk)
            if not chunk:
                self._selector.unregister(key.fd)
                del self._pipes[key.fd]

    def _hear(self) -> None:
        try:
            said = self._line.recv(4096)
            told = from_json(said, Begun | Ended) if said else None  # type: ignore[arg-type]  # msgspec takes unions
        except (OSError, msgspec.DecodeError):
            told = None
        if isinstance(told, Ended):
            self._ended = told
        elif isinstance(told, Begun) and told.failed is None:
            self._begun_at = time.monotonic()
        else:
            self._is_alone = True
        if not isinstance(told, Begun) or told.failed is not None:
            self._selector.unregister(self._line)


def _reason_to_stop(limits: Limits, cancel: CancelToken | None, ran_s: float) -> _Stop | None:
    if cancel is not None and cancel.is_cancelled:
        return "cancelled", "cancelled while it ran"
    if limits.wall_s is not None and ran_s >= limits.wall_s:
        return "wall_clock", f"ran longer than {limits.wall_s:g} s"
    return None


_lock = threading.Lock()
_kept: Nursery | None = None
_keepers = 0


@contextlib.contextmanager
def nursery(argv: Sequence[str], ahead: Ahead | None = None) -> Iterator[None]:
    """Keep the nursery of this process; ``argv`` starts it, unless it was ``ahead``.

    Inside another's it is theirs that is used.
    """
    global _kept, _keepers  # noqa: PLW0603 - what it saves is a matter of the process, whoever asks
    with _lock:
        _keepers += 1
        if _kept is None:
            _kept, ahead = Nursery(argv, ahead), None
    if ahead is not None:
        ahead.end()
    try:
        yield
    finally:
        with _lock:
            _keepers -= 1
            gone, _kept = (_kept, None) if _keepers == 0 else (None, _kept)
        if gone is not None:
            gone.close()


def kept() -> Nursery | None:
    """Return the nursery of this process, if one is kept."""
    return _kept
