"""Several files as one ZIP while it is sent: stored, not compressed, nothing of it in memory or on disk.

Video does not get smaller, so members are stored as they are; then the length of the whole archive is known before
its first byte. Checksums follow each member (data descriptors), ZIP64 comes in where sizes or places need it.
"""

from __future__ import annotations

import time
import zipfile
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import PurePosixPath

from reelpress.errors import ReelpressError
from reelpress.facts.values import Value
from reelpress.storage.keys import safe_name

_LOCAL_HEADER, _CENTRAL_HEADER, _END = 30, 46, 22
_DESCRIPTOR, _DESCRIPTOR_64 = 16, 24
_END_64 = 56 + 20  # the record and its locator
_SIZES_64 = 20  # the extra field of a local header
_FIELD, _NUMBER = 4, 8  # an extra field's head, and each number in it
_ZIP_BEGINS = 315_532_800.0  # 1980-01-01 in UTC: the format knows no earlier time
_ZIP_ENDS = 4_354_819_198.0  # 2107-12-31


class ZipEntry(Value, frozen=True, kw_only=True):
    """One file: what it is to be called, its exact size, what yields its bytes, and when it was made (Unix time)."""

    name: str
    size_bytes: int
    blocks: Callable[[], AsyncIterator[bytes]]
    modified_at: float = _ZIP_BEGINS


def zip_stream(entries: Sequence[ZipEntry]) -> tuple[int, AsyncIterator[bytes]]:
    """Return the length of an archive in bytes, and what yields it.

    Names are made safe, and unique whatever their case; letters of every script stay. A file of which more or less
    comes than its size says breaks the archive off with a :class:`ReelpressError`: what was sent is then too short for
    its announced length, and every client notices.
    """
    named = tuple(zip(_names(entries), entries, strict=True))
    return _length(named), _stream(named)


def _names(entries: Sequence[ZipEntry]) -> list[str]:
    taken: set[str] = set()
    names = []
    for entry in entries:
        first = name = safe_name(entry.name)
        number = 1
        while name.casefold() in taken:
            number += 1
            path = PurePosixPath(first)
            name = f"{path.stem} ({number}){path.suffix}"
        taken.add(name.casefold())
        names.append(name)
    return names


def _is_large(number: int) -> bool:
    return number > zipfile.ZIP64_LIMIT


def _length(named: Sequence[tuple[str, ZipEntry]]) -> int:
    """Compute what ``zipfile`` will write; APPNOTE.TXT 4.3 has the sizes of all parts."""
    at = central = 0
    for name, entry in named:
        name_bytes, large = len(name.encode()), _is_large(entry.size_bytes)
        numbers = 2 * large + _is_large(at)
        central += _CENTRAL_HEADER + name_bytes + (_FIELD + _NUMBER * numbers if numbers else 0)
        head = _LOCAL_HEADER + name_bytes + (_SIZES_64 if large else 0)
        at += head + entry.size_bytes + (_DESCRIPTOR_64 if large else _DESCRIPTOR)
    needs_64 = len(named) > zipfile.ZIP_FILECOUNT_LIMIT or _is_large(at) or _is_large(central)
    return at + central + (_END_64 if needs_64 else 0) + _END


class _Outbox:
    """What a ZipFile writes to: a stream that cannot seek and keeps nothing longer than until it is taken."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []

    def write(self, block: bytes) -> int:
        self._blocks.append(bytes(block))
        return len(block)

    def flush(self) -> None:
        """Do nothing: ``zipfile`` asks for it."""

    def close(self) -> None:
        """Do nothing, either."""

    def take(self) -> bytes:
        taken = b"".join(self._blocks)
        self._blocks.clear()
        return taken


async def _stream(named: Sequence[tuple[str, ZipEntry]]) -> AsyncIterator[bytes]:
    out = _Outbox()
    # what is written on the way out of a failure stays in the outbox: nothing then looks like an archive's end
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, entry in named:
            with archive.open(_info(name, entry), "w", force_zip64=_is_large(entry.size_bytes)) as member:
                sent = 0
                async for block in entry.blocks():
                    sent += len(block)
                    if sent > entry.size_bytes:
                        break
                    member.write(block)
                    yield out.take()
                if sent != entry.size_bytes:
                    what = (
                        f"{entry.size_bytes} bytes were announced, {'more' if sent > entry.size_bytes else sent} came"
                    )
                    raise ReelpressError(f"{name} is not as long as it was", evidence=what)
    yield out.take()


def _info(name: str, entry: ZipEntry) -> zipfile.ZipInfo:
    at = time.gmtime(min(max(entry.modified_at, _ZIP_BEGINS), _ZIP_ENDS))
    info = zipfile.ZipInfo(name, (at.tm_year, at.tm_mon, at.tm_mday, at.tm_hour, at.tm_min, at.tm_sec))
    info.external_attr = 0o644 << 16
    return info
