"""The short answer: is there a GPU encoder that works here, and if not, why in one line."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

from reelpress.facts.host import GpuFacts, HostFacts
from reelpress.facts.values import Value
from reelpress.probe.gpu_survey import Wish, driver_facts, survey
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
    """The answer for this process; that a GPU was busy is no answer to keep."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._finding: GpuFinding | None = None

    def get(self) -> GpuFinding:
        with self._lock:
            if self._finding is not None:
                return self._finding
            finding = find_gpu(probe_host())
            if not finding.busy:
                self._finding = finding
            return finding

    def clear(self) -> None:
        with self._lock:
            self._finding = None


_remembered = _Remembered()


def first_working_gpu() -> GpuFinding:
    """Look for a GPU on which H.264 encodes with any FFmpeg here; remembered for this process unless it was busy."""
    return _remembered.get()


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
