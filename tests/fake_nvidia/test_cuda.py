"""CUDA frames, filters and NVDEC, compared with what FFmpeg makes of the same on the CPU."""

from __future__ import annotations

from pathlib import Path

import pytest

import clips
import driver
from gpu_runs import CUDA, DECODE, FRAMES, SECONDS, SMALL, FFmpeg, check_times, similarity, stream

pytestmark = pytest.mark.gpu_fake

SOURCE = clips.picture(SMALL, seconds=SECONDS)
FAST = ("-cq", "15", "-bf", "2")


def hashes(path: Path) -> list[str]:
    return [line.split(",")[-1].strip() for line in path.read_text().splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_uploaded_frames(fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg, tmp_path: Path, codec: str) -> None:
    machine, out = fake_nvidia.machine(), tmp_path / "out.mp4"
    done = ffmpeg(machine, *CUDA, *SOURCE, "-vf", "format=nv12,hwupload", "-c:v", f"{codec}_nvenc", *FAST, out)
    assert (done.code, done.stderr) == (0, "")
    check_times(stream(out))
    assert similarity(out, SMALL) > 0.97
    assert [e["left_bytes"] for e in machine.journal("cuCtxDestroy")] == [0]


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
def test_scaling(fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg, tmp_path: Path, interpolation: str) -> None:
    out = tmp_path / "out.mp4"
    graph = f"format=nv12,hwupload,scale_cuda=160:90:interp_algo={interpolation}"
    done = ffmpeg(fake_nvidia.machine(), *CUDA, *SOURCE, "-vf", graph, "-c:v", "h264_nvenc", *FAST, out)
    assert (done.code, done.stderr) == (0, "")
    assert similarity(out, SMALL, f"scale=160:90:flags={interpolation}") > 0.93


def test_decoded_scaled_encoded(
    fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg, h264_clip: Path, tmp_path: Path
) -> None:
    machine, out = fake_nvidia.machine(), tmp_path / "out.mp4"
    graph = "format=nv12|cuda,hwupload,scale_cuda=160:90"
    done = ffmpeg(machine, *DECODE, "-i", h264_clip, "-vf", graph, "-c:v", "h264_nvenc", *FAST, out)
    assert (done.code, done.stderr) == (0, "")
    check_times(stream(out))
    assert similarity(out, SMALL, "scale=160:90:flags=bicubic") > 0.93
    assert [e["pictures"] for e in machine.journal("decoder end")] == [FRAMES]


def test_decodes_as_software_does(
    fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg, h264_clip: Path, tmp_path: Path
) -> None:
    on_gpu, on_cpu = tmp_path / "gpu", tmp_path / "cpu"
    download = ("-vf", "hwdownload,format=nv12,format=yuv420p", "-f", "framemd5", on_gpu)
    done = ffmpeg(fake_nvidia.machine(), *DECODE, "-i", h264_clip, *download)
    assert (done.code, done.stderr) == (0, "")
    clips.make(on_cpu, "-i", str(h264_clip), "-pix_fmt", "yuv420p", "-f", "framemd5")
    assert len(hashes(on_gpu)) == FRAMES
    assert hashes(on_gpu) == hashes(on_cpu)


@pytest.mark.parametrize(
    ("kind", "refusal"),
    [
        ("hevc", "Hardware is lacking required capabilities"),
        ("h264 10 bits", ""),  # FFmpeg 5.1 knows that no GPU does that, and does not ask
        ("no nvdec", "Hardware is lacking required capabilities"),
        ("no library", "Cannot load libnvcuvid.so.1"),
        (
            "no decoder",
            "decoder->cvdl->cuvidCreateDecoder(&decoder->decoder, params) failed -> CUDA_ERROR_OUT_OF_MEMORY",
        ),
    ],
)
def test_falls_back_to_software(
    fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg, h264_clip: Path, tmp_path: Path, kind: str, refusal: str
) -> None:
    source, machine = h264_clip, fake_nvidia.machine()
    if kind == "hevc":
        x265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none")
        source = clips.make(tmp_path / "in.mp4", *SOURCE, *x265)
    elif kind == "h264 10 bits":
        source = clips.make(tmp_path / "in.mp4", *SOURCE, "-c:v", "libx264", "-pix_fmt", "yuv420p10le")
    elif kind == "no nvdec":
        machine = fake_nvidia.machine(nvdec=False)
    elif kind == "no library":
        machine = fake_nvidia.machine(leave_out=[driver.NVDEC])
    else:
        machine.set_faults("cuvidCreateDecoder=2")
    out = tmp_path / "out.mp4"
    graph = "format=nv12|cuda,hwupload,scale_cuda=160:90"
    done = ffmpeg(machine, *DECODE, "-i", source, "-vf", graph, "-c:v", "h264_nvenc", *FAST, out)
    assert done.code == 0
    assert refusal in done.stderr
    assert not refusal or "Failed setup for format cuda: hwaccel initialisation returned error." in done.stderr
    assert len(stream(out)["packets"]) == FRAMES
    assert machine.journal("decoder end") == []


def test_interlaced_is_decoded(fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg, tmp_path: Path) -> None:
    source = clips.interlaced(tmp_path / "in.mp4")
    on_gpu, on_cpu = tmp_path / "gpu", tmp_path / "cpu"
    done = ffmpeg(
        fake_nvidia.machine(), *DECODE, "-i", source, "-vf", "hwdownload,format=nv12,format=yuv420p",
        "-f", "framemd5", on_gpu,
    )  # fmt: skip
    assert (done.code, done.stderr) == (0, "")
    clips.make(on_cpu, "-i", str(source), "-pix_fmt", "yuv420p", "-f", "framemd5")
    assert hashes(on_gpu) == hashes(on_cpu)


def test_several_outputs_of_one_process(fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg, tmp_path: Path) -> None:
    machine = fake_nvidia.machine()
    graph = "[0:v]format=nv12,hwupload,split=2[a][b];[a]scale_cuda=240:136[x];[b]scale_cuda=160:90[y]"
    outputs = [
        part
        for label in "xy"
        for part in ("-map", f"[{label}]", "-c:v", "h264_nvenc", *FAST, tmp_path / f"{label}.mp4")
    ]
    done = ffmpeg(machine, *CUDA, *SOURCE, "-filter_complex", graph, *outputs)
    assert (done.code, done.stderr) == (0, "")
    assert [stream(tmp_path / f"{label}.mp4")["width"] for label in "xy"] == [240, 160]
    assert len(machine.journal("close")) == 2
