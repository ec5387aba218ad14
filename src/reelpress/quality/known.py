"""What trials said before: a JSON file for each content, encoder and preparation, whatever was aimed at.

A file that cannot be read, or is not what it should be, is as good as none.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

import msgspec

from reelpress.facts.quality import Window
from reelpress.facts.values import Value, from_json, to_json
from reelpress.plan.crf_curve import Point
from reelpress.probe.host import default_cache_dir, remember

# To be raised with whatever changes what a trial says: windows, tails, scoring.
FORMAT = 1
_MOST_FILES = 500


class Known(Value, frozen=True, kw_only=True):
    """The stretches that were sampled, and what each setting came to on them."""

    windows: tuple[Window, ...]
    points: tuple[Point, ...]


class KnownPoints:
    """The folder; ``None`` is the user's own cache folder."""

    def __init__(self, cache_dir: Path | None) -> None:
        self._folder = (cache_dir or default_cache_dir()) / "targets"

    def key(self, *parts: object) -> str:
        """Return the name of what depends on these parts alone."""
        return hashlib.sha256(to_json((FORMAT, *map(str, parts)))).hexdigest()[:32]

    def find(self, key: str) -> Known | None:
        """Return what is kept under a name."""
        with contextlib.suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
            known = from_json((self._folder / f"{key}.json").read_bytes(), Known)
            return known if known.windows else None
        return None

    def keep(self, key: str, known: Known) -> None:
        """Keep points, and drop the oldest files where there are many."""
        remember(self._folder / f"{key}.json", known)
        with contextlib.suppress(OSError):
            files = sorted(self._folder.glob("*.json"), key=lambda file: file.stat().st_mtime)
            for file in files[:-_MOST_FILES]:
                file.unlink(missing_ok=True)
