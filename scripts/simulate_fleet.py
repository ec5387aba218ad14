"""Simulates a day of the queue and its fleet, to see what a size of service needs and where its limits lie.

    python scripts/simulate_fleet.py                                  # the table of docs/sizing.md, half a minute
    python scripts/simulate_fleet.py --jobs-per-day 50000 --machine l4 --most 20

Discrete events, seeded: jobs arrive as a Poisson process whose rate follows the hours of a day, wait for a slot, and
take as long as their programme and the machine's speed say. Machines come and go as the scaler asks (KEDA's rule:
unfinished jobs by slots of a machine, never fewer than in the last five minutes), and need a time to start.
Every figure that goes in is below, with where it is from.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

DAY_S = 86_400.0
_MINUTE_S = 60.0


@dataclass(frozen=True)
class Workload:
    """What is asked for. ``busiest`` is the busiest hour's rate by the mean one; durations are lognormal."""

    jobs_per_day: float
    busiest: float = 2.0  # an assumption: one region's days and nights
    median_s: float = 150.0  # an assumption: with the spread below and 10 Mb/s a mean of 300 MB, the plan's size
    spread: float = 0.95
    input_bps: float = 10e6
    output_share: float = 0.59  # README: the example comes out 41 % smaller

    def rate(self, at_s: float) -> float:
        """Return how many jobs come per second at this time of the day."""
        return self.jobs_per_day / DAY_S * (1 + (self.busiest - 1) * math.sin(2 * math.pi * at_s / DAY_S - math.pi / 2))

    def programme_s(self, chance: random.Random) -> float:
        """Draw the duration of a video in seconds."""
        return self.median_s * math.exp(chance.gauss(0, self.spread))


@dataclass(frozen=True)
class Machine:
    """An instance that does jobs: ``slots`` at once, each at ``realtime`` programme seconds per second."""

    name: str
    slots: int
    realtime: float
    usd_per_hour: float
    job_s: float = 2.0  # of a job beside its encode: probe, checks, hashes (README: about a CPU second), the store
    network_bps: float = 2e9  # an assumption
    start_s: float = 20.0  # docs/images.md: the container until it is ready; a new node comes on top


# 4 vCPU, two jobs at once. README: 70 s of 720p in 14.1 s on two cores, 5.0 times real time, all in.
CPU = Machine(name="4 vCPU", slots=2, realtime=5.0, usd_per_hour=0.4)
# An L4 with 4 vCPU, one job at once as Cloud Run's --concurrency=1 has it. The speed is the plan's target (300 MB in
# 30 to 60 s), not yet measured on hardware. About a dollar an hour in all (docs/costs.md).
L4 = Machine(name="L4", slots=1, realtime=5.7, usd_per_hour=1.0)
MACHINES = {"cpu": CPU, "l4": L4}


@dataclass(frozen=True)
class Scaling:
    """How many machines there may be, and how they come and go."""

    least: int = 0
    most: int = 20
    poll_s: float = 15.0
    hold_s: float = 300.0
    doubling_s: float = 30.0  # deploy/kubernetes: twice as many in half a minute, or 4 more


@dataclass(frozen=True)
class DatabaseCost:
    """What Postgres does for a job, and for each machine: ``benchmarks/database_cost.py``, docs/sizing.md."""

    transactions: float = 47.0  # of a job, beside what its machine asks anyway
    flushes: float = 22.0  # of the log to the disk: what commits wait for
    machine_transactions_per_s: float = 50.0  # most of them ask whether there is something to do
    running_flushes_per_s: float = 2.9


DATABASE = DatabaseCost()


@dataclass
class Report:
    """What came of it; times in seconds."""

    jobs: int = 0
    waits: list[float] = field(default_factory=list)
    left: int = 0  # waiting or running at the end
    most_waiting: int = 0
    most_machines: int = 0
    machine_s: float = 0.0
    busy_slot_s: float = 0.0
    busiest_transactions_per_s: float = 0.0
    busiest_flushes_per_s: float = 0.0
    busiest_bps: float = 0.0

    def wait(self, share: float) -> float:
        """Return the wait that ``share`` of the jobs that began did not exceed."""
        ordered = sorted(self.waits)
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.inf


class Fleet:
    """Machines that are there, that start, and whose last jobs still run though they are to go."""

    def __init__(self, machine: Machine, scaling: Scaling) -> None:
        self.machine, self.scaling = machine, scaling
        self.ready, self.starting, self.running = scaling.least, 0, 0
        self._wanted: deque[tuple[float, int]] = deque()

    @property
    def free(self) -> int:
        """Slots that could take a job now."""
        return self.ready * self.machine.slots - self.running

    @property
    def paid(self) -> int:
        """Machines that cost money now."""
        return max(self.ready, math.ceil(self.running / self.machine.slots)) + self.starting

    def scale(self, now: float, unfinished: int) -> int:
        """Let machines go that are not needed, and return how many are to start."""
        rule, have = self.scaling, self.ready + self.starting
        wanted = min(rule.most, max(rule.least, math.ceil(unfinished / self.machine.slots)))
        growth = max(4, have) * rule.poll_s / rule.doubling_s
        self._wanted.append((now, wanted))
        while self._wanted[0][0] < now - rule.hold_s:
            self._wanted.popleft()
        held = max(number for _, number in self._wanted)
        if held < have:
            self.ready -= min(self.ready, have - held)
            return 0
        new = min(max(0, wanted - have), math.ceil(growth))
        self.starting += new
        return new


class Day:
    """A day being played. ``service_s`` replaces the drawn times of jobs, to compare with theory."""

    def __init__(
        self, work: Workload, fleet: Fleet, *, seed: int, cost: DatabaseCost, service_s: Callable[[], float] | None
    ) -> None:
        self.report, self._work, self._fleet, self._cost = Report(), work, fleet, cost
        self._chance, self._service_s = random.Random(seed), service_s
        self._fastest = max(work.rate(DAY_S * hour / 24) for hour in range(24))
        self._waiting: deque[tuple[float, float, float]] = deque()  # when it came, how long it takes, its bytes
        self._events: list[tuple[float, int, Callable[[float], None], float]] = []
        self._count, self._now = 0, 0.0
        self._minute_began, self._ended, self._moved = 0.0, 0, 0.0

    def play(self, until_s: float) -> Report:
        """Play until this time of the day."""
        self._at(self._chance.expovariate(self._fastest), self._arrive)
        self._at(0.0, self._scale)
        report, fleet = self.report, self._fleet
        while self._events and self._events[0][0] <= until_s:
            at, _, happen, value = heapq.heappop(self._events)
            report.machine_s += fleet.paid * (at - self._now)
            report.busy_slot_s += fleet.running * (at - self._now)
            self._now = at
            if at >= self._minute_began + _MINUTE_S:
                self._note_minute()
            happen(value)
            self._begin_jobs()
            report.most_waiting = max(report.most_waiting, len(self._waiting))
            report.most_machines = max(report.most_machines, fleet.paid)
        report.left = len(self._waiting) + fleet.running
        return report

    def _at(self, at: float, happen: Callable[[float], None], value: float = 0.0) -> None:
        self._count += 1  # what happens at one time happens in the order in which it was said
        heapq.heappush(self._events, (at, self._count, happen, value))

    def _arrive(self, _value: float) -> None:
        self._at(self._now + self._chance.expovariate(self._fastest), self._arrive)
        if self._chance.random() * self._fastest >= self._work.rate(self._now):
            return  # thinned to the rate of this hour
        machine, programme_s = self._fleet.machine, self._work.programme_s(self._chance)
        moved = programme_s * self._work.input_bps / 8 * (1 + self._work.output_share)
        takes = machine.job_s + programme_s / machine.realtime + moved * 8 / machine.network_bps
        self._waiting.append((self._now, takes if self._service_s is None else self._service_s(), moved))
        self.report.jobs += 1

    def _begin_jobs(self) -> None:
        while self._waiting and self._fleet.free > 0:
            came, takes, moved = self._waiting.popleft()
            self.report.waits.append(self._now - came)
            self._fleet.running += 1
            self._at(self._now + takes, self._end, moved)

    def _end(self, moved: float) -> None:
        self._fleet.running -= 1
        self._ended += 1
        self._moved += moved

    def _scale(self, _value: float) -> None:
        fleet = self._fleet
        self._at(self._now + fleet.scaling.poll_s, self._scale)
        for _ in range(fleet.scale(self._now, len(self._waiting) + fleet.running)):
            self._at(self._now + fleet.machine.start_s, self._ready)

    def _ready(self, _value: float) -> None:
        self._fleet.starting -= 1
        self._fleet.ready += 1

    def _note_minute(self) -> None:
        report, cost, lasted = self.report, self._cost, self._now - self._minute_began
        jobs_per_s = self._ended / lasted
        transactions = jobs_per_s * cost.transactions + self._fleet.paid * cost.machine_transactions_per_s
        flushes = jobs_per_s * cost.flushes + self._fleet.running * cost.running_flushes_per_s
        report.busiest_transactions_per_s = max(report.busiest_transactions_per_s, transactions)
        report.busiest_flushes_per_s = max(report.busiest_flushes_per_s, flushes)
        report.busiest_bps = max(report.busiest_bps, self._moved * 8 / lasted)
        self._minute_began, self._ended, self._moved = self._now, 0, 0.0


def simulate(
    work: Workload,
    machine: Machine,
    scaling: Scaling,
    *,
    seed: int = 1,
    until_s: float = DAY_S,
    cost: DatabaseCost = DATABASE,
    service_s: Callable[[], float] | None = None,
) -> Report:
    """Play the first ``until_s`` seconds of a day, and say what came of it; the same for the same ``seed``."""
    return Day(work, Fleet(machine, scaling), seed=seed, cost=cost, service_s=service_s).play(until_s)


CASES = (
    (10_000, CPU, 100),
    (10_000, L4, 20),
    (30_000, L4, 20),
    (60_000, L4, 20),
    (100_000, L4, 200),
    (1_000_000, CPU, 4_000),
    (1_000_000, L4, 4_000),
)
_HEAD = (
    "jobs a day", "machines", "wait p50, p99", "most waiting", "most machines", "slots used", "machine hours a day",
    "USD a job", "database transactions/s, flushes/s", "Gb/s", "left at the end",
)  # fmt: skip


def row(work: Workload, fleet: tuple[Machine, int], report: Report, hours: float) -> str:
    """Return one row of the table in docs/sizing.md."""
    machine, most = fleet
    machine_hours = report.machine_s / 3600
    used = report.busy_slot_s / max(1.0, report.machine_s * machine.slots)
    cells = (
        f"{work.jobs_per_day:,.0f}", f"{machine.name}, at most {most:,}",
        f"{report.wait(0.5):,.0f} s, {report.wait(0.99):,.0f} s", f"{report.most_waiting:,}",
        f"{report.most_machines:,}", f"{used:.0%}", f"{machine_hours * 24 / hours:,.0f}",
        f"{machine_hours * machine.usd_per_hour / max(1, report.jobs - report.left):.4f}",
        f"{report.busiest_transactions_per_s:,.0f}, {report.busiest_flushes_per_s:,.0f}",
        f"{report.busiest_bps / 1e9:.1f}", f"{report.left:,}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--jobs-per-day", type=float)
    asked.add_argument("--machine", choices=MACHINES, default="l4")
    asked.add_argument("--most", type=int, default=20, help="machines")
    asked.add_argument("--hours", type=float, default=24.0)
    asked.add_argument("--seed", type=int, default=1)
    given = asked.parse_args()
    cases = [(given.jobs_per_day, MACHINES[given.machine], given.most)] if given.jobs_per_day else CASES
    print(f"| {' | '.join(_HEAD)} |\n|{'---|' * len(_HEAD)}")
    for jobs_per_day, machine, most in cases:
        work = Workload(jobs_per_day=jobs_per_day)
        report = simulate(work, machine, Scaling(most=most), seed=given.seed, until_s=given.hours * 3600)
        print(row(work, (machine, most), report, given.hours), flush=True)


if __name__ == "__main__":
    main()
