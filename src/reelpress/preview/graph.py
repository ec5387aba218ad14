"""The one FFmpeg command behind a preview: pictures are decoded once and go two ways, as does sound. Pure."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

from reelpress.facts.media import AudioTrack, MediaFacts, VideoTrack
from reelpress.facts.values import Value
from reelpress.plan.colour import plan_colour
from reelpress.plan.compress import deinterlace
from reelpress.plan.encoders import cpu_row
from reelpress.plan.expect import expect_encode
from reelpress.plan.geometry import Size, crop_filter, fit, timing
from reelpress.plan.ladder import end_args
from reelpress.plan.model import INPUT, Expectation
from reelpress.plan.tracks import TrackPlan
from reelpress.probe.scenes import LOOK_FILTERS
from reelpress.request import Request

PROXY_LINES = 360  # of the shorter side
PROXY_LONGEST = 1280
PROXY_MAX_FPS = 30
KEYFRAME_EVERY_S = 1
# The rate factor is what is aimed at; the ceiling makes disk needs known beforehand.
PROXY_CRF = 27
PROXY_MAX_BPS = 1_000_000
AUDIO_BPS = 96_000
WAVE_HZ = 8000

TILE_LONGEST = 160
SHEET_COLUMNS = SHEET_ROWS = 10
MAX_TILES = 600
MAX_TILES_UNKNOWN = 20 * SHEET_COLUMNS * SHEET_ROWS  # where the duration was not known, or not told truly

# The files as the command names them, replaced by real paths at the last moment.
PROXY, SHEETS, WAVE = "<proxy>", "<sheets>", "<wave>"
# Printed once per thumbnail, so that they are counted rather than computed.
TILE_LINE = "reelpress.tile=1"

_WISH = Request(max_width=PROXY_LONGEST, max_height=PROXY_LINES, max_fps=Fraction(PROXY_MAX_FPS), always_encode=True)
# Wide enough for a browser's recording that begins with minutes of silence: bytes that wait for the other stream.
_QUEUE_BYTES = 256 * 2**20


class PreviewPlan(Value, frozen=True, kw_only=True):
    """What is made of one source: the command with stand-ins for paths, and what must come of it."""

    args: tuple[str, ...]
    size: Size
    tile: Size
    interval_s: int
    has_audio: bool
    expect: Expectation


def plan_preview(media: MediaFacts, track: VideoTrack) -> PreviewPlan:
    """Decide what is made of a source; ``track`` is its main video."""
    row = cpu_row("h264")
    size, _ = fit(track, _WISH)
    colour = plan_colour(track, size, row, _WISH)
    clock, _ = timing(track, _WISH)
    audio = media.main_audio
    before_scale = (*crop_filter(track), *deinterlace(track)[0])
    tile, interval_s = _tile(size), tile_interval_s(track.duration_s)
    clock_args, first_s = _clock(media, track)
    on_time = (f"setpts=PTS-{first_s:.6f}/TB",) if first_s else ()
    thumbs = (
        *LOOK_FILTERS,
        # the picture that is seen at each multiple of the interval, also where it began long before
        f"fps=fps=1/{interval_s}:start_time=0:round=up",
        f"scale=w={tile.width}:h={tile.height}:out_color_matrix=bt601:out_range=pc", "format=yuvj420p",
        *_still_end(track.still_until_s, interval_s),
        "metadata=mode=add:key=reelpress.tile:value=1",
        "metadata=mode=print:key=reelpress.tile:file=-:direct=1",
        f"tile={SHEET_COLUMNS}x{SHEET_ROWS}",
    )  # fmt: skip
    pictures = (
        f"[0:{track.index}]{','.join((*before_scale, *on_time, *colour.filters))},split[a][b];"
        f"[a]{','.join(clock.filters) or 'null'}[proxy];[b]{','.join(thumbs)}[sheets]"
    )
    base = clock.time_base
    args = (
        *_input_args(media, track, clock_args), "-filter_complex", pictures,
        *(() if audio is None else ("-filter_complex", _sound_graph(audio, first_s))),
        "-map", "[proxy]", *(() if audio is None else ("-map", "[sound]")),
        "-c:v", "libx264", "-preset", "superfast", "-profile:v", "main", "-bf", "0", "-crf", str(PROXY_CRF),
        "-maxrate", str(PROXY_MAX_BPS), "-bufsize", str(2 * PROXY_MAX_BPS), "-pix_fmt", "yuv420p",
        "-g", "250", "-force_key_frames", f"expr:isnan(prev_forced_t)+gte(t,prev_forced_t+{KEYFRAME_EVERY_S})",
        "-fps_mode", "vfr", "-enc_time_base:v", f"{base.numerator}/{base.denominator}",
        "-video_track_timescale", str(base.denominator), *end_args(track.still_until_s),
        *(() if audio is None else ("-c:a", "aac", "-b:a", str(AUDIO_BPS))),
        *_BARE, "-max_muxing_queue_size", "4096", "-muxing_queue_data_threshold", str(_QUEUE_BYTES),
        # a file that grows with every packet tells a slow FFmpeg from one that hangs
        "-flush_packets", "1", "-movflags", "+faststart", "-f", "mp4", PROXY,
        "-map", "[sheets]", "-c:v", "mjpeg", "-q:v", "4", "-fps_mode", "passthrough",
        "-frames:v", str(ceil(_most_tiles(media) / (SHEET_COLUMNS * SHEET_ROWS))),
        *_BARE, "-start_number", "0", "-f", "image2", SHEETS,
        *(() if audio is None else ("-map", "[wave]", "-c:a", "pcm_u8", *_BARE, "-f", "u8", WAVE)),
    )  # fmt: skip
    tracks = TrackPlan(args=(), maps=(), streams=(), audio=() if audio is None else (audio,), subtitles=0)
    expect = expect_encode(
        media, track, _WISH, row=row, size=size, clock=clock, colour=colour, tracks=tracks, before_scale=before_scale
    )
    return PreviewPlan(
        args=args, size=size, tile=tile, interval_s=interval_s, has_audio=audio is not None, expect=expect
    )


def _still_end(until_s: float | None, interval_s: int) -> tuple[str, ...]:
    """Return the filters that show a last picture that stays up to the end: `fps` ends with it."""
    if until_s is None:
        return ()
    return ("tpad=stop=-1:stop_mode=clone", f"trim=end_frame={ceil(until_s / interval_s)}")


_BARE = ("-map_metadata", "-1", "-map_chapters", "-1")


def tile_interval_s(duration_s: float | None) -> int:
    """Return the whole seconds between thumbnails: one, or what leaves at most ``MAX_TILES``."""
    return max(1, ceil((duration_s or 0) / MAX_TILES))


def _most_tiles(media: MediaFacts) -> int:
    return MAX_TILES if media.scan_complete and media.duration_s is not None else MAX_TILES_UNKNOWN


def _tile(size: Size) -> Size:
    scale = min(Fraction(1), Fraction(TILE_LONGEST, max(size.width, size.height)))
    width, height = (max(2, 2 * round(side * scale / 2)) for side in (size.width, size.height))
    return Size(width=width, height=height)


def _clock(media: MediaFacts, track: VideoTrack) -> tuple[tuple[str, ...], float]:
    """Return the options that decide on FFmpeg's clock, and when the first picture is on that clock, in seconds.

    The file's own clock is the one that all versions of FFmpeg read alike. Theirs begins with the first thing in the
    file, for some with subtitles or with sound that is never heard. But only they go on evenly where a file's jumps.
    """
    if track.start_s is None:
        return (), 0.0
    if any("timestamps jump" in text for text in media.damage):
        return (), max(0.0, track.start_s - (media.start_s or 0.0))
    return ("-copyts",), track.start_s


def _input_args(media: MediaFacts, track: VideoTrack, clock_args: tuple[str, ...]) -> tuple[str, ...]:
    return (
        "-hide_banner", "-nostdin", "-nostats", "-loglevel", "repeat+level+verbose", "-y", *clock_args,
        "-protocol_whitelist", "file", "-format_whitelist", media.container, "-max_pixels", str(_WISH.max_pixels),
        # a graph that is set up anew midway would begin to count time, thumbnails and sheets anew
        f"-reinit_filter:{track.index}", "0", "-i", INPUT,
    )  # fmt: skip


def _sound_graph(audio: AudioTrack, first_s: float) -> str:
    on_time = (f"asetpts=PTS-{first_s:.6f}/TB",) if first_s else ()
    stereo = ("aformat=channel_layouts=stereo",) if (audio.channels or 2) > 2 else ()
    rate = ("aresample=48000",) if (audio.sample_rate_hz or 0) > 48_000 else ()
    # silence where sound is missing, at the start too, and nothing of it before the first picture
    even = "aresample=async=1:first_pts=0"
    return (
        f"[0:{audio.index}]{','.join((*on_time, even, *rate, *stereo))},asplit[sound][c];"
        f"[c]aresample={WAVE_HZ},aformat=sample_fmts=u8:channel_layouts=mono[wave]"
    )
