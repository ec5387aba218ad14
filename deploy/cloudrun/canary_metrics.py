"""What Cloud Monitoring saw of each revision: requests by their answer, and how long they took."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from cloudrun.google_api import GoogleApi
from cloudrun.judgement import Latencies, Sample

MONITORING_URL = "https://monitoring.googleapis.com"
_COUNT, _LATENCY = "run.googleapis.com/request_count", "run.googleapis.com/request_latencies"


class RevisionMetrics:
    """The figures of one service's revisions."""

    def __init__(self, api: GoogleApi, project: str, service: str) -> None:
        self._api, self._project, self._service = api, project, service

    def samples(self, since: float, until: float) -> dict[str, Sample]:
        """Return what each revision did between two times of the epoch. Raises :class:`reelpress.errors.NetError`.

        Cloud Run writes every 60 s, and what it writes may be seen three minutes later: the newest is never in it.
        """
        requests: dict[str, int] = {}
        errors: dict[str, int] = {}
        for series in self._series(_COUNT, since, until, "metric.labels.response_code_class"):
            revision = _revision(series)
            number = sum(int(point["value"].get("int64Value", 0)) for point in series.get("points", []))
            requests[revision] = requests.get(revision, 0) + number
            if series.get("metric", {}).get("labels", {}).get("response_code_class") == "5xx":
                errors[revision] = errors.get(revision, 0) + number
        latencies = {
            _revision(series): _histogram([p["value"].get("distributionValue", {}) for p in series.get("points", [])])
            for series in self._series(_LATENCY, since, until)
        }
        return {
            name: Sample(
                requests=number, errors=errors.get(name, 0), latencies=latencies.get(name, Latencies()),
            )
            for name, number in requests.items()
        }  # fmt: skip

    def _series(self, metric: str, since: float, until: float, *labels: str) -> list[dict[str, Any]]:
        of_service = f'resource.type="cloud_run_revision" AND resource.labels.service_name="{self._service}"'
        query = [
            ("filter", f'metric.type="{metric}" AND {of_service}'),
            ("interval.startTime", _iso(since)), ("interval.endTime", _iso(until)),
            ("aggregation.alignmentPeriod", "60s"), ("aggregation.perSeriesAligner", "ALIGN_DELTA"),
            ("aggregation.crossSeriesReducer", "REDUCE_SUM"),
            *(("aggregation.groupByFields", field) for field in ("resource.labels.revision_name", *labels)),
        ]  # fmt: skip
        found: list[dict[str, Any]] = []
        page = ""
        while True:
            more = [("pageToken", page)] if page else []
            answer = self._api.get(f"/v3/projects/{self._project}/timeSeries", [*query, *more])
            found += answer.get("timeSeries", [])
            page = answer.get("nextPageToken", "")
            if not page:
                return found


def _revision(series: dict[str, Any]) -> str:
    return str(series.get("resource", {}).get("labels", {}).get("revision_name", ""))


def _histogram(values: Sequence[dict[str, Any]]) -> Latencies:
    """Return the sum of distributions of one metric, whose buckets are the same, in seconds (Cloud Run has ms)."""
    filled = [value for value in values if value.get("bucketCounts")]
    if not filled:
        return Latencies()
    bounds = _bounds(filled[0]["bucketOptions"])
    columns = itertools.zip_longest(*([int(n) for n in value["bucketCounts"]] for value in filled), fillvalue=0)
    counts = tuple(sum(column) for column in columns)
    return Latencies(bounds_s=tuple(bound / 1000 for bound in bounds), counts=counts[: len(bounds) + 1])


def _bounds(options: dict[str, Any]) -> tuple[float, ...]:
    """Return the bounds of a distribution's buckets, as the Monitoring API defines its three kinds."""
    if "explicitBuckets" in options:
        return tuple(float(bound) for bound in options["explicitBuckets"]["bounds"])
    if "linearBuckets" in options:
        linear = options["linearBuckets"]
        width, offset = float(linear["width"]), float(linear.get("offset", 0))
        return tuple(offset + width * number for number in range(int(linear["numFiniteBuckets"]) + 1))
    growing = options["exponentialBuckets"]
    scale, factor = float(growing["scale"]), float(growing["growthFactor"])
    return tuple(scale * factor**number for number in range(int(growing["numFiniteBuckets"]) + 1))


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
