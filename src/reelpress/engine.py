"""One input from facts to receipt: probe, plan, sample where doubtful, run, check, publish. Wiring, no decisions."""

from __future__ import annotations

import contextlib
import os
import secrets
from concurrent.futures import Future
from pathlib import Path

import msgspec

from reelpress.bookkeeping import Book, Hashing
from reelpress.check.pictures import compare_pictures
from reelpress.delivery import Delivery
from reelpress.events import OnEvent, Planned, Probed, Sampled, Started
from reelpress.facts.gate import Scored
from reelpress.facts.host import HostFacts
from reelpress.facts.media import MediaFacts
from reelpress.facts.prediction import Predicted
from reelpress.facts.quality import Window
from reelpress.gating import Gatekeeper, kept_too_large
from reelpress.gpus import gpus_of
from reelpress.look import Look, Snapshot, look_at
from reelpress.plan.crf_curve import Point
from reelpress.plan.encoders import coarseness
from reelpress.plan.forecast import forecast
from reelpress.plan.model import Attempt, Copy, Encode, Plan, Reason, Reject, Skip, only_rung
from reelpress.planning import plan_with_samples
from reelpress.policy import RunPolicy
from reelpress.probe.media import probe
from reelpress.receipt import Gate, Receipt
from reelpress.request import Request
from reelpress.run.process import CancelToken
from reelpress.run.watch import Job
from reelpress.settling import refuse_target, settling, stop_if_cancelled

# An output that was asked for at any size still stops somewhere (a runaway encoder, a lying header).
RUNAWAY_FACTOR = 30

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
    predicted: Predicted | None = None,
) -> Receipt:
    """Do one job and return its receipt; whatever becomes of the input, this does not raise.

    ``target`` ``None`` writes beside the input, as ``NAME.compressed.mp4``. The source is only ever read. ``look`` is a
    look at it that was begun earlier, ``predicted`` what a quote said of this job.
    """
    work = _Work(
        source, target, host, request, policy, overwrite=overwrite, on_event=on_event, cancel=cancel, look=look
    )
    work.book.predicted = predicted
    return work.finish()


def default_target(source: Path) -> Path:
    """Return where an output goes when nobody said."""
    return source.parent / f"{source.stem}.compressed.mp4"


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
    return facts, plan_with_samples(Path(source), facts, host, request, stop, Book(), policy.gpu)


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
        self.book = Book(policy.tariff(host))
        self.hashing = Hashing(self.source)
        self.versions = {f.path: f.version for f in host.ffmpegs}
        self.gpus = gpus_of(host, policy.gpu)

    def finish(self) -> Receipt:
        """Do the work and write its receipt, also when it fails."""
        book = self.book
        self.emit(Started(job=self.job.id, input=self.job.input))
        try:
            with settling(book):
                self._deliver()
        finally:
            book.source_sha256 = self.hashing.result()
        receipt = book.receipt(self.job.id, self.job.input, self.host)
        self.emit(receipt)
        return receipt

    def _deliver(self) -> None:
        book = self.book
        stop_if_cancelled(self.cancel)
        refuse_target(self.target, self.source, overwrite=self.overwrite)
        with book.stage("probe"):
            seen = look_at(self.source, self.cancel) if self.look is None else self.look.result()
            book.spend(seen.cpu_s)
        facts, snapshot = seen.facts, seen.snapshot
        book.describe_source(self.source, facts)
        self.emit(Probed(job=self.job.id, input=self.job.input, facts=facts))
        track = facts.main_video
        with book.stage("gpu") if self._may_use_gpu() and track is not None else contextlib.nullcontext():
            self.host = self.gpus.host_for(facts, self.request, self.cancel, book.spend)
        decided = only_rung(
            plan_with_samples(
                self.source, facts, self.host, self.request, self.cancel, book, self.policy.gpu, self._tell_trial
            ),
            self.policy.rung,
        )
        stop_if_cancelled(self.cancel)
        self.emit(Planned(job=self.job.id, input=self.job.input, plan=decided))
        book.reasons = decided.reasons
        if isinstance(decided, Encode):
            said = forecast(facts, decided, self.host.cores, sampled_bytes=book.sampled_bytes)
            book.foresee(said, decided.attempts[0].encoder)
        if isinstance(decided, Encode) and any(attempt.gpus for attempt in decided.attempts):
            # nothing that is needed on a CPU
            from reelpress.source.fingerprint import of_file

            # a copy under another name, as a service makes one for every job, brings a GPU down no less
            with contextlib.suppress(OSError):  # FFmpeg will not read it either
                key = of_file(self.source, snapshot.size_bytes, self.cancel)
                self.job = msgspec.structs.replace(self.job, key=key)
        if isinstance(decided, Reject):
            first = decided.reasons[0]
            book.reject(decided.code, first.text, evidence=first.fact, hint=decided.hint)
            return
        self.hashing.start(self.cancel)
        while not isinstance(decided, Skip):
            too_large = self._run(decided, facts, snapshot)
            if too_large is None:
                if isinstance(decided, Copy):
                    book.refuse(kept_too_large(self.request.gate))
                return
            what, otherwise = ("encode", decided.otherwise) if isinstance(decided, Encode) else ("remux", KEEP)
            text = f"The {what} was not worth keeping: {too_large}."
            book.drop_output()
            book.reasons = (*book.reasons, Reason(code="outgrew", text=text, fact=None), *otherwise.reasons)
            decided = otherwise
        book.status = "skipped"
        book.refuse(kept_too_large(self.request.gate))

    def _tell_trial(self, number: int, encoder: str, point: Point) -> None:
        self.emit(
            Sampled(job=self.job.id, input=self.job.input, number=number, encoder=encoder, setting=point.crf,
                    vmaf=point.vmaf, bytes_per_s=point.bytes_per_s)
        )  # fmt: skip

    def _run(self, decided: Encode | Copy, facts: MediaFacts, snapshot: Snapshot) -> str | None:
        """Carry out an encode or a remux and publish it; return why its size is not worth it, or ``None``."""
        limit = decided.expect.max_bytes

        def check_source() -> None:
            snapshot.refuse_change(Snapshot.take(self.source))

        def compared(attempt: Attempt, output: Path, output_facts: MediaFacts) -> tuple[Gate, ...]:
            gates: tuple[Gate, ...] = ()
            if attempt.gpus and facts.main_video is not None:
                # neither NVDEC nor NVENC vouches for itself: frames are compared with the source, all in software
                seen = compare_pictures(
                    attempt.ffmpeg, self.source, facts, output, output_facts, decided.expect,
                    coarseness=coarseness(self.request), cancel=self.cancel, spend=self.book.spend,
                )  # fmt: skip
                gates = (seen,)
            if gate is None or any(g.verdict == "failed" for g in gates):
                return gates
            return (*gates, *gate.gates(attempt, output, output_facts))

        gate = self._gatekeeper(decided, facts) if isinstance(decided, Encode) else None
        delivery = Delivery(
            job=self.job, source_url=f"file:{self.source}", source_facts=facts, check_source=check_source,
            target=self.target, overwrite=self.overwrite, host=self.host, hardware=self.request.hardware,
            policy=self.policy, duration_s=facts.duration_s, book=self.book, emit=self.emit, cancel=self.cancel,
        )  # fmt: skip
        return delivery.run(
            decided, further=compared, space_bytes=limit or facts.size_bytes,
            may_take_bytes=limit if limit is not None else RUNAWAY_FACTOR * facts.size_bytes, gate=gate,
        )  # fmt: skip

    def _gatekeeper(self, decided: Encode, facts: MediaFacts) -> Gatekeeper | None:
        wish = self.request.gate

        def score(output: Path, output_facts: MediaFacts, windows: tuple[Window, ...]) -> Scored:
            from reelpress.quality.scoring import score_encode  # which nobody else has to wait for

            return score_encode(
                self.host, (self.source, facts), (output, output_facts), decided.expect, wish=wish, windows=windows,
                cancel=self.cancel, spend=self.book.spend,
            )  # fmt: skip

        if not wish.is_set:
            return None
        return Gatekeeper(wish, decided, source_bytes=facts.size_bytes, score=score, book=self.book)

    def _may_use_gpu(self) -> bool:
        return self.request.hardware != "off" and self.host.gpu_note is None
