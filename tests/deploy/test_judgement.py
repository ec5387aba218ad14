"""When a canary is called worse, when good enough, and when nobody knows."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudrun.canary_metrics import _bounds
from cloudrun.judgement import Latencies, Rules, Sample, by_chance, judge
from cloudrun.traffic import Share, all_to, as_targets, promoted, read_traffic, rolled_back, split
from reelpress.errors import UsageError

RULES = Rules(soak_s=600, patience_s=3600, least_requests=50)


def sample(requests: int, errors: int = 0, slow: int = 0) -> Sample:
    """Requests of which most take 1 to 2 s, and ``slow`` 10 to 20 s."""
    return Sample(
        requests=requests,
        errors=errors,
        latencies=Latencies(bounds_s=(1.0, 2.0, 10.0, 20.0), counts=(0, requests - slow, 0, slow, 0)),
    )


@pytest.mark.parametrize(
    ("canary", "stable", "elapsed_s", "action"),
    [
        (sample(200), sample(4000), 700, "promote"),
        (sample(200), sample(4000), 500, "wait"),  # too early
        (sample(20), sample(4000), 700, "wait"),  # too few
        (sample(20), sample(4000), 3700, "roll_back"),  # still too few
        (sample(0), sample(4000), 3700, "roll_back"),  # nobody came
        (sample(5, errors=5), sample(100), 10, "roll_back"),  # clear after five
        (sample(200, errors=1), sample(4000, errors=4), 700, "wait"),  # worse, and perhaps by chance
        (sample(200, errors=1), sample(4000, errors=4), 3700, "roll_back"),  # and never shown to be no worse
        (sample(200, errors=20), sample(4000, errors=400), 700, "promote"),  # as bad as the other
        (sample(200, errors=20), sample(4000, errors=40), 60, "roll_back"),
        (sample(200, slow=60), sample(4000, slow=40), 60, "roll_back"),
        (sample(200, slow=4), sample(4000, slow=40), 700, "promote"),  # two in a hundred are no p95
        (sample(200, slow=60), sample(4000, slow=1200), 700, "promote"),  # both are slow
    ],
)
def test_verdicts(canary: Sample, stable: Sample, elapsed_s: float, action: str) -> None:
    verdict = judge(canary, stable, RULES, elapsed_s=elapsed_s)
    assert verdict.action == action, verdict


@pytest.mark.parametrize(
    ("table", "chance"),
    # by hand: C(10,3)*C(10,0)/C(20,3) = 120/1140; 1.0 where every split has as many or more
    [
        ((3, 10, 0, 10), 120 / 1140),
        ((0, 10, 3, 10), 1.0),
        ((10, 10, 0, 10), 1 / math.comb(20, 10)),
        ((1, 0, 5, 9), 1.0),
    ],
)
def test_chance_is_fishers(table: tuple[int, int, int, int], chance: float) -> None:
    assert by_chance(*table) == pytest.approx(chance)


@given(st.integers(1, 400), st.integers(1, 4000), st.data())
def test_the_same_behaviour_is_rarely_called_worse_and_more_errors_never_better(n: int, m: int, data: Any) -> None:
    hits, before = data.draw(st.integers(0, n)), data.draw(st.integers(0, m))
    chance = by_chance(hits, n, before, m)
    assert 0.0 <= chance <= 1.0
    if hits:
        assert by_chance(hits - 1, n, before, m) >= chance - 1e-9


def test_quantiles_of_a_histogram() -> None:
    counted = Latencies(bounds_s=(1.0, 2.0, 4.0), counts=(50, 40, 10, 0))
    assert counted.quantile(0.5) == pytest.approx(1.0)
    assert counted.quantile(0.95) == pytest.approx(3.0)
    assert counted.slower_than(3.0) == 5
    assert Latencies().quantile(0.95) is None


@pytest.mark.parametrize(
    ("options", "bounds"),
    [
        ({"explicitBuckets": {"bounds": [1, 2, 5]}}, (1, 2, 5)),
        ({"linearBuckets": {"numFiniteBuckets": 2, "width": 10, "offset": 5}}, (5, 15, 25)),
        ({"exponentialBuckets": {"numFiniteBuckets": 3, "growthFactor": 2, "scale": 1}}, (1, 2, 4, 8)),
    ],
)
def test_bounds_of_the_apis_three_kinds_of_buckets(options: dict[str, Any], bounds: tuple[float, ...]) -> None:
    assert _bounds(options) == pytest.approx(bounds)


# --- traffic ---


def shares(**percents: tuple[int, str]) -> tuple[Share, ...]:
    found = [Share(revision=n, percent=p, tags=tuple(t.split())) for n, (p, t) in percents.items()]
    return tuple(sorted(found, key=lambda share: (-share.percent, share.revision)))


def test_whatever_is_newest_is_counted_as_that_revision() -> None:
    service = {"latestReadyRevision": "projects/p/locations/l/services/s/revisions/w-3"}
    assert read_traffic(service) == shares(**{"w-3": (100, "")})
    with pytest.raises(UsageError):
        read_traffic({})


@pytest.mark.parametrize(
    ("before", "good"),
    [
        ({"a": (95, "stable"), "b": (5, "canary")}, "a"),  # a rollout is under way
        ({"a": (100, "stable"), "b": (0, "canary")}, "a"),
        ({"b": (100, "stable"), "a": (0, "previous")}, "a"),  # b was promoted, and is bad
        ({"c": (100, ""), "b": (0, "stable"), "a": (0, "previous")}, "b"),  # a switch was turned after that
    ],
)
def test_rollback_finds_what_was_good(before: dict[str, tuple[int, str]], good: str) -> None:
    after = rolled_back(shares(**before))
    assert {share.revision: share.percent for share in after if share.percent} == {good: 100}
    assert "stable" in after[0].tags


def test_rollback_with_nothing_to_go_to_is_refused() -> None:
    with pytest.raises(UsageError) as refused:
        rolled_back(shares(a=(100, "")))
    assert "REVISION=" in str(refused.value.hint)
    assert all_to(shares(a=(100, "")), "z")[0] == Share(revision="z", percent=100, tags=("stable",))


@given(st.sampled_from(["", "stable", "stable old", "previous"]), st.integers(0, 99), st.integers(1, 99))
def test_every_change_is_one_that_the_api_takes(tags: str, percent: int, next_percent: int) -> None:
    before = shares(a=(100 - percent, tags), b=(percent, "canary"), c=(0, "kept"))
    for change in (split(before, next_percent), promoted(before), rolled_back(before)):
        targets = as_targets(change)
        named = [target["tag"] for target in targets if "tag" in target]
        assert sum(target.get("percent", 0) for target in targets) == 100
        assert len(set(named)) == len(named)
        assert "kept" in named
        assert all(share.percent or share.tags for share in change)


def test_without_a_canary_nothing_is_split_or_promoted() -> None:
    for change in (promoted, lambda s: split(s, 5)):
        with pytest.raises(UsageError, match="canary"):
            change(shares(a=(100, "stable")))
