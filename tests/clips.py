"""Small clips of every odd kind, made with the bundled FFmpeg from its own test sources."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import imageio_ffmpeg

RATE = 25
SECONDS = 2


@cache
def ffmpeg() -> str:
    return imageio_ffmpeg.get_ffmpeg_exe()


def make(out: Path, *arguments: str) -> Path:
    """Run FFmpeg with these arguments and ``out`` as its output; a failure shows FFmpeg's own words."""
    command = [ffmpeg(), "-nostdin", "-hide_banner", "-loglevel", "error", "-y", *arguments, f"file:{out}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return out


def picture(size: str = "320x180", rate: str = str(RATE), seconds: float = SECONDS) -> tuple[str, ...]:
    return ("-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration={seconds}")


def tone(frequency: int = 440, seconds: float = SECONDS) -> tuple[str, ...]:
    return ("-f", "lavfi", "-i", f"sine=frequency={frequency}:sample_rate=48000:duration={seconds}")


X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


def plain(out: Path, *more: str, size: str = "320x180", rate: str = str(RATE), seconds: float = SECONDS) -> Path:
    """H.264, no sound; the container follows the name."""
    return make(out, *picture(size, rate, seconds), *X264, *more)


def with_sound(out: Path, *more: str) -> Path:
    return make(out, *picture(), *tone(), *X264, "-c:a", "aac", *more)


def variable(out: Path) -> Path:
    """25 frames a second, of which the second second keeps every third."""
    return make(out, *picture(), "-vf", r"select='lt(n,25)+not(mod(n,3))'", "-fps_mode", "vfr", *X264)


def with_gap(out: Path) -> Path:
    """25 frames a second from which ten in a row were lost."""
    return make(out, *picture(), "-vf", r"select='not(between(n,20,29))'", "-fps_mode", "vfr", *X264)


def ends_still(out: Path, *more: str, until_s: float, select: str = "1") -> Path:
    """25 frames a second for two seconds, of which the last one stays until then."""
    clock = ("-fps_mode", "vfr", "-enc_time_base", "1/12800")
    return make(out, *picture(), "-vf", f"select='{select}'", *clock, *X264, *more, *still_until(until_s))


def still_until(end_s: float) -> tuple[str, str]:
    """Options of an encode whose last picture stays until then."""
    last = f"if(eq(NEXT_PTS,NOPTS),{end_s}/TB-(PTS-STARTPTS),DURATION)"
    return ("-bsf:v", f"setts=pts=PTS:dts=DTS:duration='{last}'")


def rotated(out: Path, flat: Path, counter_clockwise: int, *flips: str) -> Path:
    return make(out, "-display_rotation", str(counter_clockwise), *flips, "-i", str(flat), "-c", "copy")


def interlaced(out: Path, order: str = "tff") -> Path:
    shown = "top" if order == "tff" else "bottom"
    fields = f"tinterlace=mode=interleave_{shown},setfield={order}"
    flags = ("-flags", "+ilme+ildct", "-x264-params", f"{order}=1")
    return make(out, *picture("352x288", "50"), "-vf", fields, *X264, *flags)


def hlg(out: Path, *more: str) -> Path:
    tags = "colorprim=bt2020:transfer=arib-std-b67:colormatrix=bt2020nc:range=limited:log-level=none"
    encode = ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", "-x265-params", tags)
    return make(out, *picture(seconds=0.5), *encode, "-tag:v", "hvc1", *more)


def hdr10(out: Path) -> Path:
    tags = (
        "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:range=limited:log-level=none:hdr10=1:repeat-headers=1:"
        "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400"
    )
    encode = ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", "-x265-params", tags)
    return make(out, *picture(seconds=0.5), *encode, "-tag:v", "hvc1")


def still(out: Path) -> Path:
    return make(out, *picture(seconds=0.04), "-frames:v", "1", "-update", "1")


def timeless(out: Path) -> Path:
    """One frame of WebM, of which nothing tells how long it is shown."""
    frame = ("-f", "lavfi", "-i", "mandelbrot=size=320x180:rate=25", "-frames:v", "1")
    make(out, *frame, "-vf", "noise=alls=40:allf=t", "-c:v", "libvpx", "-f", "webm")
    content = out.read_bytes()
    for known in (b"\x23\xe3\x83\x84", b"\x44\x89\x88"):  # DefaultDuration and Duration, with the sizes of their values
        at, size = content.index(known), len(known) + (known[-1] & 0x7F)
        content = content[:at] + bytes((0xEC, 0x80 | (size - 2))).ljust(size, b"\0") + content[at + size :]  # Void
    out.write_bytes(content)
    return out


def everything(out: Path, folder: Path) -> Path:
    """Matroska with two sounds, a subtitle, a font, a cover, chapters and tags."""
    cover, words, font = still(folder / "cover.png"), folder / "words.srt", folder / "letters.ttf"
    words.write_text("1\n00:00:00,000 --> 00:00:01,000\nhello\n", encoding="utf-8")
    font.write_bytes(b"\0\1\0\0" + bytes(64))
    chapters = folder / "chapters.txt"
    chapters.write_text(
        ";FFMETADATA1\ntitle=A film\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1200\ntitle=One\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=1200\nEND=2000\ntitle=Two\n",
        encoding="utf-8",
    )
    inputs: Sequence[str] = (*picture(), *tone(440), *tone(880), "-i", str(words), "-i", str(chapters))
    maps = ("-map", "0:v", "-map", "1:a", "-map", "2:a", "-map", "3:s", "-map_metadata", "4", "-map_chapters", "4")
    names = (
        "-metadata:s:a:0", "language=ger", "-metadata:s:a:1", "language=eng", "-metadata:s:a:1", "title=Comments",
        "-disposition:a:1", "default", "-disposition:a:0", "0", "-disposition:s:0", "forced",
    )  # fmt: skip
    attach = ("-attach", str(font), "-metadata:s:t:0", "mimetype=application/x-truetype-font")
    cover_too = ("-attach", str(cover), "-metadata:s:t:1", "mimetype=image/png")
    return make(out, *inputs, *maps, *X264, "-c:a", "aac", "-ac", "1", "-c:s", "srt", *names, *attach, *cover_too)


def box(kind: bytes, *parts: bytes) -> bytes:
    """Return an ISO BMFF box."""
    payload = b"".join(parts)
    return (len(payload) + 8).to_bytes(4, "big") + kind + payload


def external_reference(out: Path, source: Path, target: Path) -> Path:
    """Turn an mp4 into one whose samples are in another file, as a QuickTime alias tells."""
    raw = source.read_bytes()
    at = raw.index(b"dref") - 4
    size = int.from_bytes(raw[at : at + 4], "big")
    name = str(target).encode()
    name += bytes(len(name) % 2)
    # flags, then: 10 bytes, volume (28), 12, file name (64), 16, levels (4), 16, records of type, length, value
    levels = (1).to_bytes(2, "big") * 2
    path = (2).to_bytes(2, "big") + len(name).to_bytes(2, "big") + name + b"\xff\xff\0\0"
    alias = box(b"alis", bytes(4), bytes(10), bytes(28), bytes(12), bytes(64), bytes(16), levels, bytes(16), path)
    new = box(b"dref", bytes(4), (1).to_bytes(4, "big"), alias)
    grown = len(new) - size
    data = bytearray(raw[:at] + new + raw[at + size :])
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        place = raw.index(kind) - 4
        length = int.from_bytes(raw[place : place + 4], "big") + grown
        data[place : place + 4] = length.to_bytes(4, "big")
    out.write_bytes(data)
    return out


def clean_aperture(out: Path, source: Path, size: tuple[int, int], offset: tuple[int, int]) -> Path:
    """Give an H.264 mp4 a `clap` box: the part of this size, whose middle is this far from the picture's."""
    raw = source.read_bytes()
    numbers = (size[0], 1, size[1], 1, offset[0], 1, offset[1], 1)
    clap = box(b"clap", *(number.to_bytes(4, "big", signed=True) for number in numbers))
    at = raw.index(b"avc1", raw.index(b"stsd")) - 4
    end = at + int.from_bytes(raw[at : at + 4], "big")
    data = bytearray(raw[:end] + clap + raw[end:])
    for place in (at, *(raw.index(kind) - 4 for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"))):
        length = int.from_bytes(raw[place : place + 4], "big") + len(clap)
        data[place : place + 4] = length.to_bytes(4, "big")
    out.write_bytes(data)
    return out
