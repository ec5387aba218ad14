"""Which file an input was. Imports little: every command looks at its input first."""

from __future__ import annotations

import os
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
            return cls.of(path.stat())
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read.", evidence=str(error), hint="Check the name.") from error

    @classmethod
    def of(cls, facts: os.stat_result) -> Snapshot:
        """Return the same of a file that was looked at."""
        return cls(inode=facts.st_ino, size_bytes=facts.st_size, mtime_ns=facts.st_mtime_ns)

    def refuse_change(self, now: Snapshot) -> None:
        """Raise :class:`InputError` unless the file is ``now`` what it was."""
        if now != self:
            raise InputError(
                "The input changed while it was read.", hint="Wait until it is complete.", reason="changed"
            )  # fmt: skip
