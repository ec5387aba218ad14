"""From points that were measured to the setting of one encoder that looks like a setting of another. Pure.

A clip's points are first made monotone: a lower CRF is never worse, and where a measurement says so it is noise. The
setting that gives the same VMAF is read off for each clip by itself, between neighbours in proportion, and the median
of the clips is taken. No number is read off beyond what was measured, nor where a curve is flat: pictures that any
setting keeps alike say nothing about which settings are equal.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from statistics import fmean, median

from reelpress.facts.calibration import Calibration, Curve
from reelpress.facts.host import FfmpegFacts, GpuFacts, HostFacts
from reelpress.facts.numbers import never_rising
from reelpress.facts.values import Value
from reelpress.plan.encoders import LEGACY_GPU_PRESETS, EncoderRow, cpu_row
from reelpress.plan.nvenc import CqChoice

# VMAF per step of CRF. Usual curves fall by 0.5 to 2; below this a thousandth of VMAF moves a setting by much.
_FLAT = 0.02
# Between 0 and 100 a VMAF close to either end is held there by the model, whatever the setting.
_LEAST_VMAF, _MOST_VMAF = 5.0, 99.5
# What x264 makes at this CRF is what defaults of other codecs are to look like.
REFERENCE_CRF = 23.0

Steps = tuple[tuple[float, float], ...]  # (quality, VMAF) by rising quality number, VMAF never rising


class EqualQuality(Value, frozen=True, kw_only=True):
    """The setting that looks the same: the median, lowest and highest of clips, and how much it rests on.

    ``beyond`` of the clips have theirs outside of what was measured.
    """

    quality: float
    low: float
    high: float
    clips: int
    beyond: int = 0
    points: int


class CurveState(Value, frozen=True, kw_only=True):
    """Whether a curve holds on this machine as it is now; ``why_not`` is ``None`` where it does."""

    encoder: str
    preset: str
    why_not: str | None


def monotone(points: Sequence[tuple[float, float]]) -> Steps:
    """Return points of (quality, VMAF) in order, with a VMAF that never rises, as near as can be.

    A setting that was measured more than once counts as its mean, with more weight.
    """
    measured: dict[float, list[float]] = {}
    for quality, vmaf in sorted(points):
        measured.setdefault(quality, []).append(vmaf)
    fitted = never_rising([fmean(vmafs) for vmafs in measured.values()], [len(vmafs) for vmafs in measured.values()])
    return tuple(zip(measured, fitted, strict=True))


def vmaf_at(steps: Steps, quality: float) -> float | None:
    """Return the VMAF of a setting, ``None`` beyond what was measured."""
    for (low, above), (high, below) in itertools.pairwise(steps):
        if low <= quality <= high:
            return above + (below - above) * (quality - low) / (high - low)
    return next((vmaf for at, vmaf in steps if at == quality), None)


def quality_at(steps: Steps, vmaf: float) -> float | None:
    """Return the setting that gives a VMAF; ``None`` beyond what was measured, and where the curve is flat."""
    for (low, above), (high, below) in itertools.pairwise(steps):
        if above >= vmaf >= below and (above - below) / (high - low) >= _FLAT:
            return low + (high - low) * (above - vmaf) / (above - below)
    return None


def equal_quality(reference: Curve, other: Curve, quality: float) -> EqualQuality | None:
    """Return the setting of ``other`` that looks like a setting of ``reference``; ``None`` where that is not known.

    A clip whose equal lies beyond what was measured counts as one that is lower, or higher, than any: it moves the
    median and is not told by its number. Where the median itself is such a clip nothing is known.
    """
    found: list[float] = []
    points = 0
    for clip in dict.fromkeys(point.clip for point in reference.points):
        mine, theirs = (
            monotone([(point.quality, point.vmaf) for point in curve.points if point.clip == clip])
            for curve in (reference, other)
        )
        wanted = vmaf_at(mine, quality)
        equal = None if wanted is None or not _LEAST_VMAF <= wanted <= _MOST_VMAF else _place(theirs, wanted)
        if equal is not None:
            found.append(equal)
            points += len(mine) + len(theirs)
    middle = median(found) if found else math.inf
    within = [equal for equal in found if math.isfinite(equal)]
    if not math.isfinite(middle):
        return None
    return EqualQuality(
        quality=round(middle, 3), low=round(min(within), 3), high=round(max(within), 3), clips=len(found),
        beyond=len(found) - len(within), points=points,
    )  # fmt: skip


def _place(steps: Steps, vmaf: float) -> float | None:
    """Return the setting that gives a VMAF, minus or plus infinity beyond the finest or coarsest that was measured."""
    if not steps:
        return None
    if vmaf > steps[0][1]:
        return -math.inf
    return math.inf if vmaf < steps[-1][1] else quality_at(steps, vmaf)


def calibrated_cq(
    calibration: Calibration | None,
    gpu: GpuFacts,
    build: FfmpegFacts,
    host: HostFacts,
    row: EncoderRow,
    *,
    preset: str,
    gpu_preset: str,
    crf: float,
) -> CqChoice | None:
    """Return the CQ that looks like a CRF of the same codec's CPU encoder, as measured on this GPU.

    ``None`` without a calibration that holds for this GPU, driver and FFmpeg and reaches to this CRF. The CPU encoder's
    curve is that of ``preset``, or of its default where that was not measured.
    """
    if calibration is None:
        return None
    cpu = cpu_row(row.codec)
    wanted = LEGACY_GPU_PRESETS.get(gpu_preset, (gpu_preset, "hq"))
    holds = [curve for curve in calibration.curves if _why_not(curve, host) is None]
    mine = next(
        (
            curve for curve in holds
            if (curve.encoder, curve.preset) == (row.name, preset_name(*wanted))
            and (curve.gpu, curve.driver_version) == (gpu.name, gpu.driver_version)
            and curve.ffmpeg_version == build.version
        ),
        None,
    )  # fmt: skip
    reference = _first_curve(holds, cpu.name, (preset, cpu.preset_default))
    equal = None if mine is None or reference is None else equal_quality(reference, mine, crf)
    if mine is None or reference is None or equal is None:
        return None
    return CqChoice(
        cq=min(max(round(equal.quality, 1), row.crf_min), row.crf_max), calibrated=True,
        provenance=f"calibrated on {mine.gpu}, driver {mine.driver_version}, FFmpeg {mine.ffmpeg_version}, "
        f"{_date(calibration, mine)}, against {reference.encoder} {reference.preset}, {_basis(equal)}",
    )  # fmt: skip


def calibrated_default(calibration: Calibration | None, host: HostFacts, row: EncoderRow) -> tuple[float, str] | None:
    """Return the CRF at which a CPU encoder looks like x264 at its default, and what that rests on.

    ``None`` for x264 itself, and without a calibration that holds for both.
    """
    if calibration is None or row.codec == "h264":
        return None
    h264 = cpu_row("h264")
    holds = [curve for curve in calibration.curves if _why_not(curve, host) is None]
    reference = _first_curve(holds, h264.name, (h264.preset_default,))
    mine = _first_curve(holds, row.name, (row.preset_default,))
    equal = None if mine is None or reference is None else equal_quality(reference, mine, REFERENCE_CRF)
    if mine is None or equal is None:
        return None
    crf = round(equal.quality) if row.crf_integer else round(2 * equal.quality) / 2
    text = (
        f"calibrated with FFmpeg {mine.ffmpeg_version}, {_date(calibration, mine)}: looks like "
        f"{h264.name} {h264.preset_default} at CRF {REFERENCE_CRF:g}, {_basis(equal)}"
    )
    return float(min(max(crf, 0), row.crf_max)), text


def curve_states(calibration: Calibration, host: HostFacts) -> tuple[CurveState, ...]:
    """Return for each curve whether it holds on a machine as it is now."""
    return tuple(
        CurveState(encoder=curve.encoder, preset=curve.preset, why_not=_why_not(curve, host))
        for curve in calibration.curves
    )


def preset_name(preset: str, tune: str) -> str:
    """Return how a curve of NVENC names its preset and tune: ``p4``, or ``p4 ll`` for a tune other than ``hq``."""
    return preset if tune == "hq" else f"{preset} {tune}"


def _why_not(curve: Curve, host: HostFacts) -> str | None:
    """Return why a curve does not hold: its FFmpeg, its GPU or its driver is not there."""
    if not any(build.version == curve.ffmpeg_version for build in host.ffmpegs):
        return f"it was measured with FFmpeg {curve.ffmpeg_version}, which is not here"
    if curve.gpu is None:
        return None
    alike = [gpu for gpu in host.gpus if gpu.name == curve.gpu]
    if not alike:
        return f"it was measured on {curve.gpu}, which is not here"
    if not any(gpu.driver_version == curve.driver_version for gpu in alike):
        return f"it was measured with driver {curve.driver_version}; this is {alike[0].driver_version or 'unknown'}"
    return None


def _first_curve(curves: Sequence[Curve], encoder: str, presets: Sequence[str]) -> Curve | None:
    found = {curve.preset: curve for curve in reversed(curves) if curve.encoder == encoder}
    return next((found[preset] for preset in presets if preset in found), None)


def _date(calibration: Calibration, curve: Curve) -> str:
    return (curve.made_at or calibration.made_at)[:10]


def _basis(equal: EqualQuality) -> str:
    clips = f"{equal.clips} clip{'s' if equal.clips != 1 else ''}"
    spread = f"; {equal.low:.1f} to {equal.high:.1f} among them" if equal.clips > 1 else ""
    beyond = f", {equal.beyond} further off" if equal.beyond else ""
    return f"over {clips}, {equal.points} points{spread}{beyond}"
