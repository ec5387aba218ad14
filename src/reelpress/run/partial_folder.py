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
from reelpress.run.parts import claim, sweep, sync, sync_name


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
            sweep(target, folders=True)
            path, fd = claim(target, _create)
        return cls(target, path, fd, overwrite=overwrite)

    def publish(self) -> Path:
        """Give the folder its own name, with all its files on the disk. Raises :class:`OutputError`."""
        with explained_target(self.target):
            for path in self.path.iterdir():
                sync(path, os.O_RDONLY)
            sync(self.path, os.O_RDONLY | os.O_DIRECTORY)
            if self._overwrite and os.path.lexists(self.target):
                if exchange(self.path, self.target) == 0:
                    sync_name(self.target)
                    return self.target  # what was there before is under our name now, and goes with it
                shutil.rmtree(self.target)
            self.path.rename(self.target)  # over nothing but an empty folder
            sync_name(self.target)
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


def _create(path: Path) -> int | None:
    path.mkdir()
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:  # swept away already
        return None
