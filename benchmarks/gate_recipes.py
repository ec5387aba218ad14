"""What recipes for copies are made of: FFmpeg's arguments, and which sources they apply to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from gate_sources import Material

Args = tuple[str, ...]
Recipe = Callable[[Material], Args | None]  # None: does not apply to this source

CLOCK = ("-fps_mode", "passthrough", "-enc_time_base", "1/90000")
MP4_CLOCK = (*CLOCK, "-video_track_timescale", "90000")
COPY = ("-c", "copy")
SAME_SOUND = ("-c:a", "copy")

_IN_MP4 = {"h264", "hevc", "mpeg4", "av1", "vp9"}
IN_TS = {"h264", "hevc", "mpeg2video"}
HEARD_IN_MP4 = {"aac", "mp3", "ac3", "opus", "flac", "mp2"}
_HEARD_IN_TS = {"aac", "mp3", "mp2", "ac3"}
HEARD_IN_FLV = {"aac", "mp3"}

MPEG2_RATES = {Fraction(n) for n in (24, 25, 30, 50, 60)} | {Fraction(n * 1000, 1001) for n in (24, 30, 60)}


@dataclass(frozen=True)
class Copy:
    """One way of copying: ``reference`` makes what it is compared with, where that is not the source itself."""

    name: str
    kind: str
    suffix: str
    make: Recipe
    reference: Recipe | None = None
    most: int = 6  # sources it is tried on


def is_heard_in(m: Material, fits: set[str]) -> bool:
    """Tell whether a source has no sound, or sound that fits a container."""
    return m.audio is None or m.audio.codec in fits


def is_turned(m: Material) -> bool:
    """Tell whether a source has a display matrix."""
    return bool(m.video.rotation_deg or m.video.mirrored)


def remux(
    *more: str, video: set[str] | None = None, audio: set[str] | None = None, before: Args = (), upright: bool = False
) -> Recipe:
    """Return a recipe that copies packets; ``upright`` for containers that cannot say how a picture is turned.

    In MPEG-TS, AVI and Flash Video there is no place for a display matrix: such copies are shown on their side.
    """

    def recipe(m: Material) -> Args | None:
        if upright and is_turned(m):
            return None
        if (video and m.video.codec not in video) or (audio and not is_heard_in(m, audio)):
            return None
        return *before, *m.source, *COPY, *more

    return recipe


def to_ts(*more: str) -> Recipe:
    """Return a recipe that copies packets to MPEG-TS."""
    return remux(*more, video=IN_TS, audio=_HEARD_IN_TS, upright=True)


def to_mp4(*more: str, before: Args = ()) -> Recipe:
    """Return a recipe that copies packets to MP4."""
    return remux(*more, video=_IN_MP4, audio=HEARD_IN_MP4, before=before)


def colours(m: Material) -> Args:
    """Return options that keep the source's colour tags, which not every encoder takes over by itself."""
    colour = m.video.colour
    pairs = (
        ("-color_range", {"limited": "tv", "full": "pc"}.get(colour.range or "") or ("pc" if m.is_full else None)),
        ("-colorspace", colour.matrix), ("-color_primaries", colour.primaries), ("-color_trc", colour.transfer),
    )  # fmt: skip
    return tuple(word for flag, value in pairs if value for word in (flag, value))


def encoded(
    *codec: str, filters: str | Callable[[Material], str | None] = "null",
    sound: Args | Callable[[Material], Args] = SAME_SOUND,
    only: Callable[[Material], bool] = lambda _: True, mp4: bool = False, before: Args = (), tags: bool = True,
    clock: Args = CLOCK,
) -> Recipe:  # fmt: skip
    """Return a recipe that decodes, filters and encodes the picture at its own times."""

    def recipe(m: Material) -> Args | None:
        chain = filters if isinstance(filters, str) else filters(m)
        if chain is None or not only(m):
            return None
        if (mp4 and sound == SAME_SOUND) and not is_heard_in(m, HEARD_IN_MP4):
            return None
        fields = ("-flags", "+ilme+ildct") if m.video.is_interlaced else ()
        heard = () if m.audio is None else sound(m) if callable(sound) else sound
        return (
            *before, *m.source, "-filter:v", chain, *codec, *fields, *(colours(m) if tags else ()), *heard,
            *(MP4_CLOCK if mp4 else clock),
        )  # fmt: skip

    return recipe


def sound_as(*codec: str, filters: str | None = None, suffix_mp4: bool = False) -> Recipe:
    """Return a recipe that copies the picture and encodes the sound."""

    def recipe(m: Material) -> Args | None:
        if m.audio is None or (suffix_mp4 and m.video.codec not in _IN_MP4):
            return None
        return *m.source, "-c:v", "copy", *(("-filter:a", filters) if filters else ()), *codec

    return recipe


def is_plain(m: Material) -> bool:
    """Tell a source as most video is: see :attr:`Material.is_plain`."""
    return m.is_plain


def is_progressive(m: Material) -> bool:
    """Tell a source of whole frames."""
    return not m.video.is_interlaced


def is_constant(m: Material) -> bool:
    """Tell a plain source at a constant rate."""
    return not m.video.is_vfr and m.is_plain


def is_sdr(m: Material) -> bool:
    """Tell a source that is not HDR."""
    return not m.video.colour.is_hdr


def without_edits(m: Material) -> Args | None:
    """Return a copy that needs no edit list: B-frames by negative offsets, sound without a coder's delay.

    With AAC, and with offsets from 0 on, FFmpeg moves each track to 0 for itself: sound comes 59 ms early. Pictures
    that begin 21 ms after the sound are moved, too, so the sound is cut to begin with them.
    """
    if m.video.codec not in _IN_MP4:
        return None
    heard = (*sound_from_picture(m)[:2], "-c:a", "flac") if m.audio else ()
    return *m.source, "-c:v", "copy", *heard, "-use_editlist", "0", "-movflags", "+negative_cts_offsets"


QP0 = ("-c:v", "libx264", "-preset", "ultrafast", "-qp", "0")
FFV1 = ("-c:v", "ffv1", "-level", "3", "-g", "1")
SOUND = ("-c:a", "pcm_s16le")
# Another matrix by zimg, and in 4:4:4: swscale goes by RGB of 8 bits and cuts off what lies beyond it, 5 points of VMAF
# at sharp edges of a speech; and in 4:2:0 colours are resampled, which leaves 31 dB of drawn edges. Both is real loss.
MATRICES = ("bt709", "smpte170m", "bt470bg")
# AVI knows no times: its tracks all begin at 0
FROM_0 = "setpts=PTS-STARTPTS"


def sound_from_picture(m: Material) -> Args:
    """Return how sound is written that begins with the first picture, for containers in which both begin at 0.

    FFmpeg's clock begins with what comes first. Of a piece of MPEG-TS the sound was at 0 and the picture at 21 ms: both
    put at 0, the sound is played 21 ms late (by FFmpeg's own times of either track), and was rightly told to be.
    """
    cut = f"atrim=start={m.picture_s:.6f},asetpts=PTS-{m.picture_s:.6f}/TB,aresample=async=1:first_pts=0"
    return "-filter:a", cut, *SOUND


def doubled(m: Material) -> str | None:
    """Return the filter that shows every frame twice, from where it was on: the sound stays where it is."""
    if not is_constant(m) or m.rate > 30:
        return None
    return f"{FROM_0},fps={m.rate * 2},settb=1/90000,setpts=PTS+{m.picture_s:.6f}/TB"


def square(m: Material) -> str | None:
    """Return the filter that makes pixels square, where they are not."""
    if m.video.sample_aspect_ratio == 1:
        return None
    wide = m.video.sample_aspect_ratio > 1
    size = "w=2*round(iw*sar/2):h=ih" if wide else "w=iw:h=2*round(ih/sar/2)"
    return f"scale={size}:flags=lanczos,setsar=1"


def turn(m: Material) -> str | None:
    """Return a filter that has FFmpeg turn the picture itself, where it is turned."""
    return "null" if is_turned(m) else None
