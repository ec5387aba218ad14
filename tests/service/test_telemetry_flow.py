"""A service with a collector: what it counts and traces arrives there, also what happened just before it ended."""

from __future__ import annotations

import json
import subprocess
import sys

import httpx

from reelpress.observe.telemetry import Exports, open_telemetry

import clips
from otlp_receiver import Receiver
from served import Asked, Service

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADER = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


def test_figures_and_traces_of_jobs_reach_a_collector(tmp_path):
    clip = clips.plain(tmp_path / "clip.mp4", seconds=1)
    with Receiver() as collector:
        env = {
            "REELPRESS_DATA_DIR": str(tmp_path / "data"), "REELPRESS_PORT": "0", "REELPRESS_LOCAL_PATHS": str(tmp_path),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "REELPRESS_LOG_FORMAT": "json",
            "OTEL_METRIC_EXPORT_INTERVAL": "3600000",  # nothing but the flush at the end
        }  # fmt: skip
        service = Service(env, tmp_path / "serve.log")
        try:
            ask = Asked(service)
            wanted = {"input": {"path": str(clip)}, "settings": {"always_encode": True}}
            good = ask("POST", "/v1/jobs", json=wanted, headers=HEADER)["id"]
            bad = ask("POST", "/v1/jobs", json={"input": {"path": str(tmp_path / "none.mp4")}}, headers=HEADER)["id"]
            ask.wait(f"/v1/jobs/{good}", "done")
            ask.wait(f"/v1/jobs/{bad}", "failed")
            text = httpx.get(f"{service.url}/metrics").text
            ask.client.close()
        finally:
            code = service.end()
        assert code == 0, service.log.read_text()

    done = {"kind": "compress", "status": "done", "encoder": "libx264"}
    assert 'reelpress_job_results_total{encoder="libx264",kind="compress",status="done"} 1.0' in text
    assert collector.value("reelpress_job_results", **done) == 1
    assert collector.value("reelpress_job_results", **{**done, "status": "failed", "encoder": "none"}) == 1
    assert collector.value("reelpress_jobs", kind="compress", status="done") == 1
    assert collector.value("reelpress_stage_seconds", kind="compress", stage="compress", encoder="libx264") == 1
    assert collector.value("reelpress_disk_free_bytes", folder="data") > 0
    assert collector.resource["service.name"] == "reelpress"
    assert bytes.fromhex(TRACE) in collector.exemplars

    spans = {span.span_id: span for span in collector.spans}
    named = {}
    for span in spans.values():
        assert span.trace_id.hex() == TRACE
        named.setdefault(span.name, []).append(span)
    requests, jobs = named["POST /v1/jobs"], named["job"]
    assert {span.parent_span_id.hex() for span in requests} == {PARENT}
    assert {span.parent_span_id for span in jobs} == {span.span_id for span in requests}
    said = {span.span_id: {pair.key: pair.value for pair in span.attributes} for span in spans.values()}
    by_id = {said[span.span_id]["reelpress.job"].string_value: span for span in jobs}
    assert by_id.keys() == {good, bad}
    stages = [span.name for span in spans.values() if span.parent_span_id == by_id[good].span_id]
    assert sorted(stages) == ["compress", "fetch", "notify", "probe", "store"]
    (compress,) = named["compress"]
    assert said[compress.span_id]["reelpress.encode_s"].double_value > 0
    (attempt,) = named["attempt libx264"]
    assert attempt.parent_span_id == compress.span_id
    assert by_id[good].status.code == 0
    assert (by_id[bad].status.code, by_id[bad].status.message) == (2, "input_unusable")

    lines = [json.loads(line) for line in service.log.read_text().splitlines() if line.startswith("{")]
    assert [line["trace"] for line in lines if line["message"] == "POST /v1/jobs 201"] == [TRACE, TRACE]


def test_a_collector_that_is_away_keeps_nobody_waiting(monkeypatch, caplog):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2")
    telemetry = open_telemetry(Exports(otlp_metrics=True, otlp_traces=True))
    telemetry._closing_s = 0.1
    with telemetry.span("job"):
        telemetry.instruments.add("reelpress_workers_lost_total")
    telemetry.close()
    assert "could not be sent within 0.1 s" in caplog.text


def test_figures_arrive_though_nobody_takes_traces(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:9/v1/traces")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2")
    with Receiver() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", f"{collector.url}/v1/metrics")
        telemetry = open_telemetry(Exports(otlp_metrics=True, otlp_traces=True))
        with telemetry.span("job"):
            telemetry.instruments.add("reelpress_workers_lost_total")
        telemetry._closing_s = 1.0
        telemetry.close()
    assert collector.value("reelpress_workers_lost") == 1


def test_without_a_wish_for_it_the_sdk_is_not_even_imported():
    ask = (
        "import sys; from reelpress.observe.telemetry import Exports, open_telemetry\n"
        "open_telemetry(Exports()).instruments.add('reelpress_workers_lost_total')\n"
        "heavy = ('opentelemetry.sdk', 'opentelemetry.exporter', 'google', 'prometheus_client')\n"
        "print([name for name in sys.modules if name.startswith(heavy)])"
    )
    assert subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout == "[]\n"
