"""``reelpress calibrate`` on a machine with a GPU that the fake driver plays, from the measurement to the plan."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from reelpress.calibrating.measure import Scope, measure, with_gpus
from reelpress.calibrating.summary import summary
from reelpress.facts.host import HostFacts
from reelpress.plan.calibration import curve_states
from reelpress.plan.compress import plan
from reelpress.plan.model import Encode
from reelpress.probe.calibration import store_calibration
from reelpress.probe.host import probe_host
from reelpress.probe.media import probe
from reelpress.request import Request
from reelpress.run.host_state import host_folder
from reelpress.run.slots import GpuSlots

import clips
import driver

pytestmark = pytest.mark.gpu_fake


def live_on(machine: driver.FakeMachine, monkeypatch: pytest.MonkeyPatch, runtime: Path) -> None:
    for name, value in machine.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def planned(host: HostFacts, source: Path) -> Encode:
    decided = plan(probe(source), host, Request(always_encode=True, crf=25.0))
    assert isinstance(decided, Encode)
    return decided


def test_what_was_measured_on_a_gpu_is_planned_by_until_its_driver_changes(
    fake_nvidia: driver.FakeNvidia, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = clips.plain(tmp_path / "source.mp4", "-crf", "5", size="320x180", seconds=1.2)
    machine = fake_nvidia.machine(gpus=2)
    live_on(machine, monkeypatch, tmp_path)
    cache = tmp_path / "cache"
    host = with_gpus(probe_host(cache_dir=cache), cache_dir=cache)
    assert len(host.gpus) == 2
    (tmp_path / "work").mkdir()
    machine.clear_journal()
    steps: list[tuple[int, int]] = []
    measured = measure(
        host, Scope(files=(str(source),), generated=False, quick=True), tmp_path / "work",
        on_step=lambda step: steps.append((step.done, step.of)),
    )  # fmt: skip
    made = measured.calibration
    assert measured.failed == ()
    names = [(curve.encoder, curve.preset, curve.gpu) for curve in made.curves]
    gpu = machine.devices[0].name
    assert names == [
        ("libx264", "lean", None), ("libx265", "fast", None), ("libsvtav1", "8", None),
        ("h264_nvenc", "p1", gpu), ("hevc_nvenc", "p1", gpu),
    ]  # fmt: skip
    assert steps[-1] == (15, 15)
    for curve in made.curves:
        vmafs = [point.vmaf for point in curve.points]
        sizes = [point.bytes_per_s for point in curve.points]
        assert vmafs == sorted(vmafs, reverse=True), curve
        assert sizes == sorted(sizes, reverse=True), curve
        assert vmafs[0] - vmafs[-1] > 1, curve
    # the driver was asked for these encodes, one GPU of two alike did all of them, and its slots are free again
    assert [event["dev"] for event in machine.journal("init")] == [0] * 6
    assert GpuSlots(host_folder()).held(machine.devices[0].uuid) == 0
    text = json.dumps(msgspec.to_builtins(made))
    assert str(tmp_path) not in text
    assert "source" not in text

    store_calibration(cache, made)
    again = with_gpus(probe_host(cache_dir=cache), cache_dir=cache)
    told = next(reason for reason in planned(again, source).reasons if reason.code == "gpu_settings")
    assert told.text.endswith("(calibrated).")
    assert told.fact is not None
    assert told.fact.startswith(f"calibrated on {gpu}, driver {machine.driver.version}, FFmpeg ")
    row = next(row for row in summary(made) if row.encoder == "h264_nvenc")
    assert row.equal[1] is not None

    older = tuple(msgspec.structs.replace(each, driver_version="535.216.03") for each in again.gpus)
    updated = msgspec.structs.replace(again, gpus=older)
    stale = next(reason for reason in planned(updated, source).reasons if reason.code == "gpu_settings")
    assert stale.text.endswith("(uncalibrated).")
    assert {state.why_not for state in curve_states(made, updated) if state.encoder.endswith("_nvenc")} == {
        f"it was measured with driver {machine.driver.version}; this is 535.216.03"
    }


@pytest.mark.thorough
def test_an_encoder_that_breaks_midway_costs_its_own_curve_alone(
    fake_nvidia: driver.FakeNvidia, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = clips.plain(tmp_path / "source.mp4", "-crf", "5", size="320x180", seconds=1.0)
    machine = fake_nvidia.machine()
    live_on(machine, monkeypatch, tmp_path)
    host = with_gpus(probe_host(cache_dir=tmp_path / "cache"), cache_dir=tmp_path / "cache")
    (tmp_path / "work").mkdir()
    with machine.faults(driver.GPU_LOST):
        measured = measure(host, Scope(files=(str(source),), generated=False, quick=True), tmp_path / "work")
    assert [label for label, _ in measured.failed] == ["h264_nvenc p1", "hevc_nvenc p1"]
    assert all(why for _, why in measured.failed)
    lost = [(curve.encoder, curve.preset, curve.gpu, curve.points) for curve in measured.unfinished]
    gpu = machine.devices[0].name
    assert lost == [("h264_nvenc", "p1", gpu, ()), ("hevc_nvenc", "p1", gpu, ())]
    assert [curve.encoder for curve in measured.calibration.curves] == ["libx264", "libx265", "libsvtav1"]
