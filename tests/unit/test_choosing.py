"""Which stretches are sampled, and what is read to know."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelpress.quality.choosing import SAMPLE_S, WHOLE_UP_TO_S, choose_windows, scenes_of
from reelpress.quality.framecrc import PacketReader
from reelpress.quality.overview import SLOT_S, Keyframe, Overview, keyframes_s, slots

DARK, BRIGHT = bytes([20]) * 576, bytes([220]) * 576


def programme(*parts: tuple[float, int, bytes]) -> Overview:
    """Parts one after another: seconds, bytes per half second, and how the keyframe at their start looks."""
    slots: list[int] = []
    keyframes = []
    for seconds, size, thumb in parts:
        keyframes.append(Keyframe(at_s=len(slots) * SLOT_S, thumb=thumb))
        slots += [size] * int(seconds / SLOT_S)
    return Overview(duration_s=len(slots) * SLOT_S, slot_bytes=tuple(slots), keyframes=tuple(keyframes))


def part_of(overview: Overview, size: int) -> float:
    windows = choose_windows(overview, overview.duration_s)
    inside = [w for w in windows if overview.slot_bytes[int(w.start_s / SLOT_S)] == size]
    return len(inside) / len(windows)


def test_short_programmes_are_taken_whole() -> None:
    (window,) = choose_windows(None, WHOLE_UP_TO_S)
    assert (window.start_s, window.duration_s) == (0.0, WHOLE_UP_TO_S)


def test_without_an_overview_samples_are_spread_evenly() -> None:
    windows = choose_windows(None, 60.0)
    assert [w.start_s for w in windows] == [4.0, 14.0, 24.0, 34.0, 44.0, 54.0]


def test_each_kind_of_scene_has_its_share_of_the_samples() -> None:
    # a calm talk with a third of hard scenes, which come in one piece
    overview = programme((30, 10_000, DARK), (20, 90_000, BRIGHT), (10, 10_000, DARK))
    assert part_of(overview, 90_000) == pytest.approx(1 / 3)


def test_a_scene_that_comes_back_is_one_scene() -> None:
    back_and_forth = programme(*[(5.0, 20_000, (DARK, BRIGHT)[n % 2]) for n in range(12)])
    assert len(set(scenes_of(back_and_forth))) == 2
    windows = choose_windows(back_and_forth, 60.0)
    shown = [int(w.start_s / 5) % 2 for w in windows]
    assert sorted(shown) == [0, 0, 0, 1, 1, 1]


def test_a_short_burst_does_not_stand_for_all_the_rest() -> None:
    overview = programme((57, 10_000, DARK), (3, 500_000, BRIGHT))
    assert part_of(overview, 500_000) <= 1 / 6


def test_less_room_means_fewer_samples_and_never_none() -> None:
    overview = programme((60, 10_000, DARK))
    assert len(choose_windows(overview, 60.0, most_s=6.0)) == 3
    assert len(choose_windows(overview, 60.0, most_s=1.0)) == 1
    (only,) = choose_windows(overview, 10.0, most_s=2.0)
    assert only.duration_s == SAMPLE_S


@given(st.lists(st.integers(0, 10**7), min_size=31, max_size=400), st.floats(1, 20))
def test_samples_lie_in_the_programme_and_never_over_each_other(sizes: list[int], most_s: float) -> None:
    overview = Overview(duration_s=len(sizes) * SLOT_S, slot_bytes=tuple(sizes))
    windows = choose_windows(overview, overview.duration_s, most_s=most_s)
    assert 1 <= len(windows) <= 6
    for window in windows:
        assert 0 <= window.start_s <= window.start_s + window.duration_s <= overview.duration_s
    for before, after in itertools.pairwise(windows):
        assert before.start_s + before.duration_s <= after.start_s


def test_packets_are_weighed_by_when_they_are_shown() -> None:
    lines = PacketReader()
    for line in (
        "#software: Lavf62.0.100", "#tb 0: 1/1000", "#media_type 0: video",
        "0,       1400,       1480,       40,     1000, 0x0a1b2c3d",
        "0,       1440,       2000,       40,      300, 0x0a1b2c3d, F=0x0",
        "0,       1480,       1520,       40,       50, 0x0a1b2c3d, F=0x0, S=1,        1",
        "1,       1480,       1520,       40,       50, 0x0a1b2c3d",
        "0,       1480,       -9223372036854775808,       40,       50, 0x0a1b2c3d",
        "0, garbled",
    ):  # fmt: skip
        lines.feed(line)
    packets = lines.streams[0]
    assert slots(packets, 3) == (1050, 300, 0)
    assert keyframes_s(packets) == (0.0,)
