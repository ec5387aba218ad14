"""Evidence that was gathered before: a JSON file for each stretch of each content, in one folder.

A file that cannot be read, or is not what it should be, is as good as none.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

import msgspec

from reelpress.facts.values import from_json, to_json
from reelpress.probe.host import default_cache_dir, remember
from reelpress.reframe.evidence import Evidence

# To be raised with whatever changes what is seen: detectors, measures, thresholds in shots.py.
FORMAT = 1
_MOST_FILES = 500


class EvidenceCache:
    """The folder; ``None`` is the user's own cache folder."""

    def __init__(self, cache_dir: Path | None) -> None:
        self._folder = (cache_dir or default_cache_dir()) / "framing"

    def key(self, *parts: object) -> str:
        """Return the name under which evidence is kept that depends on these parts alone."""
        return hashlib.sha256(to_json((FORMAT, *map(str, parts)))).hexdigest()[:32]

    def find(self, key: str) -> Evidence | None:
        """Return what is kept under a name."""
        with contextlib.suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return from_json((self._folder / f"{key}.json").read_bytes(), Evidence)
        return None

    def keep(self, key: str, evidence: Evidence) -> None:
        """Keep evidence, and drop the oldest where there is a lot."""
        remember(self._folder / f"{key}.json", evidence)
        with contextlib.suppress(OSError):
            files = sorted(self._folder.glob("*.json"), key=lambda file: file.stat().st_mtime)
            for file in files[:-_MOST_FILES]:
                file.unlink(missing_ok=True)
