"""What one process measures, and where that goes: ``/metrics``, OTLP, Cloud Monitoring; and its traces.

What is counted once goes everywhere. Of the OpenTelemetry SDK nothing is imported before :func:`open_telemetry`, of an
exporter nothing unless it is asked for.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry.metrics import Meter, NoOpMeter
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, Tracer

from reelpress.errors import UsageError
from reelpress.facts.values import Value
from reelpress.observe.instruments import Instruments
from reelpress.observe.tracing import W3C, fail
from reelpress.version import VERSION

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from prometheus_client import CollectorRegistry

_LOG = logging.getLogger("reelpress.observe")
# What the last figures may take to be sent. Cloud Run kills 10 s after it asked to end, and Cloud Monitoring takes
# nothing within 5 s of the last time.
_CLOSING_S, _CLOSING_CLOUD_S = 3.0, 6.0
_ENDPOINTS = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
)


class Exports(Value, frozen=True, kw_only=True):
    """Where figures and traces go."""

    prometheus: bool = False
    otlp_metrics: bool = False
    cloud_monitoring: bool = False
    otlp_traces: bool = False


def exports_of(metrics: tuple[str, ...], traces: str, environ: Mapping[str, str]) -> Exports:
    """Return what settings mean: ``auto`` is ``/metrics``, and OTLP where OpenTelemetry's own variables say where to.

    Raises :class:`UsageError` for OTLP without such a variable: by itself it goes to this machine, silently.
    """
    everything, figures, spans = (bool(environ.get(name)) for name in _ENDPOINTS)
    wanted = Exports(
        prometheus=bool({"auto", "prometheus"} & set(metrics)),
        otlp_metrics="otlp" in metrics or ("auto" in metrics and (everything or figures)),
        cloud_monitoring="gcp" in metrics,
        otlp_traces=traces == "otlp" or (traces == "auto" and (everything or spans)),
    )
    if (wanted.otlp_metrics and not (everything or figures)) or (wanted.otlp_traces and not (everything or spans)):
        raise UsageError("OTLP is to be sent, and nothing says where to.", hint=f"Set {_ENDPOINTS[0]}.")
    return wanted


class Telemetry:
    """Instruments and spans of one process. Made without providers it does nothing, at no cost."""

    def __init__(
        self,
        meters: MeterProvider | None = None,
        tracers: TracerProvider | None = None,
        registry: CollectorRegistry | None = None,
        *,
        closing_s: float = _CLOSING_S,
    ) -> None:
        self._closing_s = closing_s
        self._meters, self._tracers, self._registry = meters, tracers, registry
        meter: Meter = meters.get_meter("reelpress", VERSION) if meters is not None else NoOpMeter("reelpress")
        self.tracer: Tracer | None = tracers.get_tracer("reelpress", VERSION) if tracers is not None else None
        self.instruments = Instruments(meter)

    @property
    def has_text(self) -> bool:
        """Whether ``/metrics`` has something to say."""
        return self._registry is not None

    def text(self) -> bytes:
        """Return all figures in Prometheus's text format; nothing without :attr:`has_text`."""
        if self._registry is None:
            return b""
        from prometheus_client import generate_latest

        return generate_latest(self._registry)

    @contextmanager
    def span(
        self,
        name: str,
        *,
        parent: str | None = None,
        role: SpanKind = SpanKind.INTERNAL,
        **attributes: str | float,
    ) -> Iterator[Span]:
        """Trace what the context does. ``parent`` is a ``traceparent`` of elsewhere; else it is the span around this.

        Exceptions are not told by their text, which may name files: who catches them says :func:`fail`.
        """
        if self.tracer is None:
            yield INVALID_SPAN
            return
        named = {f"reelpress.{key}": value for key, value in attributes.items()}
        with self.tracer.start_as_current_span(
            name, None if parent is None else W3C.extract({"traceparent": parent}), role, named,
            record_exception=False, set_status_on_exception=False,
        ) as span:  # fmt: skip
            try:
                yield span
            except BaseException as error:
                fail(span, type(error).__name__)
                raise

    def close(self) -> None:
        """Send what was not sent yet, for some seconds at most; a second time does nothing."""
        meters, tracers, self._meters, self._tracers = self._meters, self._tracers, None, None
        # at the same time: where one receiver is away, the other gets its due
        closing = [
            threading.Thread(target=_shut_down, args=(each, 1000 * self._closing_s), daemon=True)
            for each in (meters, tracers) if each is not None
        ]  # fmt: skip
        for thread in closing:
            thread.start()
        deadline = time.monotonic() + self._closing_s
        for thread in closing:
            thread.join(max(0.0, deadline - time.monotonic()))
        if any(thread.is_alive() for thread in closing):
            _LOG.warning("the last figures and traces could not be sent within %g s", self._closing_s)


def open_telemetry(exports: Exports, *, to: MetricExporter | None = None) -> Telemetry:
    """Begin to measure, and to send as ``exports`` say; ``to`` stands for the exporter to Cloud Monitoring.

    Intervals, addresses, headers and samplers are those of OpenTelemetry's own variables. Raises :class:`UsageError`
    where a package is missing.
    """
    if not any((exports.prometheus, exports.otlp_metrics, exports.cloud_monitoring, exports.otlp_traces)):
        return Telemetry()
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource

    resource = Resource.create({"service.version": VERSION})  # with an instance's id that is new with each process
    if str(resource.attributes["service.name"]).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": "reelpress"}))
    readers: list[MetricReader] = []
    registry = None
    if exports.prometheus:
        from reelpress.observe.prometheus import open_registry

        registry, reader = open_registry()
        readers.append(reader)
    if exports.otlp_metrics:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

        readers.append(PeriodicExportingMetricReader(OTLPMetricExporter()))
    if exports.cloud_monitoring:
        if to is None:
            to = _cloud_monitoring()
        readers.append(PeriodicExportingMetricReader(to))
    meters = MeterProvider(readers, resource, shutdown_on_exit=False) if readers else None
    tracers = _tracers(resource) if exports.otlp_traces else None
    closing_s = _CLOSING_CLOUD_S if exports.cloud_monitoring else _CLOSING_S
    return Telemetry(meters, tracers, registry, closing_s=closing_s)


def _tracers(resource: Resource) -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return tracers


def _cloud_monitoring() -> MetricExporter:
    try:
        from reelpress.observe.cloud_monitoring import CloudMonitoring
    except ModuleNotFoundError as error:
        raise UsageError(
            "REELPRESS_METRICS names gcp, and what that needs is not installed.", evidence=str(error),
            hint="pip install 'reelpress[service,gcp]'",
        ) from None  # fmt: skip
    return CloudMonitoring.here()


def _shut_down(provider: MeterProvider | TracerProvider, patience_ms: float) -> None:
    from opentelemetry.sdk.metrics import MeterProvider

    try:
        if isinstance(provider, MeterProvider):
            provider.shutdown(timeout_millis=patience_ms)
        else:
            provider.shutdown()
    except Exception as error:  # noqa: BLE001 - it raises what its readers did, in one text
        _LOG.warning("the last figures were not sent: %s", error)
