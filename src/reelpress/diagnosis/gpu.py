"""What works on one GPU with each FFmpeg. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from reelpress.diagnosis.causes import Surroundings, number
from reelpress.diagnosis.problems import Problem, label, problems_of
from reelpress.facts.failure import FailureKind
from reelpress.facts.host import FfmpegFacts, GpuFacts, GpuPath
from reelpress.facts.values import Value
from reelpress.plan.nvenc import FEATURES
from reelpress.run.breaker import CircuitReport
from reelpress.run.gpu_failures import nvenc_versions

K = FailureKind

_FEATURE_NAMES = {
    "b_frames": "B-frames", "b_ref": "B-frames as references", "lookahead": "lookahead", "spatial_aq": "spatial AQ",
    "temporal_aq": "temporal AQ", "multipass": "multipass",
}  # fmt: skip
# An encoder that fails for one of these was past the comparison of API versions.
_API_ACCEPTED = frozenset({K.NO_GPU_ENCODER, K.GPU_FEATURE_MISSING, K.CHECK_NOT_MET})


class NeededApi(Value, frozen=True, kw_only=True):
    """The NVENC API version an FFmpeg asks for; not ``exact``: this or an older one, for it was content with this."""

    version: str
    exact: bool


class BuildReport(Value, frozen=True, kw_only=True):
    """What one FFmpeg does on one GPU: short names such as ``hevc 10-bit``; ``without`` are features left out."""

    ffmpeg: str
    encodes: tuple[str, ...] = ()
    decodes: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    busy: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


class SlotReport(Value, frozen=True, kw_only=True):
    """How many encodes run on a GPU, of how many that may; ``basis`` says where that number is from."""

    held: int
    capacity: int
    basis: str  # measured, starting_value, lowered


class GpuReport(Value, frozen=True, kw_only=True):
    """All there is to say about one GPU; ``breakers`` are the circuits that were ever in doubt."""

    gpu: GpuFacts
    builds: tuple[BuildReport, ...]
    problems: tuple[Problem, ...]
    slots: SlotReport | None = None
    breakers: tuple[CircuitReport, ...] = ()


def short_names(builds: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """Return what to call each FFmpeg (path, origin, version), by its path: ``FFmpeg 5.1.9``, more where needed."""
    found: dict[str, str] = {}
    for path, origin, version in builds:
        release = re.match(r"n?(\d+(?:\.\d+)*)", version)
        name = f"FFmpeg {release[1] if release else version}"
        found[path] = f"{name} ({origin})" if name in found.values() else name
    return found


def needed_api(ffmpeg: str, gpus: Iterable[GpuFacts]) -> NeededApi | None:
    """Return the NVENC API that an FFmpeg asks for, so far as the GPUs' drivers showed it."""
    content_with: list[str] = []
    for gpu in gpus:
        for path in gpu.paths:
            if path.ffmpeg != ffmpeg or path.kind != "encode":
                continue
            words = path.why_not or ""
            versions = nvenc_versions(words)
            if versions is not None:
                return NeededApi(version=versions[0], exact=True)
            refused_later = path.failure in _API_ACCEPTED or "OpenEncodeSessionEx" in words
            if gpu.nvenc_api and (path.state == "works" or refused_later) and path.failure is not K.DRIVER_TOO_OLD:
                content_with.append(gpu.nvenc_api)
    return NeededApi(version=min(content_with, key=number), exact=False) if content_with else None


def report(gpu: GpuFacts, builds: Sequence[FfmpegFacts], around: Surroundings) -> GpuReport:
    """Return what works on a GPU, and why the rest does not."""
    names = short_names((build.path, build.origin, build.version) for build in builds)
    return GpuReport(
        gpu=gpu, builds=tuple(_build(path, gpu) for path in names), problems=problems_of(gpu, names, around)
    )


def _build(ffmpeg: str, gpu: GpuFacts) -> BuildReport:
    ours = [path for path in gpu.paths if path.ffmpeg == ffmpeg]

    def labels(kind: str) -> tuple[str, ...]:
        return tuple(label(path) for path in ours if (path.kind, path.state) == (kind, "works"))

    return BuildReport(
        ffmpeg=ffmpeg, encodes=labels("encode"), decodes=labels("decode"), filters=labels("filter"),
        busy=tuple(f"{path.kind} {label(path)}" for path in ours if path.state == "busy"), without=_without(ours),
    )  # fmt: skip


def _without(paths: list[GpuPath]) -> tuple[str, ...]:
    """Return the features that working encoders go without: those of all of them first, then the others'."""
    encodes = [path for path in paths if path.kind == "encode" and path.state == "works"]
    found = []
    for feature in FEATURES:
        lacking = [path for path in encodes if feature not in path.features]
        if lacking:
            whose = "" if len(lacking) == len(encodes) else f" for {' and '.join(label(path) for path in lacking)}"
            found.append(_FEATURE_NAMES[feature] + whose)
    return tuple(sorted(found, key=lambda text: " for " in text))
