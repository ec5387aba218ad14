"""What a receipt says of a ladder: why it is as it is, and what was delivered."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from reelpress.plan.hls import Representation
from reelpress.plan.model import Reason
from reelpress.plan.rungs import Rung
from reelpress.plan.streaming import MASTER, MPD, Streams
from reelpress.receipt import FileRecord, LadderRecord, RungRecord

_ON_CPU = Reason(code="cpu_only", text="Ladders are made by x264 on the CPU.", fact=None)


def ladder_reasons(
    rungs: Sequence[Rung], left_out: Sequence[Reason], of_encode: Sequence[Reason]
) -> tuple[Reason, ...]:
    """Return why a ladder has these rungs and pictures, and what of the source it has not."""
    # whether an encode pays, and by which CRF, is no matter of a ladder
    pictures = (r for r in of_encode if r.code not in ("settings", "cpu_asked") and not r.code.startswith("worth_"))
    return (*(_told(rung) for rung in rungs), *left_out, _ON_CPU, *pictures)


def ladder_records(
    target: Path, parts: Streams, tracks: Sequence[Representation]
) -> tuple[LadderRecord, FileRecord]:  # fmt: skip
    """Return what was delivered, rung by rung and as a whole, of a folder that has its name. Raises ``OSError``."""
    first, count = tracks[0], len(parts.rungs)
    rungs = tuple(
        RungRecord(
            width=r.width, height=r.height, crf=r.crf, codec=t.codec, predicted_vmaf=round(r.vmaf, 2),
            predicted_bps=round(r.bytes_per_s * 8), average_bps=t.average_bps, peak_bps=t.peak_bps,
        )
        for r, t in zip(parts.rungs, tracks, strict=False)
    )  # fmt: skip
    size = f"{rungs[0].width}x{rungs[0].height}"
    told = f"h264, {count} rungs from {size} down" if count > 1 else f"h264, 1 rung of {size}"
    ladder = LadderRecord(
        master=os.fspath(target / MASTER), manifest=os.fspath(target / MPD), segments=len(first.segments),
        segment_s=parts.segment_s, rungs=rungs, sounds_bps=tuple(t.average_bps for t in tracks[count:]),
    )  # fmt: skip
    whole = FileRecord(
        path=os.fspath(target), size_bytes=sum(p.stat().st_size for p in target.iterdir()), sha256=None,
        container="hls,dash", video=told,
        audio=tuple(f"aac {s.channels} ch {s.bitrate_bps // 1000} kb/s" for s in parts.sounds), subtitles=(),
        duration_s=sum(first.durations_s), frames=sum(s.samples for s in first.segments),
    )  # fmt: skip
    return ladder, whole


def _told(rung: Rung) -> Reason:
    rate = f"{rung.bytes_per_s * 8 / 1000:.0f} kb/s"
    text = f"{rung.width}x{rung.height} at CRF {rung.crf:g}: {rate}, VMAF {rung.vmaf:.1f} in samples."
    return Reason(code="rung", text=text, fact=f"at most {rung.max_rate_bps / 1000:.0f} kb/s")
