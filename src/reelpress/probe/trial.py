"""Does a CPU encoder work here? Found out by doing: encode a moving picture, decode it in software, compare.

Listing proves nothing, and neither does exit code 0. GPU encoders are tried by :mod:`reelpress.probe.gpu_survey`.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from reelpress.facts.host import EncoderFacts, FfmpegFacts
from reelpress.plan.encoders import EncoderRow, quality_args
from reelpress.run.failures import classify
from reelpress.run.process import Limits, run

_PICTURE = "testsrc2=size=640x360:rate=30:duration=1"
_FRAMES = 15
_MIN_PSNR_DB = 30.0
_TRIAL = Limits(wall_s=30, cpu_s=120)
_AVERAGE = re.compile(r"average:([0-9.]+|inf)")


def try_encoder(ffmpeg: FfmpegFacts, row: EncoderRow) -> EncoderFacts:
    """Encode half a second with an encoder, decode it in software and compare; takes about 0.3 s on a CPU."""
    if not ffmpeg.lists(row.name):
        return EncoderFacts(name=row.name, opens=False, why_not="not in this build")
    with tempfile.TemporaryDirectory(prefix="reelpress-trial-") as folder:
        out = Path(folder) / "trial.mp4"
        common = (ffmpeg.path, "-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+warning", "-y")
        picture = ("-f", "lavfi", "-i", _PICTURE)
        options = quality_args(row, crf=row.crf_default, preset=row.preset_default, hdr=None, threads=0)
        encode = (
            *common, "-xerror", *picture, "-frames:v", str(_FRAMES), "-vf", "format=yuv420p", *options,
            "-f", "mp4", f"file:{out}",
        )  # fmt: skip
        done = run(encode, limits=_TRIAL)
        failure = classify(done.returncode, done.stderr_tail, done.stopped)
        if failure is not None:
            why_not = _own_words(row, done.stderr_tail) or failure.evidence
            return EncoderFacts(name=row.name, opens=False, why_not=why_not)
        graph = f"[0:v]format=yuv420p[a];[1:v]trim=end_frame={_FRAMES},format=yuv420p[b];[a][b]psnr"
        compare = (
            *common[:-2], "level+info", "-protocol_whitelist", "file", "-i", f"file:{out}", *picture,
            "-lavfi", graph, "-f", "null", "-",
        )  # fmt: skip
        seen = run(compare, limits=_TRIAL)
    match = _AVERAGE.search(seen.stderr_tail)
    if seen.returncode != 0 or match is None:
        return EncoderFacts(name=row.name, opens=False, why_not="its output could not be decoded and compared")
    if float(match[1]) < _MIN_PSNR_DB:
        return EncoderFacts(name=row.name, opens=False, why_not=f"its pictures are wrong: PSNR {match[1]} dB")
    return EncoderFacts(name=row.name, opens=True)


def _own_words(row: EncoderRow, stderr: str) -> str | None:
    """Return what the encoder itself said first: FFmpeg's last words are only that it could not be opened."""
    match = re.search(rf"^\[{re.escape(row.name)} @ [^\]]*\] \[(?:error|fatal)\] (.+)$", stderr, re.MULTILINE)
    return match[1].strip() if match else None
