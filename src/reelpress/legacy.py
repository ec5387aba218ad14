"""The names of the first plan, thin over the engine: ``compress_video``, ``is_gpu_available``, ``get_gpu_info``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from reelpress.api import compress
from reelpress.errors import ReelpressError
from reelpress.plan.encoders import GPU_PRESETS, X264_PRESETS
from reelpress.receipt import Receipt
from reelpress.settings import load

if TYPE_CHECKING:
    from reelpress.probe.gpu_finding import GpuFinding


class VideoCompressionError(ReelpressError):
    """A video could not be compressed; ``receipt`` tells all of it, where work had begun."""

    code = "video_compression"

    def __init__(self, what: str, *, evidence: str | None = None, hint: str | None = None) -> None:
        super().__init__(what, evidence=evidence, hint=hint)
        self.receipt: Receipt | None = None


class GpuInfo(TypedDict):
    """What :func:`get_gpu_info` returns; ``None`` and a reason where no GPU works."""

    available: bool
    name: str | None
    memory_mb: int | None
    driver_version: str | None
    reason: str | None


def compress_video(
    input_path: str | os.PathLike[str],
    output_path: str | os.PathLike[str] | None = None,
    crf: float | None = None,
    max_resolution: str | tuple[int, int] | None = None,
    max_fps: float | None = None,
    audio_bitrate: str | int | None = None,
    preset: str | None = None,
    use_gpu: bool = True,
) -> tuple[Path, int]:
    """Compress a video and return the path and size in bytes of what to use from now on.

    That is the output, or the input itself where nothing smaller can be had. A ``preset`` that only NVENC knows is
    never handed to the CPU encoder. An existing output is replaced once the new one has passed its checks.

    Raises :class:`VideoCompressionError` when there is nothing to deliver.
    """
    gpu_only = preset is not None and preset in GPU_PRESETS and preset not in X264_PRESETS
    try:
        receipt = compress(
            input_path, output_path, crf=crf, max_size=max_resolution, max_fps=max_fps, audio_bitrate=audio_bitrate,
            preset=None if gpu_only else preset, hardware=None if use_gpu else "off",
            overwrite=True, settings=load({"gpu_preset": preset}) if gpu_only else None,
        )  # fmt: skip
    except ReelpressError as error:
        raise VideoCompressionError(error.what, evidence=error.evidence, hint=error.hint) from error
    if receipt.status == "skipped":
        return Path(input_path), Path(input_path).stat().st_size
    if receipt.result is None:
        failure = VideoCompressionError(
            receipt.error or f"The job ended as {receipt.status}.", evidence=receipt.evidence, hint=receipt.hint
        )
        failure.receipt = receipt
        raise failure
    return Path(receipt.result.path), receipt.result.size_bytes


def is_gpu_available() -> bool:
    """Tell whether a GPU encoder works here: it encoded, and its output was decoded and compared.

    It is tried with the FFmpeg of the settings and with those found here, as jobs do. The answer is remembered for this
    process, unless the GPU was only busy, which is a no for now. A machine without an NVIDIA device answers at once.

    Raises :class:`UsageError` for settings that cannot be meant.
    """
    return _finding().available


def get_gpu_info() -> GpuInfo:
    """Return name, memory in MB and driver version of the GPU that :func:`is_gpu_available` speaks of."""
    found = _finding()
    gpu = found.gpu
    return GpuInfo(
        available=found.available,
        name=gpu.name if gpu else None,
        memory_mb=gpu.memory_mb if gpu else None,
        driver_version=gpu.driver_version if gpu else None,
        reason=found.reason,
    )


def _finding() -> GpuFinding:
    from reelpress.probe.gpu_finding import first_working_gpu

    settings = load()
    return first_working_gpu(ffmpeg=settings.ffmpeg, cache_dir=settings.cache_path)
