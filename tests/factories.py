"""Facts with defaults, so that a test states only the fact it is about."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import msgspec

from reelpress.facts.failure import FailureKind
from reelpress.facts.host import EncoderFacts, FfmpegFacts, GpuFacts, GpuPath, HostFacts
from reelpress.facts.media import AudioTrack, Colour, MediaFacts, OtherTrack, SubtitleTrack, VideoTrack
from reelpress.plan.nvenc import ALL_FEATURES

FILTERS = frozenset(
    {"scale", "format", "setsar", "setparams", "select", "settb", "setpts", "bwdif", "zscale", "tonemap", "crop", "pad"}
)


CUDA_FILTERS = frozenset({"hwupload", "hwdownload", "scale_cuda"})
NEW, OLD = "/opt/ffmpeg9", "/usr/bin/ffmpeg"


def video(**changes: Any) -> VideoTrack:
    """1080p30 H.264 at 8 Mb/s for 10 s; display size follows width, height, aspect and rotation unless given."""
    base = VideoTrack(
        index=0, codec="h264", profile="High", codec_tag="avc1", width=1920, height=1080,
        sample_aspect_ratio=Fraction(1), rotation_deg=0, mirrored=False, display_width=1920, display_height=1080,
        pix_fmt="yuv420p", bit_depth=8, chroma="420", has_alpha=False, colour=Colour(), field_order="progressive",
        is_interlaced=False, time_base=Fraction(1, 15360), fps_avg=Fraction(30), fps_nominal=Fraction(30),
        fps_peak=30.0, is_vfr=False, frames=300, start_s=0.0, duration_s=10.0, size_bytes=10_000_000,
        bitrate_bps=8_000_000, keyframes=2, has_closed_captions=False, edits=(), decodes=True, changes_size=False,
    )  # fmt: skip
    track = msgspec.structs.replace(base, **changes)
    if not {"display_width", "display_height"} & changes.keys():
        shown = (round(track.width * track.sample_aspect_ratio), track.height)
        if track.rotation_deg in (90, 270):
            shown = shown[::-1]
        track = msgspec.structs.replace(track, display_width=shown[0], display_height=shown[1])
    return track


def audio(**changes: Any) -> AudioTrack:
    """Stereo AAC at 128 kb/s."""
    base = AudioTrack(
        index=1, codec="aac", profile="LC", sample_rate_hz=48_000, channels=2, layout="stereo", bitrate_bps=128_000,
        size_bytes=160_000, start_s=0.0, duration_s=10.0, language="und", title=None, is_default=True, edits=(),
        decodes=True,
    )  # fmt: skip
    return msgspec.structs.replace(base, **changes)


def subtitle(**changes: Any) -> SubtitleTrack:
    base = SubtitleTrack(
        index=2, codec="subrip", is_text=True, language="eng", title=None, is_default=False, is_forced=False
    )
    return msgspec.structs.replace(base, **changes)


def other(**changes: Any) -> OtherTrack:
    return msgspec.structs.replace(OtherTrack(index=3, kind="data", codec="tmcd", title=None), **changes)


def media(*tracks: Any, **changes: Any) -> MediaFacts:
    """An MP4 with the given tracks, or one video and one audio track."""
    tracks = tracks or (video(), audio())

    def of(kind: type) -> tuple[Any, ...]:
        return tuple(t for t in tracks if isinstance(t, kind))

    base = MediaFacts(
        size_bytes=10_200_000, container="mov,mp4,m4a,3gp,3g2,mj2", duration_s=10.0, header_duration_s=10.0,
        start_s=0.0, is_faststart=True, is_fragmented=False, scan_complete=True, video=of(VideoTrack),
        audio=of(AudioTrack), subtitles=of(SubtitleTrack), other=of(OtherTrack), chapters=(), title=None,
        creation_time=None, location=None, unknown={}, damage=(),
    )  # fmt: skip
    return msgspec.structs.replace(base, **changes)


def ffmpeg(**changes: Any) -> FfmpegFacts:
    names = ("libx264", "libx265", "libsvtav1", "aac", "h264_nvenc", "hevc_nvenc")
    base = FfmpegFacts(
        path=NEW, origin="bundled", version="n9.0.2", major=9,
        encoders=tuple(EncoderFacts(name=n, opens=None) for n in names), filters=FILTERS,
    )  # fmt: skip
    return msgspec.structs.replace(base, **changes)


def old_ffmpeg(**changes: Any) -> FfmpegFacts:
    """Debian 12's, which has no av1_nvenc."""
    said = {"path": OLD, "origin": "path", "version": "5.1.9-0+deb12u1", "major": 5}
    return ffmpeg(**{**said, **changes})


def host(*builds: FfmpegFacts, **changes: Any) -> HostFacts:
    """A CPU machine with FFmpeg 9 and 5.1."""
    base = HostFacts(
        ffmpegs=builds or (ffmpeg(), old_ffmpeg()), gpus=(), cores=4, memory_mb=8192,
        gpu_note="no NVIDIA device on this machine",
    )  # fmt: skip
    return msgspec.structs.replace(base, **changes)


# --- GPUs, as the survey describes them ---

DECODED = (
    ("h264", "yuv420p"), ("hevc", "yuv420p"), ("hevc", "yuv420p10le"), ("vp9", "yuv420p"), ("av1", "yuv420p"),
    ("mpeg2video", "yuv420p"),
)  # fmt: skip
ENCODED = (
    ("h264_nvenc", "yuv420p"), ("hevc_nvenc", "yuv420p"), ("hevc_nvenc", "yuv420p10le"), ("av1_nvenc", "yuv420p"),
    ("av1_nvenc", "yuv420p10le"),
)  # fmt: skip


def gpu_path(kind: Any, name: str, pix_fmt: str = "yuv420p", **changes: Any) -> GpuPath:
    """A path that works, with all features where it encodes."""
    features = ALL_FEATURES if kind == "encode" else frozenset()
    base = GpuPath(ffmpeg=NEW, kind=kind, name=name, pix_fmt=pix_fmt, state="works", features=features)
    return msgspec.structs.replace(base, **changes)


def failing(kind: Any, name: str, pix_fmt: str = "yuv420p", **changes: Any) -> GpuPath:
    told = {"state": "fails", "failure": FailureKind.GPU_UNSUPPORTED, "why_not": "Codec not supported"}
    return gpu_path(kind, name, pix_fmt, **{"features": frozenset(), **told, **changes})


def gpu_paths(ffmpeg: str = NEW) -> tuple[GpuPath, ...]:
    """All that one FFmpeg can do, on a GPU that can do everything."""
    encodes = [gpu_path("encode", *each, ffmpeg=ffmpeg) for each in ENCODED]
    decodes = [gpu_path("decode", *each, ffmpeg=ffmpeg) for each in DECODED]
    return (*encodes, *decodes, gpu_path("filter", "scale_cuda", ffmpeg=ffmpeg))


def gpu(**changes: Any) -> GpuFacts:
    """A recent GPU with a recent driver, on which everything works with FFmpeg 9; nobody tried 5.1."""
    base = GpuFacts(
        name="Fake RTX PRO 6000", uuid="GPU-1", memory_mb=97_887, driver_version="610.43.02", compute_capability="12.0",
        nvenc_api="13.1", paths=gpu_paths(), sessions=4,
    )  # fmt: skip
    return msgspec.structs.replace(base, **changes)


def gpu_without(*names: str, **changes: Any) -> GpuFacts:
    """A GPU on which the paths of these names fail."""
    seen = gpu(**changes)
    paths = (failing(p.kind, p.name, p.pix_fmt, ffmpeg=p.ffmpeg) if p.name in names else p for p in seen.paths)
    return msgspec.structs.replace(seen, paths=tuple(paths))


def gpu_l4(**changes: Any) -> GpuFacts:
    """An L4 with driver 535, too old for FFmpeg 9's NVENC; with 5.1 everything works that 5.1 has."""
    why = "Driver does not support the required nvenc API version. Required: 13.1 Found: 12.1"
    refused = (failing("encode", *each, failure=FailureKind.DRIVER_TOO_OLD, why_not=why) for each in ENCODED)
    missing = {"failure": FailureKind.ENCODER_MISSING, "why_not": "not in this build"}
    old = (failing(p.kind, p.name, p.pix_fmt, ffmpeg=OLD, **missing) if p.name == "av1_nvenc" else p
           for p in gpu_paths(OLD))  # fmt: skip
    said = {"name": "Fake L4", "compute_capability": "8.9", "driver_version": "535.216.03", "nvenc_api": "12.1"}
    return gpu(**{**said, "memory_mb": 23_034, "paths": (*refused, *old), **changes})


def gpu_t4(**changes: Any) -> GpuFacts:
    """A T4: no AV1 either way, and HEVC without B-frames as references."""
    seen = gpu_without("av1_nvenc", "av1", uuid="GPU-T4", name="Fake T4", compute_capability="7.5", memory_mb=15_360)
    fewer = ALL_FEATURES - {"b_ref"}
    paths = (msgspec.structs.replace(p, features=fewer) if p.name == "hevc_nvenc" else p for p in seen.paths)
    return msgspec.structs.replace(seen, paths=tuple(paths), **changes)


def gpu_h200(**changes: Any) -> GpuFacts:
    """An H200: decodes and scales, and has no encoder."""
    why = "OpenEncodeSessionEx failed: unsupported device (2): (no details)"
    paths = (
        failing(p.kind, p.name, p.pix_fmt, failure=FailureKind.NO_GPU_ENCODER, why_not=why) if p.kind == "encode" else p
        for p in gpu_paths()
    )
    said = {"name": "Fake H200", "compute_capability": "9.0", "memory_mb": 143_771, "sessions": None}
    return gpu(**{**said, "paths": tuple(paths), **changes})


def gpu_busy(**changes: Any) -> GpuFacts:
    """A GPU whose encoder sessions all were taken when it was examined."""
    told = {"state": "busy", "failure": FailureKind.SESSION_LIMIT, "features": frozenset()}
    paths = (msgspec.structs.replace(p, **told) if p.kind == "encode" else p for p in gpu_paths())
    return gpu(**{"paths": tuple(paths), "sessions": None, **changes})


def gpu_host(*gpus: GpuFacts, **changes: Any) -> HostFacts:
    """A machine with these GPUs, or one healthy one, and both FFmpegs; the new one has av1_nvenc."""
    names = ("libx264", "libx265", "libsvtav1", "aac", "h264_nvenc", "hevc_nvenc", "av1_nvenc")
    new = ffmpeg(encoders=tuple(EncoderFacts(name=n, opens=None) for n in names), filters=FILTERS | CUDA_FILTERS)
    old = old_ffmpeg(filters=FILTERS | CUDA_FILTERS)
    return host(**{"ffmpegs": (new, old), "gpus": gpus or (gpu(),), "gpu_note": None, **changes})
