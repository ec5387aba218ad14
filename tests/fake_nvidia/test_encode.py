"""Encoding on a healthy machine: every frame, in order, with the right picture, by FFmpeg's own NVENC code."""

from __future__ import annotations

from pathlib import Path

import pytest

import clips
import driver
from gpu_runs import FRAMES, MIDDLE, SECONDS, SMALL, FFmpeg, check_times, similarity, stream

pytestmark = pytest.mark.gpu_fake


@pytest.mark.parametrize("bframes", [0, 3])
@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_every_frame_in_order(
    fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg, tmp_path: Path, codec: str, bframes: int
) -> None:
    machine, out = fake_nvidia.machine(), tmp_path / "out.mp4"
    encode = ("-c:v", f"{codec}_nvenc", "-cq", "23", "-bf", str(bframes), "-g", "10")
    done = ffmpeg(machine, *clips.picture(MIDDLE, seconds=SECONDS), *encode, out)
    assert (done.code, done.stderr) == (0, "")
    found = stream(out)
    assert (found["codec_name"], found["pix_fmt"]) == (codec, "yuv420p")
    check_times(found)
    assert sum(f["pict_type"] == "I" for f in found["frames"]) == -(-FRAMES // 10)
    assert any(f["pict_type"] == "B" for f in found["frames"]) == bool(bframes)
    assert similarity(out, MIDDLE) > 0.98
    (opened,), (closed,) = machine.journal("init"), machine.journal("close")
    assert (opened["codec"], opened["w"], opened["h"], opened["cq"]) == (codec, 640, 360, 23)
    assert closed["in"] == closed["out"] == FRAMES


def test_ten_bits(fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    colours = "setparams=colorspace=bt2020nc:color_primaries=bt2020:color_trc=smpte2084"
    encode = ("-vf", f"format=p010le,{colours}", "-c:v", "hevc_nvenc", "-cq", "20", "-bf", "3")
    done = ffmpeg(fake_nvidia.machine(), *clips.picture(SMALL, seconds=SECONDS), *encode, out)
    assert done.code == 0
    found = stream(out)
    assert (found["profile"], found["pix_fmt"]) == ("Main 10", "yuv420p10le")
    assert (found["color_space"], found["color_transfer"]) == ("bt2020nc", "smpte2084")
    check_times(found)
    assert similarity(out, SMALL) > 0.97


def test_planar_444(fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    encode = ("-pix_fmt", "yuv444p", "-c:v", "h264_nvenc", "-cq", "20")
    done = ffmpeg(fake_nvidia.machine(), *clips.picture(SMALL, seconds=SECONDS), *encode, out)
    assert (done.code, done.stderr) == (0, "")
    assert stream(out)["pix_fmt"] == "yuv444p"
    assert similarity(out, SMALL) > 0.97


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_quality_is_what_cq_says(fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg, tmp_path: Path, codec: str) -> None:
    sizes = []
    for cq in (20, 28, 36):
        out = tmp_path / f"{cq}.mp4"
        source = clips.picture(SMALL, seconds=SECONDS)
        assert ffmpeg(fake_nvidia.machine(), *source, "-c:v", f"{codec}_nvenc", "-cq", cq, out).code == 0
        sizes.append(out.stat().st_size)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 2 * sizes[-1]


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_impatient_client(fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg, tmp_path: Path, codec: str) -> None:
    out = tmp_path / "out.mp4"
    encode = ("-c:v", f"{codec}_nvenc", "-delay", "0", "-bf", "2")
    done = ffmpeg(fake_nvidia.machine(), *clips.picture(SMALL, seconds=SECONDS), *encode, out)
    assert (done.code, done.stderr) == (0, "")
    check_times(stream(out))
    assert similarity(out, SMALL) > 0.95


def test_forced_key_frames(fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    encode = ("-c:v", "h264_nvenc", "-bf", "3", "-force_key_frames", "0.52", "-forced-idr", "1")
    done = ffmpeg(fake_nvidia.machine(), *clips.picture(SMALL, seconds=SECONDS), *encode, out)
    assert (done.code, done.stderr) == (0, "")
    found = stream(out)
    keys = [p["pts"] for p in found["packets"] if p["flags"].startswith("K")]
    assert len(keys) == 2
    assert sorted(p["pts"] for p in found["packets"]).index(keys[1]) == 13


def test_uneven_times(fake_nvidia: driver.FakeNvidia, ffmpeg: FFmpeg, tmp_path: Path) -> None:
    source, out = clips.variable(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    done = ffmpeg(fake_nvidia.machine(), "-i", source, "-fps_mode", "vfr", "-c:v", "h264_nvenc", "-bf", "3", out)
    assert done.code == 0
    shown = [sorted(float(p["pts_time"]) for p in stream(path)["packets"]) for path in (source, out)]
    assert shown[0] == pytest.approx(shown[1], abs=0.001)
