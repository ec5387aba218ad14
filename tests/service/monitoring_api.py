"""The part of Cloud Monitoring's API that takes figures, over gRPC on this machine, refusing what the real one refuses.

What it refuses is from its reference (projects.timeSeries.create, TimeInterval): an interval that does not end after
it began, points of one series that come too fast or go back, a kind or type other than the descriptor's.
"""

from __future__ import annotations

import time
from concurrent import futures
from typing import Self

import grpc
from google.cloud.monitoring_v3 import CreateMetricDescriptorRequest, CreateTimeSeriesRequest, TimeSeries
from google.protobuf.empty_pb2 import Empty

_SERVICE = "google.monitoring.v3.MetricService"


class MonitoringApi:
    """Keeps the last point of every series, by metric, labels and task."""

    def __init__(self, *, least_interval_s: float) -> None:
        self.descriptors: dict[str, object] = {}
        self.series: dict[tuple[str, str, str], TimeSeries] = {}
        self.refused: list[str] = []
        self._least_interval_s = least_interval_s
        self._written_at: dict[tuple[str, str, str], float] = {}
        self._server = grpc.server(futures.ThreadPoolExecutor(2))
        method = grpc.unary_unary_rpc_method_handler
        self._server.add_generic_rpc_handlers((
            grpc.method_handlers_generic_handler(_SERVICE, {
                "CreateMetricDescriptor": method(
                    self._describe, CreateMetricDescriptorRequest.deserialize, lambda made: made.SerializeToString()
                ),
                "CreateTimeSeries": method(
                    self._create, CreateTimeSeriesRequest.deserialize, lambda made: made.SerializeToString()
                ),
            }),
        ))  # fmt: skip
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(0).wait()

    def _describe(self, request: CreateMetricDescriptorRequest, _context: grpc.ServicerContext) -> object:
        self.descriptors[request.metric_descriptor.type] = request.metric_descriptor
        return request.metric_descriptor

    def _create(self, request: CreateTimeSeriesRequest, context: grpc.ServicerContext) -> Empty:
        for series in request.time_series:
            if (why := self._fault(series)) is not None:
                self.refused.append(why)
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, why)
        for series in request.time_series:
            self.series[self._key(series)] = series
            self._written_at[self._key(series)] = time.monotonic()
        return Empty()

    def _fault(self, series: TimeSeries) -> str | None:
        key, (point,) = self._key(series), series.points
        descriptor = self.descriptors.get(series.metric.type)
        began, ended = point.interval.start_time, point.interval.end_time
        if descriptor is not None and descriptor.metric_kind != series.metric_kind:
            return "the kind is not the descriptor's"
        if not began < ended:
            return "the interval has no length"
        if key in self.series and ended <= self.series[key].points[0].interval.end_time:
            return "points must be in order"
        if time.monotonic() - self._written_at.get(key, float("-inf")) < self._least_interval_s:
            return "points were written more frequently than the maximum sampling period"
        return None

    @staticmethod
    def _key(series: TimeSeries) -> tuple[str, str, str]:
        return series.metric.type, series.metric.labels["encoder"], series.resource.labels["task_id"]
