"""Outputs of many files come into being in a folder beside their target, which gets its name when it is whole.

As :mod:`reelpress.run.partial` does for one file.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from reelpress.errors import OutputError
from reelpress.run.partial import exchange, explained_target
from reelpress.run.parts import PART_SUFFIX, claim, sweep, sync, sync_name

_OLD_SUFFIX = ".reelpress-old"  # nobody sweeps this away


class PartialFolder:
    """A folder that does not exist under its own name until :meth:`publish`; a context manager."""

    def __init__(
        self, target: Path, path: Path, fd: int, *, overwrite: bool, may_replace: Callable[[str], bool]
    ) -> None:
        self.target, self.path = target, path
        self._fd, self._overwrite, self._may_replace = fd, overwrite, may_replace

    @classmethod
    def open(cls, target: Path, *, overwrite: bool, may_replace: Callable[[str], bool]) -> Self:
        """Make an empty folder beside ``target``, and sweep away what dead processes left there for it.

        An existing target is replaced only with ``overwrite``, and only when ``may_replace`` says of every name in it
        that it is an output of ours. Raises :class:`OutputError`.
        """
        with explained_target(target):
            _refuse(target, overwrite=overwrite, may_replace=may_replace)
            sweep(target, folders=True)
            path, fd = claim(target, _create)
        return cls(target, path, fd, overwrite=overwrite, may_replace=may_replace)

    def publish(self) -> Path:
        """Give the folder its own name, with all its files on the disk.

        What came to be under that name meanwhile is held to what :meth:`open` asks. Raises :class:`OutputError`, and
        then what was there is there still.
        """
        with explained_target(self.target):
            for path in self.path.iterdir():
                sync(path, os.O_RDONLY)
            sync(self.path, os.O_RDONLY | os.O_DIRECTORY)
            _refuse(self.target, overwrite=self._overwrite, may_replace=self._may_replace)
            if self._overwrite and os.path.lexists(self.target):
                self._replace()
            else:
                self.path.rename(self.target)  # over nothing but an empty folder
            sync_name(self.target)
        return self.target

    def _replace(self) -> None:
        """Take the place of the folder that is there, which gets our name, and goes with it, if it may go."""
        old = self.path.with_name(self.path.name.removesuffix(PART_SUFFIX) + _OLD_SUFFIX)
        if exchange(self.path, self.target) == 0:
            try:
                _refuse_strange(self.path, self.target, self._may_replace)
            except BaseException:
                if exchange(self.path, self.target) != 0:
                    self.path.rename(old)
                raise
            return
        self.target.rename(old)
        try:
            _refuse_strange(old, self.target, self._may_replace)
            self.path.rename(self.target)
        except BaseException:
            old.rename(self.target)
            raise
        old.rename(self.path)

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
    if not overwrite and any(target.iterdir()):
        raise OutputError(f"{target} exists.", hint="Use --overwrite, or name another folder with -o.")
    _refuse_strange(target, target, may_replace)


def _refuse_strange(folder: Path, target: Path, may_replace: Callable[[str], bool]) -> None:
    """Raise :class:`OutputError` where a folder, which is or was the target, holds what may not be replaced."""
    strange = next((path.name for path in folder.iterdir() if not may_replace(path.name)), None)
    if strange is not None:
        raise OutputError(
            f"{target} holds other things than a ladder; it is not replaced.",
            evidence=strange, hint="Name another folder with -o, or remove this one yourself.",
        )  # fmt: skip


def _create(path: Path) -> int | None:
    path.mkdir()
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:  # swept away already
        return None
