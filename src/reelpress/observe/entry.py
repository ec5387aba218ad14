"""One line of the ledger: what a job that ended used, made, cost and fell back from, in one value.

Metrics, costs, budgets and baselines are all made from these. What stands here has few values (encoders, classes of
failures), but for ids, users and the names of GPUs, which are no labels of metrics.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from reelpress.facts.failure import FailureKind
from reelpress.facts.prediction import Predicted
from reelpress.facts.values import Value
from reelpress.observe.prices import StorageRates, Tariff
from reelpress.receipt import AttemptRecord, CostParts, Receipt

SizeClass = Literal["small", "medium", "large", "huge"]
# Upper bounds in bytes, each for the class before it; the plans' own file sizes (100, 300, 500 MB).
SIZE_CLASSES: tuple[tuple[SizeClass, float], ...] = (
    ("small", 100e6), ("medium", 300e6), ("large", 500e6), ("huge", float("inf")),
)  # fmt: skip
NONE = "none"
# Why a GPU that was wanted made nothing, besides the classes of failures: docs/costs.md says what each is.
BUDGET_SPENT, NO_SLOT, BREAKER_OPEN, NO_ENCODER = "budget_spent", "no_slot", "breaker_open", "no_encoder"
# What is charged for keeping an output: whoever keeps it longer pays more, and whoever deletes it less.
STORAGE_MONTHS = 1.0
_GIB = 2**30


class StageCost(Value, frozen=True, kw_only=True):
    """A stage of a job, of the engine (``probe``, ``encode``, ...) or around it (``fetch``, ``store``, ...)."""

    name: str
    wall_s: float
    cpu_s: float
    usd: float


class Fallback(Value, frozen=True, kw_only=True, array_like=True):
    """An attempt that failed, with the class of its failure, and that another one followed."""

    encoder: str
    failure: str


class Entry(Value, frozen=True, kw_only=True):
    """How one run of a job ended, and what it took. Times are seconds, sizes bytes, ``finished_at`` seconds since 1970.

    ``encoder`` is the receipt's; where nothing was delivered that of the last attempt, ``none`` where there was none.
    ``duration_s`` is the length of what was made. ``wall_s`` is all time worked on the job, ``engine_s`` that from
    probing to publishing, without fetching and storing. ``attempts`` counts runs of FFmpeg. ``failed`` is the class of
    the last one's failure, where it failed. ``gpu_missed`` says why a GPU that was wanted, and is there, had no part in
    the output. ``usd`` is the sum of the parts that are known; ``usd_other`` what the same would have cost on the other
    device, ``None`` where that is not known. ``predicted`` is what was said of it before it was done.
    """

    job: str
    run: int
    user_id: str
    kind: str
    finished_at: float
    status: str
    error_code: str | None = None
    encoder: str = NONE
    device: str | None = None
    gpu: str | None = None
    size_class: SizeClass = "small"
    input_bytes: int = 0
    output_bytes: int = 0
    duration_s: float = 0.0
    wall_s: float = 0.0
    engine_s: float = 0.0
    encode_s: float = 0.0
    cpu_s: float = 0.0
    queue_wait_s: float = 0.0
    attempts: int = 0
    failed: str | None = None
    fallbacks: tuple[Fallback, ...] = ()
    gpu_missed: str | None = None
    stages: tuple[StageCost, ...] = ()
    usd: float = 0.0
    usd_parts: CostParts = CostParts()
    usd_other: float | None = None
    vmaf: float | None = None
    predicted: Predicted | None = None

    @property
    def made(self) -> bool:
        """Whether a video was made: encoded or copied, by this job itself."""
        return self.status == "done" and self.encoder != NONE


class Worked(Value, frozen=True, kw_only=True):
    """Time that a job took around the engine: fetching, storing, a transcript."""

    name: str
    wall_s: float


def size_class(input_bytes: int) -> SizeClass:
    """Return the class of an input: ``small`` under 100 MB, ``medium`` under 300, ``large`` under 500, ``huge``."""
    return next(name for name, below in SIZE_CLASSES if input_bytes < below)


def entry_of(
    receipt: Receipt | None,
    *,
    job: str,
    run: int,
    user_id: str,
    kind: str,
    status: str,
    finished_at: float,
    error_code: str | None = None,
    input_bytes: int | None = None,
    queue_wait_s: float = 0.0,
    worked: Sequence[Worked] = (),
    tariff: Tariff | None = None,
    storage: StorageRates | None = None,
    reads_store: bool = False,
) -> Entry:
    """Return the line of the ledger for a job that ended; ``receipt`` ``None`` where no engine ran for it.

    ``worked`` is charged by ``tariff``, and the receipt's stages are as they were charged. ``storage`` are the prices
    of the store that keeps the output, and from which the input was read if ``reads_store``.
    """
    bare = Entry(
        job=job, run=run, user_id=user_id, kind=kind, finished_at=finished_at, status=status, error_code=error_code,
        queue_wait_s=max(queue_wait_s, 0.0),
    )  # fmt: skip
    around = [(step, tariff.cost(wall_s=step.wall_s, cpu_s=0.0) if tariff else CostParts()) for step in worked]
    stages = [
        StageCost(name=step.name, wall_s=round(step.wall_s, 3), cpu_s=0.0, usd=round(cost.usd, 8))
        for step, cost in around
    ]
    parts = sum((cost for _, cost in around), CostParts(storage=0.0, egress=0.0))
    if receipt is None:
        size = input_bytes or 0
        return _costed(bare, parts, stages, size, 0, storage, tariff, reads_store=reads_store)
    source, result, attempts = receipt.source, receipt.result, receipt.attempts
    last = attempts[-1] if attempts else None
    delivered = receipt.status in ("encoded", "copied")
    stages += [StageCost(name=s.name, wall_s=s.wall_s, cpu_s=s.cpu_s, usd=s.usd) for s in receipt.stages]
    encoded = msgspec.structs.replace(
        bare,
        encoder=(receipt.encoder if delivered else last.encoder if last and receipt.error else None) or NONE,
        device=receipt.device if delivered else last.device if last and receipt.error else None,
        gpu=receipt.gpu, duration_s=(result.duration_s or 0.0) if result else 0.0,
        engine_s=round(sum(s.wall_s for s in receipt.stages), 3),
        encode_s=round(_encode_s(receipt), 3),
        cpu_s=receipt.cpu_s, attempts=len(attempts),
        failed=str(last.failure) if last is not None and last.failure is not None else None,
        fallbacks=_fallbacks(attempts), gpu_missed=_gpu_missed(receipt),
        predicted=receipt.predicted,
        vmaf=receipt.quality.score if "vmaf" in receipt.quality.method.lower() else None,
    )  # fmt: skip
    engine = msgspec.structs.replace(receipt.usd_parts, storage=0.0, egress=0.0)
    size = source.size_bytes if source else input_bytes or 0
    kept = result.size_bytes if result and delivered else 0
    return _costed(encoded, parts + engine, stages, size, kept, storage, tariff, reads_store=reads_store)


def _costed(
    entry: Entry, parts: CostParts, stages: list[StageCost], input_bytes: int, output_bytes: int,
    storage: StorageRates | None, tariff: Tariff | None, *, reads_store: bool,
) -> Entry:  # fmt: skip
    kept = brought = None
    if storage is not None:
        kept = output_bytes / _GIB * storage.usd_per_gib_month * STORAGE_MONTHS
        # machines of the same cloud read free of charge
        is_near = storage.cloud == "google" and tariff is not None and tariff.name.startswith("cloud-run")
        brought = input_bytes / _GIB * storage.usd_per_gib_egress if reads_store and not is_near else 0.0
    parts = msgspec.structs.replace(parts, storage=kept, egress=brought).rounded()
    return msgspec.structs.replace(
        entry, input_bytes=input_bytes, output_bytes=output_bytes, size_class=size_class(input_bytes),
        stages=tuple(stages), wall_s=round(sum(stage.wall_s for stage in stages), 3), usd_parts=parts,
        usd=round(parts.usd, 8),
    )  # fmt: skip


def _fallbacks(attempts: Sequence[AttemptRecord]) -> tuple[Fallback, ...]:
    return tuple(
        Fallback(encoder=attempt.encoder, failure=str(attempt.failure))
        for attempt in attempts[:-1]
        if attempt.failure not in (None, FailureKind.QUALITY_NOT_MET)  # after which the same is made with more bits
    )


def _encode_s(receipt: Receipt) -> float:
    """Return how long encoding took: all attempts together, but not what was made again for its quality's sake."""
    taken = [stage.wall_s for stage in receipt.stages if stage.name in ("encode", "copy")]
    again = any(attempt.failure is FailureKind.QUALITY_NOT_MET for attempt in receipt.attempts)
    return taken[-1] if again and taken else sum(taken)


def _gpu_missed(receipt: Receipt) -> str | None:
    """Return why a GPU that was wanted had no part in an encode; ``None`` where it had, or nobody wanted one."""
    if receipt.status != "encoded" or receipt.gpu is not None:
        return None
    if any(reason.code == BUDGET_SPENT for reason in receipt.reasons):
        return BUDGET_SPENT
    # the engine looks for a GPU if one is asked for and a device is there, and for no other reason
    if not any(stage.name == "gpu" for stage in receipt.stages):
        return None
    failures = (a.failure for a in receipt.attempts if a.gpu is not None)
    failed = next((failure for failure in failures if failure not in (None, FailureKind.QUALITY_NOT_MET)), None)
    if failed is not None:
        return str(failed)
    texts = [reason.text for reason in receipt.reasons if reason.code in ("fell_back", "cpu_only")]

    def told(*words: str) -> bool:
        return any(word in text for word in words for text in texts)

    if told("is left alone (", "left alone for"):  # run/gpu_access.py's words, and those of gpus.py
        return BREAKER_OPEN
    return NO_SLOT if told("no GPU was to be had", "GPUs cannot be examined or shared") else NO_ENCODER
