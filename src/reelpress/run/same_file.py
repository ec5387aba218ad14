"""When two names are one file: by the names that links lead to, and by the file that is there."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def real_name(path: Path) -> str:
    """Return the name that all links of a path lead to; the path itself where no file can have it. Never raises."""
    try:
        return os.path.realpath(path)  # Path.resolve raises where links lead in a circle
    except ValueError:  # a NUL character, or one that has no bytes
        return str(path)


def place_of(path: Path) -> str:
    """Return where a name is, its folder's links followed but not its own: what renaming onto it would replace."""
    return os.path.join(real_name(path.parent), path.name)  # noqa: PTH118 - it is text


def marks_of(path: Path) -> frozenset[str | tuple[int, int]]:
    """Return what tells a file: its name without links and, where it exists, its device and number there.

    Two paths lead to one file when they have a mark in common, symbolic and hard links included. Never raises.
    """
    marks: set[str | tuple[int, int]] = {real_name(path)}
    with contextlib.suppress(OSError, ValueError):
        found = os.stat(path)  # noqa: PTH116 - as realpath, whatever kind of path it is
        marks.add((found.st_dev, found.st_ino))
    return frozenset(marks)
