"""Curves of bytes against quality: their hull, and the search that chooses a size from few trials."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelpress.plan.hull import TRIALS_PER_SIZE, Ask, Choice, Order, Point, at_target, front, hull, step

Curve = Callable[[int, float], tuple[float, float]]


def codec(detail: float, lines: int, crf: float) -> tuple[float, float]:
    """Bytes a second and VMAF of a made-up encoder: bits halve every 6 steps; fewer lines cap the score.

    ``detail`` is how much of the picture lies beyond 360 lines, 0 to 1: its loss costs score, its keeping bytes.
    """
    share = (lines / 720) ** (0.6 + 1.2 * detail)
    rate = 600_000 * share * 2 ** (-(crf - 20) / 6)
    ceiling = 100 - 40 * detail * (1 - lines / 720)
    return rate, ceiling - 0.055 * max(0.0, crf - 8) ** 1.75 * (0.75 + 0.25 * lines / 720)


def search(curve: Curve, order: Order) -> tuple[Choice, list[Point]]:
    points: list[Point] = []
    while isinstance(found := step(points, order), Ask):
        rate, vmaf = curve(found.lines, found.crf)
        points.append(Point(lines=found.lines, crf=found.crf, bytes_per_s=rate, vmaf=vmaf, worst=vmaf - 4))
        assert len(points) <= TRIALS_PER_SIZE * len(order.sizes)
    return found, points


def order(**changes: object) -> Order:
    told = {"sizes": (720, 540, 480, 360), "crf": 23.0, "target": None, "crf_min": 12.0, "crf_max": 40.0, **changes}
    return Order(**told)  # type: ignore[arg-type]


def point(lines: int, crf: float, rate: float, vmaf: float) -> Point:
    return Point(lines=lines, crf=crf, bytes_per_s=rate, vmaf=vmaf)


def best_by_force(curve: Curve, sizes: tuple[int, ...], target: float) -> dict[int, float]:
    """Return the bytes of each size at the target, from a dense grid."""
    found = {}
    for lines in sizes:
        grid = [curve(lines, crf / 20) for crf in range(240, 801)]
        reached = [rate for rate, vmaf in grid if vmaf >= target]
        if reached:
            found[lines] = min(reached)
    return found


def test_soft_pictures_get_fewer_lines_and_detailed_ones_keep_theirs() -> None:
    soft, _ = search(lambda lines, crf: codec(0.02, lines, crf), order())
    assert soft.chosen.lines < 720
    assert soft.chosen.bytes_per_s < 0.92 * soft.tried[0].bytes_per_s
    detailed, points = search(lambda lines, crf: codec(0.9, lines, crf), order())
    assert detailed.chosen.lines == 720
    assert detailed.chosen.crf == 23.0
    assert len(points) <= 1 + TRIALS_PER_SIZE


def test_curves_that_cross_are_told_apart_by_where_the_target_lies() -> None:
    def crossing(lines: int, crf: float) -> tuple[float, float]:
        return codec(0.25, lines, crf)

    high, _ = search(crossing, order(target=96.0))
    low, _ = search(crossing, order(target=78.0, crf=32.0))
    assert high.chosen.lines > low.chosen.lines


@pytest.mark.parametrize("detail", [0.0, 0.05, 0.1, 0.2, 0.4, 0.8])
@pytest.mark.parametrize("target", [75.0, 85.0, 90.0, 94.0])
def test_few_trials_find_what_a_dense_grid_finds(detail: float, target: float) -> None:
    def curve(lines: int, crf: float) -> tuple[float, float]:
        return codec(detail, lines, crf)

    asked = order(target=target)
    found, points = search(curve, asked)
    truth = best_by_force(curve, asked.sizes, target)
    assert found.reached
    # within what a step has to save, and the interpolation's own error
    assert truth[found.chosen.lines] <= min(truth.values()) * 1.16
    assert found.chosen.bytes_per_s == pytest.approx(truth[found.chosen.lines], rel=0.06)
    assert max(target, curve(found.chosen.lines, 40)[1]) == pytest.approx(
        curve(found.chosen.lines, found.chosen.crf)[1], abs=0.6
    )
    assert len(points) <= 3 * len(asked.sizes)


def test_noise_does_not_take_pixels_away() -> None:
    # every size costs the same at the same score, but for noise of 3 %: the full one stays
    for seed in range(200):
        rng = random.Random(seed)

        def noisy(lines: int, crf: float, rng: random.Random = rng) -> tuple[float, float]:
            return 600_000 * 2 ** (-(crf - 20) / 6) * rng.uniform(0.97, 1.03), 100 - 0.06 * max(0.0, crf - 8) ** 1.75

        assert search(noisy, order())[0].chosen.lines == 720


def test_a_single_size_needs_one_trial_and_changes_nothing() -> None:
    found, points = search(lambda lines, crf: codec(0.1, lines, crf), order(sizes=(360,)))
    assert (found.chosen.lines, found.chosen.crf, len(points)) == (360, 23.0, 1)
    assert found.ended == "there is no smaller size to try"


def test_what_no_size_reaches_keeps_the_full_one_and_says_so() -> None:
    found, points = search(lambda lines, crf: (1000.0 / crf, 60 - crf / 10), order(target=95.0))
    assert not found.reached
    assert found.chosen.lines == 720
    assert found.chosen.crf == 12.0
    assert {p.lines for p in points} == {720}


def test_what_scores_more_even_at_the_coarsest_gets_that() -> None:
    found, points = search(lambda lines, crf: (1e6 * lines * 2 ** (-crf / 6), 99 - crf / 40), order(target=93.0))
    assert found.reached
    assert found.chosen.crf == 40.0
    assert {p.crf for p in points if p.lines == 720} == {23.0, 28.0, 40.0}


def test_a_size_whose_worst_second_is_worse_is_not_taken() -> None:
    points = [
        Point(lines=720, crf=23, bytes_per_s=100_000, vmaf=90, worst=85),
        Point(lines=540, crf=21, bytes_per_s=60_000, vmaf=90.1, worst=78),
    ]
    found = step(points, order(sizes=(720, 540)))
    assert isinstance(found, Choice)
    assert found.chosen.lines == 720
    assert "worst second" in found.ended


def test_between_trials_bytes_follow_the_score_in_a_logarithmic_line() -> None:
    points = [point(540, 20, 80_000, 92), point(540, 26, 40_000, 84), point(720, 20, 1, 88)]
    found = at_target(points, 540, 88)
    assert found is not None
    assert found.bytes_per_s == pytest.approx(math.sqrt(80_000 * 40_000))
    assert found.crf == pytest.approx(23)
    assert at_target(points, 540, 95) is None
    assert at_target(points, 480, 88) is None
    beyond = at_target(points, 540, 93)
    assert beyond is not None
    assert beyond.bytes_per_s > 80_000


def test_one_trial_tells_only_what_lies_beside_it() -> None:
    alone = [point(540, 20, 80_000, 92)]
    near = at_target(alone, 540, 92.2)
    assert near is not None
    assert near.crf < 20
    assert near.bytes_per_s > 80_000
    assert at_target(alone, 540, 93) is None


POINTS = st.lists(
    st.builds(
        point, st.sampled_from((720, 540)), st.floats(10, 40), st.floats(1e3, 1e6), st.floats(20, 99)
    ), min_size=1, max_size=12,
)  # fmt: skip


@given(POINTS)
def test_nothing_beats_the_front_and_nothing_lies_above_the_hull(points: list[Point]) -> None:
    kept = front(points)
    assert all(a.bytes_per_s <= b.bytes_per_s and a.vmaf < b.vmaf for a, b in itertools.pairwise(kept))
    assert all(any(k.bytes_per_s <= p.bytes_per_s and k.vmaf >= p.vmaf for k in kept) for p in points)
    outer = hull(points)
    assert set(outer) <= set(kept)
    for a, b in itertools.pairwise(outer):
        for p in kept:
            if a.bytes_per_s < p.bytes_per_s < b.bytes_per_s:
                line = a.vmaf + (b.vmaf - a.vmaf) * (p.bytes_per_s - a.bytes_per_s) / (b.bytes_per_s - a.bytes_per_s)
                assert p.vmaf <= line + 1e-6


@given(POINTS, st.sampled_from((None, 60.0, 93.0)))
def test_any_points_get_an_answer(points: list[Point], target: float | None) -> None:
    found = step(points, order(sizes=(720, 540), target=target))
    if isinstance(found, Ask):
        assert 12 <= found.crf <= 40
        assert found.lines in (720, 540)
    else:
        assert found.chosen.bytes_per_s > 0


def test_integer_scales_get_whole_numbers() -> None:
    asked = step([], order(crf=34.0, target=90.0, crf_max=49.0, crf_min=15.0, crf_integer=True, crf_step=63 / 51))
    assert asked == Ask(lines=720, crf=34.0)
    _, points = search(
        lambda lines, crf: codec(0.05, lines, crf * 51 / 63), order(crf=34.0, crf_integer=True, crf_max=49.0)
    )
    assert all(p.crf % 1 == 0 for p in points)
