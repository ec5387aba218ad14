"""Outputs of many files come into being in a folder beside their target, which gets its name when it is whole.

As :mod:`reelpress.run.partial` does for one file: ``.NAME.TOKEN.reelpress-part``, locked while its maker lives.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from reelpress.errors import OutputError
from reelpress.run.partial import PART_SUFFIX, TOKEN_BYTES, exchange, explained_target, part_prefix


class PartialFolder:
    """A folder that does not exist under its own name until :meth:`publish`; a context manager."""

    def __init__(self, target: Path, path: Path, fd: int, *, overwrite: bool) -> None:
        self.target, self.path = target, path
        self._fd, self._overwrite = fd, overwrite

    @classmethod
    def open(cls, target: Path, *, overwrite: bool, may_replace: Callable[[str], bool]) -> Self:
        """Make an empty folder beside ``target``, and sweep away what dead processes left there for it.

        An existing target is replaced only with ``overwrite``, and only when ``may_replace`` says of every name in it
        that it is an output of ours. Raises :class:`OutputError`.
        """
        with explained_target(target):
            _refuse(target, overwrite=overwrite, may_replace=may_replace)
            _sweep(target)
            path = target.with_name(f"{part_prefix(target)}{secrets.token_hex(TOKEN_BYTES)}{PART_SUFFIX}")
            path.mkdir()
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            with contextlib.suppress(OSError):  # file systems without locks
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return cls(target, path, fd, overwrite=overwrite)

    def publish(self) -> Path:
        """Give the folder its own name, with all its files on the disk. Raises :class:`OutputError`."""
        with explained_target(self.target):
            for path in self.path.iterdir():
                _sync(path)
            _sync(self.path)
            if self._overwrite and os.path.lexists(self.target):
                if exchange(self.path, self.target) == 0:
                    _sync(self.target.parent)
                    return self.target  # what was there before is under our name now, and goes with it
                shutil.rmtree(self.target)
            self.path.rename(self.target)  # over nothing but an empty folder
            _sync(self.target.parent)
        return self.target

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._fd)


def _refuse(target: Path, *, overwrite: bool, may_replace: Callable[[str], bool]) -> None:
    if not target.parent.is_dir():
        raise OutputError(f"The folder {target.parent} does not exist.", hint="create it first")
    if not os.path.lexists(target):
        return
    if target.is_symlink() or not target.is_dir():
        raise OutputError(f"{target} exists and is no folder.", hint="choose another name")
    names = [path.name for path in target.iterdir()]
    if names and not overwrite:
        raise OutputError(f"{target} exists.", hint="Use --overwrite, or name another folder with -o.")
    strange = next((name for name in names if not may_replace(name)), None)
    if strange is not None:
        raise OutputError(
            f"{target} holds other things than a ladder; it is not replaced.",
            evidence=strange, hint="Name another folder with -o, or remove this one yourself.",
        )  # fmt: skip


def _sweep(target: Path) -> None:
    left_behind = re.compile(
        re.escape(part_prefix(target)) + rf"[0-9a-f]{{{2 * TOKEN_BYTES}}}" + re.escape(PART_SUFFIX)
    )
    for path in target.parent.iterdir():
        if left_behind.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
            with contextlib.suppress(OSError):  # gone meanwhile, or somebody is at work in it
                fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path, ignore_errors=True)
                finally:
                    os.close(fd)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # some file systems sync no folders
            os.fsync(fd)
    finally:
        os.close(fd)
