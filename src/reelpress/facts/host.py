"""What this machine is: FFmpeg builds, cores, GPUs. Hardware is handed to the planner as a fact a test can write."""

from __future__ import annotations

from typing import Literal

from reelpress.facts.calibration import Calibration
from reelpress.facts.failure import FailureKind
from reelpress.facts.values import Value


class EncoderFacts(Value, frozen=True, kw_only=True):
    """One encoder of one FFmpeg.

    ``opens`` is ``True`` only after a trial encode was decoded and compared, ``False`` after one that failed, and
    ``None`` while nobody tried: being listed is not working.
    """

    name: str
    opens: bool | None
    why_not: str | None = None


class FfmpegFacts(Value, frozen=True, kw_only=True):
    """One FFmpeg binary; ``origin`` says where it was found: ``bundled``, ``path`` or ``settings``."""

    path: str
    origin: str
    version: str
    major: int
    encoders: tuple[EncoderFacts, ...]
    filters: frozenset[str]

    def lists(self, encoder: str) -> bool:
        """Tell whether the build contains an encoder of this name."""
        return any(e.name == encoder for e in self.encoders)


class GpuPath(Value, frozen=True, kw_only=True):
    """One thing one FFmpeg was tried at on one GPU, by doing it and looking at the pictures.

    ``name`` is FFmpeg's name of the encoder (``h264_nvenc``), of the codec to decode (``h264``) or of the filter
    (``scale_cuda``); ``pix_fmt`` the frames it was tried with, in software's terms (``yuv420p``, ``yuv420p10le``).
    ``busy`` means it could not be told now, for want of a session or memory: a busy GPU is not an absent one.
    ``features`` are the optional ones a working encoder took: ``b_frames``, ``b_ref``, ``lookahead``, ``spatial_aq``,
    ``temporal_aq``, ``multipass``.
    """

    ffmpeg: str  # the binary's path
    kind: Literal["encode", "decode", "filter"]
    name: str
    pix_fmt: str
    state: Literal["works", "busy", "fails"]
    features: frozenset[str] = frozenset()
    failure: FailureKind | None = None
    why_not: str | None = None
    hint: str | None = None
    wall_s: float = 0.0


class GpuFacts(Value, frozen=True, kw_only=True):
    """One GPU as its driver describes it, and what was found to work on it.

    ``index`` is NVML's, in PCI order. ``nvenc_api`` is the newest NVENC API version the driver offers, as ``13.0``.
    ``sessions`` is how many encodes were seen to run at once, ``None`` before that was measured. ``suspended`` says why
    the GPU is not used for now although it worked before.
    """

    name: str
    uuid: str | None
    memory_mb: int | None
    driver_version: str | None
    index: int = 0
    compute_capability: str | None = None  # "8.9"
    nvenc_api: str | None = None
    paths: tuple[GpuPath, ...] = ()
    sessions: int | None = None
    suspended: str | None = None

    def path(self, ffmpeg: str, kind: str, name: str, pix_fmt: str) -> GpuPath | None:
        """Return what is known of one path, or ``None`` where nobody tried."""
        wanted = (ffmpeg, kind, name, pix_fmt)
        return next((p for p in self.paths if (p.ffmpeg, p.kind, p.name, p.pix_fmt) == wanted), None)


class HostFacts(Value, frozen=True, kw_only=True):
    """The machine as the planner sees it; FFmpeg builds are ordered newest first.

    ``calibration`` is what was last measured here; each of its curves says on what, and may no longer hold.
    """

    ffmpegs: tuple[FfmpegFacts, ...]
    gpus: tuple[GpuFacts, ...]
    cores: int
    memory_mb: int | None
    gpu_note: str | None = None  # why no GPU is offered, in one line
    calibration: Calibration | None = None

    @property
    def scorer(self) -> FfmpegFacts | None:
        """The FFmpeg that measures VMAF: the newest that has the filter ``libvmaf``, ``None`` where none has."""
        return next((build for build in self.ffmpegs if "libvmaf" in build.filters), None)
