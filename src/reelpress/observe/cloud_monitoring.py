"""Two figures under the names of Cloud Monitoring: how long compressing took, and what it cost, by encoder.

Google's own exporter for OpenTelemetry is deprecated for OTLP, which cannot write these names; so they are written with
the client of the Monitoring API. All other figures go by OTLP or Managed Prometheus (docs/metrics.md).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence

import google.auth
from google.api.distribution_pb2 import Distribution
from google.api.label_pb2 import LabelDescriptor
from google.api.metric_pb2 import Metric as MetricName
from google.api.metric_pb2 import MetricDescriptor
from google.api.monitored_resource_pb2 import MonitoredResource
from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
from google.cloud.monitoring_v3 import MetricServiceClient, Point, TimeInterval, TimeSeries, TypedValue
from opentelemetry.sdk.metrics.export import (
    HistogramDataPoint,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
)
from opentelemetry.sdk.resources import Resource

from reelpress.errors import UsageError
from reelpress.facts.values import Value

_LOG = logging.getLogger("reelpress.observe")
_PREFIX = "custom.googleapis.com"
# The API refuses points of a series that come faster: cloud.google.com/monitoring/quotas, read 2026-11.
_LEAST_INTERVAL_S = 5.0
_CALL_S = 10.0


class CloudMetric(Value, frozen=True, kw_only=True):
    """A metric of Cloud Monitoring, and the instrument and labels that it is the sum of, by encoder."""

    path: str
    unit: str
    description: str
    instrument: str
    only: Mapping[str, tuple[str, ...]]


CLOUD_METRICS = (
    CloudMetric(
        path="video/compression_duration", unit="s", description="Wall time of compressing, by encoder.",
        instrument="reelpress_stage_seconds", only={"stage": ("compress", "render")},
    ),
    CloudMetric(
        path="video/compression_cost", unit="{USD}", description="Estimated cost in USD, by encoder.",
        instrument="reelpress_cost_usd", only={},
    ),
)  # fmt: skip


class CloudMonitoring(MetricExporter):
    """Writes to one project. Each process is a task of its own, by ``service.instance.id``: no two write one series."""

    def __init__(self, client: MetricServiceClient, project: str) -> None:
        super().__init__()
        self._client, self._project = client, project
        self._described = False
        self._written_at = float("-inf")
        self._stop = threading.Event()

    @classmethod
    def here(cls) -> CloudMonitoring:
        """Return an exporter for this machine's project and credentials. Raises :class:`UsageError` without them."""
        try:
            credentials, project = google.auth.default()
        except DefaultCredentialsError as error:
            raise UsageError(
                "REELPRESS_METRICS names gcp, and there are no credentials for Google Cloud.",
                evidence=str(error).splitlines()[0],
                hint="Run with a service account, or set GOOGLE_APPLICATION_CREDENTIALS.",
            ) from None  # fmt: skip
        if not project:
            raise UsageError("It is not known which project metrics are for.", hint="Set GOOGLE_CLOUD_PROJECT.")
        return cls(MetricServiceClient(credentials=credentials), project)

    def export(self, metrics_data: MetricsData, *_: object, **_more: object) -> MetricExportResult:
        """Write the two metrics as they stand now, no sooner than five seconds after the last time."""
        series = list(series_of(metrics_data, self._project))
        if not series:
            return MetricExportResult.SUCCESS
        self._stop.wait(max(0.0, self._written_at + _LEAST_INTERVAL_S - time.monotonic()))
        try:
            self._describe()
            self._client.create_time_series(name=f"projects/{self._project}", time_series=series, timeout=_CALL_S)
        except (GoogleAPICallError, RetryError, GoogleAuthError) as error:
            _LOG.warning("Cloud Monitoring took no figures: %s: %s", type(error).__name__, error)
            return MetricExportResult.FAILURE
        self._written_at = time.monotonic()
        return MetricExportResult.SUCCESS

    def force_flush(self, *_: object, **_more: object) -> bool:
        """Return at once: nothing is kept back."""
        return True

    def shutdown(self, *_: object, **_more: object) -> None:
        """End."""
        self._stop.set()

    def _describe(self) -> None:
        """Say what the metrics are, once; without the right to, the API makes them up from what is written."""
        if self._described:
            return
        for metric in CLOUD_METRICS:
            descriptor = MetricDescriptor(
                type=f"{_PREFIX}/{metric.path}", display_name=metric.path, unit=metric.unit,
                description=metric.description, metric_kind=MetricDescriptor.CUMULATIVE,
                value_type=MetricDescriptor.DISTRIBUTION if metric.unit == "s" else MetricDescriptor.DOUBLE,
                labels=[LabelDescriptor(key="encoder", description="What encoded.")],
            )  # fmt: skip
            try:
                self._client.create_metric_descriptor(
                    name=f"projects/{self._project}", metric_descriptor=descriptor, timeout=_CALL_S
                )
            except GoogleAPICallError as error:
                _LOG.warning("%s could not be described: %s", metric.path, error)
        self._described = True


def series_of(data: MetricsData, project: str) -> Iterator[TimeSeries]:
    """Return what is to be written: one series for each metric and encoder, with one point that has a length."""
    for of_resource in data.resource_metrics:
        resource = _resource_of(of_resource.resource, project)
        for found in (metric for scope in of_resource.scope_metrics for metric in scope.metrics):
            for wanted in (metric for metric in CLOUD_METRICS if metric.instrument == found.name):
                groups: dict[str, list[HistogramDataPoint | NumberDataPoint]] = {}
                for point in found.data.data_points:
                    labels = point.attributes or {}
                    if all(labels.get(name) in values for name, values in wanted.only.items()):
                        assert isinstance(point, HistogramDataPoint | NumberDataPoint)  # noqa: S101 - all we make
                        groups.setdefault(str(labels["encoder"]), []).append(point)
                for encoder, points in groups.items():
                    start, end = min(p.start_time_unix_nano or 0 for p in points), max(p.time_unix_nano for p in points)
                    if start < end:  # the API refuses an interval without a length
                        interval = TimeInterval(start_time=_timestamp(start), end_time=_timestamp(end))
                        yield TimeSeries(
                            metric=MetricName(type=f"{_PREFIX}/{wanted.path}", labels={"encoder": encoder}),
                            resource=resource, metric_kind=MetricDescriptor.CUMULATIVE, unit=wanted.unit,
                            points=[Point(interval=interval, value=_sum(points))],
                        )  # fmt: skip


def _sum(points: Sequence[HistogramDataPoint | NumberDataPoint]) -> TypedValue:
    histograms = [point for point in points if isinstance(point, HistogramDataPoint)]
    if not histograms:
        return TypedValue(double_value=float(sum(p.value for p in points if isinstance(p, NumberDataPoint))))
    count = sum(point.count for point in histograms)
    bounds = Distribution.BucketOptions.Explicit(bounds=histograms[0].explicit_bounds)
    distribution = Distribution(
        count=count, mean=sum(point.sum for point in histograms) / count if count else 0.0,
        bucket_options=Distribution.BucketOptions(explicit_buckets=bounds),
        bucket_counts=[sum(counts) for counts in zip(*(point.bucket_counts for point in histograms), strict=True)],
    )  # fmt: skip
    return TypedValue(distribution_value=distribution)


def _resource_of(resource: Resource, project: str) -> MonitoredResource:
    said = resource.attributes
    labels = {
        "project_id": project, "location": str(said.get("cloud.region", "global")),
        "namespace": str(said.get("service.namespace", "")), "job": str(said["service.name"]),
        "task_id": str(said["service.instance.id"]),
    }  # fmt: skip
    return MonitoredResource(type="generic_task", labels=labels)


def _timestamp(nanos: int) -> dict[str, int]:
    return {"seconds": nanos // 10**9, "nanos": nanos % 10**9}
