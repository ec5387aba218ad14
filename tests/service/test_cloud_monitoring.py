"""The two metrics of the plans, written by the real client to a local Monitoring API. Not yet run against Google's."""

from __future__ import annotations

import logging
import subprocess
import sys

import grpc
import pytest
from google.cloud.monitoring_v3 import MetricServiceClient
from google.cloud.monitoring_v3.services.metric_service.transports import MetricServiceGrpcTransport

from reelpress.errors import UsageError
from reelpress.observe import cloud_monitoring
from reelpress.observe.cloud_monitoring import CloudMonitoring
from reelpress.observe.telemetry import Exports, Telemetry, open_telemetry

from monitoring_api import MonitoringApi

LEAST_S = 0.3
DURATION = "custom.googleapis.com/video/compression_duration"
COST = "custom.googleapis.com/video/compression_cost"


@pytest.fixture
def api(monkeypatch):
    monkeypatch.setattr(cloud_monitoring, "_LEAST_INTERVAL_S", LEAST_S)
    # it is not waited for: what is sent, the test says
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "3600000")
    with MonitoringApi(least_interval_s=LEAST_S) as opened:
        yield opened


def begin(api: MonitoringApi) -> Telemetry:
    channel = grpc.insecure_channel(api.address)
    exporter = CloudMonitoring(MetricServiceClient(transport=MetricServiceGrpcTransport(channel=channel)), "videos")
    return open_telemetry(Exports(cloud_monitoring=True), to=exporter)


def compress(telemetry: Telemetry, encoder: str, *, wall_s: float, usd: float) -> None:
    count = telemetry.instruments
    count.record("reelpress_stage_seconds", wall_s, kind="compress", stage="compress", encoder=encoder)
    count.record("reelpress_stage_seconds", 99.0, kind="compress", stage="fetch", encoder=encoder)
    count.add("reelpress_cost_usd_total", usd * 0.75, encoder=encoder, part="gpu")
    count.add("reelpress_cost_usd_total", usd * 0.25, encoder=encoder, part="cpu")


def found(api: MonitoringApi, metric: str) -> dict[str, object]:
    return {encoder: series.points[0].value for (kind, encoder, _), series in api.series.items() if kind == metric}


def test_durations_and_costs_arrive_by_encoder(api):
    telemetry = begin(api)
    for wall_s in (42.0, 58.0):
        compress(telemetry, "h264_nvenc", wall_s=wall_s, usd=0.0034)
    telemetry.instruments.record("reelpress_stage_seconds", 20.0, kind="clip", stage="render", encoder="h264_nvenc")
    compress(telemetry, "libx264", wall_s=130.0, usd=0.01)
    telemetry.close()
    assert api.refused == []
    durations = {encoder: value.distribution_value for encoder, value in found(api, DURATION).items()}
    assert {encoder: (each.count, each.mean) for encoder, each in durations.items()} == {
        "h264_nvenc": (3, 40.0), "libx264": (1, 130.0),
    }  # fmt: skip
    bounds = durations["h264_nvenc"].bucket_options.explicit_buckets.bounds
    counts = dict(zip([*bounds, float("inf")], durations["h264_nvenc"].bucket_counts, strict=True))
    assert {bound: count for bound, count in counts.items() if count} == {30.0: 1, 45.0: 1, 60.0: 1}
    costs = {encoder: value.double_value for encoder, value in found(api, COST).items()}
    assert costs == {"h264_nvenc": pytest.approx(0.0068), "libx264": pytest.approx(0.01)}
    said = {kind: (d.metric_kind, d.value_type, d.unit) for kind, d in api.descriptors.items()}
    assert said.keys() == {DURATION, COST}
    assert said[DURATION] != said[COST]


def test_a_last_write_waits_until_the_api_takes_it(api):
    """What is written within five seconds of the last time is refused, and the end of a process is no exception."""
    telemetry = begin(api)
    compress(telemetry, "libx264", wall_s=1.0, usd=0.5)
    telemetry._meters.force_flush()
    compress(telemetry, "libx264", wall_s=1.0, usd=0.5)
    telemetry.close()
    assert api.refused == []
    assert found(api, COST)["libx264"].double_value == pytest.approx(1.0)


def test_without_the_wait_it_would_be_refused(api, monkeypatch, caplog):
    monkeypatch.setattr(cloud_monitoring, "_LEAST_INTERVAL_S", 0.0)
    telemetry = begin(api)
    compress(telemetry, "libx264", wall_s=1.0, usd=0.5)
    with caplog.at_level(logging.WARNING, logger="reelpress.observe"):
        telemetry._meters.force_flush()
        telemetry.close()
    assert api.refused == ["points were written more frequently than the maximum sampling period"]
    assert "Cloud Monitoring took no figures: InvalidArgument" in caplog.text


def test_each_process_is_a_task_of_its_own(api):
    telemetry = begin(api)
    compress(telemetry, "libx264", wall_s=1.0, usd=0.5)
    telemetry.close()
    (ours,) = {task for _, _, task in api.series}
    ask = "from opentelemetry.sdk.resources import Resource; print(Resource.create().attributes['service.instance.id'])"
    other = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
    assert ours
    assert other not in ("", ours)
    assert {series.resource.labels["job"] for series in api.series.values()} == {"reelpress"}


def test_without_its_packages_the_setting_is_refused(monkeypatch):
    monkeypatch.delitem(sys.modules, "reelpress.observe.cloud_monitoring")
    monkeypatch.setitem(sys.modules, "google.cloud.monitoring_v3", None)
    with pytest.raises(UsageError, match="not installed"):
        open_telemetry(Exports(cloud_monitoring=True))
