"""What is shown and what is told of, as it stands in deploy/monitoring/*.toml."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "monitoring"

Unit = Literal["short", "percentunit", "s", "bytes", "x", "currencyUSD", "reqps"]


class Defined(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Part of a definition; a name that is not known is an error of whoever wrote it."""


class Query(Defined, frozen=True, kw_only=True):
    """One query in PromQL. ``record`` is the name under which Prometheus computes it ahead."""

    expr: str
    legend: str = ""
    record: str | None = None


class Panel(Defined, frozen=True, kw_only=True):
    """One diagram or number; ``threshold`` draws a line at which an alert begins.

    ``log`` makes its axis logarithmic, and ``least`` is where a linear one begins.
    """

    title: str
    unit: Unit
    query: tuple[Query, ...]
    kind: Literal["lines", "stat"] = "lines"
    about: str = ""
    stacked: bool = False
    log: bool = False
    least: float = 0.0
    threshold: float | None = None


class Row(Defined, frozen=True, kw_only=True):
    """Panels under one heading."""

    title: str
    panel: tuple[Panel, ...]


class Board(Defined, frozen=True, kw_only=True):
    """All panels, in order."""

    title: str
    uid: str
    row: tuple[Row, ...]


class Alert(Defined, frozen=True, kw_only=True, rename={"hold": "for"}):
    """When somebody is told, and what. ``hold`` is a duration of PromQL; ``summary`` a template of Prometheus."""

    name: str
    severity: Literal["critical", "warning", "info"]
    hold: str
    runbook: str
    expr: str
    summary: str
    meaning: str
    google: bool = True


class Alerts(Defined, frozen=True, kw_only=True):
    """All alerts. ``site`` is where the documentation stands."""

    site: str
    alert: tuple[Alert, ...]

    def runbook_url(self, alert: Alert) -> str:
        """Return where the runbook of an alert is read."""
        return f"{self.site}/runbooks/{alert.runbook}/"


def load_board(path: Path = FOLDER / "panels.toml") -> Board:
    """Read the panels. Raises ``msgspec.ValidationError`` for what is no definition."""
    return msgspec.toml.decode(path.read_bytes(), type=Board)


def load_alerts(path: Path = FOLDER / "alerts.toml") -> Alerts:
    """Read the alerts. Raises ``msgspec.ValidationError`` for what is no definition."""
    return msgspec.toml.decode(path.read_bytes(), type=Alerts)


def duration_s(text: str) -> int:
    """Return a duration of PromQL, of one number and one unit, in seconds."""
    return int(text[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[text[-1]]


def one_line(expr: str) -> str:
    """Return a query without the line breaks that it was written with."""
    return " ".join(expr.split())
