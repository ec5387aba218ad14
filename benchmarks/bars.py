"""What benchmarks measure, and the bars that it is held against."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One number; ``bar`` is what it must not exceed, ``None`` where nothing is asked of it."""

    name: str
    value: float
    unit: str
    bar: float | None = None

    @property
    def verdict(self) -> str:
        """Say whether the bar holds."""
        return "" if self.bar is None else "holds" if self.value <= self.bar else "MISSED"
