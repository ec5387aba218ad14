"""Prometheus's rules, out of the definition."""

from __future__ import annotations

from typing import Any

from monitoring.definition import Alerts, Board, one_line

INTERVAL_S = 60


def rules_file(board: Board, alerts: Alerts) -> dict[str, Any]:
    """Return the file of rules: what panels ask for again and again, and the alerts."""
    recorded = {
        query.record: one_line(query.expr)
        for row in board.row
        for panel in row.panel
        for query in panel.query
        if query.record is not None
    }
    return {
        "groups": [
            {
                "name": "reelpress-panels",
                "interval": f"{INTERVAL_S}s",
                "rules": [{"record": name, "expr": expr} for name, expr in recorded.items()],
            },
            {
                "name": "reelpress-alerts",
                "interval": f"{INTERVAL_S}s",
                "rules": [
                    {
                        "alert": alert.name,
                        "expr": one_line(alert.expr),
                        "for": alert.hold,
                        "labels": {"severity": alert.severity, "service": "reelpress"},
                        "annotations": {
                            "summary": alert.summary,
                            "description": alert.meaning,
                            "runbook_url": alerts.runbook_url(alert),
                        },
                    }
                    for alert in alerts.alert
                ],
            },
        ]
    }
