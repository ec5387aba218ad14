"""What a folder holds of objects that were being written when a process was killed: obstore lists none of it."""

from __future__ import annotations

import contextlib
import os
import re
from datetime import UTC, datetime
from pathlib import Path

from reelpress.storage.calls import ObjectInfo
from reelpress.storage.failures import of_os_error
from reelpress.storage.keys import is_temporary
from reelpress.storage.store import Store

_STAGED = re.compile(r"(.+)#[0-9]+")


def is_staged(key: str) -> bool:
    """Tell whether this is the name of a temporary object of ours while it is being written."""
    found = _STAGED.fullmatch(key)
    return found is not None and is_temporary(found[1])


def find_staged(store: Store, prefix: str) -> list[ObjectInfo]:
    """Return what was being written under a prefix, or is; nothing where the store is no folder.

    Raises :class:`StorageError` where a link leads out of the store.
    """
    top = store.calls.path_of(prefix)
    found: list[ObjectInfo] = []
    for root, _folders, names in os.walk(top) if top is not None else ():
        for name in names:
            path = Path(root, name)
            key = f"{prefix}/{path.relative_to(top or root).as_posix()}"
            if is_staged(key):
                with contextlib.suppress(OSError):  # it has its name by now
                    facts = path.stat()
                    modified = datetime.fromtimestamp(facts.st_mtime, UTC)
                    found.append(ObjectInfo(key=key, size_bytes=facts.st_size, etag=None, modified=modified))
    return found


def remove_staged(store: Store, key: str) -> None:
    """Delete one, and its folder if that is empty then. Raises :class:`StorageError`."""
    path = store.calls.path_of(key)
    if path is None:
        return
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise of_os_error(error, f"delete {key}") from None
    with contextlib.suppress(OSError):  # others are in it
        path.parent.rmdir()
