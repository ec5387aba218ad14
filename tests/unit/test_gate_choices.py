"""The gate's decisions: what is a miss, which setting follows, when it is over. Curves stand in for encoders."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reelpress.bookkeeping import Book
from reelpress.facts.gate import GateWish, Scored
from reelpress.gating import Gatekeeper
from reelpress.plan.compress import plan
from reelpress.plan.gate import FINEST, Scale, Seen, best_of, missed, next_try, row_of, scale_of, setting_of, shifted
from reelpress.plan.model import Encode
from reelpress.quality.places import WINDOW_S, choose_windows
from reelpress.request import Request

from factories import gpu_host, host, media

X264 = Scale(finest=-22.0, coarsest=28.0, step=0.5, per_crf=1.0)
AV1 = Scale(finest=-33.0, coarsest=29.0, step=1.0, per_crf=63 / 51)


def seen(shift: float = 0.0, vmaf: float | None = None, worst: float | None = None, size: float | None = None,
         *, outgrew: bool = False) -> Seen:  # fmt: skip
    return Seen(shift=shift, vmaf=vmaf, worst=worst, size_ratio=size, outgrew=outgrew)


BOTH = GateWish(min_vmaf=93, min_vmaf_worst=85, max_size_ratio=0.5)


def test_damage_that_measuring_finds_is_no_miss_and_is_told_as_what_it_is() -> None:
    decided, book = plan(media(), host(), Request()), Book()
    assert isinstance(decided, Encode)
    found = Scored(vmaf=None, cause="it was not scored", findings=("Pictures are frozen at 3.0 s.",))
    keeper = Gatekeeper(GateWish(min_vmaf=93), decided, source_bytes=10, score=lambda *_: found, book=book)
    gates = keeper.gates(decided.attempts[0], Path("out.mp4"), media())
    keeper.settle(0)
    assert {gate.verdict for gate in gates} == {"unmeasured"}
    assert book.exit_code == 0
    assert book.notes == (
        "quality is unmeasured: it was not scored",
        "Measuring took the output for damaged, which is no miss; look at it: Pictures are frozen at 3.0 s.",
    )


@pytest.mark.parametrize(
    ("wish", "one", "want"),
    [
        (BOTH, seen(vmaf=93, worst=85, size=0.5), ()),
        (BOTH, seen(vmaf=92.99, worst=85, size=0.5), ("vmaf",)),
        (BOTH, seen(vmaf=95, worst=84.9, size=0.4), ("vmaf_worst",)),
        (BOTH, seen(vmaf=90, worst=80, size=0.6), ("vmaf", "vmaf_worst", "size_ratio")),
        (BOTH, seen(size=0.4), ()),  # nothing measured is no miss
        (GateWish(min_vmaf=93), seen(vmaf=95, worst=10, size=3), ()),  # nothing asked of them
        (GateWish(), seen(vmaf=1, worst=1, size=9), ()),
    ],
)
def test_a_miss_is_what_is_known_to_be_beyond_a_limit(wish: GateWish, one: Seen, want: tuple[str, ...]) -> None:
    assert missed(wish, one) == want


def test_a_try_that_looks_too_bad_is_followed_by_a_finer_one_about_as_far_as_is_missing() -> None:
    near = next_try(GateWish(min_vmaf=93), [seen(vmaf=92)], X264)
    far = next_try(GateWish(min_vmaf=93), [seen(vmaf=75)], X264)
    assert near.shift is not None
    assert -2.5 <= near.shift <= -1
    assert far.shift is not None
    assert -14 <= far.shift <= -8
    assert "better" in near.why


def test_the_worst_second_decides_where_it_is_further_off() -> None:
    mean = next_try(GateWish(min_vmaf=93), [seen(vmaf=92, worst=60)], X264).shift
    both = next_try(BOTH, [seen(vmaf=92, worst=60, size=0.1)], X264).shift
    assert both is not None
    assert mean is not None
    assert both < mean


def test_a_try_that_is_too_large_is_followed_by_a_coarser_one() -> None:
    following = next_try(GateWish(max_size_ratio=0.5), [seen(size=1.0)], X264)
    assert following.shift is not None
    assert 7 <= following.shift <= 7.5  # half the bits are about 7 steps


@pytest.mark.parametrize(
    ("wish", "tries", "why"),
    [
        (BOTH, [seen(vmaf=90, worst=80, size=0.6)], "no setting meets both"),
        (BOTH, [seen(0, 92, 90, 0.4), seen(-0.5, 93.5, 90, 0.51)], "no setting between"),
        (GateWish(min_vmaf=93), [seen(-22, 90)], "scale ends"),
        (GateWish(max_size_ratio=0.01), [seen(28, size=0.02)], "scale ends"),
        (GateWish(min_vmaf=93, retries=0), [seen(0, 92)], "no retries"),
        (GateWish(min_vmaf=93, retries=1), [seen(0, 80), seen(-9, 92)], "one retry"),
        (BOTH, [seen(0, 90, 90, 0.4), seen(-3, 95, 90, 0.6), seen(-1.5, 92, 90, 0.49)], "2 retries"),
    ],
)
def test_it_is_over_with_a_reason(wish: GateWish, tries: list[Seen], why: str) -> None:
    following = next_try(wish, tries, X264)
    assert following.shift is None
    assert why in following.why


def test_between_a_bad_and_a_large_try_lies_the_next() -> None:
    tries = [seen(0, 90, 88, 0.3), seen(-4, outgrew=True, size=0.95)]
    following = next_try(msgspec.structs.replace(BOTH, retries=5), tries, X264).shift
    assert following is not None
    assert -4 < following < 0


def test_what_did_not_pay_leads_back_although_no_size_was_asked() -> None:
    tries = [seen(0, 90), seen(-4, outgrew=True, size=0.95)]
    following = next_try(GateWish(min_vmaf=93, retries=5), tries, X264).shift
    assert following is not None
    assert -4 < following < 0


Curve = Callable[[float], float]


def walk(wish: GateWish, quality: Curve, size: Curve, scale: Scale = X264) -> list[Seen]:
    """Encode as often as the gate says, on curves."""
    tries = [seen(0, quality(0), quality(0) - 3, size(0))]
    while missed(wish, tries[-1]):
        following = next_try(wish, tries, scale).shift
        if following is None:
            break
        tries.append(seen(following, quality(following), quality(following) - 3, size(following)))
    return tries


NOISE = st.lists(st.floats(-3, 3), min_size=64, max_size=64)


@given(
    loss=st.floats(0.3, 60), e_fold=st.floats(2, 25), size=st.floats(0.02, 2), halves=st.floats(3, 12), noise=NOISE,
    least=st.floats(20, 100), most=st.one_of(st.none(), st.floats(0.01, 2)), retries=st.integers(0, 10),
    scale=st.sampled_from([X264, AV1]),
)  # fmt: skip
def test_any_curve_ends_within_the_budget_and_the_scale_and_never_tries_twice(
    loss: float, e_fold: float, size: float, halves: float, noise: list[float], least: float, most: float | None,
    retries: int, scale: Scale,
) -> None:  # fmt: skip
    def quality(shift: float) -> float:  # not even monotonic
        return max(0.0, min(100.0, 100 - loss * math.exp(shift / e_fold) + noise[round(2 * shift) % 64]))

    wish = GateWish(min_vmaf=least, max_size_ratio=most, retries=retries)
    tries = walk(wish, quality, lambda shift: size * 2 ** (-shift / halves), scale)
    shifts = [one.shift for one in tries]
    assert len(tries) <= retries + 1
    assert len(set(shifts)) == len(shifts)
    assert all(scale.finest <= shift <= scale.coarsest for shift in shifts)
    assert all(math.isclose(shift / scale.step, round(shift / scale.step)) for shift in shifts)


@given(loss=st.floats(1, 40), e_fold=st.floats(4, 12), target=st.floats(75, 98))
def test_a_usual_curve_is_met_with_two_retries(loss: float, e_fold: float, target: float) -> None:
    def quality(shift: float) -> float:
        return 100 - loss * math.exp(shift / e_fold)

    assume(quality(X264.finest + 3) > target + 0.5)
    tries = walk(GateWish(min_vmaf=target, retries=2), quality, lambda _: 0.1)
    assert not missed(GateWish(min_vmaf=target), tries[-1])
    if len(tries) > 1:  # and not by going to the end: a CRF beyond what was needed, and what was missing at first
        needed = e_fold * math.log((100 - target) / loss)
        assert tries[-1].shift >= needed - max(3.0, 1.8 * abs(needed))


@given(loss=st.floats(2, 20), size=st.floats(0.1, 1.5), target=st.floats(85, 97), room=st.floats(4, 20))
def test_where_there_is_room_between_quality_and_size_both_are_met(
    loss: float, size: float, target: float, room: float
) -> None:
    def quality(shift: float) -> float:
        return 100 - loss * math.exp(shift / 7)

    def bytes_of(shift: float) -> float:
        return size * 2 ** (-shift / 6)

    coarsest = 7 * math.log((100 - target) / loss)  # meets the quality just so
    assume(X264.finest + 2 < coarsest - room and coarsest < X264.coarsest - 2)
    wish = GateWish(min_vmaf=target, max_size_ratio=bytes_of(coarsest - room), retries=6)
    assert not missed(wish, walk(wish, quality, bytes_of)[-1])


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
@given(by=st.integers(-80, 80))
def test_a_shift_changes_the_quality_of_every_attempt_and_nothing_else(codec: str, by: int) -> None:
    decided = plan(media(), gpu_host(), Request(codec=codec))  # type: ignore[arg-type]
    assert isinstance(decided, Encode)
    assert {a.device for a in decided.attempts} == {"cpu", "nvidia"}
    made = shifted(decided, by)
    assert shifted(decided, 0) == decided
    for before, after in zip(decided.attempts, made.attempts, strict=True):
        off = [(one, two) for one, two in zip(before.args, after.args, strict=True) if one != two]
        wanted = min(max(setting_of(before.args) + by, FINEST), row_of(before).crf_max)
        assert setting_of(after.args) == wanted
        assert len(off) == (1 if by else 0) or wanted == setting_of(before.args)


def test_the_scale_reaches_from_the_finest_lossy_setting_to_the_coarsest() -> None:
    decided = plan(media(), host(), Request(crf=20.5))
    assert isinstance(decided, Encode)
    scale = scale_of(decided)
    assert setting_of(shifted(decided, scale.finest).attempts[0].args) == pytest.approx(1, abs=0.5)
    assert setting_of(shifted(decided, scale.coarsest).attempts[0].args) == pytest.approx(51, abs=0.5)
    whole = plan(media(), host(), Request(codec="av1"))
    assert isinstance(whole, Encode)
    assert scale_of(whole).step == 1  # SVT-AV1 takes whole numbers


@pytest.mark.parametrize(
    ("tries", "want"),
    [
        ([seen(0, 90, 80, 0.4), seen(-3, 92, 84, 0.49)], 1),
        ([seen(0, 90, 80, 0.4), seen(-3, 94, 90, 0.6)], 0),  # small enough goes before good
        ([seen(0, 90, 80, 0.7), seen(3, 85, 70, 0.6)], 1),  # none is: the smallest
        ([seen(0, outgrew=True)], None),
    ],
)
def test_the_best_of_misses(tries: list[Seen], want: int | None) -> None:
    assert best_of(BOTH, tries) == want


@given(duration_s=st.floats(0.1, 20_000), hard=st.floats(0, 1))
def test_windows_are_inside_apart_and_include_where_most_bytes_are(duration_s: float, hard: float) -> None:
    at_s = hard * max(0.0, duration_s - 1)
    step = max(0.5, duration_s / 2000)
    packets = [(n * step, 1000) for n in range(int(duration_s / step))] + [(at_s, 10_000_000)]
    windows = choose_windows(duration_s, packets)
    assert 1 <= len(windows) <= 5
    assert windows[0].start_s >= 0
    assert windows[-1].start_s + windows[-1].duration_s <= duration_s + 0.01
    assert all(one.start_s + WINDOW_S <= two.start_s + 0.01 for one, two in itertools.pairwise(windows))
    if len(windows) > 1:
        apart = min(abs(at_s - (w.start_s + WINDOW_S / 2)) for w in windows)
        assert apart <= 3 * WINDOW_S
