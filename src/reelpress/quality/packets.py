"""What an MP4 of ours holds, by its own tables: the sizes and times of its packets. Read without a demuxer.

Boxes after ISO/IEC 14496-12: 8.6.1.2 (stts), 8.6.1.3 (ctts), 8.7.3.2 (stsz).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from reelpress.facts.boxes import MOST_HEADER_BYTES, BoxError, boxes, clock_hz, read_header
from reelpress.facts.values import Value

_MOST_TABLE_BYTES = 64 * 2**20  # of a sample of seconds it is a few hundred KiB
_NESTED = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


class PacketTable(Value, frozen=True, kw_only=True):
    """The packets of one track in the order they are decoded: bytes each, and when each is shown, in seconds.

    Times count from the first picture that is shown.
    """

    sizes: tuple[int, ...] = ()
    shown_s: tuple[float, ...] = ()

    def before(self, end_s: float) -> tuple[int, ...]:
        """Return the sizes of the packets shown before this time, in the order they are decoded."""
        # a ten-thousandth of a second is less than any frame and more than what clocks round
        return tuple(
            size for size, shown in zip(self.sizes, self.shown_s, strict=True) if shown < end_s - 1e-4
        )  # fmt: skip


def media_bytes(path: Path) -> int:
    """Return the size of an MP4's ``mdat`` boxes without their headers; 0 where there are none. Raises ``OSError``."""
    with path.open("rb") as file:
        return sum(size for kind, _, size in _top_level(file) if kind == b"mdat")


def packet_table(path: Path) -> PacketTable:
    """Return the packets of the first track of an MP4 that is not fragmented; without a table they are none.

    Raises ``OSError``.
    """
    with path.open("rb") as file:
        found = next(((at, size) for kind, at, size in _top_level(file) if kind == b"moov"), None)
        if found is None or found[1] > _MOST_TABLE_BYTES:
            return PacketTable()
        file.seek(found[0])
        moov = file.read(found[1])
    tables = _tables(moov)
    sizes = _sizes(tables.get(b"stsz", b""))
    decoded = _runs(tables.get(b"stts", b""), len(sizes))
    offsets = _runs(tables.get(b"ctts", b""), len(sizes), signed=True) or [0] * len(sizes)
    rate = clock_hz(tables.get(b"mdhd", b""))
    if not sizes or len(decoded) != len(sizes) or len(offsets) != len(sizes) or not rate:
        return PacketTable()
    at, shown = 0, []
    for duration, offset in zip(decoded, offsets, strict=True):
        shown.append(at + offset)
        at += duration
    first = min(shown)
    return PacketTable(sizes=tuple(sizes), shown_s=tuple((each - first) / rate for each in shown))


def _top_level(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, place and size of what is in each top-level box, up to what is none."""
    end, at = file.seek(0, 2), 0
    with contextlib.suppress(BoxError):
        while at < end:
            file.seek(at)
            header = read_header(file.read(MOST_HEADER_BYTES), end - at)
            yield header.kind, at + header.header_bytes, header.size_bytes - header.header_bytes
            at += header.size_bytes


def _tables(moov: bytes) -> dict[bytes, bytes]:
    """Return the boxes of the first track that hold tables, by kind; none where a box is none."""
    found: dict[bytes, bytes] = {}
    try:
        for kind, body in boxes(moov, _NESTED):
            found.setdefault(kind, body)
    except BoxError:
        return {}
    return found


def _sizes(stsz: bytes) -> list[int]:
    same, count = int.from_bytes(stsz[4:8], "big"), int.from_bytes(stsz[8:12], "big")
    if same:
        return [same] * min(count, _MOST_TABLE_BYTES // 4)
    return _numbers(stsz[12:], count)


def _numbers(table: bytes, most: int) -> list[int]:
    """Return the values of a table of plain numbers, no more than so many."""
    return [int.from_bytes(table[i : i + 4], "big") for i in range(0, min(4 * most, len(table) // 4 * 4), 4)]


def _runs(table: bytes, most: int, *, signed: bool = False) -> list[int]:
    """Return the values of a table of runs, each as often as it counts, no more than so many."""
    values: list[int] = []
    for at in range(8, len(table) - 7, 8):
        count = min(int.from_bytes(table[at : at + 4], "big"), most - len(values))
        values += [int.from_bytes(table[at + 4 : at + 8], "big", signed=signed)] * count
    return values
