"""Reads an output with FFmpeg's software decoders: all of a short one, the start, middle and end of a long one."""

from __future__ import annotations

from pathlib import Path

from reelpress.check.structure import Decoded
from reelpress.run.process import CancelToken, Finished, Limits, run

WHOLE_UP_TO_S = 10.0
WINDOW_S = 2.0


def decode_output(
    ffmpeg: str, path: Path, duration_s: float | None, *, has_audio: bool, cancel: CancelToken | None
) -> tuple[Decoded, Finished]:
    """Decode an MP4 of ours and return what the decoders complained about.

    ``duration_s`` ``None`` decodes everything. Hardware decoders are never used here: a decoder must not vouch for
    the encoder beside it.
    """
    source = ("-protocol_whitelist", "file", "-format_whitelist", "mov,mp4,m4a,3gp,3g2,mj2")
    name = f"file:{path}"
    whole = duration_s is None or duration_s <= WHOLE_UP_TO_S
    if duration_s is None or whole:
        inputs: tuple[str, ...] = (*source, "-i", name)
        count, seconds = 1, duration_s or 0.0
    else:
        starts = (0.0, duration_s / 2 - WINDOW_S / 2, max(0.0, duration_s - WINDOW_S))
        inputs = tuple(t for s in starts for t in (*source, "-ss", f"{s:.3f}", "-t", f"{WINDOW_S + 1:g}", "-i", name))
        count, seconds = len(starts), WINDOW_S * len(starts)
    maps = tuple(t for n in range(count) for t in ("-map", f"{n}:v", *(("-map", f"{n}:a") if has_audio else ())))
    done = run(
        (
            ffmpeg,
            "-hide_banner",
            "-nostdin",
            "-nostats",
            "-loglevel",
            "level+error",
            *inputs,
            *maps,
            "-f",
            "null",
            "-",
        ),
        limits=Limits(wall_s=60 + 2 * (duration_s or 600), stall_s=None),
        cancel=cancel,
    )
    # the null muxer speaks of timestamps it would have written, which is no matter of the decoder
    lines = (line.strip() for line in done.stderr_tail.splitlines())
    errors = [line for line in lines if line and not line.startswith("[null @")]
    if done.returncode != 0 and not errors:
        errors = [f"the decoder ended with {done.returncode}"]
    return Decoded(seconds=seconds, whole=whole, errors=tuple(errors[:5])), done
