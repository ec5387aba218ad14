"""How the processes that look at media are started. It imports next to nothing: ``reelpress compress`` waits for it."""

from __future__ import annotations

import os
import sys

# The child gets this process's import path; -I and -S keep the environment and the working directory out of it.
CHILD = "import sys; sys.path[:0] = sys.argv[1:]; from reelpress.probe.media_child import main; main()"
# Of what it imports nothing is ever garbage.
NURSERY = "import gc; gc.disable(); " + CHILD.replace("media_child", "nursery_child")
# By os.path, here and below: pathlib takes 5 ms to import.
_PACKAGE_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120


def child_argv() -> list[str]:
    """Return the command of a child that reads one request from stdin and answers on stdout."""
    return _python(CHILD)


def nursery_argv() -> list[str]:
    """Return the command of the process that others are forked from; it serves the socket that is its stdin."""
    return _python(NURSERY)


def roots() -> list[str]:
    """Return where these processes find what they import."""
    return [_PACKAGE_ROOT, *(entry for entry in sys.path if os.path.isabs(entry))]  # noqa: PTH117 - as above


def _python(start: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", start, *roots()]
