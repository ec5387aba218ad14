"""What tells contents apart, so that work on one is not taken for work on another; names do not count."""

from __future__ import annotations

import hashlib
from pathlib import Path

from reelpress.errors import Cancelled
from reelpress.run.process import CancelToken

WHOLE_BYTES = 64 * 2**20
_ENDS_BYTES = 4 * 2**20
_BLOCK_BYTES = 256 * 1024
_BLOCKS = 32
_CHUNK_BYTES = 2**20


def of_file(path: Path, size_bytes: int, cancel: CancelToken) -> str:
    """Return the SHA-256 of a file's size and content, in hex.

    Of a file of more than 64 MiB the content is its first and last 4 MiB, and 32 blocks of 256 KiB evenly spread
    between them: 16 MiB tell two films apart, and reading gigabytes would cost more than what is to be found again.
    Raises :class:`OSError` and :class:`Cancelled`.
    """
    digest = hashlib.sha256(f"{size_bytes}\n".encode())
    with path.open("rb") as file:
        for start, length in _stretches(size_bytes):
            file.seek(start)
            left = length
            while left and (chunk := file.read(min(_CHUNK_BYTES, left))):
                if cancel.is_cancelled:
                    raise Cancelled("Stopped while reading the input.")
                digest.update(chunk)
                left -= len(chunk)
    return digest.hexdigest()


def _stretches(size_bytes: int) -> list[tuple[int, int]]:
    """Return what of a file of this size is read: where from, and how much."""
    if size_bytes <= WHOLE_BYTES:
        return [(0, size_bytes)]
    last = size_bytes - _ENDS_BYTES
    step = (last - _ENDS_BYTES - _BLOCK_BYTES) / (_BLOCKS - 1)
    middle = [(_ENDS_BYTES + round(i * step), _BLOCK_BYTES) for i in range(_BLOCKS)]
    return [(0, _ENDS_BYTES), *middle, (last, _ENDS_BYTES)]
