"""Puts a simulated service together, lets its time pass, and records what its processes would have been scraped for."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from starlette.testclient import TestClient

from reelpress.facts.values import Value
from reelpress.jobs.counting import count_regression
from reelpress.jobs.house import House
from reelpress.jobs.ledger import Charging
from reelpress.jobs.performance import SpeedWatch
from reelpress.observe.instruments import Seen
from reelpress.observe.prices import price_book, tariff
from reelpress.service.app import create_app
from reelpress.service.gauges import show_gauges
from reelpress.service_settings import ServiceSettings, load_service

from simulation.encoder import GPU
from simulation.fleet import Clock, Fleet, Process
from simulation.openmetrics import Recording
from simulation.traffic import DAY_S, START_S, Incident, arrivals, timetable

_SEATS = 2
# For a day: more than twice what half a day and what a whole one cost without films, and less than with them.
_HALF_DAY_USD, _DAY_USD = 6.8, 14.0
_DISK_BYTES = 400 * 10**9
_GPU_MEMORY_BYTES = 24 * 2**30


class Simulated(Value, frozen=True, kw_only=True):
    """What a simulation was: its troubles, when it ended, how much it recorded."""

    incidents: tuple[Incident, ...]
    end: float
    jobs: int
    samples: int


def simulate(
    folder: Path,
    openmetrics: Path,
    *,
    names: frozenset[str],
    seed: int,
    length_s: float,
    videos_an_hour: float,
    scrape_every_s: float,
    asks: bool,
) -> Simulated:
    """Let so much time pass in a service whose data is in ``folder``, and write what was scraped of it.

    With ``asks`` somebody looks at the list of jobs between scrapes, so that there are requests to be counted.
    """
    incidents = timetable(length_s)
    clock = Clock()
    settings = _settings(folder, _DAY_USD if length_s > DAY_S / 2 else _HALF_DAY_USD)
    houses = [House.open(settings) for _ in range(3 if asks else 2)]
    try:
        prices = price_book()
        book = {rates.name: rates for rates in prices.compute}
        stores = {rates.name: rates for rates in prices.storage}
        processes = []
        for name, house in zip(("gpu-0", "cpu-0"), houses, strict=False):
            has_gpu = name == "gpu-0"
            rates = book["cloud-run-l4" if has_gpu else "cloud-run-cpu"]
            # each job has an instance for itself, as on Cloud Run with a concurrency of 1
            charged = tariff(rates, cores=4, memory_mb=16_384, has_gpu=has_gpu)
            charging = Charging(tariff=charged, storage=stores["gcs"])
            processes.append(Process(name, house, charging, clock, folder / f"state-{name}", seats=_SEATS))
        fleet = Fleet(processes, incidents, clock, seed)
        for process in processes:
            _show(process, fleet)
        watch = SpeedWatch(
            houses[0].database, houses[0].settings, partial(count_regression, houses[0].telemetry.instruments)
        )
        videos = arrivals(seed, length_s, videos_an_hour, incidents)
        for video in videos:
            fleet.at(video.at, lambda video=video: fleet.submit(video))  # type: ignore[misc]
        stopped = next(incident for incident in incidents if incident.trouble == "workers stopped")
        fleet.at(stopped.start, fleet.stop_all)
        fleet.at(stopped.start + stopped.length_s, fleet.start_all)
        with openmetrics.open("w") as file:
            recording = Recording(file, names)
            reader = _Reader(houses[2]) if asks else None
            for number in range(1, int(length_s // scrape_every_s) + 1):
                fleet.go_on_until(START_S + number * scrape_every_s)
                watch.look(clock.now)
                _scrape(fleet, recording)
                if reader is not None:
                    reader.look(recording, clock.now)
            recording.end()
        return Simulated(incidents=incidents, end=clock.now, jobs=len(videos), samples=recording.samples)
    finally:
        for house in houses:
            house.close()


class _Reader:
    """Looks at the list of jobs by the service's own API. What that process says of time is not simulated."""

    def __init__(self, house: House) -> None:
        self._telemetry = house.telemetry
        self._client = TestClient(create_app(house), base_url="http://127.0.0.1", client=("127.0.0.1", 1))

    def look(self, recording: Recording, now: float) -> None:
        """Ask once, and have it recorded that somebody asked."""
        self._client.get("/v1/jobs?limit=20").raise_for_status()
        recording.add(self._telemetry.text(), instance="api-0", now=now, only="reelpress_http_")


def _settings(folder: Path, budget_usd: float) -> ServiceSettings:
    flags = {
        "data_dir": str(folder / "data"), "metrics": "prometheus", "budget_usd": str(budget_usd),
        "budget_window": "day", "budget_action": "cpu", "regression_samples": "8", "regression_window_h": "2",
    }  # fmt: skip
    return load_service(flags, environ={}, env_file=None)


def _scrape(fleet: Fleet, recording: Recording) -> None:
    for process in fleet.processes:
        if process.worker is not None:
            process.beat()
    for process in fleet.processes:
        # a process whose worker is stopped still answers
        if not fleet.is_on("not scraped"):
            recording.add(process.house.telemetry.text(), instance=process.name, now=fleet.clock.now)


def _show(process: Process, fleet: Fleet) -> None:
    disk = fleet.incident("disk full")

    def usage(folder: Path) -> tuple[int, int, int]:
        """Fill the scratch disk of the machine with a GPU until somebody cleans up."""
        share = 0.6
        if process.has_gpu and folder.name == "scratch" and disk.lasts_at(fleet.clock.now):
            share = 0.6 - 0.58 * min(1.0, 2.0 * (fleet.clock.now - disk.start) / disk.length_s)
        free = int(_DISK_BYTES * share)
        return _DISK_BYTES, _DISK_BYTES - free, free

    show_gauges(process.house, None, clock=fleet.clock, disk_usage=usage)
    if process.has_gpu:
        _show_gpu(process, fleet)


def _show_gpu(process: Process, fleet: Fleet) -> None:
    """Say what NVML would: nothing of a GPU that is lost; and what slots and breaker really say."""
    watch = process.house.telemetry.instruments.watch

    def seen(value: float) -> Iterable[Seen]:
        return [] if fleet.is_on("gpu lost") else [(value, {"gpu": "0"})]

    def busy() -> float:
        return process.slots.held(GPU) / process.seats

    def breaker() -> Iterable[Seen]:
        is_open = any(circuit.gpu == GPU and circuit.state != "closed" for circuit in process.breaker.snapshot())
        return [(float(is_open), {"gpu": "0"})]

    watch("reelpress_gpu_encoder_utilization_ratio", lambda: seen(0.8 * busy()))
    watch("reelpress_gpu_decoder_utilization_ratio", lambda: seen(0.35 * busy()))
    watch("reelpress_gpu_utilization_ratio", lambda: seen(0.2 * busy()))
    watch("reelpress_gpu_memory_used_bytes", lambda: seen(_GPU_MEMORY_BYTES * (0.02 + 0.06 * busy())))
    watch("reelpress_gpu_memory_bytes", lambda: seen(_GPU_MEMORY_BYTES))
    watch("reelpress_gpu_encoder_sessions", lambda: seen(process.slots.held(GPU)))
    watch("reelpress_gpu_slots", lambda: [(process.slots.capacity(GPU), {"gpu": "0"})])
    watch("reelpress_gpu_slots_in_use", lambda: [(process.slots.held(GPU), {"gpu": "0"})])
    watch("reelpress_gpu_breaker_open", breaker)
