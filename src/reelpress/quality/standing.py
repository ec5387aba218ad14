"""Which pictures of an encode stand still while those of the reference move on. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reelpress.quality.telling import runs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from reelpress.quality.align import Matched

    Floats = NDArray[np.float64]

# A repeated picture is one where the reference moved by so many levels, and so many times the encode's usual error.
_MOVED_LEVELS, _MOVED_NOISE = 0.8, 2.0
# The same of pictures that stand still, in that part of the picture where most happens: steps of the reference and of
# the encode, in levels, and what has to come of them. In honest encodes of 22 sources (x264 at CRF 18 to 40, x265,
# SVT-AV1) no step was less than 0.25 of the reference's where that was twice what the encode is off usually; a frame of
# a quiet interview shown twice (0.2 levels all over, 1.9 in one part) makes one of 0.14 at most where that is 5 times.
_STEP_LEVELS, _STILL_SHARE, _STOOD_LEVELS, _STOOD_TIMES = 1.0, 0.2, 1.5, 4.0
_PATCH = 4  # sides of a part
_BLOCK = 1000
_LATE_FRAMES = 0.75  # where rates were converted pictures stay for half a frame too long


def frozen_frames(matched: Matched, frame_s: float) -> NDArray[np.bool_]:
    """Tell which frames show the picture of the frame before although the reference has another by then."""
    import numpy as np

    shown, due = matched.shown, matched.due
    steps, wanted_steps = np.diff(shown, prepend=shown[:1] - 1), np.diff(due, prepend=due[:1] - 1)
    again = (steps <= 0) & (wanted_steps > 0)
    least = max(_MOVED_LEVELS, _MOVED_NOISE * matched.noise)
    found = np.zeros(len(shown), np.bool_)
    for first, last in runs(again):
        for number in range(first, last + 1):
            if _late_s(matched, number, int(shown[number])) < _LATE_FRAMES * frame_s:
                continue
            instead = min(len(matched.wanted) - 1, int(shown[number] + wanted_steps[number]))
            # of a run the whole counts: a slow movement adds up
            until = min(len(matched.wanted) - 1, int(shown[first] + due[number] - due[max(0, first - 1)]))
            moved = max(_moved(matched, int(shown[number]), instead), _moved(matched, int(shown[first]), until))
            found[number] = moved >= least
    return found | _standing(matched, frame_s)


def _standing(matched: Matched, frame_s: float) -> NDArray[np.bool_]:
    """Tell which frames are hardly other than the one before while the reference moves on, if only in one part of it.

    Coarse encodes keep what moves little as it is, too; but then they differ more from the reference everywhere.
    """
    import numpy as np

    made, wanted, due = matched.made.luma, matched.wanted.luma, matched.due
    still = np.zeros(len(matched), np.bool_)
    off = np.zeros(len(matched))
    for at in range(0, len(matched), _BLOCK):
        part = np.arange(at, min(at + _BLOCK, len(matched)))
        before = np.maximum(part - 1, 0)
        stepped, was_due = _most(made[part], made[before]), _most(wanted[due[part]], wanted[due[before]])
        still[part] = (was_due >= _STEP_LEVELS) & (stepped <= _STILL_SHARE * was_due)
        off[part] = _most(made[part], wanted[matched.shown[part]])
    least = max(_STOOD_LEVELS, _STOOD_TIMES * float(np.median(off)))
    for first, last in runs(still):
        stood, moved_on = wanted[due[first - 1 : first]], wanted[due[first : last + 1]]
        late = float(_most(moved_on, stood).max()) >= least
        if not late or _late_s(matched, last, int(due[first - 1])) < _LATE_FRAMES * frame_s:
            still[first : last + 1] = False
    return still


def _most(pictures: NDArray[np.uint8], others: NDArray[np.uint8]) -> Floats:
    """Return by how many levels (root mean square) pictures differ from others in the part where they do so most."""
    import numpy as np

    frames, height, width = pictures.shape
    gap = pictures.astype(np.float32) - others.astype(np.float32)
    squares = (gap**2).reshape(frames, height // _PATCH, _PATCH, width // _PATCH, _PATCH).mean(axis=(2, 4))
    return np.asarray(np.sqrt(squares.reshape(frames, -1).max(axis=1)), np.float64)


def _moved(matched: Matched, number: int, other: int) -> float:
    """Return by how many levels two of the reference's pictures differ."""
    import numpy as np

    from reelpress.quality.align import coarse

    pair = coarse(np.stack([matched.wanted.luma[number], matched.wanted.luma[other]]))
    return float(np.sqrt(((pair[0] - pair[1]) ** 2).mean()))


def _late_s(matched: Matched, number: int, picture: int) -> float:
    """Return for how long a frame still shows a picture of the reference when the next one is due."""
    made_s, wanted_s = matched.made.at_s, matched.wanted.at_s
    until_s = float(made_s[min(number + 1, len(made_s) - 1)])
    if number + 1 == len(made_s):
        until_s += float(made_s[-1] - made_s[-2]) if len(made_s) > 1 else 0.0
    following = picture + 1
    return until_s - float(wanted_s[following]) if following < len(wanted_s) else 0.0
