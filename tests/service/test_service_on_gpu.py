"""The service on a machine with a (fake) GPU: it says so when it starts, and uses it."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import httpx
import pytest

import clips
import driver
from served import Service
from thorough import every_second

pytestmark = pytest.mark.gpu_fake


def said(service: Service, pattern: str, within_s: float = 120.0) -> str:
    deadline = time.monotonic() + within_s
    while (found := re.search(pattern, service.log.read_text())) is None:
        assert time.monotonic() < deadline, service.log.read_text()
        time.sleep(0.1)
    return found[0]


def submit(service: Service, path: Path, **settings: str) -> dict[str, object]:
    answer = httpx.post(
        f"{service.url}/v1/jobs", json={"input": {"path": str(path)}, "settings": {"always_encode": True, **settings}}
    )
    assert answer.status_code == 201, answer.text
    deadline = time.monotonic() + 120
    while (job := service.get(f"/v1/jobs/{answer.json()['id']}"))["status"] in ("queued", "running"):
        assert time.monotonic() < deadline, job
        time.sleep(0.1)
    return job  # type: ignore[no-any-return]


def environment(machine: driver.FakeMachine, tmp_path: Path, **more: str) -> dict[str, str]:
    return {
        **machine.env, "REELPRESS_DATA_DIR": str(tmp_path / "data"), "REELPRESS_PORT": "0",
        "REELPRESS_LOCAL_PATHS": str(tmp_path), "REELPRESS_CACHE_DIR": str(tmp_path / "cache"),
        "REELPRESS_GPU_PATIENCE": "1", **more,
    }  # fmt: skip


@pytest.mark.thorough
def test_the_switch_that_disable_gpu_turns(fake_nvidia: driver.FakeNvidia, tmp_path: Path) -> None:
    """`make disable-gpu` gives the containers of a new revision this one variable: the same data, another start."""
    machine = fake_nvidia.machine(driver.HEALTHY, 1)
    clip = clips.with_sound(tmp_path / "clip.mp4")
    seen = []
    for switch in ("true", "false"):
        env = environment(machine, tmp_path, ENABLE_GPU_ACCELERATION=switch)
        service = Service(env, tmp_path / f"serve-{switch}.log")
        try:
            job = submit(service, clip)
            assert job["status"] == "done", job
            result = job["result"]
            assert isinstance(result, dict)
            receipt = service.get(f"/v1/jobs/{job['id']}/receipt")
            seen.append((result["encoder"], result["device"]))
            if switch == "false":
                assert said(service, r"CPU-only mode[^\"]*")
                assert "cpu_asked" in {reason["code"] for reason in receipt["reasons"]}, receipt["reasons"]
        finally:
            service.end(signal.SIGKILL)
    assert seen == [("h264_nvenc", "nvidia"), ("libx264", "cpu")]


@pytest.mark.thorough
def test_a_spent_budget_moves_jobs_to_the_cpu_and_says_so(fake_nvidia: driver.FakeNvidia, tmp_path: Path) -> None:
    machine = fake_nvidia.machine(driver.HEALTHY, 1)
    clip = clips.with_sound(tmp_path / "clip.mp4")
    env = {
        **machine.env, "REELPRESS_DATA_DIR": str(tmp_path / "data"), "REELPRESS_PORT": "0",
        "REELPRESS_LOCAL_PATHS": str(tmp_path), "REELPRESS_CACHE_DIR": str(tmp_path / "cache"),
        "REELPRESS_PRICES": "cloud-run-l4", "REELPRESS_BUDGET": "0.0001", "REELPRESS_BUDGET_ACTION": "cpu",
    }  # fmt: skip
    service = Service(env, tmp_path / "serve.log")
    try:
        before = submit(service, clip)
        after, refused = submit(service, clip, crf="30"), submit(service, clip, hardware="require")
        costs = service.get("/v1/costs?by=encoder")
        receipt = service.get(f"/v1/jobs/{after['id']}/receipt")
    finally:
        service.end(signal.SIGKILL)
    assert (before["result"]["encoder"], after["result"]["encoder"]) == ("h264_nvenc", "libx264")  # type: ignore[index]
    assert "budget_spent" in [reason["code"] for reason in receipt["reasons"]]
    assert receipt["usd_parts"]["gpu"] > 0  # the instance has one, used or not
    assert refused["error"]["code"] == "budget_spent"  # type: ignore[index]
    assert (costs["budget"]["state"], costs["budget"]["action"]) == (4, "cpu")
    lines = {line["key"]: line for line in costs["report"]["lines"]}
    assert (lines["h264_nvenc"]["on_gpu"], lines["libx264"]["on_gpu"]) == (1, 0)
    assert costs["report"]["total"]["failed"] == 1


@pytest.mark.parametrize("faults", every_second(["dev0:open=10", ""]))
def test_a_gpu_is_named_only_if_it_encodes(fake_nvidia: driver.FakeNvidia, tmp_path: Path, faults: str) -> None:
    """The second machine's driver lists its GPU and has no encoder to give: that is no GPU."""
    machine = fake_nvidia.machine(driver.HEALTHY, 1, faults=faults)
    clip = clips.with_sound(tmp_path / "clip.mp4")
    service = Service(environment(machine, tmp_path), tmp_path / "serve.log")
    try:
        line = said(service, r"GPU acceleration enabled: [^\"]+|CPU-only mode: [^\"]+")
        job = submit(service, clip)
        assert job["status"] == "done", job
        result = job["result"]
        assert isinstance(result, dict)
        encoder = ("libx264", "cpu") if faults else ("h264_nvenc", "nvidia")
        assert (result["encoder"], result["device"]) == encoder
        assert line.startswith("CPU-only mode" if faults else "GPU acceleration enabled: Fake NVIDIA"), line
        receipt = service.get(f"/v1/jobs/{job['id']}/receipt")
        assert (receipt["gpu"] is None) == bool(faults)
        needs = submit(service, clip, hardware="require")
        assert (needs["status"] == "done") != bool(faults), needs
        text = httpx.get(f"{service.url}/metrics").text
        assert f'reelpress_job_results_total{{encoder="{encoder[0]}",kind="compress",status="done"}}' in text
        assert 'reelpress_gpu_memory_bytes{gpu="0"}' in text
        assert 'reelpress_gpu_slots_in_use{gpu="0"} 0.0' in text
        missed = 'reelpress_gpu_missed_total{reason="session_limit"} 1.0'
        fell_back = 'reelpress_fallbacks_total{encoder="h264_nvenc",failure="session_limit"}'
        assert (missed in text, fell_back in text) == (bool(faults), bool(faults)), text
    finally:
        service.end(signal.SIGKILL)
