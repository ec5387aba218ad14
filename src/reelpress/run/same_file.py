"""When two names are one file: by the names that links lead to, and by the file that is there."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def marks_of(path: Path) -> frozenset[str | tuple[int, int]]:
    """Return what tells a file: its name without links and, where it exists, its device and number there.

    Two paths lead to one file when they have a mark in common, symbolic and hard links included. Never raises.
    """
    marks = set[str | tuple[int, int]]()
    with contextlib.suppress(ValueError):  # a NUL character, or one that has no bytes
        marks.add(os.path.realpath(path))  # Path.resolve raises where links lead in a circle
        with contextlib.suppress(OSError):
            found = os.stat(path)  # noqa: PTH116 - as realpath, whatever kind of path it is
            marks.add((found.st_dev, found.st_ino))
    return frozenset(marks)


def place_of(path: Path) -> str:
    """Return where a name is, its folder's links followed but not its own: what renaming onto it would replace."""
    try:
        return os.path.join(os.path.realpath(path.parent), path.name)  # noqa: PTH118 - realpath gives text
    except ValueError:  # no name that a file can have
        return str(path)
