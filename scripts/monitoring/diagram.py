"""One diagram in SVG: lines or stacked areas over time, with an axis that is linear or logarithmic."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime

# The classic palette of eight, told apart also by who sees few colours (Okabe and Ito, 2008).
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#8a8a00", "#666666")
_LEFT, _BOTTOM, _TOP = 52, 20, 6
Points = list[tuple[float, float]]  # times in seconds since 1970, and values


class Axis:
    """Where values stand. ``least`` is where it begins; ``None`` makes it logarithmic, from what is there."""

    def __init__(self, values: list[float], limit: float | None, least: float | None) -> None:
        most = max(*values, 1.05 * (limit or 0.0))
        self._is_log = least is None
        self.ticks = _decades(values) if least is None else _ticks(least, most if most > least else least + 1)

    def share(self, value: float) -> float:
        """Return how far up a value stands, 0 to 1."""
        first, last = self.ticks[0], self.ticks[-1]
        if self._is_log:
            return math.log(max(value, first) / first) / math.log(last / first)
        return max((value - first) / (last - first), 0.0)


class Diagram:
    """A drawing of ``width`` by ``height`` pixels that shows the time from ``start`` to ``end``."""

    def __init__(self, width: int, height: int, start: float, end: float, axis: Axis | None) -> None:
        self._width, self._height, self._start, self._end, self._axis = width, height, start, end, axis
        self._out = [f'<svg width="{width}" height="{height}">']

    def text(self) -> str:
        """Return it as SVG."""
        if self._axis is None:
            self._out.append('<text class="none" x="45%" y="50%">no data</text>')
        return "".join(self._out) + "</svg>"

    def grid(self, show: Callable[[float], str]) -> None:
        """Draw both axes."""
        for tick in self._axis.ticks if self._axis is not None else ():
            y = self._y(tick)
            self._out.append(f'<line x1="{_LEFT}" x2="{self._width - 4}" y1="{y}" y2="{y}" stroke="#e8eaed"/>')
            self._out.append(f'<text x="{_LEFT - 4}" y="{y + 3}" text-anchor="end">{show(tick)}</text>')
        length_s = self._end - self._start
        form = "%a %d" if length_s > 2 * 86_400 else "%H:%M"
        every_s = next(step for step in (900, 3600, 7200, 21_600, 86_400, 30 * 86_400) if length_s / step <= 8)
        at = math.ceil(self._start / every_s) * every_s
        while at < self._end:
            text = datetime.fromtimestamp(at, UTC).strftime(form)
            self._out.append(f'<text x="{self._x(at)}" y="{self._height - 5}" text-anchor="middle">{text}</text>')
            at += every_s

    def line(self, number: int, points: Points, below: dict[float, float] | None) -> None:
        """Draw one line, filled down to ``below`` where that is given."""
        colour = COLOURS[number % len(COLOURS)]
        gap_s = max(300.0, (self._end - self._start) / 160)
        for first, last in _runs([at for at, _ in points], gap_s):
            top = [f"{self._x(at)},{self._y(value)}" for at, value in points[first:last]]
            if below is not None:
                base = [f"{self._x(at)},{self._y(below[at])}" for at, _ in reversed(points[first:last])]
                self._out.append(f'<polygon points="{" ".join(top + base)}" fill="{colour}" fill-opacity="0.45"/>')
            self._out.append(f'<polyline points="{" ".join(top)}" fill="none" stroke="{colour}" stroke-width="1.3"/>')

    def limit(self, value: float) -> None:
        """Draw the line at which an alert begins."""
        where = f'x1="{_LEFT}" x2="{self._width - 4}" y1="{self._y(value)}" y2="{self._y(value)}"'
        self._out.append(f'<line {where} stroke="#b3261e" stroke-dasharray="4 3"/>')

    def _x(self, at: float) -> float:
        return round(_LEFT + (at - self._start) / (self._end - self._start) * (self._width - _LEFT - 4), 1)

    def _y(self, value: float) -> float:
        share = self._axis.share(value) if self._axis is not None else 0.0
        return round(self._height - _BOTTOM - share * (self._height - _BOTTOM - _TOP), 1)


def diagram(
    lines: list[Points],
    size: tuple[int, int],
    start: float,
    end: float,
    show: Callable[[float], str],
    limit: float | None,
    least: float | None,
    *,
    is_stacked: bool,
) -> str:
    """Return a diagram in SVG; ``show`` writes values, and ``least`` is as :class:`Axis` has it."""
    drawn = _stacked(lines) if is_stacked else [(points, None) for points in lines]
    values = [value for points, _ in drawn for _, value in points]
    out = Diagram(*size, start, end, Axis(values, limit, least) if values else None)
    if values:
        out.grid(show)
        for number, (points, below) in reversed(list(enumerate(drawn))):
            out.line(number, points, below)
        if limit is not None:
            out.limit(limit)
    return out.text()


def _stacked(
    lines: list[Points],
) -> list[tuple[Points, dict[float, float] | None]]:
    """Return each line on top of those before it, and what it stands on."""
    base: dict[float, float] = {}
    drawn: list[tuple[Points, dict[float, float] | None]] = []
    for points in lines:
        below = {at: base.get(at, 0.0) for at, _ in points}
        base |= {at: below[at] + value for at, value in points}
        drawn.append(([(at, base[at]) for at, _ in points], below))
    return drawn


def _runs(times: list[float], gap_s: float) -> list[tuple[int, int]]:
    """Return from where to where points follow each other without a gap."""
    cuts = [n for n in range(1, len(times)) if times[n] - times[n - 1] > gap_s]
    return list(zip([0, *cuts], [*cuts, len(times)], strict=True))


def _ticks(least: float, most: float) -> list[float]:
    """Return four or five round numbers from ``least`` to at least ``most``."""
    rough = (most - least) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)
    return [least + step * number for number in range(math.ceil((most - least) / step - 1e-9) + 1)]


def _decades(values: list[float]) -> list[float]:
    """Return the powers of ten around values, those of 0 left out."""
    positive = [value for value in values if value > 0] or [1.0]
    first = math.floor(math.log10(max(min(positive), max(positive) / 1e5)))
    last = max(math.ceil(math.log10(max(positive))), first + 1)
    return [10.0**power for power in range(first, last + 1)]
