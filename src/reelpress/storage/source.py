"""The file of an upload: hashed as it is read, and refused when it changes meanwhile."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import threading
from pathlib import Path
from typing import Self

from reelpress.errors import UsageError
from reelpress.storage.failures import failure, of_os_error
from reelpress.storage.waiting import in_thread


class Source:
    """The file to upload, hashed as it is read, and refused if it changes meanwhile."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._digest = hashlib.sha256()
        self._reading = threading.Lock()
        self.read_bytes = 0

    def __enter__(self) -> Self:
        try:
            # Not waiting for the other end of a pipe that somebody put there.
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise of_os_error(error, f"read {self._path.name}") from None
        self._before = os.fstat(fd)
        if not stat.S_ISREG(self._before.st_mode):
            os.close(fd)
            raise UsageError("Only regular files are uploaded.", evidence=ascii(self._path.name))
        self._file = io.FileIO(fd)
        return self

    def __exit__(self, *_: object) -> None:
        with self._reading:  # its descriptor may be another file's as soon as it is closed
            self._file.close()

    @property
    def size_bytes(self) -> int:
        """How long the file was when it was opened."""
        return self._before.st_size

    @property
    def sha256(self) -> str:
        """The hash of what was read so far, in hexadecimal."""
        return self._digest.hexdigest()

    async def read(self, at_most: int) -> bytes:
        """Return the next bytes, never beyond the size at first. Raises :class:`StorageError`."""
        return await in_thread(lambda: self._read(at_most))

    async def hash_all(self) -> None:
        """Read the whole file anew, for its hash. Raises :class:`StorageError`."""
        self._file.seek(0)
        self._digest = hashlib.sha256()
        self.read_bytes = 0
        while await self.read(2**20):
            pass
        self.refuse_changes()

    def refuse_changes(self) -> None:
        """Raise :class:`StorageError` unless all was read, and the file is as it was."""
        now, before = os.fstat(self._file.fileno()), self._before
        is_whole = self.read_bytes == now.st_size == before.st_size
        if not is_whole or now.st_mtime_ns != before.st_mtime_ns:
            raise failure(f"{self._path.name} changed while it was read.", "changed", evidence="another size or time")

    def _read(self, at_most: int) -> bytes:
        pieces: list[bytes] = []
        missing = min(at_most, self.size_bytes - self.read_bytes)  # a file that grows would have no end
        try:
            with self._reading:
                while missing and (data := self._file.read(missing)):
                    pieces.append(data)
                    missing -= len(data)
        except OSError as error:
            raise of_os_error(error, f"read {self._path.name}") from None
        data = b"".join(pieces)
        self._digest.update(data)
        self.read_bytes += len(data)
        return data
