"""Whether a canary is worse than the revision it is to replace: pure.

Two shares are compared, that of requests which failed and that of slow ones. "Worse" is said when the difference
matters (tolerances) and is no chance (Fisher's exact test, one-sided), so it may be said after five requests or never.
"Good enough" is said only after enough requests and time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from reelpress.facts.values import Value


class Latencies(Value, frozen=True, kw_only=True):
    """A histogram. ``bounds_s`` are the upper ends of all buckets but the last, in rising order, in seconds."""

    bounds_s: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()

    @property
    def total(self) -> int:
        """How many were counted."""
        return sum(self.counts)

    def quantile(self, share: float) -> float | None:
        """Return the time in seconds that a share of all is within; ``None`` for none. Buckets are taken for even."""
        wanted, seen = share * self.total, 0
        for number, count in enumerate(self.counts):
            if count and seen + count >= wanted:
                low = self.bounds_s[number - 1] if number else 0.0
                # the last bucket has no upper end: what is known is that it is at least this
                high = self.bounds_s[number] if number < len(self.bounds_s) else low
                return low + (high - low) * (wanted - seen) / count
            seen += count
        return None

    def slower_than(self, limit_s: float) -> int:
        """Return how many took longer, counting those of the limit's own bucket in proportion."""
        slower = 0.0
        for number, count in enumerate(self.counts):
            low = self.bounds_s[number - 1] if number else 0.0
            high = self.bounds_s[number] if number < len(self.bounds_s) else math.inf
            if low >= limit_s:
                slower += count
            elif high > limit_s:
                slower += count if math.isinf(high) else count * (high - limit_s) / (high - low)
        return round(slower)


class Sample(Value, frozen=True, kw_only=True):
    """What one revision did in a stretch of time."""

    requests: int = 0
    errors: int = 0
    latencies: Latencies = Latencies()


class Rules(Value, frozen=True, kw_only=True):
    """When to go on. The defaults are starting values, not yet tried on real traffic.

    ``stages`` are the canary's percents, one after the other; each lasts ``soak_s`` at least, ``patience_s`` at most.
    ``error_tolerance`` is how much larger the share of errors may be; ``p95_ratio`` how many times the stable p95 the
    canary's may be; ``chance`` the probability at which a difference is no longer called chance.
    """

    stages: tuple[int, ...] = (5, 25, 50)
    soak_s: float = 600.0
    patience_s: float = 7200.0
    least_requests: int = 50
    error_tolerance: float = 0.001
    p95_ratio: float = 1.25
    chance: float = 0.01


class Verdict(Value, frozen=True, kw_only=True):
    """What to do, and why."""

    action: Literal["promote", "wait", "roll_back"]
    reason: str


def judge(canary: Sample, stable: Sample, rules: Rules, *, elapsed_s: float) -> Verdict:
    """Return what to do with a canary that has had its present share of traffic for ``elapsed_s`` seconds."""
    errors = _errors(canary, stable, rules)
    slow = _slowness(canary, stable, rules)
    for worse, certain in (errors, slow):
        if worse and certain:
            return Verdict(action="roll_back", reason=worse)
    if elapsed_s < rules.soak_s:
        return Verdict(action="wait", reason=f"{elapsed_s:.0f} of {rules.soak_s:.0f} s")
    doubt = errors[0] or slow[0]
    if canary.requests < rules.least_requests:
        doubt = f"{canary.requests} requests of {rules.least_requests} that are needed"
    if not doubt:
        return Verdict(action="promote", reason=f"{canary.requests} requests, {canary.errors} errors; no worse")
    if elapsed_s >= rules.patience_s:
        return Verdict(action="roll_back", reason=f"not shown to be as good in time: {doubt}")
    return Verdict(action="wait", reason=doubt)


def _errors(canary: Sample, stable: Sample, rules: Rules) -> tuple[str, bool]:
    """Return why the share of errors is worse, or nothing; and whether that is certain."""
    if not canary.requests:
        return "", False
    rate = canary.errors / canary.requests
    usual = stable.errors / stable.requests if stable.requests else 0.0
    if rate <= usual + rules.error_tolerance:
        return "", False
    reason = (
        f"{canary.errors} of {canary.requests} requests failed, "
        f"and {stable.errors} of {stable.requests} of the stable revision's"
    )
    return reason, by_chance(canary.errors, canary.requests, stable.errors, stable.requests) < rules.chance


def _slowness(canary: Sample, stable: Sample, rules: Rules) -> tuple[str, bool]:
    p95, usual = canary.latencies.quantile(0.95), stable.latencies.quantile(0.95)
    if p95 is None or usual is None or p95 <= usual * rules.p95_ratio:
        return "", False
    limit_s = usual * rules.p95_ratio
    slow = (canary.latencies.slower_than(limit_s), canary.latencies.total)
    slow_before = (stable.latencies.slower_than(limit_s), stable.latencies.total)
    reason = f"p95 is {p95:.3g} s, and {usual:.3g} s of the stable revision's"
    return reason, by_chance(*slow, *slow_before) < rules.chance


def by_chance(hits: int, of: int, hits_before: int, of_before: int) -> float:
    """Return how likely it is that ``hits`` or more of all hits fall to the first group by chance alone.

    Fisher's exact test, one-sided: the upper tail of the hypergeometric distribution. 1.0 when there is nothing to
    compare with.
    """
    all_hits = hits + hits_before
    if not of or not of_before:
        return 1.0
    log_all = _log_choose(of + of_before, all_hits)
    terms: Sequence[float] = [
        math.exp(_log_choose(of, k) + _log_choose(of_before, all_hits - k) - log_all)
        for k in range(hits, min(all_hits, of) + 1)
        if all_hits - k <= of_before
    ]
    return min(1.0, math.fsum(terms))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
