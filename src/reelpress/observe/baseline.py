"""How fast jobs are, and whether they have become slower: exact quantiles for each encoder and size of input. Pure.

Two things are measured of each job that made something: the seconds it took for a second of output, which is compared,
and the seconds it took, which depends on how long the videos are and is shown beside it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import msgspec

from reelpress.facts.numbers import quantile
from reelpress.facts.values import Value
from reelpress.observe.entry import SIZE_CLASSES, Entry

QUANTILES = (0.5, 0.95, 0.99)
_SIZES: list[str] = [name for name, _ in SIZE_CLASSES]


class Quantiles(Value, frozen=True, kw_only=True):
    """The median, and what 95 and 99 of 100 jobs stay under, in seconds."""

    p50: float
    p95: float
    p99: float

    @property
    def all(self) -> tuple[float, float, float]:
        """Them in the order of :data:`QUANTILES`."""
        return self.p50, self.p95, self.p99


class Speed(Value, frozen=True, kw_only=True):
    """How fast jobs of one encoder and size class were; ``per_programme_s`` are seconds for a second of output."""

    encoder: str
    size_class: str
    samples: int
    per_programme_s: Quantiles
    wall_s: Quantiles


class Baseline(Value, frozen=True, kw_only=True):
    """What is taken for normal. Times are seconds since 1970; ``since`` and ``until`` are of the jobs measured."""

    schema: int = 1
    made_at: float
    since: float | None = None
    until: float | None = None
    speeds: tuple[Speed, ...] = ()


class Comparison(Value, frozen=True, kw_only=True):
    """Now against the baseline. ``ratios`` are of p50, p95 and p99 (2: twice as slow); ``None`` with too few jobs.

    ``regressed`` tells whether one of them is beyond what is allowed.
    """

    encoder: str
    size_class: str
    samples: int
    now: Quantiles
    baseline: Quantiles
    ratios: tuple[float | None, float | None, float | None]
    regressed: bool

    @property
    def text(self) -> str:
        """The comparison in one sentence."""
        told = [f"p{round(q * 100)} {r:.2f}x" for q, r in zip(QUANTILES, self.ratios, strict=True) if r is not None]
        what = f"{self.encoder}, {self.size_class} inputs: {', '.join(told) or 'too few jobs'} of the baseline's time"
        return f"{what} ({self.samples} jobs)."


def quantiles(values: Iterable[float]) -> Quantiles:
    """Return p50, p95 and p99 of at least one value."""
    ordered = sorted(values)
    p50, p95, p99 = (quantile(ordered, share) for share in QUANTILES)
    return Quantiles(p50=p50, p95=p95, p99=p99)


def per_programme_s(entry: Entry) -> float | None:
    """Return the seconds a job took for a second of its output; ``None`` where that says nothing."""
    return entry.engine_s / entry.duration_s if entry.made and entry.duration_s > 0 and entry.engine_s > 0 else None


def speeds(entries: Iterable[Entry]) -> tuple[Speed, ...]:
    """Return how fast jobs were, for each encoder and size class that there is, each line looked at once."""
    ratios: dict[tuple[str, str], list[float]] = defaultdict(list)
    walls: dict[tuple[str, str], list[float]] = defaultdict(list)
    for entry in entries:
        ratio = per_programme_s(entry)
        if ratio is not None:
            ratios[entry.encoder, entry.size_class].append(ratio)
            walls[entry.encoder, entry.size_class].append(entry.engine_s)
    return tuple(
        Speed(
            encoder=encoder, size_class=size, samples=len(values), per_programme_s=quantiles(values),
            wall_s=quantiles(walls[encoder, size]),
        )
        for (encoder, size), values in sorted(ratios.items(), key=lambda item: (item[0][0], _SIZES.index(item[0][1])))
    )  # fmt: skip


def counts(share: float, samples: int, min_samples: int) -> bool:
    """Tell whether a quantile of so many jobs says anything: one of 95 % needs 20 of them, one of 99 % a hundred."""
    return samples >= max(min_samples, round(1 / (1 - share)))


def compare(baseline: Baseline, now: Iterable[Speed], *, factor: float, min_samples: int) -> tuple[Comparison, ...]:
    """Compare what is in the baseline with how fast jobs are now; what one of both lacks is left out."""
    then = {(speed.encoder, speed.size_class): speed for speed in baseline.speeds}
    out = []
    for speed in now:
        before = then.get((speed.encoder, speed.size_class))
        if before is None:
            continue
        samples = min(speed.samples, before.samples)
        ratios = tuple(
            a / b if b > 0 and counts(share, samples, min_samples) else None
            for share, a, b in zip(QUANTILES, speed.per_programme_s.all, before.per_programme_s.all, strict=True)
        )
        out.append(
            Comparison(
                encoder=speed.encoder, size_class=speed.size_class, samples=speed.samples, now=speed.per_programme_s,
                baseline=before.per_programme_s, ratios=(ratios[0], ratios[1], ratios[2]),
                regressed=any(ratio is not None and ratio > factor for ratio in ratios),
            )
        )  # fmt: skip
    return tuple(out)


def completed(baseline: Baseline | None, now: Iterable[Speed], *, min_samples: int, at: float) -> Baseline | None:
    """Return a baseline with what it lacks and enough jobs ended of; ``None`` where there is nothing to add."""
    known = baseline.speeds if baseline is not None else ()
    have = {(speed.encoder, speed.size_class) for speed in known}
    new = [s for s in now if (s.encoder, s.size_class) not in have and s.samples >= min_samples]
    if not new:
        return None
    base = baseline or Baseline(made_at=at)
    return msgspec.structs.replace(base, made_at=at, speeds=(*known, *new))
