"""Which stretches of an output to look at: some spread over it, and those where its encoder had most to do.

At a constant quality an encoder spends where pictures move or change most, and that is where it lets go of most, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from reelpress.facts.formats import OUR_MP4
from reelpress.facts.numbers import middles
from reelpress.facts.quality import Window
from reelpress.quality.framecrc import packets_of
from reelpress.run.process import CancelToken, Limits

WINDOW_S = 2.0
SPREAD = 3
# The most places there are: those that are spread, one hard one, and in more than a minute another.
HARD_SHORT, HARD_LONG, LONG_S = 1, 2, 60.0
# Every stretch is sought, looked at, tested and scored by processes of its own: under this all of it costs no more.
WHOLE_BELOW_S = 30.0
_GRID_S = 0.5
_LIMITS = Limits(wall_s=300, stall_s=60)

Packet = tuple[float, int]  # seconds from the first, bytes


def choose_windows(duration_s: float, packets: Sequence[Packet]) -> tuple[Window, ...]:
    """Return stretches of an output, in order, none over another; all of a short one.

    ``packets`` are those of its video; without them only spread ones are chosen.
    """
    if duration_s < WHOLE_BELOW_S:
        return (Window(start_s=0.0, duration_s=duration_s),)
    starts = [middle - WINDOW_S / 2 for middle in middles(duration_s, SPREAD)]
    hard = HARD_LONG if duration_s > LONG_S else HARD_SHORT
    for at_s in _hardest_first(duration_s, packets):
        if len(starts) == SPREAD + hard:
            break
        if all(abs(at_s - start) >= WINDOW_S for start in starts):
            starts.append(at_s)
    return tuple(Window(start_s=round(start, 3), duration_s=WINDOW_S) for start in sorted(starts))


def covers(windows: Sequence[Window], duration_s: float | None) -> bool:
    """Tell whether windows are one of all there is."""
    return len(windows) == 1 and duration_s is not None and windows[0].duration_s >= duration_s - 0.01


def _hardest_first(duration_s: float, packets: Sequence[Packet]) -> list[float]:
    """Return where windows may begin, those with the most bytes first."""
    cells = [0] * (int(duration_s / _GRID_S) + 1)
    for at_s, size in packets:
        cells[min(max(0, int(at_s / _GRID_S)), len(cells) - 1)] += size
    wide = int(WINDOW_S / _GRID_S)
    last = int((duration_s - WINDOW_S) / _GRID_S)
    sums = {number * _GRID_S: sum(cells[number : number + wide]) for number in range(last + 1)}
    return sorted((at_s for at_s, total in sums.items() if total), key=lambda at_s: (-sums[at_s], at_s))


def read_packets(
    ffmpeg: str, output: Path, *, cancel: CancelToken | None, spend: Callable[[float], None]
) -> tuple[Packet, ...]:
    """Return time and size of each packet of an MP4 of ours, in decoding order; none where it cannot be read."""
    streams = packets_of(ffmpeg, output, OUR_MP4, ("0:v:0",), limits=_LIMITS, cancel=cancel, spend=spend)
    found = streams.get(0, [])
    first_s = min((packet.at_s for packet in found), default=0.0)
    return tuple((packet.at_s - first_s, packet.size_bytes) for packet in found)
