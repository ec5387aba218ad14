"""A folder on the scratch disk for this process alone, which the next one clears up should this one be killed."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from pathlib import Path

from reelpress.run.host_state import stay_at
from reelpress.run.temporary import hold_folder, sweep

_NAME = "processes"


class PrivateFolder:
    """Made when it is first asked for, and held by a lock, which ends with the process; safe to share."""

    def __init__(self, scratch: Path) -> None:
        self._all = scratch / _NAME
        self._lock = threading.Lock()
        self._mine: tuple[Path, int] | None = None

    @property
    def path(self) -> Path:
        """The folder. Raises :class:`OSError` where it cannot be made."""
        with self._lock:
            if self._mine is None:
                self._all.mkdir(parents=True, exist_ok=True)
                self._mine = hold_folder(self._all)
            return self._mine[0]

    def sweep(self) -> None:
        """Delete the folders of processes that are gone."""
        sweep(self._all)

    def take_temporary_files(self) -> None:
        """Have all temporary files of this process made here: in the system's folder nobody would clear up."""
        stay_at(tempfile.gettempdir())
        tempfile.tempdir = str(self.path)

    def remove(self) -> None:
        """Delete the folder: the process ends."""
        with self._lock:
            if self._mine is None:
                return
            path, held = self._mine
            if tempfile.tempdir == str(path):
                tempfile.tempdir = None
                stay_at(None)
            shutil.rmtree(path, ignore_errors=True)
            os.close(held)
            self._mine = None
