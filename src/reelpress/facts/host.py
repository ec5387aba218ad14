"""What this machine is: FFmpeg builds, cores, GPUs. Hardware is handed to the planner as a fact a test can write."""

from __future__ import annotations

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


class GpuFacts(Value, frozen=True, kw_only=True):
    """One GPU as its driver describes it."""

    name: str
    uuid: str | None
    memory_mb: int | None
    driver_version: str | None


class HostFacts(Value, frozen=True, kw_only=True):
    """The machine as the planner sees it; FFmpeg builds are ordered newest first."""

    ffmpegs: tuple[FfmpegFacts, ...]
    gpus: tuple[GpuFacts, ...]
    cores: int
    memory_mb: int | None
    gpu_note: str | None = None  # why no GPU is offered, in one line
