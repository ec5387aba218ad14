"""Which file an input was. Imports little: every command looks at its input first."""

from __future__ import annotations

from pathlib import Path

from reelpress.errors import InputError
from reelpress.facts.values import Value


class Snapshot(Value, frozen=True, kw_only=True):
    """Which file it was: enough to notice that somebody is still writing it."""

    inode: int
    size_bytes: int
    mtime_ns: int

    @classmethod
    def take(cls, path: Path) -> Snapshot:
        """Look at a file. Raises :class:`InputError` when it is not there or not a regular file."""
        try:
            stat = path.stat()
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read.", evidence=str(error), hint="Check the name.") from error
        return cls(inode=stat.st_ino, size_bytes=stat.st_size, mtime_ns=stat.st_mtime_ns)
