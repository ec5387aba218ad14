"""Dashboards, alerts, runbooks: up to date, accepted by the tools they are for, true to metrics and commands."""

from __future__ import annotations

import copy
import json
import re
import shutil
import sys
from pathlib import Path
from subprocess import run

import click
import pytest
import yaml
from google.cloud.monitoring_dashboard_v1.types import Dashboard as GoogleDashboard
from google.cloud.monitoring_v3.types import AlertPolicy
from google.protobuf import json_format
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard as GrafanaDashboard

from reelpress.cli.app import app
from reelpress.observe.cloud_monitoring import CLOUD_METRICS
from reelpress.observe.names import BY_NAME, METRICS
from reelpress.service_table import SERVICE_SETTINGS
from reelpress.settings_table import SETTINGS

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import write_monitoring  # noqa: E402
from monitoring.definition import Alert, load_alerts, load_board  # noqa: E402

FOLDER = ROOT / "deploy" / "monitoring"
RUNBOOKS = ROOT / "docs" / "runbooks"
ALERTS = load_alerts().alert
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is in Debian's prometheus")


def promtool(*words: str | Path) -> int:
    return run(["promtool", *words], check=False, capture_output=True, timeout=60).returncode


def test_files_are_up_to_date():
    for name, text in write_monitoring.files().items():
        assert (FOLDER / name).read_text() == text, f"{name}: run scripts/write_monitoring.py"
    made = {name for name in write_monitoring.files() if name.startswith("google/policies/")}
    assert {f"google/policies/{path.name}" for path in (FOLDER / "google" / "policies").iterdir()} == made


def test_links_lead_to_the_documentation_named():
    made = write_monitoring.files("https://video.example.org/docs/")
    assert "https://video.example.org/docs/runbooks/budget/" in made["prometheus/rules.yaml"]
    assert "reelpress.example" not in "".join(made.values())


# --- Prometheus


@needs_promtool
def test_prometheus_takes_rules_and_every_query_of_a_panel(tmp_path):
    assert promtool("check", "rules", FOLDER / "prometheus" / "rules.yaml") == 0
    queries = [query.expr for row in load_board().row for panel in row.panel for query in panel.query]
    assert len(queries) > 40
    rules = [{"record": f"query{number}", "expr": expr} for number, expr in enumerate(queries)]
    assert promtool("check", "rules", _rules(tmp_path / "panels.yaml", rules)) == 0
    assert promtool("check", "rules", _rules(tmp_path / "wrong.yaml", [{"record": "a", "expr": "sum by (b (c)"}])) != 0


def _rules(path: Path, rules: list[dict[str, str]]) -> Path:
    path.write_text(yaml.safe_dump({"groups": [{"name": "a", "rules": rules}]}))
    return path


@needs_promtool
def test_alerts_fire_when_they_shall(tmp_path):
    assert promtool("test", "rules", FOLDER / "prometheus" / "rules_test.yaml") == 0
    # an alert that never fires, and one that fires in quiet times
    text = (FOLDER / "prometheus" / "rules.yaml").read_text()
    for before, after in (("reelpress_budget_state) >= 4", "reelpress_budget_state) >= 5"), ("> 0.001 and", "> 0 or")):
        assert before in text
        (tmp_path / "rules.yaml").write_text(text.replace(before, after))
        shutil.copy(FOLDER / "prometheus" / "rules_test.yaml", tmp_path)
        assert promtool("test", "rules", tmp_path / "rules_test.yaml") != 0


def test_every_alert_is_seen_to_fire_and_to_be_silent():
    tests = yaml.safe_load((FOLDER / "prometheus" / "rules_test.yaml").read_text())["tests"]
    asked = [test for group in tests for test in group.get("alert_rule_test", ())]
    for alert in ALERTS:
        expected = [bool(test["exp_alerts"]) for test in asked if test["alertname"] == alert.name]
        assert True in expected, f"{alert.name} is not seen to fire"
        assert False in expected, f"{alert.name} is not seen to be silent"


# --- Google Cloud


def test_google_takes_dashboard_and_policies():
    board = json.loads((FOLDER / "google" / "dashboard.json").read_text())
    parsed = json_format.ParseDict(board, GoogleDashboard.pb()())
    assert len(parsed.mosaic_layout.tiles) > 35
    for path in (FOLDER / "google" / "policies").iterdir():
        json_format.Parse(path.read_text(), AlertPolicy.pb()())
    for break_it in (_misspelt_field, _unknown_plot):
        wrong = copy.deepcopy(board)
        break_it(
            next(tile["widget"]["xyChart"] for tile in wrong["mosaicLayout"]["tiles"] if "xyChart" in tile["widget"])
        )
        with pytest.raises(json_format.ParseError):
            json_format.ParseDict(wrong, GoogleDashboard.pb()())


def _misspelt_field(chart: dict) -> None:
    chart["dataSet"] = chart.pop("dataSets")


def _unknown_plot(chart: dict) -> None:
    chart["dataSets"][0]["plotType"] = "LINES"


def test_google_lays_no_tile_over_another():
    tiles = json.loads((FOLDER / "google" / "dashboard.json").read_text())["mosaicLayout"]["tiles"]
    _no_overlap([(tile["xPos"], tile["yPos"], tile["width"], tile["height"]) for tile in tiles], columns=48)


# --- Grafana


def _lost(written: object, kept: object, where: str = "") -> list[str]:
    """Return what Grafana's own types did not keep of a dashboard: names they do not know."""
    if isinstance(written, dict):
        known = kept if isinstance(kept, dict) else {}
        return [
            line
            for key, value in written.items()
            if value is not None
            for line in (_lost(value, known[key], f"{where}.{key}") if key in known else [f"{where}.{key}"])
        ]
    if isinstance(written, list) and isinstance(kept, list) and len(written) == len(kept):
        return [
            line for n, pair in enumerate(zip(written, kept, strict=True)) for line in _lost(*pair, f"{where}[{n}]")
        ]
    return [] if written == kept else [where]


def _through_grafanas_types(board: dict) -> object:
    register_default_plugins()
    return json.loads(json.dumps(GrafanaDashboard.from_json(copy.deepcopy(board)), cls=JSONEncoder))


def test_grafana_knows_every_field():
    board = json.loads((FOLDER / "grafana" / "reelpress.json").read_text())
    assert _lost(board, _through_grafanas_types(board)) == []
    panel = next(panel for panel in board["panels"] if panel["type"] == "timeseries")
    panel["fieldConfig"]["defaults"]["custom"]["lineWidht"] = 2
    panel["targets"][0]["query"] = "up"
    assert len(_lost(board, _through_grafanas_types(board))) == 2


def test_grafana_lays_no_panel_over_another():
    panels = json.loads((FOLDER / "grafana" / "reelpress.json").read_text())["panels"]
    _no_overlap([tuple(panel["gridPos"][key] for key in "xywh") for panel in panels], columns=24)
    assert len({panel["id"] for panel in panels}) == len(panels)


def _no_overlap(places: list[tuple[int, ...]], *, columns: int) -> None:
    taken: set[tuple[int, int]] = set()
    for x, y, width, height in places:
        cells = {(column, line) for column in range(x, x + width) for line in range(y, y + height)}
        assert not cells & taken
        assert x + width <= columns
        taken |= cells


# --- runbooks


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_every_alert_has_a_runbook(alert: Alert):
    page = (RUNBOOKS / f"{alert.runbook}.md").read_text()
    for part in ("**Symptom.**", "**What it means.**", "**How to look.**", "**What to do"):
        assert part in page, f"{alert.runbook}.md lacks {part}"
    assert alert.name in page or "ReelpressBudget…" in page
    assert alert.name in (ROOT / "docs" / "monitoring.md").read_text()


def test_runbooks_name_settings_and_commands_that_are():
    known = {name for setting in (*SETTINGS, *SERVICE_SETTINGS) for name in setting.env}
    for path in (*RUNBOOKS.iterdir(), ROOT / "docs" / "monitoring.md"):
        text = path.read_text()
        assert set(re.findall(r"\bREELPRESS_[A-Z_]+\b", text)) <= known | {"REELPRESS_URL", "REELPRESS_API_KEY"}, path
        for line in re.findall(r"(?m)^\s*(reelpress [^\n#|]*)", text) + re.findall(r"`(reelpress [^`]*)`", text):
            _is_a_command(line.split())
        for target in re.findall(r"\]\(([^)#:]+\.md)", text):
            assert (path.parent / target).is_file(), f"{path.name}: {target}"
    with pytest.raises(click.UsageError):
        _is_a_command(["reelpress", "jobs", "list", "--state", "failed"])
    with pytest.raises(click.UsageError):
        _is_a_command(["reelpress", "bill"])


def _is_a_command(words: list[str]) -> None:
    """Have click parse a line, without doing anything."""
    command: click.Command = app
    context = click.Context(command)
    words = words[1:]
    while isinstance(command, click.Group) and words:
        name, found, words = command.resolve_command(context, words)
        assert found is not None
        command, context = found, click.Context(found, parent=context, info_name=name)
    command.parse_args(context, list(words))


# --- what is asked for, and what is measured


def _unknown(expr: str) -> list[str]:
    """Return names, labels and values in a query that nothing measures."""
    wrong = []
    for name, _, matchers in re.findall(r"\b(reelpress_\w+)(\{([^}]*)\})?", expr):
        metric = BY_NAME.get(name) or BY_NAME.get(re.sub(r"_(bucket|sum|count)$", "", name))
        if metric is None or (metric.kind == "histogram") != (name not in BY_NAME):
            wrong.append(name)
            continue
        labels = {label.name: label.values for label in metric.labels}
        for label, how, value in re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', matchers):
            values = labels.get(label, ())
            found = [v for v in values if re.fullmatch(value, v)] if "~" in how else [v for v in values if v == value]
            if not found:
                wrong.append(f"{name}{{{label}{how}{value}}}")
    grouped = {label.strip() for labels in re.findall(r"by \(([^)]*)\)", expr) for label in labels.split(",")}
    known = {label.name for metric in METRICS for label in metric.labels} | {"le", "instance"}
    return wrong + sorted(grouped - known)


def test_what_is_asked_for_is_measured():
    queries = [query for row in load_board().row for panel in row.panel for query in panel.query]
    for expr in (*(query.expr for query in queries), *(alert.expr for alert in ALERTS)):
        assert _unknown(expr) == [], expr
    for query in queries:
        by = set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", query.expr))))
        assert set(re.findall(r"\{\{(\w+)\}\}", query.legend)) <= by, query.legend
    assert _unknown("sum by (codec) (reelpress_jobs)") == ["codec"]
    assert _unknown('reelpress_jobs{status="lost"}') == ["reelpress_jobs{status=lost}"]
    assert _unknown("reelpress_job_seconds + reelpress_joys") == ["reelpress_job_seconds", "reelpress_joys"]


def test_google_shows_what_the_service_writes_there_itself():
    board = (FOLDER / "google" / "dashboard.json").read_text()
    for metric in CLOUD_METRICS:
        assert f"custom.googleapis.com/{metric.path}" in board
