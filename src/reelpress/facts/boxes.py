"""The boxes of MP4 files that we wrote (ISO/IEC 14496-12, 4.2). Pure.

Files of others are read by :mod:`reelpress.probe.isobmff`, which bears with whatever stands in them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from reelpress.facts.values import Value

MOST_HEADER_BYTES = 16


class BoxError(ValueError):
    """What was read is no box, or one that reaches beyond what it is in; ``args`` say which."""


class Header(Value, frozen=True, kw_only=True):
    """A box's kind, and how many bytes it and its header have."""

    kind: bytes
    header_bytes: int
    size_bytes: int


def read_header(head: bytes, left_bytes: int) -> Header:
    """Return the header that ``head`` begins with, of a box of which no more than so many bytes are there.

    Raises :class:`BoxError`.
    """
    size, kind, header = int.from_bytes(head[:4], "big"), head[4:8], 8
    if size == 1:
        size, header = int.from_bytes(head[8:16], "big"), 16
    elif size == 0:  # to the end
        size = left_bytes
    if size < header or size > left_bytes or len(head) < header:
        raise BoxError(f"a box {kind!r} of {size} bytes where {left_bytes} are left")
    return Header(kind=kind, header_bytes=header, size_bytes=size)


def boxes(data: bytes, nested: Collection[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and body of all boxes in order; of those that are ``nested`` what is inside, and no media data.

    Raises :class:`BoxError`.
    """
    at = 0
    while at < len(data):
        header = read_header(data[at : at + MOST_HEADER_BYTES], len(data) - at)
        body = slice(at + header.header_bytes, at + header.size_bytes)
        if header.kind in nested:
            yield from boxes(data[body], nested)
        elif header.kind != b"mdat":
            yield header.kind, data[body]
        at += header.size_bytes


def clock_hz(header: bytes) -> int:
    """Return the ticks a second by the body of an ``mvhd`` (8.2.2) or ``mdhd`` box (8.4.2); 0 where it is cut short."""
    at = 20 if header[:1] == b"\1" else 12
    return int.from_bytes(header[at : at + 4], "big") if len(header) >= at + 4 else 0
