"""Half a day of a simulated service under a real Prometheus: every alert fires for its cause, and for no other."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from show_dashboard import draw

from reelpress.jobs.database import open_database
from reelpress.jobs.ledger import entries
from reelpress.jobs.performance import newest_baseline
from reelpress.jobs.spending import steps_told

import simulate_week
from monitoring.firing import Firing, firings
from monitoring.server import Series, make_blocks, serving
from simulation.traffic import DAY_S, START_S, arrivals, timetable
from simulation.week import Simulated, simulate

LENGTH_S = DAY_S / 2
needs_prometheus = pytest.mark.skipif(shutil.which("prometheus") is None, reason="Debian's prometheus is not here")


@needs_prometheus
@pytest.mark.thorough
def test_every_alert_fires_for_its_cause_and_no_other(tmp_path):
    simulated = simulate(
        tmp_path, tmp_path / "day.om", names=simulate_week.names_asked_for(), seed=1, length_s=LENGTH_S,
        videos_an_hour=20.0, scrape_every_s=150.0, asks=False,
    )  # fmt: skip
    make_blocks(tmp_path / "day.om", tmp_path / "prometheus")
    with serving(tmp_path / "prometheus") as prometheus:
        found = simulate_week.all_firings(prometheus, simulated.end)
        page = draw(prometheus, tmp_path / "board", start=START_S, end=simulated.end).read_text()
        with pytest.raises(ValueError, match="parse error"):
            prometheus.query_range("sum by (", start=START_S, end=simulated.end, step_s=60)
    assert simulate_week.faults(found, simulated) == []
    # an alert that is taken away, and one that fires in quiet times, are seen
    assert "ReelpressDiskFull never fires" in simulate_week.faults(_without("ReelpressDiskFull", found), simulated)
    stray = Firing(alert="ReelpressDown", labels={}, start=START_S + 900, end=START_S + 960)
    assert "without a cause" in simulate_week.faults([*found, stray], simulated)[0]
    # panels of series that only rules make are empty here, as are those of requests
    empty = set(re.findall(r"<h3>([^<]*)</h3><svg[^>]*><text class=.none.", page))
    assert "Budget" not in empty
    assert len(empty) < 14
    _keeps_books(tmp_path)


def _without(alert: str, found: list[Firing]) -> list[Firing]:
    return [firing for firing in found if firing.alert != alert]


def _keeps_books(folder: Path) -> None:
    """The same day is in the ledger, told in steps of the budget, and in a baseline."""
    database = open_database(None, folder / "data")
    with database.reading() as connection:
        kept = entries(connection)
        assert len(kept) > 200
        assert {entry.status for entry in kept} == {"done", "failed", "dead"}
        assert {entry.gpu_missed for entry in kept} >= {"device_lost", "breaker_open", "budget_spent"}
        assert [step for _, step in steps_told(connection, "2026-11-16")] == [1, 2, 3, 4]
        baseline = newest_baseline(connection)
        assert baseline is not None
        assert {speed.encoder for speed in baseline.speeds} == {"h264_nvenc", "libx264"}
    database.close()


def test_alerts_fire_once_they_have_held_for_long_enough():
    def series(*times: float) -> list[Series]:
        return [Series(metric={}, values=[(at, "1") for at in times])]

    def when(line: list[Series], hold_s: float) -> list[tuple[float, float]]:
        return [(firing.start, firing.end) for firing in firings("A", line, hold_s=hold_s, step_s=60)]

    assert when(series(0, 60, 120, 180), 0) == [(0, 180)]
    assert when(series(0, 60, 120, 180), 120) == [(120, 180)]
    assert when(series(0, 60, 120), 180) == []
    # one evaluation that finds nothing begins anew
    assert when(series(0, 60, 180, 240, 300), 120) == [(300, 300)]
    assert when([], 0) == []


def test_the_same_seed_is_the_same_week():
    incidents = timetable(7 * DAY_S)
    assert arrivals(1, DAY_S, 20.0, incidents) == arrivals(1, DAY_S, 20.0, incidents)
    assert arrivals(1, DAY_S, 20.0, incidents) != arrivals(2, DAY_S, 20.0, incidents)
    quiet = Simulated(incidents=incidents, end=START_S + 7 * DAY_S, jobs=0, samples=0)
    missing = {line.split()[0] for line in simulate_week.faults([], quiet)}
    assert len(missing) == 15
