"""The rungs of the ladder that use a GPU, best first, and why a rung is not there. Pure.

All on the GPU comes first where every step is right there; the facts of the input decide that. What NVDEC, CUDA
filters or NVENC would get wrong, or refuse, is done in software and only encoded on the GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from reelpress.facts.failure import NOT_THE_INPUTS_FAULT, FailureKind
from reelpress.facts.host import FfmpegFacts, GpuFacts, HostFacts
from reelpress.facts.values import Value
from reelpress.plan.calibration import calibrated_cq
from reelpress.plan.encoders import LEGACY_GPU_PRESETS, EncoderRow, gpu_row, quality_args
from reelpress.plan.gpu_obstacles import (
    FED_AS,
    aliases,
    keeps_colour,
    no_encode,
    software_steps,
    why_none_encodes,
)
from reelpress.plan.ladder import Shape, encode_args, has_filters, needed_filters, with_audio_encoded
from reelpress.plan.model import Attempt, Reason, Rung
from reelpress.plan.nvenc import ALL_FEATURES, B_FRAMES, CqChoice, cq_for, nvenc_args
from reelpress.plan.tracks import TrackPlan

# A device of its own name for decoder and filters alike; the job's GPU is the only one FFmpeg sees.
CUDA_DEVICE = ("-init_hw_device", "cuda=cu:0", "-filter_hw_device", "cu")
NVDEC = (
    *CUDA_DEVICE, "-hwaccel", "cuda", "-hwaccel_device", "cu", "-hwaccel_output_format", "cuda",
    "-extra_hw_frames", "4",
)  # fmt: skip
# Frames that NVDEC refused arrive in main memory: these two take either kind.
_TO_GPU = ("format=nv12|cuda", "hwupload")
# Older FFmpeg dates the decoding of NVENC's B-frames by ticks of the encoder's clock instead of by frames. The
# clock here is finer than frames; the muxer finds pictures decoded after they are shown, and moves them. 5.1 does so,
# 9.0 does not, and what lies between was not tried.
_DATES_B_FRAMES_SINCE = 9
# NVENC is said to be behind by as many frames as it may put between two others. Where that is three and the video
# starts less than three frames late, FFmpeg 9 writes an edit list from which players of FFmpeg's make a start at 0.
_B_FRAMES_OF_LATE_STARTS = 2
_LATE_S = 0.001
# Decoding and scaling on a GPU for an encoder on the CPU pays when they are most of the work: a source of this many
# times the output's pixels. Not yet measured on hardware.
HYBRID_FROM_PIXEL_RATIO = 4.0


class GpuLadder(Value, frozen=True, kw_only=True):
    """The GPU attempts, best first, the settings of the first, and why they are as they are."""

    attempts: tuple[Attempt, ...]
    reasons: tuple[Reason, ...]
    why_none: str | None  # why a GPU encoder is not used, in one line


class Team(NamedTuple):
    """GPUs that can do the same with one FFmpeg: any of them may run an attempt."""

    build: FfmpegFacts
    gpus: tuple[str, ...]
    features: frozenset[str]
    is_full: bool  # decodes this input and scales
    cq: CqChoice

    @property
    def b_frames(self) -> int:
        """How many B-frames between two others this FFmpeg gets right, where the GPU has them."""
        return b_frames_with(self.build)


def b_frames_with(build: FfmpegFacts) -> int:
    """Return how many B-frames between two others an FFmpeg gets right."""
    return B_FRAMES if build.major >= _DATES_B_FRAMES_SINCE else 0


def gpu_ladder(shape: Shape, host: HostFacts, cpu: EncoderRow, *, preset: str, still: bool) -> GpuLadder:
    """Return the attempts that encode on a GPU, or where none can, decode on one if that pays."""
    row = gpu_row(shape.request.codec)
    pix_fmt = shape.colour.pix_fmt
    if (obstacle := no_encode(shape, row)) is not None:
        return GpuLadder(attempts=(), reasons=(), why_none=obstacle)
    off_gpu = software_steps(shape)
    builds = [f for f in host.ffmpegs if f.lists(row.name) and keeps_colour(shape, f)]
    teams = [
        team for build in builds
        for team in teams_of(
            host.gpus, build, row, pix_fmt, is_full=lambda gpu, build=build: _is_full(shape, gpu, build),  # type: ignore[misc]
            cq=lambda gpu, build=build: _cq(shape, host, row, gpu, build, preset),  # type: ignore[misc]
        )
    ]  # fmt: skip
    if not teams:
        return GpuLadder(
            attempts=_hybrid(shape, host, cpu, preset=preset, still=still) if off_gpu is None else (), reasons=(),
            why_none=why_none_encodes(shape, host, row),
        )  # fmt: skip
    rungs: dict[Rung, list[tuple[Team, tuple[Attempt, ...]]]] = {"gpu": [], "gpu_encode": [], "gpu_reduced": []}
    for team in teams:
        if off_gpu is None and team.is_full and not aliases(shape, team.build):
            rungs["gpu"].append((team, _attempts(shape, row, team, "gpu")))
        if has_filters(team.build, needed_filters(shape.filters)):
            rungs["gpu_encode"].append((team, _attempts(shape, row, team, "gpu_encode")))
            if team.features:
                rungs["gpu_reduced"].append((team, _attempts(shape, row, team, "gpu_reduced")))
    made = [each for rung in rungs.values() for each in rung]
    if not made:
        why = f"the FFmpeg that encodes with {row.name} here lacks filters that this input needs"
        return GpuLadder(attempts=(), reasons=(), why_none=why)
    attempts = tuple(attempt for _, several in made for attempt in several)
    return GpuLadder(attempts=attempts, reasons=_reasons(shape, row, made[0][0], off_gpu), why_none=None)


def _cq(
    shape: Shape, host: HostFacts, row: EncoderRow, gpu: GpuFacts, build: FfmpegFacts, preset: str
) -> CqChoice:  # fmt: skip
    """Return the CQ that was found for this very input, or one for the CRF: as measured here, or the table's."""
    request = shape.request
    if request.cq is not None:
        return CqChoice(cq=request.cq, provenance="found by trials on samples of this input", calibrated=True)
    measured = None if request.calibration == "off" else calibrated_cq(
        host.calibration, gpu, build, host, row, preset=preset, gpu_preset=request.gpu_preset, crf=shape.crf
    )  # fmt: skip
    return measured or cq_for(row, gpu.compute_capability, shape.crf)


def teams_of(
    gpus: tuple[GpuFacts, ...], build: FfmpegFacts, row: EncoderRow, pix_fmt: str, *,
    is_full: Callable[[GpuFacts], bool], cq: Callable[[GpuFacts], CqChoice],
) -> tuple[Team, ...]:  # fmt: skip
    """Return the GPUs that encode with one FFmpeg, those that can do the same together."""
    found: dict[tuple[frozenset[str], bool, CqChoice], list[str]] = {}
    for gpu in gpus:
        encode = gpu.path(build.path, "encode", row.name, pix_fmt)
        if gpu.uuid is None or gpu.suspended is not None or encode is None or encode.state == "fails":
            continue
        # what a busy GPU can do is not known yet; a feature it lacks leads to the rung without
        features = encode.features if encode.state == "works" else ALL_FEATURES
        found.setdefault((features, is_full(gpu), cq(gpu)), []).append(gpu.uuid)
    return tuple(Team(build, tuple(uuids), *key) for key, uuids in found.items())


def _is_full(shape: Shape, gpu: GpuFacts, build: FfmpegFacts) -> bool:
    source = shape.track.pix_fmt or ""
    paths = (
        gpu.path(build.path, "decode", shape.track.codec, source),
        gpu.path(build.path, "filter", "scale_cuda", "yuv420p"),
    )
    # of a busy one the best is assumed, as of an encoder
    return all(path is not None and path.state != "fails" for path in paths)


def _attempts(shape: Shape, row: EncoderRow, team: Team, rung: Rung) -> tuple[Attempt, ...]:
    features = frozenset() if rung == "gpu_reduced" else team.features
    fed = FED_AS[shape.colour.pix_fmt]
    preset, tune = LEGACY_GPU_PRESETS.get(shape.request.gpu_preset, (shape.request.gpu_preset, "hq"))
    b_frames = min(team.b_frames, _B_FRAMES_OF_LATE_STARTS) if _starts_late(shape) else team.b_frames
    quality = nvenc_args(
        row, cq=team.cq.cq, preset=preset, tune=tune, features=features, b_frames=b_frames, pix_fmt=fed
    )
    on_gpu = rung == "gpu"
    what = {
        "gpu": f"{row.name}, decoded and scaled on the GPU too,",
        "gpu_encode": f"{row.name}, pictures prepared in software,",
        "gpu_reduced": f"{row.name} without its optional features",
    }[rung]

    def make(tracks: TrackPlan, why: str, after: tuple[FailureKind, ...]) -> Attempt:
        args = encode_args(
            shape, tracks, quality=quality, decode=NVDEC if on_gpu else (), pix_fmt=None if on_gpu else fed,
            filters=(*_gpu_filters(shape),) if on_gpu else shape.filters,
        )  # fmt: skip
        return Attempt(
            encoder=row.name, device="nvidia", rung=rung, ffmpeg=team.build.path, args=args, falls_back_on=after,
            why=why, gpus=team.gpus,
            only_after=(FailureKind.GPU_FEATURE_MISSING, FailureKind.GPU_UNSUPPORTED) if rung == "gpu_reduced" else (),
        )  # fmt: skip

    why = f"{what} with FFmpeg {team.build.version} ({team.build.origin})"
    return with_audio_encoded(shape, why, NOT_THE_INPUTS_FAULT, make)


def _starts_late(shape: Shape) -> bool:
    video, file = shape.track.start_s, shape.media.start_s
    return video is not None and file is not None and video - file > _LATE_S


def _gpu_filters(shape: Shape) -> tuple[str, ...]:
    # Always a copy: NVENC's lookahead would keep frames of the decoder's own pool, and FFmpeg 5.1 end with
    # "No decoder surfaces left".
    scale = f"scale_cuda=w={shape.size.width}:h={shape.size.height}:format=nv12:passthrough=0"
    tags = (f"setparams={shape.colour.tags}",) if shape.colour.tags else ()
    return (*shape.clock.filters, *_TO_GPU, scale, "setsar=1", *tags)


def _hybrid(shape: Shape, host: HostFacts, cpu: EncoderRow, *, preset: str, still: bool) -> tuple[Attempt, ...]:
    """Return attempts that decode and scale on a GPU without an encoder, where that may pay."""
    track = shape.track
    if track.width * track.height < HYBRID_FROM_PIXEL_RATIO * shape.size.width * shape.size.height:
        return ()
    quality = quality_args(
        cpu, crf=shape.crf, preset=preset, hdr=None, threads=shape.request.threads, still=still, fps=shape.clock.fps
    )
    *before, scale, sar = (f for f in _gpu_filters(shape) if not f.startswith("setparams"))
    tags = (f"setparams={shape.colour.tags}",) if shape.colour.tags else ()
    filters = (*before, scale, "hwdownload", "format=nv12", f"format={cpu.pix_fmt}", sar, *tags)
    attempts: tuple[Attempt, ...] = ()
    for build in host.ffmpegs:
        gpus = tuple(g.uuid for g in host.gpus if g.uuid and g.suspended is None and _is_full(shape, g, build))
        if not gpus or not build.lists(cpu.name) or aliases(shape, build):
            continue

        def make(
            tracks: TrackPlan, why: str, after: tuple[FailureKind, ...], build: FfmpegFacts = build,
            gpus: tuple[str, ...] = gpus,
        ) -> Attempt:  # fmt: skip
            args = encode_args(shape, tracks, filters=filters, quality=quality, decode=NVDEC, pix_fmt=cpu.pix_fmt)
            return Attempt(
                encoder=cpu.name, device="cpu", rung="gpu_decode", ffmpeg=build.path, args=args, falls_back_on=after,
                why=why, gpus=gpus,
            )  # fmt: skip

        why = f"{cpu.name} on the CPU, decoded and scaled on the GPU, with FFmpeg {build.version} ({build.origin})"
        attempts += with_audio_encoded(shape, why, NOT_THE_INPUTS_FAULT, make)
    return attempts


def _reasons(shape: Shape, row: EncoderRow, team: Team, off_gpu: str | None) -> tuple[Reason, ...]:
    cq = team.cq
    word = "calibrated" if cq.calibrated else "uncalibrated"
    text = f"{row.name}, CQ {cq.cq:g} for CRF {shape.crf:g} ({word})."
    if shape.request.cq is not None:
        text = f"{row.name}, CQ {cq.cq:g}."
    reasons = [Reason(code="gpu_settings", text=text, fact=cq.provenance)]
    if missing := sorted(ALL_FEATURES - team.features):
        text = f"This GPU's encoder works without {', '.join(missing)}."
        reasons.append(Reason(code="gpu_features", text=text, fact=None))
    if "b_frames" in team.features and team.b_frames == 0:
        text = f"FFmpeg {team.build.version} gets the times of NVENC's B-frames wrong: it makes none."
        reasons.append(Reason(code="gpu_no_b_frames", text=text, fact=team.build.version))
    if off_gpu is not None:
        reasons.append(Reason(code="gpu_encode_only", text=f"Only encoded on the GPU: {off_gpu}.", fact=None))
    elif not team.is_full:
        text = f"Only encoded on the GPU: it does not decode {shape.track.codec} {shape.track.pix_fmt}, or scale."
        reasons.append(Reason(code="gpu_encode_only", text=text, fact=None))
    elif aliases(shape, team.build):
        text = f"Only encoded on the GPU: FFmpeg {team.build.version} scales down too coarsely there."
        reasons.append(Reason(code="gpu_encode_only", text=text, fact=None))
    return tuple(reasons)
