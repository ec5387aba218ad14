"""An HTTP server that says, byte for byte, what a test wants it to, and keeps what it was asked."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import NamedTuple, Self

import httpcore


class Asked(NamedTuple):
    method: str
    target: str
    headers: dict[str, str]  # by names in lower case
    body: bytes


class Pause(NamedTuple):
    """In place of bytes: wait so long, or until the server stops."""

    seconds: float


RESET = "the connection is reset here"
Say = bytes | Pause | str
Answer = Callable[[Asked], Iterable[Say]]


def said(body: bytes = b"", status: str = "200 OK", **headers: str) -> list[Say]:
    """A whole answer; underscores in the names of headers stand for dashes."""
    named = {"Content_Length": str(len(body)), **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in named.items() if value]
    return ["\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode() + body]


class Peer:
    """A context manager; every connection is for one request."""

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self._tls = tls
        self._stop = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._serve)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._talk, args=(connection,)))
            self._threads[-1].start()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection:
                asked = _read(connection)
                if asked is None:
                    return
                self.asked.append(asked)
                for part in self.answer(asked):
                    if self._stop.is_set():
                        return
                    if isinstance(part, Pause):
                        self._stop.wait(part.seconds)
                    elif isinstance(part, str):
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        return
                    else:
                        connection.sendall(part)


def _read(connection: socket.socket) -> Asked | None:
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return None
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65536)
    method, target, _ = first.split(" ")
    return Asked(method, target, headers, body)


class Internet(httpcore.NetworkBackend):
    """Whatever address is called, a peer on this machine answers; ``called`` says which addresses were."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.called: list[tuple[str, int]] = []

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:  # fmt: skip
        self.called.append((host, port))
        return httpcore.SyncBackend().connect_tcp("127.0.0.1", self.peer.port, timeout)


def wait_until(true: Callable[[], bool], at_most_s: float = 20.0) -> bool:
    """Tell whether it became true; the bound only ends a test that has failed."""
    until = time.monotonic() + at_most_s
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True
