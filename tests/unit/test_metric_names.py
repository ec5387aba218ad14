"""The table of metrics: names are a contract, labels are bounded, and what is told is exactly what the table says."""

from __future__ import annotations

import random
import re
import threading

import msgspec
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from prometheus_client.parser import text_string_to_metric_families

from reelpress.errors import UsageError
from reelpress.events import AttemptFailed, AttemptStarted
from reelpress.facts.failure import FailureKind
from reelpress.jobs import model
from reelpress.observe import entry, names
from reelpress.observe.instruments import Instruments, labels_of
from reelpress.observe.names import BY_NAME, METRICS, OTHER, Label
from reelpress.observe.telemetry import Exports, Telemetry, exports_of, open_telemetry
from reelpress.observe.tracing import AttemptSpans, asked_with, traceparent_in, traceparent_now
from reelpress.receipt import Stage

from receipts import receipt

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OURS = re.compile("reelpress_")


@pytest.fixture
def telemetry():
    opened = open_telemetry(Exports(prometheus=True))
    yield opened
    opened.close()


def value_of(label: Label) -> str:
    return label.values[0] if label.values else "x"


def tell_everything(instruments: Instruments) -> None:
    for metric in METRICS:
        labels = {label.name: value_of(label) for label in metric.labels}
        if metric.kind == "counter":
            instruments.add(metric.name, 1, **labels)
        elif metric.kind == "histogram":
            instruments.record(metric.name, 1, **labels)
        else:
            instruments.watch(metric.name, lambda labels=labels: [(1, labels)])


def families(telemetry: Telemetry) -> dict[str, tuple[str, set[str]]]:
    """The metrics in the text by their names as they are written, each with its kind and labels."""
    found = {}
    for family in text_string_to_metric_families(telemetry.text().decode()):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[name] = family.type, {label for sample in family.samples for label in sample.labels} - {"le"}
    return found


def test_the_text_has_every_metric_of_the_table_and_no_other(telemetry):
    tell_everything(telemetry.instruments)
    ours = {name: what for name, what in families(telemetry).items() if OURS.match(name)}
    assert ours == {metric.name: (metric.kind, {label.name for label in metric.labels}) for metric in METRICS}
    assert {name for name in families(telemetry) if not OURS.match(name)} >= {"process_resident_memory_bytes"}


def test_names_are_as_prometheus_wants_them_and_units_change_none():
    for metric in METRICS:
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert metric.unit not in ("s", "By") or {"s": "_seconds", "By": "_bytes"}[metric.unit] in metric.name
        # what translates OTLP for Prometheus adds this ending to gauges of this unit
        assert metric.kind != "gauge" or metric.unit != "1" or metric.name.endswith("_ratio"), metric.name
        assert bool(metric.buckets) == (metric.kind == "histogram")
        assert list(metric.buckets) == sorted(set(metric.buckets))
    assert len(BY_NAME) == len(METRICS)


def test_labels_take_the_values_that_jobs_have():
    assert names.JOB_KINDS == model.KINDS
    assert set(names.JOB_ENDS) == set(model.FINISHED)
    assert set(names.JOB_STATUSES) == {*model.UNFINISHED, *model.FINISHED}
    starts = (
        model.COMPRESS_STARTS, model.TRANSCRIBED_STARTS, model.VIDEO_STARTS, model.ANALYSIS_STARTS, model.CLIP_STARTS
    )  # fmt: skip
    assert set(names.JOB_STAGES) == {stage for each in starts for stage in each} - {"queued"}
    assert names.SIZE_CLASS.values == tuple(name for name, _ in entry.SIZE_CLASSES)
    reasons = set(next(label.values for label in BY_NAME["reelpress_gpu_missed_total"].labels))
    assert {entry.BUDGET_SPENT, entry.NO_SLOT, entry.BREAKER_OPEN, entry.NO_ENCODER} <= reasons
    parts = BY_NAME["reelpress_cost_usd_total"].labels[1].values
    assert set(parts) == set(entry.CostParts.__struct_fields__)


def test_every_label_says_what_bounds_it():
    for metric in METRICS:
        for label in metric.labels:
            assert label.about, (metric.name, label.name)
            assert label.values or label.name in ("route", "version") or metric.name.startswith("reelpress_http")


def test_what_strangers_send_makes_no_series(telemetry):
    """Methods, encoders and classes of failure that nobody foresaw are one series together."""
    count = telemetry.instruments.add
    count("reelpress_http_requests_total", method="GET", route="/health", status="200")
    count("reelpress_http_requests_total", method="X1", route="/health", status="200")
    before = telemetry.text().count(b"\nreelpress_http_requests_total{")
    for _ in range(100):
        method = f"X{random.getrandbits(60)}"
        count("reelpress_http_requests_total", method=method, route="/health", status="200")
    assert telemetry.text().count(b"\nreelpress_http_requests_total{") == before == 2
    assert b'method="other",route="/health",status="200"} 101.0' in telemetry.text()


def test_other_names_and_labels_are_refused():
    instruments = Telemetry().instruments
    with pytest.raises(KeyError):
        instruments.add("reelpress_jobs_done_total")
    with pytest.raises(ValueError, match="labels"):
        instruments.add("reelpress_attempts_total", encoder="libx264", job="job_1")
    assert labels_of(BY_NAME["reelpress_vmaf"], {"encoder": "x"}) == {"encoder": OTHER}


def test_a_gauge_that_cannot_be_told_hides_no_other(telemetry, caplog):
    telemetry.instruments.watch("reelpress_webhooks_pending", lambda: 1 // 0)
    telemetry.instruments.watch("reelpress_event_watchers", lambda: [(7, {})])
    assert b"reelpress_event_watchers 7.0" in telemetry.text()
    assert "reelpress_webhooks_pending cannot be told: ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    ("metrics", "traces", "environ", "expected"),
    [
        (("auto",), "auto", {}, Exports(prometheus=True)),
        (("auto",), "auto", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"},
         Exports(prometheus=True, otlp_metrics=True, otlp_traces=True)),
        (("auto",), "auto", {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c"},
         Exports(prometheus=True, otlp_traces=True)),
        (("gcp",), "none", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, Exports(cloud_monitoring=True)),
        ((), "none", {}, Exports()),
    ],
)  # fmt: skip
def test_settings_and_opentelemetrys_own_variables_say_where_to(metrics, traces, environ, expected):
    assert exports_of(metrics, traces, environ) == expected


@pytest.mark.parametrize(("metrics", "traces"), [(("otlp",), "auto"), (("auto",), "otlp")])
def test_otlp_without_an_address_is_refused(metrics, traces):
    with pytest.raises(UsageError, match="nothing says where"):
        exports_of(metrics, traces, {})


@pytest.mark.parametrize("header", [
    None, "", "x", TRACEPARENT[:-1], TRACEPARENT.upper(), TRACEPARENT + "-00", "ff" + TRACEPARENT[2:],
    TRACEPARENT.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32), TRACEPARENT + "\n",
])  # fmt: skip
def test_a_traceparent_that_makes_no_sense_is_none(header):
    assert traceparent_in(header) is None
    assert traceparent_in(TRACEPARENT) == TRACEPARENT


def test_attempts_are_spans_inside_their_stage():
    exporter = InMemorySpanExporter()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    telemetry = Telemetry(tracers=tracers)
    start = AttemptStarted(job="j", input="i", number=1, of=2, encoder="h264_nvenc", why="x", argv=(), gpu="GPU-1")
    cpu = msgspec.structs.replace(start, number=2, encoder="libx264", gpu=None)
    lost = AttemptFailed(
        job="j", input="i", number=1, encoder="h264_nvenc", failure=FailureKind.DEVICE_LOST, evidence="secret",
        next_encoder="libx264",
    )  # fmt: skip
    stages = (Stage(name="encode", wall_s=2.5, cpu_s=1.0, usd=0.0),)
    with telemetry.span("compress", job="job_1"):
        spans = AttemptSpans(telemetry.tracer)
        events = (start, lost, cpu, receipt(stages=stages))
        thread = threading.Thread(target=lambda: [spans.note(event) for event in events])
        thread.start()  # wherever events come from
        thread.join()
    made = {span.name: span for span in exporter.get_finished_spans()}
    assert made.keys() == {"compress", "attempt h264_nvenc", "attempt libx264"}
    failed, passed, around = made["attempt h264_nvenc"], made["attempt libx264"], made["compress"]
    assert {failed.parent.span_id, passed.parent.span_id} == {around.context.span_id}
    assert (failed.status.status_code, failed.status.description) == (StatusCode.ERROR, "device_lost")
    assert passed.status.status_code == StatusCode.UNSET
    assert around.attributes == {"reelpress.job": "job_1", "reelpress.encode_s": 2.5}


def test_a_span_tells_no_texts_of_errors():
    exporter = InMemorySpanExporter()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    with pytest.raises(ValueError), Telemetry(tracers=tracers).span("fetch"):
        raise ValueError("/home/ann/secret.mov")
    (span,) = exporter.get_finished_spans()
    assert (span.status.description, span.events) == ("ValueError", ())


def test_a_request_s_trace_is_known_while_it_is_answered_and_no_longer():
    with asked_with(TRACEPARENT):
        assert traceparent_now() == TRACEPARENT
    assert traceparent_now() is None
