"""The inputs: files of a wanted size, made by FFmpeg in seconds, or files that were named."""

from __future__ import annotations

import math
from pathlib import Path

from reelpress.bench.model import Material
from reelpress.bookkeeping import describe
from reelpress.errors import InputError
from reelpress.facts.formats import QUIET
from reelpress.facts.media import MediaFacts
from reelpress.facts.values import Value
from reelpress.probe.media import named, probe
from reelpress.run.process import Limits, run

RATE = 30
# A phone's 1080p30: 300 MB are two minutes.
BITS_PER_PIXEL = 20_000_000 / (1920 * 1080 * RATE)
_AUDIO_BPS = 128_000
_SEGMENT_S = 6.0
_OFF = 0.01  # how far from the size that was asked for, as a share, where a second try is worth it
_LIMITS = Limits(wall_s=900, stall_s=300)


class Input(Value, frozen=True, kw_only=True):
    """One input: what is told of it, and where it lies and what it is, which is not."""

    about: Material
    path: str
    facts: MediaFacts


def generated_input(size_bytes: int, *, ffmpeg: str, folder: Path, width: int, height: int) -> Input:
    """Make an MP4 of about this size: H.264 with the bits of a phone's camera, and a tone.

    A few seconds are encoded, moving detail under grain, and repeated without encoding them again until the size is
    reached: no encoder looks as far back. Raises :class:`InputError` when FFmpeg fails.
    """
    bps = BITS_PER_PIXEL * width * height * RATE
    wanted_s = size_bytes * 8 / (bps + _AUDIO_BPS)
    # whole frames, so that a repetition begins where a frame would
    segment_s = max(2, round(min(_SEGMENT_S, wanted_s) * RATE)) / RATE
    segment, target = folder / "segment.mp4", folder / f"{size_bytes}.mp4"
    picture = (
        f"mandelbrot=size=480x270:rate={RATE}:start_scale=0.8:end_scale=0.2:end_pts={round(_SEGMENT_S * RATE)},"
        f"scale={width}:{height}:flags=bicubic,format=yuv420p,noise=alls=10:allf=t:all_seed=23"
    )
    _ffmpeg(
        ffmpeg, "-f", "lavfi", "-i", picture, "-t", f"{segment_s:.6f}", "-c:v", "libx264", "-preset", "veryfast",
        "-b:v", str(round(bps)), "-maxrate", str(round(bps)), "-bufsize", str(round(bps)),
        "-x264-params", "nal-hrd=cbr", "-g", str(RATE), f"file:{segment}",
    )  # fmt: skip
    # a segment's rate is not quite what was asked for: what came of it decides how long the file is
    duration_s = size_bytes / (segment.stat().st_size / segment_s + _AUDIO_BPS / 8)
    for _ in range(2):
        _ffmpeg(
            ffmpeg, "-stream_loop", str(math.ceil(duration_s / segment_s)),
            "-i", f"file:{segment}", "-f", "lavfi", "-i", "sine=frequency=330:sample_rate=48000",
            "-map", "0:v:0", "-map", "1:a:0", "-t", f"{duration_s:.6f}", "-c:v", "copy",
            "-c:a", "aac", "-b:a", str(_AUDIO_BPS), "-movflags", "+faststart", f"file:{target}",
        )  # fmt: skip
        off = size_bytes / target.stat().st_size
        if abs(off - 1) <= _OFF:
            break
        duration_s = max(2 / RATE, duration_s * off)
    segment.unlink()
    return _input(f"{size_bytes / 1e6:g} MB", target, generated=True)


def named_input(number: int, path: Path) -> Input:
    """Return a file that was named, under a number. Raises :class:`InputError` for what is no video."""
    return _input(f"file {number}", path, generated=False)


def _input(name: str, path: Path, *, generated: bool) -> Input:
    with named(path):
        facts = probe(path)
    record = describe(path, facts, None)
    if facts.main_video is None or not facts.duration_s:
        raise InputError(f"{path.name} has no video to measure with.")
    about = Material(
        name=name, generated=generated, size_bytes=facts.size_bytes, duration_s=round(facts.duration_s, 3),
        video=record.video or "",
    )  # fmt: skip
    return Input(about=about, path=str(path), facts=facts)


def _ffmpeg(ffmpeg: str, *arguments: str) -> None:
    argv = (ffmpeg, *QUIET, "-progress", "pipe:1", "-y")
    done = run((*argv, *arguments), limits=_LIMITS)
    if done.returncode != 0:
        raise InputError("An input could not be made.", evidence=done.last_words(), hint="Is there room on the disk?")
