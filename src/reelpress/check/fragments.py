"""Reads fragmented MP4 of ours by its own boxes, and believes no manifest (ISO/IEC 14496-12)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from reelpress.facts.boxes import BoxError, boxes, clock_hz
from reelpress.plan.hls import Representation, Segment

_NOT_SYNC = 0x10000  # sample_is_non_sync_sample, 8.8.3.1
_CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"mvex", b"moof", b"traf"}


class FragmentError(ValueError):
    """A segment is not what our muxer writes; ``args`` say which and why."""


def read_representation(folder: Path, number: int) -> Representation:
    """Read the initialization segment and all segments of one track. Raises :class:`FragmentError`, ``OSError``."""
    try:
        head = dict(boxes((folder / f"init-{number}.mp4").read_bytes(), _CONTAINERS))
        timescale, codec = clock_hz(head[b"mdhd"]), _codec(head[b"stsd"])
        trex = head[b"trex"]
        duration, flags = _int(trex, 12), _int(trex, 20)
        names = sorted(path.name for path in folder.glob(f"seg-{number}-*.m4s"))
        segments = tuple(_segment(name, (folder / name).read_bytes(), duration, flags) for name in names)
    except (KeyError, IndexError, BoxError) as error:
        raise FragmentError(f"representation {number}: {error!r}") from error
    if not timescale or not segments or not all(s.samples for s in segments):
        raise FragmentError(f"representation {number} has no clock, a segment without samples, or none")
    return Representation(number=number, timescale=timescale, codec=codec, segments=segments)


def _segment(name: str, data: bytes, duration: int, flags: int) -> Segment:
    start: int | None = None
    total = samples = keyframes = 0
    first = False
    defaults = (duration, flags)
    for kind, body in boxes(data, _CONTAINERS):
        if kind == b"tfhd":
            defaults = _defaults(body, (duration, flags))
        elif kind == b"tfdt" and start is None:
            start = _int(body, 4, 8 if body[0] else 4)
        elif kind == b"trun":
            for number, (ticks, flag) in enumerate(_run(body, *defaults)):
                is_key = not flag & _NOT_SYNC
                first = first or (samples == 0 and number == 0 and is_key)
                total, keyframes = total + ticks, keyframes + is_key
            samples += _int(body, 4)
    return Segment(
        name=name, size_bytes=len(data), start=start or 0, duration=total, samples=samples, keyframes=keyframes,
        starts_with_keyframe=first,
    )  # fmt: skip


def _defaults(tfhd: bytes, given: tuple[int, int]) -> tuple[int, int]:
    told, at = _int(tfhd, 0) & 0xFFFFFF, 8
    duration, flags = given
    at += 8 if told & 0x1 else 0
    at += 4 if told & 0x2 else 0
    if told & 0x8:
        duration, at = _int(tfhd, at), at + 4
    at += 4 if told & 0x10 else 0
    if told & 0x20:
        flags = _int(tfhd, at)
    return duration, flags


def _run(trun: bytes, duration: int, flags: int) -> Iterator[tuple[int, int]]:
    """Yield duration and flags of each sample of a run."""
    told, count, at = _int(trun, 0) & 0xFFFFFF, _int(trun, 4), 8
    at += 4 if told & 0x1 else 0
    first_flags = None
    if told & 0x4:
        first_flags, at = _int(trun, at), at + 4
    for number in range(count):
        ticks, flag = duration, first_flags if number == 0 and first_flags is not None else flags
        if told & 0x100:
            ticks, at = _int(trun, at), at + 4
        at += 4 if told & 0x200 else 0
        if told & 0x400:
            flag, at = _int(trun, at), at + 4
        at += 4 if told & 0x800 else 0
        yield ticks, flag


def _codec(stsd: bytes) -> str:
    """Return a track's codec as RFC 6381 has it, from its own configuration."""
    entry = stsd[12:16]
    if entry in (b"avc1", b"avc3"):
        at = stsd.index(b"avcC") + 4
        return f"{entry.decode()}.{stsd[at + 1]:02x}{stsd[at + 2]:02x}{stsd[at + 3]:02x}"
    if entry == b"mp4a":
        at = stsd.index(b"esds") + 8
        kind = _object_type(stsd, at)
        return f"mp4a.40.{kind}"
    raise FragmentError(f"a track of {entry!r}")


def _object_type(data: bytes, at: int) -> int:
    """Return AAC's audio object type: descriptors ES (3), decoder config (4) and its specific info (5)."""
    skip = {3: 3, 4: 13}
    while True:
        tag, at = data[at], at + 1
        while data[at] & 0x80:
            at += 1
        at += 1
        if tag == 5:
            return data[at] >> 3
        at += skip[tag]


def _int(data: bytes, at: int, width: int = 4) -> int:
    if at + width > len(data):
        raise IndexError(at)
    return int.from_bytes(data[at : at + width], "big")
