"""Every golden case gives exactly the plan in its file; `make golden` rewrites them, the diff is reviewed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from reelpress.facts.values import from_json, to_json
from reelpress.plan.compress import plan
from reelpress.plan.model import Copy, Encode, Plan

from cases import CASES
from clip_cases import CLIP_CASES, planned

PLANS = Path(__file__).parent / "plans"


NAMES = sorted(CASES.keys() | CLIP_CASES.keys())


def decide(name: str) -> Plan:
    return planned(*CLIP_CASES[name]) if name in CLIP_CASES else plan(*CASES[name])


@pytest.mark.parametrize("name", NAMES)
def test_plan_is_the_reviewed_one(name: str) -> None:
    decided = decide(name)
    want = json.loads((PLANS / f"{name}.json").read_text())
    assert json.loads(to_json(decided)) == want


@pytest.mark.parametrize("name", NAMES)
def test_plan_survives_its_json(name: str) -> None:
    decided = decide(name)
    assert from_json(to_json(decided), Plan) == decided


def test_no_golden_file_without_a_case() -> None:
    assert {p.stem for p in PLANS.glob("*.json")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_commands_are_closed(name: str) -> None:
    """Only files come in, only the named container, nothing on stdin, and paths are whole tokens put in last."""
    decided, container = decide(name), (CASES.get(name) or CLIP_CASES[name])[0].container
    for attempt in decided.attempts if isinstance(decided, Encode | Copy) else ():
        args = attempt.args
        assert "-nostdin" in args
        assert args[args.index("-protocol_whitelist") + 1] == "file"
        assert args[args.index("-format_whitelist") + 1] == container
        assert args.index("-protocol_whitelist") < args.index("-i")
        assert args[-1] == "<output>"
        assert args.count("<input>") == 1


def test_planning_touches_nothing() -> None:
    """The planner opens no file, starts no process, asks no clock: an audit hook in a child sees it all."""
    from subprocess import run

    code = """
import sys
sys.path[:0] = {paths!r}
from cases import CASES
from clip_cases import CLIP_CASES, planned
from reelpress.plan.compress import plan
seen = []
armed = False
sys.addaudithook(lambda event, args: seen.append(event) if armed and event.split('.')[0] in
                 ('open', 'subprocess', 'socket', 'os', 'time', 'random') else None)
armed = True
for facts, host, request, samples in CASES.values():
    plan(facts, host, request, samples)
for case in CLIP_CASES.values():
    planned(*case)
armed = False
print(sorted(set(seen)))
"""
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1]), *[p for p in sys.path if p.endswith("src")]]
    done = run([sys.executable, "-c", code.format(paths=paths)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
