"""An OpenTelemetry collector of one process: takes OTLP over HTTP and remembers figures and spans."""

from __future__ import annotations

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

Labels = frozenset[tuple[str, str]]


def labels(**given: str) -> Labels:
    return frozenset(given.items())


class Receiver:
    """Listens on a free port of this machine for as long as the context lasts."""

    def __init__(self) -> None:
        self.figures: dict[str, dict[Labels, float]] = {}  # the last value; of a histogram its count
        self.exemplars: list[bytes] = []  # the traces they name
        self.resource: dict[str, str] = {}
        self.spans: list[object] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                assert self.headers["content-type"] == "application/x-protobuf"
                if self.path == "/v1/metrics":
                    receiver._take_figures(ExportMetricsServiceRequest.FromString(body))
                elif self.path == "/v1/traces":
                    receiver._take_spans(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def value(self, name: str, **wanted: str) -> float | None:
        return self.figures.get(name, {}).get(labels(**wanted))

    def _take_figures(self, request: ExportMetricsServiceRequest) -> None:
        for of_resource in request.resource_metrics:
            self.resource = {pair.key: pair.value.string_value for pair in of_resource.resource.attributes}
            for metric in (metric for scope in of_resource.scope_metrics for metric in scope.metrics):
                data = getattr(metric, metric.WhichOneof("data"))
                for point in data.data_points:
                    at = frozenset((pair.key, pair.value.string_value) for pair in point.attributes)
                    is_whole = hasattr(point, "count")
                    value = point.count if is_whole else point.as_double or float(point.as_int)
                    self.figures.setdefault(metric.name, {})[at] = value
                    self.exemplars += [exemplar.trace_id for exemplar in point.exemplars]

    def _take_spans(self, request: ExportTraceServiceRequest) -> None:
        for of_resource in request.resource_spans:
            for scope in of_resource.scope_spans:
                self.spans += scope.spans
