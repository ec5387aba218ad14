"""Evidence that was gathered before, for each stretch of each content."""

from __future__ import annotations

from pathlib import Path

from reelpress.probe.kept import Kept
from reelpress.reframe.evidence import Evidence

# To be raised with whatever changes what is seen: detectors, measures, thresholds in shots.py.
FORMAT = 4


def evidence_cache(cache_dir: Path | None) -> Kept[Evidence]:
    """Return the evidence that is kept; ``None`` is the user's own cache folder."""
    return Kept(cache_dir, "framing", Evidence, edition=FORMAT)
