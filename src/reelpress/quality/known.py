"""What trials said before, for each content, encoder and preparation, whatever was aimed at."""

from __future__ import annotations

from pathlib import Path

from reelpress.facts.quality import Window
from reelpress.facts.values import Value
from reelpress.plan.crf_curve import Point
from reelpress.probe.kept import Kept

# To be raised with whatever changes what a trial says: windows, tails, scoring.
FORMAT = 2


class Known(Value, frozen=True, kw_only=True):
    """The stretches that were sampled, and what each setting came to on them."""

    windows: tuple[Window, ...]
    points: tuple[Point, ...]


def known_points(cache_dir: Path | None) -> Kept[Known]:
    """Return the points that are kept; ``None`` is the user's own cache folder."""
    return Kept(cache_dir, "targets", Known, edition=FORMAT)
