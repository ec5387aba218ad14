"""What the processes of one user on one host share: a folder, locks in it, and small values replaced as a whole.

A lock is a ``flock`` on a file: the kernel lets go of it when its holder dies, however that happens. Files are opened
so that programs we start do not inherit them, and forked children close theirs at once, so no lock outlives its holder.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
import time
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from reelpress.errors import OutputError, UsageError
from reelpress.facts.values import from_json, to_json

T = TypeVar("T")

_meeting_place: str | None = None
_FIRST_NAP_S, _LONGEST_NAP_S = 0.001, 0.02


def host_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return our folder for this boot or container, made on first use: ``$XDG_RUNTIME_DIR/reelpress``, else in /tmp.

    Raises :class:`UsageError` when it is not ours alone, :class:`OutputError` when it cannot be made.
    """
    runtime = Path(environ.get("XDG_RUNTIME_DIR") or "/nonexistent")
    if runtime.is_absolute() and runtime.is_dir() and runtime.stat().st_uid == os.geteuid():
        return private_folder(runtime / "reelpress")
    return private_folder(Path(_meeting_place or tempfile.gettempdir(), f"reelpress-{os.geteuid()}"))


def stay_at(folder: str | None) -> None:
    """Have :func:`host_folder` stay in ``folder`` while temporary files are made elsewhere; ``None`` ends it.

    Who has slots of a GPU, and which GPU fails, all processes of the machine must know.
    """
    global _meeting_place  # noqa: PLW0603 - as tempfile.tempdir is, which it stands against
    _meeting_place = folder


def private_folder(path: Path) -> Path:
    """Make a folder that only we may enter, or see to it that an existing one is such. Raises as :func:`host_folder`.

    Whoever could write there could take every lock, or have us follow links.
    """
    with explained(path):
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise UsageError(
                f"{path} is not a folder of ours",
                evidence=f"owner {found.st_uid}, mode {stat.filemode(found.st_mode)}",
                hint="remove it, or set XDG_RUNTIME_DIR to a folder of your own",
            )
        if found.st_mode & 0o077:
            path.chmod(0o700)
    return path


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` inside into an :class:`OutputError` that names the folder."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"the state that processes share cannot be kept in {path}",
            evidence=str(error), hint="set XDG_RUNTIME_DIR to a folder that can be written",
        ) from error  # fmt: skip


class FileLock:
    """A held lock; a context manager. Made by :meth:`try_take` and :meth:`take`."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd: int | None = fd
        _held.add(self)

    @classmethod
    def try_take(cls, path: Path) -> Self | None:
        """Take the lock of this file, made if need be, or return ``None`` when somebody holds it (this process too)."""
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if is_still(fd, path):
                    return cls(path, fd)
            except BlockingIOError:
                os.close(fd)
                return None
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)  # somebody removed the file between our opening and our locking it

    @classmethod
    def take(cls, path: Path, patience_s: float) -> Self | None:
        """Take the lock, waiting at most ``patience_s`` seconds; ``None`` when that was too short."""
        until, nap_s = time.monotonic() + patience_s, _FIRST_NAP_S
        while (lock := cls.try_take(path)) is None:
            left_s = until - time.monotonic()
            if left_s <= 0:
                return None
            time.sleep(min(nap_s, left_s))
            nap_s = min(2 * nap_s, _LONGEST_NAP_S)
        return lock

    def touch(self) -> None:
        """Set the file's time to now: a sign of life."""
        if self._fd is not None:
            os.utime(self._fd)

    def write(self, content: bytes) -> None:
        """Replace what the file holds; for a few bytes."""
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, content, 0)

    def release(self, *, remove: bool = False) -> None:
        """Let go, and ``remove`` the file if told so; a second time changes nothing."""
        fd, self._fd = self._fd, None
        if fd is None:
            return
        if remove:
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_UN)  # a child between its fork and its exec still has a copy
        os.close(fd)

    def drop_inherited(self) -> None:
        """Close a forked child's copy, and leave the parent the lock."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def read_value(path: Path, kind: type[T]) -> T | None:
    """Return the value in a file, ``None`` where there is none or it makes no sense (an older version's, say)."""
    try:
        return from_json(path.read_bytes(), kind)
    except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def replace_value(path: Path, value: object) -> None:
    """Write a value so that readers see the old one or the new one. For holders of a lock: the file beside is fixed."""
    beside = path.with_name(path.name + ".new")
    beside.write_bytes(to_json(value))
    beside.replace(path)


def is_still(fd: int, path: Path) -> bool:
    """Tell whether an open file is still the one of that name; a link to it is not."""
    try:
        return os.path.samestat(os.fstat(fd), path.lstat())
    except FileNotFoundError:
        return False


_held: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _drop_inherited() -> None:
    for lock in list(_held):
        lock.drop_inherited()


os.register_at_fork(after_in_child=_drop_inherited)
