"""What was promised for named hardware holds on it: ``REELPRESS_HARDWARE=NAME pytest -m performance``.

The input is generated and takes a while itself, and so does the work: a usual run of the tests does not select this.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest

from reelpress import compress
from reelpress.facts.values import to_json
from reelpress.run.process import Limits, run

pytestmark = pytest.mark.performance

PROMISES = tomllib.loads((Path(__file__).parent / "promises.toml").read_text())
HARDWARE = os.environ.get("REELPRESS_HARDWARE")
# A camera's rate at 720p, so that 300 MB are five minutes, as in the plans.
BITRATE_BPS = 8_000_000


UNNAMED = pytest.mark.skip(reason="name this machine, as REELPRESS_HARDWARE=cloud-run-l4")


def promised() -> list[Any]:
    if HARDWARE is None:
        return [pytest.param(0, 0.0, marks=UNNAMED)]
    of_hardware = PROMISES.get(HARDWARE or "", {})
    return [(int(size_mb), limit_s) for size_mb, limit_s in of_hardware.items() if size_mb.isdigit()]


def video_of(folder: Path, size_mb: int) -> Path:
    path = folder / f"{size_mb}.mp4"
    duration_s = size_mb * 8e6 / BITRATE_BPS
    source = f"testsrc2=s=1280x720:r=30:d={duration_s},noise=alls=20:allf=t"
    rate = ("-b:v", str(BITRATE_BPS), "-minrate", str(BITRATE_BPS), "-maxrate", str(BITRATE_BPS), "-bufsize", "8M",
            "-x264-params", "nal-hrd=cbr")  # fmt: skip
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", source, "-c:v", "libx264", "-preset",
            "ultrafast", *rate, "-pix_fmt", "yuv420p", str(path)]  # fmt: skip
    done = run(argv, limits=Limits(wall_s=3600))
    assert done.returncode == 0, done.stderr_tail
    return path


@pytest.mark.skipif(HARDWARE is None, reason=UNNAMED.kwargs["reason"])
def test_the_hardware_has_promises() -> None:
    assert HARDWARE in PROMISES, f"promises.toml has {', '.join(PROMISES)}"


@pytest.mark.parametrize(("size_mb", "limit_s"), promised())
def test_a_video_is_done_in_the_time_that_was_promised(size_mb: int, limit_s: float, tmp_path: Path) -> None:
    source = video_of(tmp_path, size_mb)
    size = source.stat().st_size
    assert abs(size - size_mb * 1e6) < 0.1 * size_mb * 1e6, "the generator missed the size"
    receipt = compress(source, tmp_path / "out.mp4")
    (tmp_path / "receipt.json").write_bytes(to_json(receipt))
    assert receipt.device == PROMISES[HARDWARE or ""]["device"], receipt.reasons
    assert receipt.wall_s <= limit_s, f"{receipt.wall_s:.1f} s for {size_mb} MB on {HARDWARE}"
