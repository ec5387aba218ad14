"""Folders for a while: gone when their maker is done with them, or swept by the next maker when it was killed.

A folder is locked (``flock``) for as long as its maker lives, as :mod:`reelpress.run.partial` does with files.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from reelpress.run.host_state import explained, host_folder


@contextlib.contextmanager
def temporary_folder(prefix: str, root: Path | None = None) -> Iterator[Path]:
    """Make a folder that only we may enter, and take away those of this prefix that dead processes left.

    It stands in ``root``, by default the folder that the processes of this user share. Raises :class:`OutputError`.
    """
    root = root or host_folder()
    with explained(root):
        sweep(root, prefix)
        path, fd = hold_folder(root, prefix)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(fd)


def hold_folder(root: Path, prefix: str = "") -> tuple[Path, int]:
    """Make a folder that only we may enter; it is held for as long as the descriptor is open. Raises ``OSError``."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=root))
        with contextlib.suppress(FileNotFoundError):  # swept away between its creation and its lock
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(fd, fcntl.LOCK_EX)
            if path.is_dir():
                return path, fd
            os.close(fd)


def sweep(root: Path, prefix: str = "") -> None:
    """Delete the folders of this prefix that nobody holds."""
    for path in root.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):  # gone meanwhile, or somebody is at work in it
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(fd)
