"""Partial names: how what is being written is called until it is whole, and what is left of makers that died.

A partial file or folder is named ``.NAME.TOKEN.reelpress-part`` and locked (``flock``) for as long as its maker lives.
So one whose lock is free was left by a process that died, and the next one that writes the same target takes it away.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

from reelpress.run.host_state import is_still

PART_SUFFIX = ".reelpress-part"
_TOKEN_BYTES = 6
_HASH_CHARS = 16
_NAME_BYTES = 255  # where the file system does not say
# What file systems answer that have no locks, no links, or sync no folders.
UNSUPPORTED = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EMLINK, errno.ENOLCK})


def claim(target: Path, create: Callable[[Path], int | None]) -> tuple[Path, int]:
    """Return a new partial name of a target, and the descriptor of what was made under it, which holds its lock.

    ``create`` makes and opens it; ``None`` from there says that somebody swept it away meanwhile. Raises ``OSError``.
    """
    while True:
        path = target.with_name(f"{_prefix(target)}{secrets.token_hex(_TOKEN_BYTES)}{PART_SUFFIX}")
        fd = create(path)
        if fd is None:
            continue
        try:
            if _lock(fd, wait=True) is False or is_still(fd, path):
                return path, fd
        except BaseException:
            remove(path)
            os.close(fd)
            raise
        os.close(fd)  # somebody swept it away between its creation and its lock


def remove(path: Path) -> None:
    """Remove a partial file or folder, if that can be done."""
    with contextlib.suppress(OSError):  # whoever writes this target next sweeps it away
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def sweep(target: Path, *, folders: bool) -> None:
    """Remove the partial files, or folders, of a target whose makers are dead."""
    left_behind = re.compile(re.escape(_prefix(target)) + rf"[0-9a-f]{{{2 * _TOKEN_BYTES}}}" + re.escape(PART_SUFFIX))
    names: list[str] = []
    with contextlib.suppress(PermissionError):  # a folder may be open for writing alone
        names = os.listdir(target.parent)  # noqa: PTH208 - among 100,000 outputs paths would take a fifth of a second
    how = os.O_RDONLY | os.O_DIRECTORY if folders else os.O_RDWR | os.O_NONBLOCK
    is_one = stat.S_ISDIR if folders else stat.S_ISREG
    for path in (target.with_name(name) for name in names if left_behind.fullmatch(name)):
        with contextlib.suppress(OSError):  # gone meanwhile, or somebody else's
            fd = os.open(path, how | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if is_one(os.fstat(fd).st_mode) and _lock(fd, wait=False) and is_still(fd, path):
                    remove(path)
            finally:
                os.close(fd)


def _prefix(target: Path) -> str:
    """Return how the partial files of a target begin; the same for the same name, however long."""
    name = os.fsencode(target.name)
    room = longest_name(target.parent) - len(PART_SUFFIX) - 2 * _TOKEN_BYTES - len("..")
    if len(name) > room:
        digest = hashlib.sha256(name).hexdigest()[:_HASH_CHARS]
        # A character cut in half would be no name on file systems that insist on UTF-8.
        kept = name[: room - len(digest) - 1].decode("utf-8", "ignore").encode()
        name = kept + b"~" + digest.encode()
    return f".{os.fsdecode(name)}."


def longest_name(directory: Path) -> int:
    """Return how many bytes a name may have there."""
    with contextlib.suppress(OSError):
        return os.pathconf(directory, "PC_NAME_MAX")
    return _NAME_BYTES


def _lock(fd: int, *, wait: bool) -> bool | None:
    """Lock a file; ``False`` where the file system has no locks, ``None`` when somebody else holds it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno in UNSUPPORTED:
            return False
        raise
    return True


def sync_name(target: Path) -> None:
    """Have the name of a target be on the disk. Raises ``OSError``."""
    # A folder that may be written but not read cannot be opened, and some file systems sync none.
    with contextlib.suppress(PermissionError):
        sync(target.parent, os.O_RDONLY | os.O_DIRECTORY)


def sync(path: Path, flags: int) -> None:
    """Have a file or folder, opened with these flags, be on the disk. Raises ``OSError``."""
    fd = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
    finally:
        os.close(fd)
