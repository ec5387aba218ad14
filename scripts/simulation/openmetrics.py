"""What a Prometheus would have scraped at simulated times, as a file in OpenMetrics that promtool makes blocks of."""

from __future__ import annotations

from typing import TextIO


class Recording:
    """Writes scrapes with their times. ``names`` are the metrics worth keeping; parts of a histogram go with it."""

    def __init__(self, file: TextIO, names: frozenset[str]) -> None:
        self._file, self._names = file, names
        self.samples = 0

    def add(self, text: bytes, *, instance: str, now: float, only: str = "") -> None:
        """Add what ``/metrics`` of one process said at ``now``, in seconds since 1970, of names that begin so."""
        target = f'instance="{instance}",job="reelpress"'
        for line in text.decode().splitlines():
            if line.startswith("#"):
                continue
            series, _, value = line.rpartition(" ")
            name, brace, labels = series.partition("{")
            if name not in self._names or not name.startswith(only):
                continue
            own = f",{labels[:-1]}" if brace and labels != "}" else ""
            self._file.write(f"{name}{{{target}{own}}} {value} {now:.3f}\n")
            self.samples += 1

    def end(self) -> None:
        """Write the end, without which the file counts as cut off."""
        self._file.write("# EOF\n")
