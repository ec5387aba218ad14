"""Draws Grafana's dashboard without a Grafana: the panels of its JSON, over what their queries answer, as one page."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from monitoring.server import Series

# The classic palette of eight, told apart also by who sees few colours (Okabe and Ito, 2008).
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#8a8a00", "#666666")
_CELL_WIDTH, _CELL_HEIGHT = 56, 27
_LEFT, _BOTTOM, _TOP = 52, 20, 6
_HEAD, _LEGEND_LINE = 22, 14
_CSS = """
body{margin:0;font:12px system-ui,sans-serif;background:#f4f5f6;color:#1d1f21}
h1{font-size:18px;margin:12px 16px 4px}.board{position:relative;margin:0 8px}
.panel{position:absolute;box-sizing:border-box;padding:3px}
.in{background:#fff;border:1px solid #dcdfe3;border-radius:3px;height:100%;overflow:hidden;padding:3px 6px}
.in{box-sizing:border-box}
h2{font-size:15px;margin:6px 4px}h3{font-size:12px;margin:0;font-weight:600;line-height:18px;white-space:nowrap}
.stat{font-size:26px;text-align:center;padding-top:14px;color:#1a7f37}.stat.bad{color:#b3261e}
.legend{line-height:14px;font-size:10.5px}.legend span{margin-right:8px;white-space:nowrap}
.legend i{display:inline-block;width:10px;height:3px;margin-right:3px;vertical-align:middle}
text{font-size:10px;fill:#5b6066}.none{fill:#9aa0a6}
"""
# Asks one query for the time that is shown.
Ask = Callable[[str], list[Series]]


def page(board: dict[str, Any], ask: Ask, *, start: float, end: float) -> str:
    """Return a page in HTML with all panels of a dashboard from ``start`` to ``end``, in seconds since 1970."""
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"]) * _CELL_HEIGHT
    parts = [_placed(panel, _content(panel, ask, start, end)) for panel in board["panels"]]
    title = html.escape(board["title"])
    said = f"{_moment(start, '%Y-%m-%d %H:%M')} to {_moment(end, '%Y-%m-%d %H:%M')} UTC"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_CSS}</style>'
        f'<h1>{title}, {said}</h1><div class="board" style="height:{height}px;width:{24 * _CELL_WIDTH}px">'
        f"{''.join(parts)}</div></html>"
    )


def _placed(panel: dict[str, Any], content: str) -> str:
    x, y, w, h = (panel["gridPos"][key] for key in "xywh")
    if panel["type"] == "row":
        h = 1
    place = f"left:{x * _CELL_WIDTH}px;top:{y * _CELL_HEIGHT}px;width:{w * _CELL_WIDTH}px;height:{h * _CELL_HEIGHT}px"
    return f'<section class="panel" style="{place}">{content}</section>'


def _content(panel: dict[str, Any], ask: Ask, start: float, end: float) -> str:
    title = html.escape(panel["title"])
    if panel["type"] == "row":
        return f"<h2>{title}</h2>"
    lines: list[tuple[str, list[tuple[float, float]]]] = []
    for target in panel["targets"]:
        for series in ask(target["expr"]):
            points = [(at, float(value)) for at, value in series.values]
            points = [(at, value) for at, value in points if math.isfinite(value)]
            if points:
                lines.append((_legend(target["legendFormat"], series.metric), points))
    field = panel["fieldConfig"]["defaults"]
    limit = field["thresholds"]["steps"][1]["value"] if len(field["thresholds"]["steps"]) > 1 else None
    show = _unit(field["unit"])
    if panel["type"] == "stat":
        value = lines[0][1][-1][1] if lines else None
        bad = " bad" if value is not None and limit is not None and value >= limit else ""
        text = "none yet" if value is None else show(value)
        return f'<div class="in"><h3>{title}</h3><div class="stat{bad}">{text}</div></div>'
    lines.sort()
    is_stacked = field["custom"]["stacking"]["mode"] == "normal"
    size = panel["gridPos"]["w"] * _CELL_WIDTH - 20, panel["gridPos"]["h"] * _CELL_HEIGHT - _HEAD - 3 * _LEGEND_LINE
    svg = _diagram(lines, size, start, end, show, limit, is_stacked=is_stacked)
    legend = "".join(
        f'<span><i style="background:{_COLOURS[n % len(_COLOURS)]}"></i>{html.escape(name)}</span>'
        for n, (name, _) in enumerate(lines)
    )
    return f'<div class="in"><h3>{title}</h3>{svg}<div class="legend">{legend}</div></div>'


def _legend(template: str, labels: dict[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), template)


def _diagram(
    lines: list[tuple[str, list[tuple[float, float]]]],
    size: tuple[int, int],
    start: float,
    end: float,
    show: Callable[[float], str],
    limit: float | None,
    *,
    is_stacked: bool,
) -> str:
    width, height = size
    if not lines:
        return f'<svg width="{width}" height="{height}"><text class="none" x="45%" y="50%">no data</text></svg>'
    drawn = _stacked(lines) if is_stacked else [(points, None) for _, points in lines]
    most = max(value for points, _ in drawn for _, value in points)
    ticks = _ticks(max(most, (limit or 0) * 1.05, 1e-9))

    def x(at: float) -> float:
        return round(_LEFT + (at - start) / (end - start) * (width - _LEFT - 4), 1)

    def y(value: float) -> float:
        return round(height - _BOTTOM - value / ticks[-1] * (height - _BOTTOM - _TOP), 1)

    out = [f'<svg width="{width}" height="{height}">']
    for tick in ticks:
        out.append(f'<line x1="{_LEFT}" x2="{width - 4}" y1="{y(tick)}" y2="{y(tick)}" stroke="#e8eaed"/>')
        out.append(f'<text x="{_LEFT - 4}" y="{y(tick) + 3}" text-anchor="end">{show(tick)}</text>')
    form = "%a %d" if end - start > 2 * 86_400 else "%H:%M"
    for number in range(1, 7):
        at = start + (end - start) * number / 7
        out.append(f'<text x="{x(at)}" y="{height - 5}" text-anchor="middle">{_moment(at, form)}</text>')
    gap_s = max(300.0, 2.5 * (end - start) / 400)
    for number, (points, below) in reversed(list(enumerate(drawn))):
        colour = _COLOURS[number % len(_COLOURS)]
        for first, last in _runs([at for at, _ in points], gap_s):
            top = [f"{x(at)},{y(value)}" for at, value in points[first:last]]
            if below is not None:
                base = [f"{x(at)},{y(below[at])}" for at, _ in reversed(points[first:last])]
                out.append(f'<polygon points="{" ".join(top + base)}" fill="{colour}" fill-opacity="0.45"/>')
            out.append(f'<polyline points="{" ".join(top)}" fill="none" stroke="{colour}" stroke-width="1.3"/>')
    if limit is not None:
        at_limit = f'x1="{_LEFT}" x2="{width - 4}" y1="{y(limit)}" y2="{y(limit)}"'
        out.append(f'<line {at_limit} stroke="#b3261e" stroke-dasharray="4 3"/>')
    return "".join(out) + "</svg>"


def _stacked(
    lines: list[tuple[str, list[tuple[float, float]]]],
) -> list[tuple[list[tuple[float, float]], dict[float, float] | None]]:
    """Return each line on top of those before it, and what it stands on."""
    base: dict[float, float] = {}
    drawn: list[tuple[list[tuple[float, float]], dict[float, float] | None]] = []
    for _, points in lines:
        below = {at: base.get(at, 0.0) for at, _ in points}
        base |= {at: below[at] + value for at, value in points}
        drawn.append(([(at, base[at]) for at, _ in points], below))
    return drawn


def _runs(times: list[float], gap_s: float) -> list[tuple[int, int]]:
    """Return from where to where points follow each other without a gap."""
    cuts = [n for n in range(1, len(times)) if times[n] - times[n - 1] > gap_s]
    return list(zip([0, *cuts], [*cuts, len(times)], strict=True))


def _ticks(most: float) -> list[float]:
    """Return four or five round numbers from 0 to at least ``most``."""
    rough = most / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)
    return [step * number for number in range(math.ceil(most / step - 1e-9) + 1)]


def _moment(at: float, form: str) -> str:
    return datetime.fromtimestamp(at, UTC).strftime(form)


def _unit(unit: str) -> Callable[[float], str]:
    """Return what writes a value in one of Grafana's units."""

    def seconds(value: float) -> str:
        return f"{value:.3g} s" if value < 90 else f"{value / 60:.3g} min" if value < 5400 else f"{value / 3600:.3g} h"

    def size(value: float) -> str:
        power = min(4, int(math.log(value, 1024))) if value >= 1 else 0
        return f"{value / 1024**power:.3g} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"

    forms: dict[str, Callable[[float], str]] = {
        "s": seconds,
        "bytes": size,
        "percentunit": lambda value: f"{100 * value:.3g}%",
        "currencyUSD": lambda value: f"${value:.3g}",
        "reqps": lambda value: f"{value:.3g}/s",
        "suffix:x": lambda value: f"{value:.3g}x",
    }
    return forms.get(unit, lambda value: f"{value:.4g}")
