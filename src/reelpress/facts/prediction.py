"""What was said of a job before it was done, as values that its receipt keeps beside what it came to."""

from __future__ import annotations

from typing import Literal, get_args

from reelpress.facts.values import Value

# What a prediction rests on: the whole job done once and thrown away, a quote's stretches of it, the few short samples
# that some plans are made with, or the facts of the file alone.
Basis = Literal["rehearsed", "sampled", "plan_samples", "facts"]
Outcome = Literal["encoded", "copied", "skipped"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

# Four of five jobs are to lie inside an interval: wide enough to plan by, narrow enough to say something.
SHARE = 0.8


class Interval(Value, frozen=True, kw_only=True):
    """The likely value, and between which two it lies with the prediction's ``share``."""

    low: float
    likely: float
    high: float

    def times(self, factor: float) -> Interval:
        """Return the same in another unit; ``factor`` is positive."""
        return Interval(low=self.low * factor, likely=self.likely * factor, high=self.high * factor)

    def holds(self, value: float) -> bool:
        """Tell whether a value lies inside."""
        return self.low <= value <= self.high


class Predicted(Value, frozen=True, kw_only=True):
    """What was predicted of one job: of its output, in bytes and VMAF (0 to 100), and of the work, in seconds and USD.

    ``None`` where it was not predicted. ``share`` (0.8: four of five) is how many such jobs are to lie inside each
    interval.
    ``encoder`` is the one it is said of (``copy`` for a remux, ``None`` where nothing is written); ``at_once`` how many
    jobs were taken to be on the machine. ``wall_s`` is the receipt's. ``quote`` is the id of the quote it stands in.
    """

    basis: Basis
    outcome: Outcome
    encoder: str | None
    share: float = SHARE
    size_bytes: Interval | None = None
    vmaf: Interval | None = None
    wall_s: Interval | None = None
    usd: Interval | None = None
    at_once: int = 1
    quote: str | None = None


def around(likely: float, relative: float, *, most: float | None = None) -> Interval:
    """Return an interval whose ends are a factor of ``1 + relative`` below and above; ``most`` caps its upper end."""
    high = likely * (1 + relative)
    return Interval(low=likely / (1 + relative), likely=likely, high=high if most is None else min(high, most))
