"""Where the calibration of this machine is kept: one JSON file in the folder for remembered facts."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import msgspec

from reelpress.errors import OutputError
from reelpress.facts.calibration import CALIBRATION_SCHEMA, Calibration
from reelpress.facts.values import from_json, to_json

_NAME = "calibration.json"
_MOST_BYTES = 8 * 2**20  # a whole calibration has some 50 KB; what is larger is not ours


def calibration_file(folder: Path) -> Path:
    """Return the name of the file in the folder for remembered facts."""
    return folder / _NAME


def read_calibration(folder: Path) -> Calibration | None:
    """Return what was measured on this machine, ``None`` where nothing was, or what is there cannot be read."""
    file = calibration_file(folder)
    with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if file.stat().st_size <= _MOST_BYTES:
            found = from_json(file.read_bytes(), Calibration)
            return found if found.schema == CALIBRATION_SCHEMA else None
    return None


def store_calibration(folder: Path, calibration: Calibration) -> None:
    """Keep a calibration in place of the one before, whole or not at all. Raises :class:`OutputError`."""
    file = calibration_file(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=folder, prefix=".calibration-")
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(to_json(calibration))
            Path(name).replace(file)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(f"{file} could not be written.", evidence=str(error)) from error


def forget_calibration(folder: Path) -> bool:
    """Take the calibration away; tell whether there was one. Raises :class:`OutputError`."""
    file = calibration_file(folder)
    try:
        file.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise OutputError(f"{file} could not be taken away.", evidence=str(error)) from error
    return True
