"""What the server and the workers share: settings, the database, the object store, scratch space."""

from __future__ import annotations

import os
from pathlib import Path

from reelpress.errors import OutputError
from reelpress.jobs.counting import begin_at_zero
from reelpress.jobs.database import Database, open_database
from reelpress.jobs.private_folder import PrivateFolder
from reelpress.jobs.sources import Sources
from reelpress.observe.telemetry import Telemetry, exports_of, open_telemetry
from reelpress.service_settings import ServiceSettings
from reelpress.storage.opening import open_store
from reelpress.storage.scratch import Scratch
from reelpress.storage.store import Store


class House:
    """All that is open while a process of the service runs; safe to share between threads."""

    def __init__(
        self,
        settings: ServiceSettings,
        database: Database,
        store: Store,
        scratch: Scratch,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.settings, self.database, self.store, self.scratch = settings, database, store, scratch
        self.private = PrivateFolder(scratch.folder)
        self.sources = Sources(settings, store, scratch, self.private)
        self.telemetry = telemetry or Telemetry()

    @classmethod
    def open(cls, settings: ServiceSettings) -> House:
        """Open everything, making the folders that are not there, and begin to measure.

        Raises :class:`UsageError` for addresses that are none, :class:`OutputError` where a folder cannot be made.
        """
        exports = exports_of(settings.metrics, settings.traces, os.environ)
        objects = None if settings.storage_url else settings.data / "objects"
        for folder in (settings.data, settings.scratch, objects):
            if folder is not None:
                _make(folder)
        database = open_database(settings.database_url, settings.data)
        store, scratch = open_store(settings.storage), Scratch(settings.scratch)
        house = cls(settings, database, store, scratch, open_telemetry(exports))
        begin_at_zero(house.telemetry.instruments)
        return house

    def close(self) -> None:
        """Close what must be closed, once the last figures are sent."""
        self.telemetry.close()
        self.private.remove()
        self.database.close()


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        hint = "Name another with REELPRESS_DATA_DIR or REELPRESS_SCRATCH_DIR."
        raise OutputError(f"The folder {folder} cannot be made.", evidence=str(error), hint=hint) from None
