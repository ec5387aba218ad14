"""What jobs cost, added up: by day, encoder or user, for a minute of output, and against the other device. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Literal

import msgspec

from reelpress.facts.values import Value
from reelpress.observe.entry import NONE, Entry
from reelpress.plan.encoders import ENCODERS
from reelpress.receipt import CostParts

By = Literal["day", "encoder", "user"]
CODEC_OF = {row.name: row.codec for row in ENCODERS}
# With fewer jobs than this on the other device nothing is said of what it would have cost there.
LEAST_SAMPLES = 3
MOST_SAMPLES = 50  # the newest ones, where there are more
_PARTS = CostParts.__struct_fields__


class CostLine(Value, frozen=True, kw_only=True):
    """Jobs that have one day, encoder or user in common (``key``), and what they cost in USD.

    ``other_usd`` is what those jobs of which it is known would have cost on the other device, and ``compared_usd`` what
    the same ones did cost; both 0 where it is known of none. ``parts`` are those whose price is known.
    """

    key: str
    jobs: int = 0
    failed: int = 0
    on_gpu: int = 0
    programme_s: float = 0.0
    usd: float = 0.0
    parts: dict[str, float] = {}  # noqa: RUF012 - msgspec copies it
    compared: int = 0
    compared_usd: float = 0.0
    other_usd: float = 0.0

    @property
    def usd_per_output_minute(self) -> float | None:
        """What a minute of output cost; ``None`` where nothing was made."""
        return self.usd / (self.programme_s / 60) if self.programme_s else None


class DayUsd(Value, frozen=True, kw_only=True):
    """What the jobs cost that ended on a day (UTC)."""

    day: str
    usd: float


class CostReport(Value, frozen=True, kw_only=True):
    """What jobs cost that ended from ``since`` to before ``until``, seconds since 1970 (``None``: without end).

    ``lines`` stand by day, or with the dearest first. ``unpriced`` counts jobs that used something whose price is not
    known: they cost more than is said here.
    """

    by: By
    since: float | None
    until: float | None
    lines: tuple[CostLine, ...]
    total: CostLine
    days: tuple[DayUsd, ...]
    unpriced: int = 0


def cost_report(
    entries: Iterable[Entry], *, by: By, since: float | None = None, until: float | None = None
) -> CostReport:
    """Add up lines of the ledger; each is looked at once."""
    sums: dict[str, _Sum] = defaultdict(_Sum)
    days: dict[str, float] = defaultdict(float)
    total, unpriced = _Sum(), 0
    for entry in entries:
        day = day_of(entry.finished_at)
        key = day if by == "day" else entry.encoder if by == "encoder" else entry.user_id
        sums[key].add(entry)
        total.add(entry)
        days[day] += entry.usd
        unpriced += bool(entry.usd_parts.unpriced)
    lines = [each.line(key) for key, each in sums.items()]
    lines.sort(key=lambda line: line.key if by == "day" else (-line.usd, line.key))
    return CostReport(
        by=by, since=since, until=until, lines=tuple(lines), total=total.line("total"), unpriced=unpriced,
        days=tuple(DayUsd(day=day, usd=round(usd, 8)) for day, usd in sorted(days.items())),
    )  # fmt: skip


def day_of(at: float) -> str:
    """Return the day, UTC, of a moment in seconds since 1970, as ``2026-11-22``."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def usd_per_programme_s(entry: Entry) -> float | None:
    """Return what a second of output cost; ``None`` where nothing was made, or a part has no price."""
    return entry.usd / entry.duration_s if entry.made and entry.duration_s and not entry.usd_parts.unpriced else None


def others_of(encoder: str, device: str | None) -> tuple[str, ...]:
    """Return the encoders of the same codec on the other device; none for a remux."""
    codec = CODEC_OF.get(encoder)
    return tuple(row.name for row in ENCODERS if row.codec == codec and row.device != device)


def other_usd(entry: Entry, usd_per_s: Sequence[float]) -> float | None:
    """Return what a job would have cost on the other device, from what a second of output cost there; ``None`` if few.

    The median: jobs of one size class differ, and one that went wrong must not be the measure.
    """
    if usd_per_programme_s(entry) is None or len(usd_per_s) < LEAST_SAMPLES:
        return None
    return round(median(usd_per_s) * entry.duration_s, 8)


def with_others(entries: Sequence[Entry]) -> list[Entry]:
    """Return lines that no ledger told of the other device, compared with each other."""
    seen: dict[tuple[str, str], list[float]] = defaultdict(list)
    for entry in entries:
        usd = usd_per_programme_s(entry)
        if usd is not None:
            seen[entry.encoder, entry.size_class].append(usd)
    out = []
    for entry in entries:
        there = [usd for name in others_of(entry.encoder, entry.device) for usd in seen[name, entry.size_class]]
        out.append(msgspec.structs.replace(entry, usd_other=other_usd(entry, there)))
    return out


class _Sum:
    """Lines under way to their sum."""

    def __init__(self) -> None:
        self.jobs = self.failed = self.on_gpu = self.compared = 0
        self.programme_s = self.usd = self.compared_usd = self.other_usd = 0.0
        self.parts: dict[str, float] = dict.fromkeys(_PARTS, 0.0)

    def add(self, entry: Entry) -> None:
        self.jobs += 1
        self.failed += entry.status in ("failed", "dead")
        self.on_gpu += entry.device == "nvidia" and entry.encoder != NONE
        self.programme_s += entry.duration_s
        self.usd += entry.usd
        for name, usd in entry.usd_parts.known.items():
            self.parts[name] += usd
        if entry.usd_other is not None:
            self.compared += 1
            self.compared_usd += entry.usd
            self.other_usd += entry.usd_other

    def line(self, key: str) -> CostLine:
        return CostLine(
            key=key, jobs=self.jobs, failed=self.failed, on_gpu=self.on_gpu, programme_s=round(self.programme_s, 3),
            usd=round(self.usd, 8), parts={name: round(usd, 8) for name, usd in self.parts.items()},
            compared=self.compared, compared_usd=round(self.compared_usd, 8), other_usd=round(self.other_usd, 8),
        )  # fmt: skip
