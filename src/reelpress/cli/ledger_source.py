"""Where lines of the ledger come from: the service's database, or receipts of people without a service."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from reelpress.errors import InputError, UsageError
from reelpress.facts.values import from_plain
from reelpress.observe.cost import with_others
from reelpress.observe.entry import Entry, entry_of
from reelpress.receipt import Receipt
from reelpress.service_settings import ServiceSettings, load_service

if TYPE_CHECKING:
    from reelpress.jobs.database import Database

_AGO = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)([smhdw])")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_ENDINGS = (".json", ".ndjson", ".jsonl")


def moment(text: str, now: float, *, named: str) -> float:
    """Return what ``7d`` (ago), ``2026-11-01`` or ``2026-11-01T12:00`` (UTC) is, in seconds since 1970.

    Raises :class:`UsageError`.
    """
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        return now - float(ago[1]) * _UNIT_S[ago[2]]
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        hint = "accepted: as 7d, 24h, 2026-11-01, 2026-11-01T12:00"
        raise UsageError(f"{named} cannot be {text!r}.", hint=hint) from None
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()


def window(since: str, until: str | None) -> tuple[float, float | None]:
    """Return from when to before when, in seconds since 1970; ``None`` is now. Raises :class:`UsageError`."""
    now = time.time()
    start = moment(since, now, named="--since")
    end = None if until is None else moment(until, now, named="--until")
    if end is not None and end <= start:
        raise UsageError("--until is not after --since.", evidence=f"{since}, {until}")
    return start, end


@contextmanager
def open_service_database(flags: Mapping[str, str | None]) -> Iterator[tuple[Database, ServiceSettings]]:
    """Open the database that the settings name. Raises :class:`UsageError` where there is none."""
    settings = load_service(flags)
    try:
        from reelpress.jobs.database import database_url, open_database
    except ModuleNotFoundError as error:
        what, hint = "The ledger needs more than is installed.", "pip install 'reelpress[service]', or pass --receipts"
        raise UsageError(what, evidence=f"{error.name} is not installed", hint=hint) from None
    url = database_url(settings.database_url, settings.data)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        # to ask what jobs cost must not make a service's folder
        hint = "Name the service's with --data-dir, --database-url or --url, or pass --receipts."
        raise UsageError("There is no database of a service here.", evidence=url.database, hint=hint)
    database = open_database(settings.database_url, settings.data)
    try:
        yield database, settings
    finally:
        database.close()


def from_receipts(path: Path, since: float, until: float | None) -> list[Entry]:
    """Return the lines that receipts would have in a ledger: of a file, or of all JSON files under a folder.

    A run of a job is one line, in however many files its receipt stands. Raises :class:`InputError` where there is no
    receipt at all.
    """
    files = sorted(f for f in path.rglob("*") if f.suffix in _ENDINGS and f.is_file()) if path.is_dir() else [path]
    runs = {(receipt.job, receipt.started_at): receipt for receipt in _receipts(files)}
    found = [entry for receipt in runs.values() if (entry := _entry(receipt)) is not None]
    if not found:
        hint = "reelpress compress --receipt FILE makes them."
        raise InputError("There are no receipts.", evidence=str(path), hint=hint)
    return with_others([e for e in found if e.finished_at >= since and (until is None or e.finished_at < until)])


def holds_receipts(path: Path) -> bool:
    """Tell whether a file has receipts in it. Raises :class:`InputError` where it cannot be read."""
    return path.is_file() and next(_receipts([path]), None) is not None


def _receipts(files: Iterable[Path]) -> Iterator[Receipt]:
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
        except OSError as error:
            raise InputError(f"{file} cannot be read.", evidence=error.strerror) from None
        except UnicodeDecodeError:
            continue
        for plain in _values(text):
            if isinstance(plain, dict) and plain.get("event") == "receipt":
                with suppress(msgspec.ValidationError):  # a receipt of another version
                    yield from_plain(plain, Receipt)


def _values(text: str) -> list[object]:
    """Return what a file of JSON holds: one value, those of a list, or one for each line that is one."""
    try:
        whole = msgspec.json.decode(text)
        return whole if isinstance(whole, list) else [whole]
    except msgspec.DecodeError:
        found: list[object] = []
        for line in text.split("\n"):  # alone: other ends of lines may stand inside a text
            with suppress(msgspec.DecodeError):
                found.append(msgspec.json.decode(line))
        return found


def _entry(receipt: Receipt) -> Entry | None:
    """Return a receipt's line; ``None`` where its time is none."""
    try:
        ended = datetime.fromisoformat(receipt.started_at).timestamp() + receipt.wall_s
        datetime.fromtimestamp(ended, UTC)
    except (ValueError, OverflowError):
        return None
    status = {"failed": "failed", "rejected": "failed", "cancelled": "cancelled"}.get(receipt.status, "done")
    return entry_of(
        receipt, job=receipt.job, run=1, user_id="local", kind="clip" if receipt.clip is not None else "compress",
        status=status, finished_at=ended, error_code=receipt.error_code,
    )  # fmt: skip
