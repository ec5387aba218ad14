"""How right predictions were: of what jobs came to against what was said of them before. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from statistics import median

from reelpress.facts.numbers import quantile
from reelpress.facts.prediction import Interval, Predicted
from reelpress.facts.values import Value
from reelpress.observe.entry import NONE, Entry

# What a quote promises of nine files in ten.
SIZE_WITHIN, WALL_WITHIN, VMAF_WITHIN = 0.10, 0.20, 1.0


class Deviation(Value, frozen=True, kw_only=True):
    """How far off predictions of one kind were, relative (0.1: 10 %), of VMAF in points.

    ``median`` and ``p80`` are of the deviation whatever its sign; ``bias`` is the median with it, above 0 where more
    came out than was said. ``within`` is the share within what is promised, ``inside`` that inside its interval.
    """

    jobs: int
    median: float
    p80: float
    bias: float
    within: float
    inside: float


class Accuracy(Value, frozen=True, kw_only=True):
    """Predictions of one basis for one encoder, as it was predicted (``none``: that nothing would be written).

    ``as_said`` counts jobs that ended with this encoder; the others' bytes and seconds are of something else, and are
    left out. ``None`` where nothing was predicted.
    """

    basis: str
    encoder: str
    jobs: int
    as_said: int
    size: Deviation | None
    wall: Deviation | None
    vmaf: Deviation | None


def accuracies(entries: Iterable[Entry]) -> tuple[Accuracy, ...]:
    """Return how right predictions were, by what they rested on and by encoder; jobs without one are left out."""
    groups: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.predicted is not None and entry.status == "done":
            groups[entry.predicted.basis, entry.predicted.encoder or NONE].append(entry)
    return tuple(_accuracy(basis, encoder, found) for (basis, encoder), found in sorted(groups.items()))


def _accuracy(basis: str, encoder: str, entries: Sequence[Entry]) -> Accuracy:
    as_said = [entry for entry in entries if entry.encoder == encoder]
    size, wall, vmaf = deviations(as_said)
    return Accuracy(
        basis=basis, encoder=encoder, jobs=len(entries), as_said=len(as_said), size=size, wall=wall, vmaf=vmaf
    )


def deviations(entries: Sequence[Entry]) -> tuple[Deviation | None, Deviation | None, Deviation | None]:
    """Return how far off predictions of bytes, seconds and VMAF were, of jobs that another encoder ended left out."""
    as_said = [e for e in entries if e.predicted is not None and e.encoder == (e.predicted.encoder or NONE)]
    return (
        _deviation(as_said, lambda p: p.size_bytes, lambda e: e.output_bytes or None, SIZE_WITHIN, relative=True),
        _deviation(as_said, lambda p: p.wall_s, lambda e: e.engine_s or None, WALL_WITHIN, relative=True),
        _deviation(as_said, lambda p: p.vmaf, lambda e: e.vmaf, VMAF_WITHIN, relative=False),
    )  # fmt: skip


def _deviation(
    entries: Sequence[Entry],
    said: Callable[[Predicted], Interval | None],
    came: Callable[[Entry], float | None],
    promised: float,
    *,
    relative: bool,
) -> Deviation | None:
    off: list[float] = []
    inside = 0
    for entry in entries:
        interval = said(entry.predicted) if entry.predicted is not None else None
        actual = came(entry)
        if interval is None or actual is None or (relative and not interval.likely):
            continue
        off.append((actual - interval.likely) / (interval.likely if relative else 1.0))
        inside += interval.holds(actual)
    if not off:
        return None
    sizes = sorted(abs(each) for each in off)
    return Deviation(
        jobs=len(off), median=round(median(sizes), 4), p80=round(quantile(sizes, 0.8), 4), bias=round(median(off), 4),
        within=round(sum(each <= promised for each in sizes) / len(sizes), 4), inside=round(inside / len(sizes), 4),
    )  # fmt: skip
