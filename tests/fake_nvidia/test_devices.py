"""Several GPUs, and what several processes share: who sees which, sessions, memory."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

import clips
import driver
from gpu_runs import CUDA, MIDDLE, FFmpeg, ask_nvml, run, started, until

pytestmark = pytest.mark.gpu_fake

SOURCE = clips.picture(MIDDLE, seconds=0.4)
SHORT = (*SOURCE, "-pix_fmt", "yuv420p")
ENDLESS = (*clips.picture("320x180", seconds=100_000), "-pix_fmt", "yuv420p", "-c:v", "h264_nvenc", "-f", "null", "-")
SLOWLY = "encode=50ms"
NULL = ("-f", "null", "-")


def used(machine: driver.FakeMachine) -> list[int]:
    return [e["dev"] for e in machine.journal("init")]


@pytest.mark.parametrize(
    ("visible", "wanted"),
    [
        ("0", 0), ("1", 1), ("2", 2), ("2,0", 2), ("1,7,0", 1), (" 1 , 0", 1), ("{uuid1}", 1), ("{prefix2},0", 2),
        ("", None), ("-1", None), ("7", None), ("none", None), ("GPU-", None), ("1,1", None), ("MIG-1", None),
    ],
)  # fmt: skip
def test_cuda_visible_devices(fake_nvidia: driver.FakeNvidia, visible: str, wanted: int | None) -> None:
    machine = fake_nvidia.machine(gpus=3)
    wish = visible.format(uuid1=machine.devices[1].uuid, prefix2=machine.devices[2].uuid[:12])
    done = run(clips.ffmpeg(), machine, *SHORT, "-c:v", "h264_nvenc", *NULL, CUDA_VISIBLE_DEVICES=wish)
    assert used(machine) == ([] if wanted is None else [wanted])
    assert ("CUDA_ERROR_NO_DEVICE" in done.stderr) == (wanted is None)
    assert ask_nvml(machine, "len(devices)", CUDA_VISIBLE_DEVICES=wish) == 3


@pytest.mark.parametrize(("gpu", "wanted"), [("0", 2), ("1", 0), ("2", None)])
def test_visible_devices_are_numbered_anew(
    fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg, gpu: str, wanted: int | None
) -> None:
    machine = fake_nvidia.machine(gpus=3)
    done = ffmpeg(machine, *SHORT, "-c:v", "h264_nvenc", "-gpu", gpu, *NULL, CUDA_VISIBLE_DEVICES="2,0")
    assert used(machine) == ([] if wanted is None else [wanted])
    assert ("No capable devices found" in done.stderr) == (wanted is None)


def test_cuda_numbers_the_fastest_first_and_nvml_by_bus(fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg) -> None:
    machine = fake_nvidia.machine(["t4", "l4-610"], driver="610")
    ffmpeg(machine, *SHORT, "-c:v", "h264_nvenc", "-gpu", "0", *NULL)
    ffmpeg(machine, *SHORT, "-c:v", "h264_nvenc", "-gpu", "0", *NULL, CUDA_DEVICE_ORDER="PCI_BUS_ID")
    assert used(machine) == [1, 0]
    assert ask_nvml(machine, "[n.nvmlDeviceGetName(d) for d in devices]") == ["Fake NVIDIA T4", "Fake NVIDIA L4"]


def test_cuda_filters_run_on_the_device_they_are_given(fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg) -> None:
    machine = fake_nvidia.machine(gpus=2)
    device = ("-init_hw_device", "cuda=cu:1", "-filter_hw_device", "cu")
    done = ffmpeg(machine, *device, *SOURCE, "-vf", "format=nv12,hwupload", "-c:v", "h264_nvenc", *NULL)
    assert (done.code, done.stderr) == (0, "")
    assert {e["dev"] for e in machine.journal("cuCtxCreate")} == {1}
    assert used(machine) == [1]


def test_nvml_tells_devices_apart(fake_nvidia: driver.FakeNvidia) -> None:
    machine = fake_nvidia.machine(["l4", "h100"])
    for device in machine.devices:
        by_uuid = f"n.nvmlDeviceGetIndex(n.nvmlDeviceGetHandleByUUID('{device.uuid}'))"
        by_bus = f"n.nvmlDeviceGetIndex(n.nvmlDeviceGetHandleByPciBusId('{device.pci}'))"
        assert ask_nvml(machine, f"[{by_uuid}, {by_bus}]") == [device.index, device.index]
    assert len({d.uuid for d in machine.devices}) == len({d.pci for d in machine.devices}) == 2


@pytest.mark.parametrize("refusal", [10, 21])
def test_sessions_of_a_device_over_processes(
    fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg, ffmpeg_path: str, refusal: int
) -> None:
    machine = fake_nvidia.machine(gpus=2, sessions=2, session_refusal=refusal, faults=SLOWLY)
    first = "n.nvmlDeviceGetEncoderSessions(devices[0])"
    with started(ffmpeg_path, machine, *ENDLESS), started(ffmpeg_path, machine, *ENDLESS) as second:
        until(lambda: len(machine.journal("init")) == 2)
        third = ffmpeg(machine, *SHORT, "-c:v", "h264_nvenc", *NULL, CUDA_VISIBLE_DEVICES="0")
        assert third.code != 0
        text = {10: "out of memory (10)", 21: "incompatible client key (21)"}[refusal]
        assert f"OpenEncodeSessionEx failed: {text}" in third.stderr
        assert "No capable devices found" in third.stderr
        pids = ask_nvml(machine, f"[s.pid for s in {first}]")
        assert second.pid in pids
        assert len(pids) == 2
        assert ask_nvml(machine, f"[[s.codecType, s.hResolution, s.vResolution] for s in {first}][0]") == [0, 320, 180]
        other = ffmpeg(machine, *SHORT, "-c:v", "h264_nvenc", *NULL, CUDA_VISIBLE_DEVICES="1")
        assert (other.code, other.stderr) == (0, "")
        second.send_signal(signal.SIGKILL)
        second.wait()
        freed = ffmpeg(machine, *SHORT, "-c:v", "h264_nvenc", *NULL, CUDA_VISIBLE_DEVICES="0")
        assert (freed.code, freed.stderr) == (0, "")


def test_ffmpeg_goes_on_to_the_next_device_by_itself(
    fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg, ffmpeg_path: str
) -> None:
    machine = fake_nvidia.machine(gpus=2, sessions=1, faults=SLOWLY)
    with started(ffmpeg_path, machine, *ENDLESS):
        until(lambda: machine.journal("init"))
        done = ffmpeg(machine, *SHORT, "-c:v", "h264_nvenc", *NULL)
    assert done.code == 0
    assert "OpenEncodeSessionEx failed: out of memory (10)" in done.stderr
    assert used(machine) == [0, 1]


def test_sessions_of_one_process_count_too(fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg, tmp_path: Path) -> None:
    machine = fake_nvidia.machine(sessions=2)
    outputs = [part for _ in range(3) for part in ("-c:v", "h264_nvenc", *NULL)]
    assert "out of memory (10)" in ffmpeg(machine, *SHORT, *outputs).stderr


def test_geforce_counts_sessions_of_the_whole_machine(fake_nvidia: driver.FakeNvidia, ffmpeg_path: str) -> None:
    machine = fake_nvidia.machine("geforce", gpus=2, machine_sessions=3, faults=SLOWLY)
    with ExitStack() as running:
        for device in "011":
            running.enter_context(started(ffmpeg_path, machine, *ENDLESS, CUDA_VISIBLE_DEVICES=device))
        until(lambda: len(machine.journal("init")) == 3)
        refused = run(ffmpeg_path, machine, *SHORT, "-c:v", "h264_nvenc", *NULL, CUDA_VISIBLE_DEVICES="0")
        assert "OpenEncodeSessionEx failed: out of memory (10)" in refused.stderr
    assert driver.PROFILES["geforce"].machine_sessions == 8


def test_nvml_follows_what_is_in_use(fake_nvidia: driver.FakeNvidia, ffmpeg_path: str) -> None:
    machine = fake_nvidia.machine("l4", driver="610", gpus=2, faults=SLOWLY)
    asked = (
        "[[n.nvmlDeviceGetEncoderUtilization(d)[0], len(n.nvmlDeviceGetEncoderSessions(d)),"
        " n.nvmlDeviceGetMemoryInfo(d).used >> 20] for d in devices]"
    )
    assert ask_nvml(machine, asked) == [[0, 0, 0], [0, 0, 0]]
    profile = machine.devices[0].profile
    with started(ffmpeg_path, machine, *ENDLESS, CUDA_VISIBLE_DEVICES="1"):
        until(lambda: machine.journal("init"))
        idle, (load, sessions, memory) = ask_nvml(machine, asked)
        assert idle == [0, 0, 0]
        assert 0 < load < 100
        assert sessions == 1
        assert memory == profile.context_mb + profile.session_mb
    until(lambda: ask_nvml(machine, asked) == [[0, 0, 0], [0, 0, 0]])


def test_memory_is_shared_by_processes(fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg, ffmpeg_path: str) -> None:
    machine = fake_nvidia.machine(gpus=2, vram_mb=400, faults=SLOWLY)
    with started(ffmpeg_path, machine, *ENDLESS):
        until(lambda: machine.journal("init"))
        refused = ffmpeg(machine, *SHORT, "-c:v", "h264_nvenc", *NULL)
        assert "InitializeEncoder failed: out of memory (10)" in refused.stderr
        assert ffmpeg(machine, *SHORT, "-c:v", "h264_nvenc", *NULL, CUDA_VISIBLE_DEVICES="1").code == 0
    until(lambda: ffmpeg(machine, *SHORT, "-c:v", "h264_nvenc", *NULL).code == 0)


def test_frames_take_device_memory(fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg) -> None:
    machine = fake_nvidia.machine(vram_mb=driver.PROFILES[driver.HEALTHY].context_mb)
    done = ffmpeg(machine, *CUDA, *SOURCE, "-vf", "format=nv12,hwupload,hwdownload,format=nv12", *NULL)
    assert done.code != 0
    assert "cu->cuMemAlloc(&data, size) failed -> CUDA_ERROR_OUT_OF_MEMORY" in done.stderr
    assert machine.journal("out of memory")
