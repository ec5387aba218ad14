"""Grafana's dashboard, out of the definition. Its form is that of Grafana 10 to 12 (schemaVersion 39)."""

from __future__ import annotations

from typing import Any

from monitoring.definition import Board, Panel, one_line

_WIDTH, _HEIGHT = 8, 8
_STAT_WIDTH, _STAT_HEIGHT = 4, 4
_COLUMNS = 24
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
# "x" is no unit of Grafana's: a number with a letter behind it is
_UNITS = {"x": "suffix:x"}


def dashboard(board: Board) -> dict[str, Any]:
    """Return the dashboard as Grafana imports and provisions it; the source of data is chosen in its head."""
    panels: list[dict[str, Any]] = []
    y = 0
    for row in board.row:
        panels.append({"type": "row", "title": row.title, "collapsed": False, "id": len(panels) + 1,
                       "gridPos": {"x": 0, "y": y, "w": _COLUMNS, "h": 1}, "panels": []})  # fmt: skip
        y += 1
        x = height = 0
        for panel in row.panel:
            width, height = (_STAT_WIDTH, _STAT_HEIGHT) if panel.kind == "stat" else (_WIDTH, _HEIGHT)
            if x + width > _COLUMNS:
                x, y = 0, y + height
            place = {"x": x, "y": y, "w": width, "h": height}
            panels.append(_panel(panel) | {"id": len(panels) + 1, "gridPos": place})
            x += width
        y += height
    return {
        "uid": board.uid,
        "title": board.title,
        "tags": ["reelpress"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "templating": {
            "list": [{"type": "datasource", "name": "datasource", "label": "Prometheus", "query": "prometheus"}]
        },
        "annotations": {
            "list": [
                {
                    "name": "Alerts", "datasource": _SOURCE, "enable": True, "hide": False, "iconColor": "red",
                    "expr": 'ALERTS{service="reelpress", alertstate="firing"}',
                }
            ]
        },
        "panels": panels,
    }  # fmt: skip


def _panel(panel: Panel) -> dict[str, Any]:
    return {
        "type": "stat" if panel.kind == "stat" else "timeseries",
        "title": panel.title,
        "description": panel.about,
        "datasource": _SOURCE,
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": _SOURCE,
                "expr": query.record or one_line(query.expr),
                "legendFormat": query.legend,
                "instant": panel.kind == "stat",
                "range": panel.kind != "stat",
            }
            for number, query in enumerate(panel.query)
        ],
        "fieldConfig": {"defaults": _field(panel), "overrides": []},
        "options": _stat_options() if panel.kind == "stat" else _lines_options(),
    }


def _field(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"value": None, "color": "green"}]
    if panel.threshold is not None:
        steps.append({"value": panel.threshold, "color": "red"})
    field: dict[str, Any] = {
        "unit": _UNITS.get(panel.unit, panel.unit),
        **({} if panel.log else {"min": panel.least}),
        "thresholds": {"mode": "absolute", "steps": steps},
    }
    if panel.kind == "stat":
        return field | {"noValue": "none yet"}
    return field | {
        "custom": {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 40 if panel.stacked else 5,
            "showPoints": "never",
            "spanNulls": False,
            "scaleDistribution": {"type": "log", "log": 10} if panel.log else {"type": "linear"},
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "line" if panel.threshold is not None else "off"},
        }
    }


def _stat_options() -> dict[str, Any]:
    return {
        "reduceOptions": {"calcs": ["lastNotNull"], "values": False},
        "colorMode": "value",
        "graphMode": "none",
        "textMode": "value",
        "justifyMode": "auto",
        "orientation": "auto",
    }


def _lines_options() -> dict[str, Any]:
    return {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
