"""``reelpress doctor`` on machines that the fake driver plays: one run for each, with the FFmpegs that are here."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import reelpress
from reelpress.cli.doctor_screen import print_findings
from reelpress.diagnosis.findings import Findings
from reelpress.diagnosis.gpu import GpuReport
from reelpress.diagnosis.problems import Problem
from reelpress.facts.failure import Failure, FailureKind
from reelpress.facts.values import from_json
from reelpress.run.breaker import Breaker
from reelpress.run.slots import GpuSlots
from reelpress.settings_table import SETTINGS

import clips
import driver

pytestmark = pytest.mark.gpu_fake

DEBIAN = Path("/usr/bin/ffmpeg")


class Examined(NamedTuple):
    code: int
    screen: str  # a paragraph is one line
    lines: list[str]
    found: Findings

    def problem(self, code: str) -> Problem:
        (one,) = (
            p for p in (*self.found.problems, *(p for g in self.found.gpus for p in g.problems)) if p.code == code
        )
        return one

    def works(self, gpu: int, origin: str) -> tuple[str, ...]:
        paths = {build.path for build in self.found.builds if build.origin == origin}
        return next(build.encodes for build in self.found.gpus[gpu].builds if build.ffmpeg in paths)


Doctor = Callable[..., Examined]


@pytest.fixture
def doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Examine a machine with JSON, and show what was found as a person would see it."""
    monkeypatch.setenv("COLUMNS", "80")
    ours = {name for row in SETTINGS for name in row.env} | {"CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"}
    environ = {name: text for name, text in os.environ.items() if name not in ours} | {
        "PYTHONPATH": str(Path(reelpress.__file__).parents[1]), "XDG_CACHE_HOME": str(tmp_path),
        "XDG_RUNTIME_DIR": str(tmp_path),
    }  # fmt: skip

    def examine(machine: driver.FakeMachine, *arguments: str, **more: str) -> Examined:
        done = subprocess.run(
            [sys.executable, "-m", "reelpress", "doctor", "--json", *arguments], cwd=tmp_path,
            env=environ | machine.env | more, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.stderr == ""
        found = from_json(done.stdout.encode(), Findings)
        assert found.exit_code == done.returncode
        print_findings(found)
        screen = capsys.readouterr().out
        lines = screen.splitlines()
        assert max(map(len, lines)) <= 80
        assert len(lines) <= 30, screen
        return Examined(done.returncode, " ".join(screen.split()), lines, found)

    return examine


def short(one: GpuReport) -> tuple[int, int, str]:
    assert one.slots is not None
    return one.slots.held, one.slots.capacity, one.slots.basis


@pytest.mark.thorough
def test_a_driver_older_than_the_bundled_ffmpeg_with_another_that_works(
    fake_nvidia: driver.FakeNvidia, doctor: Doctor, tmp_path: Path
) -> None:
    """Two L4 as Cloud Run has them; a job holds a slot of one, and the pair that cannot work is known as such."""
    if not DEBIAN.exists():
        pytest.skip("no FFmpeg on PATH")
    machine = fake_nvidia.machine("l4", gpus=2)
    first, second = (device.uuid for device in machine.devices)
    (tmp_path / "reelpress").mkdir(mode=0o700)
    breaker = Breaker(tmp_path / "reelpress")
    why = Failure(kind=FailureKind.DRIVER_TOO_OLD, evidence="API 13.1 is required")
    breaker.failed(first, clips.ffmpeg(), why, job="a", reprobe=lambda _gpu: False)
    lease = GpuSlots(tmp_path / "reelpress").acquire([second], patience_s=0)
    assert lease is not None
    with lease:
        seen = doctor(machine, "--hardware", "require")
    assert seen.code == 0
    assert [seen.works(gpu, "bundled") for gpu in (0, 1)] == [(), ()]
    assert [seen.works(gpu, "path") for gpu in (0, 1)] == [("h264", "hevc", "hevc 10-bit")] * 2
    apis = {build.origin: build.nvenc_api for build in seen.found.builds}
    assert [(api.version, api.exact) for api in map(apis.get, ("bundled", "path")) if api] == [
        ("13.1", True), ("12.1", False)
    ]  # fmt: skip
    too_old = seen.found.gpus[0].problems[0]
    assert (too_old.code, too_old.where) == ("driver_too_old", "all encoding with FFmpeg 9.0.2")
    assert "FAILS all encoding with FFmpeg 9.0.2: the driver is too old" in seen.screen
    assert "Change: nothing: FFmpeg 5.1" in seen.screen
    assert "driver 535.216.03, NVENC API 12.1" in seen.screen
    assert "  the same as GPU 0" in seen.lines
    assert [short(one) for one in seen.found.gpus] == [(0, 4, "measured"), (1, 4, "measured")]
    assert "breaker open for FFmpeg 9.0.2: driver_too_old: API 13.1 is required; a job tries it again" in seen.screen
    assert seen.screen.count("breaker closed") == 1
    assert seen.lines[-1].startswith("Result: GPU 0 encodes h264, hevc, hevc 10-bit with FFmpeg 5.1")


@pytest.mark.thorough
def test_a_chip_without_an_encoder(fake_nvidia: driver.FakeNvidia, doctor: Doctor) -> None:
    seen = doctor(fake_nvidia.machine("h200"), "--hardware", "require")
    assert seen.code == 4
    assert seen.found.gpu.reason is not None
    assert seen.found.healthy
    assert (seen.problem("no_encoder").where, seen.problem("no_encoder").what) == (
        "all encoding", "this chip has no video encoder"
    )  # fmt: skip
    assert all(build.decodes == ("h264",) for build in seen.found.gpus[0].builds)
    assert "slots none, for nothing encodes; breaker closed" in seen.screen
    assert seen.lines[-1] == "Result: no GPU encodes here; exit code 4"


@pytest.mark.thorough
def test_a_container_without_the_video_capability(fake_nvidia: driver.FakeNvidia, doctor: Doctor) -> None:
    machine = fake_nvidia.machine("l4-610", leave_out=driver.NO_VIDEO_CAPABILITY)
    seen = doctor(machine, NVIDIA_DRIVER_CAPABILITIES="compute,utility")
    assert seen.code == 0
    assert not seen.found.gpu.available
    problem = seen.problem("video_capability")
    assert problem.where == "all encoding; all decoding"
    assert problem.change in seen.found.advice
    told = "Change: start it with NVIDIA_DRIVER_CAPABILITIES=compute,video,utility (it is 'compute,utility')"
    assert told in seen.screen
    assert all("scale" in build.filters for build in seen.found.gpus[0].builds)
    assert seen.lines[-1] == "Result: no GPU encodes here; the CPU does the work"


@pytest.mark.thorough
def test_all_sessions_in_use_is_busy_and_not_broken(fake_nvidia: driver.FakeNvidia, doctor: Doctor) -> None:
    seen = doctor(fake_nvidia.machine("l4-610", faults="open=10"), "--hardware", "require")
    assert (seen.code, seen.found.gpu.available, seen.found.gpu.busy) == (4, False, True)
    assert seen.problem("sessions_used_up").where == "all encoding"
    assert "busy all encoding: all encoder sessions are in use (OpenEncodeSessionEx failed: out of memory (10))" in (
        seen.screen
    )
    assert seen.lines[-1] == "Result: the GPU is busy, so none encodes now; exit code 4"


def test_a_driver_of_two_versions(fake_nvidia: driver.FakeNvidia, doctor: Doctor) -> None:
    seen = doctor(fake_nvidia.machine("l4-610", faults=driver.DRIVER_MISMATCH))
    assert (seen.code, seen.found.gpus) == (0, ())
    assert [problem.code for problem in seen.found.problems] == ["driver_mismatch"]
    assert "Change: restart the machine after the driver update" in seen.screen


def test_a_driver_that_crashes_whoever_asks(fake_nvidia: driver.FakeNvidia, doctor: Doctor) -> None:
    seen = doctor(fake_nvidia.machine("l4-610", faults="nvmlInit=crash,cuInit=crash"))
    assert (seen.code, [problem.code for problem in seen.found.problems]) == (0, ["driver_crashed"])
    assert seen.found.gpus == ()


@pytest.mark.thorough
def test_an_nvml_that_crashes_hides_no_gpu_and_is_told(fake_nvidia: driver.FakeNvidia, doctor: Doctor) -> None:
    seen = doctor(fake_nvidia.machine("l4-610", faults="nvmlInit=crash"), "--hardware", "require")
    assert (seen.code, [problem.code for problem in seen.found.problems]) == (0, ["nvml"])
    assert len(seen.found.gpus) == 1


def test_a_library_path_without_libcuda(fake_nvidia: driver.FakeNvidia, doctor: Doctor) -> None:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has an NVIDIA device")
    seen = doctor(fake_nvidia.machine("l4-610", leave_out=("libcuda.so.1",)))
    assert [problem.code for problem in seen.found.problems] == ["driver_not_found"]
    assert "FAILS NVIDIA GPU: LD_LIBRARY_PATH leads to libnvidia-encode.so.1 and not to libcuda.so.1" in seen.screen


def test_gpus_that_a_variable_hides(fake_nvidia: driver.FakeNvidia, doctor: Doctor) -> None:
    seen = doctor(fake_nvidia.machine("l4-610"), "--hardware", "require", CUDA_VISIBLE_DEVICES="")
    assert (seen.code, [problem.code for problem in seen.found.problems]) == (4, ["no_gpu_shown"])
    assert "CUDA_VISIBLE_DEVICES='' hides GPUs" in seen.screen


def test_off_touches_no_driver(fake_nvidia: driver.FakeNvidia, doctor: Doctor) -> None:
    machine = fake_nvidia.machine()
    seen = doctor(machine, "--hardware", "off")
    assert (seen.code, seen.found.gpus, seen.found.problems) == (0, (), ())
    assert machine.journal() == []
    assert seen.found.gpu_s < 0.05
    assert "GPU: not looked at, as asked" in seen.lines
