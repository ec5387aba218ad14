"""The walk along a plan's attempts: what each failure leads to. Programs are /bin/true; slots and breaker are real."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from reelpress.events import AttemptFailed, AttemptStarted, Event
from reelpress.facts.failure import Action, Failure, FailureKind, gpu_action
from reelpress.plan.compress import plan
from reelpress.plan.model import Attempt, Encode
from reelpress.request import Request
from reelpress.run import execute as module
from reelpress.run.breaker import Breaker
from reelpress.run.execute import execute
from reelpress.run.execution import Execution, Setting
from reelpress.run.gpu_access import GpuAccess
from reelpress.run.process import CancelToken, Finished, Limits
from reelpress.run.slots import GpuSlots, Lease, Load
from reelpress.run.watch import Job

from factories import NEW, audio, gpu, gpu_host, media, video

K = FailureKind
ONE, TWO = "GPU-1", "GPU-2"
Outcome = FailureKind | None
Judge = Callable[[Attempt, str | None], Outcome]


class Stage:
    """One job on a machine whose GPUs do as the test says."""

    def __init__(self, folder: Path, *, gpus: int = 1, copies_audio: bool = False, patience_s: float = 0.0) -> None:
        machine = gpu_host(*(gpu(uuid=f"GPU-{n + 1}", index=n) for n in range(gpus)))
        sound = audio() if copies_audio else audio(codec="mp3")
        decided = plan(media(video(), sound), machine, Request(always_encode=True))
        assert isinstance(decided, Encode)
        self.attempts = tuple(msgspec.structs.replace(a, ffmpeg="/bin/true") for a in decided.attempts)
        self.folder, self.patience_s = folder / "host", patience_s
        self.cancel = CancelToken()
        self.events: list[Event] = []
        self.reprobes: list[str] = []
        self.gpu_works = True
        self.capacity: dict[str, int] = {}
        self.limits = Limits()
        self.job = "a job"
        self.source = "file:/in.mp4"

    def access(self) -> GpuAccess:
        def retry(uuid: str, _attempt: Attempt, _cancel: CancelToken) -> bool:
            self.reprobes.append(uuid)
            return self.gpu_works

        loads: Mapping[str, Load] = {}
        return GpuAccess(
            lambda: self.folder, capacity=self.capacity, retry=retry, load=lambda: loads, patience_s=self.patience_s
        )

    def run(self, judge: Judge, *, with_gpus: bool = True) -> Execution:
        setting = Setting(
            job=Job(id="1", input="in.mp4", key=self.job), source=self.source, target=Path("/nowhere/out.mp4"),
            limits=self.limits, versions={}, duration_s=10.0, max_bytes=None,
        )  # fmt: skip

        def accept(attempt: Attempt, _done: Finished) -> Failure | None:
            started = next(e for e in reversed(self.events) if isinstance(e, AttemptStarted))
            kind = judge(attempt, started.gpu)
            return None if kind is None else Failure(kind=kind, evidence="said the test")

        return execute(
            self.attempts, setting, accept=accept, on_event=self.events.append, cancel=self.cancel,
            gpus=self.access() if with_gpus else None,
        )  # fmt: skip

    @property
    def walked(self) -> list[tuple[str, str | None]]:
        """Rung and GPU of every attempt that was started."""
        rungs = {number: attempt.rung for number, attempt in enumerate(self.attempts, 1)}
        return [(rungs[e.number], e.gpu) for e in self.events if isinstance(e, AttemptStarted)]


def on_gpus(kind: Outcome) -> Judge:
    return lambda attempt, _gpu: kind if attempt.gpus else None


def test_the_best_attempt_that_delivers_is_the_last(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    done = stage.run(lambda *_: None)
    assert stage.walked == [("gpu", ONE)]
    assert done.delivered is stage.attempts[0]
    assert [(r.rung, r.gpu, r.failure) for r in done.records] == [("gpu", ONE, None)]
    assert not [e for e in stage.events if isinstance(e, AttemptFailed)]


def test_without_access_the_attempts_that_need_a_gpu_are_passed_over(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    assert stage.run(lambda *_: None, with_gpus=False).delivered is not None
    assert stage.walked == [("cpu", None)]


THIS_JOB = [kind for kind in K if gpu_action(kind) in {Action.THIS_JOB, Action.NEXT}]


@pytest.mark.parametrize("kind", THIS_JOB)
def test_what_says_nothing_of_the_gpu_leads_to_the_next_rung_on_it(tmp_path: Path, kind: FailureKind) -> None:
    stage = Stage(tmp_path)
    stage.run(lambda attempt, _gpu: kind if attempt.rung == "gpu" else None)
    expected = ("cpu", None) if kind is K.AUDIO_NOT_MET else ("gpu_encode", ONE)
    assert stage.walked == [("gpu", ONE), expected]
    assert stage.reprobes == []
    assert all(report.state == "closed" for report in Breaker(stage.folder).snapshot())


@pytest.mark.parametrize("kind", [K.GPU_FEATURE_MISSING, K.GPU_UNSUPPORTED])
def test_a_missing_feature_leads_to_the_rung_without(tmp_path: Path, kind: FailureKind) -> None:
    stage = Stage(tmp_path)
    stage.run(lambda attempt, _gpu: kind if attempt.rung in ("gpu", "gpu_encode") else None)
    assert stage.walked == [("gpu", ONE), ("gpu_encode", ONE), ("gpu_reduced", ONE)]


def test_the_rung_without_features_is_for_missing_features_alone(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.run(on_gpus(K.OPTION_REJECTED))
    assert stage.walked == [("gpu", ONE), ("gpu_encode", ONE), ("cpu", None)]


SUSPECTS = [kind for kind in K if gpu_action(kind) is Action.SUSPECT]


@pytest.mark.parametrize("kind", SUSPECTS)
def test_a_suspect_gpu_is_left_for_another_and_two_for_the_cpu(tmp_path: Path, kind: FailureKind) -> None:
    stage = Stage(tmp_path, gpus=3)
    stage.run(on_gpus(kind))
    assert [rung for rung, _ in stage.walked] == ["gpu", "gpu", "cpu"]
    assert len({name for _, name in stage.walked}) == 3  # two GPUs, and none
    assert stage.reprobes == [name for _, name in stage.walked[:2]]


def test_a_single_suspect_gpu_leads_to_the_cpu(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    done = stage.run(on_gpus(K.DEVICE_LOST))
    assert stage.walked == [("gpu", ONE), ("cpu", None)]
    assert [reason.code for reason in done.reasons()] == ["fell_back"]
    assert "device_lost" in done.reasons()[0].text


def test_a_gpu_that_fails_its_trial_is_not_entered_by_the_next_job(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.gpu_works = False
    stage.run(on_gpus(K.DEVICE_LOST))
    stage.events.clear()
    stage.job = "another"
    done = stage.run(lambda *_: None)
    assert stage.walked == [("cpu", None)]
    assert [failure.kind for failure in done.passed_over] == [K.DEVICE_LOST]
    assert "left alone (open)" in done.passed_over[0].evidence
    assert stage.reprobes == [ONE]  # it rests


OFF = [kind for kind in K if gpu_action(kind) is Action.GPU_OFF]


@pytest.mark.parametrize("kind", OFF)
def test_what_cannot_work_together_is_left_at_once_and_told_to_others(tmp_path: Path, kind: FailureKind) -> None:
    stage = Stage(tmp_path, gpus=2)
    stage.run(lambda attempt, name: kind if name == ONE else None)
    assert stage.walked[0] == ("gpu", ONE)
    assert stage.walked[1:] == [("gpu", TWO)]
    assert stage.reprobes == []
    assert [(r.gpu, r.ffmpeg, r.state) for r in Breaker(stage.folder).snapshot()] == [(ONE, "/bin/true", "open")]


STOPS = [kind for kind in K if gpu_action(kind) is Action.STOP]


@pytest.mark.parametrize("kind", STOPS)
def test_what_no_other_way_mends_ends_the_walk(tmp_path: Path, kind: FailureKind) -> None:
    stage = Stage(tmp_path, gpus=2)
    done = stage.run(on_gpus(kind))
    assert len(stage.walked) == 1
    assert done.delivered is None
    assert done.failure is not None
    assert done.failure.kind is kind
    (told,) = [e for e in stage.events if isinstance(e, AttemptFailed)]
    assert (told.failure, told.next_encoder) == (kind, None)


def test_every_failure_is_in_one_of_these_tests() -> None:
    waits = [kind for kind in K if gpu_action(kind) is Action.WAIT]
    assert sorted((*THIS_JOB, *SUSPECTS, *OFF, *STOPS, *waits)) == sorted(K)


# --- sound ---


def test_broken_packets_of_sound_are_encoded_on_the_same_rung(tmp_path: Path) -> None:
    stage = Stage(tmp_path, copies_audio=True)
    done = stage.run(lambda attempt, _gpu: None if attempt.encodes_all_audio else K.AUDIO_NOT_MET)
    assert stage.walked == [("gpu", ONE), ("gpu", ONE)]
    assert done.delivered is not None
    assert done.delivered.encodes_all_audio


def test_sound_that_is_wrong_though_encoded_is_not_tried_on_every_rung_of_the_gpu(tmp_path: Path) -> None:
    stage = Stage(tmp_path, copies_audio=True)
    stage.run(on_gpus(K.AUDIO_NOT_MET))
    assert stage.walked == [("gpu", ONE), ("gpu", ONE), ("cpu", None)]
    assert stage.reprobes == []


def test_a_program_that_a_driver_does_not_let_die_leads_to_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(argv: Any, **named: Any) -> Finished:
        hangs = named["env"] is not None
        return Finished(
            argv=tuple(argv), returncode=-9 if hangs else 0, stdout=b"", stderr_tail="", wall_s=90.0, cpu_s=0.0,
            peak_memory_bytes=0, lives_on=hangs, stopped="stalled" if hangs else None,
            stop_reason="process 7 does not die" if hangs else None,
        )  # fmt: skip

    monkeypatch.setattr(module, "run", run)
    stage = Stage(tmp_path)
    done = stage.run(lambda *_: None)
    assert [(r.rung, r.failure) for r in done.records] == [("gpu", K.STALLED), ("cpu", None)]
    assert done.records[0].evidence == "process 7 does not die"
    assert stage.reprobes == [ONE]


# --- long logs ---

NOISE = "[h264 @ 0x2] [error] error while decoding MB 7 3, bytestream -5"
COPY = (
    "[AVHWFramesContext @ 0x1] [error] cu->cuMemcpy2DAsync(&cpy, stream) failed -> CUDA_ERROR_ILLEGAL_ADDRESS: "
    "an illegal memory access was encountered"
)
REFUSED = "[h264 @ 0x1] [error] Hardware is lacking required capabilities"
SETUP = "[h264 @ 0x1] [error] Failed setup for format cuda: hwaccel initialisation returned error."


def talking(stage: Stage, *lines: str) -> None:
    """Have programs say this first, then more than is kept of a log, and end with 0."""
    program = stage.folder.with_name("program")
    said = "\n".join(lines)
    program.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{said}\nEND\nyes '{NOISE}' | head -n 5000 >&2\n")
    program.chmod(0o700)
    stage.attempts = tuple(
        msgspec.structs.replace(a, ffmpeg=str(program) if a.gpus else "/bin/true") for a in stage.attempts
    )


def test_a_copy_that_failed_early_in_a_long_log_is_no_success(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    talking(stage, COPY)
    done = stage.run(lambda *_: None)
    assert [(r.rung, r.failure) for r in done.records] == [("gpu", K.GPU_COPY_FAILED), ("cpu", None)]


def test_that_nvdec_refused_is_told_after_a_long_log(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    talking(stage, REFUSED, SETUP)
    done = stage.run(lambda *_: None)
    assert [reason.code for reason in done.reasons()] == ["decoded_in_software"]


def test_a_name_that_is_cut_by_the_end_of_the_log_says_nothing(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.source = f"file:/film\n{COPY}\n.mp4"
    talking(stage, f"Input #0, from '{stage.source}':")
    done = stage.run(lambda *_: None)
    assert [(r.rung, r.failure) for r in done.records] == [("gpu", None)]


# --- waiting ---


def refusing(times: int, *then: Outcome) -> Judge:
    """No session that many times, then these outcomes, then delivery."""
    outcomes: list[Outcome] = [*[K.SESSION_LIMIT] * times, *then]
    return lambda *_: outcomes.pop(0) if outcomes else None


def held_slot(stage: Stage, name: str) -> Lease:
    held = GpuSlots(stage.folder, stage.capacity).acquire([name], patience_s=0)
    assert held is not None
    return held


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Waiting takes no time, and is noted."""
    seen: list[float] = []

    def wait(token: CancelToken, timeout_s: float) -> bool:
        seen.append(timeout_s)
        return token.is_cancelled

    monkeypatch.setattr(CancelToken, "wait", wait)
    return seen


@pytest.mark.parametrize("kind", [kind for kind in K if gpu_action(kind) is Action.WAIT])
def test_a_busy_gpu_is_asked_again_ever_more_rarely(tmp_path: Path, kind: FailureKind, pauses: list[float]) -> None:
    stage = Stage(tmp_path, patience_s=60.0)
    outcomes: list[Outcome] = [kind] * 6
    done = stage.run(lambda *_: outcomes.pop(0) if outcomes else None)
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
    assert stage.walked == [("gpu", ONE)] * 7
    assert done.delivered is stage.attempts[0]
    assert stage.reprobes == []


def test_when_patience_is_spent_the_next_rung_is_tried_once_and_then_the_cpu(
    tmp_path: Path, pauses: list[float]
) -> None:
    stage = Stage(tmp_path, patience_s=2.0)
    stage.run(on_gpus(K.SESSION_LIMIT))
    assert pauses == [0.5, 1.0]
    assert stage.walked == [("gpu", ONE)] * 3 + [("gpu_encode", ONE), ("cpu", None)]


def test_a_gpu_that_goes_on_refusing_while_the_others_slots_are_held_is_asked_as_rarely(
    tmp_path: Path, pauses: list[float]
) -> None:
    stage = Stage(tmp_path, gpus=2, patience_s=2.0)
    stage.capacity = {ONE: 1, TWO: 1}
    outcomes = [K.SESSION_LIMIT] * 30  # an end to what had none
    with held_slot(stage, TWO):
        done = stage.run(lambda attempt, _gpu: outcomes.pop() if outcomes and attempt.gpus else None)
    assert stage.walked == [("gpu", ONE)] * 4 + [("gpu_encode", ONE), ("cpu", None)]
    assert pauses == [0.5, 1.0]
    assert done.delivered is not None


def test_a_refusal_lowers_the_number_of_slots_and_frees_ours(tmp_path: Path, pauses: list[float]) -> None:
    stage = Stage(tmp_path, patience_s=60.0)
    stage.capacity = {ONE: 3}
    stage.run(refusing(1))
    slots = GpuSlots(stage.folder, {ONE: 3})
    assert (slots.capacity(ONE), slots.held(ONE)) == (1, 0)


def test_a_refusal_does_not_hold_the_slot_while_it_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(tmp_path, patience_s=60.0)
    held: list[int] = []

    def wait(token: CancelToken, _timeout_s: float) -> bool:
        held.append(GpuSlots(stage.folder).held(ONE))
        return token.is_cancelled

    monkeypatch.setattr(CancelToken, "wait", wait)
    stage.run(refusing(2))
    assert held == [0, 0]


def test_a_cancelled_wait_ends_the_walk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(tmp_path, patience_s=60.0)

    def wait(token: CancelToken, _timeout_s: float) -> bool:
        token.cancel()
        return True

    monkeypatch.setattr(CancelToken, "wait", wait)
    done = stage.run(on_gpus(K.SESSION_LIMIT))
    assert stage.walked == [("gpu", ONE)]
    assert done.delivered is None


def test_who_is_cancelled_in_the_line_for_a_slot_starts_nothing(tmp_path: Path) -> None:
    stage = Stage(tmp_path, patience_s=600.0)
    stage.capacity = {ONE: 1}
    held = GpuSlots(stage.folder, stage.capacity).acquire([ONE], patience_s=0)
    assert held is not None
    with held:
        threading.Timer(0.2, stage.cancel.cancel).start()
        done = stage.run(lambda *_: None)
    assert stage.walked == []
    assert [failure.kind for failure in done.passed_over] == [K.CANCELLED]
    assert done.failure is not None
    assert done.failure.kind is K.CANCELLED


def test_where_all_slots_stay_held_the_cpu_does_it_and_says_why(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.capacity = {ONE: 1}
    held = GpuSlots(stage.folder, stage.capacity).acquire([ONE], patience_s=0)
    assert held is not None
    with held:
        done = stage.run(lambda *_: None)
    assert stage.walked == [("cpu", None)]
    assert [failure.kind for failure in done.passed_over] == [K.SESSION_LIMIT]
    assert f"1 of 1 slots of {ONE} held" in done.reasons()[0].text


@pytest.mark.parametrize("kind", [None, K.DEVICE_LOST, K.OPTION_REJECTED, K.OUTPUT_FULL])
def test_no_slot_is_held_afterwards(tmp_path: Path, kind: Outcome) -> None:
    stage = Stage(tmp_path)
    stage.run(on_gpus(kind))
    assert GpuSlots(stage.folder).held(ONE) == 0


@pytest.mark.parametrize(("kind", "rung"), [(None, "gpu"), (K.DEVICE_LOST, "cpu"), (K.SESSION_LIMIT, "cpu")])
def test_a_job_goes_on_where_what_it_learnt_of_a_gpu_cannot_be_noted(
    tmp_path: Path, kind: Outcome, rung: str, pauses: list[float]
) -> None:
    stage = Stage(tmp_path)

    def judge(attempt: Attempt, _gpu: str | None) -> Outcome:
        for name in ("breaker.json", f"{ONE}.cap.new"):  # where files should be
            (stage.folder / name).mkdir(exist_ok=True)
        return kind if attempt.gpus else None

    done = stage.run(judge)
    assert done.delivered is not None
    assert (done.delivered.rung, stage.walked[-1][0]) == (rung, rung)
    assert GpuSlots(stage.folder).held(ONE) == 0


def test_no_slot_is_held_after_an_error_of_ours(tmp_path: Path) -> None:
    stage = Stage(tmp_path)

    def judge(*_: Any) -> Outcome:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stage.run(judge)
    assert GpuSlots(stage.folder).held(ONE) == 0


# --- what a run may use ---


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Limits, Any]]:
    """The limits and the environment of every program, each of which takes 40 s by the clock."""
    seen: list[tuple[Limits, Any]] = []
    clock = SimpleNamespace(now=0.0)

    def run(argv: Any, **named: Any) -> Finished:
        seen.append((named["limits"], named["env"]))
        clock.now += 40.0
        return Finished(
            argv=tuple(argv), returncode=0, stdout=b"", stderr_tail="", wall_s=40.0, cpu_s=0.0, peak_memory_bytes=0
        )

    monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return seen


def test_fallbacks_share_one_more_time_limit(tmp_path: Path, limits: list[tuple[Limits, Any]]) -> None:
    stage = Stage(tmp_path)
    stage.limits = Limits(wall_s=50.0)
    stage.run(lambda attempt, _gpu: K.OPTION_REJECTED if attempt.gpus or attempt.ffmpeg == NEW else None)
    assert [each.wall_s for each, _ in limits] == [50.0, 50.0, 20.0]


def test_on_a_gpu_memory_is_what_is_resident_and_a_stall_is_noticed_sooner(
    tmp_path: Path, limits: list[tuple[Limits, Any]]
) -> None:
    stage = Stage(tmp_path)
    stage.limits = Limits(memory_bytes=7_000, stall_s=120.0)
    stage.run(on_gpus(K.DEVICE_LOST))
    (on_gpu, env), (on_cpu, nothing) = limits
    assert (on_gpu.memory_bytes, on_gpu.resident_bytes, on_gpu.stall_s) == (None, 7_000, 60.0)
    assert (on_cpu.memory_bytes, on_cpu.resident_bytes, on_cpu.stall_s) == (7_000, None, 120.0)
    assert (env, nothing) == ({"CUDA_VISIBLE_DEVICES": ONE}, None)


def test_without_a_limit_a_gpu_may_still_not_stall(tmp_path: Path, limits: list[tuple[Limits, Any]]) -> None:
    stage = Stage(tmp_path)
    stage.limits = Limits(stall_s=None)
    stage.run(lambda *_: None)
    assert limits[0][0].stall_s == 60.0
