"""Receipts with defaults, so that a test states only what it is about."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import msgspec

from reelpress.facts.framing import Framing
from reelpress.receipt import ClipRecord, FileRecord, Quality, Receipt


def file_record(**changes: Any) -> FileRecord:
    base = FileRecord(
        path="/out/01-a.mp4", size_bytes=1000, sha256=None, container="mp4", video="h264 1080x1920 30 fps yuv420p",
        audio=("aac 2 ch 48000 Hz",), subtitles=(), duration_s=10.0, frames=300,
    )  # fmt: skip
    return msgspec.structs.replace(base, **changes)


def clip_record(**changes: Any) -> ClipRecord:
    base = ClipRecord(
        name=None, start_s=0.0, end_s=10.0, width=1080, height=1920, fps=Fraction(30), frames=300,
        framing=Framing(shots=()), caption_cues=0, loudness_lufs=-14.0, true_peak_dbtp=-2.0,
    )  # fmt: skip
    return msgspec.structs.replace(base, **changes)


def receipt(**changes: Any) -> Receipt:
    """A clip that was encoded on the CPU."""
    base = Receipt(
        job="j", status="encoded", exit_code=0, encoder="libx264", device="cpu", gpu=None, input="in.mp4",
        output="/out/01-a.mp4", saved_share=None, reasons=(), error=None, error_code=None, evidence=None, hint=None,
        source=None, result=file_record(), streams=(), attempts=(), gates=(), warnings=(),
        quality=Quality(method="unmeasured", score=None, text=""), stages=(), wall_s=1.0, cpu_s=1.0, usd=0.0,
        usd_basis="", started_at="2026-11-21T00:00:00+00:00", reelpress_version="0", host="", clip=clip_record(),
    )  # fmt: skip
    return msgspec.structs.replace(base, **changes)
