"""The short answer: is there a GPU encoder that works here, and if not, why in one line."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

from reelpress.facts.host import GpuFacts, HostFacts
from reelpress.facts.values import Value
from reelpress.probe.gpu_survey import driver_facts, survey
from reelpress.probe.gpu_wishes import Wish
from reelpress.probe.host import probe_host

_H264 = (Wish(kind="encode", name="h264_nvenc"),)


class GpuFinding(Value, frozen=True, kw_only=True):
    """Whether a GPU encoder works, on which GPU, and if not, why in one line; ``busy`` may be otherwise later."""

    available: bool
    gpu: GpuFacts | None
    encoder: str | None
    reason: str | None
    busy: bool = False


class _Remembered:
    """The answers for this process, by FFmpeg and cache folder; that a GPU was busy is no answer to keep."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._findings: dict[tuple[str | None, Path | None], GpuFinding] = {}

    def get(self, ffmpeg: str | None, cache_dir: Path | None) -> GpuFinding:
        with self._lock:
            found = self._findings.get((ffmpeg, cache_dir))
            if found is None:
                found = find_gpu(probe_host(ffmpeg=ffmpeg, cache_dir=cache_dir), cache_dir=cache_dir)
                if not found.busy:
                    self._findings[ffmpeg, cache_dir] = found
            return found

    def clear(self) -> None:
        with self._lock:
            self._findings.clear()


_remembered = _Remembered()


def first_working_gpu(*, ffmpeg: str | None = None, cache_dir: Path | None = None) -> GpuFinding:
    """Look for a GPU on which H.264 encodes with any FFmpeg here; remembered for this process unless it was busy.

    ``ffmpeg`` is a binary named in the settings. Raises as :func:`reelpress.probe.host.probe_host`.
    """
    return _remembered.get(ffmpeg, cache_dir)


def forget_finding() -> None:
    """Have :func:`first_working_gpu` look again."""
    _remembered.clear()


def find_gpu(host: HostFacts, *, cache_dir: Path | None = None) -> GpuFinding:
    """Try the H.264 encoder on every GPU of a host, with its newest FFmpeg first, or remember how that went."""
    if host.gpu_note is not None:
        return GpuFinding(available=False, gpu=None, encoder=None, reason=host.gpu_note)
    gpus = survey(host, wanted=_H264, cache_dir=cache_dir)
    notes = () if gpus else driver_facts(cache_dir=cache_dir).notes
    return finding_of(gpus, host, notes=notes)


def finding_of(gpus: Iterable[GpuFacts], host: HostFacts, *, notes: tuple[str, ...] = ()) -> GpuFinding:
    """Return the short answer that a survey gives; ``notes`` are the driver's, for when it listed no GPU."""
    gpus = tuple(gpus)
    versions = {build.path: build.version for build in host.ffmpegs}
    for state in ("works", "busy"):
        for gpu in gpus:
            for path in gpu.paths:
                if path.kind == "encode" and path.state == state:
                    busy = state == "busy"
                    reason = f"busy: {path.why_not}" if busy else None
                    return GpuFinding(available=not busy, gpu=gpu, encoder=path.name, reason=reason, busy=busy)
    reasons = [
        f"FFmpeg {versions.get(path.ffmpeg, path.ffmpeg)}: {path.why_not}"
        for gpu in gpus
        for path in gpu.paths
        if path.kind == "encode" and path.name == "h264_nvenc"
    ]
    if not host.ffmpegs:
        reasons = ["no FFmpeg was found"]
    reason = "; ".join(dict.fromkeys(reasons or notes)) or "the NVIDIA driver lists no GPU"
    return GpuFinding(available=False, gpu=gpus[0] if gpus else None, encoder=None, reason=reason)
