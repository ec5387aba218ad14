"""What clips out of a file must cost to read: the bytes of their own stretches, and of what tells where these are."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av

_BLOCK_BYTES = 32 * 1024


@dataclass(frozen=True)
class Cost:
    """``share_bytes`` are the clips' own, ``index_bytes`` what tells where in the file they are."""

    share_bytes: int
    index_bytes: int


@dataclass(frozen=True)
class _Piece:
    """One packet: when it is shown, in seconds from the first picture, its bytes, and where they begin."""

    at_s: float
    size: int
    is_key: bool
    at_byte: int


class _Touched(io.FileIO):
    """A file that keeps in mind which blocks of it were read."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.blocks: set[int] = set()

    def read(self, size: int | None = -1, /) -> bytes:
        """Read, and note where."""
        at = self.tell()
        data = super().read(size) or b""
        if data:
            self.blocks.update(range(at // _BLOCK_BYTES, -(-(at + len(data)) // _BLOCK_BYTES)))
        return data


def cost_of(path: Path, stretches: Sequence[tuple[float, float]]) -> Cost:
    """Return what clips of these stretches (seconds from the first picture) must cost.

    Their share is what their packets weigh, of the first picture's and the first sound's stream, pictures from the
    keyframe before the stretch on, and these packets' part of what the container adds. The index is everything before
    the first packet and after the last one. MPEG-TS has none: what libav must read of its beginning and its end to open
    it stands for that.
    """
    packets, size = _pieces_of(path), path.stat().st_size
    if path.suffix == ".ts":
        with _Touched(path) as file, av.open(file, format="mpegts"):
            index, media = len(file.blocks) * _BLOCK_BYTES, size
    else:
        media = max(p.at_byte + p.size for p in packets) - min(p.at_byte for p in packets)
        index = size - media
    share = 0
    for start_s, end_s in stretches:
        first_s = max((p.at_s for p in packets if p.is_key and p.at_s <= start_s), default=0.0)
        share += sum(p.size for p in packets if first_s <= p.at_s < end_s)
    return Cost(share_bytes=round(share * media / sum(p.size for p in packets)), index_bytes=index)


def _pieces_of(path: Path) -> list[_Piece]:
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        found = [
            (float(p.pts * p.time_base), p.stream is video, p.is_keyframe, p.size, p.pos or 0)
            for p in container.demux([video, *container.streams.audio[:1]])
            if p.pts is not None and p.time_base is not None
        ]
    zero = min(at_s for at_s, is_picture, *_ in found if is_picture)
    return [_Piece(at_s - zero, size, is_picture and is_key, at) for at_s, is_picture, is_key, size, at in found]
