"""What people write for a clip: ranges of times on a command line, and files that list clips.

A time is ``SS``, ``M:SS`` or ``H:MM:SS`` with an optional fraction, counted from the first picture of the source. A
range is ``START-END`` (an en dash or ``..`` will do) or ``START+DURATION``, with ``=NAME`` after it if it has one.
"""

from __future__ import annotations

import csv
import functools
import io
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from reelpress.clip_request import LayoutChoice
from reelpress.errors import InputError, UsageError
from reelpress.facts.captions import CaptionStyle
from reelpress.facts.framing import Framing
from reelpress.facts.values import Value, from_plain

LONGEST_S = 1_000_000.0  # eleven days and a half: no source is longer
MOST_CLIPS = 1000
MAX_FILE_BYTES = 32 * 2**20
COLUMNS = ("start", "end", "duration", "name", "layout", "captions", "caption_style")

_TIME = r"\d{1,9}(?::\d{1,9}){0,2}(?:\.\d{1,9})?"
_RANGE = re.compile(
    rf"\s*({_TIME})\s*(?:(?:-|\u2013|\u2014|\.\.)\s*({_TIME})|\+\s*({_TIME}))\s*(?:=(.*))?", re.ASCII | re.DOTALL
)
_TIMES_HINT = "a time is SS, M:SS or H:MM:SS, as 75, 1:15 or 0:01:15.5"
_RANGE_HINT = "accepted: START-END or START+DURATION with =NAME after it if you like, as 0:12-0:57=intro"


class ClipSpec(Value, frozen=True, kw_only=True):
    """One clip as it was written down; what is ``None`` follows the whole export.

    Times are programme seconds. ``captions`` is a file of captions for this clip alone.
    """

    start_s: float
    end_s: float
    name: str | None = None
    layout: LayoutChoice | None = None
    framing: Framing | None = None
    captions: Path | None = None
    caption_style: CaptionStyle | None = None


class _Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    start: str | float
    end: str | float | None = None
    duration: str | float | None = None
    name: str | None = None
    layout: LayoutChoice | None = None
    framing: Framing | None = None
    captions: str | None = None
    caption_style: CaptionStyle | None = None


def parse_time(text: str) -> float:
    """Return the seconds that a time stands for. Raises :class:`UsageError`."""
    if re.fullmatch(_TIME, text.strip(), re.ASCII) is None:
        raise UsageError(f"{text!r} is no time.", hint=_TIMES_HINT)
    parts = [float(part) for part in text.split(":")]
    if any(part >= 60 for part in parts[1:]):
        raise UsageError(f"{text!r} is no time: minutes and seconds go up to 59.", hint=_TIMES_HINT)
    value = functools.reduce(lambda bigger, smaller: bigger * 60 + smaller, parts)
    return _checked(value, text)


def parse_range(text: str) -> ClipSpec:
    """Return the clip that ``0:12-0:57=intro`` stands for. Raises :class:`UsageError`."""
    match = re.fullmatch(_RANGE, text)
    if match is None:
        raise UsageError(f"{text!r} is no range of times.", hint=_RANGE_HINT)
    start, end, duration, name = match.groups()
    return spec_of(start, end, duration, name=name)


def read_specs(path: Path) -> tuple[ClipSpec, ...]:
    """Return the clips that a file lists, as JSON (``.json``) or CSV (``.csv``).

    Files of captions are looked for beside it. Raises :class:`InputError` when it cannot be read, :class:`UsageError`
    with the number of the clip when something in it cannot be meant.
    """
    readers = {".json": _json_rows, ".csv": _csv_rows}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UsageError(f"--clips {path} is neither .json nor .csv.", hint="Rename it to what it is.")
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
        if len(raw) > MAX_FILE_BYTES:
            raise UsageError(f"{path} is larger than {MAX_FILE_BYTES >> 20} MiB.", hint="Is it a list of clips?")
        text = raw.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        hint = "Check the name." if isinstance(error, OSError) else "It must be UTF-8 text."
        raise InputError(f"{path} cannot be read.", evidence=str(error), hint=hint) from error
    specs = []
    for number, row in enumerate(reader(path, text), start=1):
        if number > MOST_CLIPS:
            raise UsageError(f"{path} lists more than {MOST_CLIPS} clips.", hint="Make several exports of it.")
        specs.append(_of_row(row, number, path))
    if not specs:
        raise UsageError(f"{path} lists no clips.", hint="See docs/clips.md for what such a file looks like.")
    return tuple(specs)


def _json_rows(path: Path, text: str) -> Iterator[Any]:
    try:
        listed = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no JSON.", evidence=str(error)) from error
    if isinstance(listed, dict):
        listed = listed.get("clips")
    if not isinstance(listed, list):
        raise UsageError(
            f"{path} holds no list of clips.", hint='It must look like [{"start": "0:12", "end": "0:57"}].'
        )
    yield from listed


def _csv_rows(path: Path, text: str) -> Iterator[Any]:
    header = next(iter(text.splitlines()), "")
    delimiter = max(",;\t", key=header.count)
    try:
        rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restkey="", strict=True)
        unknown = set(rows.fieldnames or ()) - set(COLUMNS)
        if "start" not in (rows.fieldnames or ()) or unknown:
            raise UsageError(
                f"{path} has no header that says what its columns are.", evidence=header[:200],
                hint=f"The first line must name columns: start, and of {', '.join(COLUMNS[1:])} what you use.",
            )  # fmt: skip
        for row in rows:
            if "" in row:
                raise UsageError(f"{path}, line {rows.line_num}: more fields than columns.", hint='Quote text: "a, b".')
            told = {name: field.strip() for name, field in row.items() if field is not None and field.strip()}
            if told:  # a table program writes out rows that were emptied
                yield told
    except csv.Error as error:
        raise UsageError(f"{path} is no CSV.", evidence=str(error)) from error


def _of_row(row: Any, number: int, path: Path) -> ClipSpec:  # noqa: ANN401 - as it was written
    try:
        told = from_plain(row, _Row)
        captions = None if told.captions is None else path.parent / told.captions
        spec = spec_of(told.start, told.end, told.duration, name=told.name)
    except msgspec.ValidationError as error:
        raise UsageError(f"{path}, clip {number}: {error}.", hint="See docs/clips.md for the fields.") from error
    except UsageError as error:
        raise UsageError(f"{path}, clip {number}: {error.what}", hint=error.hint) from None
    return msgspec.structs.replace(
        spec, layout=told.layout, framing=told.framing, captions=captions, caption_style=told.caption_style
    )


def spec_of(
    start: str | float, end: str | float | None, duration: str | float | None = None, *, name: str | None = None
) -> ClipSpec:
    """Return the clip from a start to an end or of a duration, seconds or as typed. Raises :class:`UsageError`."""
    if (end is None) == (duration is None):
        raise UsageError("A clip has an end or a duration, one of them.", hint=_RANGE_HINT)
    start_s = _seconds(start)
    end_s = _seconds(end) if end is not None else start_s + _seconds(duration or 0.0)
    if end_s <= start_s:
        raise UsageError(f"It ends at {end_s:g} s and begins at {start_s:g} s.", hint=_RANGE_HINT)
    return ClipSpec(start_s=start_s, end_s=end_s, name=(name or "").strip() or None)


def _seconds(value: str | float) -> float:
    return parse_time(value) if isinstance(value, str) else _checked(value, value)


def _checked(value: float, told: object) -> float:
    if not math.isfinite(value) or not 0 <= value <= LONGEST_S:
        raise UsageError(f"{told} is no time in a video.", hint=_TIMES_HINT)
    return value
