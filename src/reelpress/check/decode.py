"""Reads an output with FFmpeg's software decoders: all of a short one, the start, middle and end of a long one."""

from __future__ import annotations

import contextlib
from pathlib import Path

from reelpress.check.packets import PacketTable, packet_table
from reelpress.check.structure import Decoded
from reelpress.facts.formats import OUR_MP4, QUIET
from reelpress.run.process import CancelToken, Finished, Limits, run

WHOLE_UP_TO_S = 5.0
WINDOW_FRAMES = 8
_MOST_THREADS = 16  # as many as FFmpeg takes by itself
# Of longer ones it is not asked where keyframes lie: two windows of 8 frames are next to nothing then.
_TABLE_UP_TO_S = 60.0


def decode_output(
    ffmpeg: str,
    path: Path,
    duration_s: float | None,
    *,
    whole: bool,
    has_audio: bool,
    threads: int,
    cancel: CancelToken | None,
) -> tuple[Decoded, Finished]:
    """Decode an MP4 of ours and return what the decoders complained about.

    A file of unknown duration is decoded whole, as is one no longer than ``WHOLE_UP_TO_S``. Of others: 8 frames from
    the start, 8 from the keyframe before the middle, and everything from the keyframe before the last second on; that
    is all there is where no keyframe but the first comes before it. Hardware decoders are never used here: a decoder
    must not vouch for the encoder beside it. ``threads`` are those of a window that is more than 8 frames; FFmpeg's own
    choice, one more than there are cores, takes a tenth longer.
    """
    starts: tuple[float, ...] = (0.0,)
    if not whole and duration_s is not None and duration_s > WHOLE_UP_TO_S:
        starts = places(_table(path, duration_s), duration_s)
    inputs: list[str] = []
    outputs: list[str] = []
    for number, start_s in enumerate(starts):
        is_last = start_s == starts[-1]
        # a decoder with a thread for every core takes longer to start than 8 frames take to decode
        at_once = str(min(threads, _MOST_THREADS)) if is_last else "1"
        at = ("-noaccurate_seek", "-ss", f"{start_s:.3f}") if start_s else ()
        # errors are looked for, not pictures: leaving out the loop filter saves a third of the work
        inputs += (*OUR_MP4, "-skip_loop_filter", "all", "-threads", at_once, *at, "-i", f"file:{path}")
        sound = ("-map", f"{number}:a") if has_audio and is_last else ()
        frames = () if is_last else ("-frames:v", str(WINDOW_FRAMES))
        # An output each: within one, the first stream to have its frames ends all others at its own time (FFmpeg's
        # sync queues), and of the end nothing was decoded.
        outputs += ("-map", f"{number}:v", *sound, *frames, "-fps_mode", "passthrough", "-f", "null", "-")
    done = run((ffmpeg, *QUIET, *inputs, *outputs), limits=Limits(wall_s=60 + 2 * (duration_s or 600)), cancel=cancel)
    # the null muxer speaks of timestamps it would have written, which is no matter of the decoder
    lines = (line.strip() for line in done.stderr_tail.splitlines())
    errors = [line for line in lines if line and not line.startswith("[null @")]
    if done.returncode != 0 and not errors:
        errors = [f"the decoder ended with {done.returncode}"]
    return Decoded(whole=len(starts) == 1, errors=tuple(errors[:5])), done


def places(table: PacketTable, duration_s: float) -> tuple[float, ...]:
    """Return from where on to decode, in seconds; 8 frames from each but the last, from there all.

    What is decoded from another place anyway is left out. A table without keyframes tells nothing.
    """
    middle_s, end_s = duration_s / 2, duration_s - 1
    keys_s = [table.shown_s[key] for key in table.keys]
    if not keys_s:
        return 0.0, middle_s, end_s
    middle, end = (max((k for k in keys_s if k <= s), default=0.0) for s in (middle_s, end_s))
    if end == 0:
        return (0.0,)
    return (0.0, end_s) if middle in (0.0, end) else (0.0, middle_s, end_s)


def _table(path: Path, duration_s: float) -> PacketTable:
    if duration_s <= _TABLE_UP_TO_S:
        with contextlib.suppress(OSError):  # FFmpeg will have words for it
            return packet_table(path)
    return PacketTable()
