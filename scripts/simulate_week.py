"""A week of jobs, seeded, with every trouble that an alert is for, through the service's own code, under Prometheus.

Jobs are submitted, claimed, ended, charged and counted by the code of the service on its tables; only the encoders and
the clock are made up. What its processes would have been scraped for is loaded into a real Prometheus, which is asked
when each alert fires, and the dashboard is drawn over it; ``reelpress costs`` and ``reelpress perf`` report on it. Exit
code 1 where an alert does not fire though it shall, or fires though nothing is wrong.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import yaml
from show_dashboard import draw, picture

from monitoring.definition import duration_s, load_alerts, load_board
from monitoring.firing import Firing, firings
from monitoring.prometheus_rules import recordings
from monitoring.server import Prometheus, make_blocks, make_recorded_blocks, serving
from simulation.traffic import DAY_S, START_S
from simulation.week import Simulated, simulate

_STEP_S = 60.0


def names_asked_for() -> frozenset[str]:
    """Return the names of all series that panels or alerts ask for."""
    exprs = [query.expr for row in load_board().row for panel in row.panel for query in panel.query]
    exprs += [alert.expr for alert in load_alerts().alert]
    return frozenset(name for expr in exprs for name in re.findall(r"\breelpress_\w+", expr))


def all_firings(prometheus: Prometheus, end: float) -> list[Firing]:
    """Return when which alert fires from the first scrape on."""
    return [
        firing
        for alert in load_alerts().alert
        for firing in firings(
            alert.name,
            prometheus.query_range(alert.expr, start=START_S + 10 * _STEP_S, end=end, step_s=_STEP_S),
            hold_s=duration_s(alert.hold),
            step_s=_STEP_S,
        )
    ]


def faults(found: list[Firing], simulated: Simulated) -> list[str]:
    """Return what is wrong with the alerts of a simulation: those that are missing, and those without a cause."""
    wrong = [
        f"{alert} does not fire for {incident.trouble!r} at {_time(incident.start)}"
        for incident in simulated.incidents
        for alert in incident.must
        if not any(firing.alert == alert and incident.explains(alert, firing.start) for firing in found)
    ]
    wrong += [
        f"{firing.alert} {firing.labels} fires from {_time(firing.start)} to {_time(firing.end)} without a cause"
        for firing in found
        if not any(
            incident.explains(firing.alert, firing.start) and incident.explains(firing.alert, firing.end)
            for incident in simulated.incidents
        )
    ]
    never = {alert.name for alert in load_alerts().alert} - {firing.alert for firing in found}
    return wrong + [f"{name} never fires" for name in sorted(never)]


def table(found: list[Firing], simulated: Simulated) -> str:
    """Return what happened, in order, in Markdown."""
    rows = [(i.start, f"**{i.trouble}**, for {i.length_s / 60:.0f} min") for i in simulated.incidents]
    rows += [
        (f.start, f"{f.alert} {' '.join(f.labels.values())} until {_time(f.end)}".replace("  ", " ")) for f in found
    ]
    lines = ["| time | what |", "|---|---|", *(f"| {_time(at)} | {what} |" for at, what in sorted(rows))]
    return "\n".join(lines) + "\n"


def write_reports(data: Path, out: Path, *, end: float) -> None:
    """Write what the week cost and how fast it was, as the commands print it for the folder of a service."""
    since, until = (datetime.fromtimestamp(at, UTC).date().isoformat() for at in (START_S, end + DAY_S))
    span = ("--since", since, "--data-dir", str(data))
    for name, words in (
        ("costs-by-day", ("costs", "--by", "day", "--until", until, *span)),
        ("costs-by-encoder", ("costs", "--by", "encoder", "--until", until, *span)),
        ("speed", ("perf", "history", *span)),
    ):
        argv = [sys.executable, "-m", "reelpress", *words]
        told = subprocess.run(argv, env={**os.environ, "COLUMNS": "80"}, capture_output=True, text=True, check=True)
        (out / f"{name}.txt").write_text(told.stdout)


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%a %H:%M")


def main() -> int:
    """Simulate, ask, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/week"))
    parser.add_argument("--days", type=float, default=7.0)
    parser.add_argument("--videos", type=float, default=20.0, help="an hour, on average [20]")
    parser.add_argument("--scrape", type=float, default=60.0, help="seconds between scrapes [60]")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-pictures", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    # each transaction is flushed, which nobody needs here: in memory it costs nothing
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as scratch:
        folder = Path(scratch)
        simulated = simulate(
            folder, folder / "week.om", names=names_asked_for(), seed=options.seed, length_s=options.days * DAY_S,
            videos_an_hour=options.videos, scrape_every_s=options.scrape,
            asks=not options.no_pictures,
        )  # fmt: skip
        print(f"{simulated.jobs} jobs, {simulated.samples} samples in {time.monotonic() - began:.0f} s", flush=True)
        make_blocks(folder / "week.om", folder / "prometheus")
        if not options.no_pictures:
            with serving(folder / "prometheus") as prometheus:
                rules = folder / "rules.yaml"
                # as often as a diagram needs, which looks back for five minutes: promtool takes its time for each
                rules.write_text(yaml.safe_dump({"groups": [recordings(load_board(), interval_s=300)]}))
                make_recorded_blocks(
                    prometheus, rules, folder / "prometheus", start=START_S + _STEP_S, end=simulated.end
                )
        with serving(folder / "prometheus") as prometheus:
            found = all_firings(prometheus, simulated.end)
            (options.out / "alerts.md").write_text(table(found, simulated))
            write_reports(folder / "data", options.out, end=simulated.end)
            if not options.no_pictures:
                print(picture(draw(prometheus, options.out / "week", start=START_S, end=simulated.end)))
    print(table(found, simulated))
    wrong = faults(found, simulated)
    print(
        "\n".join(wrong) or f"Every alert fired for its cause, and for no other, in {time.monotonic() - began:.0f} s."
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
