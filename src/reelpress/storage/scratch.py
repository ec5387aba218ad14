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
from typing import NamedTuple

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


class _Promise(NamedTuple):
    """Bytes that are to be written yet, where, and how many were there before."""

    size_bytes: int
    folder: Path | None
    before_bytes: int

    @property
    def kept_bytes(self) -> int:
        """How much of it was written."""
        written = 0 if self.folder is None else _size_of(self.folder) - self.before_bytes
        return min(max(written, 0), self.size_bytes)


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
        self._promises: dict[int, _Promise] = {}
        self._next = 0

    def room(self) -> Room:
        """Return what is there. Raises :class:`StorageError` when the folder cannot be looked at."""
        with self._lock:
            return self._room()

    @contextlib.contextmanager
    def reserve(self, need: Need, *, job_folder: Path | None = None) -> Iterator[None]:
        """Hold room for a job while the context lasts.

        ``job_folder`` is where its files will be: what they take is not counted a second time. What is there already is
        a beginning of the input, where one is to come, and never of the output. Raises :class:`StorageError` ``full``,
        which waiting for other jobs may mend (``retryable``) when it is their promises that are in the way.
        """
        there = 0 if job_folder is None else _size_of(job_folder)
        promise = _Promise(need.bytes - min(there, need.input_bytes), job_folder, there)
        with self._lock:
            self._refuse(promise.size_bytes)
            self._next += 1
            number = self._next
            self._promises[number] = promise
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
        promised = sum(promise.size_bytes - promise.kept_bytes for promise in self._promises.values())
        return Room(disk_bytes=disk, memory_bytes=memory, promised_bytes=promised, in_memory=in_memory)

    def _refuse(self, size_bytes: int) -> None:
        room = self._room()
        wanted = size_bytes + self._reserve
        bounds = [("on the disk", room.disk_bytes, wanted)]
        if room.memory_bytes is not None:
            programs = self._program * (len(self._promises) + 1)
            bounds.append(("of the memory the folder is in", room.memory_bytes, wanted + programs))
        for where, free, needed in bounds:
            if free - room.promised_bytes < needed:
                raise StorageError(
                    "There is too little scratch space for this job.",
                    reason="full",
                    retryable=bool(self._promises) and free + self._held() >= needed,
                    evidence=f"{needed} bytes needed, {free} free {where}, {room.promised_bytes} promised already",
                    hint="a larger scratch folder, a smaller input, or fewer jobs at once",
                )

    def _held(self) -> int:
        """Return the bytes that the files of other jobs take now, and give back when those end."""
        return sum(_size_of(folder) for folder in {p.folder for p in self._promises.values() if p.folder is not None})


def _size_of(folder: Path) -> int:
    total = 0
    for root, _folders, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # gone meanwhile
                total += os.lstat(Path(root, name)).st_blocks * 512
    return total
