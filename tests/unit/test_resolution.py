"""``--resolution auto`` in pure code: which sizes are tried, what guards say, and what a choice makes of a request."""

from __future__ import annotations

from fractions import Fraction

import msgspec
import pytest

from reelpress.facts.quality import ContentFacts
from reelpress.plan.content import is_dark, is_drawn, is_grainy, keeps_size, may_halve_rate
from reelpress.plan.geometry import fit
from reelpress.plan.hull import AtTarget, Choice
from reelpress.plan.resolution import order, reasons, settled, sizes, windows, with_lines
from reelpress.quality.content import Stats
from reelpress.request import Request

from factories import video

CAMERA = ContentFacts(
    frames=180, luma=110.0, busy_share=0.72, edge_peak=180.0, noise_sigma=0.8, change=2.5, change_p95=4.0
)
# as measured of real files and of generated ones: docs/resolution.md
DRAWN = msgspec.structs.replace(CAMERA, busy_share=0.048, edge_peak=255.0, noise_sigma=1.25, change=1.03)
GRAIN = msgspec.structs.replace(CAMERA, busy_share=0.976, noise_sigma=3.16, change=3.7)
TEXTURE = msgspec.structs.replace(CAMERA, busy_share=0.95, noise_sigma=4.3, change=0.4)
NIGHT = msgspec.structs.replace(CAMERA, luma=30.0)


def at(lines: int, rate: float, crf: float) -> AtTarget:
    return AtTarget(lines=lines, crf=crf, bytes_per_s=rate, vmaf=92.0, worst=85.0)


def choice(*tried: AtTarget, chosen: int = 0) -> Choice:
    return Choice(chosen=tried[chosen], tried=tried, target=92.0, reached=True, ended="540 lines take more")


@pytest.mark.parametrize(
    ("shown", "box", "expected"),
    [
        ((1920, 1080), (1280, 720), [720, 540, 480, 360]),
        ((1920, 1080), (1920, 1080), [1080, 720, 540, 480, 360]),
        ((3840, 2160), (1920, 1080), [1080, 720, 540, 480, 360]),
        ((1080, 1920), (1280, 720), [720, 540, 480, 360]),
        ((1024, 576), (1280, 720), [576, 480, 360]),  # 540 is too near to 576
        ((640, 360), (1280, 720), [360]),
        ((1920, 800), (1280, 720), [534, 480, 360]),
        ((100, 100), (1280, 720), [100]),
    ],
)
def test_sizes_begin_with_the_box_s_own_and_only_get_smaller(
    shown: tuple[int, int], box: tuple[int, int], expected: list[int]
) -> None:
    track = video(width=shown[0], height=shown[1])
    found = sizes(track, Request(max_width=box[0], max_height=box[1]))
    assert list(found) == expected
    for lines, size in found.items():
        assert size.width % 2 == size.height % 2 == 0
        assert min(size.width, size.height) == lines
        assert size.width / size.height == pytest.approx(shown[0] / shown[1], rel=0.01)
        # and this is what a plan makes of it
        assert fit(track, with_lines(Request(max_width=box[0], max_height=box[1]), lines))[0] == size


def test_slides_and_grain_keep_their_size_and_cameras_do_not() -> None:
    assert is_drawn(DRAWN)
    assert is_grainy(GRAIN)
    assert not any(is_drawn(c) or is_grainy(c) for c in (CAMERA, TEXTURE, NIGHT))
    assert keeps_size(CAMERA) is None
    drawn, grain = keeps_size(DRAWN), keeps_size(GRAIN)
    assert drawn is not None
    assert drawn.code == "resolution_drawn"
    assert grain is not None
    assert grain.code == "resolution_grain"
    # flat and soft is no text: an empty sky
    assert not is_drawn(msgspec.structs.replace(DRAWN, edge_peak=13.0))


def test_half_the_frames_go_only_where_nothing_moves_at_a_high_rate() -> None:
    still = msgspec.structs.replace(CAMERA, change=0.2, change_p95=0.6)
    assert may_halve_rate(still, 60.0)
    assert not may_halve_rate(still, 30.0)
    assert not may_halve_rate(msgspec.structs.replace(still, change_p95=3.0), 60.0)  # moves now and then
    assert not may_halve_rate(CAMERA, 60.0)
    track = video(fps_avg=Fraction(60), fps_nominal=Fraction(60))
    kept = choice(at(720, 1000, 23))
    assert settled(kept, still, track, Request(max_fps=Fraction(60), resolution="auto")).max_fps == 30
    assert settled(kept, CAMERA, track, Request(max_fps=Fraction(60), resolution="auto")).max_fps == 60
    assert settled(kept, still, track, Request(resolution="auto")).max_fps == 30


def test_the_full_size_leaves_a_request_as_it_was() -> None:
    for asked in (Request(resolution="auto"), Request(resolution="auto", crf=28.0)):
        own = 23.0 if asked.crf is None else asked.crf
        after = settled(choice(at(720, 1000, own), at(540, 1100, own - 3)), CAMERA, video(), asked)
        assert after == msgspec.structs.replace(asked, resolution="fixed")


def test_a_smaller_size_comes_with_the_crf_that_scores_the_same() -> None:
    asked = Request(resolution="auto")
    picked = choice(at(720, 1000, 23), at(540, 800, 20.57), chosen=1)
    after = settled(picked, CAMERA, video(), asked)
    assert (after.max_width, after.max_height, after.crf) == (1280, 540, 20.5)
    told = reasons(picked, CAMERA, asked, after, sizes(video(), asked))
    assert told[0].code == "resolution_chosen"
    assert "960x540 at CRF 20.5" in told[0].text
    assert "20% fewer" in told[0].text
    av1 = settled(picked, CAMERA, video(), Request(resolution="auto", codec="av1", crf=34.0))
    assert av1.crf == 20.0


def test_in_the_dark_crf_never_gets_coarser_than_asked() -> None:
    assert is_dark(NIGHT)
    asked = Request(resolution="auto")
    picked = choice(at(720, 1000, 31.0))
    after = settled(picked, NIGHT, video(), asked)
    assert after.crf is None  # the encoder's own 23
    assert settled(picked, CAMERA, video(), asked).crf == 31.0
    told = reasons(picked, NIGHT, asked, after, sizes(video(), asked))
    assert [r.code for r in told] == ["resolution_kept", "resolution_dark"]
    assert "CRF 23" in told[1].text


@pytest.mark.parametrize("duration", [None, 0.5, 3.0, 9.0, 9.1, 60.0, 7200.0])
def test_windows_lie_within_the_programme(duration: float | None) -> None:
    found = windows(duration)
    assert sum(w.duration_s for w in found) <= 6.0
    for window in found:
        assert window.start_s >= 0
        assert window.start_s + window.duration_s <= (duration or 2.0) + 1e-6


def test_crf_that_is_tried_stays_on_the_encoder_s_scale() -> None:
    h264 = order(video(), Request(), None)
    assert (h264.crf, h264.crf_min, h264.crf_max, h264.crf_integer) == (23, 12, 40, False)
    av1 = order(video(), Request(codec="av1"), 93.0)
    assert (av1.crf, av1.crf_min, av1.crf_max, av1.crf_integer, av1.target) == (34, 15, 49, True, 93.0)
    assert order(video(), Request(crf=8.0), None).crf_min == 8


def test_statistics_of_frames_become_content() -> None:
    stats = Stats()
    lines = ["frame:0 pts:0 pts_time:0"]
    for luma, change in ((100.0, 0.0), (104.0, 2.0)):
        values = {"YAVG": luma, "UAVG": 3.0, "UMAX": 200, "VAVG": 51.0, "YDIF": change, "SATAVG": 1.0}
        lines += [f"lavfi.signalstats.{name}={value}" for name, value in values.items()]
    for line in (*lines, "lavfi.signalstats.YAVG=", "YAVG=3"):
        stats.feed(line)
    facts = stats.facts()
    assert (facts.frames, facts.luma, facts.edge_peak, facts.change) == (2, 102.0, 200.0, 1.0)
    assert facts.busy_share == pytest.approx(0.4)  # a fifth of the picture above, as much below
    assert facts.noise_sigma == pytest.approx(2 * 3.0 * 1.2533 / 6, abs=1e-3)
