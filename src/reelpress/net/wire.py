"""Connections of one request: only to addresses that were checked, and only for as long as was allowed.

The name is looked up here, every address it has is checked, and the connection goes to one of those addresses, not to
the name again: a name that answers differently the second time (DNS rebinding) gains nothing. TLS still asks for the
name's certificate, because httpcore passes the name on.
"""

from __future__ import annotations

import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from typing import TypeAlias

import httpcore

from reelpress.errors import AddressError, Cancelled, NetError
from reelpress.facts.values import Value
from reelpress.net.addresses import check_address

# Whoever wants to stop; asked several times a second.
IsCancelled: TypeAlias = Callable[[], bool]
# Addresses of a name, as text; raises OSError.
Resolve: TypeAlias = Callable[[str, int], list[str]]
_SLICE_S = 0.25
_MOST_ADDRESSES = 4
_PIECE_BYTES = 16 * 1024


class Patience(Value, frozen=True, kw_only=True):
    """How long one request may take, in seconds, and how fast its answer must come.

    ``connect_s`` bounds the look-up, and the connection to each of up to four addresses; ``silence_s`` a wait for the
    next bytes; ``answer_s`` all until the last header has come; ``total_s`` the whole. A body that brings fewer than
    ``least_bytes_per_s`` over ``window_s`` of waiting is given up.
    """

    connect_s: float = 5.0
    silence_s: float = 20.0
    answer_s: float = 60.0
    total_s: float = 6 * 3600.0
    least_bytes_per_s: float = 32 * 1024
    window_s: float = 30.0


class Clock:
    """The limits of one request while it runs. Raises :class:`NetError` ``timed_out`` or :class:`Cancelled`."""

    def __init__(self, patience: Patience, is_cancelled: IsCancelled) -> None:
        self._patience = patience
        self._is_cancelled = is_cancelled
        self._began = time.monotonic()
        self._deadline = self._began + min(patience.answer_s, patience.total_s)
        self._waited_s = self._window_bytes = 0.0
        self._in_body = False

    def answered(self) -> None:
        """Say that the headers are there: from now on the body's rules count."""
        self._in_body = True
        self._deadline = self._began + self._patience.total_s

    def left_s(self, at_most: float) -> float:
        """Return how long the next wait may last, at most as long as said."""
        if self._is_cancelled():
            raise Cancelled
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise slow("it took longer than allowed in all")
        return min(left, at_most)

    def count(self, size_bytes: int, waited_s: float) -> None:
        """Count what came, and how long it was waited for; time spent on a slow disk of ours is not the server's."""
        self._waited_s += waited_s
        self._window_bytes += size_bytes
        if self._in_body and self._waited_s >= self._patience.window_s:
            if self._window_bytes < self._patience.least_bytes_per_s * self._waited_s:
                raise slow(f"fewer than {self._patience.least_bytes_per_s:g} bytes per second")
            self._waited_s = self._window_bytes = 0.0

    @property
    def patience(self) -> Patience:
        """What the limits are."""
        return self._patience


def slow(evidence: str) -> NetError:
    """Return the error for a server that does not answer in time."""
    return NetError("A server did not answer in time.", reason="timed_out", evidence=evidence)


def look_up(host: str, port: int) -> list[str]:
    """Return the addresses of a name, as the system's resolver has them. Raises :class:`OSError`."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(item[4][0]) for item in found))


class Wire(httpcore.NetworkBackend):
    """Opens the connection of one request."""

    def __init__(
        self, clock: Clock, *, allow_private: bool, resolve: Resolve, network: httpcore.NetworkBackend
    ) -> None:
        self._clock = clock
        self._allow_private = allow_private
        self._resolve = resolve
        self._network = network

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the clock's counts
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to an address of ``host``. Raises :class:`AddressError` when any of them may not be called."""
        addresses = [check_address(a, allow_private=self._allow_private) for a in self._addresses_of(host, port)]
        failed: Exception = AddressError("This name has no address.")
        for address in addresses[:_MOST_ADDRESSES]:
            left_s = self._clock.left_s(self._clock.patience.connect_s)
            try:
                stream = self._network.connect_tcp(address, port, left_s, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
            else:
                return _TimedStream(stream, self._clock)
        raise failed

    def _addresses_of(self, host: str, port: int) -> list[str]:
        """Look up a name in a thread: the system's resolver takes no time limit."""
        answers: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answers.put(self._resolve(host, port))
            except (OSError, UnicodeError) as error:
                answers.put(error)

        threading.Thread(target=ask, name="reelpress-resolve", daemon=True).start()
        until = time.monotonic() + self._clock.left_s(self._clock.patience.connect_s)
        while True:
            try:
                answer = answers.get(timeout=self._clock.left_s(_SLICE_S))
            except queue.Empty:
                if time.monotonic() >= until:
                    raise slow("its name was not found in time") from None
                continue
            if isinstance(answer, Exception):
                # Only a resolver that was not reached may know more later.
                unknown = getattr(answer, "errno", None) != socket.EAI_AGAIN
                raise NetError(
                    "The name of a server was not found.", reason="missing" if unknown else "unreachable",
                    evidence=getattr(answer, "strerror", None), hint="check the name",
                )  # fmt: skip
            return answer


class _TimedStream(httpcore.NetworkStream):
    """A connection whose every wait is short enough to notice a wish to stop."""

    def __init__(self, stream: httpcore.NetworkStream, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - the clock's counts
        began = time.monotonic()
        while True:
            try:
                data = self._stream.read(max_bytes, self._clock.left_s(_SLICE_S))
            except httpcore.ReadTimeout:
                if time.monotonic() - began >= self._clock.patience.silence_s:
                    raise slow(f"nothing for {self._clock.patience.silence_s:g} s") from None
            else:
                self._clock.count(len(data), time.monotonic() - began)
                return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - the clock's counts
        # In pieces, or a receiver that takes a little at a time would have all the time it likes.
        for start in range(0, len(buffer), _PIECE_BYTES):
            left_s = self._clock.left_s(self._clock.patience.silence_s)
            self._stream.write(buffer[start : start + _PIECE_BYTES], left_s)

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002 - the clock's counts
    ) -> httpcore.NetworkStream:
        left_s = self._clock.left_s(self._clock.patience.silence_s)
        return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, left_s), self._clock)

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)
