"""Pictures put together by what they show, and sound by what it sounds like: on made-up pictures, without FFmpeg."""

from __future__ import annotations

import numpy as np
import pytest

from reelpress.facts.media import AudioTrack
from reelpress.quality.align import match, slack, usual_gap
from reelpress.quality.damage import judge_levels, judge_pictures, levels_of
from reelpress.quality.looking import Seen
from reelpress.quality.motion import Motion, judge_motion
from reelpress.quality.sound import SoundLag, find_lag, judge_sound

FPS = 30


def seen(numbers: list[int], at_s: list[float] | None = None, noise: float = 0.0) -> Seen:
    """Pictures of a bright square that moves by a pixel a frame over a rough ground; ``numbers`` are its places."""
    ground = np.random.default_rng(1).integers(60, 120, (36, 64))
    luma = np.repeat(ground[None], len(numbers), axis=0).astype(np.float64)
    for row, number in enumerate(numbers):
        left = 2 + number % 50
        luma[row, 8:24, left : left + 10] = 210
        luma[row, 26:34, 60 - left : 64 - left] = 20
    luma += np.random.default_rng(2).normal(0, noise, luma.shape)
    grey = np.full((len(numbers), 18, 32), 128, np.uint8)
    times = np.array(at_s if at_s is not None else [n / FPS for n in range(len(numbers))])
    return Seen(times, (np.clip(luma, 0, 255).astype(np.uint8), grey, grey.copy()))


def judged(made: Seen, wanted: Seen) -> Motion:
    gaps = usual_gap((made,)), usual_gap((wanted,))
    return judge_motion(match(made, wanted, slack(*gaps)), frame_s=gaps[1], made_frame_s=gaps[0], is_all=True)


REFERENCE = seen(list(range(90)))


@pytest.mark.parametrize("noise", [0.0, 4.0])
def test_copies_and_coarse_encodes_are_on_time(noise: float) -> None:
    found = judged(seen(list(range(90)), noise=noise), REFERENCE)
    assert found.findings == ()
    assert found.lag_s == 0


def test_times_that_tremble_and_frames_left_out_evenly_are_no_damage() -> None:
    at_s = [n / FPS + 0.006 * np.sin(n) for n in range(90)]
    assert judged(seen(list(range(90)), at_s), REFERENCE).findings == ()
    every_third = list(range(0, 90, 3))
    assert judged(seen(every_third, [n / FPS for n in every_third]), REFERENCE).findings == ()


def test_a_lost_frame_is_found_with_and_without_the_gap_it_leaves() -> None:
    rest = [n for n in range(90) if n != 40]
    gap = judged(seen(rest, [n / FPS for n in rest]), REFERENCE)
    assert [(f.code, f.at_s) for f in gap.findings] == [("frames_lost", 1.333)]
    closed = judged(seen(rest), REFERENCE)
    assert ("frames_lost", 1.333) in [(f.code, f.at_s) for f in closed.findings]


def test_a_frozen_picture_is_found_and_what_it_covered_is_not_lost_besides() -> None:
    numbers = [*range(40), *[39] * 6, *range(46, 90)]
    assert [(f.code, f.evidence) for f in judged(seen(numbers), REFERENCE).findings] == [("frozen", "6 repeated")]


@pytest.mark.parametrize("late", [1, 3, 20])
def test_pictures_that_come_late_are_found_by_how_much(late: int) -> None:
    found = judged(seen([*[0] * late, *range(90 - late)]), REFERENCE)
    assert found.lag_s == pytest.approx(-late / FPS, abs=1e-6)
    assert "video_shifted" in [f.code for f in found.findings]


def test_what_stands_still_has_no_time_of_its_own() -> None:
    still = seen([5] * 90)
    assert judged(seen([5] * 90, noise=3.0), still).findings == ()


def test_levels_and_wrong_pictures() -> None:
    made = seen(list(range(90)))
    made.luma[:] = np.clip((made.luma.astype(float) - 16) * 219 / 255 + 16, 0, 255).astype(np.uint8)
    matched = match(made, REFERENCE, 0.008)
    assert [f.code for f in judge_levels(levels_of([matched]))] == ["range_wrong"]
    green = seen(list(range(90)))
    green.luma[30:32] = 70
    matched = match(green, REFERENCE, 0.008)
    assert [(f.code, f.at_s) for f in judge_pictures([matched], (1.0, 0.0))] == [("pictures_wrong", 1.0)]


@pytest.mark.parametrize("late_ms", [0, 5, 20, 300, 2000])
def test_sound_is_found_where_it_was_moved_to(late_ms: int) -> None:
    rng = np.random.default_rng(3)
    wanted = (rng.normal(0, 3000, 8 * 8000) * (1 + np.sin(np.arange(8 * 8000) / 900))).astype(np.int16)
    moved = np.concatenate([np.zeros(8 * late_ms, np.int16), wanted])[: len(wanted)]
    coarse = (moved // 512 * 512).astype(np.int16)
    lag = find_lag(coarse, wanted, 8000).lag_s
    assert lag == pytest.approx(-late_ms / 1000, abs=0.0005)


def test_silence_and_another_sound_say_nothing() -> None:
    rng = np.random.default_rng(4)
    one, other = (rng.normal(0, 3000, 8 * 8000).astype(np.int16) for _ in range(2))
    assert find_lag(one, other, 8000).lag_s is None
    assert find_lag(np.zeros_like(one), one, 8000).lag_s is None


def quiet(numbers: list[int], noise: float = 0.0) -> Seen:
    """Pictures of which a mouth alone moves, two by three of 64x36, by what stays under half a level of the whole."""
    made = seen([5] * len(numbers))
    luma = made.luma.astype(np.float64)
    for row, number in enumerate(numbers):
        luma[row, 20:22, 30:33] = 120 + 25 * np.sin(2.1 * number)
    luma += np.random.default_rng(2).normal(0, noise, luma.shape)
    made.luma[:] = np.clip(np.rint(luma), 0, 255).astype(np.uint8)
    return made


@pytest.mark.parametrize("stands", [[39], [19, 39, 59], list(range(40, 46))])
def test_what_stands_is_found_where_little_moves(stands: list[int]) -> None:
    numbers: list[int] = []
    for n in range(90):
        numbers.append(numbers[-1] if n in stands else n)
    made = quiet(list(range(90)), noise=0.3)
    made.luma[:] = made.luma[numbers]
    found = judged(made, quiet(list(range(90)))).findings
    assert {f.code for f in found} == {"frozen"}
    assert found[0].at_s == pytest.approx(stands[0] / FPS, abs=1e-3)


@pytest.mark.parametrize("noise", [0.0, 0.3, 2.0, 5.0])
def test_where_little_moves_and_all_of_it_does_nothing_stands(noise: float) -> None:
    assert judged(quiet(list(range(90)), noise), quiet(list(range(90)))).findings == ()


def track(codec: str, size_bytes: int | None) -> AudioTrack:
    return AudioTrack(
        index=1, codec=codec, profile=None, sample_rate_hz=48_000, channels=2, layout="stereo", bitrate_bps=None,
        size_bytes=size_bytes, start_s=0.0, duration_s=4.0, language=None, title=None, is_default=True, edits=(),
        decodes=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("made", "containers", "severity"),
    [
        (track("aac", 64_000), ("mov,mp4", "avi"), "damage"),  # encoded again: it was decoded as it is decoded here
        (track("mp3", 40_000), ("mov,mp4", "avi"), "damage"),
        (track("mp3", None), ("mov,mp4", "avi"), "damage"),
        (track("mp3", 64_300), ("mov,mp4", "avi"), "note"),  # the same packets: MP4 may know better than AVI did
        (track("mp3", 40_000), ("avi", "mov,mp4"), "note"),
        (track("mp3", 64_300), ("mov,mp4", "matroska,webm"), "damage"),
    ],
)
def test_what_a_container_cannot_say_excuses_copies_and_no_encodes(
    made: AudioTrack, containers: tuple[str, str], severity: str
) -> None:
    late_s = -0.0417 if containers[1] == "avi" else 0.0417  # a frame, which AVI has for the delay of B-frames
    lag = SoundLag(lag_s=late_s, parts=((0.0, late_s),), heard=1)
    _, (found,) = judge_sound(lag, 0.0, (made, track("mp3", 64_000)), containers, 1 / 24)
    assert found.severity == severity
