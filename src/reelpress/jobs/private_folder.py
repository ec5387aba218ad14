"""A folder on the scratch disk for this process alone, which the next one clears up should this one be killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import tempfile
import threading
from pathlib import Path

from reelpress.run.host_state import stay_at

_NAME = "processes"


class PrivateFolder:
    """Made when it is first asked for, and held by a lock, which ends with the process; safe to share."""

    def __init__(self, scratch: Path) -> None:
        self._all = scratch / _NAME
        self._lock = threading.Lock()
        self._mine: Path | None = None
        self._held: int | None = None

    @property
    def path(self) -> Path:
        """The folder. Raises :class:`OSError` where it cannot be made."""
        with self._lock:
            while self._mine is None:
                folder = self._all / secrets.token_hex(8)
                folder.mkdir(parents=True, mode=0o700)
                self._held = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
                fcntl.flock(self._held, fcntl.LOCK_SH)
                self._mine = folder if folder.is_dir() else None  # swept before it was held
            return self._mine

    def sweep(self) -> None:
        """Delete the folders of processes that are gone."""
        for folder in self._all.glob("*"):
            if folder == self._mine:
                continue
            with contextlib.suppress(OSError):  # held, or another process sweeps it
                fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder)
                finally:
                    os.close(fd)

    def take_temporary_files(self) -> None:
        """Have all temporary files of this process made here: in the system's folder nobody would clear up."""
        stay_at(tempfile.gettempdir())
        tempfile.tempdir = str(self.path)

    def remove(self) -> None:
        """Delete the folder: the process ends."""
        with self._lock:
            if self._mine is None or self._held is None:
                return
            if tempfile.tempdir == str(self._mine):
                tempfile.tempdir = None
                stay_at(None)
            shutil.rmtree(self._mine, ignore_errors=True)
            os.close(self._held)
            self._mine = self._held = None
