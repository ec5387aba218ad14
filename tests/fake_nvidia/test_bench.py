"""``reelpress bench`` on machines with GPUs that the fake driver plays: every way is taken, and only that way."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from reelpress.bench.material import named_input
from reelpress.bench.model import BenchRun
from reelpress.bench.results import promises, rows, speedups
from reelpress.bench.runner import run_bench
from reelpress.facts.values import to_json
from reelpress.gpus import GpuPolicy
from reelpress.policy import RunPolicy
from reelpress.probe.host import probe_host
from reelpress.request import Request

import clips
import driver

pytestmark = pytest.mark.gpu_fake


def measured(machine: driver.FakeMachine, source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> BenchRun:
    for name, value in machine.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    work = folder / "work"
    work.mkdir()
    host = probe_host(cache_dir=folder / "cache")
    policy = RunPolicy(gpu=GpuPolicy(cache_dir=str(folder / "cache")))
    return run_bench([named_input(1, source)], host, Request(), policy, work, rounds=1)


@pytest.mark.thorough
def test_each_way_is_measured_by_itself_with_what_it_drew(
    fake_nvidia: driver.FakeNvidia, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = clips.plain(tmp_path / "source.mp4", "-crf", "5", size="320x180", seconds=1.2)
    machine = fake_nvidia.machine()
    run = measured(machine, source, tmp_path, monkeypatch)
    ways = {one.rung: one for one in run.measurements}
    assert list(ways) == ["cpu", "gpu", "gpu_encode", "gpu_reduced"]
    assert {one.failure for one in run.measurements} == {None}
    assert ways["cpu"].encoder == "libx264"
    assert (ways["cpu"].gpu, ways["cpu"].energy_j) == (None, None)
    for rung in ("gpu", "gpu_encode", "gpu_reduced"):
        assert (ways[rung].encoder, ways[rung].gpu) == ("h264_nvenc", machine.devices[0].name)
        # the fake always draws 60 W
        energy = ways[rung].energy_j
        assert energy is not None
        assert 60 * ways[rung].encode_s <= energy < 60 * (ways[rung].wall_s + 20)
    assert [score.unmeasured for score in run.scores] == [None] * 4
    assert all((score.vmaf or 0) > 60 for score in run.scores), run.scores
    assert set(speedups(run)) == {("file 1", "gpu"), ("file 1", "gpu_encode"), ("file 1", "gpu_reduced")}
    assert run.machine.gpus[0].encodes[0].encoder == "h264_nvenc"
    text = to_json(run).decode()
    assert machine.devices[0].uuid not in text
    assert str(tmp_path) not in text
    assert promises(run)[0].kept == "not measured in this run"


def test_a_way_that_fails_does_not_pass_for_another(
    fake_nvidia: driver.FakeNvidia, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Once everything was found to work the GPU falls off the bus: no row is the CPU's in disguise."""
    source = clips.plain(tmp_path / "source.mp4", "-crf", "5", size="320x180", seconds=1.0)
    machine = fake_nvidia.machine()
    healthy = measured(machine, source, tmp_path, monkeypatch)
    assert {row.failure for row in rows(healthy)} == {None}
    again = tmp_path / "again"
    again.mkdir()
    real_job = machine.set_faults

    def break_down(*_: object) -> None:
        real_job(driver.GPU_LOST)

    host = probe_host(cache_dir=tmp_path / "cache")
    policy = RunPolicy(gpu=GpuPolicy(cache_dir=str(tmp_path / "cache"), patience_s=1.0))
    try:
        run = run_bench(
            [named_input(1, source)], host, Request(), policy, again, rounds=1,
            on_step=lambda step: break_down() if step.text.endswith(", gpu") else None,
        )  # fmt: skip
    finally:
        real_job()
    found = {row.rung: row for row in rows(run)}
    assert found["cpu"].failure is None
    assert found["gpu"].failure
    assert (found["gpu"].wall_s, found["gpu"].vmaf) == (None, None)
    assert str(tmp_path) not in to_json(msgspec.structs.replace(run, calibration=None)).decode()
