"""Damage that small pictures do not show, and scores of frames do: single frames much worse than all around. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reelpress.facts.quality import Finding, FrameScores
from reelpress.quality.telling import few, frames, runs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from reelpress.quality.looking import Seen

    Floats = NDArray[np.float64]

# What an encoder gives from one frame to the next of one scene differs by 3 dB, and by 6 where it was starved; a frame
# in another's place, in a quiet interview, by 15 dB and 22 points of VMAF (benchmarks/compare_gate.py).
_FALLS_DB, _FALLS_VMAF = 12.0, 15.0
_AROUND_S = 0.75
_LONGEST_S = 0.35  # less than half of that; longer stretches are a matter of quality, which scores of seconds tell
_SAME_SCENE = 14.0  # levels of 8 bits between small pictures of one scene: after a cut, coarser frames are no damage
# Colours of encodes are as good as luma or better; half a sample beside their place they lose 8 dB.
_COLOUR_DB, _COLOUR_BELOW_LUMA_DB = 35.0, 12.0


def judge_colour_scores(scores: FrameScores) -> list[Finding]:
    """Judge whether colours are much further off than luma is, throughout."""
    import numpy as np

    if not scores.psnr_cb_db or not scores.psnr_cr_db:
        return []
    luma, colour = float(np.median(scores.psnr_y_db)), min(
        float(np.median(scores.psnr_cb_db)), float(np.median(scores.psnr_cr_db))
    )  # fmt: skip
    if colour >= min(_COLOUR_DB, luma - _COLOUR_BELOW_LUMA_DB):
        return []
    evidence = f"PSNR of colours {colour:.1f} dB, of luma {luma:.1f} dB"
    return [Finding(code="colours_wrong", text="Colours are not the reference's.", evidence=evidence)]


def judge_outliers(scores: FrameScores, wanted: Sequence[Seen]) -> list[Finding]:
    """Find frames that are far worse than those before and after them, in a scene of the reference that goes on.

    ``wanted`` are looks at the reference, on the clock of the scores.
    """
    import numpy as np

    at_s = np.asarray(scores.at_s)
    psnr, vmaf = np.asarray(scores.psnr_y_db), np.asarray(scores.vmaf)
    if len(psnr) != len(at_s) or len(at_s) < 5:
        return []
    low = np.zeros(len(at_s), np.bool_)
    for n in np.flatnonzero(psnr < _highest_around(psnr) - _FALLS_DB):
        low[n] = psnr[n] < _level(at_s, psnr, int(n)) - _FALLS_DB and vmaf[n] < _level(at_s, vmaf, int(n)) - _FALLS_VMAF
    found = []
    for first, last in runs(low):
        end = last + 1
        begin_s, last_s = float(at_s[first]), float(at_s[end - 1])
        if first == 0 or end == len(at_s) or last_s - begin_s > _LONGEST_S:
            continue
        if min(psnr[first - 1], psnr[end]) - psnr[first:end].max() < _FALLS_DB / 2:  # the middle of a long bad stretch
            continue
        around = (float(at_s[first - 1]), float(at_s[end]))
        if around[1] - around[0] > 2 * _AROUND_S or not _is_one_scene(wanted, (around[0], begin_s, last_s, around[1])):
            continue
        count = end - first
        text = f"{frames(count)} from {begin_s:.2f} s on "
        text += f"{'is' if count == 1 else 'are'} far worse than those before and after."
        evidence = (
            f"VMAF {vmaf[first:end].min():.1f}, PSNR {psnr[first:end].min():.1f} dB; before {psnr[first - 1]:.1f} dB"
        )
        found.append(Finding(code="pictures_wrong", text=text, at_s=round(begin_s, 3), evidence=evidence))
    return few(found, "Frames are far worse than those around them")


def _highest_around(values: Floats) -> Floats:
    """Return the highest of the hundred frames around each, by which most need not be looked at any closer."""
    import numpy as np

    padded = np.pad(values, 50, mode="edge")
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, 101).max(axis=1), np.float64)


def _level(at_s: Floats, values: Floats, n: int) -> float:
    """Return the lower of the medians of what is before a frame and of what is after it.

    A cut has other scores on one side of it; only what is worse than both sides stands out.
    """
    import numpy as np

    sides = (
        values[np.searchsorted(at_s, at_s[n] - _AROUND_S) : n],
        values[n + 1 : np.searchsorted(at_s, at_s[n] + _AROUND_S, side="right")],
    )
    return min((float(np.median(side)) for side in sides if len(side)), default=float(values[n]))


def _is_one_scene(wanted: Sequence[Seen], times: Sequence[float]) -> bool:
    import numpy as np

    for seen in wanted:
        if not len(seen) or times[0] < float(seen.at_s[0]) - _AROUND_S or times[-1] > float(seen.at_s[-1]) + _AROUND_S:
            continue
        places = [max(0, int(np.searchsorted(seen.at_s, t + 0.002, side="right")) - 1) for t in times]
        pictures = seen.luma[places].astype(np.float32)
        apart = np.sqrt(((pictures[1:] - pictures[:-1]) ** 2).mean(axis=(1, 2)))
        return bool(apart.max() < _SAME_SCENE)
    return False
