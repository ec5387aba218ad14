"""The tier for real GPUs (`make test-gpu`) where the answer is known: it runs, fails, and never passes on a CPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import driver

pytestmark = pytest.mark.gpu_fake

_ROOT = Path(__file__).resolve().parents[2]


def run_tier(docs: Path, mode: str, env: dict[str, str], *chosen: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/hardware", *chosen]
    more = {"REELPRESS_TEST_GPU": mode, "REELPRESS_HARDWARE_DOCS": str(docs), "CI": "", **env}
    return subprocess.run(
        command, cwd=_ROOT, env={**os.environ, **more}, capture_output=True, text=True, timeout=400, check=False
    )


@pytest.mark.thorough
def test_on_a_gpu_without_an_encoder_the_page_says_so(fake_nvidia: driver.FakeNvidia, tmp_path: Path) -> None:
    machine = fake_nvidia.machine("h200", driver="610")
    done = run_tier(tmp_path, "fake", machine.env, "-k", "not large")
    assert done.returncode == 0, done.stdout
    assert "6 passed" in done.stdout
    (page,) = tmp_path.glob("*.md")
    rows = [line for line in page.read_text().splitlines() if "| encode |" in line]
    assert rows
    assert all("| no |" in row for row in rows)
    assert "NVDEC, scale_cuda, libx264" in page.read_text()


@pytest.mark.thorough
def test_on_a_gpu_that_encodes_jobs_are_timed_there(fake_nvidia: driver.FakeNvidia, tmp_path: Path) -> None:
    machine = fake_nvidia.machine("rtx-pro-6000")
    done = run_tier(tmp_path, "fake", machine.env, "-k", "jobs or held")
    assert done.returncode == 0, done.stdout
    (page,) = tmp_path.glob("*.md")
    assert "h264_nvenc, rung gpu" in page.read_text()
    assert "## Against the CPU" in page.read_text()


@pytest.mark.thorough
def test_an_encoder_that_breaks_fails_the_tier(fake_nvidia: driver.FakeNvidia, tmp_path: Path) -> None:
    # the product tries an encoder with 24 pictures, the witness with 48
    machine = fake_nvidia.machine("rtx-pro-6000", faults="encode@30=20")
    done = run_tier(tmp_path, "fake", machine.env, "-k", "encoders")
    assert done.returncode == 1
    assert "said works" in done.stdout


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has a GPU")
def test_without_a_gpu_nothing_passes_and_nothing_is_written(tmp_path: Path) -> None:
    done = run_tier(tmp_path, "1", {})
    assert done.returncode == 1
    assert "no NVIDIA device" in done.stdout
    assert "passed" not in done.stdout
    assert list(tmp_path.iterdir()) == []
