"""A store as the rest of the program sees it."""

from __future__ import annotations

from pathlib import Path

from reelpress.storage.calls import Calls, Kind, ObjectInfo
from reelpress.storage.keys import check_key
from reelpress.storage.waiting import CancelSign, wait_for


class Store:
    """An open store; made by ``open_store``, safe to share between threads.

    ``url`` is its address without credentials; without ``has_key`` there is nothing to sign addresses with. Files go in
    and out by :mod:`reelpress.storage.download` and :mod:`reelpress.storage.upload`.
    """

    def __init__(
        self, url: str, calls: Calls, *, copy_limit_bytes: int | None = None, has_key: bool = True
    ) -> None:  # fmt: skip
        self.url = url
        self.calls = calls
        self.copy_limit_bytes = copy_limit_bytes
        self.has_key = has_key

    @property
    def kind(self) -> Kind:
        """What kind of store this is."""
        return self.calls.kind

    def find(self, key: str, *, cancel: CancelSign | None = None) -> ObjectInfo | None:
        """Return an object's size and ETag, or ``None`` where there is none.

        Raises :class:`UsageError` for a bad key, :class:`StorageError` when the store does not say.
        """
        return wait_for(self.calls.find(check_key(key)), cancel)

    def delete(self, key: str, *, cancel: CancelSign | None = None) -> None:
        """Delete an object; one that is not there is no error.

        Raises :class:`UsageError` for a bad key, :class:`StorageError` when the store does not do it.
        """
        wait_for(self.calls.delete(check_key(key)), cancel)

    def delete_under(self, prefix: str, *, cancel: CancelSign | None = None) -> int:
        """Delete everything whose key begins with ``prefix`` and a slash, and return how much that was.

        Raises :class:`UsageError` for a bad prefix, :class:`StorageError` when the store does not do it.
        """
        found = wait_for(self.calls.list(check_key(prefix)), cancel)
        for info in found:
            wait_for(self.calls.delete(info.key), cancel)
        return len(found)

    def path_of(self, key: str) -> Path | None:
        """Return the file that an object is, where the store is a folder of this machine; ``None`` elsewhere.

        Raises :class:`UsageError` for a bad key, :class:`StorageError` for one that a link leads out of the store.
        """
        return self.calls.path_of(check_key(key))

    def __repr__(self) -> str:
        return f"Store({self.url!r})"
