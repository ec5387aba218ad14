"""What a calibration says, in the terms of people: which settings look alike, and what they cost. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from reelpress.facts.calibration import Calibration, Curve, CurvePoint
from reelpress.facts.values import Value
from reelpress.plan.calibration import REFERENCE_CRF, EqualQuality, equal_quality
from reelpress.plan.encoders import cpu_row

# x264's CRFs that a table has a column for.
COLUMNS = (19.0, REFERENCE_CRF, 28.0)


class Row(Value, frozen=True, kw_only=True):
    """One curve beside x264 with its default preset.

    ``equal`` are the settings that look like x264 at :data:`COLUMNS`, ``None`` where that was not reached.
    ``size_ratio`` is bytes to x264's at CRF 23 where they look alike, the geometric mean over clips;
    ``cpu_s_per_s`` CPU seconds of a second of programme there, in the mean.
    """

    encoder: str
    preset: str
    gpu: str | None
    equal: tuple[EqualQuality | None, ...]
    size_ratio: float | None
    cpu_s_per_s: float | None
    points: int


def summary(calibration: Calibration) -> tuple[Row, ...]:
    """Return a row for each curve; empty without x264's, to which all are compared."""
    h264 = cpu_row("h264")
    wanted = (h264.name, h264.preset_default)
    reference = next((curve for curve in calibration.curves if (curve.encoder, curve.preset) == wanted), None)
    if reference is None:
        return ()
    names = tuple(clip.name for clip in calibration.clips)
    rows = []
    for curve in calibration.curves:
        equal = tuple(equal_quality(reference, curve, crf) for crf in COLUMNS)
        at_23 = equal[COLUMNS.index(REFERENCE_CRF)]
        sizes, cpus = [], []
        for clip in names if at_23 is not None else ():
            # of each clip by itself: what looks alike on one does not on another
            mine = equal_quality(_only(reference, clip), _only(curve, clip), REFERENCE_CRF)
            theirs = _of(reference, clip)
            here = _of(curve, clip)
            if mine is None:
                continue
            ours = _between([(p.quality, math.log(p.bytes_per_s)) for p in here], mine.quality)
            its = _between([(p.quality, math.log(p.bytes_per_s)) for p in theirs], REFERENCE_CRF)
            cpu = _between([(p.quality, p.cpu_s_per_s) for p in here], mine.quality)
            if ours is not None and its is not None and cpu is not None:
                sizes.append(ours - its)
                cpus.append(cpu)
        rows.append(
            Row(
                encoder=curve.encoder, preset=curve.preset, gpu=curve.gpu, equal=equal, points=len(curve.points),
                size_ratio=round(math.exp(math.fsum(sizes) / len(sizes)), 3) if sizes else None,
                cpu_s_per_s=round(math.fsum(cpus) / len(cpus), 3) if cpus else None,
            )
        )  # fmt: skip
    return tuple(rows)


def _of(curve: Curve, clip: str) -> tuple[CurvePoint, ...]:
    return tuple(sorted((p for p in curve.points if p.clip == clip), key=lambda p: p.quality))


def _only(curve: Curve, clip: str) -> Curve:
    return Curve(encoder=curve.encoder, preset=curve.preset, ffmpeg_version="", points=_of(curve, clip))


def _between(points: Sequence[tuple[float, float]], at: float) -> float | None:
    for (low, before), (high, after) in itertools.pairwise(points):
        if low <= at <= high:
            return before + (after - before) * (at - low) / (high - low)
    return None
