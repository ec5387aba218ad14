"""FFmpeg run by hand, without the product: does this really work on this GPU, and are the pictures right?"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reelpress.facts.host import FfmpegFacts, GpuFacts

import clips

FRAMES = 48
RATE = 24
_CUDA = ("-init_hw_device", "cuda=cu:0", "-filter_hw_device", "cu")
_NVDEC = (*_CUDA, "-hwaccel", "cuda", "-hwaccel_device", "cu", "-hwaccel_output_format", "cuda")
ON_GPU = {"yuv420p": "nv12", "yuv420p10le": "p010le"}
# Encoders of the clips that are decoded; NVDEC must give the bits that the standard defines.
SOURCES = {
    ("h264", "yuv420p"): ("libx264", "-preset", "veryfast", "-bf", "2"),
    ("h264", "yuv420p10le"): ("libx264", "-preset", "veryfast"),
    ("hevc", "yuv420p"): ("libx265", "-preset", "ultrafast", "-x265-params", "log-level=error"),
    ("hevc", "yuv420p10le"): ("libx265", "-preset", "ultrafast", "-x265-params", "log-level=error"),
    ("vp9", "yuv420p"): ("libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "2M"),
    ("av1", "yuv420p"): ("libsvtav1", "-preset", "12", "-crf", "35"),
    ("mpeg2video", "yuv420p"): ("mpeg2video", "-q:v", "3", "-bf", "2"),
}


@dataclass(frozen=True)
class Seen:
    """What came out: how many pictures, and how alike, at worst, to what they should be (``inf`` for the same bits)."""

    pictures: int
    min_db: float
    words: str  # FFmpeg's last complaint

    def is_right(self, min_db: float) -> bool:
        return self.pictures == FRAMES and self.min_db >= min_db

    def tell(self) -> str:
        if self.pictures == 0:
            return self.words or "no output"
        alike = "the same bits" if self.min_db == float("inf") else f"worst picture {self.min_db:.1f} dB"
        return f"{self.pictures} of {FRAMES} pictures, {alike}"


def picture(size: str) -> tuple[str, ...]:
    return ("-f", "lavfi", "-i", f"testsrc2=size={size}:rate={RATE}:duration={FRAMES / RATE}")


def encode(gpu: GpuFacts, ffmpeg: FfmpegFacts, encoder: str, pix_fmt: str, size: str, folder: Path) -> Seen:
    """Encode test pictures with plain settings, and compare in software."""
    out = folder / "encoded.mkv"
    words = _run(gpu, ffmpeg, (*picture(size), "-pix_fmt", ON_GPU[pix_fmt], "-c:v", encoder, "-b:v", "8M"), out)
    return _compare(ffmpeg, out, picture(size), f"format={pix_fmt}", words)


def decode(gpu: GpuFacts, ffmpeg: FfmpegFacts, source: Path, pix_fmt: str, folder: Path) -> Seen:
    """Decode on the GPU, which the download proves, and compare with the software decoder."""
    out, download = folder / "decoded.nut", f"hwdownload,format={ON_GPU[pix_fmt]},format={pix_fmt}"
    raw = ("-vf", download, "-c:v", "rawvideo", "-pix_fmt", pix_fmt)
    words = _run(gpu, ffmpeg, (*_NVDEC, "-i", str(source), *raw), out)
    return _compare(ffmpeg, out, ("-i", str(source)), f"format={pix_fmt}", words)


def scale(gpu: GpuFacts, ffmpeg: FfmpegFacts, size: str, to: tuple[int, int], folder: Path) -> Seen:
    """Scale on the GPU, and compare with swscale."""
    out = folder / "scaled.nut"
    chain = f"format=nv12,hwupload,scale_cuda={to[0]}:{to[1]},hwdownload,format=nv12,format=yuv420p"
    raw = ("-vf", chain, "-c:v", "rawvideo", "-pix_fmt", "yuv420p")
    words = _run(gpu, ffmpeg, (*_CUDA, *picture(size), *raw), out)
    return _compare(ffmpeg, out, picture(size), f"format=yuv420p,scale={to[0]}:{to[1]}:flags=bicubic", words)


def clip(codec: str, pix_fmt: str, size: str, folder: Path) -> Path:
    encoder, *options = SOURCES[codec, pix_fmt]
    out = folder / f"{codec}-{pix_fmt}.mkv"
    return out if out.exists() else clips.make(out, *picture(size), "-c:v", encoder, *options, "-pix_fmt", pix_fmt)


def worst_db(ffmpeg: str, made: Path, reference: Sequence[str], chain: str) -> tuple[int, float]:
    """Return how many pictures a file has and the PSNR of the worst against a reference, all in software."""
    paired = f"format=yuv420p,settb=1/{RATE},setpts=N"  # by number: containers round times
    graph = f"[1:v]{chain},{paired}[wanted];[0:v]{paired}[got];[got][wanted]psnr"
    command = [ffmpeg, "-nostdin", "-hide_banner", "-i", str(made), *reference, "-lavfi", graph, "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    found, counted = re.findall(r"PSNR .*min:([0-9.]+|inf)", done.stderr), re.findall(r"frame=\s*(\d+)", done.stderr)
    return (int(counted[-1]), float(found[-1])) if found and counted else (0, 0.0)


def _run(gpu: GpuFacts, ffmpeg: FfmpegFacts, arguments: Sequence[str], out: Path) -> str:
    out.unlink(missing_ok=True)
    command = [ffmpeg.path, "-nostdin", "-hide_banner", "-loglevel", "warning", "-y", *arguments, str(out)]
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": gpu.uuid or "0"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        out.unlink(missing_ok=True)
    told = [line for line in done.stderr.splitlines() if "Error" in line or "fail" in line or "not " in line]
    return re.sub(r" @ 0x[0-9a-f]+", "", (told or done.stderr.splitlines() or [""])[0])[:160]


def _compare(ffmpeg: FfmpegFacts, made: Path, reference: Sequence[str], chain: str, words: str) -> Seen:
    if not made.exists():
        return Seen(0, 0.0, words)
    pictures, min_db = worst_db(ffmpeg.path, made, reference, chain)
    return Seen(pictures, min_db, words)
