"""What is counted of jobs that end: once, by the process that ended them, and without a series for each of them."""

from __future__ import annotations

import contextlib
import random
import re
import socket
import time

import httpx
import msgspec
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from sqlalchemy.exc import OperationalError

from reelpress.errors import UsageError
from reelpress.jobs.changing import cancel
from reelpress.jobs.counting import count_end, count_regression
from reelpress.jobs.database import encode
from reelpress.jobs.ending import on_end
from reelpress.jobs.house import House
from reelpress.jobs.model import JobError
from reelpress.jobs.tables import JOBS, PERFORMANCE, SPENDING
from reelpress.jobs.work import finish
from reelpress.observe.baseline import Comparison, Quantiles
from reelpress.observe.budget import period_of
from reelpress.observe.entry import Entry, Fallback
from reelpress.observe.telemetry import Exports, open_telemetry
from reelpress.observe.tracing import asked_with
from reelpress.receipt import CostParts
from reelpress.service import gauges
from reelpress.service.app import create_app
from reelpress.service.gauges import show_gauges
from reelpress.service_settings import load_service

from job_table import NOW, claim, enlist, put, row

FAILED = JobError(code="input_unusable", text="It cannot be read.")
SAMPLE = re.compile(r"(reelpress_\w+)(?:\{(.*)\})? (\S+)")


def figures(house: House) -> dict[tuple[str, str], float]:
    """What the process says now, by name and labels."""
    lines = house.telemetry.text().decode().splitlines()
    return {(found[1], found[2] or ""): float(found[3]) for line in lines if (found := SAMPLE.fullmatch(line))}


def total(house: House, name: str, *labels: str) -> float:
    return sum(v for (found, at), v in figures(house).items() if found == name and all(label in at for label in labels))


@pytest.fixture
def houses(tmp_path, database_url):
    """Two processes of one service."""
    url = "auto" if database_url.startswith("sqlite") else database_url
    flags = {"data_dir": str(tmp_path), "database_url": url}
    opened = [House.open(load_service(flags, environ={}, env_file=None)) for _ in range(2)]
    enlist(opened[0].database, "w1")
    yield opened
    for house in opened:
        house.close()


def test_over_all_processes_each_end_is_counted_once(houses):
    ends = ("done", "failed", "done", "cancelled", "failed", "done")
    for number, status in enumerate(ends):
        job = put(houses[0].database, now=NOW + number)
        house = houses[number % 2]
        if status == "cancelled":
            cancel(house.database, job.id, now=NOW + 10, on_end=on_end(house))
            cancel(house.database, job.id, now=NOW + 11, on_end=on_end(house))  # again changes nothing
        else:
            mine = claim(house.database, now=NOW + 10)
            error = FAILED if status == "failed" else None
            for _ in range(2):  # should the answer to the first be lost
                finish(house.database, mine, status, now=NOW + 20, error=error, on_end=on_end(house))
    for status in set(ends):
        seen = sum(total(house, "reelpress_job_results_total", f'status="{status}"') for house in houses)
        assert seen == ends.count(status), status
    assert sum(total(house, "reelpress_queue_wait_seconds_count") for house in houses) == 5


def test_an_end_that_was_not_written_is_not_counted(houses):
    def broken(connection, job):
        on_end(houses[0])(connection, job)
        raise RuntimeError

    put(houses[0].database)
    mine = claim(houses[0].database)
    with contextlib.suppress(RuntimeError):
        finish(houses[0].database, mine, "failed", now=NOW, error=FAILED, on_end=broken)
    assert total(houses[0], "reelpress_job_results_total") == 0
    put(houses[0].database)  # nor by the next transaction of the same connection
    assert total(houses[0], "reelpress_job_results_total") == 0


def test_a_worker_s_line_of_the_ledger_becomes_figures(house):
    job = put(house.database)
    entry = Entry(
        job=job.id, run=1, user_id="ann", kind="compress", finished_at=NOW, status="done", encoder="libx264",
        size_class="medium", input_bytes=200_000_000, output_bytes=50_000_000, duration_s=60.0, encode_s=20.0,
        attempts=2,
        fallbacks=(Fallback(encoder="h264_nvenc", failure="device_lost"),), gpu_missed="device_lost", usd=0.003,
        usd_parts=CostParts(cpu=0.002, memory=0.001, gpu=0.0), vmaf=95.5,
    )  # fmt: skip
    count_end(house.telemetry.instruments, row(house.database, job.id), entry)
    seen = figures(house)
    assert seen["reelpress_attempts_total", 'encoder="h264_nvenc",outcome="failed"'] == 1
    assert seen["reelpress_attempts_total", 'encoder="libx264",outcome="passed"'] == 1
    assert seen["reelpress_fallbacks_total", 'encoder="h264_nvenc",failure="device_lost"'] == 1
    assert seen["reelpress_gpu_missed_total", 'reason="device_lost"'] == 1
    assert seen["reelpress_saved_bytes_total", 'encoder="libx264"'] == 150_000_000
    assert ("reelpress_realtime_ratio_sum", 'encoder="libx264"') not in seen  # it would be that of both attempts
    assert seen["reelpress_cost_usd_total", 'encoder="libx264",part="cpu"'] == 0.002
    assert seen["reelpress_job_cost_usd_sum", 'encoder="libx264"'] == 0.003
    assert seen["reelpress_vmaf_sum", 'encoder="libx264"'] == 95.5
    plain = msgspec.structs.replace(entry, fallbacks=(), gpu_missed=None)
    count_end(house.telemetry.instruments, row(house.database, job.id), plain)
    assert figures(house)["reelpress_realtime_ratio_sum", 'encoder="libx264"'] == 3.0


def test_more_jobs_and_users_make_no_more_series(house):
    shapes = [(encoder, failure) for encoder in ("libx264", "h264_nvenc") for failure in ("crashed", "device_lost")]

    def work(client: TestClient, user: str, key: str, shape: tuple[str, str]) -> None:
        job = put(house.database, user)
        count_end(
            house.telemetry.instruments, row(house.database, job.id),
            Entry(
                job=job.id, run=1, user_id=user, kind="compress", finished_at=NOW, status="done", encoder=shape[0],
                attempts=2, fallbacks=(Fallback(encoder=shape[0], failure=shape[1]),), duration_s=1.0, encode_s=1.0,
            ),
        )  # fmt: skip
        client.get(f"/v1/jobs/{job.id}")
        client.get(f"/v1/jobs/job_{key}")
        client.get(f"/{key}?{key}")

    with TestClient(create_app(house), base_url="http://127.0.0.1:8001") as client:
        for shape in shapes:
            work(client, "ann", "first", shape)
        series = figures(house).keys()
        for number in range(40):
            work(client, f"user-{number}", f"{random.getrandbits(60):x}", shapes[number % 4])
        assert figures(house).keys() == series
    text = house.telemetry.text().decode()
    assert "user-" not in text
    assert "job_" not in re.sub(r"reelpress_\w+|job_id}", "", text)


def test_a_job_keeps_the_trace_it_was_asked_for_in(house):
    enlist(house.database, "w1")
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with asked_with(traceparent):
        job = put(house.database)
    assert claim(house.database).trace == traceparent
    put(house.database, "bob")
    assert claim(house.database).trace is None
    with house.database.reading() as connection:
        assert connection.execute(sa.select(JOBS.c.trace).where(JOBS.c.id == job.id)).scalar_one() == traceparent


def test_budget_and_speed_are_shown_as_the_database_has_them(tmp_path):
    flags = {"data_dir": str(tmp_path), "budget_usd": "10"}
    house = House.open(load_service(flags, environ={}, env_file=None))
    show_gauges(house, None)
    nothing = figures(house)
    assert ("reelpress_performance_ratio", "") not in nothing
    quantiles = Quantiles(p50=1.0, p95=1.0, p99=1.0)
    slow = Comparison(
        encoder="libx264", size_class="small", samples=5, now=quantiles, baseline=quantiles, ratios=(2.5, None, 1.5),
        regressed=True,
    )  # fmt: skip
    with house.database.writing() as connection:
        connection.execute(SPENDING.insert().values(period=period_of("month", time.time())[0], usd=8.5))
        connection.execute(PERFORMANCE.insert().values(id=1, checked_at=NOW, comparisons=encode((slow,))))
    house.close()
    house = House.open(load_service(flags, environ={}, env_file=None))
    show_gauges(house, None)
    count_regression(house.telemetry.instruments, slow)
    seen = figures(house)
    house.close()
    assert [seen[f"reelpress_budget_{what}", ""] for what in ("usd", "spent_usd", "state")] == [10, 8.5, 2]
    at = 'encoder="libx264",quantile="{}",size_class="small"'
    assert seen["reelpress_performance_ratio", at.format("0.5")] == 2.5
    assert seen["reelpress_performance_ratio", at.format("0.99")] == 1.5
    assert ("reelpress_performance_ratio", at.format("0.95")) not in seen
    assert seen["reelpress_performance_regressions_total", 'encoder="libx264",size_class="small"'] == 1


def test_a_database_that_is_away_is_asked_once_for_all_gauges(tmp_path, monkeypatch):
    """Each try may wait for seconds, and there are nine gauges."""
    house = House.open(load_service({"data_dir": str(tmp_path), "budget_usd": "10"}, environ={}, env_file=None))
    now, asked = [1000.0], []

    def away(_house: House, at: float) -> None:
        asked.append(at)
        now[0] += 5
        raise OperationalError("SELECT", {}, Exception("connection timed out"))

    monkeypatch.setattr(gauges, "_read", away)
    show_gauges(house, None, clock=lambda: now[0])
    seen = figures(house)
    house.close()
    assert asked == [1000.0]
    assert ("reelpress_jobs", 'kind="compress",status="queued"') not in seen
    assert ("reelpress_disk_free_bytes", 'folder="data"') in seen


def test_a_sidecar_scrapes_a_port_of_this_machine_without_a_key(tmp_path, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("OTEL_EXPORTER_PROMETHEUS_PORT", str(port))
    house = House.open(load_service({"data_dir": str(tmp_path), "host": "0.0.0.0"}, environ={}, env_file=None))
    with TestClient(create_app(house), base_url="http://video.example") as client:
        assert client.get("/metrics").status_code == 401
        text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        assert 'reelpress_jobs{kind="compress",status="queued"} 0.0' in text
    house.close()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/metrics")
    for wrong in ("x", "70000"):
        monkeypatch.setenv("OTEL_EXPORTER_PROMETHEUS_PORT", wrong)
        with pytest.raises(UsageError, match="no port"):
            open_telemetry(Exports(prometheus=True))


def test_without_prometheus_there_is_nothing_to_scrape(tmp_path):
    house = House.open(load_service({"data_dir": str(tmp_path), "metrics": "none"}, environ={}, env_file=None))
    with TestClient(create_app(house), base_url="http://127.0.0.1:8001") as client:
        assert client.get("/metrics").status_code == 404
    house.close()
