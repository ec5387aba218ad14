"""A stand-in for two of Google's APIs over HTTP: Cloud Run's version 2 (one service) and Cloud Monitoring's.

What is played: traffic with percents, tags and revisions as the Admin API has them, etags that must fit, operations
that take a moment, refusal of fields and sums that are none; and figures of each revision, drawn (seeded) from what it
is said to do, in proportion to the traffic that it had. Faults come in the order in which they were put in.
Not played: tokens, that figures lag by minutes, and quotas.
"""

from __future__ import annotations

import http.server
import json
import random
import threading
import time
import urllib.parse
from dataclasses import dataclass
from typing import Any, Self

NAME = "projects/my-project/locations/europe-west1/services/reelpress-worker-dev"
BOUNDS_MS = [scale * 10**power for power in range(1, 6) for scale in (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9)]
_FIELDS = {"name", "etag", "traffic"}
_TARGET = {"type", "revision", "percent", "tag"}


@dataclass
class Revision:
    """What a revision does: the share of requests that fail, and the mean of the times of all, in seconds."""

    error_rate: float = 0.0
    mean_s: float = 1.0
    ready: bool = True


@dataclass
class Fault:
    """``when`` is the beginning of a request, as PATCH. ``status`` is answered, 0 hangs up; ``after`` does it first."""

    when: str
    status: int
    after: bool = False
    times: int = 1


class Google:
    """A service, and what is seen of it; a context manager. ``url`` is the address of both APIs."""

    def __init__(self, revisions: dict[str, Revision], traffic: list[dict[str, Any]], *, per_s: float = 1.0) -> None:
        self.revisions, self.traffic, self.per_s = revisions, traffic, per_s
        self.latest = list(revisions)[-1]
        self.etag, self.patches, self.faults = 1, list[dict[str, Any]](), list[Fault]()
        self.operations: dict[str, int] = {}
        self.history: list[tuple[float, dict[str, int]]] = []
        self.clock = time.time
        self.refused: list[str] = []
        self._random = random.Random(6)
        self._lock = threading.Lock()
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Self:
        self._note()
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def shares(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for target in self.traffic:
            name = target.get("revision") or self.latest
            found[name] = found.get(name, 0) + target.get("percent", 0)
        return {name: percent for name, percent in found.items() if percent}

    def tags(self) -> dict[str, str]:
        return {target["tag"]: target["revision"] for target in self.traffic if target.get("tag")}

    # --- the Admin API ---

    def get(self, path: str, query: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        with self._lock:
            if path == f"/v2/{NAME}":
                return 200, self.service()
            if path.startswith(f"/v2/{NAME}/revisions/"):
                return self._revision(path.rpartition("/")[2])
            if path.startswith("/v2/projects/my-project/locations/europe-west1/operations/"):
                return 200, self._operation(path.removeprefix("/v2/"))
            if path == "/v3/projects/my-project/timeSeries":
                return self._time_series(query)
        return 404, _error("no such thing")

    def service(self) -> dict[str, Any]:
        return {
            "name": NAME, "etag": f'"{self.etag}"', "traffic": self.traffic,
            "latestReadyRevision": f"{NAME}/revisions/{self.latest}",
            "latestCreatedRevision": f"{NAME}/revisions/{self.latest}",
        }  # fmt: skip

    def patch(self, path: str, query: dict[str, list[str]], body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        with self._lock:
            wrong = self._wrong(path, query, body)
            if wrong:
                self.refused.append(wrong)
                return (409 if "etag" in wrong else 400), _error(wrong)
            self.traffic, self.etag = body["traffic"], self.etag + 1
            self.patches.append(body)
            self._note()
            name = f"projects/my-project/locations/europe-west1/operations/{self.etag}"
            self.operations[name] = 1
            return 200, self._operation(name)

    def _wrong(self, path: str, query: dict[str, list[str]], body: dict[str, Any]) -> str:
        targets = body.get("traffic", [])
        tags = [target["tag"] for target in targets if "tag" in target]
        checks = {
            "path": path == f"/v2/{NAME}" and query.get("updateMask") == ["traffic"],
            "unknown field": set(body) <= _FIELDS and all(set(target) <= _TARGET for target in targets),
            "etag": body.get("etag") == f'"{self.etag}"',
            "sum of percents": sum(target.get("percent", 0) for target in targets) == 100,
            "a tag twice": len(set(tags)) == len(tags),
            "revision": all(target.get("revision") in self.revisions for target in targets),
            "type": all(target.get("type") == "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION" for target in targets),
        }
        return next((what for what, is_right in checks.items() if not is_right), "")

    def _revision(self, name: str) -> tuple[int, dict[str, Any]]:
        if name not in self.revisions:
            return 404, _error("no such revision")
        state = "CONDITION_SUCCEEDED" if self.revisions[name].ready else "CONDITION_FAILED"
        return 200, {"name": f"{NAME}/revisions/{name}", "conditions": [{"type": "Ready", "state": state}]}

    def _operation(self, name: str) -> dict[str, Any]:
        left = self.operations[name]
        self.operations[name] = left - 1
        return {"name": name, "done": left <= 0, **({"response": self.service()} if left <= 0 else {})}

    # --- the Monitoring API ---

    def _note(self) -> None:
        self.history.append((self.clock(), self.shares()))

    def _time_series(self, query: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        asked = query["filter"][0]
        if 'resource.labels.service_name="reelpress-worker-dev"' not in asked:
            return 200, {}
        since, until = (_epoch(query[f"interval.{end}Time"][0]) for end in ("start", "end"))
        series = []
        for name, revision in self.revisions.items():
            requests = round(self._seconds(name, since, until) * self.per_s)
            if not requests:
                continue
            errors = sum(self._random.random() < revision.error_rate for _ in range(requests))
            if "request_count" in asked:
                series += [_counted(name, "5xx", errors), _counted(name, "2xx", requests - errors)]
            else:
                times = [1000 * self._random.expovariate(1 / revision.mean_s) for _ in range(requests)]
                series.append(_distributed(name, times))
        # pages of two series: whoever asks has to follow
        first = int(query.get("pageToken", ["0"])[0])
        more = {"nextPageToken": str(first + 2)} if first + 2 < len(series) else {}
        return 200, {"timeSeries": series[first : first + 2], **more}

    def _seconds(self, revision: str, since: float, until: float) -> float:
        """Return the seconds that a revision had traffic, each counted by its share."""
        ends = [at for at, _ in self.history[1:]] + [until]
        return sum(
            shares.get(revision, 0) / 100 * max(min(end, until) - max(at, since), 0.0)
            for (at, shares), end in zip(self.history, ends, strict=True)
        )


def _counted(revision: str, answers: str, number: int) -> dict[str, Any]:
    return {
        "metric": {"type": "run.googleapis.com/request_count", "labels": {"response_code_class": answers}},
        "resource": {"type": "cloud_run_revision", "labels": {"revision_name": revision}},
        "points": [{"value": {"int64Value": str(number)}}],
    }  # fmt: skip


def _distributed(revision: str, times_ms: list[float]) -> dict[str, Any]:
    counts = [0] * (len(BOUNDS_MS) + 1)
    for time_ms in times_ms:
        counts[sum(bound <= time_ms for bound in BOUNDS_MS)] += 1
    value = {
        "count": str(len(times_ms)), "bucketOptions": {"explicitBuckets": {"bounds": BOUNDS_MS}},
        "bucketCounts": [str(count) for count in counts],
    }  # fmt: skip
    return {
        "metric": {"type": "run.googleapis.com/request_latencies"},
        "resource": {"type": "cloud_run_revision", "labels": {"revision_name": revision}},
        "points": [{"value": {"distributionValue": value}}],
    }


def _epoch(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


def _error(what: str) -> dict[str, Any]:
    return {"error": {"message": what}}


def _handler(google: Google) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet: the second would wait for the acknowledgement of the first

        def do_GET(self) -> None:
            self._do(lambda url: google.get(url.path, urllib.parse.parse_qs(url.query)))

        def do_PATCH(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            self._do(lambda url: google.patch(url.path, urllib.parse.parse_qs(url.query), body))

        def _do(self, act: Any) -> None:
            url = urllib.parse.urlsplit(self.path)
            line = f"{self.command} {url.path}"
            fault = next((f for f in google.faults if f.times > 0 and line.startswith(f.when)), None)
            answer = None
            if fault is None or fault.after:
                answer = act(url)
            if fault is not None:
                fault.times -= 1
                if fault.status == 0:
                    self.close_connection = True
                    self.connection.close()
                    return
                answer = (fault.status, _error("played"))
            assert answer is not None
            status, value = answer
            content = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None: ...

    return Handler
