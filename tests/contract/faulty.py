"""A proxy before an S3 server that spoils one request, or every one from there on, in a way of the test's choosing."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import socket
import struct
import threading
from types import TracebackType

from loopback import LoopbackServer

FAULTS = {
    "500": "the server fails before it does anything",
    "done, then 500": "the server does what it was asked, and says it failed",
    "403": "it refuses",
    "reset": "the connection breaks before anything is done",
    "done, then reset": "the connection breaks when it is done",
    "drip": "the answer comes a byte at a time, for ever",
    "truncated": "the connection ends in the middle of the body",
    "short": "the body is half as long, and its length says the same",
    "etag": "the ETag is another object's",
    "clipped": "half of what was sent arrives",
    "spoilt": "a byte of what was sent arrives as another",
    "spoilt answer": "a byte of the body is another",
}
_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class Proxy(LoopbackServer):
    """A context manager; ``fault`` befalls request number ``at`` (from 1), or with ``for_ever`` all from it on."""

    def __init__(self, server: tuple[str, int], fault: str, at: int, *, for_ever: bool = False) -> None:
        assert fault in FAULTS
        self.server, self.fault, self.at, self.for_ever = server, fault, at, for_ever
        self.seen: list[str] = []
        self.hit = False
        self._lock = threading.Lock()
        self._stop = threading.Event()
        super().__init__(_handler(self))

    @property
    def endpoint(self) -> str:
        return self.url

    def fault_for(self, request: str) -> str:
        with self._lock:
            self.seen.append(request)
            number = len(self.seen)
            due = number >= self.at if self.for_ever else number == self.at
            self.hit |= due
            return self.fault if due else ""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        super().__exit__(kind, error, trace)


def _handler(proxy: Proxy) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = proxy.fault_for(f"{self.command} {self.path.partition('?')[0]}")
            if fault == "reset":
                return self._reset()
            if fault in {"500", "403"}:
                return self._answer(int(fault), [], b"")
            if fault == "clipped":
                body = body[: len(body) // 2]
            if fault == "spoilt" and body:
                body = bytes([body[0] ^ 1]) + body[1:]
            status, headers, answer = self._forward(body)
            if fault == "done, then 500":
                return self._answer(500, [], b"")
            if fault == "done, then reset":
                return self._reset()
            if fault == "etag":
                headers = [(n, '"0123456789abcdef0123456789abcdef"' if n.lower() == "etag" else v) for n, v in headers]
            if fault == "short":
                answer = answer[: len(answer) // 2]
                headers = [(n, v) for n, v in headers if n.lower() != "content-length"]
            if fault == "spoilt answer" and answer:
                answer = answer[:-1] + bytes([answer[-1] ^ 1])
            return self._answer(status, headers, answer, slowly=fault == "drip", cut=fault == "truncated")

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _do  # noqa: N815 - names of http.server

        def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            connection = http.client.HTTPConnection(*proxy.server, timeout=60)
            try:
                headers = {n: v for n, v in self.headers.items() if n.lower() not in _HOP}
                connection.request(self.command, self.path, body, headers | {"Content-Length": str(len(body))})
                got = connection.getresponse()
                return got.status, got.getheaders(), got.read()
            finally:
                connection.close()

        def _answer(
            self, status: int, headers: list[tuple[str, str]], body: bytes, *, slowly: bool = False, cut: bool = False
        ) -> None:
            length = next((v for n, v in headers if n.lower() == "content-length"), str(len(body)))
            lines = [f"HTTP/1.1 {status} X", *(f"{n}: {v}" for n, v in headers if n.lower() not in _HOP)]
            head = "\r\n".join([*lines, f"Content-Length: {length if self.command == 'HEAD' else len(body)}", "", ""])
            raw = head.encode("latin-1") + (b"" if self.command == "HEAD" else body)
            if cut:
                raw = raw[: len(raw) - max(len(body) // 2, 3)]
                self.close_connection = True
            try:
                if not slowly:
                    self.wfile.write(raw)
                for at in range(len(raw) if slowly else 0):
                    self.wfile.write(raw[at : at + 1])
                    if proxy._stop.wait(0.05):
                        break
            except OSError:
                self.close_connection = True

        def _reset(self) -> None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            self.rfile.close()

        def finish(self) -> None:
            with contextlib.suppress(OSError, ValueError):  # after a reset there is nothing to flush to
                super().finish()

        def log_message(self, *_args: object) -> None:
            pass

    return Handler
