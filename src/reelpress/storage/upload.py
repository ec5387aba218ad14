"""From a file to a store: an object gets its key when its content has been read back and found right.

It is written under a temporary key, compared with the file, and given its own key inside the store: by a rename in a
folder, by a copy elsewhere. Writing straight to the key would save that copy, and on S3 it would even be atomic; but
then a reader could meet an object that nobody has checked, and a conditional write (``If-None-Match``) of more than one
part is something obstore does not offer. A conditional copy it does, in all stores.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal, TypeAlias

from reelpress.errors import Cancelled, ReelpressError, StorageError
from reelpress.facts.values import Value
from reelpress.storage.calls import Calls, ObjectInfo
from reelpress.storage.failures import failure
from reelpress.storage.keys import check_key, temporary_key
from reelpress.storage.source import Source
from reelpress.storage.store import Store
from reelpress.storage.transfer import S3_LEAST_PART_BYTES, OnProgress, Transfer
from reelpress.storage.waiting import CancelSign, Within, wait_for

Verify: TypeAlias = Literal["content", "size"]
_MOST_PARTS = 9_000  # S3 takes 10,000
_TIDY_S = 5.0  # who wants to stop does not wait longer for a store that may be the reason
_NO_UPLOAD = "HTTP 404, NoSuchUpload"


class Uploaded(Value, frozen=True, kw_only=True):
    """An object under its key; ``existed`` says that it was there before, with the same content."""

    key: str
    size_bytes: int
    etag: str | None
    sha256: str
    existed: bool


def upload(
    store: Store,
    source: Path,
    key: str,
    *,
    job: str,
    content_type: str = "application/octet-stream",
    overwrite: bool = False,
    sha256: str | None = None,
    verify: Verify = "content",
    transfer: Transfer = Transfer(),  # noqa: B008 - a frozen value
    on_progress: OnProgress | None = None,
    cancel: CancelSign | None = None,
) -> Uploaded:
    """Put a file into the store under ``key``; done once is done, however often it is asked for.

    Without ``overwrite`` an existing object stays: one with the same content is success, any other raises. With
    ``sha256`` a file of another content is refused. ``verify`` ``"content"`` reads the object back and compares hashes
    before it gets its key; ``"size"`` leaves that to the store. ``on_progress`` is called in another thread.

    Raises :class:`UsageError` for a bad key or job id, :class:`StorageError`, and :class:`Cancelled`; then nothing has
    come under ``key``, unless it was in the last request: ask again to know.
    """
    check_key(key)
    temporary = temporary_key(job)
    work = _Upload(store, source, key, temporary, content_type, overwrite, sha256, verify, transfer, on_progress)
    try:
        return wait_for(work.finish(), cancel)
    except BaseException:
        if work.wrote:
            with contextlib.suppress(ReelpressError):  # then it is an orphan, and swept as one
                wait_for(store.calls.delete(temporary), Within(_TIDY_S))
        raise


class _Upload:
    def __init__(
        self,
        store: Store,
        source: Path,
        key: str,
        temporary: str,
        content_type: str,
        overwrite: bool,
        sha256: str | None,
        verify: Verify,
        transfer: Transfer,
        on_progress: OnProgress | None,
    ) -> None:
        self.store, self.source, self.key, self.temporary = store, source, key, temporary
        self.calls: Calls = store.calls
        self.content_type, self.overwrite, self.verify = content_type, overwrite, verify
        self.transfer = transfer
        self.on_progress = on_progress or (lambda _done, _all: None)
        self.wanted_sha256 = sha256.lower() if sha256 else None
        self.wrote = self.is_over = False

    async def finish(self) -> Uploaded:
        with Source(self.source) as file:
            if not self.overwrite:
                there = await self.calls.find(self.key)
                if there is not None:
                    return await self._accept(there, file)
            limit = self.store.copy_limit_bytes
            straight = limit is not None and file.size_bytes > limit
            if straight and not self.overwrite:
                raise failure(
                    f"{self.key} is too large to be published without overwriting.", "too_large",
                    evidence=f"{file.size_bytes} bytes; this store copies {limit}",
                )  # fmt: skip
            landing = self.key if straight else self.temporary
            self.wrote = not straight
            await self._send(landing, file)
            try:
                await self._compare(landing, file)
            except StorageError as error:
                if straight and error.reason == "corrupt":
                    await self.calls.delete(self.key)
                raise
            return await (self._landed(file) if straight else self._publish(file))

    async def _publish(self, file: Source) -> Uploaded:
        try:
            await self.calls.publish(self.temporary, self.key, self.content_type, overwrite=self.overwrite)
        except StorageError as error:
            done = await self._published_after_all(file, error)
        else:
            done = await self._landed(file)
        with contextlib.suppress(StorageError):  # then it is an orphan
            await self.calls.delete(self.temporary)
        return done

    async def _published_after_all(self, file: Source, error: StorageError) -> Uploaded:
        """Return the object that has the key if it is ours, else raise.

        Somebody was quicker; or we were, but the answer was lost, and obstore's second request met its own first one:
        an object that exists, or a multipart copy that is no more.
        """
        there = await self.calls.find(self.key)
        if there is not None and (error.reason == "exists" or await self._hash_of(there) == file.sha256):
            return await self._accept(there, file)
        error.retryable = error.retryable or error.reason == "missing"
        raise error

    async def _landed(self, file: Source) -> Uploaded:
        info = await self.calls.stat(self.key)
        if info.size_bytes != file.size_bytes:
            evidence = f"{info.size_bytes} bytes, {file.size_bytes} sent"
            raise failure(f"{self.key} is not what was sent.", "corrupt", evidence=evidence, retryable=True)
        return self._uploaded(info, file, existed=False)

    async def _accept(self, there: ObjectInfo, file: Source) -> Uploaded:
        """Return the object that has the key, if it is what we would have put there."""
        await file.hash_all()
        self._refuse_others(file)
        if there.size_bytes != file.size_bytes or await self._hash_of(there) != file.sha256:
            evidence = f"{there.size_bytes} bytes there, {file.size_bytes} to come"
            raise failure(f"{self.key} exists with another content.", "exists", evidence=evidence)
        return self._uploaded(there, file, existed=True)

    def _uploaded(self, info: ObjectInfo, file: Source, *, existed: bool) -> Uploaded:
        return Uploaded(key=self.key, size_bytes=info.size_bytes, etag=info.etag, sha256=file.sha256, existed=existed)

    async def _send(self, key: str, file: Source) -> None:
        part = max(self.transfer.part_bytes, -(-file.size_bytes // _MOST_PARTS))
        if self.store.kind not in {"local", "memory"}:
            part = max(part, S3_LEAST_PART_BYTES)
        try:
            await self._send_parts(key, file, part)
        except StorageError as error:
            # As for the copy, an answer may be lost. What is there is compared with the file in any case.
            there = await self.calls.find(key) if error.reason in {"missing", "exists"} else None
            if there is None or there.size_bytes != file.size_bytes or file.read_bytes != file.size_bytes:
                error.retryable = error.retryable or error.evidence == _NO_UPLOAD
                raise

    async def _send_parts(self, key: str, file: Source, part: int) -> None:
        if file.size_bytes <= part:
            content = await file.read(part)
            self._refuse_others(file)
            await self.calls.put(key, content, self.content_type)
            self.on_progress(file.size_bytes, file.size_bytes)
        else:
            work = self.calls.put_parts(
                key, self._parts(file, part), self.content_type, part_bytes=part, parallel=self.transfer.parallel
            )  # fmt: skip
            # what goes straight to its key may not get there once somebody else has the job
            await (self._to_its_end(asyncio.ensure_future(work)) if key == self.temporary else work)

    async def _to_its_end(self, sending: asyncio.Future[None]) -> None:
        """Wait for an upload in parts. Who is cancelled leaves it to end by itself, at its next part.

        Cancelled itself, it would leave what was sent in the bucket, where it costs and is in no listing.
        """
        try:
            await asyncio.shield(sending)
        except asyncio.CancelledError:
            self.is_over = True
            sending.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
            raise

    async def _parts(self, file: Source, part_bytes: int) -> AsyncIterator[bytes]:
        while data := await file.read(part_bytes):
            yield data
            if self.is_over:
                raise Cancelled
            self.on_progress(file.read_bytes, file.size_bytes)
        self._refuse_others(file)  # raised here, the upload is never completed

    def _refuse_others(self, file: Source) -> None:
        file.refuse_changes()
        if self.wanted_sha256 not in {None, file.sha256}:
            evidence = f"its SHA-256 is {file.sha256}"
            raise failure(f"{self.source.name} is not what was promised.", "corrupt", evidence=evidence)

    async def _compare(self, key: str, file: Source) -> None:
        info = await self.calls.stat(key)
        same = info.size_bytes == file.size_bytes
        if same and self.verify == "content":
            same = await self._hash_of(info) == file.sha256
        if not same:
            evidence = f"{info.size_bytes} bytes there, {file.size_bytes} sent"
            raise failure(
                f"{self.key} did not reach the store as it was sent.", "corrupt", evidence=evidence, retryable=True
            )

    async def _hash_of(self, info: ObjectInfo) -> str:
        digest = hashlib.sha256()
        for start in range(0, info.size_bytes, self.transfer.part_bytes):
            end = min(start + self.transfer.part_bytes, info.size_bytes)
            digest.update(await self.calls.read(info.key, start, end, info.etag))
        return digest.hexdigest()
