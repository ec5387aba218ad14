"""Scratch space is promised to a job before it starts: input, output and a reserve, on disks that may be memory.

A folder in memory (tmpfs, ramfs, the root of a Cloud Run container) is bounded twice: by its own size, and by the
memory the container may use, which the job's own processes need, too. Promises to jobs of this process that are still
at work count as used, since their files have yet to grow.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

from reelpress.errors import StorageError
from reelpress.facts.values import Value
from reelpress.storage.failures import of_os_error
from reelpress.storage.memory import Machine, memory_left

RESERVE_BYTES = 256 * 2**20
# What the programs of one job may take of a memory that the files share with them.
PROGRAM_BYTES = 1024 * 2**20


class Need(Value, frozen=True, kw_only=True):
    """What one job may have on the disk at once, in bytes; ``output_bytes`` is the limit put on its output."""

    input_bytes: int
    output_bytes: int

    @property
    def bytes(self) -> int:
        """Both together: the input stays until the output is checked against it."""
        return self.input_bytes + self.output_bytes


class Room(Value, frozen=True, kw_only=True):
    """What a folder has to give now, in bytes; ``memory_bytes`` is ``None`` for a disk, or where nothing bounds it."""

    disk_bytes: int
    memory_bytes: int | None
    promised_bytes: int
    in_memory: bool


class Scratch:
    """A folder that the jobs of one process share; safe to use from several threads."""

    def __init__(
        self,
        folder: Path,
        *,
        reserve_bytes: int = RESERVE_BYTES,
        program_bytes: int = PROGRAM_BYTES,
        machine: Machine = Machine(),  # noqa: B008 - a frozen value
    ) -> None:
        self.folder = folder
        self._reserve, self._program, self._machine = reserve_bytes, program_bytes, machine
        self._lock = threading.Lock()
        self._promises: dict[int, tuple[Need, Path]] = {}
        self._next = 0

    def room(self) -> Room:
        """Return what is there. Raises :class:`StorageError` when the folder cannot be looked at."""
        with self._lock:
            return self._room()

    @contextlib.contextmanager
    def reserve(self, need: Need, *, job_folder: Path | None = None) -> Iterator[None]:
        """Hold room for a job while the context lasts.

        ``job_folder`` is where its files will be: what they take already is not counted a second time. Raises
        :class:`StorageError` ``full``, which waiting for other jobs may mend (``retryable``) when it is their promises
        that are in the way.
        """
        with self._lock:
            self._refuse(need)
            self._next += 1
            number = self._next
            self._promises[number] = (need, job_folder or self.folder / f".none-{number}")
        try:
            yield
        finally:
            with self._lock:
                del self._promises[number]

    def _room(self) -> Room:
        try:
            disk = shutil.disk_usage(self.folder).free
        except OSError as error:
            raise of_os_error(error, "look at the scratch folder") from None
        in_memory, memory = memory_left(self.folder, self._machine)
        promised = sum(max(need.bytes - _size_of(folder), 0) for need, folder in self._promises.values())
        return Room(disk_bytes=disk, memory_bytes=memory, promised_bytes=promised, in_memory=in_memory)

    def _refuse(self, need: Need) -> None:
        room = self._room()
        wanted = need.bytes + self._reserve
        bounds = [("on the disk", room.disk_bytes, wanted)]
        if room.memory_bytes is not None:
            programs = self._program * (len(self._promises) + 1)
            bounds.append(("of the memory the folder is in", room.memory_bytes, wanted + programs))
        for where, free, needed in bounds:
            if free - room.promised_bytes < needed:
                raise StorageError(
                    "There is too little scratch space for this job.",
                    reason="full",
                    retryable=bool(self._promises) and free + _held(self._promises) >= needed,
                    evidence=f"{needed} bytes needed, {free} free {where}, {room.promised_bytes} promised already",
                    hint="a larger scratch folder, a smaller input, or fewer jobs at once",
                )


def _held(promises: dict[int, tuple[Need, Path]]) -> int:
    """Return the bytes that the files of other jobs take now, and give back when those end."""
    return sum(min(_size_of(folder), need.bytes) for need, folder in promises.values())


def _size_of(folder: Path) -> int:
    total = 0
    for root, _folders, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # gone meanwhile
                total += os.lstat(Path(root, name)).st_blocks * 512
    return total
