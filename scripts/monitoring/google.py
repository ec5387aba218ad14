"""Google Cloud's dashboard and alert policies, out of the definition: the same queries, as PromQL."""

from __future__ import annotations

import re
from typing import Any

from monitoring.definition import Alert, Alerts, Board, Panel, duration_s, one_line

_COLUMNS, _WIDTH, _HEIGHT = 48, 16, 16
_STAT_WIDTH, _STAT_HEIGHT = 8, 8
_EVALUATED_EVERY_S = 60
_SEVERITY = {"critical": "CRITICAL", "warning": "WARNING", "info": "WARNING"}
# Units in UCUM, as Cloud Monitoring writes them; it has none for dollars.
_UNITS = {"s": "s", "bytes": "By", "percentunit": "10^2.%"}
# What the service writes to Cloud Monitoring itself, where it is told to: two metrics under names of their own.
_OWN = (
    ("Compression time, p95 (video/compression_duration)", "video/compression_duration", "REDUCE_PERCENTILE_95"),
    ("Cost of compression, an hour (video/compression_cost)", "video/compression_cost", "REDUCE_SUM"),
)


def dashboard(board: Board) -> dict[str, Any]:
    """Return the dashboard as `gcloud monitoring dashboards create --config-from-file` takes it."""
    tiles: list[dict[str, Any]] = []
    y = 0
    for row in board.row:
        tiles.append(_tile(0, y, _COLUMNS, 4, {"title": row.title, "sectionHeader": {"dividerBelow": True}}))
        y += 4
        x = height = 0
        for panel in row.panel:
            width, height = (_STAT_WIDTH, _STAT_HEIGHT) if panel.kind == "stat" else (_WIDTH, _HEIGHT)
            if x + width > _COLUMNS:
                x, y = 0, y + height
            tiles.append(_tile(x, y, width, height, _stat(panel) if panel.kind == "stat" else _chart(panel)))
            x += width
        y += height
    tiles.append(_tile(0, y, _COLUMNS, 4, {"title": "Cloud Monitoring's own", "sectionHeader": {"dividerBelow": True}}))
    tiles += [
        _tile(number * 24, y + 4, 24, _HEIGHT, _own(title, name, reducer))
        for number, (title, name, reducer) in enumerate(_OWN)
    ]
    return {"displayName": board.title, "mosaicLayout": {"columns": _COLUMNS, "tiles": tiles}}


def policy(alert: Alert, alerts: Alerts) -> dict[str, Any]:
    """Return an alert policy as `gcloud alpha monitoring policies create --policy-from-file` takes it.

    Channels are added by whoever creates it: their names hold the project's.
    """
    url = alerts.runbook_url(alert)
    return {
        "displayName": f"Reelpress: {_words(alert.name)}",
        "combiner": "OR",
        "enabled": True,
        "severity": _SEVERITY[alert.severity],
        "userLabels": {"service": "reelpress", "severity": alert.severity},
        "documentation": {
            "content": f"{alert.meaning}\n\n[Runbook]({url})",
            "mimeType": "text/markdown",
            "subject": f"Reelpress: {_words(alert.name)}",
            "links": [{"displayName": "Runbook", "url": url}],
        },
        "conditions": [
            {
                "displayName": _words(alert.name),
                "conditionPrometheusQueryLanguage": {
                    "query": one_line(alert.expr),
                    "duration": f"{duration_s(alert.hold)}s",
                    "evaluationInterval": f"{_EVALUATED_EVERY_S}s",
                    "ruleGroup": "reelpress",
                    "alertRule": alert.name,
                    "labels": {"severity": alert.severity, "service": "reelpress"},
                    # counters of rare events are not there before one happens
                    "disableMetricValidation": True,
                },
            }
        ],
        "alertStrategy": {"autoClose": "1800s"},
    }


def file_name(alert: Alert) -> str:
    """Return the name of a policy's file."""
    return f"{'-'.join(_words(alert.name).split())}.json"


def _words(name: str) -> str:
    return " ".join(word.lower() for word in re.findall("[A-Z][a-z]+", name.removeprefix("Reelpress")))


def _tile(x: int, y: int, width: int, height: int, widget: dict[str, Any]) -> dict[str, Any]:
    return {"xPos": x, "yPos": y, "width": width, "height": height, "widget": widget}


def _query(expr: str, unit: str) -> dict[str, Any]:
    asked: dict[str, Any] = {"prometheusQuery": one_line(expr)}
    return asked | ({"unitOverride": _UNITS[unit]} if unit in _UNITS else {})


def _stat(panel: Panel) -> dict[str, Any]:
    thresholds = [] if panel.threshold is None else [{"value": panel.threshold, "color": "RED", "direction": "ABOVE"}]
    return {
        "title": panel.title,
        "scorecard": {"timeSeriesQuery": _query(panel.query[0].expr, panel.unit), "thresholds": thresholds},
    }


def _chart(panel: Panel) -> dict[str, Any]:
    thresholds = [] if panel.threshold is None else [{"value": panel.threshold, "targetAxis": "Y1"}]
    return {
        "title": panel.title,
        "xyChart": {
            "dataSets": [
                {
                    "plotType": "STACKED_AREA" if panel.stacked else "LINE",
                    "targetAxis": "Y1",
                    # Grafana's {{label}} is Google's ${labels.label}
                    "legendTemplate": re.sub(r"\{\{(\w+)\}\}", r"${labels.\1}", query.legend),
                    "timeSeriesQuery": _query(query.expr, panel.unit),
                }
                for query in panel.query
            ],
            "thresholds": thresholds,
            "yAxis": {"scale": "LOG10" if panel.log else "LINEAR"},
        },
    }


def _own(title: str, name: str, reducer: str) -> dict[str, Any]:
    return {
        "title": title,
        "xyChart": {
            "dataSets": [
                {
                    "plotType": "LINE",
                    "targetAxis": "Y1",
                    "timeSeriesQuery": {
                        "timeSeriesFilter": {
                            "filter": f'metric.type="custom.googleapis.com/{name}"',
                            "aggregation": {
                                "alignmentPeriod": "3600s",
                                "perSeriesAligner": "ALIGN_DELTA",
                                "crossSeriesReducer": reducer,
                                "groupByFields": ['metric.label."encoder"'],
                            },
                        }
                    },
                }
            ]
        },
    }
