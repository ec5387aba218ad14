"""From a plan to a file in its place: run the attempts beside the target, judge each, publish the first that is right.

What compressing a video and cutting a clip have in common; both write down what they do in one :class:`Book`.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

from reelpress.bookkeeping import Book, Hashing
from reelpress.errors import ExitCode, HardwareError, InputError, OutputError, ReelpressError
from reelpress.events import OnEvent
from reelpress.facts.failure import Failure, FailureKind
from reelpress.facts.host import HostFacts
from reelpress.facts.media import MediaFacts
from reelpress.gating import Gatekeeper
from reelpress.gpus import gpus_of
from reelpress.judge import Further, Judge
from reelpress.plan.model import Attempt, Copy, Encode
from reelpress.policy import RunPolicy
from reelpress.probe.media_request import decoding
from reelpress.probe.ready import ReadyProbe
from reelpress.request import Hardware
from reelpress.run.execute import execute
from reelpress.run.execution import Execution, Setting
from reelpress.run.partial import PartialFile
from reelpress.run.process import CancelToken, Finished, Limits
from reelpress.run.watch import Job
from reelpress.settling import refuse_small_disk, stop_if_cancelled

LIMIT_SLACK_BYTES = 4 * 2**20
# Memory is no concern of a remux, but a decoder of a hostile file is not one either.
INPUT_FAILURES = frozenset(
    {
        FailureKind.INPUT_UNREADABLE, FailureKind.INPUT_REFUSED, FailureKind.NO_DECODER,
        FailureKind.TOO_MANY_PIXELS, FailureKind.DECODE_ERRORS,
    }
)  # fmt: skip
OUTPUT_FAILURES = frozenset({FailureKind.OUTPUT_FULL, FailureKind.OUTPUT_DENIED, FailureKind.OUTPUT_LIMIT})
# After which the same is tried another way, and a GPU looked at.
_OF_THE_WAY = frozenset({FailureKind.CHECK_NOT_MET, FailureKind.AUDIO_NOT_MET})
BUG_FAILURES = frozenset({FailureKind.OPTION_REJECTED, FailureKind.FILTER_FAILED, FailureKind.UNKNOWN})


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Made:
    """What running a plan came to, with the file that it wrote."""

    decided: Encode | Copy
    partial: PartialFile
    judge: Judge
    execution: Execution


class Delivery:
    """Where one job delivers to, and with what it may work.

    ``source_url`` is what FFmpeg opens; ``check_source`` raises :class:`InputError` if the source is no longer what
    was planned for. ``duration_s`` is of what is read, for the time limit.
    """

    def __init__(
        self,
        *,
        job: Job,
        source_url: str,
        source_facts: MediaFacts,
        check_source: Callable[[], object],
        target: Path,
        overwrite: bool,
        host: HostFacts,
        hardware: Hardware,
        policy: RunPolicy,
        duration_s: float | None,
        book: Book,
        emit: OnEvent,
        cancel: CancelToken,
    ) -> None:
        self._job, self._source_url, self._source_facts = job, source_url, source_facts
        self._check_source, self._target, self._overwrite = check_source, target, overwrite
        self._host, self._hardware, self._policy, self._duration_s = host, hardware, policy, duration_s
        self._book, self._emit, self._cancel = book, emit, cancel

    def run(
        self,
        decided: Encode | Copy,
        *,
        further: Further,
        may_take_bytes: int,
        space_bytes: int,
        files: Mapping[str, str] | None = None,
        gate: Gatekeeper | None = None,
    ) -> str | None:
        """Carry out a plan and publish what it makes; return why its size is not worth it, or ``None``.

        An output that takes more than ``may_take_bytes`` is stopped; with less than ``space_bytes`` free on the disk
        nothing is begun. ``files`` stand in filter graphs. What does not pass ``gate``, whose gates are among
        ``further``'s, is made again as it says. Raises :class:`ReelpressError`.
        """
        percent = 0.0
        best: _Made | None = None
        with contextlib.ExitStack() as kept:
            while True:
                made = self._make(kept, decided, further, may_take_bytes, space_bytes, dict(files or {}), percent)
                percent = made.execution.percent
                if made.execution.delivered is not None:
                    if gate is not None:
                        gate.settle(gate.latest)
                    self._publish(made)
                    return None
                too_large = self._missed(made, gate)
                if gate is None or (too_large is not None and not gate.cares):
                    return too_large
                if too_large is not None:
                    gate.outgrew(made.execution.records[-1], decided.expect.max_bytes, too_large)
                best = _better(best, made, gate)
                following = gate.revise()
                if following is not None:
                    self._check_source()
                    decided = following
                elif gate.size_alone:
                    return too_large
                elif best is None:
                    raise gate.error()
                else:
                    gate.settle(gate.best, is_miss=True)
                    self._publish(best)
                    return None

    def _make(
        self, kept: contextlib.ExitStack, decided: Encode | Copy, further: Further, may_take_bytes: int,
        space_bytes: int, files: dict[str, str], percent: float,
    ) -> _Made:  # fmt: skip
        """Run a plan's attempts into a file beside the target, which is there for as long as ``kept`` is open."""
        book, expect = self._book, decided.expect
        refuse_small_disk(self._target.parent, space_bytes)
        gpus = gpus_of(self._host, self._policy.gpu)
        partial = kept.enter_context(PartialFile.open(self._target, overwrite=self._overwrite))
        with ReadyProbe(self._cancel, expect.duration_s) as ready:
            judge = Judge(
                decided, self._source_facts, partial.path, job=self._job, book=book, ready=ready, emit=self._emit,
                decoding=decoding(self._host.cores, whole=self._policy.decode_whole), further=further,
            )  # fmt: skip
            with book.stage("encode" if isinstance(decided, Encode) else "copy"):
                setting = Setting(
                    job=self._job, source=self._source_url, target=partial.path, limits=self._limits(may_take_bytes),
                    versions={f.path: f.version for f in self._host.ffmpegs}, duration_s=expect.duration_s,
                    max_bytes=expect.max_bytes, track=self._source_facts.main_video, files=files, percent=percent,
                )  # fmt: skip
                execution = execute(
                    decided.attempts, setting, accept=self._accept(judge), on_event=judge.on_event, cancel=self._cancel,
                    gpus=gpus.access(self._host, book.spend) if any(a.gpus for a in decided.attempts) else None,
                )  # fmt: skip
                book.attempts = (*book.attempts, *execution.records)
                book.spend(
                    sum(r.cpu_s for r in execution.records),
                    gpu_s=sum(r.wall_s for r in execution.records if r.gpu is not None),
                )
            book.gates = judge.gates
            book.reasons = (*execution.reasons(), *book.reasons)
            stop_if_cancelled(self._cancel)
            return _Made(decided=decided, partial=partial, judge=judge, execution=execution)

    def _accept(self, judge: Judge) -> Callable[[Attempt, Finished], Failure | None]:
        """Return what judges an attempt: what was made of a source that changed meanwhile says nothing of the way."""

        def accept(attempt: Attempt, done: Finished) -> Failure | None:
            failure = judge.accept(attempt, done)
            if failure is not None and failure.kind in _OF_THE_WAY:
                try:
                    self._check_source()
                except InputError as error:
                    return Failure(kind=FailureKind.INPUT_UNREADABLE, evidence=f"{error.what} {failure.evidence}")
            return failure

        return accept

    def _missed(self, made: _Made, gate: Gatekeeper | None) -> str | None:
        """Return why a size is not worth it; ``None`` for what ``gate`` may mend. Raises for any other failure."""
        execution = made.execution
        self._check_source()  # one that still grows is read beyond what was planned for, and may outgrow that
        too_large = execution.too_large()
        if too_large is None:
            failure = execution.failure
            if gate is None or failure is None or failure.kind is not FailureKind.QUALITY_NOT_MET:
                self._give_up(execution)
        return too_large

    def _publish(self, made: _Made) -> None:
        book, execution, attempt = self._book, made.execution, made.judge.attempt
        assert attempt is not None  # noqa: S101 - what is published was judged
        with book.stage("publish"):
            self._check_source()
            digest = Hashing.of(made.partial.path)
            path = made.partial.publish()
        book.gates = made.judge.gates
        gpu = self._gpu_name(execution)
        book.deliver(made.decided, attempt, path, made.judge.facts, digest, gpu=gpu)

    def _gpu_name(self, execution: Execution) -> str | None:
        uuid = execution.records[-1].gpu
        return next((gpu.name for gpu in self._host.gpus if gpu.uuid == uuid and uuid is not None), None)

    def _limits(self, may_take_bytes: int) -> Limits:
        policy = self._policy
        wall = policy.timeout_s or 1800 + 10 * (self._duration_s or 0)
        return Limits(
            wall_s=wall, stall_s=policy.stall_timeout_s, memory_bytes=policy.memory_limit_bytes,
            cpu_s=int(wall * self._host.cores) + 1, file_size_bytes=may_take_bytes + LIMIT_SLACK_BYTES,
        )  # fmt: skip

    def _give_up(self, execution: Execution) -> None:
        failure = execution.failure or Failure(kind=FailureKind.UNKNOWN, evidence="no attempt was made")
        if failure.kind in INPUT_FAILURES:
            raise InputError("The input cannot be decoded.", evidence=failure.evidence, hint=failure.hint)
        if failure.kind in OUTPUT_FAILURES:
            raise OutputError("The output could not be written.", evidence=failure.evidence, hint=failure.hint)
        if self._hardware == "require" and failure.kind is not FailureKind.CANCELLED:
            raise HardwareError(
                "Hardware was required, and no attempt on a GPU delivered.",
                evidence=f"{failure.kind}: {failure.evidence}", hint=failure.hint,
            )  # fmt: skip
        error = ReelpressError("No attempt delivered.", evidence=failure.evidence, hint=failure.hint)
        error.code = failure.kind.value
        error.exit_code = ExitCode.BUG if failure.kind in BUG_FAILURES else ExitCode.CHECK_NOT_MET
        raise error


def _better(best: _Made | None, made: _Made, gate: Gatekeeper) -> _Made | None:
    """Return what to deliver should nothing pass, and free the disk of what will not be."""
    wanted = gate.wish.on_miss == "deliver" and gate.best == gate.latest
    if not wanted:
        made.partial.close()
        return best
    if best is not None:
        best.partial.close()
    return made
