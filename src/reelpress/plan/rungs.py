"""The rungs of a ladder for streaming: which sizes and rates, from trials of samples. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from reelpress.facts.values import Value
from reelpress.plan.geometry import Size
from reelpress.plan.hull import LINES, Point, front

LADDER_LINES = (*LINES, 240)  # a phone with hardly a network takes less than a video ever should
TOP_VMAF = 95.0  # hardly to be told from the source: more bits are seen by nobody
MOST_RUNGS, FEWEST_RUNGS = 6, 3
# From one rung to the next the rate falls by so much: less hardly changes the picture, more lets it jump
# (https://developer.apple.com/documentation/http-live-streaming/hls-authoring-specification-for-apple-devices, 9.10
# asks for 1.5 to 2).
LEAST_STEP, MOST_STEP = 1.5, 2.0
VMAF_STEP = 3.0  # wished for between neighbours
LEAST_RATE = 12_000  # bytes a second of video; below that a phone's radio is not what limits
PREFER_LARGER = 0.7  # VMAF by which a smaller size must be better: sizes change as rarely as they may
# A rung's rate over a second is at most this times its mean in the samples: then a segment of four seconds, and the
# buffer of one second that may come on top, stay below twice the mean (the same specification, 1.33).
PEAK = 1.6
BUFFER_S = 1.0
# How far beyond the CRFs tried at a size its line is followed.
FINER, COARSER = 1.5, 6.0
# CRFs tried at each size. The largest and the smallest size are where the ladder ends.
LARGEST_CRFS, MIDDLE_CRFS, SMALLEST_CRFS = (19.0, 25.0, 31.0), (21.0, 29.0), (21.0, 29.0, 36.0)


class Rung(Value, frozen=True, kw_only=True):
    """One rung: a size, the CRF that gives its mean rate, and the cap. ``vmaf`` is predicted, at the top's size."""

    lines: int
    width: int
    height: int
    crf: float
    bytes_per_s: float
    vmaf: float
    max_rate_bps: int
    buffer_bits: int


def trials(sizes: Sequence[int]) -> tuple[tuple[int, float], ...]:
    """Return the trials that a ladder is made of: shorter side and CRF, largest size first."""
    found: list[tuple[int, float]] = []
    for place, lines in enumerate(sizes):
        crfs = LARGEST_CRFS if place == 0 else SMALLEST_CRFS if place == len(sizes) - 1 else MIDDLE_CRFS
        found += [(lines, crf) for crf in crfs]
    return tuple(found)


def choose_rungs(points: Sequence[Point], names: dict[int, Size], *, most: int = MOST_RUNGS) -> tuple[Rung, ...]:
    """Return the rungs, best first: at least one, at most ``most``.

    The first is the cheapest that scores ``TOP_VMAF``, or the best there is. Each next one has between half and two
    thirds of the rate, and the size that looks best at it.
    """
    curves = {lines: front([p for p in points if p.lines == lines]) for lines in names}
    curves = {lines: line for lines, line in curves.items() if line}
    rungs = [_top(curves, names)]
    while len(rungs) < most:
        following = _next(rungs[-1], curves, names)
        if following is None:
            break
        rungs.append(following)
    return tuple(rungs)


def _top(curves: dict[int, tuple[Point, ...]], names: dict[int, Size]) -> Rung:
    """Return the cheapest rung that scores ``TOP_VMAF``; of what scores less the best."""
    best = max(line[-1].vmaf for line in curves.values())
    aim = min(TOP_VMAF, best)
    found = [(_rate_at(line, aim), lines) for lines, line in curves.items() if line[-1].vmaf >= aim]
    rate, lines = min(found)
    larger = [n for r, n in found if r <= rate * 1.08]  # pixels are not given up for next to nothing
    lines = max(larger)
    return _rung(next(r for r, n in found if n == lines), lines, curves[lines], names)


def _next(above: Rung, curves: dict[int, tuple[Point, ...]], names: dict[int, Size]) -> Rung | None:
    """Return the rung below, ``None`` where the ladder ends."""
    found: Rung | None = None
    for factor in (LEAST_STEP, 1.75, MOST_STEP):
        rate = above.bytes_per_s / factor
        if rate < LEAST_RATE:
            break
        found = _best_at(rate, above, curves, names) or found
        if found is not None and above.vmaf - found.vmaf >= VMAF_STEP:
            break
    return found


def _best_at(rate: float, above: Rung, curves: dict[int, tuple[Point, ...]], names: dict[int, Size]) -> Rung | None:
    """Return the best at a rate, the larger size among equals; neither larger nor better than the rung above."""
    found = []
    for lines, line in curves.items():
        rung = _rung(rate, lines, line, names)
        tried = min(p.crf for p in line) - FINER <= rung.crf <= max(p.crf for p in line) + COARSER
        if lines <= above.lines and tried and rung.vmaf < above.vmaf:
            found.append(rung)
    if not found:
        return None
    best = max(rung.vmaf for rung in found)
    return max((rung for rung in found if rung.vmaf >= best - PREFER_LARGER), key=lambda rung: rung.lines)


def _rung(rate: float, lines: int, line: tuple[Point, ...], names: dict[int, Size]) -> Rung:
    low, high = _around(line, rate)
    part = 0.0 if low is high else math.log(rate / low.bytes_per_s) / math.log(high.bytes_per_s / low.bytes_per_s)
    peak = round(rate * 8 * PEAK)
    return Rung(
        lines=lines, width=names[lines].width, height=names[lines].height,
        crf=round(low.crf + part * (high.crf - low.crf), 1), bytes_per_s=rate,
        vmaf=max(0.0, min(100.0, low.vmaf + part * (high.vmaf - low.vmaf))), max_rate_bps=peak,
        buffer_bits=round(peak * BUFFER_S),
    )  # fmt: skip


def _around(line: tuple[Point, ...], rate: float) -> tuple[Point, Point]:
    """Return the two trials whose line is followed at a rate; beyond the ends that of the last two."""
    if len(line) == 1:
        return line[0], line[0]
    place = next((i for i, p in enumerate(line) if p.bytes_per_s >= rate), len(line) - 1)
    place = min(max(place, 1), len(line) - 1)
    return line[place - 1], line[place]


def _rate_at(line: tuple[Point, ...], vmaf: float) -> float:
    place = next(i for i, p in enumerate(line) if p.vmaf >= vmaf)
    if place == 0:
        return line[0].bytes_per_s
    low, high = line[place - 1], line[place]
    part = (vmaf - low.vmaf) / (high.vmaf - low.vmaf)
    return math.exp(math.log(low.bytes_per_s) + part * (math.log(high.bytes_per_s) - math.log(low.bytes_per_s)))
