"""Writes the dashboards and alerts in deploy/monitoring/ out of its panels.toml and alerts.toml.

`--out` writes them elsewhere, `--site` with links to the runbooks of a documentation that stands elsewhere.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import yaml

from monitoring import google, grafana, prometheus_rules
from monitoring.definition import FOLDER, load_alerts, load_board

_WRITTEN = "Written by scripts/write_monitoring.py"


def files(site: str | None = None) -> dict[str, str]:
    """Return what is to stand in the folder, by name."""
    board, alerts = load_board(), load_alerts()
    if site is not None:
        alerts = msgspec.structs.replace(alerts, site=site.rstrip("/"))
    rules = yaml.safe_dump(prometheus_rules.rules_file(board, alerts), sort_keys=False, width=120)
    made = {
        "grafana/reelpress.json": _json(grafana.dashboard(board)),
        "prometheus/rules.yaml": f"# {_WRITTEN} out of panels.toml and alerts.toml.\n{rules}",
        "google/dashboard.json": _json(google.dashboard(board)),
    }
    for alert in alerts.alert:
        if alert.google:
            made[f"google/policies/{google.file_name(alert)}"] = _json(google.policy(alert, alerts))
    return made


def _json(made: dict[str, Any]) -> str:
    return json.dumps(made, indent=2) + "\n"


def main() -> int:
    """Write all files, and take away policies of alerts that are no more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--site", help="where the documentation stands, as https://video.example.com/docs")
    options = parser.parse_args()
    made = files(options.site)
    for name, text in made.items():
        path = options.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for path in (options.out / "google" / "policies").glob("*.json"):
        if f"google/policies/{path.name}" not in made:
            path.unlink()
    print(f"{len(made)} files in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
