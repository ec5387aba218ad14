"""Right copies: everything that may be done to a video without harming it, as FFmpeg's arguments."""

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
_IN_TS = {"h264", "hevc", "mpeg2video"}
_HEARD_IN_MP4 = {"aac", "mp3", "ac3", "opus", "flac", "mp2"}
_HEARD_IN_TS = {"aac", "mp3", "mp2", "ac3"}
_HEARD_IN_FLV = {"aac", "mp3"}

_MPEG2_RATES = {Fraction(n) for n in (24, 25, 30, 50, 60)} | {Fraction(n * 1000, 1001) for n in (24, 30, 60)}


@dataclass(frozen=True)
class Copy:
    """One way of copying: ``reference`` makes what it is compared with, where that is not the source itself."""

    name: str
    kind: str
    suffix: str
    make: Recipe
    reference: Recipe | None = None
    most: int = 6  # sources it is tried on


def _heard(m: Material, fits: set[str]) -> bool:
    return m.audio is None or m.audio.codec in fits


def _is_turned(m: Material) -> bool:
    return bool(m.video.rotation_deg or m.video.mirrored)


def _remux(
    *more: str, video: set[str] | None = None, audio: set[str] | None = None, before: Args = (), upright: bool = False
) -> Recipe:
    """Return a recipe that copies packets; ``upright`` for containers that cannot say how a picture is turned.

    In MPEG-TS, AVI and Flash Video there is no place for a display matrix: such copies are shown on their side.
    """

    def recipe(m: Material) -> Args | None:
        if upright and _is_turned(m):
            return None
        if (video and m.video.codec not in video) or (audio and not _heard(m, audio)):
            return None
        return *before, *m.source, *COPY, *more

    return recipe


def _to_ts(*more: str) -> Recipe:
    return _remux(*more, video=_IN_TS, audio=_HEARD_IN_TS, upright=True)


def _to_mp4(*more: str, before: Args = ()) -> Recipe:
    return _remux(*more, video=_IN_MP4, audio=_HEARD_IN_MP4, before=before)


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
        if (mp4 and sound == SAME_SOUND) and not _heard(m, _HEARD_IN_MP4):
            return None
        fields = ("-flags", "+ilme+ildct") if m.video.is_interlaced else ()
        heard = () if m.audio is None else sound(m) if callable(sound) else sound
        return (
            *before, *m.source, "-filter:v", chain, *codec, *fields, *(colours(m) if tags else ()), *heard,
            *(MP4_CLOCK if mp4 else clock),
        )  # fmt: skip

    return recipe


def _sound(*codec: str, filters: str | None = None, suffix_mp4: bool = False) -> Recipe:
    def recipe(m: Material) -> Args | None:
        if m.audio is None or (suffix_mp4 and m.video.codec not in _IN_MP4):
            return None
        return *m.source, "-c:v", "copy", *(("-filter:a", filters) if filters else ()), *codec

    return recipe


def _plain(m: Material) -> bool:
    return m.is_plain


def _progressive(m: Material) -> bool:
    return not m.video.is_interlaced


def _constant(m: Material) -> bool:
    return not m.video.is_vfr and m.is_plain


def _sdr(m: Material) -> bool:
    return not m.video.colour.is_hdr


def _without_edits(m: Material) -> Args | None:
    """Return a copy that needs no edit list: B-frames by negative offsets, sound without a coder's delay.

    With AAC, and with offsets from 0 on, FFmpeg moves each track to 0 for itself: sound comes 59 ms early. Pictures
    that begin 21 ms after the sound are moved, too, so the sound is cut to begin with them.
    """
    if m.video.codec not in _IN_MP4:
        return None
    heard = (*_sound_from_picture(m)[:2], "-c:a", "flac") if m.audio else ()
    return *m.source, "-c:v", "copy", *heard, "-use_editlist", "0", "-movflags", "+negative_cts_offsets"


QP0 = ("-c:v", "libx264", "-preset", "ultrafast", "-qp", "0")
FFV1 = ("-c:v", "ffv1", "-level", "3", "-g", "1")
SOUND = ("-c:a", "pcm_s16le")
# Another matrix by zimg, and in 4:4:4: swscale goes by RGB of 8 bits and cuts off what lies beyond it, 5 points of VMAF
# at sharp edges of a speech; and in 4:2:0 colours are resampled, which leaves 31 dB of drawn edges. Both is real loss.
MATRICES = ("bt709", "smpte170m", "bt470bg")
# AVI knows no times: its tracks all begin at 0
FROM_0 = "setpts=PTS-STARTPTS"


def _sound_from_picture(m: Material) -> Args:
    """Return how sound is written that begins with the first picture, for containers in which both begin at 0.

    FFmpeg's clock begins with what comes first. Of a piece of MPEG-TS the sound was at 0 and the picture at 21 ms: both
    put at 0, the sound is played 21 ms late (by FFmpeg's own times of either track), and was rightly told to be.
    """
    cut = f"atrim=start={m.picture_s:.6f},asetpts=PTS-{m.picture_s:.6f}/TB,aresample=async=1:first_pts=0"
    return "-filter:a", cut, *SOUND


def _doubled(m: Material) -> str | None:
    """Return the filter that shows every frame twice, from where it was on: the sound stays where it is."""
    if not _constant(m) or m.rate > 30:
        return None
    return f"{FROM_0},fps={m.rate * 2},settb=1/90000,setpts=PTS+{m.picture_s:.6f}/TB"


def _square(m: Material) -> str | None:
    if m.video.sample_aspect_ratio == 1:
        return None
    wide = m.video.sample_aspect_ratio > 1
    size = "w=2*round(iw*sar/2):h=ih" if wide else "w=iw:h=2*round(ih/sar/2)"
    return f"scale={size}:flags=lanczos,setsar=1"


def _turned(m: Material) -> str | None:
    return "null" if _is_turned(m) else None


COPIES = (
    Copy("Matroska", "remux", ".mkv", _remux(), most=14),
    Copy("MP4", "remux", ".mp4", _to_mp4(), most=10),
    Copy("QuickTime", "remux", ".mov", _to_mp4(), most=6),
    Copy("MPEG-TS", "remux", ".ts", _to_ts(), most=10),
    Copy(
        "MPEG-TS, no mux delay",
        "remux",
        ".ts",
        _to_ts("-muxdelay", "0", "-muxpreload", "0"),
    ),
    Copy("Flash Video", "remux", ".flv", _remux(video={"h264"}, audio=_HEARD_IN_FLV, upright=True)),
    Copy("AVI", "remux", ".avi", _remux(video={"mpeg4"}, audio={"mp3", "aac"}, upright=True)),
    Copy("fragmented MP4", "remux", ".mp4", _to_mp4("-movflags", "frag_keyframe+delay_moov+default_base_moof"), most=8),
    Copy("MP4, faststart", "remux", ".mp4", _to_mp4("-movflags", "+faststart")),
    Copy("MP4 without edit lists", "remux", ".mp4", _without_edits, most=8),
    Copy(
        "sound first",
        "tracks",
        ".mkv",
        lambda m: (
            None
            if m.audio is None
            else ("-i", f"file:{m.path}", "-map", f"0:{m.audio.index}", "-map", f"0:{m.video.index}", *COPY)
        ),
    ),
    Copy(
        "a second sound",
        "tracks",
        ".mkv",
        lambda m: (
            None
            if m.audio is None
            else (
                *m.source[:2],
                "-f",
                "lavfi",
                "-i",
                "anoisesrc=d=2:a=0.2",
                *m.source[2:],
                "-map",
                "1:a",
                *COPY,
                "-c:a:1",
                "pcm_s16le",
                "-disposition:a:1",
                "0",
                "-disposition:a:0",
                "default",
            )
        ),
    ),
    Copy("begins at 1.4 s", "start", ".mkv", _remux("-output_ts_offset", "1.4"), most=8),
    Copy("begins at 1.4 s, MP4", "start", ".mp4", _to_mp4("-output_ts_offset", "1.4"), most=8),
    Copy("begins at 0.7 s, all inputs", "start", ".mp4", _to_mp4(before=("-itsoffset", "0.7"))),
    Copy("begins at an hour, TS", "start", ".ts", _to_ts("-output_ts_offset", "3600")),
    Copy(
        "begins at 1.4 s, fragmented",
        "start",
        ".mp4",
        _to_mp4("-output_ts_offset", "1.4", "-movflags", "frag_keyframe+delay_moov"),
    ),
    Copy(
        "cut by an edit list",
        "edit list",
        ".mp4",
        lambda m: _to_mp4(before=("-ss", "0.83"))(m) if m.frames > 60 else None,
        reference=lambda m: (
            "-ss",
            "0.83",
            *m.source,
            *FFV1,
            *colours(m),
            *(SOUND if m.audio else ()),
            *CLOCK,
        ),
        most=6,
    ),
    Copy(
        "picture's edit list alone",
        "edit list",
        ".mp4",
        lambda m: (
            (
                *m.source,
                *QP0,
                "-bf",
                "3",
                *colours(m),
                *(SAME_SOUND if m.audio else ()),
                *MP4_CLOCK,
                "-movflags",
                "+negative_cts_offsets",
            )
            if m.is_plain and _heard(m, _HEARD_IN_MP4)
            else None
        ),
    ),
    Copy("times in 1/600 s", "frame times", ".mp4", encoded(*QP0, mp4=True, only=_plain, filters="settb=1/600")),
    Copy(
        "times moved by up to 3 ms",
        "frame times",
        ".mp4",
        encoded(*QP0, mp4=True, only=_plain, filters="settb=1/90000,setpts=PTS+random(1)*0.006/TB"),
        most=8,
    ),
    Copy(
        "duplicates left out",
        "frame times",
        ".mp4",
        encoded(*QP0, mp4=True, only=_constant),
        reference=encoded(*FFV1, filters=_doubled, sound=SOUND),
    ),
    Copy(
        "every frame twice",
        "frame times",
        ".mp4",
        lambda m: (
            None
            if (chain := _doubled(m)) is None
            else (*m.source, "-filter:v", chain, *QP0, *colours(m), *(SOUND if m.audio else ()), *MP4_CLOCK)
        ),
        most=4,
    ),
    Copy(
        "slides once each",
        "frame times",
        ".mkv",
        lambda m: encoded(*QP0, filters="select=not(mod(n\\,25))")(m) if m.name == "slides" else None,
    ),
    Copy(
        "variable to 120 fps",
        "frame times",
        ".mkv",
        encoded(*QP0, filters=lambda m: "fps=120" if m.video.is_vfr else None, only=_plain),
    ),
    Copy(
        "60 fps to 30",
        "frame times",
        ".mp4",
        encoded(
            *QP0, mp4=True, filters=lambda m: "select=not(mod(n\\,2))" if m.rate > 50 and not m.video.is_vfr else None
        ),
    ),
    Copy("turned in the picture", "rotation", ".mp4", encoded(*QP0, mp4=True, filters=_turned)),
    Copy("turned in the picture, Matroska", "rotation", ".mkv", encoded(*FFV1, filters=_turned)),
    Copy(
        "turned by a flag, against turned pixels",
        "rotation",
        ".mp4",
        lambda m: _to_mp4(before=("-display_rotation", "90"))(m) if _plain(m) else None,
        reference=encoded(*FFV1, filters="transpose=cclock", sound=SOUND),
    ),
    Copy(
        "turned pixels, against turned by a flag",
        "rotation",
        ".mp4",
        encoded(*QP0, mp4=True, filters="transpose=clock", only=_plain),
        reference=_remux(before=("-display_rotation", "-90")),
    ),
    Copy("square pixels", "shape", ".mp4", encoded(*QP0, mp4=True, filters=_square, only=_progressive)),
    Copy("square pixels, CRF 8", "shape", ".mp4", encoded("-c:v", "libx264", "-crf", "8", mp4=True, filters=_square)),
    Copy(
        "twice the size",
        "shape",
        ".mkv",
        encoded(*QP0, filters=lambda m: "scale=iw*2:ih*2:flags=bicubic" if m.video.width <= 700 else None, only=_plain),
    ),
    Copy(
        "SAR in the container alone",
        "shape",
        ".mkv",
        lambda m: (
            (
                *m.source,
                *COPY,
                "-bsf:v",
                "h264_metadata=sample_aspect_ratio=1/1",
                "-aspect",
                f"{m.video.width * m.video.sample_aspect_ratio / m.video.height}",
            )
            if m.video.codec == "h264" and m.video.sample_aspect_ratio != 1
            else None
        ),
    ),
    Copy(
        "full to limited",
        "range",
        ".mp4",
        encoded(
            *QP0,
            "-pix_fmt",
            "yuv420p",
            "-color_range",
            "tv",
            mp4=True,
            tags=False,
            filters=lambda m: "scale=out_range=limited" if m.is_full and m.is_plain else None,
        ),
    ),
    Copy(
        "limited to full",
        "range",
        ".mp4",
        encoded(
            *QP0,
            "-pix_fmt",
            "yuv420p",
            "-color_range",
            "pc",
            mp4=True,
            tags=False,
            filters=lambda m: None if m.is_full or not m.is_plain else "scale=out_range=full",
        ),
    ),
    Copy(
        "full range, JPEG's tags",
        "range",
        ".mkv",
        encoded(
            "-c:v",
            "mjpeg",
            "-qmin",
            "1",
            "-q:v",
            "1",
            "-pix_fmt",
            "yuvj444p",
            tags=False,
            filters=lambda m: (
                f"zscale=matrixin={m.video.colour.matrix}:matrix=470bg:dither=none"
                f":rangein={'full' if m.is_full else 'limited'}:range=full,format=yuvj444p"
                if m.is_plain and m.video.colour.matrix in MATRICES
                else None
            ),
        ),
    ),
    Copy("8 bits in 10, FFV1", "depth", ".mkv", encoded(*FFV1, "-pix_fmt", "yuv420p10le", only=_plain)),
    Copy(
        "8 bits in 10, x265",
        "depth",
        ".mp4",
        encoded(
            "-c:v",
            "libx265",
            "-preset",
            "ultrafast",
            "-x265-params",
            "lossless=1:log-level=none",
            "-pix_fmt",
            "yuv420p10le",
            mp4=True,
            only=_plain,
        ),
    ),
    Copy(
        "10 bits in 8",
        "depth",
        ".mp4",
        encoded(*QP0, "-pix_fmt", "yuv420p", mp4=True, only=lambda m: m.video.bit_depth == 10 and _sdr(m)),
    ),
    Copy(
        "4:2:0 in 4:4:4",
        "depth",
        ".mkv",
        encoded(*FFV1, "-pix_fmt", "yuv444p", only=lambda m: m.is_plain and not m.is_full),
    ),
    Copy(
        "4:2:2 in 4:2:0",
        "depth",
        ".mp4",
        encoded(*QP0, "-pix_fmt", "yuv420p", mp4=True, only=lambda m: m.video.chroma == "422"),
    ),
    Copy("x264 QP 0", "lossless", ".mp4", encoded(*QP0, mp4=True), most=12),
    Copy("x264 QP 0, TS", "lossless", ".ts", encoded(*QP0, sound=("-c:a", "aac", "-b:a", "256k"), only=_sdr), most=8),
    Copy("FFV1", "lossless", ".mkv", encoded(*FFV1, sound=SOUND), most=12),
    Copy(
        "FFV1 in AVI",  # which cannot say that its range is full
        "lossless",
        ".avi",
        encoded(*FFV1, filters=FROM_0, sound=_sound_from_picture, only=lambda m: _constant(m) and not m.is_full),
    ),
    Copy(
        "Ut Video in AVI",
        "lossless",
        ".avi",
        encoded(
            "-c:v", "utvideo", filters=FROM_0, sound=_sound_from_picture, only=lambda m: _constant(m) and not m.is_full
        ),
    ),
    Copy(
        "x265 lossless",
        "lossless",
        ".mp4",
        encoded(
            "-c:v",
            "libx265",
            "-preset",
            "ultrafast",
            "-x265-params",
            "lossless=1:log-level=none",
            mp4=True,
            only=_progressive,
        ),
    ),
    Copy(
        "VP9 lossless",
        "lossless",
        ".webm",
        encoded(
            "-c:v",
            "libvpx-vp9",
            "-lossless",
            "1",
            "-deadline",
            "realtime",
            "-cpu-used",
            "8",
            sound=("-c:a", "libopus", "-b:a", "192k"),
            only=lambda m: m.is_plain and m.video.width <= 700,
        ),
    ),
    Copy(
        "x264 CRF 10",
        "near lossless",
        ".mp4",
        encoded("-c:v", "libx264", "-preset", "veryfast", "-crf", "10", mp4=True, only=_sdr),
        most=12,
    ),
    Copy(
        "x264 CRF 8, keyframes far apart",
        "near lossless",
        ".ts",
        encoded(
            "-c:v",
            "libx264",
            "-preset",
            "veryfast",
            "-crf",
            "8",
            "-g",
            "999",
            "-bf",
            "4",
            sound=("-c:a", "mp2", "-b:a", "256k"),
            only=_plain,
        ),
        most=8,
    ),
    Copy(
        "x265 CRF 8",
        "near lossless",
        ".mp4",
        encoded(
            "-c:v",
            "libx265",
            "-preset",
            "ultrafast",
            "-crf",
            "8",
            "-x265-params",
            "log-level=none",
            mp4=True,
            only=_progressive,
        ),
    ),
    Copy(
        "SVT-AV1 CRF 10",
        "near lossless",
        ".mp4",
        encoded("-c:v", "libsvtav1", "-preset", "10", "-crf", "10", "-pix_fmt", "yuv420p10le", mp4=True, only=_plain),
    ),
    Copy(
        "MPEG-2, q 1, TS",
        "near lossless",
        ".ts",
        encoded(
            "-c:v",
            "mpeg2video",
            "-q:v",
            "1",
            "-qmin",
            "1",
            "-pix_fmt",
            "yuv420p",
            sound=("-c:a", "mp2", "-b:a", "256k"),
            clock=(),
            only=lambda m: _constant(m) and not m.is_full and m.rate in _MPEG2_RATES,
        ),
    ),
    Copy(
        "ProRes",
        "near lossless",
        ".mov",
        encoded("-c:v", "prores_ks", "-profile:v", "3", sound=SOUND, only=lambda m: m.is_plain and not m.is_full),
    ),
    Copy(
        "MPEG-4, q 1",
        "near lossless",
        ".avi",
        encoded(
            "-c:v",
            "mpeg4",
            "-q:v",
            "1",
            "-qmin",
            "1",
            filters=FROM_0,
            sound=_sound_from_picture,
            clock=(),
            only=lambda m: _constant(m) and not m.is_full,
        ),
    ),
    Copy("AAC, MP4", "sound", ".mp4", _sound("-c:a", "aac", "-b:a", "256k", suffix_mp4=True), most=8),
    Copy(
        "AAC, TS",
        "sound",
        ".ts",
        lambda m: _sound("-c:a", "aac", "-b:a", "256k")(m) if m.video.codec in _IN_TS and not _is_turned(m) else None,
        most=6,
    ),
    Copy("AAC, Matroska", "sound", ".mkv", _sound("-c:a", "aac", "-b:a", "256k")),
    Copy("FLAC", "sound", ".mkv", _sound("-c:a", "flac")),
    Copy("Opus, Matroska", "sound", ".mkv", _sound("-c:a", "libopus", "-b:a", "192k")),
    Copy("Opus, MP4", "sound", ".mp4", _sound("-c:a", "libopus", "-b:a", "192k", suffix_mp4=True)),
    Copy("MP3, MP4", "sound", ".mp4", _sound("-c:a", "libmp3lame", "-b:a", "256k", suffix_mp4=True)),
    Copy("AC-3, Matroska", "sound", ".mkv", _sound("-c:a", "ac3", "-b:a", "448k")),
    Copy("PCM, QuickTime", "sound", ".mov", _sound("-c:a", "pcm_s16le", suffix_mp4=True)),
    Copy("mono of 16 kHz", "sound", ".mkv", _sound("-c:a", "flac", "-ac", "1", "-ar", "16000")),
    Copy("12 dB quieter", "sound", ".mkv", _sound("-c:a", "flac", filters="volume=-12dB")),
    Copy(
        "a second of silence after the end",
        "sound",
        ".mp4",
        _sound("-c:a", "aac", "-b:a", "256k", filters="apad=pad_dur=1", suffix_mp4=True),
    ),
    Copy(
        "sound 0.1 s shorter",
        "sound",
        ".mkv",
        lambda m: (
            None
            if m.audio is None or (m.facts.duration_s or 0) < 2
            else _sound(
                "-c:a", "flac", filters=f"atrim=end={(m.audio.start_s or 0) + (m.audio.duration_s or 0) - 0.1:.3f}"
            )(m)
        ),
    ),
)
