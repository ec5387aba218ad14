"""Outputs come into being under a temporary name beside their target, and get their own name when they are whole.

A partial file is named ``.NAME.TOKEN.reelpress-part`` and locked (``flock``) for as long as its maker lives. So one
whose lock is free was left by a process that died, and the next one that writes the same target takes it away.
FFmpeg opens the path by itself and truncates it, which keeps the file, and with it the lock; it needs ``-f``, since
the name's ending tells it nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from reelpress.errors import OutputError
from reelpress.run.host_state import is_still

PART_SUFFIX = ".reelpress-part"
TOKEN_BYTES = 6
_HASH_CHARS = 16
_NAME_BYTES = 255  # where the file system does not say
_RENAME_NOREPLACE, _RENAME_EXCHANGE = 1, 2
_AT_FDCWD = -100
_UNSUPPORTED = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EMLINK, errno.ENOLCK}
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
        folder is missing or closed, its name too long, it is a folder, or it exists and ``overwrite`` is false.
        """
        with explained_target(target):
            _refuse(target, overwrite=overwrite)
            _sweep(target)
            while True:
                path = target.with_name(f"{part_prefix(target)}{secrets.token_hex(TOKEN_BYTES)}{PART_SUFFIX}")
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
                partial = cls(target, path, fd, overwrite=overwrite)
                try:
                    if _lock(fd, wait=True) is False or is_still(fd, path):
                        return partial
                except BaseException:
                    partial.close()
                    raise
                partial.close()  # somebody swept it away between its creation and its lock

    def publish(self) -> Path:
        """Give the file its own name, durably, and return that; on failure it stays unpublished.

        Without ``overwrite`` a target that came into being meanwhile is left alone. Raises :class:`OutputError`.
        """
        with explained_target(self.target):
            _sync(self.path, os.O_RDWR)
            if self._overwrite:
                self.path.replace(self.target)
            else:
                _move_to_new(self.path, self.target)
            self.close()
            # A folder that may be written but not read cannot be opened, and some file systems sync none.
            with contextlib.suppress(PermissionError):
                _sync(self.target.parent, os.O_RDONLY | os.O_DIRECTORY)
        return self.target

    def close(self) -> None:
        """Remove the file unless it was published, and let go of the lock; a second time changes nothing."""
        if self._is_open:
            self._is_open = False
            with contextlib.suppress(OSError):  # whoever writes this target next sweeps it away
                self.path.unlink(missing_ok=True)
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
    if len(os.fsencode(target.name)) > _longest_name(target.parent):
        raise _error(errno.ENAMETOOLONG)


def _longest_name(directory: Path) -> int:
    with contextlib.suppress(OSError):
        return os.pathconf(directory, "PC_NAME_MAX")
    return _NAME_BYTES


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def part_prefix(target: Path) -> str:
    """Return how the partial files of a target begin; the same for the same name, however long."""
    name = os.fsencode(target.name)
    room = _longest_name(target.parent) - len(PART_SUFFIX) - 2 * TOKEN_BYTES - len("..")
    if len(name) > room:
        digest = hashlib.sha256(name).hexdigest()[:_HASH_CHARS]
        # A character cut in half would be no name on file systems that insist on UTF-8.
        kept = name[: room - len(digest) - 1].decode("utf-8", "ignore").encode()
        name = kept + b"~" + digest.encode()
    return f".{os.fsdecode(name)}."


def _sweep(target: Path) -> None:
    left_behind = re.compile(
        re.escape(part_prefix(target)) + rf"[0-9a-f]{{{2 * TOKEN_BYTES}}}" + re.escape(PART_SUFFIX)
    )
    siblings: list[Path] = []
    with contextlib.suppress(PermissionError):  # a folder may be open for writing alone
        siblings = list(target.parent.iterdir())
    for path in siblings:
        if left_behind.fullmatch(path.name):
            with contextlib.suppress(OSError):  # gone meanwhile, or somebody else's
                fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
                try:
                    if stat.S_ISREG(os.fstat(fd).st_mode) and _lock(fd, wait=False) and is_still(fd, path):
                        path.unlink()
                finally:
                    os.close(fd)


def _lock(fd: int, *, wait: bool) -> bool | None:
    """Lock a file; ``False`` where the file system has no locks, ``None`` when somebody else holds it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return False
        raise
    return True


def _sync(path: Path, flags: int) -> None:
    fd = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    finally:
        os.close(fd)


def _move_to_new(path: Path, target: Path) -> None:
    """Rename without ever replacing: by a second link, by renameat2, or into a name reserved empty."""
    try:
        os.link(path, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    else:
        path.unlink()
        return
    renamed = _rename_noreplace(path, target)
    if renamed not in _UNSUPPORTED | {0}:
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
