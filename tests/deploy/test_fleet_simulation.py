"""The simulated fleet agrees with what is known of queues, repeats itself, and shows a limit where there is one."""

from __future__ import annotations

import math
import random
import sys
from dataclasses import replace

import pytest

from deployed import ROOT

sys.path.insert(0, str(ROOT / "scripts"))

import simulate_fleet as fleet

STEADY = fleet.Workload(jobs_per_day=86_400.0, busiest=1.0)  # one a second, all day


def erlang_c_wait_s(rate: float, service_s: float, slots: int) -> float:
    """Return the mean wait in a queue of Poisson arrivals, exponential times and so many slots (A. K. Erlang, 1917)."""
    load = rate * service_s
    last = load**slots / math.factorial(slots) * slots / (slots - load)
    waits = last / (sum(load**k / math.factorial(k) for k in range(slots)) + last)
    return waits * service_s / (slots - load)


@pytest.mark.parametrize(("slots", "service_s"), [(1, 0.7), (4, 3.4), (20, 18.0)])
def test_waits_are_as_theory_has_them(slots: int, service_s: float) -> None:
    chance = random.Random(7)
    machine = replace(fleet.L4, slots=slots)
    report = fleet.simulate(
        STEADY, machine, fleet.Scaling(least=1, most=1), until_s=86_400.0,
        service_s=lambda: chance.expovariate(1 / service_s),
    )  # fmt: skip
    expected_s = erlang_c_wait_s(1.0, service_s, slots)
    assert sum(report.waits) / len(report.waits) == pytest.approx(expected_s, rel=0.1)
    assert report.busy_slot_s == pytest.approx(report.jobs * service_s, rel=0.05)


def test_the_same_seed_is_the_same_day() -> None:
    work, scaling = fleet.Workload(jobs_per_day=20_000), fleet.Scaling()
    first, again, other = (
        fleet.simulate(work, fleet.L4, scaling, seed=seed, until_s=43_200.0) for seed in (1, 1, 2)
    )  # fmt: skip
    assert first == again
    assert first != other
    assert len(first.waits) + first.left >= first.jobs > 9_000


def test_a_fleet_that_may_grow_keeps_up_and_one_that_may_not_does_not() -> None:
    """20 machines of Cloud Run's limit, at the rate of the busiest hours of 60,000 jobs a day."""
    work = fleet.Workload(jobs_per_day=120_000, busiest=1.0)
    grows, stuck = (
        fleet.simulate(work, fleet.L4, fleet.Scaling(most=most), until_s=3 * 3600.0) for most in (400, 20)
    )  # fmt: skip
    assert grows.wait(0.99) < 120
    assert grows.left < 200
    assert stuck.most_machines == 20
    assert stuck.wait(0.99) > 3600
    assert stuck.left > 5_000


def test_machines_go_when_there_is_no_work() -> None:
    """The day begins at night: what was there is let go, and hours of machines follow the work."""
    work = fleet.Workload(jobs_per_day=5_000)
    report = fleet.simulate(work, fleet.CPU, fleet.Scaling(least=0, most=50))
    always = report.most_machines * 86_400.0
    assert report.machine_s < 0.6 * always
    assert report.machine_s * fleet.CPU.slots > report.busy_slot_s


def test_what_the_database_is_asked_grows_with_jobs_and_with_those_that_run() -> None:
    def flushes(jobs_per_day: float) -> float:
        work = fleet.Workload(jobs_per_day=jobs_per_day, busiest=1.0)
        return fleet.simulate(work, fleet.L4, fleet.Scaling(most=4_000), until_s=3600.0).busiest_flushes_per_s

    few, many = flushes(10_000), flushes(100_000)
    assert 7 < many / few < 11
