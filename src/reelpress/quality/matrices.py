"""Whether an encode's colours are the reference's taken for those of another matrix (BT.601, BT.709). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reelpress.facts.quality import Finding

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from reelpress.quality.align import Matched

_FRAMES = 60  # of a stretch, spread evenly
# Luma's weights of red and blue: ITU-R BT.601-7, 2.5.1, and BT.709-6, 3.2.
_WEIGHTS = {"BT.601": (0.299, 0.114), "BT.709": (0.2126, 0.0722)}
# By how much colours have to differ at all, in levels of 8 bits, root mean square. Right encodes at CRF 10 differ by
# 0.05 to 0.6, at CRF 45 by 1 to 3; exchanged matrices make 0.6 (little colour) to 4.
_LEAST_LEVELS = 0.5
# Of the difference (squared) at most so much is left where the wrong matrix is the reason: 0.03 to 0.57 were seen, and
# 0.92 and more of right encodes down to CRF 45.
_EXPLAINED = 0.6


def judge_matrix(matched: Sequence[Matched]) -> list[Finding]:
    """Tell whether what the encode's colours differ by is what the exchange of two matrices makes."""
    import numpy as np

    left, right = [], []
    for one in matched:
        picked = np.unique(np.linspace(0, len(one) - 1, min(len(one), _FRAMES)).astype(np.int64))
        shown = one.shown[picked]
        left.append(np.stack([one.made.cb[picked].ravel(), one.made.cr[picked].ravel()]))
        right.append(np.stack([one.wanted.cb[shown].ravel(), one.wanted.cr[shown].ravel()]))
    made, wanted = (np.concatenate(one, axis=1).astype(np.float64) - 128 for one in (left, right))
    same = float(((made - wanted) ** 2).mean())
    if same < _LEAST_LEVELS**2:
        return []
    for name, other in (("BT.601", "BT.709"), ("BT.709", "BT.601")):
        rest = float(((made - _exchange(name, other) @ wanted) ** 2).mean())
        if rest < _EXPLAINED * same:
            text = f"Colours are off as if {name} and {other} were exchanged."
            evidence = f"they differ by {same**0.5:.1f} levels, and by {rest**0.5:.1f} once that is undone"
            return [Finding(code="matrix_wrong", text=text, evidence=evidence)]
    return []


def _exchange(first: str, then: str) -> NDArray[np.float64]:
    """Return what makes Cb and Cr of one matrix those of another, for the same red, green and blue.

    Luma adds nothing to them: grey stays grey.
    """
    import numpy as np

    (red, blue), (to_red, to_blue) = _WEIGHTS[first], _WEIGHTS[then]
    # colour differences of 1 in Cb and in Cr as red, green and blue without luma
    as_rgb = np.array(
        [
            [0.0, 2 * (1 - red)],
            [-2 * blue * (1 - blue) / (1 - red - blue), -2 * red * (1 - red) / (1 - red - blue)],
            [2 * (1 - blue), 0.0],
        ]
    )
    luma = np.array([to_red, 1 - to_red - to_blue, to_blue])
    to_cb = (np.array([0.0, 0.0, 1.0]) - luma) / (2 * (1 - to_blue))
    to_cr = (np.array([1.0, 0.0, 0.0]) - luma) / (2 * (1 - to_red))
    return np.asarray(np.stack([to_cb, to_cr]) @ as_rgb, np.float64)
