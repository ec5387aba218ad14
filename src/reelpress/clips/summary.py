"""What became of an export of clips, in one value."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reelpress.clips.meter import DELIVERED
from reelpress.facts.values import Value
from reelpress.receipt import Receipt
from reelpress.source.opening import OpenSource

KEPT = "kept_finished"  # the reason's code in the receipt of a clip that an earlier run delivered


class ExportSummary(Value, frozen=True, kw_only=True, tag_field="event", tag="export"):
    """What became of an export; the counts add up to ``clips``, and ``kept`` are from an earlier run.

    ``read_bytes`` came over the network.
    """

    input: str
    folder: str
    clips: int
    encoded: int
    kept: int
    rejected: int
    failed: int
    cancelled: int
    exit_code: int
    wall_s: float
    cpu_s: float
    read_bytes: int


def summary_of(
    receipts: Sequence[Receipt], *, source: OpenSource, folder: Path, exit_code: int, wall_s: float
) -> ExportSummary:
    """Return what became of an export."""
    kept = sum(is_kept(r) for r in receipts)
    counts = {status: sum(r.status == status for r in receipts) for status in ("rejected", "failed", "cancelled")}
    return ExportSummary(
        input=source.input_name, folder=str(folder), clips=len(receipts), kept=kept,
        encoded=sum(r.status in DELIVERED for r in receipts) - kept, **counts, exit_code=exit_code,
        wall_s=round(wall_s, 3), cpu_s=round(sum(r.cpu_s for r in receipts if not is_kept(r)), 3),
        read_bytes=source.read_bytes,
    )  # fmt: skip


def is_kept(receipt: Receipt) -> bool:
    """Tell whether a clip was delivered by an earlier run."""
    return any(reason.code == KEPT for reason in receipt.reasons)
