"""Quantiles, the baseline, and when jobs count as slower."""

from __future__ import annotations

import pytest

from reelpress.facts.values import from_json, to_json
from reelpress.observe.baseline import Baseline, compare, completed, speeds
from reelpress.observe.entry import Entry


def entries(seconds, encoder="libx264", size_class="small", duration_s=10.0, status="done"):
    return [
        Entry(
            job=f"j{number}", run=1, user_id="ann", kind="compress", finished_at=1.8e9, status=status, encoder=encoder,
            size_class=size_class, duration_s=duration_s, engine_s=engine_s,
        )
        for number, engine_s in enumerate(seconds)
    ]  # fmt: skip


def test_jobs_are_measured_in_their_groups_by_what_they_made() -> None:
    found = speeds([*entries([20.0]), *entries([5.0, 15.0], size_class="huge"), *entries([1.0], status="failed")])
    assert [(s.encoder, s.size_class, s.samples) for s in found] == [("libx264", "small", 1), ("libx264", "huge", 2)]
    assert found[1].per_programme_s.p50 == 1.0
    assert found[1].wall_s.p50 == 10.0
    assert speeds(entries([1.0], duration_s=0.0)) == ()
    assert speeds(entries([0.0])) == ()


def compared(before, after, *, factor=2.0, min_samples=20):
    baseline = Baseline(made_at=0.0, speeds=speeds(entries(before)))
    (found,) = compare(
        from_json(to_json(baseline), Baseline), speeds(entries(after)), factor=factor, min_samples=min_samples
    )
    return found


def test_twice_as_slow_is_told_and_a_little_slower_is_not() -> None:
    assert compared([10.0] * 30, [20.1] * 30).regressed
    assert not compared([10.0] * 30, [19.9] * 30).regressed
    assert compared([10.0] * 30, [13.0] * 30, factor=1.2).regressed


def test_a_slow_tail_is_told_though_the_median_is_as_it_was() -> None:
    found = compared([10.0] * 100, [10.0] * 90 + [50.0] * 10)
    assert found.ratios[0] == 1.0
    assert found.ratios[1] == pytest.approx(5.0)
    assert found.regressed


def test_few_jobs_are_not_judged_and_one_outlier_is_no_tail() -> None:
    assert compared([10.0] * 30, [90.0] * 19).ratios == (None, None, None)
    assert not compared([10.0] * 30, [90.0] * 19).regressed
    assert not compared([10.0] * 3, [90.0] * 30).regressed
    # of 40 jobs the slowest one is the p99, which 100 are needed for
    found = compared([10.0] * 40, [10.0] * 39 + [900.0])
    assert found.ratios[2] is None
    assert not found.regressed


def test_groups_join_the_baseline_once_enough_ended_and_then_stay_as_they_are() -> None:
    few, many = speeds(entries([10.0] * 19)), speeds(entries([10.0] * 20))
    assert completed(None, few, min_samples=20, at=1.0) is None
    first = completed(None, many, min_samples=20, at=1.0)
    assert first is not None
    assert completed(first, speeds(entries([90.0] * 50)), min_samples=20, at=2.0) is None
    more = completed(first, speeds(entries([1.0] * 50, encoder="h264_nvenc")), min_samples=20, at=2.0)
    assert more is not None
    assert [s.encoder for s in more.speeds] == ["libx264", "h264_nvenc"]
    assert more.speeds[0] == first.speeds[0]
