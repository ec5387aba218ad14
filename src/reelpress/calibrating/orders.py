"""Which encoders are measured, with which presets, at which settings. Pure: the machine is a fact."""

from __future__ import annotations

from collections.abc import Sequence

from reelpress.facts.host import FfmpegFacts, GpuFacts, HostFacts
from reelpress.facts.values import Value
from reelpress.plan.calibration import preset_name
from reelpress.plan.encoders import (
    ENCODERS,
    LEGACY_GPU_PRESETS,
    NVENC_PRESETS,
    SHORTS_GPU_PRESET,
    EncoderRow,
    quality_args,
)
from reelpress.plan.gpu_ladder import b_frames_with
from reelpress.plan.nvenc import nvenc_args

# So far that what looks like x264 from CRF 19 to 28 lies within, with room for a clip on which encoders differ (on
# eight real ones x265 was equal to x264 at 23 from 20.7 to 23.1, SVT-AV1 from 27 to 35.6). Three points are what a
# curve needs to bend at all.
_QUALITIES: dict[str, tuple[float, ...]] = {
    "libx264": (17, 20, 23, 26, 30, 35),
    "libx265": (15, 18, 21, 24, 28, 34),
    "libsvtav1": (14, 22, 29, 35, 42, 51),
    "h264_nvenc": (17, 21, 25, 29, 33, 38),
    "hevc_nvenc": (17, 21, 25, 29, 33, 38),
    "av1_nvenc": (14, 22, 29, 35, 42, 51),
}
_QUICK: dict[str, tuple[float, ...]] = {
    "libx264": (18, 23, 29),
    "libx265": (16, 22, 29),
    "libsvtav1": (17, 30, 44),
    "h264_nvenc": (17, 24, 32),
    "hevc_nvenc": (17, 24, 32),
    "av1_nvenc": (17, 30, 44),
}
# Besides each encoder's default: what people name.
_NAMED: dict[str, tuple[str, ...]] = {"libx264": ("veryfast", "faster", "medium"), "libx265": (), "libsvtav1": ()}


class Order(Value, frozen=True, kw_only=True):
    """One curve to measure. ``gpu`` is the one it is pinned to; ``features`` those its encoder takes there."""

    row: EncoderRow
    build: FfmpegFacts
    preset: str
    tune: str = "hq"
    gpu: GpuFacts | None = None
    features: frozenset[str] = frozenset()
    qualities: tuple[float, ...]

    @property
    def label(self) -> str:
        """What it is called on a screen."""
        return f"{self.row.name} {preset_name(self.preset, self.tune)}"

    def options(self, quality: float) -> tuple[str, ...]:
        """Return what FFmpeg is told of the encoder, as a plan would tell it."""
        if self.gpu is None:
            told = quality_args(self.row, crf=quality, preset=self.preset, hdr=None, threads=0)
        else:
            told = nvenc_args(
                self.row, cq=quality, preset=self.preset, tune=self.tune, features=self.features,
                b_frames=b_frames_with(self.build), pix_fmt=self.row.pix_fmt,
            )  # fmt: skip
        return (*told, "-pix_fmt:v:0", self.row.pix_fmt)


def orders(
    host: HostFacts, works: Sequence[tuple[str, str]], *, gpu_preset: str, quick: bool, all_presets: bool
) -> tuple[Order, ...]:
    """Return the curves to measure on this machine, the reference first.

    ``works`` are CPU encoders that were seen to work, each with the path of the FFmpeg it did with; what works on GPUs
    stands in the facts. Of GPUs of one kind with one driver the first is measured.
    """
    qualities = _QUICK if quick else _QUALITIES
    builds = {build.path: build for build in host.ffmpegs}
    found = []
    for row in (row for row in ENCODERS if row.device == "cpu"):
        path = next((path for name, path in works if name == row.name and path in builds), None)
        if path is None:
            continue
        named = row.presets if all_presets else () if quick else _NAMED[row.name]
        found += [
            Order(row=row, build=builds[path], preset=preset, qualities=qualities[row.name])
            for preset in dict.fromkeys((row.preset_default, *named))
        ]
    seen: set[tuple[str, str | None]] = set()
    for gpu in host.gpus:
        if gpu.uuid is None or (gpu.name, gpu.driver_version) in seen:
            continue
        seen.add((gpu.name, gpu.driver_version))
        found += _on_gpu(gpu, host, qualities, gpu_preset=gpu_preset, quick=quick, all_presets=all_presets)
    return tuple(found)


def _on_gpu(
    gpu: GpuFacts, host: HostFacts, qualities: dict[str, tuple[float, ...]], *, gpu_preset: str, quick: bool,
    all_presets: bool,
) -> list[Order]:  # fmt: skip
    wanted = LEGACY_GPU_PRESETS.get(gpu_preset, (gpu_preset, "hq"))
    more = NVENC_PRESETS if all_presets else () if quick else (SHORTS_GPU_PRESET,)
    presets = dict.fromkeys((wanted, *((preset, "hq") for preset in more)))
    found = []
    for row in (row for row in ENCODERS if row.device == "nvidia"):
        # as the planner takes them: the first FFmpeg with which it works
        paths = ((build, gpu.path(build.path, "encode", row.name, "yuv420p")) for build in host.ffmpegs)
        best = next(((build, path) for build, path in paths if path is not None and path.state == "works"), None)
        if best is None:
            continue
        build, path = best
        found += [
            Order(
                row=row, build=build, preset=preset, tune=tune, gpu=gpu, features=path.features,
                qualities=qualities[row.name],
            )
            for preset, tune in presets
        ]  # fmt: skip
    return found
