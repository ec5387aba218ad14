"""How any job begins and ends: what is refused before work, and what becomes of whatever is raised in it."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from reelpress.bookkeeping import Book
from reelpress.errors import Cancelled, ExitCode, InputError, OutputError, ReelpressError
from reelpress.run.partial import free_bytes, refuse_special
from reelpress.run.process import CancelToken

# What a job leaves free on the disk it writes to.
DISK_RESERVE_BYTES = 32 * 2**20


@contextlib.contextmanager
def settling(book: Book) -> Iterator[None]:
    """Write down in ``book`` how the work inside ends; nothing it raises gets out, a bug no more than a bad input."""
    status: Literal["rejected", "cancelled", "failed"]
    try:
        yield
    except InputError as error:
        book.fail("rejected", error)
    except Cancelled as error:
        book.fail("cancelled", error)
    except ReelpressError as error:
        status = "rejected" if error.exit_code is ExitCode.INPUT_UNUSABLE else "failed"
        book.fail(status, error)
    except OSError as error:
        book.fail("failed", OutputError("A file could not be read or written.", evidence=str(error)))
    except Exception as error:  # noqa: BLE001 - a bug in one job must not take the receipts of others with it
        book.fail("failed", _bug(error))


def stop_if_cancelled(cancel: CancelToken) -> None:
    """Raise :class:`Cancelled` when that was asked for."""
    if cancel.is_cancelled:
        raise Cancelled


def refuse_target(target: Path, source: Path | None, *, overwrite: bool) -> None:
    """Raise :class:`OutputError` where a target cannot be meant: no folder, a device, the source, somebody's file."""
    if not target.parent.is_dir():
        raise OutputError(f"The folder {target.parent} does not exist.", hint="create it first")
    refuse_special(target)
    if target.exists():
        if source is not None and source.exists() and target.samefile(source):
            raise OutputError("Output and input are the same file.", hint="Name another output with -o.")
        if not overwrite:
            raise OutputError(f"{target} exists.", hint="Use --overwrite, or name another output with -o.")


def refuse_small_disk(folder: Path, needed_bytes: int) -> None:
    """Raise :class:`OutputError` where a disk has too little space for an output."""
    free = free_bytes(folder)
    if free < needed_bytes + DISK_RESERVE_BYTES:
        raise OutputError(
            "There is too little space for the output.",
            evidence=f"{free} bytes free, {needed_bytes + DISK_RESERVE_BYTES} needed at most",
            hint=f"Free space on the disk of {folder}, or name another output with -o.",
        )


def _bug(error: Exception) -> ReelpressError:
    """Return an error of ours with the place it came from as evidence."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    evidence = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
    return ReelpressError("This is a bug in Reelpress.", evidence=evidence, hint="Report it with this receipt.")
