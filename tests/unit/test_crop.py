"""What containers and bitstreams cut off pictures: found, cut once with every FFmpeg, never left to a GPU."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from reelpress.facts.media import Crop
from reelpress.plan.compress import plan
from reelpress.plan.geometry import crop_filter
from reelpress.plan.model import Encode
from reelpress.probe.media import probe
from reelpress.request import Request

import clips
import factories

CROP = Crop(left=80, right=40, top=50, bottom=30)


def test_a_clean_aperture_is_the_picture_to_show(tmp_path: Path) -> None:
    flat = clips.plain(tmp_path / "flat.mp4", seconds=0.2)
    track = probe(clips.clean_aperture(tmp_path / "cut.mp4", flat, (200, 100), (20, 10))).main_video
    assert track is not None
    assert track.crop == CROP
    assert (track.width, track.height, track.display_width, track.display_height) == (320, 180, 200, 100)
    assert not track.is_cut_left_or_top


@pytest.mark.parametrize(("name", "encoder"), [("c.mp4", "libx264"), ("c.ts", "libx264"), ("c.mkv", "libx265")])
def test_a_bitstream_that_cuts_at_the_left_is_known(tmp_path: Path, name: str, encoder: str) -> None:
    family = "h264" if encoder == "libx264" else "hevc"
    for cut, expected in (("crop_left=16:crop_top=8", True), ("crop_right=16:crop_bottom=8", False)):
        encode = ("-c:v", encoder, "-pix_fmt", "yuv420p", "-bsf:v", f"{family}_metadata={cut}")
        made = clips.make(tmp_path / name, *clips.picture(seconds=0.2), *encode)
        track = probe(made).main_video
        assert track is not None
        assert track.is_cut_left_or_top is expected


def test_a_crop_that_leaves_nothing_is_not_meant(tmp_path: Path) -> None:
    flat = clips.plain(tmp_path / "flat.mp4", seconds=0.2)
    raw = bytearray(clips.clean_aperture(tmp_path / "cut.mp4", flat, (200, 100), (20, 10)).read_bytes())
    at = raw.index(b"clap") + 4
    raw[at : at + 4] = (0).to_bytes(4, "big")
    (tmp_path / "none.mp4").write_bytes(raw)
    track = probe(tmp_path / "none.mp4").main_video
    assert track is not None
    assert (track.crop, track.display_width) == (None, 320)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_what_is_left_is_the_same_whoever_cuts_and_turns_first(turn: int, mirrored: bool) -> None:
    """FFmpeg 9 cuts, then turns; with 5.1 the filter cuts what was turned."""
    track = factories.video(width=320, height=180, rotation_deg=turn, mirrored=mirrored, crop=CROP)
    pixels = np.arange(320 * 180).reshape(180, 320)

    def upright(picture: np.ndarray) -> np.ndarray:
        return np.rot90(picture[::-1] if mirrored else picture, -turn // 90)

    cut_first = upright(pixels[CROP.top : 180 - CROP.bottom, CROP.left : 320 - CROP.right])
    (words,) = crop_filter(track)
    found = re.fullmatch(r"crop=(\d+):(\d+):([^:]+):([^:]+)", words)
    assert found is not None
    width, height, x, y = found.groups()
    for picture in (upright(pixels), cut_first):
        size = {"iw": picture.shape[1], "ih": picture.shape[0]}
        left, top = (int(eval(offset, {}, size)) for offset in (x, y))
        kept = picture[top : top + int(height), left : left + int(width)]
        assert np.array_equal(kept, cut_first)


@pytest.mark.parametrize("changes", [{"crop": Crop(left=0, right=0, top=8, bottom=0)}, {"is_cut_left_or_top": True}])
def test_gpu_frames_are_not_trusted_with_a_crop(changes: dict[str, object]) -> None:
    whole = plan(factories.media(factories.video()), factories.gpu_host(factories.gpu()), Request())
    cut = plan(factories.media(factories.video(**changes)), factories.gpu_host(factories.gpu()), Request())
    assert isinstance(whole, Encode)
    assert isinstance(cut, Encode)
    assert whole.attempts[0].rung == "gpu"
    assert [a.rung for a in cut.attempts if a.rung == "gpu"] == []
    assert "gpu_encode_only" in {reason.code for reason in cut.reasons}
