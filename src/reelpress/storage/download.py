"""From a store to a file: never a wrong file under the target's name, and what arrived is not fetched twice.

The object is looked up first, so that limits are kept before its first byte. It comes in ranges, each of which insists
on the ETag seen then (``If-Match``): an object that is replaced meanwhile cannot end up half old, half new. Ranges also
bound each request, which makes a server that drips a request that times out.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from functools import partial
from pathlib import Path

from reelpress.errors import Cancelled, StorageError, UsageError
from reelpress.facts.values import Value
from reelpress.storage.calls import Calls, ObjectInfo
from reelpress.storage.failures import failure
from reelpress.storage.keys import check_key
from reelpress.storage.landing import Landing
from reelpress.storage.store import Store
from reelpress.storage.transfer import OnProgress, Transfer
from reelpress.storage.waiting import CancelSign, in_thread, wait_for

# An object that changes more often than this while it is read is not done yet.
TRIES = 3
_LOOK_UPS = 16


class Wanted(Value, frozen=True, kw_only=True):
    """What an object must be to be accepted; ``None`` is no condition. ``sha256`` is in hexadecimal.

    ``max_bytes`` is a limit on its size, checked like ``size_bytes`` and ``etag`` before anything is fetched.
    """

    max_bytes: int | None = None
    size_bytes: int | None = None
    etag: str | None = None
    sha256: str | None = None


class Downloaded(Value, frozen=True, kw_only=True):
    """A file that arrived; ``resumed_from`` is how many bytes of it an earlier call had fetched."""

    path: str
    size_bytes: int
    etag: str | None
    sha256: str
    resumed_from: int


def download(
    store: Store,
    key: str,
    target: Path,
    *,
    wanted: Wanted = Wanted(),  # noqa: B008 - a frozen value
    transfer: Transfer = Transfer(),  # noqa: B008 - a frozen value
    on_progress: OnProgress | None = None,
    cancel: CancelSign | None = None,
) -> Downloaded:
    """Fetch an object into ``target``, replacing a file that is there once the new one is whole, checked and flushed.

    A call that failed or was killed leaves a partial file beside the target; the next call for the same version of the
    object goes on from there. ``on_progress`` is called in another thread; what it raises ends the download.

    Raises :class:`UsageError` for a bad key, :class:`StorageError` when the object is missing, not what is ``wanted``,
    unreachable, when the disk is full, or what has the target's name is no file, and :class:`Cancelled`.
    """
    check_key(key)
    return download_joined(
        store, [key], target, name=key, wanted=wanted, transfer=transfer, on_progress=on_progress, cancel=cancel
    )


def download_joined(
    store: Store,
    keys: Sequence[str],
    target: Path,
    *,
    name: str,
    wanted: Wanted,
    transfer: Transfer = Transfer(),  # noqa: B008 - a frozen value
    on_progress: OnProgress | None = None,
    cancel: CancelSign | None = None,
) -> Downloaded:
    """Fetch objects, one after the other, into one file; their keys are taken as they are.

    Everything else is as in :func:`download`; the ETag of the result is that of the last. ``name`` is for messages.
    """
    if wanted.sha256 is not None and len(wanted.sha256) != 64:
        raise UsageError("A SHA-256 has 64 hexadecimal digits.", evidence=ascii(wanted.sha256[:80]))
    work = _Download(store, keys, name, target, wanted, transfer, on_progress or (lambda _done, _all: None))
    try:
        return wait_for(work.finish(), cancel)
    except BaseException:
        work.give_up()
        raise


class _Download:
    def __init__(
        self,
        store: Store,
        keys: Sequence[str],
        name: str,
        target: Path,
        wanted: Wanted,
        transfer: Transfer,
        on_progress: OnProgress,
    ) -> None:
        self.store, self.keys, self.name, self.target, self.wanted = store, keys, name, target, wanted
        self.calls: Calls = store.calls
        self.transfer, self.on_progress = transfer, on_progress
        self._naming = threading.Lock()
        self._is_over = False

    def give_up(self) -> None:
        """See to it that nothing gets the target's name from now on, whatever a thread is still at."""
        with self._naming:
            self._is_over = True

    async def finish(self) -> Downloaded:
        keep = True
        for last in (False,) * (TRIES - 1) + (True,):
            infos = await self._look_up()
            self._refuse(infos)
            try:
                return await self._fetch(infos, keep=keep)
            except _StartAgain:
                keep = False
            except StorageError as error:
                if error.reason != "changed" or last:
                    raise
        raise AssertionError("the last try returns or raises")

    async def _look_up(self) -> list[ObjectInfo]:
        infos: list[ObjectInfo] = []
        for first in range(0, len(self.keys), _LOOK_UPS):
            some = self.keys[first : first + _LOOK_UPS]
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(_caught(self.calls.stat(key, reading=True))) for key in some]
            infos += [_or_raise(task.result()) for task in tasks]
        return infos

    def _refuse(self, infos: list[ObjectInfo]) -> None:
        wanted, size, name = self.wanted, sum(info.size_bytes for info in infos), self.name
        if wanted.max_bytes is not None and size > wanted.max_bytes:
            evidence = f"{size} bytes, {wanted.max_bytes} allowed"
            raise failure(f"{name} is too large.", "too_large", evidence=evidence, reading=True)
        if wanted.size_bytes is not None and size != wanted.size_bytes:
            evidence = f"{size} bytes, {wanted.size_bytes} promised"
            raise failure(f"{name} is not what was promised.", "corrupt", evidence=evidence, reading=True)
        if wanted.etag is not None and infos[-1].etag != wanted.etag:
            raise failure(f"{name} is not what was promised.", "changed", evidence="another ETag", retryable=False)

    async def _fetch(self, infos: list[ObjectInfo], *, keep: bool) -> Downloaded:
        versions = [(info.key, info.etag, info.size_bytes, info.modified.isoformat()) for info in infos]
        size = sum(info.size_bytes for info in infos)
        # Without an ETag there is no telling whether the rest belongs to what is there.
        keep = keep and all(info.etag is not None for info in infos)
        version = repr((self.store.url, versions))
        async with self._landing(version, size, keep=keep) as landing:
            resumed_from = landing.size_bytes
            try:
                await self._fill(landing, infos, size)
            except StorageError as error:
                if error.reason in {"changed", "full"}:  # of no use any more, or in the way
                    landing.discard()
                raise
            self._check_hash(landing, resumed_from)
            await in_thread(lambda: self._publish(landing))
            return Downloaded(
                path=str(self.target), size_bytes=size, etag=infos[-1].etag, sha256=landing.sha256,
                resumed_from=resumed_from,
            )  # fmt: skip

    @contextlib.asynccontextmanager
    async def _landing(self, version: str, size: int, *, keep: bool) -> AsyncIterator[Landing]:
        with contextlib.ExitStack() as held:  # also if the wish to stop comes while it is being opened

            def begin() -> Landing:
                return held.enter_context(
                    Landing.open(self.target, version, limit_bytes=size, keep=keep, is_over=lambda: self._is_over)
                )  # fmt: skip

            yield await in_thread(begin)

    def _publish(self, landing: Landing) -> None:
        landing.settle()
        with self._naming:
            if self._is_over:
                raise Cancelled
            landing.publish()

    async def _fill(self, landing: Landing, infos: list[ObjectInfo], size: int) -> None:
        """Fetch what is missing: several ranges under way, written in their order."""
        under_way: deque[asyncio.Task[bytes]] = deque()
        ranges = self._ranges(infos, landing.size_bytes)
        self.on_progress(landing.size_bytes, size)
        try:
            while landing.size_bytes < size:
                while len(under_way) < self.transfer.parallel and (following := next(ranges, None)) is not None:
                    info, start, end = following
                    work = self.calls.read(info.key, start, end, info.etag, reading=True)
                    under_way.append(asyncio.create_task(work))
                data = await under_way.popleft()
                await in_thread(partial(landing.append, data))
                self.on_progress(landing.size_bytes, size)
        finally:
            for task in under_way:
                task.cancel()
            for task in under_way:
                with contextlib.suppress(asyncio.CancelledError, StorageError):
                    await task

    def _ranges(self, infos: list[ObjectInfo], skip: int) -> Iterator[tuple[ObjectInfo, int, int]]:
        """Yield which parts of which objects to fetch, from the byte after the first ``skip``."""
        for info in infos:
            start = min(skip, info.size_bytes)
            skip -= start
            while start < info.size_bytes:
                end = min(start + self.transfer.part_bytes, info.size_bytes)
                yield info, start, end
                start = end

    def _check_hash(self, landing: Landing, resumed_from: int) -> None:
        if self.wanted.sha256 is None or landing.sha256 == self.wanted.sha256.lower():
            return
        landing.discard()
        if resumed_from:  # what an earlier run left may be what is wrong, after a loss of power
            raise _StartAgain
        evidence = f"its SHA-256 is {landing.sha256}"
        raise failure(f"{self.name} is not what was promised.", "corrupt", evidence=evidence, reading=True)


async def _caught(work: Awaitable[ObjectInfo]) -> ObjectInfo | StorageError:
    """Keep a task group from wrapping the error in a group of its own."""
    try:
        return await work
    except StorageError as error:
        return error


def _or_raise(result: ObjectInfo | StorageError) -> ObjectInfo:
    if isinstance(result, StorageError):
        raise result
    return result


class _StartAgain(Exception):  # noqa: N818 - not a fault
    """The partial file was of no use."""
