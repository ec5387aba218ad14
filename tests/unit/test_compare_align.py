"""Pictures put together by what they show, and sound by what it sounds like: on made-up pictures, without FFmpeg."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest

from expressions import kept_by
from reelpress.errors import Cancelled
from reelpress.facts.media import AudioTrack
from reelpress.plan.geometry import timing
from reelpress.quality.align import Matched, match, slack, usual_gap
from reelpress.quality.damage import judge_levels, judge_pictures, levels_of
from reelpress.quality.looking import Seen
from reelpress.quality.motion import Motion, judge_motion
from reelpress.quality.sound import SoundLag, find_lag, judge_sound
from reelpress.request import Request

from factories import video

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


def kept_of(rate: Fraction, cap: Fraction, count: int, base: Fraction) -> tuple[list[float], list[int]]:
    """Times of ``count`` frames at a rate on a container's clock, and which of them our own cap keeps."""
    at_s = [float(round(n / rate / base) * base) for n in range(count)]
    track = video(fps_avg=rate, fps_nominal=rate, fps_peak=float(rate), frames=count, time_base=base,
                  duration_s=float(count / rate))  # fmt: skip
    kept = set(kept_by(timing(track, Request(max_fps=cap))[0].filters, at_s))
    return at_s, [n for n in range(count) if at_s[n] in kept]


def told(wanted: Seen, kept: Sequence[int]) -> list[str]:
    """Codes of what is told where just these frames of the reference are shown, each at its own time."""
    shown = np.array(kept)
    made = Seen(wanted.at_s[shown], (wanted.luma[shown], wanted.cb[shown], wanted.cr[shown]))
    matched = Matched(made, wanted, shown, shown, 0.35)
    gaps = usual_gap((made,)), usual_gap((wanted,))
    return [f.code for f in judge_motion(matched, frame_s=gaps[1], made_frame_s=gaps[0], is_all=True).findings]


CAPPED = [
    (Fraction(rate), Fraction(cap))
    for rate in ("25", "30000/1001", "30", "50", "60000/1001", "60")
    for cap in ("12", "15", "20", "24000/1001", "24", "25", "30", "48", "50")
    if Fraction(cap) * Fraction("1.02") < Fraction(rate)
]


@pytest.mark.by_turns
@pytest.mark.parametrize("base", [Fraction(1, 1000), Fraction(1, 90_000)])
@pytest.mark.parametrize(("rate", "cap"), CAPPED)
def test_what_our_own_caps_leave_out_is_not_lost(rate: Fraction, cap: Fraction, base: Fraction) -> None:
    pictures = seen(list(range(400)))
    # other lengths for every pair of rates, as what is left out at the end differs from one to the next
    for count in range(10 + CAPPED.index((rate, cap)) % 53, 401, 53):
        at_s, kept = kept_of(rate, cap, count, base)
        wanted = Seen(np.array(at_s), (pictures.luma[:count], pictures.cb[:count], pictures.cr[:count]))
        assert told(wanted, kept) == [], (count, kept)


@pytest.mark.parametrize("cap", [24, 25, 30, 48, 50])
def test_of_a_capped_encode_two_more_in_a_row_are_lost(cap: int) -> None:
    at_s, kept = kept_of(Fraction(60), Fraction(cap), 300, Fraction(1, 90_000))
    wanted = seen(list(range(300)), at_s)
    assert told(wanted, kept) == []
    assert told(wanted, [*kept[:60], *kept[62:]]) == ["frames_lost"]
    assert told(wanted, kept[:-2]) == ["frames_lost"]


@pytest.mark.parametrize("step", [2, 3])
@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.75, 0.9])
@pytest.mark.parametrize("rate", [25, 30, 60])
def test_frames_left_out_of_a_part_alone_are_lost(rate: int, share: float, step: int) -> None:
    count = 300
    turn = int(share * count)
    wanted = seen(list(range(count)), [n / rate for n in range(count)])
    assert "frames_lost" in told(wanted, [*range(turn), *range(turn, count, step)])
    assert "frames_lost" in told(wanted, [*range(0, turn, step), *range(turn, count)])


@pytest.mark.parametrize("rate", [24, 30, 60])
@pytest.mark.parametrize("count", [20, 60, 200])
def test_one_lost_frame_is_told_wherever_it_is(rate: int, count: int) -> None:
    wanted = seen(list(range(count)), [round(n / rate, 3) for n in range(count)])
    for lost in every_few(count):
        assert told(wanted, [n for n in range(count) if n != lost]) == ["frames_lost"], lost


def every_few(count: int) -> list[int]:
    return [1, *range(2, count - 2, max(1, count // 10)), count - 2, count - 1]


def still_at(turn: int, end: str) -> Seen:
    """90 pictures that move, but for those after ``turn``, or before, which are one and the same."""
    return seen([min(n, turn) if end == "last" else max(n, turn) for n in range(90)])


@pytest.mark.parametrize("missing", [1, 2, 30])
def test_a_still_ending_that_is_missing_is_lost(missing: int) -> None:
    wanted = seen([*range(90 - missing), *[45] * missing])
    assert told(wanted, range(90 - missing)) == ["frames_lost"]


@pytest.mark.parametrize("missing", [1, 2, 30])
def test_a_still_beginning_that_is_missing_is_lost(missing: int) -> None:
    wanted = seen([*[45] * missing, *range(missing, 90)])
    assert told(wanted, range(missing, 90)) == ["frames_lost"]


def test_of_what_repeats_the_last_kept_picture_nothing_is_lost() -> None:
    assert told(still_at(60, "last"), range(61)) == []
    assert told(still_at(30, "first"), range(30, 90)) == []


def test_a_picture_that_comes_right_after_the_last_has_no_place_of_its_own() -> None:
    at_s = [*(n / 30 for n in range(89)), 88 / 30 + 0.012]
    assert told(seen(list(range(90)), at_s), range(89)) == []


def test_a_last_picture_that_repeats_the_one_before_is_not_missing_besides() -> None:
    found = judged(seen([*range(89), 88]), REFERENCE)
    assert "frames_lost" not in [f.code for f in found.findings]


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


def test_what_matching_takes_is_little_for_each_frame_and_it_can_be_ended() -> None:
    peaks = []
    for count in (1000, 3000):
        pictures = seen(list(range(count)), [n / 60 for n in range(count)])
        tracemalloc.start()
        match(pictures, pictures, 0.004)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[1] - peaks[0]) / 2000 < 1000

    def ended() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        match(REFERENCE, REFERENCE, 0.008, go_on=ended)
