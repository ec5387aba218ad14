"""What the survey says of a GPU against what an encode there comes to: all kinds of GPU, all faults, busy ones.

The oracle is FFmpeg run without the product, and the similarity of its output to what it was given.
"""

from __future__ import annotations

import os
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reelpress.facts.failure import Action, gpu_action
from reelpress.facts.host import HostFacts
from reelpress.probe.gpu_bench import TrialLimits
from reelpress.probe.gpu_finding import find_gpu
from reelpress.probe.gpu_survey import survey
from reelpress.probe.gpu_wishes import Wish

import clips
import driver
import gpu_runs
import world
from faults import FAULTS
from matrix_page import ORIGINS

pytestmark = pytest.mark.gpu_fake

H264 = Wish(kind="encode", name="h264_nvenc")
HEVC10 = Wish(kind="encode", name="hevc_nvenc", pix_fmt="yuv420p10le")
HEALTHY = tuple(driver.PROFILES)
# Tried for so long; a GPU that hangs costs all of it, one that works must have done so by then on a machine at work.
PATIENT, SHORT = TrialLimits(busy_s=(0.05,)), TrialLimits(first_s=8.0, busy_s=(0.05,))


@dataclass(frozen=True)
class Case:
    """A machine; ``states`` is what must be said of the encoder of each GPU, by index."""

    name: str
    profile: str
    origin: world.Origin
    faults: str = ""
    gpus: int = 1
    wish: Wish = H264
    states: tuple[str, ...] | None = None

    def __str__(self) -> str:
        return f"{self.name}-{self.origin}-{self.wish.name}".replace(" ", "_")


@dataclass(frozen=True)
class Answer:
    states: tuple[str, ...]
    why: tuple[str | None, ...]
    encodes: tuple[bool, ...]  # what the oracle saw
    found: tuple[bool, bool]  # find_gpu: available, busy


def _of_profiles() -> list[Case]:
    return [
        Case(profile, profile, origin, wish=wish)
        for profile in HEALTHY
        for origin in ORIGINS
        for wish in (H264, HEVC10)
    ]


def _of_faults() -> list[Case]:
    """Each fault from the start on, on one GPU of two or on both."""
    cases = []
    for number, fault in enumerate(FAULTS):
        strike = fault.at_open
        encodes = strike.one != "cpu" or "cuLaunchKernel" in strike.faults or "cuMem" in strike.faults
        encodes = encodes or "cuTex" in strike.faults or "register" in strike.faults or "map=" in strike.faults
        waits = bool(strike.kinds) and gpu_action(strike.kinds[0]) is Action.WAIT
        broken = "works" if encodes else "busy" if waits else "fails"
        both = not strike.faults.startswith("dev0:")
        states = (broken, broken if both else "works")
        cases.append(Case(fault.name, driver.HEALTHY, ORIGINS[number % 2], strike.faults, 2, states=states))
    return cases


CASES = [*_of_profiles(), *_of_faults()]
if not os.environ.get("REELPRESS_THOROUGH"):
    CASES = CASES[::5]


def ask(machine: driver.FakeMachine, host: HostFacts, case: Case, folder: Path) -> Answer:
    """Ask the product, and then the oracle. Runs in a process of its own."""
    world.live_on(machine, folder)
    limits = SHORT if "hang" in case.faults else PATIENT
    gpus = survey(host, wanted=(case.wish,), cache_dir=folder / "cache", limits=limits)
    found = find_gpu(host, cache_dir=folder / "cache") if case.wish.name == "h264_nvenc" and not case.faults else None
    paths = [gpu.paths[0] for gpu in gpus]
    ffmpeg = host.ffmpegs[0].path
    encodes = [] if "hang" in case.faults else [_encodes(ffmpeg, machine, d, case, folder) for d in machine.devices]
    return Answer(
        states=tuple(path.state for path in paths), why=tuple(path.why_not for path in paths), encodes=tuple(encodes),
        found=(found.available, found.busy) if found else (False, False),
    )  # fmt: skip


def _encodes(ffmpeg: str, machine: driver.FakeMachine, device: driver.Device, case: Case, folder: Path) -> bool:
    out = folder / f"{device.index}.mp4"
    fed = "p010le" if case.wish.pix_fmt == "yuv420p10le" else "yuv420p"
    done = gpu_runs.run(
        ffmpeg, machine, *clips.picture("640x360", seconds=gpu_runs.SECONDS), "-pix_fmt", fed,
        "-c:v", case.wish.name, "-cq", "20", out, CUDA_VISIBLE_DEVICES=device.uuid,
    )  # fmt: skip
    return done.code == 0 and gpu_runs.similarity(out, "640x360") > 0.9


@pytest.fixture(scope="module")
def answers(
    request: pytest.FixtureRequest,
    fake_nvidia: driver.FakeNvidia,
    real_host: HostFacts,
    pool: Executor,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[Case, Future[Answer]]:
    asked = [item for item in request.session.items if {"answers", "case"} <= set(item.fixturenames)]
    wanted = [item.callspec.params["case"] for item in asked]
    begun: dict[Case, Future[Any]] = {}
    for case in wanted:
        host = world.only(real_host, case.origin)
        if host is not None:
            machine = fake_nvidia.machine(case.profile, case.gpus, faults=case.faults)
            begun[case] = pool.submit(ask, machine, host, case, tmp_path_factory.mktemp("answer"))
    return begun


@pytest.mark.parametrize("case", CASES, ids=str)
def test_works_is_said_of_what_works_and_of_nothing_else(case: Case, answers: dict[Case, Future[Answer]]) -> None:
    if case not in answers:
        pytest.skip(f"no FFmpeg with NVENC: {case.origin}")
    answer = answers[case].result()
    if not answer.states:  # the driver does not even list its GPUs
        assert not any(answer.encodes)
        assert case.states in (None, ("fails", "fails"), ("busy", "busy"))
        return
    if answer.encodes:
        assert [state == "works" for state in answer.states] == list(answer.encodes), answer
    if case.states is not None:
        assert answer.states == case.states, answer
    else:
        assert "busy" not in answer.states, answer
    if case.states is None and case.wish.name == "h264_nvenc":
        assert answer.found == (answer.encodes[0], False), answer


def test_the_oracle_knows_both_answers(answers: dict[Case, Future[Answer]]) -> None:
    seen = [encodes for answer in answers.values() for encodes in answer.result().encodes]
    assert min(seen.count(True), seen.count(False)) >= len(CASES) // 10
