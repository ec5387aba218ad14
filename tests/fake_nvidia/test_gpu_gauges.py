"""What /metrics says of GPUs, on the fake driver: their load by NVML, their slots, whether they are left alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reelpress.facts.failure import Failure, FailureKind
from reelpress.facts.host import FfmpegFacts, HostFacts
from reelpress.jobs.encoding import Encoding
from reelpress.observe.telemetry import Exports, open_telemetry
from reelpress.run.breaker import Breaker
from reelpress.run.host_state import host_folder
from reelpress.run.slots import GpuSlots
from reelpress.service import gpu_gauges
from reelpress.service.gpu_gauges import GpuGauges
from reelpress.settings import load

import clips
import driver
from gpu_runs import started, until

pytestmark = pytest.mark.gpu_fake
BUILDS = ("/opt/ffmpeg", "/usr/bin/ffmpeg")
MIB = 2**20


class Scrape:
    """The gauges of a worker on this machine, asked anew each time."""

    def __init__(self, *, use_gpu: bool = True) -> None:
        builds = tuple(
            FfmpegFacts(path=path, origin="path", version="9", major=9, encoders=(), filters=frozenset())
            for path in BUILDS
        )
        host = HostFacts(ffmpegs=builds, gpus=(), cores=2, memory_mb=None)
        self.telemetry = open_telemetry(Exports(prometheus=True))
        settings = load({"use_gpu": str(use_gpu).lower()}, environ={}, env_file=None)
        self.gauges = GpuGauges(self.telemetry.instruments, Encoding(settings, host))

    def __call__(self) -> dict[tuple[str, str], float]:
        self.gauges._believed_until = float("-inf")
        found = re.findall(r'^reelpress_gpu_(\w+)\{gpu="(\d+)"\} (\S+)$', self.telemetry.text().decode(), re.MULTILINE)
        return {(name, gpu): float(value) for name, gpu, value in found}


@pytest.fixture
def enter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))

    def go(machine: driver.FakeMachine) -> driver.FakeMachine:
        for name, value in machine.env.items():
            monkeypatch.setenv(name, value)
        return machine

    return go


def test_load_and_memory_are_what_nvml_says(fake_nvidia, enter):
    machine = enter(fake_nvidia.machine("l4-610", gpus=2, faults="encode=20ms"))
    scrape = Scrape()
    idle = scrape()
    assert {gpu for _, gpu in idle} == {"0", "1"}
    assert (idle["encoder_utilization_ratio", "0"], idle["encoder_sessions", "0"]) == (0, 0)
    assert (idle["memory_bytes", "0"], idle["memory_used_bytes", "0"]) == (23034 * MIB, 0)
    encode = (*clips.picture("320x180", seconds=60), "-c:v", "h264_nvenc", "-gpu", "0", "-f", "null", "-")
    with started(clips.ffmpeg(), machine, *encode):
        until(lambda: scrape().get(("encoder_sessions", "0")) == 1)
        busy = scrape()
    # a session keeps one of the two engines busy to a third, and the rest of the GPU to a quarter of that
    assert (busy["encoder_utilization_ratio", "0"], busy["utilization_ratio", "0"]) == (0.16, 0.04)
    assert busy["decoder_utilization_ratio", "0"] == 0
    assert busy["memory_used_bytes", "0"] >= 250 * MIB
    assert busy["encoder_sessions", "1"] == 0


def test_slots_and_breakers_are_those_of_all_processes(fake_nvidia, enter):
    machine = enter(fake_nvidia.machine(gpus=2))
    scrape = Scrape()
    first, second = (device.uuid for device in machine.devices)
    with GpuSlots(host_folder()).acquire([second], patience_s=5):
        seen = scrape()
    assert (seen["slots", "1"], seen["slots_in_use", "1"], seen["slots_in_use", "0"]) == (4, 1, 0)
    assert (scrape()["slots_in_use", "1"], seen["breaker_open", "0"]) == (0, 0)

    breaker = Breaker(host_folder())
    too_old = Failure(kind=FailureKind.DRIVER_TOO_OLD, evidence="x")
    breaker.failed(first, BUILDS[0], too_old, job="a", reprobe=lambda _: True)
    assert scrape()["breaker_open", "0"] == 0  # the other FFmpeg is good
    breaker.failed(first, BUILDS[1], too_old, job="a", reprobe=lambda _: True)
    assert scrape()["breaker_open", "0"] == 1
    lost = Failure(kind=FailureKind.DEVICE_LOST, evidence="x")
    breaker.failed(second, BUILDS[0], lost, job="a", reprobe=lambda _: False)
    assert scrape()["breaker_open", "1"] == 1


@pytest.mark.parametrize("fault", ["nvmlInit=crash", "nvml=hang"])
def test_a_driver_that_crashes_or_hangs_costs_its_own_figures_alone(fake_nvidia, enter, monkeypatch, fault):
    monkeypatch.setattr(gpu_gauges, "_ASK_S", 1.0)
    enter(fake_nvidia.machine(faults=fault))
    scrape = Scrape()
    scrape.telemetry.instruments.watch("reelpress_event_watchers", lambda: [(3, {})])
    assert b"reelpress_event_watchers 3.0" in scrape.telemetry.text()
    assert scrape() == {}


def test_nobody_is_asked_who_is_not_used(fake_nvidia, enter):
    machine = enter(fake_nvidia.machine())
    assert Scrape(use_gpu=False)() == {}
    assert machine.journal() == []
