"""Clips, case by case: what is refused, at which frame a shot begins, and what becomes of colours and loudness."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from reelpress.clip_request import ClipRequest
from reelpress.facts.framing import Layout
from reelpress.facts.loudness import Loudness
from reelpress.facts.media import Colour
from reelpress.facts.quality import Window
from reelpress.plan.clip import clip_stretches
from reelpress.plan.clip_clock import Clock, clip_clock
from reelpress.plan.clip_colour import BT709_TAGS, clip_colour
from reelpress.plan.clip_graph import shot_frames
from reelpress.plan.clip_refusals import refuse, refuse_framing
from reelpress.plan.clip_sound import Level, level_for, level_heard
from reelpress.plan.encoders import cpu_row
from reelpress.plan.geometry import Size

from clip_work import framed, shot, window
from factories import host, media, video

STRIP = Size(width=1088, height=1920)
SMALL = Size(width=136, height=240)


@pytest.mark.parametrize(
    ("name", "is_refused"),
    [
        ("第１話\u3000はじめ", False), ("क्\u200dष", False), ("Ça va\u00a0?", False), ("👨\u200d👩 \U0001fae8", False),
        ("a\nb", True), ("a\x1b[31m", True), ("a\u2028b", True), ("a\x00", True), ("\ud800", True),
    ],
)  # fmt: skip
def test_a_name_is_one_line_of_any_script(name: str, *, is_refused: bool) -> None:
    refused = refuse(media(), host(), ClipRequest(start_s=0.0, end_s=5.0, name=name))
    assert (refused is not None and refused.reasons[0].code == "name_unusable") is is_refused


@pytest.mark.parametrize(
    ("start_s", "end_s", "hint"),
    [(3.0, 3.1, "Let it end later."), (9.9, 10.1, "Let it begin sooner."), (9.85, 9.9, "Let it begin sooner.")],
)
def test_a_clip_that_is_too_short_is_told_how_to_be_longer(start_s: float, end_s: float, hint: str) -> None:
    """Of 0.2 s that were asked for at the end of ten seconds 0.1 s are there; nothing ends later than the programme."""
    refused = refuse(media(), host(), ClipRequest(start_s=start_s, end_s=end_s))
    assert refused is not None
    assert (refused.reasons[0].code, refused.hint) == ("range_too_short", hint)


@pytest.mark.parametrize(
    "times", [(math.nan, 1, 2), (0, math.nan, 2), (-math.inf, 1, 2), (0, math.inf, 2), (0, 1e300, 2), (0, 1, math.nan)]
)
def test_a_framing_has_times_that_can_be_counted(times: tuple[float, float, float]) -> None:
    first_s, second_s, end_s = times
    refused = refuse_framing(framed(shot(first_s, second_s, "fit"), shot(second_s, end_s, "fit")))
    assert refused is not None
    assert refused.reasons[0].code == "framing_unusable"


@pytest.mark.parametrize("size", [STRIP, SMALL])
@pytest.mark.parametrize(("said", "ranges"), [(None, ""), ("limited", ""), ("full", ":in_range=pc:out_range=tv")])
def test_small_pictures_that_state_no_matrix_are_bt601_however_large_they_become(
    size: Size, said: str | None, ranges: str
) -> None:
    plan = clip_colour(video(width=640, height=360, colour=Colour(range=said)), size, cpu_row("h264"))
    scale = f"scale=w={size.width}:h={size.height}:in_color_matrix=bt601:out_color_matrix=bt709{ranges}"
    assert plan.filters == (scale, "format=yuv420p", "setsar=1", BT709_TAGS)
    assert "matrix_converted" in {reason.code for reason in plan.reasons}


@pytest.mark.parametrize("size", [STRIP, SMALL])
@pytest.mark.parametrize(("said", "ranges"), [("limited", ""), ("full", ":in_range=pc:out_range=tv")])
def test_large_pictures_that_state_no_matrix_are_bt709_however_small_they_become(
    size: Size, said: str, ranges: str
) -> None:
    plan = clip_colour(video(colour=Colour(range=said)), size, cpu_row("h264"))
    scale = f"scale=w={size.width}:h={size.height}{ranges}"
    assert plan.filters == (scale, "format=yuv420p", "setsar=1", BT709_TAGS)


def clock_of(fps: int, cap: int = 60) -> Clock:
    track = video(fps_avg=Fraction(fps), fps_nominal=Fraction(fps))
    request = ClipRequest(start_s=0.0, end_s=5.0, max_fps=Fraction(cap))
    return clip_clock(media(track), track, request)[0]


def begins_at(clock: Clock, t_s: float) -> int:
    _, (begin, _, _) = shot_frames(framed(shot(0, t_s, "fit"), shot(t_s, 10, "fit")), clock)
    return begin


@pytest.mark.parametrize(
    ("fps", "cap", "cut", "begin"),
    [
        (25, 60, 121, 121), (30, 60, 61, 61), (60, 60, 121, 121),
        (120, 60, 120, 60), (120, 60, 121, 61), (120, 60, 122, 61), (120, 60, 125, 63),
        (144, 60, 120, 40), (144, 60, 121, 41), (144, 60, 122, 41), (144, 60, 123, 41),
        # `fps=` shows a picture at the nearest frame, and in the middle at the later one
        (72, 60, 75, 63), (72, 60, 76, 63), (72, 60, 77, 64), (72, 60, 81, 68),
    ],
)  # fmt: skip
def test_a_shot_begins_with_the_first_frame_that_shows_it(fps: int, cap: int, cut: int, begin: int) -> None:
    clock = clock_of(fps, cap)
    for t_s in (cut / fps, round(cut / fps, 6)):
        assert begins_at(clock, t_s) == begin
        for first in (20, 37):  # of stretches that are made anew for a comparison
            assert begins_at(clock.part(first, 200), t_s) == begin - first


def test_frames_that_are_thinned_evenly_stay_those_of_the_sources_grid() -> None:
    assert (clock_of(120).fps, clock_of(144).fps) == (60, 48)
    assert "framestep=3" in clock_of(144).filters


def heard(*steps: tuple[float, float]) -> tuple[Level, list[float]]:
    """What is settled on where a limiter makes a sound so loud, by gain beyond what it lacks; and what was asked."""
    asked: list[float] = []

    def listen(level: Level) -> Loudness:
        asked.append(round(level.gain_db - 20.0, 1))
        return Loudness(integrated_lufs=dict(steps)[asked[-1]], true_peak_dbtp=-3.0)

    request = ClipRequest(start_s=0.0, end_s=5.0)
    return level_heard(request, Loudness(integrated_lufs=-34.0, true_peak_dbtp=-11.5), listen), asked


def test_a_limiter_is_given_more_gain_until_the_clip_is_loud_enough() -> None:
    level, asked = heard((0.0, -15.0), (1.0, -14.5), (1.5, -14.2))
    assert (level.gain_db, asked) == (pytest.approx(21.5), [0.0, 1.0, 1.5])


def test_gain_that_makes_a_clip_no_louder_is_not_kept() -> None:
    """Quiet parts that are loud enough to count draw the mean down: heard so in a real clip of two seconds."""
    level, _ = heard((0.0, -17.0), (3.0, -18.1), (7.1, -19.1), (12.0, -17.2))
    assert (level.gain_db, level.wanted_lufs) == (pytest.approx(20.0), -14.0)


@pytest.mark.parametrize(("measured", "is_told"), [(-44.0, False), (-44.1, True), (-59.5, True)])
def test_a_sound_that_is_too_quiet_for_what_was_asked_is_told(measured: float, is_told: bool) -> None:
    level = level_for(ClipRequest(start_s=0.0, end_s=5.0), Loudness(integrated_lufs=measured, true_peak_dbtp=-40.0))
    assert ("loudness_unreached" in {reason.code for reason in level.reasons}) is is_told
    assert level.gain_db == pytest.approx(30.0)


@pytest.mark.parametrize(("fps", "made_fps"), [(72, 60), (75, 60), (120, 60), (30, 30)])
def test_stretches_that_are_made_anew_begin_with_a_picture_of_the_source(fps: int, made_fps: int) -> None:
    """Elsewhere their frames would be other pictures than in the clip, and it would seem to differ from its source."""
    track = video(fps_avg=Fraction(fps), fps_nominal=Fraction(fps))
    request = ClipRequest(start_s=0.0, end_s=5.0)
    windows = [Window(start_s=start_s, duration_s=1.0) for start_s in (0.0, 1.03, 2.51, 3.99)]
    made = clip_stretches(media(track), request, framed(shot(0, 10, "fit")), windows)
    assert [stretch.fps for stretch in made] == [made_fps] * 4
    assert [(stretch.first * Fraction(fps, made_fps)).denominator for stretch in made] == [1] * 4
    near = [abs(stretch.first / made_fps - window.start_s) for stretch, window in zip(made, windows, strict=True)]
    assert max(near) < 0.2


@pytest.mark.parametrize("fps", [1, 5, 10, 15])
def test_a_clip_of_few_pictures_begins_and_ends_within_a_frame_of_what_was_asked_for(fps: int) -> None:
    """Its pictures are shown several times; with all of one before the start, sound would be missing at the end."""
    track = video(fps_avg=Fraction(fps), fps_nominal=Fraction(fps))
    request = ClipRequest(start_s=1.95, end_s=6.0)
    clock = clip_clock(media(track), track, request)[0]
    assert 0 <= request.start_s - clock.start_s <= 1 / clock.fps
    assert abs(clock.start_s + clock.duration_s - request.end_s) <= 1.5 / clock.fps


@pytest.mark.parametrize(("layout", "used"), [("fit", 0), ("still", 1), ("track", 1), ("split", 2)])
def test_windows_that_a_layout_does_not_use_change_nothing(layout: Layout, used: int) -> None:
    windows = [window((0.0, x, 0.5)) for x in (0.3, 0.6, 0.9)]
    request, whole = ClipRequest(start_s=0.0, end_s=5.0), [Window(start_s=0.0, duration_s=5.0)]
    made, more = (
        clip_stretches(media(), request, framed(shot(0, 10, layout, *windows[:count])), whole) for count in (used, 3)
    )
    assert made == more
