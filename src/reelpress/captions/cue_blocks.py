"""SubRip and WebVTT are taken apart into blocks: a time, and lines of text. Pure.

By hand, not by pysubs2: that one knows neither WebVTT's notes, names and word times nor the number of a broken line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

_TIME = r"(-)?(?:(\d{1,4}):)?(\d{1,3}):(\d{1,2})(?:[.,](\d{1,9}))?"
_TIMING = re.compile(rf"\s*{_TIME}\s*--?>\s*{_TIME}(?:\s.*)?")
_INLINE = re.compile(r"<((?:\d{1,4}:)?\d{1,2}:\d{2}\.\d{1,3})>")
_STAMP = re.compile(_TIME)
_LOOKS_TIMED = re.compile(r"\s*-?[\d:.,]+\s*--?>")
_ROLLED_S = 0.1


class BrokenTimeError(ValueError):
    """A line that should say when a cue is on does not."""


class Block(NamedTuple):
    """A cue as it stands in the file; ``timed`` has the parts of its text between WebVTT's times, with these."""

    start_s: float
    end_s: float
    lines: list[str]
    timed: tuple[tuple[float, str], ...] = ()


def subrip_blocks(text: str) -> list[Block]:
    """Return the cues of a SubRip file; text may have empty lines. Raises :class:`BrokenTimeError`."""
    found: list[Block] = []
    for number, line in enumerate(text.split("\n"), start=1):
        times = _times(line, number)
        if times is None:
            if found:
                found[-1].lines.append(line)
            continue
        if found:
            _drop_number(found[-1].lines)
        found.append(Block(*times, []))
    return found


def _drop_number(lines: list[str]) -> None:
    """Take the number of the next cue off the end, and the empty line before it."""
    if lines and lines[-1].strip().isdecimal() and (len(lines) == 1 or not lines[-2].strip()):
        lines.pop()


def webvtt_blocks(text: str) -> list[Block]:
    """Return the cues of a WebVTT file, without notes, styles and names. Raises :class:`BrokenTimeError`."""
    found: list[Block] = []
    is_cue = False
    for number, line in enumerate(text.split("\n"), start=1):
        times = _times(line, number)
        if times is not None:
            found.append(Block(*times, []))
            is_cue = True
        elif not line:
            is_cue = False
        elif is_cue:
            found[-1].lines.append(line)
    return [block._replace(timed=_timed(block)) for block in found]


def _timed(block: Block) -> tuple[tuple[float, str], ...]:
    parts = _INLINE.split("\n".join(block.lines))
    if len(parts) == 1:
        return ()
    times = [block.start_s, *(_seconds(_STAMP.fullmatch(part)) for part in parts[1::2])]
    return tuple(zip(times, parts[::2], strict=True))


def unrolled(blocks: list[Block]) -> list[Block]:
    """Return WebVTT blocks without the lines that are there only because the one before them moved up.

    Live captions roll: each cue repeats the last line of the one before it, which has its times no more. Files in
    which no word has a time are left alone.
    """
    if not any(block.timed for block in blocks):
        return blocks
    found: list[Block] = []
    for block in blocks:
        last = found[-1] if found else None
        lines = list(block.lines)
        if last is not None and block.start_s - last.end_s < _ROLLED_S:
            said = {line for text in last.lines if (line := _plain(text))}
            while lines and not _INLINE.search(lines[0]) and (not _plain(lines[0]) or _plain(lines[0]) in said):
                lines.pop(0)
        if lines:
            kept = block._replace(lines=lines)
            found.append(kept._replace(timed=_timed(kept)))
        elif last is not None and block.end_s > last.end_s and not last.timed:
            found[-1] = last._replace(end_s=block.end_s)
    return found


def _plain(line: str) -> str:
    return re.sub(r"<[^<>]*>", "", line).strip()


def _times(line: str, number: int) -> tuple[float, float] | None:
    if "->" not in line:
        return None
    match = _TIMING.fullmatch(line)
    if match is None:
        if _LOOKS_TIMED.match(line):
            raise BrokenTimeError(f"line {number}: {line.strip()[:80]!r}")
        return None
    parts = match.groups()
    return _of_parts(parts[:5]), _of_parts(parts[5:])


def _seconds(match: re.Match[str] | None) -> float:
    return _of_parts(match.groups()) if match else 0.0


def _of_parts(parts: Iterable[str | None]) -> float:
    sign, hours, minutes, seconds, fraction = parts
    at_s = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0) + float(f"0.{fraction or 0}")
    return -at_s if sign else round(at_s, 3)
