"""``python3 -m cloudrun TARGET``: what ``deploy/Makefile`` calls."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from cloudrun.canary_metrics import MONITORING_URL, RevisionMetrics
from cloudrun.deployment import Deployment, read_deployment
from cloudrun.google_api import GoogleApi
from cloudrun.judgement import Rules
from cloudrun.rollout import roll_out
from cloudrun.run_service import RUN_URL, RunService
from cloudrun.steps import run, script
from cloudrun.targets import TARGETS, steps_of
from cloudrun.traffic import Share, all_to, promoted, rolled_back, tagged
from reelpress.errors import ExitCode, ReelpressError, UsageError

OWN = ("rollout", "promote", "rollback", "check-newest-serves")


def main() -> int:
    """Run a target, or show what would be run; return the exit code."""
    parser = argparse.ArgumentParser(prog="cloudrun", description="Reelpress on Google's Cloud Run.")
    parser.add_argument("target", choices=[*TARGETS, *OWN, "plan", "targets"], metavar="TARGET")
    parser.add_argument("planned", nargs="?", help="the target that plan shows")
    parser.add_argument("--service", help="the Cloud Run service; the worker's by default")
    parser.add_argument("--revision", default=os.environ.get("REVISION"), help="where rollback goes")
    rules = Rules()
    stages = ",".join(map(str, rules.stages))
    parser.add_argument("--stages", default=stages, help=f"percents of rollout, with ',' between ({stages})")
    parser.add_argument("--soak", type=float, default=rules.soak_s, help="least seconds of a stage (%(default)g)")
    parser.add_argument("--patience", type=float, default=rules.patience_s, help="most seconds (%(default)g)")
    parser.add_argument("--least-requests", type=int, default=rules.least_requests, help="(%(default)d)")
    parser.add_argument("--every", type=float, default=60.0, help="seconds between two looks (%(default)g)")
    given = parser.parse_args()
    if not re.fullmatch(r"[1-9]\d?(,[1-9]\d?)*", given.stages):
        parser.error("--stages are percents from 1 to 99")
    try:
        if given.target == "targets":
            print("\n".join(f"{name:26}{target.help}" for name, target in TARGETS.items()))
            return 0
        if given.target == "plan":
            if given.planned not in TARGETS:
                raise UsageError(f"plan needs TARGET, one of: {', '.join(TARGETS)}.")
            target = TARGETS[given.planned]
            sys.stdout.write(script(steps_of(target, read_deployment(needs=target.needs), os.environ)))
            return 0
        if given.target in OWN:
            return _by_api(given, read_deployment(needs=("project", "region")))
        target = TARGETS[given.target]
        return run(steps_of(target, read_deployment(needs=target.needs), os.environ))
    except ReelpressError as error:
        print("\n".join(error.lines()), file=sys.stderr)
        return int(error.exit_code)
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)


def _by_api(given: argparse.Namespace, deployment: Deployment) -> int:
    """Do what gcloud has no command for; 1 means that the canary was taken back."""
    place = f"projects/{deployment.project}/locations/{deployment.region}"
    with (
        GoogleApi(os.environ.get("RUN_API_URL", RUN_URL)) as api,
        GoogleApi(os.environ.get("MONITORING_API_URL", MONITORING_URL)) as monitoring,
    ):
        service = RunService(api, f"{place}/services/{given.service or deployment.worker}")
        if given.target == "rollout":
            return _roll_out(given, service, RevisionMetrics(monitoring, str(deployment.project), service.short_name))
        return _at_once(given, service)


def _at_once(given: argparse.Namespace, service: RunService) -> int:
    if given.target == "check-newest-serves":
        leader, newest = service.traffic()[0], service.newest()
        if (leader.percent, leader.revision) != (100, newest):
            raise UsageError(
                f"{leader.revision} serves, and the newest revision is {newest}: a change would be made to that.",
                hint="Promote it, or deploy a good one first; deployments read ENABLE_GPU_ACCELERATION from a file.",
            )
        return 0
    if given.target == "promote":
        canary = tagged(service.traffic(), "canary")
        if canary is None:
            print("There is no canary; nothing was changed.", file=sys.stderr)
        else:
            service.check_ready(canary.revision)
            service.change(promoted)
        _show(service.traffic())
        return 0
    if given.revision:
        service.check_ready(given.revision)
    _show(service.change((lambda shares: all_to(shares, given.revision)) if given.revision else rolled_back))
    return 0


def _roll_out(given: argparse.Namespace, service: RunService, metrics: RevisionMetrics) -> int:
    if tagged(service.traffic(), "canary") is None:
        # the first revision of a service is none: it has all traffic from the start
        print("There is no canary; nothing was changed.", file=sys.stderr)
        return 0
    rules = Rules(
        stages=tuple(sorted(int(percent) for percent in given.stages.split(","))), soak_s=given.soak,
        patience_s=max(given.patience, given.soak), least_requests=given.least_requests,
    )  # fmt: skip
    signal.signal(signal.SIGTERM, _interrupt)
    outcome = roll_out(service, metrics, rules, every_s=given.every, blind_s=15 * given.every)
    print("Promoted." if outcome.promoted else f"Rolled back: {outcome.reason}")
    _show(outcome.traffic)
    return int(ExitCode.DONE if outcome.promoted else ExitCode.CHECK_NOT_MET)


def _show(traffic: Sequence[Share]) -> None:
    for share in traffic:
        print(f"{share.percent:3} %  {share.revision}  {' '.join(share.tags)}".rstrip())


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
