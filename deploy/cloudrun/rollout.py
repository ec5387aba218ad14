"""The staged rollout: a little traffic, a look, more of it; and back again when it is worse, or nobody can tell.

Whatever ends it but success, also an API that is away or a signal, takes all traffic back to the stable revision before
it says so. A process that was killed outright leaves the canary with the share that it had; the next rollout goes on
there, and ``rollback`` takes it away.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from cloudrun.canary_metrics import RevisionMetrics
from cloudrun.judgement import Rules, Sample, judge
from cloudrun.run_service import RunService
from cloudrun.traffic import Share, promoted, rivals, rolled_back, split
from reelpress.errors import NetError, UsageError
from reelpress.facts.values import Value


class Clock(Value, frozen=True, kw_only=True):
    """How time passes."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


class Outcome(Value, frozen=True, kw_only=True):
    """How a rollout ended, why, and who has the traffic then."""

    promoted: bool
    reason: str
    traffic: tuple[Share, ...]


class RolledBack(Exception):  # noqa: N818 - it is what is to happen
    """The canary is worse, or was not shown to be as good."""


def roll_out(
    service: RunService,
    metrics: RevisionMetrics,
    rules: Rules,
    *,
    every_s: float = 60.0,
    blind_s: float = 900.0,
    clock: Clock = Clock(),  # noqa: B008 - a frozen value
) -> Outcome:
    """Give the canary its stages' shares, one after the other, then everything; or take all back.

    ``blind_s`` is how long it goes on without figures. Raises :class:`UsageError`, before anything was changed, where
    there is no canary or it is not ready; and :class:`NetError` when traffic could not be taken back: it then says who
    has what, as far as that is known.
    """
    pair = rivals(service.traffic())
    if pair is None:
        raise UsageError("There is no canary.", hint="Deploy one: make deploy-worker-gpu STAGED=true")
    canary, stable = pair
    service.check_ready(canary.revision)
    _say(f"{canary.revision} against {stable.revision}")
    try:
        # a rollout that was killed is gone on with at the share it had reached
        for percent in [p for p in rules.stages if p > canary.percent] or [canary.percent]:
            _say(f"{percent} % for {canary.revision}")
            service.change(lambda shares, p=percent: split(shares, p))  # type: ignore[misc]
            _watch(metrics, (canary.revision, stable.revision), rules, every_s=every_s, blind_s=blind_s, clock=clock)
        traffic = service.change(promoted)
    # a signal is an exception, too
    except BaseException as error:
        reason = str(error) or type(error).__name__
        _say(f"taking all traffic back: {reason}")
        traffic = service.change(rolled_back)
        if not isinstance(error, RolledBack | NetError | UsageError):
            raise
        return Outcome(promoted=False, reason=reason, traffic=traffic)
    return Outcome(promoted=True, reason="as good at every stage", traffic=traffic)


def _watch(
    metrics: RevisionMetrics, pair: tuple[str, str], rules: Rules, *, every_s: float, blind_s: float, clock: Clock
) -> None:
    """Return when the canary is as good at this stage. Raises :class:`RolledBack` when it is to go."""
    began = seen = clock.now()
    while True:
        clock.sleep(every_s)
        now = clock.now()
        try:
            samples = metrics.samples(began, now)
            seen = now
        except NetError as error:
            if now - seen >= blind_s:
                raise RolledBack(f"no figures for {now - seen:.0f} s: {error.what}") from error
            continue
        canary, stable = (samples.get(name, Sample()) for name in pair)
        verdict = judge(canary, stable, rules, elapsed_s=now - began)
        _say(f"{verdict.action}: {verdict.reason}")
        if verdict.action == "roll_back":
            raise RolledBack(verdict.reason)
        if verdict.action == "promote":
            return


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
