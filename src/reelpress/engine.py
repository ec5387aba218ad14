"""One input from facts to receipt: probe, plan, sample where doubtful, run, check, publish. Wiring, no decisions."""

from __future__ import annotations

import contextlib
import os
import secrets
import traceback
from concurrent.futures import Future
from pathlib import Path

import msgspec

from reelpress.bookkeeping import Book, Hashing
from reelpress.errors import Cancelled, ExitCode, HardwareError, InputError, OutputError, ReelpressError
from reelpress.events import OnEvent, Planned, Probed, Started
from reelpress.facts.failure import Failure, FailureKind
from reelpress.facts.host import HostFacts
from reelpress.facts.media import MediaFacts
from reelpress.gpus import gpus_of
from reelpress.judge import Judge
from reelpress.look import Look, Snapshot, look_at
from reelpress.plan.compress import plan
from reelpress.plan.encoders import coarseness
from reelpress.plan.model import Copy, Encode, Plan, Reason, Reject, Skip
from reelpress.plan.sampling import sample_order
from reelpress.policy import RunPolicy
from reelpress.probe.media import probe
from reelpress.probe.ready import ReadyProbe
from reelpress.probe.sample import take_samples
from reelpress.receipt import Receipt
from reelpress.request import Request
from reelpress.run.execute import execute
from reelpress.run.execution import Execution, Setting
from reelpress.run.partial import PartialFile, free_bytes
from reelpress.run.process import CancelToken, Limits
from reelpress.run.watch import Job

# What a job leaves free on the disk it writes to.
DISK_RESERVE_BYTES = 32 * 2**20
# An output that was asked for at any size still stops somewhere (a runaway encoder, a lying header).
RUNAWAY_FACTOR = 30
LIMIT_SLACK_BYTES = 4 * 2**20
# Memory is no concern of a remux, but a decoder of a hostile file is not one either.
INPUT_FAILURES = frozenset(
    {
        FailureKind.INPUT_UNREADABLE, FailureKind.INPUT_REFUSED, FailureKind.NO_DECODER,
        FailureKind.TOO_MANY_PIXELS, FailureKind.DECODE_ERRORS,
    }
)  # fmt: skip
OUTPUT_FAILURES = frozenset({FailureKind.OUTPUT_FULL, FailureKind.OUTPUT_DENIED, FailureKind.OUTPUT_LIMIT})
BUG_FAILURES = frozenset({FailureKind.OPTION_REJECTED, FailureKind.FILTER_FAILED, FailureKind.UNKNOWN})


KEEP = Skip(reasons=(Reason(code="kept", text="The input is kept as it is.", fact=None),))


def compress_file(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str] | None,
    *,
    host: HostFacts,
    request: Request,
    policy: RunPolicy = RunPolicy(),  # noqa: B008 - a frozen value
    overwrite: bool = False,
    on_event: OnEvent | None = None,
    cancel: CancelToken | None = None,
    look: Future[Look] | None = None,
) -> Receipt:
    """Do one job and return its receipt; whatever becomes of the input, this does not raise.

    ``target`` ``None`` writes beside the input, as ``NAME.compressed.mp4``. The source is only ever read. ``look`` is a
    look at it that was begun earlier.
    """
    work = _Work(
        source, target, host, request, policy, overwrite=overwrite, on_event=on_event, cancel=cancel, look=look
    )
    return work.finish()


def default_target(source: Path) -> Path:
    """Return where an output goes when nobody said."""
    return source.with_name(f"{source.stem}.compressed.mp4")


def facts_and_plan(
    source: str | os.PathLike[str],
    *,
    host: HostFacts,
    request: Request,
    policy: RunPolicy = RunPolicy(),  # noqa: B008 - a frozen value
    cancel: CancelToken | None = None,
) -> tuple[MediaFacts, Plan]:
    """Probe and plan, with samples where the case is doubtful; writes nothing.

    Raises :class:`InputError` when the input cannot be used.
    """
    stop = cancel or CancelToken()
    facts = probe(source, cancel=stop)
    host = gpus_of(host, policy.gpu).host_for(facts, request, stop)
    return facts, _plan(Path(source), facts, host, request, stop, Book(0.0))


def _plan(source: Path, facts: MediaFacts, host: HostFacts, request: Request, cancel: CancelToken, book: Book) -> Plan:
    """Plan; where the plan would be better with samples, take them and plan again."""
    decided = plan(facts, host, request)
    order = sample_order(decided, facts, request) if isinstance(decided, Encode) else None
    if order is None or not isinstance(decided, Encode):
        return decided
    with book.stage("sample"):
        samples = take_samples(order, source, cancel=cancel, spend=book.spend)
    return plan(facts, host, request, samples)


class _Work:
    """One job under way."""

    def __init__(
        self,
        source: str | os.PathLike[str],
        target: str | os.PathLike[str] | None,
        host: HostFacts,
        request: Request,
        policy: RunPolicy,
        *,
        overwrite: bool,
        on_event: OnEvent | None,
        cancel: CancelToken | None,
        look: Future[Look] | None,
    ) -> None:
        self.look = look
        self.named = os.fspath(source)
        self.source = Path(os.path.abspath(self.named))  # noqa: PTH100 - a link stays the name that was given
        self.target = Path(os.path.abspath(target)) if target is not None else default_target(self.source)  # noqa: PTH100
        self.host, self.request, self.policy, self.overwrite = host, request, policy, overwrite
        self.cancel = cancel or CancelToken()
        self.emit: OnEvent = on_event or (lambda _event: None)
        self.job = Job(id=secrets.token_hex(6), input=self.named)
        self.book = Book(policy.usd_per_cpu_hour)
        self.hashing = Hashing(self.source)
        self.versions = {f.path: f.version for f in host.ffmpegs}
        self.gpus = gpus_of(host, policy.gpu)

    def finish(self) -> Receipt:
        """Do the work and write its receipt, also when it fails."""
        book = self.book
        self.emit(Started(job=self.job.id, input=self.job.input))
        try:
            self._deliver()
        except InputError as error:
            book.fail("rejected", error)
        except Cancelled as error:
            book.fail("cancelled", error)
        except ReelpressError as error:
            book.fail("failed", error)
        except OSError as error:
            book.fail("failed", OutputError("A file could not be read or written.", evidence=str(error)))
        except Exception as error:  # noqa: BLE001 - a bug in one job must not take the receipts of others with it
            book.fail("failed", _bug(error))
        finally:
            book.source_sha256 = self.hashing.result()
        receipt = book.receipt(self.job.id, self.job.input, self.host)
        self.emit(receipt)
        return receipt

    def _deliver(self) -> None:
        book = self.book
        self._stop_if_cancelled()
        self._refuse_targets()
        with book.stage("probe"):
            seen = look_at(self.source, self.cancel) if self.look is None else self.look.result()
            book.spend(seen.cpu_s)
        facts, snapshot = seen.facts, seen.snapshot
        book.describe_source(self.source, facts)
        self.emit(Probed(job=self.job.id, input=self.job.input, facts=facts))
        track = facts.main_video
        self.job = msgspec.structs.replace(self.job, key=f"{self.source}:{snapshot.size_bytes}:{snapshot.mtime_ns}")
        with book.stage("gpu") if self._may_use_gpu() and track is not None else contextlib.nullcontext():
            self.host = self.gpus.host_for(facts, self.request, self.cancel)
        decided = _plan(self.source, facts, self.host, self.request, self.cancel, book)
        self._stop_if_cancelled()
        self.emit(Planned(job=self.job.id, input=self.job.input, plan=decided))
        book.reasons = decided.reasons
        if isinstance(decided, Reject):
            first = decided.reasons[0]
            book.reject(decided.code, first.text, evidence=first.fact, hint=decided.hint)
            return
        self.hashing.start(self.cancel)
        while not isinstance(decided, Skip):
            too_large = self._run(decided, facts, snapshot)
            if too_large is None:
                return
            what, otherwise = ("encode", decided.otherwise) if isinstance(decided, Encode) else ("remux", KEEP)
            text = f"The {what} was not worth keeping: {too_large}."
            book.drop_output()
            book.reasons = (*book.reasons, Reason(code="outgrew", text=text, fact=None), *otherwise.reasons)
            decided = otherwise
        book.status = "skipped"

    def _refuse_targets(self) -> None:
        if not self.target.parent.is_dir():
            hint = "create it first"
            raise OutputError(f"The folder {self.target.parent} does not exist.", hint=hint)
        if self.target.exists():
            if self.source.exists() and self.target.samefile(self.source):
                raise OutputError("Output and input are the same file.", hint="Name another output with -o.")
            if not self.overwrite:
                raise OutputError(f"{self.target} exists.", hint="Use --overwrite, or name another output with -o.")

    def _run(self, decided: Encode | Copy, facts: MediaFacts, snapshot: Snapshot) -> str | None:
        """Carry out an encode or a remux and publish it; return why its size is not worth it, or ``None``."""
        book, expect = self.book, decided.expect
        limit = expect.max_bytes
        self._refuse_small_disk(limit or facts.size_bytes)
        with (
            PartialFile.open(self.target, overwrite=self.overwrite) as partial,
            ReadyProbe(self.cancel) as ready,
        ):
            judge = Judge(
                decided, self.source, facts, partial.path, job=self.job, book=book, ready=ready, emit=self.emit,
                cancel=self.cancel, decode_whole=self.policy.decode_whole, coarseness=coarseness(self.request),
            )  # fmt: skip
            with book.stage("encode" if isinstance(decided, Encode) else "copy"):
                setting = Setting(
                    job=self.job, source=self.source, target=partial.path, limits=self._limits(facts, limit),
                    versions=self.versions, duration_s=expect.duration_s, max_bytes=limit,
                )  # fmt: skip
                execution = execute(
                    decided.attempts, setting, accept=judge.accept, on_event=judge.on_event, cancel=self.cancel,
                    gpus=self.gpus.access(self.host) if any(a.gpus for a in decided.attempts) else None,
                )  # fmt: skip
                book.attempts = (*book.attempts, *execution.records)
                book.spend(sum(r.cpu_s for r in execution.records))
            book.gates = judge.gates
            book.reasons = (*execution.reasons(), *book.reasons)
            self._stop_if_cancelled()
            if execution.delivered is None:
                too_large = execution.too_large()
                if too_large is None:
                    self._give_up(execution)
                return too_large
            with book.stage("publish"):
                if Snapshot.take(self.source) != snapshot:
                    raise InputError("The input changed while it was read.", hint="Wait until it is complete.")
                digest = Hashing.of(partial.path)
                path = partial.publish()
            book.deliver(decided, execution.delivered, path, judge.facts, digest, gpu=self._gpu_name(execution))
        return None

    def _gpu_name(self, execution: Execution) -> str | None:
        uuid = execution.records[-1].gpu
        return next((gpu.name for gpu in self.host.gpus if gpu.uuid == uuid and uuid is not None), None)

    def _refuse_small_disk(self, needed_bytes: int) -> None:
        free = free_bytes(self.target.parent)
        if free < needed_bytes + DISK_RESERVE_BYTES:
            raise OutputError(
                "There is too little space for the output.",
                evidence=f"{free} bytes free, {needed_bytes + DISK_RESERVE_BYTES} needed at most",
                hint=f"Free space on the disk of {self.target.parent}, or name another output with -o.",
            )

    def _limits(self, facts: MediaFacts, max_bytes: int | None) -> Limits:
        wall = self.policy.timeout_s or 1800 + 10 * (facts.duration_s or 0)
        size = (max_bytes if max_bytes is not None else RUNAWAY_FACTOR * facts.size_bytes) + LIMIT_SLACK_BYTES
        return Limits(
            wall_s=wall, stall_s=self.policy.stall_timeout_s, memory_bytes=self.policy.memory_limit_bytes,
            cpu_s=int(wall * self.host.cores) + 1, file_size_bytes=size,
        )  # fmt: skip

    def _may_use_gpu(self) -> bool:
        return self.request.hardware != "off" and self.host.gpu_note is None

    def _stop_if_cancelled(self) -> None:
        if self.cancel.is_cancelled:
            raise Cancelled("Stopped as asked; nothing was delivered.")

    def _give_up(self, execution: Execution) -> None:
        failure = execution.failure or Failure(kind=FailureKind.UNKNOWN, evidence="no attempt was made")
        if failure.kind in INPUT_FAILURES:
            raise InputError("The input cannot be decoded.", evidence=failure.evidence, hint=failure.hint)
        if failure.kind in OUTPUT_FAILURES:
            raise OutputError("The output could not be written.", evidence=failure.evidence, hint=failure.hint)
        if self.request.hardware == "require" and failure.kind is not FailureKind.CANCELLED:
            raise HardwareError(
                "Hardware was required, and no attempt on a GPU delivered.",
                evidence=f"{failure.kind}: {failure.evidence}", hint=failure.hint,
            )  # fmt: skip
        error = ReelpressError("No attempt delivered.", evidence=failure.evidence, hint=failure.hint)
        error.code = failure.kind.value
        error.exit_code = ExitCode.BUG if failure.kind in BUG_FAILURES else ExitCode.CHECK_NOT_MET
        raise error


def _bug(error: Exception) -> ReelpressError:
    """Return an error of ours with the place it came from as evidence."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    evidence = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
    return ReelpressError("This is a bug in Reelpress.", evidence=evidence, hint="Report it with this receipt.")
