"""The attempts of a plan, best first: which FFmpeg, which command, and after which failures the next one may run."""

from __future__ import annotations

from fractions import Fraction

from reelpress.facts.failure import FailureKind
from reelpress.facts.host import FfmpegFacts, HostFacts
from reelpress.facts.media import MediaFacts, VideoTrack
from reelpress.plan.colour import ColourPlan
from reelpress.plan.encoders import EncoderRow, quality_args
from reelpress.plan.geometry import Timing
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


def cpu_attempts(
    media: MediaFacts,
    track: VideoTrack,
    host: HostFacts,
    row: EncoderRow,
    request: Request,
    *,
    colour: ColourPlan,
    clock: Timing,
    before_scale: tuple[str, ...],
    tracks: TrackPlan,
    encoded_tracks: TrackPlan | None,
    crf: float,
    preset: str,
    still: bool,
) -> tuple[Attempt, ...]:
    """Return the attempts of an encode: per FFmpeg that has the encoder, newest first.

    ``encoded_tracks`` is the track plan without copies, for audio whose packets turn out to be broken; ``None`` where
    nothing is copied.
    """
    filters = ",".join((*before_scale, *clock.filters, *colour.filters))
    needed = {name.partition("=")[0] for name in filters.split(",") if "=" in name}
    quality = quality_args(row, crf=crf, preset=preset, hdr=colour.keeps_hdr, threads=request.threads, still=still)

    def args(chosen: TrackPlan) -> tuple[str, ...]:
        return (
            *input_args(media, request),
            "-map", f"0:{track.index}", *chosen.maps,
            "-filter:v:0", filters,
            *quality, "-pix_fmt:v:0", colour.pix_fmt, *_tag_args(colour),
            "-fps_mode:v:0", "vfr", "-enc_time_base:v:0", _ratio(clock.time_base),
            "-video_track_timescale", str(clock.time_base.denominator),
            *chosen.args,
            *output_args(media),
        )  # fmt: skip

    builds = [f for f in host.ffmpegs if f.lists(row.name) and _has_filters(f, needed)]
    attempts: list[Attempt] = []
    for build in builds:
        why = f"{row.name} on the CPU with FFmpeg {build.version} ({build.origin})"
        after = BUILD_FAILURES if encoded_tracks is None else (*BUILD_FAILURES, FailureKind.CHECK_NOT_MET)
        attempts.append(
            Attempt(encoder=row.name, device="cpu", ffmpeg=build.path, args=args(tracks), falls_back_on=after, why=why)
        )
        if encoded_tracks is not None:
            attempts.append(
                Attempt(
                    encoder=row.name, device="cpu", ffmpeg=build.path, args=args(encoded_tracks),
                    falls_back_on=BUILD_FAILURES, why=f"{why}, all audio encoded", encodes_all_audio=True,
                )
            )  # fmt: skip
    return tuple(attempts)


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
            encoder="copy", device="cpu", ffmpeg=build.path, args=args, falls_back_on=BUILD_FAILURES,
            why=f"remux with FFmpeg {build.version} ({build.origin})",
        )
        for build in host.ffmpegs
    )  # fmt: skip


def _has_filters(build: FfmpegFacts, needed: set[str]) -> bool:
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
