"""When a GPU is left alone, and when it is tried again: states, events, and what follows. Pure; time is handed in.

A circuit is ``closed`` (in use), ``open`` (left alone until ``next_probe_at``) or ``half_open`` (one probe decides).
It opens when two different jobs make the GPU suspect within :data:`WINDOW_S`, when a probe fails, or at once where
this build and this GPU cannot work together. It stays open for 30 s, twice as long each time that follows soon upon
the last, 10 minutes at most. A job counts once: one input that brings the GPU down does not condemn it for others.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from reelpress.facts.values import Value

WINDOW_S = 600.0
SUSPECTS = 2
FIRST_REST_S, LONGEST_REST_S = 30.0, 600.0
PROBE_S = 120.0  # a probe that has not ended by then is taken for dead; longer than any may take
_JOBS_KEPT = 100


class Suspicion(Value, frozen=True, kw_only=True):
    """A job that failed in a way that may be the GPU's fault, at ``at``."""

    job: str
    at: float


class Circuit(Value, frozen=True, kw_only=True):
    """What is known of one GPU, or of one build on one GPU; times in seconds of one clock.

    ``rest_s`` is how long the last opening lasts or lasted. ``jobs`` are those that counted already. ``probe`` is the
    token of who probes until ``probe_until``; a first suspicion is probed while the circuit stays closed.
    """

    phase: Literal["closed", "open", "half_open"] = "closed"
    since: float = 0.0
    why: str | None = None
    next_probe_at: float | None = None
    rest_s: float = 0.0
    suspicions: tuple[Suspicion, ...] = ()
    jobs: tuple[str, ...] = ()
    probe: str | None = None
    probe_until: float = 0.0


class Suspected(Value, frozen=True, kw_only=True, tag=True):
    """A job failed in a way that may be the GPU's fault."""

    job: str
    why: str


class Refused(Value, frozen=True, kw_only=True, tag=True):
    """Build and GPU cannot work together as they are."""

    why: str


class Worked(Value, frozen=True, kw_only=True, tag=True):
    """A job was delivered."""


class ProbeBegan(Value, frozen=True, kw_only=True, tag=True):
    """Somebody wants to probe; afterwards ``probe`` tells whether it is this one."""

    token: str


class ProbeEnded(Value, frozen=True, kw_only=True, tag=True):
    """A probe is over; one that was given up on meanwhile no longer counts. Of one that was cancelled nobody knows."""

    token: str
    passed: bool | None
    why: str = "a trial encode failed"


Event = Suspected | Refused | Worked | ProbeBegan | ProbeEnded


def is_due(state: Circuit, now: float) -> bool:
    """Tell whether a probe may begin: none runs, and an open circuit has rested. A clock set back counts as rested."""
    if state.probe is not None and now < state.probe_until <= now + PROBE_S:
        return False
    return state.phase != "open" or now < state.since or now >= (state.next_probe_at or 0.0)


def decide(state: Circuit, event: Event, now: float) -> Circuit:
    """Return the state after an event."""
    match event:
        case Suspected():
            return _suspected(state, event, now)
        case Refused():
            return _opened(state, event.why, now) if state.phase == "closed" else state
        case Worked():
            return msgspec.structs.replace(state, suspicions=()) if state.phase == "closed" else state
        case ProbeBegan():
            if not is_due(state, now):
                return state
            phase, since = (state.phase, state.since) if state.phase == "closed" else ("half_open", now)
            return msgspec.structs.replace(
                state, phase=phase, since=since, next_probe_at=None, probe=event.token, probe_until=now + PROBE_S
            )
        case ProbeEnded():
            return _probed(state, event, now) if state.probe == event.token else state


def _suspected(state: Circuit, event: Suspected, now: float) -> Circuit:
    if state.phase != "closed" or event.job in state.jobs:
        return state  # started before it was opened; or an input that is known to do this
    recent = tuple(each for each in state.suspicions if 0 <= now - each.at < WINDOW_S)
    state = msgspec.structs.replace(
        state,
        suspicions=(*recent, Suspicion(job=event.job, at=now)),
        jobs=(*state.jobs, event.job)[-_JOBS_KEPT:],
    )
    return _opened(state, event.why, now) if len(state.suspicions) >= SUSPECTS else state


def _probed(state: Circuit, event: ProbeEnded, now: float) -> Circuit:
    if event.passed is None:  # whoever comes next probes at once
        is_closed = state.phase == "closed"
        return msgspec.structs.replace(
            state, phase=state.phase if is_closed else "open", next_probe_at=None if is_closed else now, probe=None
        )
    if not event.passed:
        return _opened(state, event.why, now)
    if state.phase == "closed":
        return msgspec.structs.replace(state, probe=None)  # it was the job; its suspicion stays, for a second to meet
    return msgspec.structs.replace(
        state, phase="closed", since=now, why=None, next_probe_at=None, suspicions=(), probe=None
    )


def _opened(state: Circuit, why: str, now: float) -> Circuit:
    was_closed_for_long = state.phase == "closed" and not 0 <= now - state.since < LONGEST_REST_S
    is_first = state.rest_s == 0.0 or was_closed_for_long
    rest_s = FIRST_REST_S if is_first else min(2 * state.rest_s, LONGEST_REST_S)
    return msgspec.structs.replace(
        state, phase="open", since=now, why=why, next_probe_at=now + rest_s, rest_s=rest_s, suspicions=(), probe=None
    )
