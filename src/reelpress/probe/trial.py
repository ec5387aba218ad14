"""Does an encoder work here? Found out by doing: encode a moving picture, decode it in software, compare.

Listing proves nothing, and neither does exit code 0: a driver that returns black frames passes both.
"""

from __future__ import annotations

import contextlib
import functools
import re
import tempfile
from pathlib import Path

from reelpress.facts.host import EncoderFacts, FfmpegFacts, GpuFacts, HostFacts
from reelpress.facts.values import Value
from reelpress.plan.encoders import ENCODERS, EncoderRow, quality_args
from reelpress.probe.host import probe_host
from reelpress.run.failures import classify
from reelpress.run.process import Limits, run

# At least 640x360: below about 145 lines NVENC refuses and a working GPU would look absent.
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
        encode = (
            *common, "-xerror", *picture, "-frames:v", str(_FRAMES), "-vf", "format=yuv420p", *_options(row),
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


def _options(row: EncoderRow) -> tuple[str, ...]:
    if row.device == "cpu":
        return quality_args(row, crf=row.crf_default, preset=row.preset_default, hdr=None, threads=0)
    # what works on the oldest API either build needs; feature by feature comes with the GPU ladder
    return ("-c:v", row.name, "-preset", "p4", "-rc", "vbr", "-cq", f"{row.crf_default:g}", "-bf", "0")


class GpuFinding(Value, frozen=True, kw_only=True):
    """Whether a GPU encoder works, on which GPU, and if not, why in one line."""

    available: bool
    gpu: GpuFacts | None
    encoder: str | None
    reason: str | None


@functools.cache
def first_working_gpu() -> GpuFinding:
    """Look for a GPU encoder that works with any FFmpeg here; remembered for this process."""
    return find_gpu(probe_host())


def find_gpu(host: HostFacts) -> GpuFinding:
    """Try the H.264 GPU encoder with every FFmpeg of a host."""
    gpus = gpu_facts()
    gpu = gpus[0] if gpus else None
    if host.gpu_note is not None and gpu is None:
        return GpuFinding(available=False, gpu=None, encoder=None, reason=host.gpu_note)
    reasons = []
    for ffmpeg in host.ffmpegs:
        for row in ENCODERS:
            if row.name != "h264_nvenc":
                continue
            found = try_encoder(ffmpeg, row)
            if found.opens:
                return GpuFinding(available=True, gpu=gpu, encoder=row.name, reason=None)
            reasons.append(f"FFmpeg {ffmpeg.version}: {found.why_not}")
    return GpuFinding(available=False, gpu=gpu, encoder=None, reason="; ".join(reasons) or "no FFmpeg was found")


def gpu_facts() -> tuple[GpuFacts, ...]:
    """Ask NVML for the GPUs; none when the driver or its library is missing."""
    try:
        import pynvml
    except ImportError:
        return ()
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    found = []
    try:
        driver = _text(pynvml.nvmlSystemGetDriverVersion())
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            found.append(
                GpuFacts(
                    name=_text(pynvml.nvmlDeviceGetName(handle)), uuid=_text(pynvml.nvmlDeviceGetUUID(handle)),
                    memory_mb=int(pynvml.nvmlDeviceGetMemoryInfo(handle).total) // 2**20, driver_version=driver,
                )
            )  # fmt: skip
    except pynvml.NVMLError:
        return tuple(found)
    finally:
        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()
    return tuple(found)


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
