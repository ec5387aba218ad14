"""What killed jobs and abandoned uploads left in a store: found by the form of their key and their age alone."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from reelpress.errors import StorageError, UsageError
from reelpress.storage.calls import ObjectInfo
from reelpress.storage.keys import TEMPORARY, UPLOADS, is_temporary, upload_of
from reelpress.storage.staged import find_staged, is_staged, remove_staged
from reelpress.storage.store import Store
from reelpress.storage.waiting import CancelSign, wait_for

# No upload may still be under way; clocks of stores and machines differ, too.
LEAST_AGE_S = 3600.0


def uploads_written_since(store: Store, since: datetime, *, cancel: CancelSign | None = None) -> set[str]:
    """Return the ids of uploads of which a segment came at ``since`` or later. Raises :class:`StorageError`."""
    segments = wait_for(store.calls.list(UPLOADS), cancel)
    return {upload_of(info.key) for info in segments if is_temporary(info.key) and info.modified >= since}


def find_orphans(
    store: Store,
    *,
    older_than_s: float,
    now: datetime | None = None,
    keep_uploads: Collection[str] = (),
    cancel: CancelSign | None = None,
) -> list[ObjectInfo]:
    """Return the temporary objects that have not been written for ``older_than_s`` seconds, at least an hour.

    An object counts only if its whole key has the form of our temporary keys; in a folder, what was being written under
    such a key counts, too. Uploads in parts that were never completed are in no listing of a bucket; a lifecycle rule
    removes those (docs/storage.md). Segments of a browser's upload are among them, so give an age beyond which nobody
    takes an upload up again, and in ``keep_uploads`` the ids of those that somebody still wants, whatever their age.

    Raises :class:`UsageError` for a shorter age, :class:`StorageError`, :class:`Cancelled`.
    """
    if not older_than_s >= LEAST_AGE_S:
        raise UsageError("Temporary objects younger than an hour may be in use.", evidence=f"{older_than_s:g} s")
    oldest = (now or datetime.now(UTC)) - timedelta(seconds=older_than_s)
    found = [info for prefix in (TEMPORARY, UPLOADS) for info in wait_for(store.calls.list(prefix), cancel)]
    ours = [info for info in found if is_temporary(info.key)]
    ours += [info for prefix in (TEMPORARY, UPLOADS) for info in find_staged(store, prefix)]
    old = [info for info in ours if info.modified < oldest]
    return [info for info in old if info.key.startswith(f"{TEMPORARY}/") or upload_of(info.key) not in keep_uploads]


def sweep_orphans(
    store: Store,
    *,
    older_than_s: float,
    now: datetime | None = None,
    keep_uploads: Collection[str] = (),
    cancel: CancelSign | None = None,
) -> list[ObjectInfo]:
    """Delete what :func:`find_orphans` returns, and return it; what it raises, and what deleting raises.

    Deleting one at a time: some S3-compatible stores have no bulk request, and this is never many. One that may not be
    deleted, since a rule of the bucket holds it, is told at the end: it keeps no other from going.
    """
    orphans = find_orphans(store, older_than_s=older_than_s, now=now, keep_uploads=keep_uploads, cancel=cancel)
    held: StorageError | None = None
    for orphan in orphans:
        try:
            if is_staged(orphan.key):
                remove_staged(store, orphan.key)
            else:
                wait_for(store.calls.delete(orphan.key), cancel)
        except StorageError as error:
            if error.retryable:
                raise
            held = held or error
    if held is not None:
        raise held
    return orphans
