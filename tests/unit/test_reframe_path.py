"""Paths of windows: calm, inside the picture, and near where people put theirs."""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reelpress.reframe.path import Manner, median_of_five, solve_path, thinned
from reelpress.reframe.placing import COMFORT, Target, place

ROOT = Path(__file__).resolve().parents[2]
MEDIA = Path(os.environ.get("REELPRESS_MEDIA") or ROOT.parent / "shared" / "media")
TRACKS = MEDIA / "truth" / "retargetvid"
sys.path.append(str(ROOT / "benchmarks"))  # behind: it has a clips.py, too

import reframe  # noqa: E402

SHARES = (0.316, 1.0)
places = st.lists(st.floats(-0.2, 1.2), min_size=1, max_size=40)


def path_of(seen: list[float], manner: Manner, low: float = 0.2, high: float = 0.8) -> list[tuple[float, float]]:
    times = [0.2 * i for i in range(len(seen))]
    end_s = 0.2 * len(seen)
    return solve_path(times, seen, [1.0] * len(seen), start_s=0.0, end_s=end_s, low=low, high=high, manner=manner)


@settings(max_examples=60)
@given(places, st.sampled_from([0.02, 0.078, 1.0]), st.sampled_from([0.0, 0.05]))
def test_a_path_stays_inside_and_is_never_faster_than_allowed(seen: list[float], limit: float, comfort: float) -> None:
    keys = path_of(seen, Manner(comfort=comfort, speed_limit=limit))
    assert all(0.2 <= place <= 0.8 for _, place in keys)
    assert [t for t, _ in keys] == sorted({t for t, _ in keys})
    for (t0, p0), (t1, p1) in itertools.pairwise(keys):
        assert abs(p1 - p0) <= limit * (t1 - t0) + 1e-4


@settings(max_examples=40)
@given(st.floats(0, 1), st.integers(1, 60))
def test_who_stands_still_gets_a_window_that_does(at: float, count: int) -> None:
    assert len(path_of([at] * count, Manner())) == 1


@settings(max_examples=40)
@given(st.lists(st.floats(-0.9, 0.9), min_size=1, max_size=30), st.floats(0.3, 0.7))
def test_who_stays_in_the_middle_half_gets_a_window_that_holds_still(sways: list[float], at: float) -> None:
    targets = [Target(t_s=0.2 * i, x=at + sway * COMFORT * SHARES[0], y=0.5) for i, sway in enumerate(sways)]
    placed = place(targets, start_s=0.0, end_s=0.2 * len(targets), shares=SHARES)
    assert not placed.moves
    assert len(placed.window.path) == 1
    assert placed.held == 1


def test_who_walks_is_followed_and_a_single_false_hit_is_not() -> None:
    walk = [Target(t_s=0.2 * i, x=0.25 + 0.01 * i, y=0.5) for i in range(50)]
    walk[20] = Target(t_s=4.0, x=0.9, y=0.5)
    placed = place(walk, start_s=0.0, end_s=10.0, shares=SHARES)
    assert placed.moves
    assert placed.held >= 0.98
    xs = [key.x for key in placed.window.path]
    assert xs == sorted(xs)  # it never goes back


def test_no_target_is_the_middle() -> None:
    placed = place([], start_s=3.0, end_s=5.0, shares=SHARES)
    assert [(key.t_s, key.x, key.y) for key in placed.window.path] == [(3.0, 0.5, 0.5)]


def test_keys_on_a_line_are_left_out() -> None:
    assert thinned([(0.0, 0.1), (1.0, 0.2), (2.0, 0.3), (3.0, 0.3), (4.0, 0.3)]) == [(0.0, 0.1), (2.0, 0.3), (4.0, 0.3)]
    assert thinned([(0.0, 0.5), (1.0, 0.5), (2.0, 0.5)]) == [(0.0, 0.5)]
    assert thinned([(0.0, 0.5)]) == [(0.0, 0.5)]


def test_a_median_of_five_drops_two_false_hits_in_a_row() -> None:
    assert median_of_five([1, 1, 1, 9, 9, 1, 1]) == [1, 1, 1, 1, 1, 1, 1]


def test_a_long_shot_gets_a_coarser_grid_and_not_a_larger_programme() -> None:
    seen = list(0.5 + 0.25 * np.sin(np.arange(3000) / 40))
    keys = path_of(seen, Manner())
    assert 2 <= len(keys) <= 601


@pytest.mark.skipif(not TRACKS.is_dir(), reason=f"no human tracks at {TRACKS}")
@pytest.mark.thorough
def test_paths_are_near_where_people_put_windows_and_calmer_than_people() -> None:
    """The bars of the reference: 64.6 % overlap with at most 9 px/s and 5 px/s² at 640 px."""
    found = reframe.score(reframe.read_tracks(TRACKS), reframe.ours)
    assert found["iou_percent"] >= 64.6
    assert found["travel_px_per_s"] <= 9
    assert found["acceleration_px_per_s2"] <= 5
    # the product's window: beyond what a published saliency method and the centre reach (0.73, 0.75)
    assert found["coverage"] > 0.88
    assert found["lost"] < 0.07
