"""Reads the few ISO BMFF (mp4, mov, 3gp) boxes FFmpeg keeps to itself; bounded, and it never raises on any bytes.

The order of moov and mdat, fragmentation, edit lists, Dolby Vision configuration, encrypted sample entries.
Sizes that lie, boxes in boxes without end and tables of gigabytes cost at most ``MAX_BOXES`` headers and
``MAX_BYTES`` of reading.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from reelpress.facts.boxes import clock_hz
from reelpress.facts.media import Edit
from reelpress.facts.values import Value

MAX_BOXES = 20_000
MAX_BYTES = 8 * 1024 * 1024
MAX_EDITS = 1_000
MAX_TRACKS = 1_000

_TOP_LEVEL = frozenset({
    b"ftyp", b"styp", b"moov", b"mdat", b"moof", b"free", b"skip", b"wide", b"pnot", b"uuid", b"sidx", b"meta",
    b"emsg", b"prft", b"mfra", b"ssix", b"udta",
})  # fmt: skip
_VISUAL_ENTRY_BYTES = 78  # VisualSampleEntry up to its child boxes
_ENCRYPTED = frozenset({"encv", "enca", "enct", "encs", "drmi", "drms"})


class TrackBoxes(Value, frozen=True, kw_only=True):
    """One ``trak``: what its boxes say, ``None`` where they do not."""

    track_id: int | None = None
    handler: str | None = None
    sample_entry: str | None = None
    is_encrypted: bool = False
    is_external: bool = False  # its samples are in another file
    dolby_vision_profile: int | None = None
    dolby_vision_compatibility_id: int | None = None
    edits: tuple[Edit, ...] = ()


class FileBoxes(Value, frozen=True, kw_only=True):
    """A whole file; ``problems`` are sizes that lie and limits that were met, in words."""

    brands: tuple[str, ...] = ()
    has_moov: bool = False
    is_faststart: bool | None = None
    is_fragmented: bool | None = None
    tracks: tuple[TrackBoxes, ...] = ()
    problems: tuple[str, ...] = ()

    def track(self, stream_id: int, position: int) -> TrackBoxes | None:
        """Return the track of an FFmpeg stream: by its id, or by its place where ids are missing or repeated."""
        matches = [t for t in self.tracks if t.track_id == stream_id]
        if len(matches) == 1:
            return matches[0]
        return self.tracks[position] if 0 <= position < len(self.tracks) else None


class _Box:
    __slots__ = ("end", "kind", "start")

    def __init__(self, kind: bytes, start: int, end: int) -> None:
        self.kind, self.start, self.end = kind, start, end  # the payload is [start, end)


class _Walker:
    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size = file, size
        self.boxes, self.bytes_left = 0, MAX_BYTES
        self.problems: list[str] = []

    def note(self, problem: str) -> None:
        if problem not in self.problems and len(self.problems) < 20:
            self.problems.append(problem)

    def read(self, start: int, length: int) -> bytes:
        """Return up to ``length`` bytes, fewer at the end of the file, none when the budget is spent."""
        length = min(length, self.size - start)
        if length <= 0 or start < 0:
            return b""
        if length > self.bytes_left:
            self.note("the boxes are larger than what is read of them")
            return b""
        self.bytes_left -= length
        try:
            self.file.seek(start)
            return self.file.read(length)
        except (OSError, ValueError, OverflowError):
            return b""

    def children(self, start: int, end: int) -> Iterator[_Box]:
        """Yield the boxes of [start, end); a box that reaches beyond is cut there, and that is noted."""
        while start + 8 <= end:
            self.boxes += 1
            if self.boxes > MAX_BOXES:
                self.note(f"more than {MAX_BOXES} boxes; the rest was not read")
                return
            head = self.read(start, 16)
            if len(head) < 8:
                return
            size, kind = struct.unpack(">I4s", head[:8])
            payload = start + 8
            if size == 1:
                if len(head) < 16:
                    return
                size, payload = struct.unpack(">Q", head[8:16])[0], start + 16
            box_end = end if size == 0 else start + size
            name = kind.decode("latin-1")
            if box_end < payload:
                self.note(f"box {name!r} claims {size} bytes, less than its own header")
                return
            if box_end > end:
                self.note(f"box {name!r} claims {size} bytes, {end - start} are there")
                box_end = end
            yield _Box(kind, payload, box_end)
            start = box_end


def read_boxes(file: BinaryIO, size: int) -> FileBoxes | None:
    """Return what the boxes of an open file of ``size`` bytes say, or ``None`` when it is no ISO BMFF file."""
    walker = _Walker(file, size)
    if walker.read(4, 4) not in _TOP_LEVEL:
        return None
    brands: tuple[str, ...] = ()
    mdat_at = moov_at = -1
    fragmented = False
    moov: tuple[bool, tuple[TrackBoxes, ...]] | None = None
    for place, box in enumerate(walker.children(0, size)):
        if box.kind == b"ftyp" and not brands:
            raw = walker.read(box.start, min(box.end - box.start, 256))
            brands = tuple(raw[i : i + 4].decode("latin-1") for i in range(0, len(raw) - 3, 4) if i != 4)
        elif box.kind == b"moof":
            fragmented = True
        elif box.kind == b"mdat" and mdat_at < 0:
            mdat_at = place
        elif box.kind == b"moov" and moov is None:
            moov_at, moov = place, _read_moov(walker, box)
        if moov is not None and mdat_at >= 0:
            break
    return FileBoxes(
        brands=brands,
        has_moov=moov is not None,
        is_faststart=moov_at < mdat_at if moov is not None and mdat_at >= 0 else None,
        is_fragmented=None if moov is None and not fragmented else fragmented or (moov is not None and moov[0]),
        tracks=() if moov is None else moov[1],
        problems=tuple(walker.problems),
    )


def _read_moov(walker: _Walker, moov: _Box) -> tuple[bool, tuple[TrackBoxes, ...]]:
    """Return whether there is an mvex, and the tracks."""
    timescale, extends, traks = 0, False, list[_Box]()
    for box in walker.children(moov.start, moov.end):
        if box.kind == b"mvhd":
            timescale = clock_hz(walker.read(box.start, 24))
        elif box.kind == b"mvex":
            extends = True
        elif box.kind == b"trak" and len(traks) < MAX_TRACKS:
            traks.append(box)
    return extends, tuple(_read_trak(walker, trak, timescale) for trak in traks)


def _read_trak(walker: _Walker, trak: _Box, movie_timescale: int) -> TrackBoxes:
    found = {box.kind: box for box in walker.children(trak.start, trak.end)}
    track_id: int | None = None
    if (tkhd := found.get(b"tkhd")) is not None:
        head = walker.read(tkhd.start, 24)
        at = 20 if head[:1] == b"\1" else 12
        track_id = int.from_bytes(head[at : at + 4], "big") if len(head) >= at + 4 else None
    media = {box.kind: box for box in _within(walker, found.get(b"mdia"))}
    handler: str | None = None
    if (hdlr := media.get(b"hdlr")) is not None:
        handler = walker.read(hdlr.start, 12)[8:12].decode("latin-1") or None
    media_timescale = 0
    if (mdhd := media.get(b"mdhd")) is not None:
        media_timescale = clock_hz(walker.read(mdhd.start, 24))
    edits: tuple[Edit, ...] = ()
    for box in _within(walker, found.get(b"edts")):
        if box.kind == b"elst":
            edits = _read_elst(walker, box, movie_timescale, media_timescale)
    info = {box.kind: box for box in _within(walker, media.get(b"minf"))}
    stsd = next((box for box in _within(walker, info.get(b"stbl")) if box.kind == b"stsd"), None)
    dref = next((box for box in _within(walker, info.get(b"dinf")) if box.kind == b"dref"), None)
    entry, encrypted, dovi = _read_stsd(walker, stsd, handler)
    return TrackBoxes(
        track_id=track_id,
        handler=handler,
        sample_entry=entry,
        is_encrypted=encrypted,
        is_external=_is_external(walker, dref),
        dolby_vision_profile=dovi[0],
        dolby_vision_compatibility_id=dovi[1],
        edits=edits,
    )


def _is_external(walker: _Walker, dref: _Box | None) -> bool:
    """Tell whether the first data reference names another file: not flagged as this one, and not blank."""
    if dref is None:
        return False
    entry = next(walker.children(dref.start + 8, dref.end), None)
    if entry is None:
        return False
    head = walker.read(entry.start, min(entry.end - entry.start, 256))
    return len(head) > 4 and not head[3] & 1 and any(head[4:])


def _within(walker: _Walker, box: _Box | None) -> Iterator[_Box]:
    return iter(()) if box is None else walker.children(box.start, box.end)


def _read_elst(walker: _Walker, box: _Box, movie_timescale: int, media_timescale: int) -> tuple[Edit, ...]:
    head = walker.read(box.start, 8)
    if len(head) < 8 or movie_timescale == 0 or media_timescale == 0:
        return ()
    entry = struct.Struct(">Qqi" if head[0] == 1 else ">Iii")
    count = min(int.from_bytes(head[4:8], "big"), (box.end - box.start - 8) // entry.size)
    if count > MAX_EDITS:
        walker.note(f"an edit list of {count} entries; {MAX_EDITS} were read")
    raw = walker.read(box.start + 8, min(count, MAX_EDITS) * entry.size)
    return tuple(
        Edit(duration_s=length / movie_timescale, media_time_s=None if start < 0 else start / media_timescale)
        for length, start, _rate in entry.iter_unpack(raw[: len(raw) // entry.size * entry.size])
    )


def _read_stsd(
    walker: _Walker, stsd: _Box | None, handler: str | None
) -> tuple[str | None, bool, tuple[int | None, int | None]]:
    """Return the first sample entry's type, whether any is encrypted, Dolby Vision's profile and compatibility id."""
    name: str | None = None
    encrypted = False
    dovi: tuple[int | None, int | None] = (None, None)
    if stsd is None:
        return name, encrypted, dovi
    for entry in walker.children(stsd.start + 8, stsd.end):
        kind = entry.kind.decode("latin-1")
        name = name or kind
        encrypted |= kind in _ENCRYPTED
        if handler != "vide":
            continue
        for box in walker.children(entry.start + _VISUAL_ENTRY_BYTES, entry.end):
            encrypted |= box.kind == b"sinf"
            if box.kind in {b"dvcC", b"dvvC", b"dvwC"} and dovi[0] is None:
                record = walker.read(box.start, 5)
                dovi = (record[2] >> 1, record[4] >> 4) if len(record) == 5 else dovi
    return name, encrypted, dovi
