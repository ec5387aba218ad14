"""Which demuxers may open a file somebody uploaded, by FFmpeg's names; shared by the probe and every FFmpeg command.

A demuxer that follows references to other files or hosts (hls, dash, concat, sdp, imf), invents its input (lavfi), or
needs to be told what it reads (rawvideo) is on no list here. FFmpeg refuses what is not listed, by the content it
detects, whatever the file is called.
"""

from __future__ import annotations

# Containers with pictures and sound. One name of a demuxer's several is enough for FFmpeg.
VIDEO_FORMATS = (
    "mov", "mp4", "matroska", "webm", "avi", "mpegts", "mpeg", "flv", "asf", "asf_o", "ogg", "mxf", "gxf", "wtv",
    "dv", "rm", "ivf", "gif", "yuv4mpegpipe",
)  # fmt: skip

# Bare video, as encoders and cameras write it.
ELEMENTARY_FORMATS = (
    "h264", "hevc", "vvc", "av1", "obu", "m4v", "mpegvideo", "h261", "h263", "vc1", "mjpeg", "dnxhd", "dirac",
)  # fmt: skip

# Sound alone: opened so that the answer can be "audio only" rather than "unreadable".
AUDIO_FORMATS = (
    "mp3", "wav", "w64", "aiff", "caf", "au", "flac", "aac", "ac3", "eac3", "dts", "dtshd", "truehd", "mlp", "amr",
    "amrnb", "amrwb", "ape", "wv", "tta", "tak", "oma", "mpc", "mpc8", "loas",
)  # fmt: skip

# What FFmpeg calls the demuxers that yield one picture, or a numbered series of files.
STILL_IMAGE_FORMATS = frozenset({
    "image2", "image2pipe", "ico", "apng", "jpegxl_anim", "fits",
    *(f"{name}_pipe" for name in (
        "bmp", "cri", "dds", "dpx", "exr", "gem", "gif", "hdr", "j2k", "jpeg", "jpegls", "jpegxl", "jpegxs",
        "pam", "pbm", "pcx", "pfm", "pgm", "pgmyuv", "pgx", "phm", "photocd", "pictor", "png", "ppm", "psd",
        "qdraw", "qoi", "sgi", "sunrast", "svg", "tiff", "vbn", "webp", "xbm", "xpm", "xwd",
    )),
})  # fmt: skip

# What FFmpeg calls the demuxers that read other files than the one they are given.
PLAYLIST_FORMATS = frozenset({
    "hls", "applehttp", "dash", "concat", "sdp", "rtsp", "rtp", "sap", "imf", "webm_dash_manifest", "lavfi",
    "realtext",
})  # fmt: skip

INPUT_FORMATS = VIDEO_FORMATS + ELEMENTARY_FORMATS + AUDIO_FORMATS

MP4_DEMUXER = "mov,mp4,m4a,3gp,3g2,mj2"  # FFmpeg's name for that of MP4 and MOV
# What FFmpeg calls the demuxers that seek to keyframes by an index. In others it seeks to any packet.
INDEXED_FORMATS = frozenset({MP4_DEMUXER, "matroska,webm", "avi"})
# What it then decodes is broken, or nothing, up to the next keyframe: broadcasts have one or two in so long.
RUN_UP_S = 12.0

INPUT_PROTOCOLS = ("file",)

# What FFmpeg is told first where only errors are read of what it says.
QUIET = ("-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+error")
# What FFmpeg is told before it reads an MP4 that we wrote.
OUR_MP4 = ("-protocol_whitelist", "file", "-format_whitelist", MP4_DEMUXER)


def format_whitelist() -> str:
    """Return the value of FFmpeg's ``-format_whitelist``."""
    return ",".join(INPUT_FORMATS)


def container_args(container: str) -> tuple[str, ...]:
    """Return FFmpeg's options for an input whose demuxer is known: that one alone, and no more of it than need be."""
    # By itself FFmpeg reads five seconds of every transport stream in search of further programmes; the probe does not.
    return "-format_whitelist", container, *(("-scan_all_pmts", "0") if container == "mpegts" else ())


def protocol_whitelist() -> str:
    """Return the value of FFmpeg's ``-protocol_whitelist``."""
    return ",".join(INPUT_PROTOCOLS)
