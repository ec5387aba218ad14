"""FFmpeg's own account of a run: packets read, frames and samples decoded, decode errors. Pure.

It stands at the end of stderr at ``-loglevel verbose``. The last account counts: a file name with line breaks in it
could only ever stand before it.
"""

from __future__ import annotations

import re

from reelpress.facts.values import Value

_INPUT = re.compile(
    r"^(?:\[in#0/[^\]]*\] )?\[verbose\]   Input stream #0:(?P<index>\d+) \(video\): (?P<packets>\d+) packets read"
    r" \(\d+ bytes\); (?P<frames>\d+) frames decoded(?:; (?P<errors>\d+) decode errors)?; $",
    re.MULTILINE,
)
_SOUND = re.compile(
    r"^(?:\[in#0/[^\]]*\] )?\[verbose\]   Input stream #0:(?P<index>\d+) \(audio\): \d+ packets read"
    r" \(\d+ bytes\); \d+ frames decoded(?:; \d+ decode errors)? \((?P<samples>\d+) samples\); $",
    re.MULTILINE,
)


class DecodeReport(Value, frozen=True, kw_only=True):
    """What the decoder of the main video did; ``errors`` is ``None`` before FFmpeg 6, which does not count them."""

    packets: int
    frames: int
    errors: int | None


def read_report(stderr_tail: str, video_index: int) -> DecodeReport | None:
    """Return the account of one input video stream, or ``None`` when FFmpeg gave none."""
    found = [m for m in _INPUT.finditer(stderr_tail) if int(m["index"]) == video_index]
    if not found:
        return None
    last = found[-1]
    errors = int(last["errors"]) if last["errors"] is not None else None
    return DecodeReport(packets=int(last["packets"]), frames=int(last["frames"]), errors=errors)


def read_samples(stderr_tail: str) -> dict[int, int]:
    """Return how many samples were decoded of each audio stream of the input; those that were copied have none."""
    return {int(m["index"]): int(m["samples"]) for m in _SOUND.finditer(stderr_tail)}
