"""Firebase Hosting, as its documentation and its issues describe it: a site's folder, its headers, its rewrites.

Played: static files first and then rewrites, in order; ``cleanUrls`` and ``trailingSlash``; headers by globs; requests
to Cloud Run with the visitor's headers but cookies, under the service's own host; answers that are held back until they
are whole, streams as well, and given up after a while (60 s there); bodies of at most 32 MiB. Not played: caches,
redirects, i18n, the address of the visitor.
"""

from __future__ import annotations

import http.client
import http.server
import json
import mimetypes
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from loopback import LoopbackServer

MOST_BODY_BYTES = 32 * 2**20
_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "cookie"}


def matches(glob: str, path: str) -> bool:
    """Tell whether a path matches a source: ``**`` is anything, ``*`` anything within a segment."""
    pattern = "".join({"**": ".*", "*": "[^/]*"}.get(part, re.escape(part)) for part in re.split(r"(\*\*|\*)", glob))
    return re.fullmatch(pattern, path) is not None


class Hosting(LoopbackServer):
    """A context manager; ``services`` are the addresses of Cloud Run services by their names."""

    def __init__(self, folder: Path, services: dict[str, str], *, patience_s: float = 60.0) -> None:
        self.config: dict[str, Any] = json.loads((folder / "firebase.json").read_text())["hosting"]
        self.public = folder / self.config["public"]
        self.services, self.patience_s = services, patience_s
        self.seen: list[tuple[str, str, int]] = []
        super().__init__(_handler(self))

    def static(self, path: str) -> Path | None:
        names = [path.strip("/") or "index.html"]
        if self.config.get("cleanUrls"):
            names.append(f"{names[0]}.html")
        return next((self.public / name for name in names if (self.public / name).is_file()), None)

    def headers(self, path: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for rule in self.config.get("headers", ()):
            if matches(rule["source"], path):
                found |= {one["key"]: one["value"] for one in rule["headers"]}
        return found

    def service(self, path: str) -> str | None:
        for rule in self.config.get("rewrites", ()):
            if matches(rule["source"], path):
                return self.services[rule["run"]["serviceId"]]
        return None


def _handler(hosting: Hosting) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = urlsplit(self.path).path
            if (file := hosting.static(path)) is not None:
                kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
                self._say(200, {"Content-Type": f"{kind}; charset=utf-8", **hosting.headers(path)}, file.read_bytes())
            elif len(body) > MOST_BODY_BYTES:
                self._say(413, {}, b"")
            elif (service := hosting.service(path)) is not None:
                self._pass_on(service, body)
            else:
                self._say(404, {"Content-Type": "text/html"}, b"<h1>Page not found</h1>")

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _do  # noqa: N815 - names of http.server

        def _pass_on(self, service: str, body: bytes) -> None:
            parts = urlsplit(service)
            connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=hosting.patience_s)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
            headers |= {"X-Forwarded-Host": self.headers["Host"], "X-Forwarded-For": "203.0.113.9"}
            try:
                connection.request(self.command, self.path, body or None, headers)
                answer = connection.getresponse()
                content = answer.read()  # all of it, before the visitor hears anything
            except (OSError, http.client.HTTPException):
                self._say(504, {}, b"")
                return
            finally:
                connection.close()
            kept = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
            self._say(answer.status, kept, content)

        def _say(self, status: int, headers: dict[str, str], body: bytes) -> None:
            hosting.seen.append((self.command, urlsplit(self.path).path, status))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status not in (204, 304):
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD" and status not in (204, 304):
                self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    return Handler
