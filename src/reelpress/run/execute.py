"""Walks the attempts of a plan: run, classify, check, and move on only where the plan says the next one may help."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from reelpress.events import AttemptFailed, AttemptStarted, OnEvent
from reelpress.facts.failure import Action, Failure, FailureKind, gpu_action
from reelpress.plan.ladder import BUILD_FAILURES
from reelpress.plan.model import INPUT, OUTPUT, Attempt, argv
from reelpress.receipt import AttemptRecord
from reelpress.run.execution import Execution, Setting
from reelpress.run.failures import classify
from reelpress.run.gpu_access import GpuAccess
from reelpress.run.gpu_failures import decoded_in_software
from reelpress.run.log_lines import counts
from reelpress.run.process import CancelToken, Finished, Limits, run
from reelpress.run.slots import Lease
from reelpress.run.watch import Watch

# How often one attempt is made again on another GPU after one seemed to fail. An input that brings down two GPUs is
# the likelier culprit.
_SUSPECTS_PER_JOB = 2
# Attempts after the first may take as long as one again, together: a fallback never multiplies the time limit.
_BUDGET_FACTOR = 2.0
# A GPU without room though we hold a slot is used by somebody else, too: it is asked again ever more rarely.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 8.0
# A hung driver shows no sign of life; kernels were compiled when the GPU was examined, which took the longest.
_GPU_STALL_S = 60.0


# Judges an attempt's output before it counts; a failure makes the attempt one that did not deliver.
Accept = Callable[[Attempt, Finished], Failure | None]


def execute(
    attempts: tuple[Attempt, ...],
    setting: Setting,
    *,
    accept: Accept,
    on_event: OnEvent,
    cancel: CancelToken,
    gpus: GpuAccess | None = None,
) -> Execution:
    """Run attempts, best first, into the target until one delivers.

    An encode that grows past ``max_bytes`` is stopped: ``outgrew`` then says how far it came. ``gpus`` lets attempts
    onto GPUs; without it those that need one are passed over.
    """
    return _Walk(attempts, setting, accept, on_event, cancel, gpus).walk()


class _Walk:
    """One walk along the attempts."""

    def __init__(
        self,
        attempts: tuple[Attempt, ...],
        setting: Setting,
        accept: Accept,
        on_event: OnEvent,
        cancel: CancelToken,
        gpus: GpuAccess | None,
    ) -> None:
        self._attempts, self._setting, self._accept = attempts, setting, accept
        self._on_event, self._cancel, self._gpus = on_event, cancel, gpus
        self._records: list[AttemptRecord] = []
        self._failure: Failure | None = None
        self._percent = setting.percent
        self._unfit: set[str] = set()  # builds that failed in a way no other command of theirs would mend
        self._lost: set[str] = set()  # GPUs this job keeps away from
        self._refused: set[str] = set()  # GPUs that had no room, so that others are asked first
        self._passed_over: list[Failure] = []
        self._suspects = self._refusals = 0
        self._waited_s = 0.0
        self._deadline: float | None = None

    def walk(self) -> Execution:
        number = 0
        outgrew: str | None = None
        while (found := self._next(number)) is not None:
            number, attempt = found
            lease, outgrew = self._try(number, attempt)
            failure = self._failure
            if failure is None:
                return self._ended(attempt)
            again = self._learn(attempt, lease, failure)
            goes_on = outgrew is None and not self._cancel.is_cancelled
            if not goes_on or not (again or failure.kind in attempt.falls_back_on):
                self._tell(number, attempt, failure, None)
                break
            following = self._next(number if again else number + 1)
            self._tell(number, attempt, failure, following)
            number = len(self._attempts) if following is None else following[0]
        return self._ended(None, outgrew)

    def _ended(self, delivered: Attempt | None, outgrew: str | None = None) -> Execution:
        return Execution(
            records=tuple(self._records), passed_over=tuple(self._passed_over), delivered=delivered,
            failure=self._failure, outgrew=outgrew, percent=self._percent,
        )  # fmt: skip

    def _next(self, start: int) -> tuple[int, Attempt] | None:
        """Return the first attempt from here on that may help, given what was learnt."""
        for number in range(start, len(self._attempts)):
            attempt = self._attempts[number]
            after = attempt.only_after
            if attempt.ffmpeg in self._unfit and not attempt.gpus:
                continue
            if attempt.gpus and (self._gpus is None or not set(attempt.gpus) - self._lost):
                continue
            if after and (self._failure is None or self._failure.kind not in after):
                continue
            return number, attempt
        return None

    def _try(self, number: int, attempt: Attempt) -> tuple[Lease | None, str | None]:
        """Make one attempt; return the GPU slot it had and how far it outgrew its worth, and keep its failure."""
        self._failure = None
        lease = None
        if attempt.gpus and self._gpus is not None:
            entered = self._gpus.enter(
                attempt, self._lost, refused=self._refused, waited_s=self._waited_s, cancel=self._cancel
            )
            if isinstance(entered, Failure):
                self._failure = entered
                self._passed_over.append(entered)
                self._lost |= set(attempt.gpus)
                return None, None
            lease = entered
            self._waited_s += lease.waited_s
        keeps_slot = False  # while it is found out what a failure says of the GPU
        try:
            outgrew = self._run(number, attempt, lease)
            keeps_slot = self._failure is not None
        finally:
            if lease is not None and not keeps_slot:
                lease.release()
        return lease, outgrew

    def _run(self, number: int, attempt: Attempt, lease: Lease | None) -> str | None:
        at = self._setting
        command = argv(attempt, source=at.source, target=str(at.target), files=at.files)
        shown = tuple(INPUT if token == at.source and not at.source.startswith("file:") else token for token in command)
        gpu = lease.gpu if lease is not None else None
        self._on_event(
            AttemptStarted(job=at.job.id, input=at.job.input, number=number + 1, of=len(self._attempts),
                           encoder=attempt.encoder, why=attempt.why, argv=shown, gpu=gpu)
        )  # fmt: skip
        watch = Watch(at.job, at.target, at.duration_s, at.max_bytes, self._on_event, self._percent, at.track)
        done = run(
            command, limits=self._limits(attempt), cancel=self._cancel,
            env={"CUDA_VISIBLE_DEVICES": gpu} if gpu is not None else None,
            on_line=watch.on_line, activity=watch.activity, stop_if=watch.stop_if,
            # of a name with line breaks a line alone could not be told from a message
            keep_stderr=None if {"\n", "\r"} & set(at.source) else counts,
        )  # fmt: skip
        done = msgspec.structs.replace(_without_names(done, at.source, at.target), argv=shown)
        self._percent = watch.percent
        failure = classify(done.returncode, done.stderr_tail, done.stopped, output=OUTPUT)
        if failure is not None and done.lives_on:
            failure = msgspec.structs.replace(failure, evidence=done.stop_reason or failure.evidence)
        if failure is None:
            failure = self._accept(attempt, done)
        self._failure = failure
        self._records.append(_record(attempt, done, failure, at.versions, lease))
        if failure is None and self._gpus is not None and lease is not None:
            self._gpus.worked(lease)
        return done.stop_reason if done.stopped == "caller" else None

    def _limits(self, attempt: Attempt) -> Limits:
        limits = self._setting.limits
        if limits.wall_s is not None:
            now = time.monotonic()
            if self._deadline is None:
                self._deadline = now + _BUDGET_FACTOR * limits.wall_s
            limits = msgspec.structs.replace(limits, wall_s=max(1.0, min(limits.wall_s, self._deadline - now)))
        if attempt.gpus:
            # CUDA reserves address space for all memory it might ever map; what is resident is watched instead
            stall_s = min(limits.stall_s or _GPU_STALL_S, _GPU_STALL_S)
            limits = msgspec.structs.replace(
                limits, memory_bytes=None, resident_bytes=limits.memory_bytes, stall_s=stall_s
            )
        return limits

    def _learn(self, attempt: Attempt, lease: Lease | None, failure: Failure) -> bool:
        """Draw the consequences of a failure; return whether the same attempt should be made again."""
        if lease is None or self._gpus is None:
            if failure.kind in BUILD_FAILURES and not attempt.gpus:
                self._unfit.add(attempt.ffmpeg)
            return False
        action = gpu_action(failure.kind)
        if action is Action.WAIT:
            is_new = lease.gpu not in self._refused
            self._refused.add(lease.gpu)
            # another one is asked at once, but where its slots are held this same one may be all there is
            if is_new and set(attempt.gpus) - self._lost - self._refused:
                self._gpus.was_busy(lease, waited_s=self._waited_s)
                return True
            pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**self._refusals)
            self._refusals += 1
            self._waited_s += pause_s
            return self._gpus.was_busy(lease, waited_s=self._waited_s) and not self._cancel.wait(pause_s)
        self._gpus.failed(lease, attempt, failure, job=self._setting.job.key, cancel=self._cancel)
        if failure.kind is FailureKind.AUDIO_NOT_MET and self._encodes_what_sound_it_can(attempt):
            # another rung treats the sound no differently; on the CPU the pictures may meet it otherwise
            self._leave_gpus()
        if action in {Action.SUSPECT, Action.GPU_OFF}:
            self._lost.add(lease.gpu)
            self._suspects += action is Action.SUSPECT
            if self._suspects >= _SUSPECTS_PER_JOB:
                self._leave_gpus()
            return bool(set(attempt.gpus) - self._lost)
        return False

    def _encodes_what_sound_it_can(self, attempt: Attempt) -> bool:
        return attempt.encodes_all_audio or not any(each.encodes_all_audio for each in self._attempts)

    def _leave_gpus(self) -> None:
        self._lost |= {gpu for each in self._attempts for gpu in each.gpus}

    def _tell(self, number: int, attempt: Attempt, failure: Failure, following: tuple[int, Attempt] | None) -> None:
        at = self._setting
        self._on_event(
            AttemptFailed(job=at.job.id, input=at.job.input, number=number + 1, encoder=attempt.encoder,
                          failure=failure.kind, evidence=failure.evidence,
                          next_encoder=following[1].encoder if following else None)
        )  # fmt: skip


def _without_names(done: Finished, source: str, target: Path) -> Finished:
    """Take file names out of what FFmpeg said: a name may hold line breaks, and with them any message it likes."""
    text = done.stderr_tail
    for path, token in ((source, INPUT), (f"file:{target}", OUTPUT)):
        name = os.fsencode(path.removeprefix("file:")).decode("utf-8", "replace")
        # as FFmpeg's log has it
        name = "".join("?" if c < "\x08" or "\x0d" < c < " " else c for c in name)
        for told in (f"file:{name}", name):
            text = text.replace(told.replace("\r\n", "\n").replace("\r", "\n"), token)
    return msgspec.structs.replace(done, stderr_tail=text)


def _record(
    attempt: Attempt, done: Finished, failure: Failure | None, versions: dict[str, str], lease: Lease | None
) -> AttemptRecord:
    return AttemptRecord(
        encoder=attempt.encoder, device=attempt.device, rung=attempt.rung,
        ffmpeg_version=versions.get(attempt.ffmpeg, "unknown"), gpu=lease.gpu if lease is not None else None,
        waited_s=round(lease.waited_s, 3) if lease is not None else 0.0,
        argv=done.argv, returncode=done.returncode, wall_s=round(done.wall_s, 3), cpu_s=round(done.cpu_s, 3),
        peak_memory_bytes=done.peak_memory_bytes, failure=failure.kind if failure else None,
        evidence=failure.evidence if failure else None,
        note=decoded_in_software(done.stderr_tail) if attempt.rung in ("gpu", "gpu_decode") else None,
        stderr_tail=done.stderr_tail[-4000:],
    )  # fmt: skip
