"""An HTTP server for one file that counts what it sends: how much of a source is read, told by the other side."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_BLOCK_BYTES = 32 * 1024  # little waits in the socket of somebody who has hung up
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


class CountingServer(ThreadingHTTPServer):
    """Serves one file with ranges, and counts the bytes of its body that went out."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.path, self.size_bytes, self.tag = path, path.stat().st_size, f'"{path.stat().st_mtime_ns:x}"'
        self.sent_bytes = self.requests = 0
        self.counting = threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_port}/{path.name}"

    @contextmanager
    def running(self) -> Iterator[CountingServer]:
        """Serve for as long as the context lasts."""
        thread = threading.Thread(target=self.serve_forever, daemon=True)
        thread.start()
        yield self
        self.shutdown()
        thread.join()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: CountingServer

    def setup(self) -> None:
        super().setup()
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BLOCK_BYTES)

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        start, end = self._answer()
        with self.server.counting:
            self.server.requests += 1
        with self.server.path.open("rb") as file:
            file.seek(start)
            while start < end and (block := file.read(min(_BLOCK_BYTES, end - start))):
                try:
                    self.wfile.write(block)
                except OSError:  # who asked has enough
                    self.close_connection = True
                    return
                start += len(block)
                with self.server.counting:
                    self.server.sent_bytes += len(block)

    def _answer(self) -> tuple[int, int]:
        size = self.server.size_bytes
        asked = _RANGE.fullmatch(self.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        end = min(int(asked[2]) + 1, size) if asked and asked[2] else size
        self.send_response(206 if asked else 200)
        headers = {
            "Content-Type": "video/mp4", "Accept-Ranges": "bytes", "ETag": self.server.tag,
            "Content-Length": str(end - start),
        }  # fmt: skip
        if asked:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        return start, end

    def log_message(self, *_: object) -> None:
        pass
