"""Right copies: everything that may be done to a video without harming it, as FFmpeg's arguments."""

from __future__ import annotations

from gate_recipes import (
    CLOCK,
    COPY,
    FFV1,
    FROM_0,
    HEARD_IN_FLV,
    HEARD_IN_MP4,
    IN_TS,
    MATRICES,
    MP4_CLOCK,
    MPEG2_RATES,
    QP0,
    SAME_SOUND,
    SOUND,
    Copy,
    colours,
    doubled,
    encoded,
    is_constant,
    is_heard_in,
    is_plain,
    is_progressive,
    is_sdr,
    is_turned,
    remux,
    sound_as,
    sound_from_picture,
    square,
    to_mp4,
    to_ts,
    turn,
    without_edits,
)

COPIES = (
    Copy("Matroska", "remux", ".mkv", remux(), most=14),
    Copy("MP4", "remux", ".mp4", to_mp4(), most=10),
    Copy("QuickTime", "remux", ".mov", to_mp4(), most=6),
    Copy("MPEG-TS", "remux", ".ts", to_ts(), most=10),
    Copy(
        "MPEG-TS, no mux delay",
        "remux",
        ".ts",
        to_ts("-muxdelay", "0", "-muxpreload", "0"),
    ),
    Copy("Flash Video", "remux", ".flv", remux(video={"h264"}, audio=HEARD_IN_FLV, upright=True)),
    Copy("AVI", "remux", ".avi", remux(video={"mpeg4"}, audio={"mp3", "aac"}, upright=True)),
    Copy("fragmented MP4", "remux", ".mp4", to_mp4("-movflags", "frag_keyframe+delay_moov+default_base_moof"), most=8),
    Copy("MP4, faststart", "remux", ".mp4", to_mp4("-movflags", "+faststart")),
    Copy("MP4 without edit lists", "remux", ".mp4", without_edits, most=8),
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
    Copy("begins at 1.4 s", "start", ".mkv", remux("-output_ts_offset", "1.4"), most=8),
    Copy("begins at 1.4 s, MP4", "start", ".mp4", to_mp4("-output_ts_offset", "1.4"), most=8),
    Copy("begins at 0.7 s, all inputs", "start", ".mp4", to_mp4(before=("-itsoffset", "0.7"))),
    Copy("begins at an hour, TS", "start", ".ts", to_ts("-output_ts_offset", "3600")),
    Copy(
        "begins at 1.4 s, fragmented",
        "start",
        ".mp4",
        to_mp4("-output_ts_offset", "1.4", "-movflags", "frag_keyframe+delay_moov"),
    ),
    Copy(
        "cut by an edit list",
        "edit list",
        ".mp4",
        lambda m: to_mp4(before=("-ss", "0.83"))(m) if m.frames > 60 else None,
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
            if m.is_plain and is_heard_in(m, HEARD_IN_MP4)
            else None
        ),
    ),
    Copy("times in 1/600 s", "frame times", ".mp4", encoded(*QP0, mp4=True, only=is_plain, filters="settb=1/600")),
    Copy(
        "times moved by up to 3 ms",
        "frame times",
        ".mp4",
        encoded(*QP0, mp4=True, only=is_plain, filters="settb=1/90000,setpts=PTS+random(1)*0.006/TB"),
        most=8,
    ),
    Copy(
        "duplicates left out",
        "frame times",
        ".mp4",
        encoded(*QP0, mp4=True, only=is_constant),
        reference=encoded(*FFV1, filters=doubled, sound=SOUND),
    ),
    Copy(
        "every frame twice",
        "frame times",
        ".mp4",
        lambda m: (
            None
            if (chain := doubled(m)) is None
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
        encoded(*QP0, filters=lambda m: "fps=120" if m.video.is_vfr else None, only=is_plain),
    ),
    Copy(
        "60 fps to 30",
        "frame times",
        ".mp4",
        encoded(
            *QP0, mp4=True, filters=lambda m: "select=not(mod(n\\,2))" if m.rate > 50 and not m.video.is_vfr else None
        ),
    ),
    Copy("turned in the picture", "rotation", ".mp4", encoded(*QP0, mp4=True, filters=turn)),
    Copy("turned in the picture, Matroska", "rotation", ".mkv", encoded(*FFV1, filters=turn)),
    Copy(
        "turned by a flag, against turned pixels",
        "rotation",
        ".mp4",
        lambda m: to_mp4(before=("-display_rotation", "90"))(m) if is_plain(m) else None,
        reference=encoded(*FFV1, filters="transpose=cclock", sound=SOUND),
    ),
    Copy(
        "turned pixels, against turned by a flag",
        "rotation",
        ".mp4",
        encoded(*QP0, mp4=True, filters="transpose=clock", only=is_plain),
        reference=remux(before=("-display_rotation", "-90")),
    ),
    Copy("square pixels", "shape", ".mp4", encoded(*QP0, mp4=True, filters=square, only=is_progressive)),
    Copy("square pixels, CRF 8", "shape", ".mp4", encoded("-c:v", "libx264", "-crf", "8", mp4=True, filters=square)),
    Copy(
        "twice the size",
        "shape",
        ".mkv",
        encoded(
            *QP0, filters=lambda m: "scale=iw*2:ih*2:flags=bicubic" if m.video.width <= 700 else None, only=is_plain
        ),
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
    Copy("8 bits in 10, FFV1", "depth", ".mkv", encoded(*FFV1, "-pix_fmt", "yuv420p10le", only=is_plain)),
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
            only=is_plain,
        ),
    ),
    Copy(
        "10 bits in 8",
        "depth",
        ".mp4",
        encoded(*QP0, "-pix_fmt", "yuv420p", mp4=True, only=lambda m: m.video.bit_depth == 10 and is_sdr(m)),
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
    Copy("x264 QP 0, TS", "lossless", ".ts", encoded(*QP0, sound=("-c:a", "aac", "-b:a", "256k"), only=is_sdr), most=8),
    Copy("FFV1", "lossless", ".mkv", encoded(*FFV1, sound=SOUND), most=12),
    Copy(
        "FFV1 in AVI",  # which cannot say that its range is full
        "lossless",
        ".avi",
        encoded(*FFV1, filters=FROM_0, sound=sound_from_picture, only=lambda m: is_constant(m) and not m.is_full),
    ),
    Copy(
        "Ut Video in AVI",
        "lossless",
        ".avi",
        encoded(
            "-c:v", "utvideo", filters=FROM_0, sound=sound_from_picture, only=lambda m: is_constant(m) and not m.is_full
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
            only=is_progressive,
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
        encoded("-c:v", "libx264", "-preset", "veryfast", "-crf", "10", mp4=True, only=is_sdr),
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
            only=is_plain,
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
            only=is_progressive,
        ),
    ),
    Copy(
        "SVT-AV1 CRF 10",
        "near lossless",
        ".mp4",
        encoded("-c:v", "libsvtav1", "-preset", "10", "-crf", "10", "-pix_fmt", "yuv420p10le", mp4=True, only=is_plain),
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
            only=lambda m: is_constant(m) and not m.is_full and m.rate in MPEG2_RATES,
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
            sound=sound_from_picture,
            clock=(),
            only=lambda m: is_constant(m) and not m.is_full,
        ),
    ),
    Copy("AAC, MP4", "sound", ".mp4", sound_as("-c:a", "aac", "-b:a", "256k", suffix_mp4=True), most=8),
    Copy(
        "AAC, TS",
        "sound",
        ".ts",
        lambda m: sound_as("-c:a", "aac", "-b:a", "256k")(m) if m.video.codec in IN_TS and not is_turned(m) else None,
        most=6,
    ),
    Copy("AAC, Matroska", "sound", ".mkv", sound_as("-c:a", "aac", "-b:a", "256k")),
    Copy("FLAC", "sound", ".mkv", sound_as("-c:a", "flac")),
    Copy("Opus, Matroska", "sound", ".mkv", sound_as("-c:a", "libopus", "-b:a", "192k")),
    Copy("Opus, MP4", "sound", ".mp4", sound_as("-c:a", "libopus", "-b:a", "192k", suffix_mp4=True)),
    Copy("MP3, MP4", "sound", ".mp4", sound_as("-c:a", "libmp3lame", "-b:a", "256k", suffix_mp4=True)),
    Copy("AC-3, Matroska", "sound", ".mkv", sound_as("-c:a", "ac3", "-b:a", "448k")),
    Copy("PCM, QuickTime", "sound", ".mov", sound_as("-c:a", "pcm_s16le", suffix_mp4=True)),
    Copy("mono of 16 kHz", "sound", ".mkv", sound_as("-c:a", "flac", "-ac", "1", "-ar", "16000")),
    Copy("12 dB quieter", "sound", ".mkv", sound_as("-c:a", "flac", filters="volume=-12dB")),
    Copy(
        "a second of silence after the end",
        "sound",
        ".mp4",
        sound_as("-c:a", "aac", "-b:a", "256k", filters="apad=pad_dur=1", suffix_mp4=True),
    ),
    Copy(
        "sound 0.1 s shorter",
        "sound",
        ".mkv",
        lambda m: (
            None
            if m.audio is None or (m.facts.duration_s or 0) < 2
            else sound_as(
                "-c:a", "flac", filters=f"atrim=end={(m.audio.start_s or 0) + (m.audio.duration_s or 0) - 0.1:.3f}"
            )(m)
        ),
    ),
)
