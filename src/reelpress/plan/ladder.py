"""The attempts of a plan, best first: which FFmpeg, which command, and after which failures the next one may run."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import msgspec

from reelpress.facts.failure import FailureKind
from reelpress.facts.host import FfmpegFacts, HostFacts
from reelpress.facts.media import MediaFacts, VideoTrack
from reelpress.facts.values import Value
from reelpress.plan.colour import ColourPlan
from reelpress.plan.encoders import EncoderRow, quality_args
from reelpress.plan.geometry import Size, Timing
from reelpress.plan.model import INPUT, OUTPUT, Attempt
from reelpress.plan.tracks import TrackPlan
from reelpress.request import Request

# What another FFmpeg build may do better; a full disk or a broken input it may not.
BUILD_FAILURES = (
    FailureKind.ENCODER_MISSING,
    FailureKind.ENCODER_REFUSED,
    FailureKind.NO_DECODER,
    FailureKind.OPTION_REJECTED,
    FailureKind.FILTER_FAILED,
    FailureKind.CRASHED,
)

LOCATION_KEY = "com.apple.quicktime.location.ISO6709"


def input_args(media: MediaFacts, request: Request) -> tuple[str, ...]:
    """Return everything up to and including ``-i``: only files, only the container that was probed, bounded pixels.

    ``verbose`` has FFmpeg count what it decoded at the end; the classifier looks at warnings and errors only.
    """
    return (
        "-hide_banner", "-nostdin", "-nostats", "-loglevel", "repeat+level+verbose",
        "-progress", "pipe:1", "-stats_period", "0.25", "-y",
        "-protocol_whitelist", "file", "-format_whitelist", media.container, "-max_pixels", str(request.max_pixels),
        "-i", INPUT,
    )  # fmt: skip


def output_args(media: MediaFacts) -> tuple[str, ...]:
    """Return metadata, chapters and container options, up to the output's name."""
    flags = "+faststart"
    args: list[str] = ["-map_metadata", "0", "-map_chapters", "0"]
    if media.location is not None:
        # MP4's own tag set has no place for coordinates in FFmpeg's muxer; the key/value set has, under Apple's name.
        # It replaces the other set, so the title is written under its key there as well.
        flags += "+use_metadata_tags"
        args += ["-metadata", f"{LOCATION_KEY}={media.location}"]
        if media.title is not None:
            args += ["-metadata", f"com.apple.quicktime.title={media.title}"]
    return (
        *args, "-dn", "-write_tmcd", "0", "-max_muxing_queue_size", "4096",
        "-movflags", flags, "-f", "mp4", OUTPUT,
    )  # fmt: skip


class Shape(Value, frozen=True, kw_only=True):
    """An encode as far as it is the same on every device.

    ``encoded_tracks`` is the track plan without copies, for audio whose packets turn out to be broken; ``None`` where
    nothing is copied.
    """

    media: MediaFacts
    track: VideoTrack
    request: Request
    size: Size
    colour: ColourPlan
    clock: Timing
    before_scale: tuple[str, ...]
    tracks: TrackPlan
    encoded_tracks: TrackPlan | None
    crf: float

    @property
    def filters(self) -> tuple[str, ...]:
        """The filters of an encode whose pictures are prepared in software."""
        return (*self.before_scale, *self.clock.filters, *self.colour.filters)


def encode_args(
    shape: Shape,
    tracks: TrackPlan,
    *,
    filters: tuple[str, ...],
    quality: tuple[str, ...],
    pix_fmt: str | None,
    decode: tuple[str, ...] = (),
) -> tuple[str, ...]:
    """Return the command of an encode; ``decode`` are options of the input, ``pix_fmt`` ``None`` leaves GPU frames."""
    head = input_args(shape.media, shape.request)
    at = head.index("-protocol_whitelist")
    return (
        *head[:at], *decode, *head[at:],
        "-map", f"0:{shape.track.index}", *tracks.maps,
        "-filter:v:0", ",".join(filters),
        *quality, *(() if pix_fmt is None else ("-pix_fmt:v:0", pix_fmt)), *_tag_args(shape.colour),
        "-fps_mode:v:0", "vfr", "-enc_time_base:v:0", _ratio(shape.clock.time_base),
        "-video_track_timescale", str(shape.clock.time_base.denominator), *end_args(shape.track.still_until_s),
        *tracks.args,
        *output_args(shape.media),
    )  # fmt: skip


def end_args(still_until_s: float | None, place: int = 0) -> tuple[str, ...]:
    """Return what has the last packet of the video at ``place`` last until then, in seconds from its first picture."""
    if still_until_s is None:
        return ()
    # the times are named as well, else both become that of decoding
    # https://ffmpeg.org/ffmpeg-bitstream-filters.html#setts
    length = f"if(eq(NEXT_PTS,NOPTS),{still_until_s:.6f}/TB-(PTS-STARTPTS),DURATION)"
    return (f"-bsf:v:{place}", f"setts=pts=PTS:dts=DTS:duration='{length}'")


def needed_filters(filters: tuple[str, ...]) -> set[str]:
    """Return the names of the filters a build must have."""
    return {name.partition("=")[0] for name in ",".join(filters).split(",") if "=" in name}


def cpu_attempts(shape: Shape, host: HostFacts, row: EncoderRow, *, preset: str, still: bool) -> tuple[Attempt, ...]:
    """Return the attempts of an encode on the CPU: per FFmpeg that has the encoder, newest first."""
    quality = quality_args(
        row, crf=shape.crf, preset=preset, hdr=shape.colour.keeps_hdr, threads=shape.request.threads, still=still,
        fps=shape.clock.fps,
    )  # fmt: skip
    needed = needed_filters(shape.filters)
    attempts: list[Attempt] = []
    for build in (f for f in host.ffmpegs if f.lists(row.name) and has_filters(f, needed)):
        why = f"{row.name} on the CPU with FFmpeg {build.version} ({build.origin})"
        attempts += with_audio_encoded(
            shape, why, BUILD_FAILURES,
            lambda tracks, why, after, build=build: Attempt(  # type: ignore[misc]
                encoder=row.name, device="cpu", rung="cpu", ffmpeg=build.path, falls_back_on=after, why=why,
                args=encode_args(
                    shape, tracks, filters=shape.filters, quality=quality, pix_fmt=shape.colour.pix_fmt
                ),
            ),
        )  # fmt: skip
    return tuple(attempts)


def with_audio_encoded(
    shape: Shape,
    why: str,
    falls_back_on: tuple[FailureKind, ...],
    make: Callable[[TrackPlan, str, tuple[FailureKind, ...]], Attempt],
) -> tuple[Attempt, ...]:
    """Return an attempt, and where it copies audio a second one for when that audio proves broken."""
    if shape.encoded_tracks is None:
        return (make(shape.tracks, why, falls_back_on),)
    broken = (FailureKind.CHECK_NOT_MET, FailureKind.AUDIO_NOT_MET)
    second = make(shape.encoded_tracks, f"{why}, all audio encoded", falls_back_on)
    return (
        make(shape.tracks, why, tuple(dict.fromkeys((*falls_back_on, *broken)))),
        msgspec.structs.replace(
            second, encodes_all_audio=True, only_after=broken if second.rung == "cpu" else broken[1:]
        ),
    )


def copy_attempts(
    media: MediaFacts, track: VideoTrack, host: HostFacts, request: Request, *, tracks: TrackPlan
) -> tuple[Attempt, ...]:
    """Return the attempts of a remux: the video's packets go into an MP4 unchanged."""
    tag = {"hevc": ("-tag:v:0", "hvc1")}.get(track.codec, ())
    args = (
        *input_args(media, request),
        "-map", f"0:{track.index}", *tracks.maps,
        "-c:v:0", "copy", *tag,
        *tracks.args,
        *output_args(media),
    )  # fmt: skip
    return tuple(
        Attempt(
            encoder="copy", device="cpu", rung="copy", ffmpeg=build.path, args=args, falls_back_on=BUILD_FAILURES,
            why=f"remux with FFmpeg {build.version} ({build.origin})",
        )
        for build in host.ffmpegs
    )  # fmt: skip


def has_filters(build: FfmpegFacts, needed: set[str]) -> bool:
    """Tell whether a build contains all of these filters, as far as it says."""
    return not build.filters or needed <= build.filters


def _ratio(value: Fraction) -> str:
    return f"{value.numerator}/{value.denominator}"


def _tag_args(colour: ColourPlan) -> tuple[str, ...]:
    """State colour tags to the encoder too: FFmpeg 5.1 does not carry all of them over from frames."""
    pairs = (
        ("-color_primaries:v:0", colour.primaries),
        ("-color_trc:v:0", colour.transfer),
        ("-colorspace:v:0", colour.matrix),
        ("-color_range:v:0", {"limited": "tv", "full": "pc", None: None}[colour.range]),
    )
    return tuple(token for name, value in pairs if value is not None for token in (name, value))
