"""Where a download grows: a file beside its target that belongs to one version of one object, and survives a kill.

Its name holds a hash of store, key, ETag and size, so whatever bytes it has are a beginning of that very version. It is
locked while somebody writes; what earlier versions left behind for the same target goes when the next one begins.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

from reelpress.errors import Cancelled, StorageError, UsageError
from reelpress.storage.failures import failure, of_os_error

# Whether whoever wanted the file does so no more.
IsOver: TypeAlias = Callable[[], bool]

_SUFFIX = ".reelpress-get"
_NAME_CHARS = 12
_VERSION_CHARS = 24
_READ_BYTES = 2**20


class Landing:
    """The partial file of a download; a context manager that closes it, and keeps what it holds."""

    def __init__(self, target: Path, path: Path, fd: int, is_over: IsOver) -> None:
        self.target = target
        self.path = path
        self._fd = fd
        self._is_over = is_over
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    @classmethod
    def open(cls, target: Path, version: str, *, limit_bytes: int, keep: bool, is_over: IsOver = lambda: False) -> Self:
        """Open the partial file for a version of an object, with the bytes it has, if ``keep`` and they can be.

        ``is_over`` is asked while these are read. Raises :class:`StorageError`: ``exists`` when somebody else is
        writing it, or what has the target's name is no file, or as the disk says; :class:`UsageError` for what is no
        name; and :class:`Cancelled`.
        """
        doing = f"write {target.name}"
        try:
            _refuse(target)
            path = target.with_name(f"{_prefix(target)}{_hash(version, _VERSION_CHARS)}{_SUFFIX}")
            _sweep(target, except_for=path)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        except OSError as error:
            raise of_os_error(error, doing) from None
        except ValueError as error:
            raise UsageError(f"No file can be called {str(target)!a}.", evidence=str(error)) from None
        landing = cls(target, path, fd, is_over)
        try:
            landing._begin(limit_bytes if keep else 0)
        except OSError as error:
            landing.close()
            raise of_os_error(error, doing) from None
        except BaseException:
            landing.close()
            raise
        return landing

    def _begin(self, limit_bytes: int) -> None:
        if not _lock(self._fd) or not _is_same(self._fd, self.path):
            what = f"{self.target.name} is being downloaded already."
            raise failure(what, "exists", evidence="its partial file is locked", retryable=True)
        if os.fstat(self._fd).st_size > limit_bytes:
            os.ftruncate(self._fd, 0)
        while chunk := os.read(self._fd, _READ_BYTES):
            if self._is_over():
                raise Cancelled
            self._digest.update(chunk)
            self.size_bytes += len(chunk)

    @property
    def sha256(self) -> str:
        """The hash of what is there, in hexadecimal."""
        return self._digest.hexdigest()

    def append(self, data: bytes) -> None:
        """Write the next bytes. Raises :class:`StorageError`, ``full`` when the disk is."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.pwrite(self._fd, rest, self.size_bytes + len(data) - len(rest)) :]
        except OSError as error:
            raise of_os_error(error, f"write {self.target.name}") from None
        self._digest.update(data)
        self.size_bytes += len(data)

    def settle(self) -> None:
        """Have the disk hold what was written, which may take a while. Raises :class:`StorageError`."""
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise of_os_error(error, f"write {self.target.name}") from None

    def publish(self) -> None:
        """Give the file its name, durably, in place of what had it. Raises :class:`StorageError`."""
        self.settle()
        try:
            self.path.replace(self.target)
            folder = os.open(self.target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise of_os_error(error, f"write {self.target.name}") from None

    def discard(self) -> None:
        """Remove what was written."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the file, and of its lock."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _refuse(target: Path) -> None:
    """Raise what would keep the whole file from its name, and keep devices and pipes from being replaced by it."""
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise StorageError(
            f"Could not write {target.name}.", reason="exists", evidence="what has this name is no regular file",
            hint="choose another name",
        )  # fmt: skip


def _hash(text: str, chars: int) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:chars]


def _prefix(target: Path) -> str:
    return f".{_hash(target.name, _NAME_CHARS)}."


def _sweep(target: Path, *, except_for: Path) -> None:
    ours = re.compile(re.escape(_prefix(target)) + rf"[0-9a-f]{{{_VERSION_CHARS}}}" + re.escape(_SUFFIX))
    for path in target.parent.iterdir():
        if ours.fullmatch(path.name) and path != except_for:
            with contextlib.suppress(OSError):
                fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
                try:
                    if _lock(fd):
                        path.unlink()
                finally:
                    os.close(fd)


def _lock(fd: int) -> bool:
    """Tell whether the file is ours now; where locks are unknown, it is."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _is_same(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.lstat())
    except FileNotFoundError:
        return False
