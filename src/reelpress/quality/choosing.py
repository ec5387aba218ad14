"""Which stretches of a programme stand for all of it. Pure.

The half seconds of a programme are put in an order in which those that are alike stand together: by scene, as
keyframes show it (a scene that comes back is one scene), and within one by what they weigh. Cut into as many equal
parts as there are to be samples, each part gives one, from where it is most like the part's mean. So the mean of the
samples stands for that of the whole, hard scenes have their share, and none is taken twice for its length.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from reelpress.facts.numbers import middles
from reelpress.facts.quality import Window
from reelpress.quality.overview import SLOT_S, Keyframe, Overview

# Programmes up to this long are taken whole: samples with their tails would be no cheaper.
WHOLE_UP_TO_S = 15.0
SAMPLE_S = 2.0
_FEWEST, _MOST = 4, 6  # 8 to 12 seconds in all
_PER_SAMPLE_S = 10.0
# Two keyframes show the same scene where brightness differs by less than this on average, of 255.
_SAME_SCENE = 14.0
_MOST_SCENES = 200
# Weights this much apart are alike; within them the order is that of time, so that samples are spread over it.
_ALIKE = math.log(1.4)
_APART_S = 4.0  # from the start of one sample to that of the next, where there is room


def choose_windows(
    overview: Overview | None, duration_s: float, *, most_s: float = WHOLE_UP_TO_S
) -> tuple[Window, ...]:
    """Return the stretches to sample, in order of time, at most ``most_s`` seconds in all (and at least one).

    Without an overview they are spread evenly.
    """
    if duration_s <= min(WHOLE_UP_TO_S, max(most_s, SAMPLE_S)):
        return (Window(start_s=0.0, duration_s=duration_s),)
    count = max(_FEWEST, min(_MOST, int(duration_s / _PER_SAMPLE_S)))
    count = max(1, min(count, int(most_s / SAMPLE_S)))
    if overview is None or len(overview.slot_bytes) < count * int(SAMPLE_S / SLOT_S):
        return _evenly(duration_s, count)
    return tuple(
        Window(start_s=start * SLOT_S, duration_s=SAMPLE_S) for start in sorted(_stratified(overview, count))
    )  # fmt: skip


def scenes_of(overview: Overview) -> list[int]:
    """Return the scene of each half second, by number; keyframes that look alike begin the same one."""
    slots = len(overview.slot_bytes)
    scenes = [0] * slots
    known: list[Keyframe] = []
    at: list[tuple[float, int]] = []
    for frame in overview.keyframes:
        number = next((n for n, other in enumerate(known) if _difference(frame, other) < _SAME_SCENE), None)
        if number is None and len(known) < _MOST_SCENES:
            known.append(frame)
            number = len(known) - 1
        at.append((frame.at_s, number or 0))
    for (begins_s, number), (ends_s, _) in itertools.pairwise([*at, (slots * SLOT_S, 0)]):
        for slot in range(max(0, round(begins_s / SLOT_S)), min(slots, round(ends_s / SLOT_S))):
            scenes[slot] = number
    return scenes


def _stratified(overview: Overview, count: int) -> list[int]:
    """Return the slots at which samples start: one for each of ``count`` equal parts of the programme."""
    weights = [math.log(max(1, size)) for size in overview.slot_bytes]
    scenes = scenes_of(overview)
    by_scene: dict[int, list[float]] = {}
    for scene, weight in zip(scenes, weights, strict=True):
        by_scene.setdefault(scene, []).append(weight)
    mean = {scene: sum(each) / len(each) for scene, each in by_scene.items()}
    order = sorted(
        range(len(weights)), key=lambda slot: (mean[scenes[slot]], scenes[slot], int(weights[slot] / _ALIKE), slot)
    )
    size = len(order) / count
    parts = [order[round(n * size) : round((n + 1) * size)] for n in range(count)]
    chosen: list[int] = []
    for part in reversed(parts):  # the hardest first: it has the first pick
        start = _best_start(part, weights, chosen)
        if start is not None:
            chosen.append(start)
    return chosen


def _best_start(part: Sequence[int], weights: Sequence[float], chosen: Sequence[int]) -> int | None:
    """Return the start of the sample that is most like its part, away from those that were chosen."""
    length = int(SAMPLE_S / SLOT_S)
    inside = set(part)
    wanted = sum(weights[slot] for slot in part) / len(part)

    def unlike(start: int) -> float:
        slots = range(start, start + length)
        weight = sum(weights[slot] for slot in slots) / length
        outside = sum(slot not in inside for slot in slots) / length
        near = min((abs(start - other) * SLOT_S for other in chosen), default=_APART_S)
        return abs(weight - wanted) + outside + max(0.0, 1 - near / _APART_S)

    free = [
        start for start in range(len(weights) - length + 1) if all(abs(start - other) >= length for other in chosen)
    ]  # fmt: skip
    own = [start for start in free if start in inside] or free
    middle = sum(part) / len(part)
    return min(own, key=lambda start: (round(unlike(start), 3), abs(start - middle)), default=None)


def _evenly(duration_s: float, count: int) -> tuple[Window, ...]:
    places = (middle - SAMPLE_S / 2 for middle in middles(duration_s, count))
    return tuple(Window(start_s=round(max(0.0, at), 3), duration_s=min(SAMPLE_S, duration_s)) for at in places)


def _difference(one: Keyframe, other: Keyframe) -> float:
    return sum(abs(a - b) for a, b in zip(one.thumb, other.thumb, strict=True)) / max(1, len(one.thumb))
