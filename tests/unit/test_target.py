"""The search for a setting: curves of every kind, told by a function instead of an encoder."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelpress.plan.crf_curve import Point, Scale, predict, scale_of
from reelpress.plan.encoders import ENCODERS
from reelpress.plan.target import MOST_TRIALS, TOLERANCE, Found, Search, Step, Try, Unreachable, next_step

X264 = scale_of(next(row for row in ENCODERS if row.name == "libx264"))
SVT = scale_of(next(row for row in ENCODERS if row.name == "libsvtav1"))
NVENC = scale_of(next(row for row in ENCODERS if row.name == "h264_nvenc"))
Curve = Callable[[float], float]


def search(curve: Curve, target: float, scale: Scale = X264, start: tuple[Point, ...] = ()) -> tuple[Step, list[float]]:
    """Play the encoder until the search ends; return its end and the settings it tried."""
    state = Search(target=target, scale=scale, points=start)
    tried: list[float] = []
    numbers = scale.numbers()
    while isinstance(step := next_step(state), Try):
        assert step.crf in numbers
        assert step.crf not in {p.crf for p in state.points}, "tried before"
        tried.append(step.crf)
        assert len(state.points) < MOST_TRIALS
        point = Point(crf=step.crf, vmaf=curve(step.crf), bytes_per_s=1e6 * 2 ** (-step.crf / 6))
        state = Search(target=target, scale=scale, points=(*state.points, point))
    return step, tried


def film(at_93: float, rate: float = 0.115, ceiling: float = 100.0) -> Curve:
    return lambda crf: ceiling - 7 * math.exp(rate * (crf - at_93))


@pytest.mark.parametrize("scale", [X264, SVT, NVENC], ids=["x264", "svt", "nvenc"])
@pytest.mark.parametrize("offset", [-9, -4, 0, 3, 8])
@pytest.mark.parametrize("steepness", [0.7, 1.0, 1.4])
@pytest.mark.parametrize("target", [85.0, 93.0, 96.0])
def test_usual_pictures_take_at_most_four_trials(scale: Scale, offset: float, steepness: float, target: float) -> None:
    curve = film(scale.usual_crf + offset, scale.rate * steepness)
    end, tried = search(curve, target, scale)
    assert len(tried) <= 4
    if isinstance(end, Found):
        one_step = curve(end.point.crf) - curve(end.point.crf + scale.step)
        assert curve(end.point.crf) >= target - TOLERANCE - 0.05
        assert end.at_end or abs(curve(end.point.crf) - target) <= max(TOLERANCE, one_step) + 0.05
        assert end.point.vmaf == pytest.approx(curve(end.point.crf), abs=0.15)
    else:
        assert curve(scale.best) < target


def test_pictures_that_lose_nothing_take_the_end_of_the_scale() -> None:
    end, tried = search(lambda _: 99.2, 93)
    assert isinstance(end, Found)
    assert (end.point.crf, end.at_end, end.measured) == (X264.worst, True, True)
    assert len(tried) <= 4


def test_a_target_above_what_identical_pictures_score_is_unreachable_and_not_paid_for() -> None:
    curve: Curve = lambda crf: min(97.4, 100 - 7 * math.exp(0.115 * (crf - 30)))  # noqa: E731
    end, tried = search(curve, 99)
    assert isinstance(end, Unreachable)
    assert end.best.vmaf == pytest.approx(97.4, abs=0.2)
    assert end.best.crf >= 20
    assert len(tried) <= 5
    assert "97.4" in end.why


def test_noise_that_never_scores_well_is_unreachable_at_the_best_setting() -> None:
    end, tried = search(lambda crf: 88 - crf, 95)
    assert isinstance(end, Unreachable)
    assert end.best.crf == X264.best
    assert len(tried) <= 5


def test_a_cliff_is_found() -> None:
    curve: Curve = lambda crf: 96.0 if crf <= 31 else 70.0  # noqa: E731
    end, _ = search(curve, 93)
    assert isinstance(end, Found)
    assert curve(end.point.crf) >= 93 or end.point.vmaf >= 93 - TOLERANCE


def test_coarse_steps_stay_above_the_target_where_the_nearest_is_too_far_below() -> None:
    coarse = Scale(best=10, worst=50, step=5, usual_crf=30, rate=0.1, halves=6)
    curve = film(28.0, 0.1)  # 93 between 25 (94.8) and 30 (91.5)
    end, _ = search(curve, 93, coarse)
    assert isinstance(end, Found)
    assert end.point.crf == 25


def test_scales_of_one_or_two_settings_end() -> None:
    for best, worst in ((20.0, 20.0), (20.0, 21.0)):
        tiny = Scale(best=best, worst=worst, step=1, usual_crf=30, rate=0.1, halves=6)
        for at_93 in (5.0, 20.4, 40.0):
            end, tried = search(film(at_93), 93, tiny)
            assert len(tried) <= 2
            chosen = end.point if isinstance(end, Found) else end.best  # type: ignore[union-attr]
            assert best <= chosen.crf <= worst


def test_points_of_an_earlier_search_are_used_for_another_target() -> None:
    curve = film(25)
    known = tuple(Point(crf=c, vmaf=curve(c), bytes_per_s=1e6 * 2 ** (-c / 6)) for c in (21.0, 23.0, 25.0))
    end, tried = search(curve, 94.0, start=known)
    assert isinstance(end, Found)
    assert tried == []
    assert curve(end.point.crf) == pytest.approx(94, abs=0.1)
    assert not end.measured


def test_a_point_that_says_the_reverse_is_pooled_with_its_neighbour() -> None:
    points = [Point(crf=20, vmaf=94, bytes_per_s=100), Point(crf=22, vmaf=95, bytes_per_s=120)]
    assert predict(points, X264, 20).vmaf == predict(points, X264, 22).vmaf == 94.5
    assert predict(points, X264, 21).bytes_per_s == pytest.approx(110, abs=0.2)


def test_between_points_bytes_and_loss_go_in_proportion() -> None:
    points = [Point(crf=20, vmaf=96, bytes_per_s=200_000), Point(crf=26, vmaf=92, bytes_per_s=100_000)]
    middle = predict(points, X264, 23)
    assert middle.bytes_per_s == pytest.approx(200_000 / math.sqrt(2), rel=1e-3)
    assert middle.vmaf == pytest.approx(100 - math.sqrt(32), abs=1e-3)
    assert predict(points, X264, 32).bytes_per_s == pytest.approx(50_000)
    assert predict(points, X264, 18).vmaf > 96


scores = st.lists(st.floats(0, 100), min_size=1, max_size=60)
scales = st.builds(
    lambda best, span, step: Scale(best=best, worst=best + span, step=step, usual_crf=25, rate=0.1, halves=6),
    st.integers(0, 30), st.integers(0, 40), st.sampled_from([0.25, 0.5, 1, 3]),
)  # fmt: skip


@given(scores, scales, st.floats(20, 99))
def test_any_scores_whatever_end_the_search_and_nothing_is_tried_twice(
    values: list[float], scale: Scale, target: float
) -> None:
    end, tried = search(lambda crf: values[int(crf * 4) % len(values)], target, scale)
    assert len(tried) <= min(MOST_TRIALS, len(scale.numbers()))
    assert len(set(tried)) == len(tried)
    chosen = end.point if isinstance(end, Found) else end.best  # type: ignore[union-attr]
    assert scale.best <= chosen.crf <= scale.worst


@given(
    st.floats(14, 36), st.floats(0.06, 0.2), st.floats(80, 97), st.lists(st.floats(-0.15, 0.15), min_size=8, max_size=8)
)
def test_with_a_little_noise_the_end_is_near_the_target(
    at_93: float, rate: float, target: float, noise: list[float]
) -> None:
    curve = film(at_93, rate)
    end, tried = search(lambda crf: min(100.0, curve(crf) + noise[int(crf * 4) % 8]), target)
    assert len(tried) <= 6
    if isinstance(end, Found) and not end.at_end:
        assert curve(end.point.crf) == pytest.approx(target, abs=0.7)
    elif isinstance(end, Unreachable):
        assert curve(X264.best) < target + 0.5
