"""The attempts of a clip, best first: on GPUs as far as they are proven, then on the CPU. Pure.

Pictures are always prepared in software, whose geometry and colours are what the preview shows; a GPU decodes and
encodes. Its decoder hands frames to main memory, so one that it refuses is decoded in software without a word changed.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

from reelpress.clip_request import ClipRequest
from reelpress.facts.failure import NOT_THE_INPUTS_FAULT, FailureKind
from reelpress.facts.formats import container_args
from reelpress.facts.host import FfmpegFacts, GpuFacts, HostFacts
from reelpress.facts.media import AudioTrack, MediaFacts, VideoTrack
from reelpress.facts.values import Value
from reelpress.plan.calibration import calibrated_cq
from reelpress.plan.clip_clock import Clock
from reelpress.plan.clip_graph import keeps_graph
from reelpress.plan.clip_sound import Level, sound_filters
from reelpress.plan.encoders import (
    LEGACY_GPU_PRESETS,
    SHORTS,
    SHORTS_CQ,
    SHORTS_CRF,
    SHORTS_GPU_PRESET,
    EncoderRow,
    cpu_row,
    gpu_row,
    quality_args,
)
from reelpress.plan.geometry import Size
from reelpress.plan.gpu_ladder import CUDA_DEVICE, GpuLadder, Team, teams_of
from reelpress.plan.gpu_obstacles import no_nvdec, why_no_gpu
from reelpress.plan.ladder import BUILD_FAILURES, has_filters
from reelpress.plan.model import INPUT, OUTPUT, Attempt, Reason, Rung
from reelpress.plan.nvenc import ALL_FEATURES, CqChoice, cq_for, nvenc_args

# Platforms take 12 Mbit/s at 1080p and 60 frames a second (YouTube's recommendation) and 25 at most (Instagram's
# limit); they encode again, so more is lost on them.
MAX_BITRATE_BPS = 12_000_000
MAX_GOP_S = 2.0
B_FRAMES = 2  # what YouTube recommends
_DECODE = (*CUDA_DEVICE[:2], "-hwaccel", "cuda", "-hwaccel_device", "cu")


class ClipShape(Value, frozen=True, kw_only=True):
    """A clip's encode as far as it is the same on every device."""

    media: MediaFacts
    track: VideoTrack
    audio: AudioTrack | None
    request: ClipRequest
    size: Size
    clock: Clock
    graph: str
    level: Level
    filters: frozenset[str]  # names of the filters that an FFmpeg must have
    protocols: str
    input_options: tuple[str, ...]
    prepares: str | None  # why the source cannot be decoded on a GPU


def clip_crf(request: ClipRequest) -> float:
    """Return the CRF that is asked for, on x264's scale."""
    default = SHORTS_CRF if request.preset == SHORTS else cpu_row("h264").crf_default
    return default if request.crf is None else request.crf


def cpu_attempts(shape: ClipShape, host: HostFacts) -> tuple[Attempt, ...]:
    """Return an attempt for each FFmpeg that has the encoder and the filters, newest first."""
    row, request = cpu_row("h264"), shape.request
    quality = (
        *quality_args(row, crf=clip_crf(request), preset=request.preset, hdr=None, threads=request.threads),
        "-g:v:0", str(gop_frames(shape.clock.fps)), "-bf:v:0", str(B_FRAMES),
    )  # fmt: skip
    return tuple(
        Attempt(
            encoder=row.name, device="cpu", rung="cpu", ffmpeg=build.path, falls_back_on=BUILD_FAILURES,
            args=_args(shape, quality), why=f"{row.name} on the CPU with FFmpeg {build.version} ({build.origin})",
        )
        for build in host.ffmpegs if build.lists(row.name) and has_filters(build, set(shape.filters))
    )  # fmt: skip


def gpu_attempts(shape: ClipShape, host: HostFacts) -> GpuLadder:
    """Return the attempts that encode on a GPU, and why there are none."""
    row = gpu_row("h264")
    width, height = shape.size.width, shape.size.height
    if min(width, height) < min(row.min_width, row.min_height) or max(width, height) > row.max_side:
        return GpuLadder(attempts=(), reasons=(), why_none=f"{width}x{height} is not a size that {row.name} takes")
    builds = [f for f in host.ffmpegs if f.lists(row.name) and has_filters(f, set(shape.filters))]
    teams = [
        team for build in builds
        for team in teams_of(
            host.gpus, build, row, row.pix_fmt,
            cq=lambda gpu, build=build: _cq(shape, host, row, gpu, build),  # type: ignore[misc]
            is_full=lambda gpu, build=build: _decodes(shape, gpu, build),  # type: ignore[misc]
        )
    ]  # fmt: skip
    if not teams:
        return GpuLadder(attempts=(), reasons=(), why_none=why_no_gpu(host, row, row.pix_fmt))
    rungs: tuple[Rung, ...] = ("gpu", "gpu_encode", "gpu_reduced")
    attempts = tuple(
        _on_gpu(shape, row, team, rung) for rung in rungs for team in teams
        if (rung != "gpu" or (shape.prepares is None and team.is_full)) and (rung != "gpu_reduced" or team.features)
    )  # fmt: skip
    return GpuLadder(attempts=attempts, reasons=_reasons(shape, row, teams[0]), why_none=None)


def gop_frames(fps: Fraction) -> int:
    """Return how many frames a keyframe begins at most."""
    return max(1, floor(fps * Fraction(MAX_GOP_S)))


def most_bytes(clock: Clock, audio_bitrate_bps: int) -> int:
    """Return how large a clip can become, its index included."""
    return ceil((MAX_BITRATE_BPS * 1.1 + audio_bitrate_bps) / 8 * (clock.duration_s + 4)) + 2**20


def no_gpu_decode(track: VideoTrack) -> str | None:
    """Return why a GPU should not decode a source, or ``None`` where it does that right."""
    if track.crop is not None or track.is_cut_left_or_top:
        return "it is cropped, which FFmpeg does not do to GPU frames"
    return "it is interlaced" if track.is_interlaced else no_nvdec(track)


def _decodes(shape: ClipShape, gpu: GpuFacts, build: FfmpegFacts) -> bool:
    path = gpu.path(build.path, "decode", shape.track.codec, shape.track.pix_fmt or "")
    return path is not None and path.state != "fails"


def _cq(shape: ClipShape, host: HostFacts, row: EncoderRow, gpu: GpuFacts, build: FfmpegFacts) -> CqChoice:
    if shape.request.preset == SHORTS and shape.request.crf is None:
        return CqChoice(cq=SHORTS_CQ, provenance="the preset's own", calibrated=False)
    crf = clip_crf(shape.request)
    measured = None if shape.request.calibration == "off" else calibrated_cq(
        host.calibration, gpu, build, host, row, preset=shape.request.preset, gpu_preset=SHORTS_GPU_PRESET,
        crf=crf,
    )  # fmt: skip
    return measured or cq_for(row, gpu.compute_capability, crf)


def _on_gpu(shape: ClipShape, row: EncoderRow, team: Team, rung: Rung) -> Attempt:
    features = frozenset() if rung == "gpu_reduced" else team.features
    preset, tune = LEGACY_GPU_PRESETS.get(SHORTS_GPU_PRESET, (SHORTS_GPU_PRESET, "hq"))
    quality = nvenc_args(
        row, cq=team.cq.cq, preset=preset, tune=tune, features=features, b_frames=min(B_FRAMES, team.b_frames),
        gop_frames=gop_frames(shape.clock.fps),
    )  # fmt: skip
    what = {
        "gpu": f"{row.name}, decoded on the GPU too,",
        "gpu_encode": f"{row.name}, decoded in software,",
        "gpu_reduced": f"{row.name} without its optional features",
    }[rung]
    return Attempt(
        encoder=row.name, device="nvidia", rung=rung, ffmpeg=team.build.path, falls_back_on=NOT_THE_INPUTS_FAULT,
        args=_args(shape, quality, _DECODE if rung == "gpu" else ()), gpus=team.gpus,
        why=f"{what} with FFmpeg {team.build.version} ({team.build.origin})",
        only_after=(FailureKind.GPU_FEATURE_MISSING, FailureKind.GPU_UNSUPPORTED) if rung == "gpu_reduced" else (),
    )  # fmt: skip


def _reasons(shape: ClipShape, row: EncoderRow, team: Team) -> tuple[Reason, ...]:
    text = f"{row.name}, preset {SHORTS_GPU_PRESET}, CQ {team.cq.cq:g}."
    reasons = [Reason(code="gpu_settings", text=text, fact=team.cq.provenance)]
    if missing := sorted(ALL_FEATURES - team.features):
        text = f"This GPU's encoder works without {', '.join(missing)}."
        reasons.append(Reason(code="gpu_features", text=text, fact=None))
    why = shape.prepares or (None if team.is_full else f"it does not decode {shape.track.codec} {shape.track.pix_fmt}")
    if why is not None:
        reasons.append(Reason(code="gpu_encode_only", text=f"Only encoded on the GPU: {why}.", fact=None))
    return tuple(reasons)


def input_args(
    media: MediaFacts, request: ClipRequest, clock: Clock, protocols: str, options: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Return everything from the allow-lists up to ``-i``: one protocol, one container, one place to begin at."""
    return (
        "-protocol_whitelist", protocols, *container_args(media.container),
        "-max_pixels", str(request.max_pixels), *options, *clock.seek_args, "-i",
    )  # fmt: skip


def _args(shape: ClipShape, quality: tuple[str, ...], decode: tuple[str, ...] = ()) -> tuple[str, ...]:
    request, fps, audio = shape.request, shape.clock.fps, shape.audio
    sound: tuple[str, ...] = ("-an",)
    if audio is not None:
        sound = (
            "-map", f"0:{audio.index}", "-filter:a:0", ",".join(sound_filters(shape.clock, shape.level)),
            # FFmpeg's own default coder may begin a clip 3.5 dB too high where sound is cut in the middle
            "-c:a:0", "aac", "-aac_coder:a:0", "fast", "-b:a:0", str(request.audio_bitrate_bps),
            "-ar:a:0", "48000", "-ac:a:0", "2",
        )  # fmt: skip
    title = () if request.name is None else ("-metadata", f"title={request.name}")
    return (
        "-hide_banner", "-nostdin", "-nostats", "-loglevel", "repeat+level+verbose",
        "-progress", "pipe:1", "-stats_period", "0.25", "-y",
        *decode, *(("-reinit_filter:v", "0") if keeps_graph(shape.track) else ()),
        *input_args(shape.media, request, shape.clock, shape.protocols, shape.input_options), INPUT,
        "-filter_complex", shape.graph, "-map", "[v]",
        *quality, "-maxrate:v:0", str(MAX_BITRATE_BPS), "-bufsize:v:0", str(2 * MAX_BITRATE_BPS),
        "-pix_fmt:v:0", "yuv420p", "-color_primaries:v:0", "bt709", "-color_trc:v:0", "bt709",
        "-colorspace:v:0", "bt709", "-color_range:v:0", "tv",
        "-r:v:0", f"{fps.numerator}/{fps.denominator}", "-fps_mode:v:0", "cfr",
        *sound, "-sn", "-dn", "-map_metadata", "-1", "-map_chapters", "-1", *title, "-write_tmcd", "0",
        # without an edit list nothing but offsets of composition below 0 has pictures begin at 0
        "-max_muxing_queue_size", "4096", "-use_editlist", "0", "-movflags", "+faststart+negative_cts_offsets",
        "-f", "mp4", OUTPUT,
    )  # fmt: skip
