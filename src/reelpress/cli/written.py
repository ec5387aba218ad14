"""Files that an option names for us to write: never over what a command reads or makes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from reelpress.errors import OutputError, UsageError
from reelpress.facts.values import to_json
from reelpress.receipt import Receipt
from reelpress.run.same_file import marks_of


def refuse_written(option: str, path: Path, others: Iterable[Path]) -> None:
    """Raise :class:`UsageError` where a file cannot be written, or is one of ``others``; for before any work."""
    if not os.path.isdir(path.absolute().parent):  # noqa: PTH112 - Path.is_dir raises where a name is too long
        raise UsageError(f"{option} {path}: its folder does not exist.", hint="Create it first.")
    if os.path.isdir(path):  # noqa: PTH112
        raise UsageError(f"{option} {path} is a folder.", hint="Name a file.")
    marks = marks_of(path)
    if any(marks & marks_of(other) for other in others):
        raise UsageError(f"{option} {path} is an input or an output.", hint="Name another file.")


def write_receipts(path: Path, receipts: Sequence[Receipt]) -> None:
    """Write one receipt as one JSON document, several as one per line. Raises :class:`OutputError`."""
    try:
        path.write_bytes(b"".join(to_json(r) + b"\n" for r in receipts))
    except OSError as error:
        raise OutputError(f"The receipt {path} could not be written.", evidence=str(error)) from error
