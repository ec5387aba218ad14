"""The text that Prometheus scrapes: at ``/metrics`` of the service, and, if asked for, at a port of its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from wsgiref.simple_server import WSGIServer

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from reelpress.errors import UsageError

# OpenTelemetry's own variables for this. A sidecar that scrapes has no API key, so the port is for this machine alone
# unless an address is named.
_PORT, _HOST, _THIS_MACHINE = "OTEL_EXPORTER_PROMETHEUS_PORT", "OTEL_EXPORTER_PROMETHEUS_HOST", "127.0.0.1"


class _OneAtATime(CollectorRegistry):
    """A registry for several who scrape at once: the reader in it hands each collection to whoever comes first."""

    def __init__(self) -> None:
        super().__init__()
        self._scrape = threading.Lock()

    def collect(self) -> Iterator[Metric]:
        """Yield everything, while all others wait."""
        with self._scrape:
            found = list(super().collect())
        yield from found


class _Reader(PrometheusMetricReader):
    """Fills in our figures, and has the port closed with itself."""

    server: WSGIServer | None = None

    def shutdown(self, timeout_millis: float = 30_000, **more: object) -> None:
        """End."""
        super().shutdown(timeout_millis, **more)
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()


def open_registry() -> tuple[CollectorRegistry, PrometheusMetricReader]:
    """Return a registry with figures of this process, and the reader that fills in ours.

    Where a variable names a port, it is served there, too. Raises :class:`UsageError` for a
    port that cannot be.
    """
    registry = _OneAtATime()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    reader = _Reader(disable_target_info=True, scope_info_enabled=False, registry=registry)
    if (port := os.environ.get(_PORT)) is not None:
        try:
            reader.server, _ = start_http_server(int(port), os.environ.get(_HOST, _THIS_MACHINE), registry)
        except (OSError, ValueError, OverflowError) as error:
            raise UsageError(f"{_PORT} is no port to be had.", evidence=f"{port}: {error}") from None
    return registry, reader
