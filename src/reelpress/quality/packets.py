"""How many bytes of media an MP4 of ours holds, without what its container adds."""

from __future__ import annotations

from pathlib import Path


def media_bytes(path: Path) -> int:
    """Return the size of an MP4's ``mdat`` boxes without their headers; 0 where there are none.

    Box sizes after ISO/IEC 14496-12, 4.2. Raises ``OSError``.
    """
    total = 0
    with path.open("rb") as file:
        end = file.seek(0, 2)
        at = 0
        while at + 8 <= end:
            file.seek(at)
            head = file.read(16)
            size, kind, header = int.from_bytes(head[:4], "big"), head[4:8], 8
            if size == 1:
                size, header = int.from_bytes(head[8:16], "big"), 16
            elif size == 0:
                size = end - at
            if size < header:
                break
            if kind == b"mdat":
                total += size - header
            at += size
    return total
