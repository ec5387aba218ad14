"""The staged rollout against a stand-in for Google's APIs: whatever happens, traffic is safe."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudrun.canary_metrics import RevisionMetrics
from cloudrun.google_api import GoogleApi
from cloudrun.judgement import Rules
from cloudrun.rollout import Clock, Outcome, roll_out
from cloudrun.run_service import RunService
from cloudrun.traffic import promoted, rolled_back
from reelpress.errors import NetError, UsageError

import gcloud_lines
from run_stand_in import NAME, Fault, Google, Revision

ROOT = Path(__file__).resolve().parents[2]
RULES = Rules(stages=(5, 50), soak_s=600, patience_s=3600, least_requests=30)
STARTED = 1_800_000_000.0


class Hours:
    """A clock of which the rollout's pauses are hours, and no time is spent."""

    def __init__(self) -> None:
        self.at = STARTED

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds


def by_name(revision: str, percent: int, tag: str | None = None) -> dict[str, Any]:
    entry = {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": revision}
    return {**entry, **({"percent": percent} if percent else {}), **({"tag": tag} if tag else {})}


@pytest.fixture
def google() -> Iterator[Google]:
    with Google({"w-1": Revision(), "w-2": Revision()}, [by_name("w-1", 100), by_name("w-2", 0, "canary")]) as played:
        yield played


@contextlib.contextmanager
def service_of(google: Google, hours: Hours) -> Iterator[tuple[RunService, GoogleApi]]:
    google.clock = hours.now
    google.history = [(hours.at, google.shares())]
    with GoogleApi(google.url, sleep=lambda _: None) as api:
        yield RunService(api, NAME, sleep=lambda _: None), api


def rolled(google: Google, hours: Hours, rules: Rules = RULES) -> Outcome:
    with service_of(google, hours) as (service, api):
        metrics = RevisionMetrics(api, "my-project", "reelpress-worker-dev")
        return roll_out(service, metrics, rules, clock=Clock(now=hours.now, sleep=hours.sleep))


def test_a_canary_that_is_as_good_goes_through_all_stages(google: Google) -> None:
    outcome = rolled(google, Hours())
    assert outcome.promoted, outcome
    assert google.shares() == {"w-2": 100}
    assert google.tags() == {"stable": "w-2", "previous": "w-1"}
    given = [{t["revision"]: t.get("percent", 0) for t in patch["traffic"]} for patch in google.patches]
    assert [shares["w-2"] for shares in given] == [5, 50, 100]
    assert google.refused == []


@pytest.mark.parametrize(
    ("canary", "why"), [(Revision(error_rate=0.2), "requests failed"), (Revision(mean_s=3.0), "p95 is")]
)
def test_a_worse_canary_is_taken_back_by_itself(google: Google, canary: Revision, why: str) -> None:
    google.revisions["w-2"] = canary
    hours = Hours()
    outcome = rolled(google, hours)
    assert not outcome.promoted
    assert why in outcome.reason
    assert google.shares() == {"w-1": 100}
    assert google.tags() == {"stable": "w-1", "rejected": "w-2"}
    assert max(t.get("percent", 0) for p in google.patches for t in p["traffic"] if t["revision"] == "w-2") == 5
    assert hours.at - STARTED < RULES.patience_s


def test_a_canary_that_nobody_calls_is_taken_back_in_the_end(google: Google) -> None:
    google.per_s = 0.01
    outcome = rolled(google, Hours())
    assert "requests of 30 that are needed" in outcome.reason
    assert google.shares() == {"w-1": 100}


def test_a_canary_that_is_not_ready_gets_nothing(google: Google) -> None:
    google.revisions["w-2"].ready = False
    with pytest.raises(UsageError, match="not ready"):
        rolled(google, Hours())
    assert google.patches == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault("PATCH", 503, times=3),  # refused for a while
        Fault("PATCH", 0),  # the connection is lost before anything is done
        Fault("PATCH", 0, after=True),  # it is done, and the answer lost
        Fault("PATCH", 504, after=True, times=2),
        Fault("PATCH", 409),  # somebody else was faster
        Fault("GET /v2", 503, times=4),
        Fault("GET /v3", 503, times=20),  # no figures for some minutes
    ],
    ids=lambda fault: f"{fault.when}-{fault.status}-{fault.after}",
)
def test_what_passes_is_waited_for(google: Google, fault: Fault) -> None:
    google.faults = [fault]
    assert rolled(google, Hours()).promoted
    assert google.shares() == {"w-2": 100}
    assert google.tags() == {"stable": "w-2", "previous": "w-1"}


def test_without_figures_traffic_is_taken_back(google: Google) -> None:
    google.faults = [Fault("GET /v3", 500, times=10_000)]
    outcome = rolled(google, Hours())
    assert "no figures" in outcome.reason
    assert google.shares() == {"w-1": 100}


def test_an_api_that_refuses_more_traffic_leaves_it_at_the_stable_revision(google: Google) -> None:
    google.faults = [Fault("PATCH", 403)]
    outcome = rolled(google, Hours())
    assert not outcome.promoted
    assert google.shares() == {"w-1": 100}


def test_an_api_that_is_away_for_good_is_said_so(google: Google) -> None:
    google.faults = [Fault("PATCH", 503, times=10_000)]
    with pytest.raises(NetError):
        rolled(google, Hours())
    assert google.shares() == {"w-1": 100}


def test_a_rollout_is_gone_on_with_where_a_killed_one_stopped(google: Google) -> None:
    google.traffic = [by_name("w-1", 50), by_name("w-2", 50, "canary")]
    assert rolled(google, Hours()).promoted
    assert [p["traffic"][0].get("percent") for p in google.patches] == [100]


def test_rollback_goes_to_the_revision_before_and_a_lost_answer_does_not_take_it_further(google: Google) -> None:
    google.revisions["w-0"] = Revision()
    google.traffic = [by_name("w-2", 100, "stable"), by_name("w-1", 0, "previous"), by_name("w-0", 0, "rejected")]
    google.faults = [Fault("PATCH", 504, after=True, times=2)]
    with service_of(google, Hours()) as (service, _):
        service.change(rolled_back)
    assert google.shares() == {"w-1": 100}
    assert google.tags()["rejected"] == "w-2"
    assert len(google.patches) == 1


def test_what_is_sent_is_what_the_admin_api_has_fields_for(google: Google) -> None:
    """By gcloud's own classes of the API, where it is installed."""
    with service_of(google, Hours()) as (service, _):
        service.change(promoted)
    right, wrong = json.dumps(google.patches[0]), json.dumps({"trafic": []})
    kind = ["run", "v2", "GoogleCloudRunV2Service"]
    answer = gcloud_lines.ask(messages=[[*kind, right], [*kind, wrong]])
    if answer is None:
        pytest.skip("gcloud is not installed")
    assert answer["messages"][0] is None
    assert answer["messages"][1] is not None


# --- as a process ---


def command(google: Google, *argv: str) -> subprocess.Popen[str]:
    env = {
        "PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT / 'deploy'}:{ROOT / 'src'}", "PROJECT": "my-project",
        "REGION": "europe-west1", "RUN_API_URL": google.url, "MONITORING_API_URL": google.url,
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-m", "cloudrun", *argv], env=env, stdout=-1, stderr=-1, text=True, cwd=ROOT
    )


FAST = ("rollout", "--stages=20,60", "--soak=0.5", "--patience=60", "--every=0.25", "--least-requests=40")


def canary_has_traffic(google: Google) -> None:
    deadline = time.monotonic() + 30
    while "w-2" not in google.shares():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_killed_resumed_and_rolled_back_by_one_command(google: Google) -> None:
    google.per_s = 400.0
    first = command(google, *FAST, "--soak=60")
    canary_has_traffic(google)
    first.kill()
    first.communicate()
    assert google.shares() == {"w-1": 80, "w-2": 20}, "a killed one leaves what it had reached"
    second = command(google, *FAST)
    out, err = second.communicate(timeout=60)
    assert second.returncode == 0, err
    assert "Promoted." in out
    assert google.shares() == {"w-2": 100}
    back = command(google, "rollback")
    out, err = back.communicate(timeout=60)
    assert back.returncode == 0, err
    assert google.shares() == {"w-1": 100}
    assert out.startswith("100 %  w-1")


def test_a_worse_canary_and_a_signal_both_end_with_the_stable_revision(google: Google) -> None:
    google.per_s = 400.0
    told = command(google, *FAST, "--soak=60")
    canary_has_traffic(google)
    told.send_signal(signal.SIGTERM)
    told.communicate(timeout=60)
    assert told.returncode == 130
    assert google.shares() == {"w-1": 100}
    google.revisions["w-2"].error_rate = 0.5
    google.traffic = [by_name("w-1", 100), by_name("w-2", 0, "canary")]
    worse = command(google, *FAST)
    out, err = worse.communicate(timeout=60)
    assert worse.returncode == 1, err
    assert "Rolled back" in out
    assert google.shares() == {"w-1": 100}
