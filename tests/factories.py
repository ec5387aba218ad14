"""Facts with defaults, so that a test states only the fact it is about."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import msgspec

from reelpress.facts.host import EncoderFacts, FfmpegFacts, HostFacts
from reelpress.facts.media import AudioTrack, Colour, MediaFacts, OtherTrack, SubtitleTrack, VideoTrack

FILTERS = frozenset(
    {"scale", "format", "setsar", "setparams", "select", "settb", "setpts", "bwdif", "zscale", "tonemap"}
)


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
        path="/opt/ffmpeg9", origin="bundled", version="n9.0.2", major=9,
        encoders=tuple(EncoderFacts(name=n, opens=None) for n in names), filters=FILTERS,
    )  # fmt: skip
    return msgspec.structs.replace(base, **changes)


def host(*builds: FfmpegFacts, **changes: Any) -> HostFacts:
    """A CPU machine with FFmpeg 9 and 5.1."""
    old = ffmpeg(path="/usr/bin/ffmpeg", origin="path", version="5.1.9-0+deb12u1", major=5)
    base = HostFacts(
        ffmpegs=builds or (ffmpeg(), old), gpus=(), cores=4, memory_mb=8192,
        gpu_note="no NVIDIA device on this machine",
    )  # fmt: skip
    return msgspec.structs.replace(base, **changes)
