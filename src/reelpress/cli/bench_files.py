"""The files that ``reelpress bench`` reads and writes: saved runs, and the page that tables are put into."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from reelpress.bench.model import SCHEMA, BenchRun
from reelpress.bench.page import put_into
from reelpress.bench.saved import impossible
from reelpress.errors import InputError, UsageError
from reelpress.facts.values import from_json
from reelpress.run.partial import PartialFile, explained_target, is_special

_MOST_BYTES = 16 * 2**20  # a saved run has some tens of KB


def read_run(path: Path) -> BenchRun:
    """Return a saved run. Raises :class:`InputError` for a file that is none."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"{path} is no saved run: it is too large.")
        run = from_json(path.read_bytes(), BenchRun)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise InputError(f"{path} is no saved run of `reelpress bench`.", evidence=str(error)) from error
    if run.schema != SCHEMA:
        raise InputError(f"{path} has form {run.schema}; this version reads {SCHEMA}.")
    wrong = impossible(run)
    if wrong is not None:
        raise InputError(f"{path} is no saved run of `reelpress bench`.", evidence=wrong)
    return run


def page_with(path: Path, tables: str) -> bytes:
    """Return a page, as it is now, with these tables in their place. Raises :class:`UsageError`."""
    try:
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--write-readme {path} cannot be read.", evidence=str(error)) from error
    return put_into(text, tables).encode()


def refuse_unwritable(path: Path) -> None:
    """Raise :class:`OutputError` where a file could not be written, as far as that can be known beforehand."""
    with explained_target(path):
        if not is_special(path):
            PartialFile.open(path.resolve(), overwrite=True).close()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; where one is there its permissions, and links to it, stay as they are.

    What is no file, as a pipe, is written to. Raises :class:`OutputError`.
    """
    with explained_target(path):
        target = path.resolve()
        if is_special(path):
            path.write_bytes(content)
            return
    with PartialFile.open(target, overwrite=True) as partial:
        with explained_target(target):
            partial.path.write_bytes(content)
            if target.exists():
                shutil.copymode(target, partial.path)
        partial.publish()
