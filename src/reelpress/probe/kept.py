"""What was found out before and would take long again: a JSON file for each, in a folder of the user's cache.

A file that cannot be read, or is not what it should be, is as good as none.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from reelpress.facts.values import Value, from_json, to_json
from reelpress.probe.host import default_cache_dir, remember

T = TypeVar("T", bound=Value)
_MOST_FILES = 500


class Kept(Generic[T]):
    """The files of one kind of value.

    They lie in the folder ``name`` of ``cache_dir``; ``None`` is the user's own. ``edition`` is to be raised with
    whatever changes what is found out.
    """

    def __init__(self, cache_dir: Path | None, name: str, kind: type[T], *, edition: int) -> None:
        self._folder = (cache_dir or default_cache_dir()) / name
        self._kind, self._edition = kind, edition

    def key(self, *parts: object) -> str:
        """Return the name of what depends on these parts alone."""
        return hashlib.sha256(to_json((self._edition, *map(str, parts)))).hexdigest()[:32]

    def find(self, key: str) -> T | None:
        """Return what is kept under a name."""
        with contextlib.suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return from_json((self._folder / f"{key}.json").read_bytes(), self._kind)
        return None

    def keep(self, key: str, value: T) -> None:
        """Keep a value, and drop the oldest where there are many."""
        remember(self._folder / f"{key}.json", value)
        with contextlib.suppress(OSError):
            files = sorted(self._folder.glob("*.json"), key=lambda file: file.stat().st_mtime)
            for file in files[:-_MOST_FILES]:
                file.unlink(missing_ok=True)
