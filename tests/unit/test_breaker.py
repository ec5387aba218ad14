"""When a GPU is left alone: the pure rules under any sequence of events, and the file that processes share."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelpress.errors import OutputError
from reelpress.facts.failure import Action, Failure, FailureKind, gpu_action
from reelpress.run.breaker import Breaker
from reelpress.run.circuit import (
    FIRST_REST_S,
    LONGEST_REST_S,
    PROBE_S,
    WINDOW_S,
    Circuit,
    ProbeBegan,
    ProbeEnded,
    Refused,
    Suspected,
    Worked,
    decide,
    is_due,
)
from reelpress.run.host_state import FileLock

K = FailureKind
GPU, BUILD, OTHER = "GPU-aaaa", "/opt/ffmpeg", "/usr/bin/ffmpeg"
SRC = Path(__file__).parents[2] / "src"
T = 1_000_000.0


def after(*events: object, state: Circuit | None = None, now: float = T) -> Circuit:
    state = state or Circuit()
    for event in events:
        state = decide(state, event, now)
    return state


def suspected(job: str) -> Suspected:
    return Suspected(job=job, why="device_lost: x")


def probed(*, passed: bool, token: str = "t") -> tuple[ProbeBegan, ProbeEnded]:
    return ProbeBegan(token=token), ProbeEnded(token=token, passed=passed)


# The rules.


def test_one_job_opens_nothing_and_two_do():
    state = after(suspected("a"))
    assert (state.phase, is_due(state, T)) == ("closed", True)
    assert after(suspected("a"), state=state).phase == "closed"
    state = after(suspected("b"), state=state)
    assert (state.phase, state.why, state.next_probe_at) == ("open", "device_lost: x", T + FIRST_REST_S)


def test_the_same_job_never_counts_twice_even_where_the_probe_passed():
    state = after(suspected("a"), *probed(passed=True))
    assert state.phase == "closed"
    for day in range(5):
        state = after(suspected("a"), state=state, now=T + day * 86_400)
        assert state.phase == "closed"
    assert after(suspected("b"), suspected("a"), state=state, now=T + 9 * 86_400).phase == "closed"


def test_suspicions_far_apart_do_not_meet():
    state = after(suspected("a"))
    assert after(suspected("b"), state=state, now=T + WINDOW_S).phase == "closed"
    assert after(suspected("b"), state=state, now=T + WINDOW_S - 1).phase == "open"


def test_a_delivered_job_clears_suspicion():
    assert after(suspected("a"), Worked(), suspected("b")).phase == "closed"
    opened = after(Refused(why="x"))
    assert after(Worked(), state=opened) == opened


def test_a_failed_probe_opens_at_once_and_a_late_one_does_not_count():
    assert after(suspected("a"), *probed(passed=False)).phase == "open"
    state = after(suspected("a"), ProbeBegan(token="t"), suspected("b"))
    assert state.phase == "open"
    assert after(ProbeEnded(token="t", passed=True), state=state) == state


def test_rests_double_to_ten_minutes_and_start_anew_after_long_health():
    state, now, rests = after(Refused(why="x")), T, []
    for _ in range(8):
        rests.append(state.next_probe_at - now)
        assert not is_due(state, now + rests[-1] - 0.1)
        now += rests[-1]
        state = after(*probed(passed=False), state=state, now=now)
    assert rests == [30, 60, 120, 240, 480, 600, 600, 600]
    now += LONGEST_REST_S
    state = after(*probed(passed=True), state=state, now=now)
    assert after(Refused(why="x"), state=state, now=now + 1).rest_s == LONGEST_REST_S
    assert after(Refused(why="x"), state=state, now=now + LONGEST_REST_S).rest_s == FIRST_REST_S


def test_a_probe_whose_process_died_is_given_up():
    opened = after(Refused(why="x"))
    now = T + FIRST_REST_S
    state = after(ProbeBegan(token="dead"), state=opened, now=now)
    assert after(ProbeBegan(token="b"), state=state, now=now + PROBE_S - 1).probe == "dead"
    state = after(ProbeBegan(token="b"), state=state, now=now + PROBE_S)
    assert state.probe == "b"
    assert after(ProbeEnded(token="dead", passed=True), state=state, now=now + PROBE_S).phase == "half_open"


def test_a_probe_that_was_cancelled_says_nothing():
    cancelled = ProbeEnded(token="t", passed=None)
    state = after(suspected("a"), ProbeBegan(token="t"), cancelled)
    assert (state.phase, state.probe, len(state.suspicions)) == ("closed", None, 1)
    now = T + FIRST_REST_S
    state = after(ProbeBegan(token="t"), cancelled, state=after(Refused(why="x")), now=now)
    assert (state.phase, state.why, state.rest_s, is_due(state, now)) == ("open", "x", FIRST_REST_S, True)


EVENTS = st.one_of(
    st.builds(Suspected, job=st.sampled_from("abcdef"), why=st.just("x")),
    st.builds(Refused, why=st.just("x")),
    st.just(Worked()),
    st.builds(ProbeBegan, token=st.sampled_from("pqr")),
    st.builds(ProbeEnded, token=st.sampled_from("pqr"), passed=st.sampled_from([True, False, None])),
)
STEPS = st.lists(st.tuples(st.one_of(st.floats(0, 100), st.floats(-5000, 5000)), EVENTS), max_size=60)


def cured(state: Circuit, now: float) -> Circuit:
    return after(*probed(passed=True, token="z"), state=state, now=now)


@given(STEPS)
def test_under_any_events_it_is_never_stuck_and_never_early(steps: list):
    state, now = Circuit(), T
    for passed_s, event in steps:
        now += passed_s
        before, state = state, decide(state, event, now)
        if before.phase == "open" and state.phase != "open":  # only by a probe that was due
            assert isinstance(event, ProbeBegan)
            assert now >= before.next_probe_at or now < before.since
        if state.phase == "open":
            assert state.next_probe_at is not None
            assert FIRST_REST_S <= state.rest_s <= LONGEST_REST_S
            assert state.why
        if before.probe is not None and state.probe not in (before.probe, None):  # taken over from the dead alone
            assert not now < before.probe_until <= now + PROBE_S
        if before.phase == "half_open" and state.phase == "closed":
            assert isinstance(event, ProbeEnded)
            assert event.token == before.probe
        assert (state.phase == "half_open") <= (state.probe is not None)
        assert len(state.suspicions) < 2
        # whatever happened: within the longest rest and the longest probe somebody may probe, and closes it; a clock
        # that was set back makes that now, or one probe later
        rested = now + LONGEST_REST_S
        assert "closed" in {cured(state, at).phase for at in (now, rested, rested + PROBE_S)}


@given(st.lists(EVENTS.filter(lambda event: not isinstance(event, ProbeBegan | ProbeEnded)), max_size=30))
def test_an_open_circuit_is_moved_by_nothing_but_a_probe(events: list):
    opened = after(Refused(why="x"))
    assert after(*events, state=opened, now=T + 5000) == opened


# The file.


class Clock:
    now = T

    def __call__(self) -> float:
        return self.now


class Probe:
    """A GPU that is probed, and how often."""

    def __init__(self, *, works: bool) -> None:
        self.works, self.asked = works, 0

    def __call__(self, gpu: str) -> bool:
        assert gpu == GPU
        self.asked += 1
        return self.works


def failure(kind: FailureKind) -> Failure:
    return Failure(kind=kind, evidence="x")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(tmp_path: Path, clock: Clock) -> Breaker:
    return Breaker(tmp_path, clock=clock)


def test_an_unknown_gpu_is_used_and_nothing_is_written(breaker: Breaker, tmp_path: Path):
    probe = Probe(works=False)
    assert breaker.may_use(GPU, BUILD, reprobe=probe)
    breaker.worked(GPU)
    assert (probe.asked, breaker.snapshot(), list(tmp_path.iterdir())) == (0, (), [])


def test_a_poisoned_job_costs_one_probe_and_condemns_nobody(breaker: Breaker):
    probe = Probe(works=True)
    for _ in range(5):
        assert breaker.failed(GPU, BUILD, failure(K.CRASHED), job="poison.mp4", reprobe=probe)
    assert probe.asked == 1
    assert breaker.may_use(GPU, BUILD, reprobe=probe)


def test_a_dead_gpu_is_found_by_the_first_job_and_costs_the_next_nothing(breaker: Breaker, clock: Clock):
    dead = Probe(works=False)
    assert not breaker.failed(GPU, BUILD, failure(K.DEVICE_LOST), job="a", reprobe=dead)
    assert dead.asked == 1
    for _ in range(10):
        assert not breaker.may_use(GPU, BUILD, reprobe=dead)
        assert not breaker.may_use(GPU, OTHER, reprobe=dead)  # lost for every build
    assert dead.asked == 1
    assert breaker.may_use("GPU-bbbb", BUILD, reprobe=dead)
    clock.now += FIRST_REST_S
    assert not breaker.may_use(GPU, BUILD, reprobe=dead)
    assert dead.asked == 2
    assert not breaker.may_use(GPU, BUILD, reprobe=dead)
    clock.now += 2 * FIRST_REST_S
    assert breaker.may_use(GPU, OTHER, reprobe=Probe(works=True))
    assert breaker.may_use(GPU, BUILD, reprobe=dead)
    assert dead.asked == 2


def test_two_different_jobs_open_it_though_probes_pass(breaker: Breaker):
    probe = Probe(works=True)
    assert breaker.failed(GPU, BUILD, failure(K.STALLED), job="a", reprobe=probe)
    assert not breaker.failed(GPU, BUILD, failure(K.GPU_COPY_FAILED), job="b", reprobe=probe)
    assert probe.asked == 1
    (report,) = breaker.snapshot()
    assert (report.gpu, report.ffmpeg, report.state, report.why) == (GPU, None, "open", "gpu_copy_failed: x")
    assert (report.since, report.next_probe_at) == (T, T + FIRST_REST_S)


def test_a_delivered_job_between_them_keeps_it_closed(breaker: Breaker):
    probe = Probe(works=True)
    breaker.failed(GPU, BUILD, failure(K.STALLED), job="a", reprobe=probe)
    breaker.worked(GPU)
    assert breaker.failed(GPU, BUILD, failure(K.STALLED), job="b", reprobe=probe)


@pytest.mark.parametrize("kind", [kind for kind in K if gpu_action(kind) is Action.GPU_OFF])
def test_a_build_that_cannot_work_is_off_alone_and_at_once(breaker: Breaker, clock: Clock, kind: FailureKind):
    probe = Probe(works=True)
    assert not breaker.failed(GPU, BUILD, failure(kind), job="a", reprobe=probe)
    assert not breaker.may_use(GPU, BUILD, reprobe=probe)
    assert breaker.may_use(GPU, OTHER, reprobe=probe)
    assert probe.asked == 0
    assert [(each.ffmpeg, each.state) for each in breaker.snapshot()] == [(BUILD, "open")]
    clock.now += FIRST_REST_S
    assert breaker.may_use(GPU, BUILD, reprobe=probe)
    assert probe.asked == 1


@pytest.mark.parametrize("kind", [k for k in K if gpu_action(k) not in (Action.GPU_OFF, Action.SUSPECT)])
def test_other_failures_say_nothing_about_the_gpu(breaker: Breaker, kind: FailureKind):
    for job in "abc":
        assert breaker.failed(GPU, BUILD, failure(kind), job=job, reprobe=Probe(works=False))
    assert breaker.snapshot() == ()


def test_a_probe_that_breaks_off_counts_as_failed_and_says_so(breaker: Breaker):
    def broken(gpu: str) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        breaker.failed(GPU, BUILD, failure(K.CRASHED), job="a", reprobe=broken)
    (report,) = breaker.snapshot()
    assert (report.state, report.why) == ("open", "the trial encode was broken off: KeyboardInterrupt")


def test_while_one_probes_the_others_are_told_no(tmp_path: Path, breaker: Breaker, clock: Clock):
    breaker.failed(GPU, BUILD, failure(K.NO_GPU_ENCODER), job="a", reprobe=Probe(works=True))
    clock.now += FIRST_REST_S
    second = Breaker(tmp_path, clock=clock)
    inner = Probe(works=True)
    told = []

    def probing(gpu: str) -> bool:
        told.append(second.may_use(GPU, BUILD, reprobe=inner))
        told.append(second.snapshot()[0].state)
        return True

    assert breaker.may_use(GPU, BUILD, reprobe=probing)
    assert (told, inner.asked) == ([False, "half_open"], 0)
    assert second.may_use(GPU, BUILD, reprobe=inner)


def test_a_file_that_makes_no_sense_is_forgotten(breaker: Breaker, tmp_path: Path):
    (tmp_path / "breaker.json").write_bytes(b'[{"gpu": 1')
    assert breaker.may_use(GPU, BUILD, reprobe=Probe(works=False))
    breaker.failed(GPU, BUILD, failure(K.DRIVER_TOO_OLD), job="a", reprobe=Probe(works=False))
    assert len(breaker.snapshot()) == 1


def test_a_lock_that_nobody_lets_go_is_an_error_and_not_a_wait_for_ever(breaker, tmp_path, monkeypatch):
    monkeypatch.setattr("reelpress.run.breaker._LOCK_S", 0.1)
    with FileLock.take(tmp_path / "breaker.lock", 1), pytest.raises(OutputError, match="locked"):
        breaker.failed(GPU, BUILD, failure(K.DRIVER_TOO_OLD), job="a", reprobe=Probe(works=False))


PROCESS = """
import sys, time
from pathlib import Path
from reelpress.run.breaker import Breaker
folder = Path(sys.argv[1])
def probe(gpu):
    with (folder / "probes").open("a") as log: log.write("x")
    time.sleep(0.5)
    return True
while not (folder / "go").exists(): time.sleep(0.005)
print(Breaker(folder, clock=lambda: float(sys.argv[2])).may_use("GPU-aaaa", "/opt/ffmpeg", reprobe=probe))
"""


def test_of_many_processes_one_probes(tmp_path: Path, breaker: Breaker, clock: Clock):
    breaker.failed(GPU, BUILD, failure(K.DEVICE_LOST), job="a", reprobe=Probe(works=False))
    asked_at = str(clock.now + FIRST_REST_S)
    command = [sys.executable, "-c", PROCESS, str(tmp_path), asked_at]
    env = {**os.environ, "PYTHONPATH": str(SRC)}
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) for _ in range(6)]
    (tmp_path / "go").touch()
    answers = [process.communicate(timeout=60)[0].strip() for process in running]
    assert (tmp_path / "probes").read_text() == "x"
    assert set(answers) <= {"True", "False"}
    assert "True" in answers  # who probed; who came later, too
    assert breaker.snapshot()[0].state == "closed"


COUNT = """
import sys
from pathlib import Path
from reelpress.facts.failure import Failure, FailureKind
from reelpress.run.breaker import Breaker
for n in range(20):
    gpu = f"GPU-{sys.argv[2]}-{n}"
    Breaker(Path(sys.argv[1])).failed(
        gpu, "f", Failure(kind=FailureKind.DRIVER_TOO_OLD, evidence="x"), job="a", reprobe=lambda gpu: True
    )
"""


def test_processes_do_not_overwrite_each_others_entries(tmp_path: Path):
    env = {**os.environ, "PYTHONPATH": str(SRC)}
    commands = [[sys.executable, "-c", COUNT, str(tmp_path), str(number)] for number in range(4)]
    running = [subprocess.Popen(command, env=env) for command in commands]
    assert [process.wait(60) for process in running] == [0] * 4
    assert len(Breaker(tmp_path).snapshot()) == 80
