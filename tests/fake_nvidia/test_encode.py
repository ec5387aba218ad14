"""Encoding on a healthy machine: every frame, in order, with the right picture, by FFmpeg's own NVENC code."""

from __future__ import annotations

from pathlib import Path

import pytest

import clips
import driver
from gpu_runs import FRAMES, MIDDLE, SECONDS, FFmpeg, check_times, similarity, stream

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
