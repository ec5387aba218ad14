"""A service as its commands see it: requests with a key, problems as errors, events through every break."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from reelpress.cli.event_stream import events_of
from reelpress.errors import ExitCode, UsageError
from reelpress.facts.values import to_json
from reelpress.jobs.model import Job, JobEvent
from reelpress.version import VERSION

try:
    import httpx
except ModuleNotFoundError as error:
    raise UsageError("httpx is not installed.", evidence=str(error), hint="pip install 'reelpress[service]'") from error

from reelpress.cli.refusals import ServiceRefused, good, good_of_store  # once it is known that httpx is here

_TIMEOUT = httpx.Timeout(30, connect=10)
_SILENCE_S = 40.0  # the service says something every 15 s
_PATIENCE_S = 300.0  # how long a watcher waits for a service that went away
_ATTEMPTS = 4
_MOST_HOPS = 5
_PAGE = 500
_MOST_NAMED = 150  # more jobs than this are followed by following all
_Answer = TypeVar("_Answer")
_LOCAL = {"127.0.0.1", "localhost", "::1"}


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a job is, as the service streams it; ``percent`` and ``eta_s`` as in the job itself."""

    job: str
    status: str
    stage: str
    percent: float
    updated_at: float
    eta_s: float | None = None
    speed: float | None = None
    cancel_requested: bool = False


class _JobPage(msgspec.Struct):
    jobs: list[Job]
    next_cursor: str | None
    counts: dict[str, int]


class _EventPage(msgspec.Struct):
    events: list[JobEvent]
    last: int


class Service:
    """The API at an address. All methods raise :class:`ServiceRefused`."""

    def __init__(self, url: str, key: str | None, *, transport: httpx.BaseTransport | None = None) -> None:
        scheme, host = _checked(url)
        if key and not (key.isascii() and key.isprintable()):
            raise UsageError("--key cannot be that.", hint="A key is of letters, digits, '-' and '_'; copy it again.")
        self.url = url.rstrip("/")
        self.is_exposed = bool(key) and scheme == "http" and host not in _LOCAL
        # twice: a proxy to a closed Cloud Run puts its own token in the place of the first
        keys = {"Authorization": f"Bearer {key}", "X-API-Key": key} if key else {}
        headers = {"User-Agent": f"reelpress/{VERSION}", **keys}
        try:
            self._http = httpx.Client(base_url=self.url, headers=headers, timeout=_TIMEOUT, transport=transport)
            # for signed addresses of the store: the key is none of its business
            self._store = httpx.Client(timeout=_TIMEOUT, transport=transport)
        except (ImportError, ValueError, OSError, httpx.InvalidURL) as error:
            raise UsageError(
                "The environment names a proxy, or certificates, of no use.", evidence=str(error),
                hint="Look at HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR.",
            ) from None  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._http.close()
        self._store.close()

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Return an answer. Asked again when the service is busy, and when the line breaks if that can do no harm."""
        repeatable = method != "POST" or "Idempotency-Key" in (headers or {})
        content = None if body is None else to_json(body)  # which knows names of files that are no UTF-8
        headers = {**(headers or {}), **({} if body is None else {"Content-Type": "application/json"})}
        for pause_s in (*(0.5 * 2**n for n in range(_ATTEMPTS - 1)), None):
            try:
                response = self._http.request(method, path, content=content, params=params, headers=headers)
            except httpx.TransportError as error:
                if pause_s is None or not (repeatable or isinstance(error, httpx.ConnectError)):
                    raise self._no_answer(error) from None
            else:
                if response.status_code not in (429, 503) or pause_s is None:
                    return good(response).content
                time.sleep(min(_seconds(response), 30.0))
            time.sleep(pause_s)
        raise AssertionError("the last attempt returns or raises")

    def job(self, job_id: str) -> Job:
        """Return a job."""
        return _read(self.ask("GET", f"{path_of(job_id)}"), Job)

    def act(self, job_id: str, what: str) -> Job:
        """Cancel or retry a job, and return it."""
        return _read(self.ask("POST", f"{path_of(job_id)}/{what}"), Job)

    def submit(self, asked: Mapping[str, Any], idempotency_key: str) -> Job:
        """Submit a job; the same key never makes a second one."""
        content = self.ask("POST", "/v1/jobs", body=asked, headers={"Idempotency-Key": idempotency_key})
        return _read(content, Job)

    def jobs(self, statuses: Sequence[str], limit: int) -> tuple[list[Job], dict[str, int]]:
        """Return jobs, the newest first, and how many there are of each status."""
        found: list[Job] = []
        cursor, counts = None, dict[str, int]()
        while len(found) < limit:
            params = {"status": list(statuses), "limit": min(limit - len(found), _PAGE), "cursor": cursor}
            asked = {name: value for name, value in params.items() if value}
            page = _read(self.ask("GET", "/v1/jobs", params=asked), _JobPage)
            found += page.jobs
            cursor, counts = page.next_cursor, page.counts
            if cursor is None:
                break
        return found, counts

    def history(self, job_id: str) -> list[JobEvent]:
        """Return everything that happened to a job, the oldest first."""
        events: list[JobEvent] = []
        last = 0
        while True:
            content = self.ask("GET", f"{path_of(job_id)}/events", params={"poll": last})
            page = _read(content, _EventPage)
            if not page.events:
                return events
            events += page.events
            last = page.last

    def follow(self, job_ids: Sequence[str]) -> Iterator[Progress | JobEvent | None]:
        """Yield what happens to jobs, for ever; ``None`` whenever a connection begins: then read all else anew."""
        named = [os.fsencode(one).decode("utf-8", "replace") for one in job_ids]  # as typed: no job may be called so
        params = {"job": named} if len(job_ids) <= _MOST_NAMED else {}
        last: str | None = None
        heard, pause_s = time.monotonic(), 0.5
        while True:
            try:
                headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
                timeout = httpx.Timeout(_SILENCE_S, connect=10)
                with self._http.stream("GET", "/v1/events", params=params, headers=headers, timeout=timeout) as stream:
                    good(stream)
                    yield None
                    pause_s = 0.5
                    try:
                        for name, number, data in events_of(stream.iter_lines()):
                            last = number or last
                            kind: type[Progress | JobEvent] = Progress if name == "progress" else JobEvent
                            yield _read(data, kind)
                    finally:
                        heard = time.monotonic()  # until now it said at least that it is there
            except (httpx.TransportError, ServiceRefused) as error:
                if isinstance(error, ServiceRefused) and error.exit_code == ExitCode.USAGE:
                    raise
                if time.monotonic() - heard > _PATIENCE_S:
                    raise error if isinstance(error, ServiceRefused) else self._no_answer(error) from None
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, 15.0)

    @contextlib.contextmanager
    def download(self, path: str) -> Iterator[Iterator[bytes]]:
        """Open what a path answers, be it on the service or at a signed address of its store."""
        client, at = self._http, path
        try:
            for _ in range(_MOST_HOPS):
                with client.stream("GET", at) as response:
                    if response.next_request is None:
                        yield (good if client is self._http else good_of_store)(response).iter_bytes(1 << 20)
                        return
                    there, home = response.next_request.url, self._http.base_url
                # not left to httpx: of what goes elsewhere it holds back the first key alone
                is_home = (there.scheme, there.host, there.port) == (home.scheme, home.host, home.port)
                client, at = self._http if is_home else self._store, str(there)
        except httpx.TransportError as error:
            raise self._no_answer(error) from None
        raise ServiceRefused(0, "unexpected", "The service sends us in circles.", evidence=f"{_MOST_HOPS} redirects")

    def send(self, url: str, content: bytes, headers: Mapping[str, str]) -> None:
        """PUT bytes to an address of the service, or of its store, which may raise :class:`StoreRefused`."""
        own = not urlsplit(url).scheme or url.startswith(f"{self.url}/")
        for pause_s in (*(0.5 * 2**n for n in range(_ATTEMPTS - 1)), None):
            try:
                response = (self._http if own else self._store).put(url, content=content, headers=dict(headers))
                if pause_s is None or response.status_code not in (429, 500, 502, 503, 504):
                    (good if own else good_of_store)(response)
                    return
            except httpx.TransportError as error:
                if pause_s is None:
                    raise self._no_answer(error) from None
            time.sleep(pause_s)

    def _no_answer(self, error: httpx.TransportError) -> ServiceRefused:
        return ServiceRefused(
            0, "unreachable", f"The service at {self.url} does not answer.",
            evidence=str(error) or type(error).__name__,
            hint="Start it with `reelpress serve`, or say where it is: --url or REELPRESS_URL.",
        )  # fmt: skip


def path_of(job_id: str) -> str:
    """Return where a job is on the service, whatever was typed as its id."""
    return f"/v1/jobs/{quote(os.fsencode(job_id), safe='')}"


def _checked(url: str) -> tuple[str, str]:
    """Return the scheme and the host of a service's address. Raises :class:`UsageError`."""
    try:
        parts = urlsplit(url)
        httpx.Request("GET", url)
        if parts.scheme in ("http", "https") and parts.hostname and not parts.username and not parts.query:
            _ = parts.port  # raises where that is no number, or too large a one
            return parts.scheme, parts.hostname
    except (httpx.InvalidURL, ValueError):
        pass
    raise UsageError(f"--url cannot be {url!r}.", hint="accepted: http://HOST:PORT or https://HOST")


def _read(content: bytes | str, kind: type[_Answer]) -> _Answer:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ServiceRefused(
            0, "unexpected", "The service answered in a way that is not known here.", evidence=str(error),
            hint="Is this the address of Reelpress, and of the same version?",
        ) from None  # fmt: skip


def _seconds(response: httpx.Response) -> float:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else 0.0
