"""What a quote makes of stretches: bytes and seconds of the whole, and how sure it is of them."""

from __future__ import annotations

import math

import msgspec
import pytest

from reelpress.facts.prediction import Interval, around
from reelpress.quality.framecrc import Packet, PacketReader
from reelpress.quoting.prediction import Errors, Stretch, size_of, speed_of, wall_of
from reelpress.quoting.stretches import UNCOUNTED_TAIL_S
from reelpress.quoting.weighing import given_up

FPS = 25
EXACT = Errors(size=0.0, wall=0.0, vmaf=0.0)


def packets(start_s: float, sizes: list[int]) -> tuple[Packet, ...]:
    return tuple(Packet(at_s=start_s + n / FPS, size_bytes=size, is_key=n == 0) for n, size in enumerate(sizes))


def stretch(start_s: float, rate_at, seconds: float = 5.5, key: int = 0, wall_s: float = 1.0) -> Stretch:
    sizes = [rate_at(start_s + n / FPS) for n in range(round(seconds * FPS))]
    sizes[0] += key
    return Stretch(
        start_s=start_s, duration_s=seconds, video=packets(0.0, sizes), audio_bytes=0, other_bytes=0, wall_s=wall_s,
        cpu_s=wall_s,
    )  # fmt: skip


def predicted(stretches: list[Stretch], duration_s: float, source: tuple[Packet, ...] = ()) -> Interval:
    return size_of(
        stretches, encoder="libx264", fps=FPS, duration_s=duration_s, frames=round(duration_s * FPS), source=source,
        copied_audio_bytes=0, errors=EXACT,
    )  # fmt: skip


def test_what_is_the_same_everywhere_is_predicted_exactly() -> None:
    found = predicted([stretch(at, lambda _t: 1000) for at in (5.0, 25.0, 45.0)], 60.0)
    # all frames, one keyframe that is no larger than others, and the boxes of an MP4
    assert found.likely == pytest.approx(60 * FPS * 1000, rel=0.002)
    assert found.high == pytest.approx(found.low, rel=1e-6)


def test_keyframes_that_the_whole_has_are_counted_and_those_of_the_stretches_are_not() -> None:
    found = predicted([stretch(at, lambda _t: 1000, key=50_000) for at in (5.0, 25.0, 45.0)], 60.0)
    # 250 frames are 10 s: six keyframes in a minute
    assert found.likely == pytest.approx(60 * FPS * 1000 + 6 * 50_000, rel=0.01)


def test_a_part_that_no_stretch_shows_is_seen_by_what_the_source_spends() -> None:
    def rate(t: float) -> int:
        return 4000 if 48 <= t < 58 else 1000

    source = packets(0.0, [2 * rate(n / FPS) for n in range(60 * FPS)])
    truth = sum(rate(n / FPS) for n in range(60 * FPS))
    windows = [stretch(at, rate) for at in (5.0, 20.0, 50.0)]
    blind, seeing = predicted(windows, 60.0), predicted(windows, 60.0, source)
    assert abs(seeing.likely - truth) < abs(blind.likely - truth) / 3
    assert seeing.likely == pytest.approx(truth, rel=0.1)


def test_stretches_that_differ_widen_the_interval() -> None:
    alike = predicted([stretch(at, lambda _t: 1000) for at in (5.0, 25.0, 45.0)], 60.0)
    differing = predicted([stretch(at, lambda t: 500 if t < 20 else 1500) for at in (5.0, 25.0, 45.0)], 60.0)
    assert differing.high / differing.low > 1.3 > alike.high / alike.low
    assert differing.holds(60 * FPS * 1166)


def test_the_end_of_a_stretch_is_not_counted() -> None:
    def rate(t: float) -> int:
        return 10 if t % 20 > 5.5 + 5 - UNCOUNTED_TAIL_S else 1000  # what an encoder spends where it sees the end

    found = predicted([stretch(at, rate) for at in (5.0, 25.0, 45.0)], 60.0)
    assert found.likely == pytest.approx(60 * FPS * 1000, rel=0.01)


def test_sound_and_the_container_grow_with_the_programme() -> None:
    bare = Stretch(
        start_s=10.0, duration_s=5.5, video=packets(0.0, [1000] * 138), audio_bytes=88_000,
        other_bytes=1500 + 138 * 8, wall_s=1.0, cpu_s=1.0,
    )  # fmt: skip
    found = predicted([bare], 60.0)
    assert found.likely == pytest.approx(60 * FPS * 1000 + 88_000 * 60 / 5.5 + 1500 + 60 * FPS * 8, rel=0.002)


def test_sound_lasts_as_long_as_a_stretch_however_few_pictures_that_has() -> None:
    # three pictures a second, in a programme that has 25
    still = Stretch(
        start_s=10.0, duration_s=5.5, video=packets(0.0, [1000] * 17), audio_bytes=88_000, other_bytes=1500, wall_s=1.0,
        cpu_s=1.0,
    )  # fmt: skip
    silent = msgspec.structs.replace(still, audio_bytes=0)
    sound = predicted([still], 60.0).likely - predicted([silent], 60.0).likely
    assert sound == pytest.approx(88_000 * 60 / 5.5)


def test_a_second_of_a_stretch_is_placed_from_its_start_and_not_by_its_last_picture() -> None:
    def rate(t: float) -> int:
        return 4000 if t < 12 else 1000

    source = packets(0.0, [2 * rate(n / FPS) for n in range(60 * FPS)])
    full = [stretch(at, rate) for at in (10.0, 30.0, 50.0)]
    # the first one's last picture stays for three seconds
    pausing = [msgspec.structs.replace(full[0], duration_s=8.5), *full[1:]]
    assert predicted(pausing, 60.0, source).likely == pytest.approx(predicted(full, 60.0, source).likely)


def test_what_starting_takes_is_counted_once() -> None:
    # 0.3 s to start, 10 ms a frame
    some = [stretch(at, lambda _t: 1, wall_s=0.3 + 138 * 0.01) for at in (0.0, 20.0, 40.0)]
    speed = speed_of(some, 0.3)
    assert speed.per_frame_s == pytest.approx(0.01)
    found = wall_of(speed, 6000, around_s=1.0, errors=EXACT)
    assert found.likely == pytest.approx(61.3)
    assert found.low == pytest.approx(found.high)


def test_uneven_speed_and_past_errors_widen_the_seconds() -> None:
    some = [stretch(0.0, lambda _t: 1, wall_s=wall) for wall in (1.0, 1.5, 2.0)]
    speed = speed_of(some, 0.0)
    tight = wall_of(speed, 6000, around_s=0.0, errors=EXACT)
    wide = wall_of(speed, 6000, around_s=0.0, errors=Errors(size=0, wall=0.5, vmaf=0))
    assert tight.high / tight.likely > 1.2
    assert wide.high / wide.likely == pytest.approx(1 + math.hypot(0.5, tight.high / tight.likely - 1))


def test_lines_of_framecrc_become_packets() -> None:
    reader = PacketReader()
    lines = (
        "#format: frame checksums", "#tb 0: 1/12800", "#tb 1: 1/48000", "0,  -1024,  0,  512, 10131, 0xa2, S=1, 8",
        "1, 0, 0, 1024, 33, 0x01", "0, -512, 2560, 512, 2081, 0x1d, F=0x0", "0, broken", "", "2, 0, 0, 1, 5, 0x0",
        "0, 0, -9223372036854775808, 512, 77, 0x1d, F=0x0", "0, 512, 5120, 512, 9, 0x1d, F=0x5",
    )  # fmt: skip
    for line in lines:
        reader.feed(line)
    assert reader.streams == {
        0: [
            Packet(at_s=0.0, size_bytes=10131, is_key=True),
            Packet(at_s=0.2, size_bytes=2081, is_key=False),
            Packet(at_s=0.4, size_bytes=9, is_key=True, is_shown=False),
        ],
        1: [Packet(at_s=0.0, size_bytes=33, is_key=True)],
    }


def test_an_encode_that_is_given_up_saves_nothing_of_what_came_before_it() -> None:
    whole = Interval(low=8.0, likely=10.0, high=12.0)
    half = given_up(whole, 0.5, beside_s=2.0, frames=10_000)
    assert half.low < half.likely < 6.5
    assert given_up(whole, 1.0, beside_s=2.0, frames=10_000).likely == pytest.approx(10.2)
    assert given_up(whole, 0.01, beside_s=2.0, frames=10_000).low > 2.0
    assert given_up(Interval(low=1.0, likely=1.0, high=1.0), 0.5, beside_s=2.0, frames=10_000).likely <= 1.0


def test_an_encoder_that_is_stopped_has_taken_in_more_than_it_has_written() -> None:
    """As many frames whatever the length: of a short programme nearly all."""
    whole = Interval(low=9.0, likely=10.0, high=11.0)
    of_short, of_long = (given_up(whole, 0.5, beside_s=0.0, frames=n).likely for n in (80, 8_000))
    assert of_long < 4.0
    assert 9.0 < of_short < 10.0


def test_an_interval_is_as_wide_in_proportion_on_both_sides() -> None:
    found = around(100.0, 0.25, most=120.0)
    assert (found.low, found.likely, found.high) == (80.0, 100.0, 120.0)
    assert found.holds(80.0)
    assert not found.holds(121.0)
