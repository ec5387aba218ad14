"""Faults: what FFmpeg makes of each, above all of those after which it says that all went well."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

import clips
import driver
from gpu_runs import CUDA, DECODE, FRAMES, SECONDS, SMALL, FFmpeg, ask_nvml, similarity, started, stream, until

pytestmark = pytest.mark.gpu_fake

SOURCE = clips.picture(SMALL, seconds=SECONDS)
NVENC = ("-pix_fmt", "yuv420p", "-c:v", "h264_nvenc")
NULL = ("-f", "null", "-")
ENDLESS = (*clips.picture(SMALL, seconds=100_000), *NVENC, *NULL)


@pytest.mark.parametrize(
    ("faults", "text", "code"),
    [
        ("cuInit=803", "cuInit(0) failed -> CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", 171),
        ("cuInit=999", "cuInit(0) failed -> CUDA_ERROR_UNKNOWN", 171),
        ("cuCtxCreate=2", "failed -> CUDA_ERROR_OUT_OF_MEMORY", 187),
        ("cuCtxCreate=46", "failed -> CUDA_ERROR_DEVICE_UNAVAILABLE", 187),
        ("open=10", "OpenEncodeSessionEx failed: out of memory (10)", 187),
        ("initialize=12", "InitializeEncoder failed: unsupported param (12)", 218),
        ("createinput=10", "CreateInputBuffer failed: out of memory (10)", 244),
        ("createbitstream=10", "CreateBitstreamBuffer failed: out of memory (10)", 244),
        ("encode@10=20", "EncodePicture failed!: generic error (20)", 171),
        ("encode@10=10", "EncodePicture failed!: out of memory (10)", 244),
        ("lock@5=20", "Failed locking bitstream buffer: generic error (20)", 171),
        ("eos=20", "EncodePicture failed!: generic error (20)", 171),
        ("encode@10=lost", "cuCtxPushCurrent(ctx->cu_context) failed -> CUDA_ERROR_UNKNOWN", 171),
    ],
)
def test_status_of_a_call(
    fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg, ffmpeg_path: str, faults: str, text: str, code: int
) -> None:
    machine = fake_nvidia.machine(faults=faults)
    done = ffmpeg(machine, *SOURCE, *NVENC, *NULL)
    assert text in done.stderr
    assert done.code == (code if ffmpeg_path == clips.ffmpeg() else 1)
    assert machine.journal("fault")


def test_failed_upload_is_silent(fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg, tmp_path: Path) -> None:
    machine, out = fake_nvidia.machine(faults="cuMemcpy2D@20=700"), tmp_path / "out.mp4"
    done = ffmpeg(machine, *CUDA, *SOURCE, "-vf", "format=nv12,hwupload", "-c:v", "h264_nvenc", "-cq", "15", out)
    assert done.code == 0
    assert "cuMemcpy2DAsync(&cpy, hwctx->stream) failed -> CUDA_ERROR_ILLEGAL_ADDRESS" in done.stderr
    assert len(stream(out)["packets"]) == FRAMES
    assert similarity(out, SMALL) < 0.9


def test_failed_decoding_is_silent(
    fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg, h264_clip: Path, tmp_path: Path
) -> None:
    machine, out = fake_nvidia.machine(faults="cuvidDecodePicture@10+1=700"), tmp_path / "out.mp4"
    done = ffmpeg(machine, *DECODE, "-extra_hw_frames", "12", "-i", h264_clip, "-c:v", "h264_nvenc", out)
    assert done.code == 0
    assert "cuvidDecodePicture" in done.stderr
    assert "failed -> CUDA_ERROR_ILLEGAL_ADDRESS" in done.stderr


def test_refused_kernels(fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg) -> None:
    machine = fake_nvidia.machine(faults="cuModuleLoadData=222")
    done = ffmpeg(machine, *CUDA, *SOURCE, "-vf", "format=nv12,hwupload,scale_cuda=160:90", "-c:v", "h264_nvenc", *NULL)
    assert done.code != 0
    assert "cuModuleLoadData" in done.stderr
    assert "CUDA_ERROR_UNSUPPORTED_PTX_VERSION" in done.stderr


def test_busy_once_is_retried_by_ffmpeg(fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg, tmp_path: Path) -> None:
    machine, out = fake_nvidia.machine(faults="encode@10+1=18"), tmp_path / "out.mp4"
    assert ffmpeg(machine, *SOURCE, *NVENC, out).code == 0
    assert len(stream(out)["packets"]) == FRAMES


@pytest.mark.parametrize("call", ["cuInit", "open", "encode@5"])
def test_hang_is_ended_by_nothing_but_a_kill(fake_nvidia: driver.FakeNvidia, ffmpeg_path: str, call: str) -> None:
    machine = fake_nvidia.machine(faults=f"{call}=hang")
    with started(ffmpeg_path, machine, *ENDLESS) as process:
        until(lambda: machine.journal("fault"))
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert process.poll() is None
        process.kill()
        assert process.wait() == -signal.SIGKILL


def test_crash(fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg) -> None:
    done = ffmpeg(fake_nvidia.machine(faults="encode@5=crash"), *SOURCE, *NVENC, *NULL)
    assert (done.code, done.stderr) == (-signal.SIGSEGV, "")


def test_fault_of_one_device(fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg) -> None:
    machine = fake_nvidia.machine(gpus=2, faults="dev1:encode@10=20")
    whole, broken = (ffmpeg(machine, *SOURCE, *NVENC, *NULL, CUDA_VISIBLE_DEVICES=d) for d in "01")
    assert (whole.code, whole.stderr) == (0, "")
    assert "EncodePicture failed!: generic error (20)" in broken.stderr


def test_fault_of_the_first_processes(fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg) -> None:
    machine = fake_nvidia.machine(faults="encode@10=20!2")
    assert [ffmpeg(machine, *SOURCE, *NVENC, *NULL).code == 0 for _ in range(3)] == [False, False, True]
    machine.set_faults("encode@10=20!")
    assert [ffmpeg(machine, *SOURCE, *NVENC, *NULL).code == 0 for _ in range(2)] == [False, True]


def test_fault_of_all_but_the_first_processes(fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg) -> None:
    machine = fake_nvidia.machine(faults="cuInit=803~,encode@10=20~2")
    assert [ffmpeg(machine, *SOURCE, *NVENC, *NULL).code == 0 for _ in range(2)] == [True, False]
    machine.set_faults("encode@10=20~2")
    assert [ffmpeg(machine, *SOURCE, *NVENC, *NULL).code == 0 for _ in range(3)] == [True, True, False]


def test_fault_of_one_process(fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg) -> None:
    machine = fake_nvidia.machine()
    for job in ("a", "b"):
        ours = {"FAKENV_FAULTS": f"encode@10=20!1#{job}"}
        assert ffmpeg(machine, *SOURCE, *NVENC, *NULL).code == 0
        assert "generic error (20)" in ffmpeg(machine, *SOURCE, *NVENC, *NULL, **ours).stderr
        assert ffmpeg(machine, *SOURCE, *NVENC, *NULL, **ours).code == 0


def test_lost_device_is_lost_to_all(fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg, ffmpeg_path: str) -> None:
    machine = fake_nvidia.machine(gpus=2)
    names = "[n.nvmlDeviceGetName(d) for d in devices]"
    with started(ffmpeg_path, machine, *ENDLESS) as process:
        until(lambda: machine.journal("init"))
        machine.set_faults(f"dev0:{driver.GPU_LOST}")
        assert process.wait(timeout=20) != 0
    assert "CUDA_ERROR_UNKNOWN" in ffmpeg(machine, *SOURCE, *NVENC, *NULL, CUDA_VISIBLE_DEVICES="0").stderr
    assert ffmpeg(machine, *SOURCE, *NVENC, *NULL, CUDA_VISIBLE_DEVICES="1").code == 0
    assert "GPU is lost" in ask_nvml(machine, names)
    machine.set_faults()
    assert len(ask_nvml(machine, names)) == 2


def test_faults_change_while_processes_run(fake_nvidia: driver.FakeNvidia, ffmpeg_path: str) -> None:
    machine = fake_nvidia.machine(faults="encode=5ms")
    with started(ffmpeg_path, machine, *ENDLESS) as process:
        until(lambda: machine.journal("init"))
        time.sleep(0.2)
        assert process.poll() is None
        machine.set_faults("encode=10")
        assert process.wait(timeout=20) != 0
        assert process.stderr is not None
        assert "EncodePicture failed!: out of memory (10)" in process.stderr.read()


def test_slow(fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg) -> None:
    began = time.monotonic()
    assert ffmpeg(fake_nvidia.machine(faults="encode=20ms"), *SOURCE, *NVENC, *NULL).code == 0
    assert time.monotonic() - began > FRAMES * 0.02


@pytest.mark.parametrize(
    ("status", "error"), [(9, "NVMLError_DriverNotLoaded"), (18, "NVMLError_LibRmVersionMismatch")]
)
def test_nvml_does_not_start(fake_nvidia: driver.FakeNvidia, status: int, error: str) -> None:
    assert error in ask_nvml(fake_nvidia.machine(faults=f"nvmlInit={status}"), "1")


def test_driver_mismatch(fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg) -> None:
    machine = fake_nvidia.machine(faults=driver.DRIVER_MISMATCH)
    assert "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH" in ffmpeg(machine, *SOURCE, *NVENC, *NULL).stderr
    assert "LibRmVersionMismatch" in ask_nvml(machine, "1")
