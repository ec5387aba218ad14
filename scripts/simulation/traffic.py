"""Who submits what and when, and what goes wrong when: pure, the same for the same seed."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime
from typing import Literal

from reelpress.facts.values import Value

# A Monday morning, in the past, as a Prometheus wants it.
START_S = datetime(2026, 11, 16, 8, tzinfo=UTC).timestamp()
HOUR_S, DAY_S = 3600.0, 86_400.0

Trouble = Literal[
    "gpu lost", "errors", "rush", "workers stopped", "worker killed", "poisonous input", "slow encoder", "disk full",
    "not scraped", "expensive films",
]  # fmt: skip
_LECTURES, _FILMS = 22, 40
_BUDGET = ("ReelpressBudgetHalf", "ReelpressBudgetNearlySpent", "ReelpressBudgetSpent", "ReelpressBudgetOverrun")


class Video(Value, frozen=True, kw_only=True):
    """One submission. A poisonous one kills every worker that works on it."""

    at: float
    user: str
    size_bytes: int
    duration_s: float
    is_poisonous: bool = False


class Incident(Value, frozen=True, kw_only=True):
    """A trouble, when it begins and how long it lasts; the alerts it must cause, and those it may cause besides.

    ``tail_s`` is how long after its end alerts may still fire: windows of queries, queues that are worked off.
    """

    trouble: Trouble
    start: float
    length_s: float
    must: tuple[str, ...]
    may: tuple[str, ...] = ()
    tail_s: float = 1.6 * HOUR_S

    def lasts_at(self, now: float) -> bool:
        """Tell whether it goes on at a moment."""
        return self.start <= now < self.start + self.length_s

    def explains(self, alert: str, now: float) -> bool:
        """Tell whether an alert that fires at a moment is because of it."""
        return alert in (*self.must, *self.may) and self.start <= now <= self.start + self.length_s + self.tail_s


# In the order of a week: length in minutes, alerts that must come, alerts that may come with them.
_PLAN: tuple[tuple[Trouble, float, tuple[str, ...], tuple[str, ...]], ...] = (
    ("gpu lost", 40, ("ReelpressGpuNotUsed", "ReelpressGpuBreakerOpen"), ("ReelpressQueueOld", "ReelpressSlow")),
    ("errors", 30, ("ReelpressErrorRate",), ()),
    ("disk full", 45, ("ReelpressDiskLow", "ReelpressDiskFull"), ()),
    ("rush", 30, ("ReelpressQueueOld",), ("ReelpressSlow",)),
    ("workers stopped", 30, ("ReelpressNoWorkers", "ReelpressQueueOld"), ()),
    ("slow encoder", 120, ("ReelpressSlow",), ("ReelpressQueueOld",)),
    ("poisonous input", 30, ("ReelpressDeadJobs", "ReelpressWorkersLost"), ("ReelpressErrorRate",)),
    ("not scraped", 20, ("ReelpressDown",), ()),
    ("expensive films", 90, _BUDGET, ("ReelpressQueueOld", "ReelpressSlow")),
)


def timetable(length_s: float) -> tuple[Incident, ...]:
    """Return all troubles, spread over a time that begins and ends quietly.

    Of the last, the budget, alerts last until its window ends.
    """
    first_s, end_s = 0.14 * length_s, 0.83 * length_s
    step_s = (end_s - first_s) / (len(_PLAN) - 1)
    return tuple(
        Incident(
            trouble=trouble, start=START_S + first_s + number * step_s, length_s=60 * minutes, must=must, may=may,
            **({"tail_s": DAY_S} if must == _BUDGET else {}),
        )
        for number, (trouble, minutes, must, may) in enumerate(_PLAN)
    )  # fmt: skip


def arrivals(seed: int, length_s: float, videos_an_hour: float, incidents: tuple[Incident, ...]) -> list[Video]:
    """Return all submissions in order: a Poisson process whose rate goes with the day, and what incidents add."""
    dice = random.Random(f"{seed} arrivals")
    most = 2.0 * videos_an_hour
    found, now = [], START_S
    while (now := now + dice.expovariate(most / HOUR_S)) < START_S + length_s:
        if dice.random() < _share_of_day(now) / 2:
            found.append(_video(dice, now))
    for incident in incidents:
        if incident.trouble == "rush":
            found += [_long(dice, incident, "university", 5 * 10**8, 1500.0) for _ in range(_LECTURES)]
        elif incident.trouble == "poisonous input":
            found.append(
                Video(at=incident.start, user="mallory", size_bytes=40_000_000, duration_s=30.0, is_poisonous=True)
            )
        elif incident.trouble == "expensive films":
            found += [_long(dice, incident, "studio", 20 * 10**9, 8000.0) for _ in range(_FILMS)]
    return sorted(found, key=lambda video: video.at)


def _long(dice: random.Random, incident: Incident, user: str, size_bytes: int, duration_s: float) -> Video:
    """Return one of many that come within five minutes."""
    return Video(at=incident.start + dice.uniform(0, 300), user=user, size_bytes=size_bytes, duration_s=duration_s)


def _share_of_day(now: float) -> float:
    """Return how busy an hour is, 1 on average: quiet at four in the morning, busy at four in the afternoon."""
    return 1.0 - 0.7 * math.cos(2 * math.pi * ((now - START_S) % DAY_S + 4 * HOUR_S) / DAY_S)


def _video(dice: random.Random, at: float) -> Video:
    duration_s = min(dice.lognormvariate(math.log(70), 0.8), 1500.0)
    size_bytes = int(duration_s * dice.lognormvariate(math.log(1.6e6), 0.5))
    return Video(at=at, user=f"user-{dice.randrange(12)}", size_bytes=size_bytes, duration_s=duration_s)
