"""Whether an encode's colours lie beside its luma: planes that were moved against each other. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reelpress.facts.quality import Finding

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from reelpress.quality.align import Matched

    Planes = NDArray[np.float32]

_FRAMES = 60  # of a stretch, spread evenly
_REACH_X, _REACH_Y = 6, 3  # samples of the small planes: a fifth and a sixth of the picture
# By how many levels a plane has to be off where it is, and which part of that may be left where it belongs. Colours of
# a small video moved by 8 samples were 5.0 and 5.5 levels off, and 0.8 three samples further. In honest encodes of 22
# sources (x264 at CRF 18 to 40, x265, SVT-AV1) colours were up to 3.1 levels off, and 0.94 of that at the best place.
_LEAST_LEVELS, _LEFT = 1.5, 0.6


def judge_place(matched: Sequence[Matched]) -> list[Finding]:
    """Tell whether colours fit far better some way off. What is less than a sample here scores of colours tell."""
    import numpy as np

    left, right = [], []
    for one in matched:
        picked = np.unique(np.linspace(0, len(one) - 1, min(len(one), _FRAMES)).astype(np.int64))
        shown = one.shown[picked]
        left.append([one.made.cb[picked], one.made.cr[picked]])
        right.append([one.wanted.cb[shown], one.wanted.cr[shown]])
    for name, place in (("Cb", 0), ("Cr", 1)):
        made, wanted = (np.concatenate([pair[place] for pair in side]).astype(np.float32) for side in (left, right))
        here, there, by = _best(made, wanted)
        if here >= _LEAST_LEVELS and there <= _LEFT * here and by != (0, 0):
            share = max(abs(by[0]) / made.shape[2], abs(by[1]) / made.shape[1])
            evidence = (
                f"{name} differs by {here:.1f} levels, and by {there:.1f} moved by {share * 100:.0f} % of the picture"
            )
            return [Finding(code="colours_wrong", text="Colours lie beside their place.", evidence=evidence)]
    return []


def _best(made: Planes, wanted: Planes) -> tuple[float, float, tuple[int, int]]:
    """Return by how much a plane is off (root mean square) where it is, and where it fits best, and that place."""
    import numpy as np

    height, width = made.shape[1:]
    core = made[:, _REACH_Y : height - _REACH_Y, _REACH_X : width - _REACH_X]
    off = {}
    for y in range(-_REACH_Y, _REACH_Y + 1):
        rows = slice(_REACH_Y + y, height - _REACH_Y + y)
        for x in range(-_REACH_X, _REACH_X + 1):
            columns = slice(_REACH_X + x, width - _REACH_X + x)
            off[x, y] = float(np.sqrt(((core - wanted[:, rows, columns]) ** 2).mean()))
    best = min(off, key=off.__getitem__)
    return off[0, 0], off[best], best
