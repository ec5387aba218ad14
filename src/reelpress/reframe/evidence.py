"""What was seen in a stretch, as values: small enough to keep, and all that framing is decided from.

Places are shares of the upright picture, times seconds from the beginning of the stretch.
"""

from __future__ import annotations

from reelpress.facts.values import Value

# Times come rounded: a picture that begins this little after a sample is the one that is seen in it.
SHOWN_FROM_S = 0.0005


class Face(Value, frozen=True, kw_only=True):
    """One face in one picture; ``x`` and ``y`` are its left and top. ``sure`` goes from 0 to 1."""

    x: float
    y: float
    width: float
    height: float
    sure: float

    @property
    def middle(self) -> tuple[float, float]:
        """Where its middle is."""
        return self.x + self.width / 2, self.y + self.height / 2


class Sample(Value, frozen=True, kw_only=True):
    """One picture that was looked at.

    ``columns`` and ``rows`` say where something moved since the sample before, the camera's own movement taken out:
    the mean change of brightness in strips from left to right, and from top to bottom, in per cent of the range.
    ``flat`` is the share of pixels that equal their neighbour, ``sharp`` of those that differ from it much: screens
    have a lot of both.
    """

    t_s: float
    faces: tuple[Face, ...] = ()
    columns: tuple[float, ...] = ()
    rows: tuple[float, ...] = ()
    flat: float = 0.0
    sharp: float = 0.0


class Evidence(Value, frozen=True, kw_only=True):
    """A stretch of ``duration_s``: where new shots begin, and what was seen in its samples."""

    duration_s: float
    cuts_s: tuple[float, ...]
    samples: tuple[Sample, ...]
    detector: str | None
