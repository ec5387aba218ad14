"""Single requests to a store, each bounded in time and each failing with :class:`StorageError` alone.

Retries are obstore's own (:class:`Patience`). It repeats requests that met a 5xx or 429 status, a lost connection or,
for requests that only read, a time-out, and it continues a body that broke off with another ranged request.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import obstore

from reelpress.facts.values import Value
from reelpress.storage.failures import explain, failure, of_os_error

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

T = TypeVar("T")
Kind = Literal["s3", "gcs", "azure", "local", "memory"]
_LIST_CHUNK = 500
_SLACK_S = 10.0  # for what obstore does around its requests


class Patience(Value, frozen=True, kw_only=True):
    """How long requests may take, in seconds.

    ``stall_s`` bounds one silence, ``request_s`` one try of one request with its body, ``copy_s`` one try of a copy
    inside the store. No try begins once ``retry_s`` have passed since the first, nor after ``retries`` of them, so that
    no request outlasts ``retry_s + request_s``. With parts of 8 MiB the default demands 140 kB/s of each.
    """

    connect_s: float = 5.0
    stall_s: float = 20.0
    request_s: float = 60.0
    copy_s: float = 600.0
    retries: int = 5
    retry_s: float = 60.0
    backoff_s: float = 0.2
    max_backoff_s: float = 5.0


class ObjectInfo(Value, frozen=True, kw_only=True):
    """An object as its store describes it; ``etag`` changes with the content, where the store has such a thing."""

    key: str
    size_bytes: int
    etag: str | None
    modified: datetime


class Calls:
    """What is asked of a store; keys are taken as they are, and have been checked by whoever calls."""

    def __init__(
        self, kind: Kind, make: Callable[[float, str | None], ObjectStore], patience: Patience, folder: Path | None
    ) -> None:
        self.kind = kind
        self._make = make
        self._patience = patience
        self._folder = folder
        self._made: dict[tuple[float, str | None], ObjectStore] = {}

    def handle(self, timeout_s: float | None = None, content_type: str | None = None) -> ObjectStore:
        """Return obstore's own store.

        A time-out and a default content type are properties of the whole client there. The latter also reaches copies,
        which carry no content type over where they are made of parts.
        """
        wanted = (timeout_s or self._patience.request_s, content_type)
        if wanted not in self._made:
            self._made[wanted] = self._make(*wanted)
        return self._made[wanted]

    def path_of(self, key: str) -> Path | None:
        """Return the file that an object is, in a local store; ``None`` elsewhere. Raises :class:`StorageError`."""
        self._refuse_links(key, reading=True)
        return None if self._folder is None else self._folder / key

    async def stat(self, key: str, *, reading: bool = False) -> ObjectInfo:
        """Return size and ETag of an object. Raises :class:`StorageError`."""
        self._refuse_links(key, reading=reading)
        meta = await self._bounded(obstore.head_async(self.handle(), key), f"look up {key}", reading=reading)
        return _info(meta)

    async def find(self, key: str) -> ObjectInfo | None:
        """Return an object, or ``None`` where there is none. Raises :class:`StorageError`."""
        from reelpress.errors import StorageError

        try:
            return await self.stat(key)
        except StorageError as error:
            if error.reason == "missing":
                return None
            raise

    async def read(self, key: str, start: int, end: int, etag: str | None, *, reading: bool = False) -> bytes:
        """Return the bytes from ``start`` to before ``end`` of the object that has this ETag.

        Raises :class:`StorageError`: ``changed`` when it has another ETag by now, ``corrupt`` for another number of
        bytes.
        """
        self._refuse_links(key, reading=reading)

        async def ask() -> tuple[ObjectMeta, bytes]:
            options: obstore.GetOptions = {"range": (start, end)}
            if etag is not None:
                options["if_match"] = etag
            answer = await obstore.get_async(self.handle(), key, options=options)
            return answer.meta, bytes(await answer.bytes_async())

        meta, data = await self._bounded(ask(), f"read {key}", reading=reading)
        if etag is not None and meta["e_tag"] != etag:
            raise failure(f"{key} changed while it was read.", "changed", evidence="another ETag than asked for")
        if len(data) != end - start:
            what, evidence = f"{key} did not arrive in full.", f"{len(data)} of {end - start} bytes"
            raise failure(what, "corrupt", evidence=evidence, retryable=True)
        return data

    async def put(self, key: str, content: bytes, content_type: str) -> None:
        """Write a small object in one request; it appears whole or not at all. Raises :class:`StorageError`."""
        self._refuse_links(key)
        handle = self.handle(content_type=content_type)
        await self._bounded(obstore.put_async(handle, key, content, use_multipart=False), f"write {key}")

    async def put_parts(
        self, key: str, content: AsyncIterator[bytes], content_type: str, *, part_bytes: int, parallel: int
    ) -> None:
        """Write an object in parts; it appears whole, with the last request, or not at all.

        There is no bound for the whole, only for each part. Raises :class:`StorageError`.
        """
        self._refuse_links(key)
        handle = self.handle(content_type=content_type)
        work = obstore.put_async(
            handle, key, content, use_multipart=True, chunk_size=part_bytes, max_concurrency=parallel
        )
        await self._bounded(work, f"write {key}", wall_s=None)

    async def publish(self, temporary: str, key: str, content_type: str, *, overwrite: bool) -> None:
        """Give a temporary object its key inside the store; the temporary one may remain.

        Never over an existing object without ``overwrite``: raises :class:`StorageError` ``exists``.
        """
        self._refuse_links(key)
        wall_s = self._patience.copy_s
        if self.kind == "local":
            # A rename needs no second copy. obstore's refuses to replace by linking, as PartialFile does.
            await self._settle(temporary)
            work = obstore.rename_async(self.handle(), temporary, key, overwrite=overwrite)
        else:
            work = obstore.copy_async(self.handle(wall_s, content_type), temporary, key, overwrite=overwrite)
        await self._bounded(work, f"give {key} its content", wall_s=wall_s + self._patience.retry_s + _SLACK_S)
        if self.kind == "local":
            await self._settle(key)

    async def delete(self, key: str) -> None:
        """Delete one object; one that is not there is no error. Raises :class:`StorageError`."""
        from reelpress.errors import StorageError

        self._refuse_links(key)
        try:
            await self._bounded(obstore.delete_async(self.handle(), key), f"delete {key}")
        except StorageError as error:
            if error.reason != "missing":
                raise
        if self._folder is not None and "/" in key:  # the store's own folder stays
            with contextlib.suppress(OSError):  # others are in it
                (self._folder / key).parent.rmdir()

    async def list(self, prefix: str) -> list[ObjectInfo]:
        """Return everything whose key begins with ``prefix`` and a slash. Raises :class:`StorageError`."""
        found: list[ObjectInfo] = []
        self._refuse_links(f"{prefix}/x")
        stream = obstore.list(self.handle(), prefix, chunk_size=_LIST_CHUNK)
        while True:
            chunk = await self._bounded(anext(stream, None), f"list {prefix}")
            if chunk is None:
                return found
            found.extend(_info(meta) for meta in chunk)

    async def _bounded(self, work: Awaitable[T], doing: str, *, reading: bool = False, wall_s: float | None = 0.0) -> T:
        bound = self._patience.retry_s + self._patience.request_s + _SLACK_S if wall_s == 0.0 else wall_s
        try:
            async with asyncio.timeout(bound):
                return await work
        except TimeoutError:
            failed = failure(f"Could not {doing}.", "timed_out", evidence=f"no end after {bound:g} s", reading=reading)
        except (obstore.exceptions.BaseError, OSError, ValueError, NotImplementedError) as error:
            failed = explain(error, doing, reading=reading)
        # Outside of the handler, so that the original, with its addresses, is not even the context of this one.
        raise failed

    def _refuse_links(self, key: str, *, reading: bool = False) -> None:
        """In a local store, refuse keys that a symbolic link would lead elsewhere; obstore follows them."""
        if self._folder is None:
            return
        path = self._folder
        for part in key.split("/"):
            path /= part
            with contextlib.suppress(OSError):
                if stat.S_ISLNK(path.lstat().st_mode):
                    raise failure(
                        f"{key} leads out of the store.", "denied", evidence="a symbolic link", reading=reading
                    )

    async def _settle(self, key: str) -> None:
        """Make a file of a local store, and its name, survive a loss of power; obstore does not flush."""
        if self._folder is None:
            return
        path = self._folder / key
        failed: OSError | None = None
        try:
            for place in (path, path.parent):
                await asyncio.to_thread(_flush, place)
        except OSError as error:
            failed = error
        if failed is not None:
            raise of_os_error(failed, f"flush {key}")


def _flush(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _info(meta: ObjectMeta) -> ObjectInfo:
    return ObjectInfo(key=meta["path"], size_bytes=meta["size"], etag=meta["e_tag"], modified=meta["last_modified"])
