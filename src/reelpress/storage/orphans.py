"""What killed jobs and abandoned uploads left in a store: found by the form of their key and their age alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from reelpress.errors import UsageError
from reelpress.storage.calls import ObjectInfo
from reelpress.storage.keys import TEMPORARY, UPLOADS, is_temporary
from reelpress.storage.store import Store
from reelpress.storage.waiting import CancelSign, wait_for

# No upload may still be under way; clocks of stores and machines differ, too.
LEAST_AGE_S = 3600.0


def find_orphans(
    store: Store, *, older_than_s: float, now: datetime | None = None, cancel: CancelSign | None = None
) -> list[ObjectInfo]:
    """Return the temporary objects that have not been written for ``older_than_s`` seconds, at least an hour.

    An object counts only if its whole key has the form of our temporary keys. Uploads in parts that were never
    completed are in no listing; a lifecycle rule of the bucket removes those (docs/storage.md). Segments of a browser's
    upload are among them, so give an age beyond which nobody takes an upload up again.

    Raises :class:`UsageError` for a shorter age, :class:`StorageError`, :class:`Cancelled`.
    """
    if not older_than_s >= LEAST_AGE_S:
        raise UsageError("Temporary objects younger than an hour may be in use.", evidence=f"{older_than_s:g} s")
    oldest = (now or datetime.now(UTC)) - timedelta(seconds=older_than_s)
    found = [info for prefix in (TEMPORARY, UPLOADS) for info in wait_for(store.calls.list(prefix), cancel)]
    return [info for info in found if is_temporary(info.key) and info.modified < oldest]


def sweep_orphans(
    store: Store, *, older_than_s: float, now: datetime | None = None, cancel: CancelSign | None = None
) -> list[ObjectInfo]:
    """Delete what :func:`find_orphans` returns, and return it; what it raises, and what deleting raises.

    Deleting one at a time: some S3-compatible stores have no bulk request, and this is never many.
    """
    orphans = find_orphans(store, older_than_s=older_than_s, now=now, cancel=cancel)
    for orphan in orphans:
        wait_for(store.calls.delete(orphan.key), cancel)
    return orphans
