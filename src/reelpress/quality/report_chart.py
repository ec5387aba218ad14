"""The curve of VMAF over time: SVG for wide and for narrow windows, and numbers for whoever steps along it. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from reelpress.facts.quality import FrameScores, Pooled, Window
from reelpress.facts.values import Value
from reelpress.quality.report_text import clock, score, script_json, words

MOST_SERIES = 6  # colours that can be told apart, see report.css
_POINTS = 1200  # of a curve that is stepped along
_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)


class Mark(Value, frozen=True, kw_only=True):
    """A frame that is shown below: where it is, and the element's id."""

    at_s: float
    vmaf: float
    target: str


class Series(Value, frozen=True, kw_only=True):
    """The curve of one encode."""

    name: str
    scores: FrameScores
    vmaf: Pooled
    windows: tuple[Window, ...]
    marks: tuple[Mark, ...] = ()


Point = tuple[float, float]


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """Return at most about ``most`` points: of every stretch of time the lowest and the highest, in their order."""
    if len(points) <= most:
        return list(points)
    per = math.ceil(len(points) / (most // 2))
    kept: list[Point] = []
    for start in range(0, len(points), per):
        stretch = points[start : start + per]
        low, high = min(stretch, key=lambda p: p[1]), max(stretch, key=lambda p: p[1])
        kept += sorted({low, high})
    return kept


def pieces(points: Sequence[Point]) -> list[list[Point]]:
    """Return a curve cut where nothing was scored for long."""
    gaps = sorted(b[0] - a[0] for a, b in itertools.pairwise(points))
    apart = max(1.5, 8 * gaps[len(gaps) // 2]) if gaps else 1.5
    found: list[list[Point]] = []
    for point in points:
        if not found or point[0] - found[-1][-1][0] > apart:
            found.append([])
        found[-1].append(point)
    return found


def chart(series: Sequence[Series], end_s: float, min_vmaf: float | None = None) -> str:
    """Return the chart's HTML; ``end_s`` is how long the programme is. There is at least one curve."""
    low = _lowest(series, min_vmaf)
    drawings = "".join(
        _Drawing(width, height, low, end_s, kind).svg(series, min_vmaf)
        for width, height, kind in ((1120, 340, "wide"), (420, 300, "narrow"))
    )
    data = {
        "end": end_s,
        "series": [
            {"name": one.name, "points": [[round(t, 3), round(v, 2)] for t, v in thinned(_points(one), _POINTS)]}
            for one in series
        ],
    }
    return (
        f'<div class="chart" id="chart">{drawings}</div>'
        '<p class="cursor" id="cursor" hidden><label for="time">Step along the curve</label>'
        '<input type="range" id="time" min="0" max="1000" value="0">'
        '<output id="reading" for="time"></output></p>'
        f'<ul class="legend">{"".join(_legend(n, one) for n, one in enumerate(series, 1))}</ul>'
        f'<script type="application/json" id="curves">{script_json(data)}</script>'
    )


def _points(one: Series) -> list[Point]:
    return list(zip(one.scores.at_s, one.scores.vmaf, strict=True))


def _lowest(series: Sequence[Series], min_vmaf: float | None) -> float:
    least = min((*(one.vmaf.min for one in series), *((min_vmaf,) if min_vmaf is not None else ())))
    tens: int = math.floor((least - 1) / 10)
    return max(0.0, min(80.0, 10.0 * tens))


def _legend(number: int, one: Series) -> str:
    worst = one.vmaf.worst_second
    told = "" if worst is None else f", worst second {score(worst.score)} at {clock(worst.at_s)}"
    return (
        f'<li><svg class="swatch" viewBox="0 0 28 8" aria-hidden="true"><line class="line s{number}" x1="0" y1="4" '
        f'x2="28" y2="4"/></svg><span><bdi>{words(one.name)}</bdi>: mean {score(one.vmaf.mean)}{told}</span></li>'
    )


class _Drawing:
    """One SVG; its text is readable at the width it is made for."""

    def __init__(self, width: int, height: int, low: float, end_s: float, kind: str) -> None:
        self.width, self.height, self.low, self.end_s, self.kind = width, height, low, max(end_s, 0.001), kind
        self.left, self.right, self.top, self.bottom = 44, width - 12, 14, height - 40

    def x(self, at_s: float) -> float:
        part = min(1.0, max(0.0, at_s / self.end_s))
        return round(self.left + part * (self.right - self.left), 1)

    def y(self, vmaf: float) -> float:
        part = (min(100.0, max(self.low, vmaf)) - self.low) / (100 - self.low)
        return round(self.bottom - part * (self.bottom - self.top), 1)

    def svg(self, series: Sequence[Series], min_vmaf: float | None) -> str:
        parts = [*self._unscored(series[0].windows), *self._grid(), *self._seconds()]
        if min_vmaf is not None:
            y = self.y(min_vmaf)
            parts.append(f'<line class="asked" x1="{self.left}" y1="{y}" x2="{self.right}" y2="{y}"/>')
        parts += [part for n, one in enumerate(series, 1) for part in self._worst(n, one)]
        parts += [part for n, one in enumerate(series, 1) for part in self._curve(n, one)]
        if min_vmaf is not None:  # over the curves
            y = self.y(min_vmaf)
            parts.append(f'<text class="asked-text" x="{self.right - 4}" y="{y - 5}">asked for: {min_vmaf:g}</text>')
        parts.append(f'<line class="hand" x1="{self.left}" y1="{self.top}" x2="{self.left}" y2="{self.bottom}"/>')
        parts += [self._mark(n, k, one, mark) for n, one in enumerate(series, 1) for k, mark in enumerate(one.marks, 1)]
        label = "; ".join(
            f"{words(one.name)}: mean {score(one.vmaf.mean)}, lowest {score(one.vmaf.min)}" for one in series
        )
        return (
            f'<svg class="{self.kind}" viewBox="0 0 {self.width} {self.height}" role="group" data-left="{self.left}" '
            f'data-right="{self.right}" aria-label="VMAF over time. {label}">{"".join(parts)}</svg>'
        )

    def _unscored(self, windows: Sequence[Window]) -> list[str]:
        at, found = 0.0, []
        for window in (*sorted(windows, key=lambda w: w.start_s), Window(start_s=self.end_s, duration_s=0)):
            if window.start_s - at > self.end_s / 500:
                x = self.x(at)
                found.append(
                    f'<rect class="unscored" x="{x}" y="{self.top}" width="{round(self.x(window.start_s) - x, 1)}" '
                    f'height="{self.bottom - self.top}"/>'
                )
            at = max(at, window.start_s + window.duration_s)
        return found

    def _grid(self) -> list[str]:
        step = 10 if 100 - self.low > 20 else 5
        found = []
        for value in range(int(self.low), 101, step):
            y = self.y(value)
            found.append(f'<line class="grid" x1="{self.left}" y1="{y}" x2="{self.right}" y2="{y}"/>')
            found.append(f'<text class="tick up" x="{self.left - 8}" y="{y + 4}">{value}</text>')
        return found

    def _seconds(self) -> list[str]:
        most = 10 if self.kind == "wide" else 4
        step = next((s for s in _STEPS_S if self.end_s / s <= most), 14400)
        found = []
        for n in range(int(self.end_s / step + 1e-6) + 1):
            at = n * step
            told = f"{at:g} s" if self.end_s < 60 else clock(at)[:-3]
            x = min(self.x(at), self.right - 10)
            found.append(f'<text class="tick along" x="{x}" y="{self.bottom + 20}">{told}</text>')
        return found

    def _worst(self, number: int, one: Series) -> list[str]:
        worst = one.vmaf.worst_second
        if worst is None:
            return []
        x = self.x(worst.at_s)
        wide = max(3.0, round(self.x(worst.at_s + 1) - x, 1))
        text = x + wide / 2
        anchor = "start" if text < self.left + 70 else "end" if text > self.right - 70 else "middle"
        high = self.bottom - 6 - 15 * (number - 1)
        return [
            f'<rect class="worst s{number}" x="{x}" y="{self.top}" width="{wide}" height="{self.bottom - self.top}"/>',
            f'<text class="worst-text {anchor}" x="{text:.1f}" y="{high}">worst second {score(worst.score)}</text>',
        ]

    def _curve(self, number: int, one: Series) -> list[str]:
        found = []
        for piece in pieces(_points(one)):
            line = [(self.x(t), self.y(v)) for t, v in thinned(piece, 2 * self.width)]
            if len(line) == 1:
                found.append(f'<circle class="dot s{number}" cx="{line[0][0]}" cy="{line[0][1]}" r="2"/>')
                continue
            told = " ".join(f"{x:g},{y:g}" for x, y in line)
            found.append(f'<polyline class="line s{number}" points="{told}"/>')
        return found

    def _mark(self, number: int, rank: int, one: Series, mark: Mark) -> str:
        label = f"{words(one.name)}, frame {rank} at {clock(mark.at_s)}: VMAF {score(mark.vmaf)}. See it below"
        x, y = self.x(mark.at_s), self.y(mark.vmaf)
        return (
            f'<a class="mark" href="#{mark.target}" aria-label="{label}">'
            f'<circle class="area" cx="{x}" cy="{y}" r="12"/>'
            f'<circle class="dot s{number}" cx="{x}" cy="{y}" r="5"/></a>'
        )
