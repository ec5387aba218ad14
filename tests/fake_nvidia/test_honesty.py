"""The fake never passes for a driver: it says what it is, works in tests only, and is in nothing that is delivered."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import clips
import driver
from gpu_runs import CUDA, SMALL, FFmpeg, run

pytestmark = pytest.mark.gpu_fake

ROOT = Path(__file__).resolve().parents[2]
ENCODE = (*clips.picture(SMALL, seconds=0.2), "-pix_fmt", "yuv420p", "-c:v", "h264_nvenc", "-f", "null", "-")


def test_every_line_of_the_journal_says_so(fake_nvidia: driver.FakeNvidia) -> None:
    machine = fake_nvidia.machine()
    assert run(clips.ffmpeg(), machine, *ENCODE).code == 0
    journal = machine.journal()
    assert {e["ev"] for e in journal} >= {"cuInit", "cuCtxCreate", "open", "init", "close", "cuCtxDestroy"}
    assert all(e["fake"] is True for e in journal)
    machine.clear_journal()
    assert machine.journal() == []


def test_every_gpu_says_so() -> None:
    assert all(profile.name.startswith("Fake ") for profile in driver.PROFILES.values())


@pytest.mark.parametrize("state", ["", "/nowhere"])
def test_refuses_without_a_machine(fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg, state: str) -> None:
    machine = fake_nvidia.machine()
    for first in ((), CUDA):
        done = ffmpeg(machine, *first, *ENCODE, FAKENV_STATE=state)
        assert done.code != 0
        assert "fake NVIDIA driver, for tests only" in done.stderr
        assert "CUDA_ERROR_NO_DEVICE" in done.stderr or "no encode device (1)" in done.stderr
    assert machine.journal() == []
    asked = subprocess.run(
        [sys.executable, "-c", "import pynvml; pynvml.nvmlInit()"],
        env={**os.environ, **machine.env, "FAKENV_STATE": state}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "NVMLError_DriverNotLoaded" in asked.stderr


def test_nothing_of_it_is_delivered() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert build["targets"] == {"wheel": {"packages": ["src/reelpress"]}}
    for source in (ROOT / "src").rglob("*.py"):
        assert "FAKENV" not in source.read_text(), source


def test_two_machines_keep_apart(fake_nvidia: driver.FakeNvidia, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = fake_nvidia.machine(), fake_nvidia.machine()
    for name, value in first.env.items():
        monkeypatch.setenv(name, value)
    assert str(first.folder) not in " ".join(second.env.values())
    assert run(clips.ffmpeg(), second, *ENCODE).code == 0
    assert first.journal() == []
    assert second.journal()


def test_built_once(fake_nvidia: driver.FakeNvidia) -> None:
    before = fake_nvidia.libraries.stat().st_mtime_ns
    assert driver.build(fake_nvidia.libraries.parent) == fake_nvidia.libraries
    assert fake_nvidia.libraries.stat().st_mtime_ns == before


def test_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(driver.CannotBuildError, match="apt install gcc"):
        driver.build(tmp_path)


def test_describes_every_library() -> None:
    used = {source for sources, _ in driver._LIBRARIES.values() for source in sources}
    assert used == {path.name for path in driver.SOURCES.glob("*.c")}
