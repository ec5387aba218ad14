"""Draws Grafana's dashboard without a Grafana: the panels of its JSON, over what their queries answer, as one page."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from monitoring.diagram import COLOURS, diagram
from monitoring.server import Series

_CELL_WIDTH, _CELL_HEIGHT = 56, 27
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
    least = None if field["custom"]["scaleDistribution"]["type"] == "log" else float(field["min"])
    svg = diagram([points for _, points in lines], size, start, end, show, limit, least, is_stacked=is_stacked)
    legend = "".join(
        f'<span><i style="background:{COLOURS[n % len(COLOURS)]}"></i>{html.escape(name)}</span>'
        for n, (name, _) in enumerate(lines)
    )
    return f'<div class="in"><h3>{title}</h3>{svg}<div class="legend">{legend}</div></div>'


def _legend(template: str, labels: dict[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), template)


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
