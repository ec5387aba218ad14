"""A queue of Google's Cloud Tasks, as its documentation describes what a handler meets; over real HTTP.

What is played: the headers and their counts, tokens signed with a key whose JWKS is served, retries of every answer
that is not 2xx with the documented intervals, ``Retry-After`` of 429 and 503, the dispatch deadline, dispatch of one
task a second time (``run``, and what at-least-once means), refusal of a name used before. Not played: the throttling of
a whole queue, redirects (a 3xx counts as a failure here), and that a real deadline has at least 15 seconds. How the
real one words ``TaskRetryReason`` is not documented.
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import secrets
import socket
import threading
import time
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from loopback import LoopbackServer

ISSUER = "https://accounts.google.com"
LONGEST_DEADLINE_S = 1800.0
MOST_BODY_BYTES = 100 * 1024
_TOKEN_LASTS_S = 3600


@dataclass(frozen=True)
class Backoff:
    """Seconds between the tries of a task; the defaults are those of a queue."""

    min_s: float = 0.1
    max_s: float = 3600.0
    doublings: int = 16

    def before_retry(self, number: int) -> float:
        """The pause before retry ``number``, from 1: doubled so many times, then longer by the same step."""
        doubled = min(number - 1, self.doublings)
        return min(self.min_s * 2**doubled * max(1, number - self.doublings), self.max_s)


@dataclass
class Attempt:
    """One dispatch; ``status`` is ``None`` when no answer came, and ``error`` says why."""

    at: float
    headers: dict[str, str]
    status: int | None = None
    answer: bytes = b""
    answer_headers: dict[str, str] = field(default_factory=dict)
    error: str = ""

    @property
    def succeeded(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


@dataclass
class Task:
    name: str
    url: str
    body: bytes
    headers: dict[str, str]
    deadline_s: float
    max_attempts: int
    backoff: Backoff
    attempts: list[Attempt] = field(default_factory=list)
    pauses_s: list[float] = field(default_factory=list)
    state: str = "waiting"  # then done, failed (no attempts left), or deleted
    _ended: threading.Event = field(default_factory=threading.Event)

    def wait(self, at_most_s: float = 60.0) -> str:
        """Wait for the task's end and return its state."""
        assert self._ended.wait(at_most_s), f"{self.name} has not ended: {self.attempts}"
        return self.state

    def end(self, state: str) -> None:
        self.state = state
        self._ended.set()


class CloudTasks:
    """One queue; a context manager. ``jwks_url`` is where the keys of its tokens are."""

    def __init__(
        self,
        name: str = "videos",
        *,
        email: str = "tasks@project.iam.gserviceaccount.com",
        audience: str | None = None,
        concurrent: int = 1000,
    ) -> None:
        self.name, self.email, self.audience = name, email, audience
        self.tasks: dict[str, Task] = {}
        self._slots = threading.Semaphore(concurrent)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self.rotate_key()
        self._keys = LoopbackServer(_jwks_handler(self))
        self.jwks_url = f"{self._keys.url}/certs"

    def __enter__(self) -> Self:
        self._keys.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._keys.__exit__(kind, error, trace)

    def rotate_key(self) -> None:
        """Sign with a new key from now on; the old one is no longer served."""
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._kid = secrets.token_hex(8)

    def jwks(self) -> bytes:
        key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key()))
        return json.dumps({"keys": [{**key, "kid": self._kid, "alg": "RS256", "use": "sig"}]}).encode()

    def token(self, url: str, **claims: object) -> str:
        """A token as a dispatch to ``url`` carries it, with other claims if asked for."""
        now = int(time.time())
        usual = {
            "iss": ISSUER, "aud": self.audience or url, "azp": "110", "sub": "110", "email": self.email,
            "email_verified": True, "iat": now, "exp": now + _TOKEN_LASTS_S,
        }  # fmt: skip
        return jwt.encode({**usual, **claims}, self._key, "RS256", headers={"kid": self._kid})

    def create_task(
        self,
        url: str,
        body: bytes | Mapping[str, object],
        *,
        name: str | None = None,
        headers: Mapping[str, str] | None = None,
        deadline_s: float = 600.0,
        max_attempts: int = 100,
        backoff: Backoff = Backoff(),
    ) -> Task:
        """Queue a POST; a mapping becomes JSON. A name that was used before is refused, as a duplicate."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        if not 0 < deadline_s <= LONGEST_DEADLINE_S:
            raise ValueError("INVALID_ARGUMENT: the dispatch deadline is at most 30 minutes")
        if len(content) > MOST_BODY_BYTES:
            raise ValueError("INVALID_ARGUMENT: the task is too large")
        name = name or str(secrets.randbits(63))
        if name in self.tasks:
            raise ValueError("ALREADY_EXISTS: a task of this name was there before")
        given = {"Content-Type": "application/octet-stream" if content is body else "application/json"}
        task = Task(name, url, content, {**given, **(headers or {})}, deadline_s, max_attempts, backoff)
        self.tasks[name] = task
        self._threads.append(threading.Thread(target=self._work, args=(task,)))
        self._threads[-1].start()
        return task

    def run(self, task: Task) -> Attempt:
        """Dispatch a task now, once, also if it is under way or done: a delivery too many. Returns when it ended."""
        attempt = self._attempt(task)
        self._dispatch(task, attempt)
        return attempt

    def delete(self, task: Task) -> None:
        """Let a task that waits not be tried again; what is under way goes on."""
        task.end("deleted")

    def _work(self, task: Task) -> None:
        while not self._stop.is_set():
            with self._slots:
                attempt = self._attempt(task)
                self._dispatch(task, attempt)
            if attempt.succeeded:
                return task.end("done")
            if len(task.attempts) >= task.max_attempts:
                return task.end("failed")
            pause_s = task.backoff.before_retry(len(task.attempts))
            if attempt.status in {429, 503}:
                pause_s = max(pause_s, _seconds(attempt.answer_headers.get("retry-after", "")))
            task.pauses_s.append(pause_s)
            if self._stop.wait(pause_s) or task.state == "deleted":
                return None
        return None

    def _attempt(self, task: Task) -> Attempt:
        answered = [attempt for attempt in task.attempts if attempt.status is not None]
        headers = {
            **task.headers,
            "User-Agent": "Google-Cloud-Tasks",
            "Authorization": f"Bearer {self.token(task.url)}",
            "X-CloudTasks-QueueName": self.name,
            "X-CloudTasks-TaskName": task.name,
            "X-CloudTasks-TaskRetryCount": str(len(task.attempts)),
            # Answers of the handler's own: failures by 5xx are not counted.
            "X-CloudTasks-TaskExecutionCount": str(sum(a.status < 500 for a in answered if a.status)),
            "X-CloudTasks-TaskETA": f"{time.time():.6f}",
        }
        if task.attempts:
            last = task.attempts[-1]
            headers["X-CloudTasks-TaskRetryReason"] = last.error or f"HTTP status code {last.status}"
            if last.status is not None:
                headers["X-CloudTasks-TaskPreviousResponse"] = str(last.status)
        attempt = Attempt(time.time(), headers)
        task.attempts.append(attempt)
        return attempt

    def _dispatch(self, task: Task, attempt: Attempt) -> None:
        url = urllib.parse.urlsplit(task.url)
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        connection = kind(url.hostname or "", url.port, timeout=task.deadline_s)
        late = threading.Event()
        timer = None
        try:
            connection.connect()
            self._open.add(connection.sock)
            # The deadline counts for the whole, not for each wait; then the line goes dead, and nothing else happens.
            timer = threading.Timer(task.deadline_s, _hang_up, (connection.sock, late))
            timer.start()
            connection.request("POST", urllib.parse.urlunsplit(("", "", url.path or "/", url.query, "")), task.body,
                               attempt.headers)  # fmt: skip
            response = connection.getresponse()
            body = response.read()
            attempt.answer_headers = {name.lower(): value for name, value in response.getheaders()}
            attempt.answer, attempt.status = body, response.status
        except (OSError, http.client.HTTPException) as error:
            is_late = late.is_set() or isinstance(error, TimeoutError)
            attempt.error = "DEADLINE_EXCEEDED" if is_late else f"UNAVAILABLE: {type(error).__name__}"
        finally:
            if timer is not None:
                timer.cancel()
                timer.join()
            if connection.sock is not None:
                self._open.discard(connection.sock)
            connection.close()


def _hang_up(connection: socket.socket, late: threading.Event) -> None:
    late.set()
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _seconds(text: str) -> float:
    return float(text) if text.isdigit() else 0.0


def _jwks_handler(tasks: CloudTasks) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = tasks.jwks()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
