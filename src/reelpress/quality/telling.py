"""How what was found in many frames is told: by runs of them, a few one by one, more in one sentence. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reelpress.facts.quality import Finding

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MOST_TOLD = 5  # places of one kind that are told one by one


def runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return first and last place of every run."""
    import numpy as np

    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def frames(count: int) -> str:
    """Return so many frames in words that begin a sentence."""
    return "One frame" if count == 1 else f"{count} frames"


def few(found: list[Finding], what: str, *, counts: bool = False) -> list[Finding]:
    """Return findings of one kind as they are, or where they are many one that says ``what`` at how many places.

    Its evidence is that of the first, or with ``counts`` the number of places.
    """
    if len(found) <= _MOST_TOLD:
        return found
    first = found[0]
    text = f"{what} at {len(found)} places, the first at {first.at_s or 0:.2f} s."
    return [
        Finding(
            code=first.code, text=text, at_s=first.at_s, evidence=f"{len(found)} places" if counts else first.evidence
        )
    ]
