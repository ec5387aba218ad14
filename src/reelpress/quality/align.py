"""Puts the pictures of two files together by what they show.

Which picture of the reference is each of the encode's? Times say which one it ought to be. Where frames were lost,
repeated or moved it is another, and the cheapest way through all of them tells which: a picture that looks different
from the one it is taken for costs by how much it does, staying on course nothing, one that is shown again a little, a
jump more. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import ceil
from typing import TYPE_CHECKING

from reelpress.facts.values import Value

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from reelpress.quality.looking import Seen

    Floats = NDArray[np.float32]
    Places = NDArray[np.int64]

REACH_S = 2.2  # how far from where it ought to be a picture is looked for
_MOST_REACH = 140  # the same in frames
_BLOCK = 500  # frames at a time: of all of them only the ways that led there are kept, half a kilobyte each
# Differences are in levels of 8 bits, root mean square over pictures of 32x18, as multiples of what an encode of its
# kind differs everywhere, and no less than of this much: what copies differ by rounding.
LEAST_NOISE = 0.35
_MOST_COST = 12.0
# Costs of a jump, of a picture shown again, and of each picture that is not on time: coarse encodes of what moves
# little lag behind by themselves. Found with planted faults and clean copies (docs/compare.md).
_JUMP, _AGAIN, _OFF_TIME = 4.0, 1.5, 0.15


class Alignment(Value, frozen=True, kw_only=True):
    """How the encode's frames find the reference's.

    A frame of the encode belongs to what the reference has on the screen ``late_s`` after its own time: ``lag_s``, by
    which most pictures come early (below 0: late), and a part of a frame against rounding. ``frame_s`` is the usual
    distance of the reference's frames, ``made_frame_s`` of the encode's.
    """

    lag_s: float
    slack_s: float
    frame_s: float
    made_frame_s: float

    @property
    def late_s(self) -> float:
        """How much later than a frame's own time its picture is looked for."""
        return self.lag_s + self.slack_s


class Matched:
    """A stretch, matched: for each frame of the encode the number of the reference's that it shows.

    ``due`` is the number of the one that it should show by its time. ``noise`` is how much the encode differs from the
    reference where all is well.
    """

    def __init__(self, made: Seen, wanted: Seen, shown: Places, due: Places, noise: float) -> None:
        self.made, self.wanted, self.shown, self.due, self.noise = made, wanted, shown, due, noise

    def __len__(self) -> int:
        return len(self.shown)


def usual_gap(looks: Sequence[Seen]) -> float:
    """Return the median distance of frames in seconds; 0 where there are no two."""
    import numpy as np

    gaps = [np.diff(seen.at_s) for seen in looks if len(seen) > 1]
    return float(np.median(np.concatenate(gaps))) if gaps else 0.0


def slack(made_s: float, wanted_s: float) -> float:
    """Return how much a frame's time may be before that of its picture: a quarter of the reference's frame.

    Of an encode with more frames, half of one of its own is enough: it had to put pictures on its own grid.
    """
    return min((value for value in (made_s / 2, wanted_s / 4) if value > 0), default=0.01)


def match(
    made: Seen, wanted: Seen, slack_s: float, levels: tuple[float, float] = (1.0, 0.0),
    go_on: Callable[[], None] = lambda: None,
) -> Matched:  # fmt: skip
    """Match the frames of one stretch; both sides have at least one.

    ``levels`` are factor and offset by which the encode's brightness differs from the reference's throughout.
    ``go_on`` is called now and then and may raise what ends the matching.
    """
    import numpy as np

    due = np.clip(np.searchsorted(wanted.at_s, made.at_s + slack_s, side="right") - 1, 0, None)
    frame_s = usual_gap((wanted,)) or 0.04
    reach = min(_MOST_REACH, max(8, ceil(REACH_S / frame_s)), max(8, len(wanted)))

    def distances() -> Iterator[Floats]:
        for at in range(0, len(made), _BLOCK):
            go_on()
            yield _distances(made, wanted, due, slice(at, at + _BLOCK), reach, levels)

    # worked out twice, as all of them would take more than a kilobyte a frame
    noise = max(LEAST_NOISE, float(np.median(np.concatenate([block.min(axis=1) for block in distances()]))))
    offsets = _cheapest(distances(), noise, np.diff(due, prepend=due[:1]), reach)
    return Matched(made, wanted, np.clip(due + offsets, 0, len(wanted) - 1), due, noise)


def coarse(planes: NDArray[np.uint8]) -> Floats:
    """Return pictures at half their size, one row of numbers each, around 0."""
    import numpy as np

    frames, height, width = planes.shape
    small = planes.reshape(frames, height // 2, 2, width // 2, 2).mean(axis=(2, 4), dtype=np.float32)
    return np.asarray(small.reshape(frames, -1) - 128, dtype=np.float32)


def _distances(
    made: Seen, wanted: Seen, due: Places, part: slice, reach: int, levels: tuple[float, float]
) -> Floats:  # fmt: skip
    """Return how far each frame of a part is from those of the reference around the one that is due.

    The result has a row for each frame, and a column for each number from ``-reach`` to ``reach`` off.
    """
    import numpy as np

    here = due[part]
    low, high = max(0, int(here.min()) - reach), min(len(wanted), int(here.max()) + reach + 1)
    left = coarse(made.luma[part])
    right = coarse(wanted.luma[low:high]) * levels[0] + (levels[1] + 128 * (levels[0] - 1))
    squares = (left**2).mean(axis=1)[:, None] + (right**2).mean(axis=1)[None, :]
    table = np.sqrt(np.maximum(0, squares - 2 * (left @ right.T) / left.shape[1]))
    columns = here[:, None] - low + np.arange(-reach, reach + 1)[None, :]
    inside = (columns >= 0) & (columns < high - low)
    found = np.take_along_axis(table, np.clip(columns, 0, high - low - 1), axis=1)
    return np.where(inside, found, 255.0).astype(np.float32)


def _cheapest(distances: Iterator[Floats], noise: float, steps: Places, reach: int) -> Places:
    """Return for each frame how many numbers it is off, along the cheapest way through all frames."""
    import numpy as np

    frames, width = len(steps), 2 * reach + 1
    off_time = np.arange(width) != reach
    came = np.zeros((frames, width), np.int16)
    ways = np.arange(width)
    total = np.zeros(0, np.float32)
    number = 0
    for block in distances:
        costs = np.minimum((block - block.min(axis=1, keepdims=True)) / noise, _MOST_COST)
        costs += _OFF_TIME * off_time
        for row in costs:
            if number:
                reached = _reached(total, int(steps[number]), ways, came[number])
            else:
                reached = np.asarray(_JUMP * off_time, np.float32)
            total = reached + row
            number += 1
    path = np.zeros(frames, np.int64)
    # of ways that cost the same the one that is on time
    path[-1] = reach if total[reach] <= total.min() + 1e-6 else int(total.argmin())
    for number in range(frames - 1, 0, -1):
        path[number - 1] = came[number, path[number]]
    return path - reach


def _reached(total: Floats, step: int, ways: Places, came: NDArray[np.int16]) -> Floats:
    """Return what it costs to come to each place of the next frame; from where goes to ``came``."""
    width = len(ways)
    came[:] = ways
    reached = total.copy()
    if 0 < step < width:  # the picture before, shown again: as many numbers off as should have gone by
        again = total[step:] + _AGAIN
        better = again < reached[: width - step]
        reached[: width - step][better] = again[better]
        came[: width - step][better] = ways[step:][better]
    best = int(total.argmin())
    jump = total[best] + _JUMP
    better = jump < reached
    reached[better] = jump
    came[better] = best
    return reached
