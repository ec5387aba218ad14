"""Outputs come into being under a temporary name beside their target, and get their own name when they are whole.

FFmpeg opens the path by itself and truncates it, which keeps the file, and with it its lock
(:mod:`reelpress.run.parts`); it needs ``-f``, since the name's ending tells it nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from reelpress.errors import OutputError
from reelpress.run.parts import UNSUPPORTED, claim, longest_name, remove, sweep, sync, sync_name

_RENAME_NOREPLACE, _RENAME_EXCHANGE = 1, 2
_AT_FDCWD = -100
_HINTS = {
    errno.ENOSPC: "free some space, or write to another disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EACCES: "check the permissions of the folder",
    errno.EPERM: "check the permissions of the folder, and whether the file is immutable",
    errno.EROFS: "the file system is mounted read-only",
    errno.ENOENT: "make the folder first",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EEXIST: "choose another name, or allow overwriting",
    errno.EISDIR: "name a file, not a folder",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EIO: "the disk, or the connection to it, fails",
}


class PartialFile:
    """A file that does not exist under its own name until :meth:`publish`; a context manager.

    Leaving the context removes what was not published. ``path`` is where to write; ``target`` is the name to come.
    """

    def __init__(self, target: Path, path: Path, fd: int, *, overwrite: bool) -> None:
        self.target = target
        self.path = path
        self._fd = fd
        self._overwrite = overwrite
        self._is_open = True

    @classmethod
    def open(cls, target: Path, *, overwrite: bool) -> Self:
        """Create an empty file beside ``target``, and sweep away what dead processes left there for it.

        Raises :class:`OutputError` when the target cannot be written, as far as that can be known beforehand: its
        folder is missing or closed, its name too long, it is a folder, a device, a pipe or a socket, or it exists and
        ``overwrite`` is false.
        """
        with explained_target(target):
            refuse_special(target)
            _refuse(target, overwrite=overwrite)
            sweep(target, folders=False)
            path, fd = claim(target, _create)
            return cls(target, path, fd, overwrite=overwrite)

    def publish(self) -> Path:
        """Give the file its own name, durably, and return that; on failure it stays unpublished.

        Without ``overwrite`` a target that came into being meanwhile is left alone. Raises :class:`OutputError`.
        """
        with explained_target(self.target):
            sync(self.path, os.O_RDWR)
            if self._overwrite:
                self.path.replace(self.target)
            else:
                _move_to_new(self.path, self.target)
            self.close()
            sync_name(self.target)
        return self.target

    def close(self) -> None:
        """Remove the file unless it was published, and let go of the lock; a second time changes nothing."""
        if self._is_open:
            self._is_open = False
            remove(self.path)
            os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def free_bytes(directory: Path) -> int:
    """Return the bytes an unprivileged user can still write there. Raises :class:`OutputError`."""
    with explained_target(directory):
        return shutil.disk_usage(directory).free


def is_special(path: Path) -> bool:
    """Tell whether a device, a pipe or a socket has the name, or a link leads to one."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # nothing there, or nothing that can be: whoever writes it will say so
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def refuse_special(target: Path) -> None:
    """Raise :class:`OutputError` where a target :func:`is_special`.

    A rename would put a file in its place, under ``/dev`` for all programs of the machine.
    """
    if is_special(target):
        raise OutputError(f"{target} exists and is no regular file.", hint="choose another name")


@contextlib.contextmanager
def explained_target(target: Path) -> Iterator[None]:
    """Turn an ``OSError`` inside into an :class:`OutputError` that names the target and what to do."""
    try:
        yield
    except OSError as error:
        hint = _HINTS.get(error.errno or 0)
        raise OutputError(f"cannot write {target}", evidence=error.strerror or str(error), hint=hint) from error
    except ValueError as error:  # a NUL character, or one that has no bytes
        raise OutputError(f"cannot write {str(target)!r}", evidence=str(error), hint="choose another name") from error


def _refuse(target: Path, *, overwrite: bool) -> None:
    if target.is_dir():
        raise _error(errno.EISDIR)
    if not overwrite and os.path.lexists(target):
        raise _error(errno.EEXIST)
    if len(os.fsencode(target.name)) > longest_name(target.parent):
        raise _error(errno.ENAMETOOLONG)


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _create(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)


def _move_to_new(path: Path, target: Path) -> None:
    """Rename without ever replacing: by a second link, by renameat2, or into a name reserved empty."""
    try:
        os.link(path, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
    else:
        path.unlink()
        return
    renamed = _rename_noreplace(path, target)
    if renamed not in UNSUPPORTED | {0}:
        raise _error(renamed)
    if renamed != 0:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        path.replace(target)


def exchange(one: Path, other: Path) -> int:
    """Swap two names at once; return 0, or the errno where that cannot be done."""
    return _renameat2(one, other, _RENAME_EXCHANGE)


def _rename_noreplace(path: Path, target: Path) -> int:
    """Return 0, or the errno."""
    return _renameat2(path, target, _RENAME_NOREPLACE)


def _renameat2(path: Path, target: Path, flags: int) -> int:
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:  # a C library older than 2018, or musl
        return errno.ENOSYS
    done = renameat2(_AT_FDCWD, os.fsencode(path), _AT_FDCWD, os.fsencode(target), ctypes.c_uint(flags))
    return 0 if done == 0 else ctypes.get_errno()
