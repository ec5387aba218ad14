"""Reads an output with FFmpeg's software decoders: all of a short one, the start, middle and end of a long one."""

from __future__ import annotations

from pathlib import Path

from reelpress.check.structure import Decoded
from reelpress.facts.formats import OUR_MP4, QUIET
from reelpress.run.process import CancelToken, Finished, Limits, run

WHOLE_UP_TO_S = 5.0
WINDOW_FRAMES = 8


def decode_output(
    ffmpeg: str, path: Path, duration_s: float | None, *, whole: bool, has_audio: bool, cancel: CancelToken | None
) -> tuple[Decoded, Finished]:
    """Decode an MP4 of ours and return what the decoders complained about.

    A file of unknown duration is decoded whole, as is one no longer than ``WHOLE_UP_TO_S``. Of others: 8 frames from
    the start, 8 from the keyframe before the middle, and everything from the keyframe before the last second on.
    Hardware decoders are never used here: a decoder must not vouch for the encoder beside it.
    """
    # errors are looked for, not pictures: leaving out the loop filter saves a third of the work
    source = (*OUR_MP4, "-skip_loop_filter", "all")
    name = f"file:{path}"
    if whole or duration_s is None or duration_s <= WHOLE_UP_TO_S:
        whole = True
        inputs: tuple[str, ...] = (*source, "-i", name)
        limits: tuple[str, ...] = ("-map", "0:v", *(("-map", "0:a") if has_audio else ()))
    else:
        middle, end = (("-noaccurate_seek", "-ss", f"{s:.3f}") for s in (duration_s / 2, duration_s - 1))
        # a decoder with a thread for every core takes longer to start than 8 frames take to decode
        starts = (("-threads", "1"), ("-threads", "1", *middle), end)
        inputs = tuple(token for start in starts for token in (*source, *start, "-i", name))
        few = str(WINDOW_FRAMES)
        limits = ("-map", "0:v", "-map", "1:v", "-map", "2:v", "-frames:v:0", few, "-frames:v:1", few)
        limits = (*limits, *(("-map", "2:a") if has_audio else ()))
    command = (ffmpeg, *QUIET, *inputs, *limits)
    done = run(
        (*command, "-fps_mode", "passthrough", "-f", "null", "-"),
        limits=Limits(wall_s=60 + 2 * (duration_s or 600)),
        cancel=cancel,
    )
    # the null muxer speaks of timestamps it would have written, which is no matter of the decoder
    lines = (line.strip() for line in done.stderr_tail.splitlines())
    errors = [line for line in lines if line and not line.startswith("[null @")]
    if done.returncode != 0 and not errors:
        errors = [f"the decoder ended with {done.returncode}"]
    return Decoded(whole=whole, errors=tuple(errors[:5])), done
