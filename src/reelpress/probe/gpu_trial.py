"""Does a GPU encoder work, with which features, and how many at once? Found out with the product's own options."""

from __future__ import annotations

import re

import msgspec

from reelpress.facts.failure import FailureKind
from reelpress.facts.host import GpuPath
from reelpress.plan.encoders import ENCODERS, EncoderRow
from reelpress.plan.nvenc import ALL_FEATURES, FEATURES, cq_for, nvenc_args
from reelpress.probe.gpu_bench import FRAMES, Bench, Verdict, compare, failure_of, is_busy, judge, picture, try_path

K = FailureKind

# At least 640x360: below about 145 lines NVENC refuses and a working GPU would look absent.
_WIDTH, _HEIGHT = 640, 360
_MIN_DB = 30.0
_PRESET = "p4"  # NVENC's own default; presets differ in effort, not in what the chip must be able to do
_FED = {"yuv420p": "yuv420p", "yuv420p10le": "p010le"}  # what NVENC takes, by what software calls it
# What FFmpeg says of a feature the chip lacks, all at warning level; it stops at the first, so one trial names one.
_MISSING = {
    "b_frames": re.compile(r"Max B-frames \d+ exceed"),
    "b_ref": re.compile(r"B frame (as reference|reference mode) is not supported|B frames as references are not"),
    "lookahead": re.compile(r"(RC lookahead|Lookahead level) not supported"),
    "spatial_aq": re.compile(r"Spatial AQ not supported"),
    "temporal_aq": re.compile(r"Temporal AQ not supported"),
}
# Refused without a name, by the driver: unsupported or invalid parameters.
_NAMELESS = re.compile(r"InitializeEncoder failed: (unsupported|invalid) param")


def gpu_row(name: str) -> EncoderRow:
    """Return the row of a GPU encoder."""
    return next(row for row in ENCODERS if row.name == name and row.device == "nvidia")


def try_encode(bench: Bench, name: str, pix_fmt: str, *, first: bool) -> GpuPath:
    """Encode, decode in software and compare; a feature that the chip lacks is left out and the rest tried again.

    ``first`` allows for a GPU that has to start. A busy GPU is asked again for a second or so.
    """
    if not bench.ffmpeg.lists(name):
        missing = Verdict(failure=K.ENCODER_MISSING, words="not in this build")
        return try_path(bench, "encode", name, pix_fmt, lambda: missing)
    wall_s = bench.limits.first_s if first else bench.limits.later_s
    return try_path(bench, "encode", name, pix_fmt, lambda: _encode(bench, gpu_row(name), pix_fmt, wall_s))


def _encode(bench: Bench, row: EncoderRow, pix_fmt: str, wall_s: float) -> Verdict:
    features = ALL_FEATURES
    verdict = Verdict()
    for _ in range(len(FEATURES) + 1):
        verdict, stderr = _encode_with(bench, row, pix_fmt, features, wall_s)
        if verdict.failure not in {K.GPU_FEATURE_MISSING, K.GPU_UNSUPPORTED}:
            break
        named = {feature for feature, said in _MISSING.items() if feature in features and said.search(stderr)}
        if not named and _NAMELESS.search(stderr):
            named = set(features)
        if not named:
            break
        # a B-frame cannot be a reference where there is none
        features -= named | ({"b_ref"} if "b_frames" in named else set())
    return msgspec.structs.replace(verdict, features=features) if verdict.failure is None else verdict


def _encode_with(
    bench: Bench, row: EncoderRow, pix_fmt: str, features: frozenset[str], wall_s: float
) -> tuple[Verdict, str]:
    out = bench.folder / f"{row.name}-{pix_fmt}.mp4"
    done = bench.run(
        "-xerror", *picture(_WIDTH, _HEIGHT), "-frames:v", str(FRAMES), "-vf", f"format={_FED[pix_fmt]}",
        *_options(bench, row, pix_fmt, features), "-f", "mp4", f"file:{out}", wall_s=wall_s,
    )  # fmt: skip
    if failed := failure_of(done, row.name):
        return failed, done.stderr_tail
    seen = compare(bench, out, picture(_WIDTH, _HEIGHT), "null", pix_fmt)
    return judge(seen, min_db=_MIN_DB), done.stderr_tail


def _options(bench: Bench, row: EncoderRow, pix_fmt: str, features: frozenset[str]) -> tuple[str, ...]:
    cq = cq_for(row, bench.compute_capability, row.crf_default).cq
    return nvenc_args(row, cq=cq, preset=_PRESET, features=features, pix_fmt=_FED[pix_fmt])


def count_sessions(bench: Bench, path: GpuPath, *, most: int = 4) -> int | None:
    """Return how many encodes run at once on this GPU now, at most ``most``, or ``None`` where that cannot be told.

    ``path`` is an encode that works. One FFmpeg feeds as many encoders as are asked for, and fewer when the GPU
    refuses. What other processes hold is not counted and not available: the figure is a floor.
    """
    row = gpu_row(path.name)
    one = (
        "-map", "0:v:0", "-frames:v", str(FRAMES), "-vf", f"format={_FED[path.pix_fmt]}",
        *_options(bench, row, path.pix_fmt, path.features), "-f", "null", "-",
    )  # fmt: skip
    for count in range(most, 0, -1):
        done = bench.run("-xerror", *picture(_WIDTH, _HEIGHT), *(one * count), wall_s=bench.limits.later_s)
        failed = failure_of(done, row.name)
        if failed is None:
            return count
        if not is_busy(failed.failure):
            return None
    return 0
