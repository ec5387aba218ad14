"""Whether measuring can be believed: what identical pictures score, and whether they were the same pictures. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from reelpress.facts.quality import SelfTest
from reelpress.quality.looking import Times
from reelpress.quality.vmaf import LogReader

SELF_FRAMES = 8
# VMAF of identical pictures is not always 100: its models give 97.4 to 100, by how much moves. Its features are 1.
_FEATURES = ("integer_vif_scale0", "integer_vif_scale1", "integer_vif_scale2", "integer_vif_scale3", "integer_adm2")
_FEATURE_TOLERANCE = 1e-3
_SAME_S = 0.0015
# What libvmaf gives for planes that are alike: https://github.com/Netflix/vmaf/blob/master/libvmaf/src/feature/integer_psnr.c
_CEILING_DB = {"yuv420p": 60.0, "yuv420p10le": 72.0}


def judge_self(
    log: LogReader, made: Times, wanted: Times, *, expected_s: Sequence[float], late_s: float, pix_fmt: str
) -> SelfTest:
    """Judge the reference's comparison with itself.

    ``made`` and ``wanted`` are what went in on either side, ``expected_s`` when frames should have been, as was seen
    when the file was looked at from its beginning.
    """
    times = [t - late_s for t in made.at_s]

    def failed(why: str) -> SelfTest:
        return SelfTest(passed=False, frames=log.frames, why_not=why)

    if len(times) != len(expected_s) or log.frames != len(expected_s):
        return failed(f"{len(expected_s)} frames should be there, {len(times)} came, {log.frames} were scored")
    off = max((abs(a - b) for a, b in zip(times, expected_s, strict=True)), default=0.0)
    if off > _SAME_S:
        return failed(f"frames are {off * 1000:.1f} ms from where they should be")
    # times are whole microseconds; anything coarser would round the two of a pair apart
    sums = dict(zip((round(t, 6) for t in wanted.at_s), wanted.sums, strict=True))
    for time_s, checksum in zip(times, made.sums, strict=True):
        other = sums.get(round(time_s, 6))
        if other != checksum:
            return failed(f"the two pictures at {time_s:.3f} s are not the same one")
    for name in _FEATURES:
        values = log.column(name)
        if values and max(abs(value - 1) for value in values) > _FEATURE_TOLERANCE:
            return failed(f"{name} of identical pictures is {min(values):.4f}")
    ceiling = _CEILING_DB[pix_fmt]
    if any(db < ceiling - 0.01 for db in log.column("psnr_y")):
        return failed(f"PSNR of identical pictures is {min(log.column('psnr_y')):.2f} dB")
    return SelfTest(passed=True, frames=log.frames)
