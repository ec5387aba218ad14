"""A server on this machine's loopback that gives FFmpeg one remote file: FFmpeg itself never talks to strangers.

It answers GET and HEAD, with ranges, for one path that holds a secret token, and reads ahead of nobody: what FFmpeg
does not take is not fetched. When FFmpeg hangs up, so does the gateway. What cannot be fetched ends the connection;
:attr:`reelpress.source.blocks.Blocks.failure` says why.
"""

from __future__ import annotations

import contextlib
import hmac
import re
import secrets
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any
from urllib.parse import quote

from reelpress.errors import ReelpressError
from reelpress.source.blocks import BLOCK_BYTES, FRESH_S, Blocks

_HOST = "127.0.0.1"
# What the kernel holds for FFmpeg was fetched already, and may never be read. Segments of loopback's usual size, larger
# than the buffers, would have both sides wait for each other.
_SEND_BYTES = _SEGMENT_BYTES = 4 * 1024
_HEADER_S = 30.0
_POLL_S = 0.1
_JOIN_S = 2.0
_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")


class Gateway:
    """Serves ``blocks`` under :attr:`url` until it is closed."""

    def __init__(self, blocks: Blocks, *, size_bytes: int, name: str) -> None:
        self.blocks, self.size_bytes = blocks, size_bytes
        self.path = f"/{secrets.token_urlsafe(24)}/{quote(name, safe='.-_')}"
        self._server = _Server((_HOST, 0), _Handler)
        self._server.gateway = self
        self.host = f"{_HOST}:{self._server.server_address[1]}"
        self._talks: dict[threading.Thread, socket.socket] = {}
        self._changing = threading.Lock()
        self._idle_since: float | None = None
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_S,), name="reelpress-gateway", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """The address that FFmpeg is given; nobody else is to know it."""
        return f"http://{self.host}{self.path}"

    def close(self) -> None:
        """End all connections and threads; one that waits for a server to greet it ends a little later."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        with self._changing:
            talks = list(self._talks.items())
        for thread, connection in talks:
            _cut(connection)
            thread.join(_JOIN_S)

    def serve(self, connection: socket.socket, address: object) -> None:
        """Answer on a connection, in a thread of its own."""
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
        thread = threading.Thread(
            target=self._server.process_request_thread,
            args=(connection, address),
            name="reelpress-gateway",
            daemon=True,
        )
        with self._changing:
            self._talks[thread] = connection
            self._idle_since = None
        thread.start()

    def ended(self) -> None:
        """Note that this thread is done."""
        with self._changing:
            del self._talks[threading.current_thread()]
            self._idle_since = None if self._talks else time.monotonic()

    def rest(self) -> None:
        """Leave the remote server alone where no program came for a while that reads on where another stopped."""
        with self._changing:
            is_over = self._idle_since is not None and time.monotonic() - self._idle_since > FRESH_S
            if is_over:
                self._idle_since = None
        if is_over:
            self.blocks.hang_up()


class _Server(ThreadingTCPServer):
    request_queue_size = 64
    gateway: Gateway

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT_BYTES)
        super().server_bind()

    def service_actions(self) -> None:
        self.gateway.rest()

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as the library has it
        self.gateway.serve(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.gateway.ended()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Say nothing: a program that hangs up is no error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _HEADER_S
    server: _Server

    def version_string(self) -> str:
        return "Reelpress"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the library has it
        """Write no log: the path is a secret."""

    def do_GET(self) -> None:
        self._answer(has_body=True)

    def do_HEAD(self) -> None:
        self._answer(has_body=False)

    def _answer(self, *, has_body: bool) -> None:
        gateway = self.server.gateway
        # The host is asked for, too: a name of a stranger's may lead here.
        is_ours = hmac.compare_digest(self.path.encode(), gateway.path.encode())
        if not is_ours or self.headers.get("Host") != gateway.host:
            self._begin(404, 0)
            return
        size = gateway.size_bytes
        asked = self.headers.get("Range")
        span = (0, size) if asked is None else _span(asked, size)
        if span is None:
            self._begin(416, 0, f"bytes */{size}")
            return
        start, end = span
        try:
            first = gateway.blocks.read(start // BLOCK_BYTES) if has_body else b""
        except ReelpressError:
            self._begin(502, 0)
            return
        self._begin(
            200 if asked is None else 206, end - start, None if asked is None else f"bytes {start}-{end - 1}/{size}"
        )
        if has_body:
            self._send(first, start, end)

    def _begin(self, status: int, length: int, content_range: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(length))
        if self.close_connection:  # FFmpeg asked for that, and reads on in vain unless it is told
            self.send_header("Connection", "close")
        if content_range is not None:
            self.send_header("Content-Range", content_range)
        self.end_headers()

    def _send(self, first: bytes, start: int, end: int) -> None:
        """Send a range, block by block; whatever goes wrong ends the connection."""
        self.connection.settimeout(None)  # an encoder may take its time
        try:
            index, data = start // BLOCK_BYTES, first
            while True:
                begin = index * BLOCK_BYTES
                self.wfile.write(memoryview(data)[max(0, start - begin) : end - begin])
                index += 1
                if index * BLOCK_BYTES >= end:
                    break
                data = self.server.gateway.blocks.read(index)
        except (ReelpressError, OSError):
            self.close_connection = True
            _cut(self.connection)
        else:
            self.connection.settimeout(_HEADER_S)


def _span(asked: str, size: int) -> tuple[int, int] | None:
    """Return the one range that a header asks for, its end excluded; ``None`` where there is no such."""
    found = _RANGE.fullmatch(asked.replace(" ", ""))
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        start, end = max(0, size - int(found[2])), size
    else:
        start, end = int(found[1]), min(size, int(found[2]) + 1) if found[2] else size
    return (start, end) if start < end else None


def _cut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it may be gone already
        connection.shutdown(socket.SHUT_RDWR)
