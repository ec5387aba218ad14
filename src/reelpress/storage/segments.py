"""Uploads by browsers that can be resumed, straight into the store: a file in segments, each an object of its own.

A browser sends every segment to its signed address by PUT; one that broke off is sent again, alone, also tomorrow or
after a reload. The service sees sizes, never content. The worker fetches the segments into one file, with one hash.
Multipart uploads would leave one object, but their parts cannot be signed with obstore (its issue 778).
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

from reelpress.errors import UsageError
from reelpress.facts.values import Value
from reelpress.storage.download import Downloaded, Wanted, download_joined
from reelpress.storage.failures import failure
from reelpress.storage.keys import UPLOADS, check_job, segment_key
from reelpress.storage.signing import MOST_BYTES_OF_PUT, SignedUrl, sign_raw_upload
from reelpress.storage.store import Store
from reelpress.storage.transfer import OnProgress, Transfer
from reelpress.storage.waiting import CancelSign, wait_for

SEGMENT_BYTES = 32 * 2**20
MOST_SEGMENTS = 10_000


class UploadPlan(Value, frozen=True, kw_only=True):
    """A file to come: ``size_bytes`` in segments of ``segment_bytes``, numbered from 0, the last one shorter.

    ``upload_id`` is part of the keys and of the addresses; :func:`plan_upload` makes one that cannot be guessed.
    """

    upload_id: str
    size_bytes: int
    segment_bytes: int

    @property
    def count(self) -> int:
        """How many segments there are; an empty file has one."""
        return max(-(-self.size_bytes // self.segment_bytes), 1)

    def bytes_of(self, number: int) -> int:
        """Return how long a segment is."""
        return min(self.segment_bytes, self.size_bytes - number * self.segment_bytes)

    @property
    def keys(self) -> list[str]:
        """The keys of all segments, in order."""
        return [segment_key(self.upload_id, number) for number in range(self.count)]


def plan_upload(size_bytes: int, *, segment_bytes: int = SEGMENT_BYTES) -> UploadPlan:
    """Return a plan for a file of a size. Raises :class:`UsageError` for sizes that cannot be."""
    if size_bytes < 0 or not 1 <= segment_bytes <= MOST_BYTES_OF_PUT:
        raise UsageError("An upload of this size cannot be planned.", evidence=f"{size_bytes} by {segment_bytes} bytes")
    segment_bytes = max(segment_bytes, -(-size_bytes // MOST_SEGMENTS))
    return UploadPlan(upload_id=secrets.token_hex(16), size_bytes=size_bytes, segment_bytes=segment_bytes)


def missing_segments(store: Store, plan: UploadPlan, *, cancel: CancelSign | None = None) -> list[int]:
    """Return the numbers of segments that are not there in their full length. Raises :class:`StorageError`."""
    there = wait_for(store.calls.list(f"{UPLOADS}/{check_job(plan.upload_id)}"), cancel)
    sizes = {info.key: info.size_bytes for info in there}
    return [number for number, key in enumerate(plan.keys) if sizes.get(key) != plan.bytes_of(number)]


def sign_segment(store: Store, plan: UploadPlan, number: int, *, expires_s: int = 3600) -> SignedUrl:
    """Return the address to PUT a segment to; errors as :func:`reelpress.storage.signing.sign_upload`."""
    if not 0 <= number < plan.count:
        raise UsageError("There is no such segment.", evidence=f"{number} of {plan.count}")
    key = segment_key(plan.upload_id, number)
    return sign_raw_upload(store, key, size_bytes=plan.bytes_of(number), expires_s=expires_s)


async def put_segment(store: Store, plan: UploadPlan, number: int, content: AsyncIterator[bytes]) -> None:
    """Write a segment from a stream, for stores that sign no addresses; it appears whole or not at all.

    Raises :class:`UsageError` where there is no such segment, :class:`StorageError`: ``too_large`` or ``corrupt`` for
    another length than planned; and whatever ``content`` raises.
    """
    if not 0 <= number < plan.count:
        raise UsageError("There is no such segment.", evidence=f"{number} of {plan.count}")
    failed: list[Exception] = []

    async def watched() -> AsyncIterator[bytes]:
        try:
            async for block in _counted(content, plan.bytes_of(number)):
                yield block
        except Exception as error:
            failed.append(error)
            raise

    key, way = segment_key(plan.upload_id, number), Transfer()
    try:
        await store.calls.put_parts(
            key, watched(), "application/octet-stream", part_bytes=way.part_bytes, parallel=way.parallel
        )
    except Exception:
        if failed:  # obstore words it as an error of its own
            raise failed[0] from None
        raise


async def _counted(content: AsyncIterator[bytes], planned: int) -> AsyncIterator[bytes]:
    got_bytes = 0
    async for block in content:
        got_bytes += len(block)
        if got_bytes > planned:
            raise failure("The segment is too long.", "too_large", evidence=f"more than {planned} bytes")
        if block:
            yield block
    if got_bytes < planned:
        raise failure("The segment is too short.", "corrupt", evidence=f"{got_bytes} of {planned} bytes")


def collect(
    store: Store,
    plan: UploadPlan,
    target: Path,
    *,
    sha256: str | None = None,
    transfer: Transfer = Transfer(),  # noqa: B008 - a frozen value
    on_progress: OnProgress | None = None,
    cancel: CancelSign | None = None,
) -> Downloaded:
    """Fetch all segments into one file, as :func:`reelpress.storage.download.download` does one object.

    The size must be the planned one: the signature of an address does not bind it. Segments stay until
    :func:`discard` or a sweep of orphans.
    """
    wanted = Wanted(size_bytes=plan.size_bytes, sha256=sha256)
    return download_joined(
        store, plan.keys, target, name=f"upload {plan.upload_id}", wanted=wanted, transfer=transfer,
        on_progress=on_progress, cancel=cancel,
    )  # fmt: skip


def discard(store: Store, plan: UploadPlan, *, cancel: CancelSign | None = None) -> None:
    """Delete the segments of an upload, once it was collected or given up. Raises :class:`StorageError`."""
    for info in wait_for(store.calls.list(f"{UPLOADS}/{check_job(plan.upload_id)}"), cancel):
        wait_for(store.calls.delete(info.key), cancel)
