"""FFmpeg's log as lines with a context and a level, and rows that recognise one of them. Pure.

Only warnings and worse count, so nothing a file says about itself can pass for a message; and a row is anchored at the
start of a message or at its end, never found in the middle, where file names stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from reelpress.facts.failure import FailureKind

_LINE = re.compile(r"((?:\[[^\[\]]+ @ 0x[0-9a-f]+\] )*)\[(warning|error|fatal|panic)\] (.*)")
_LIBRARY_LINE = re.compile(r"(x264|x265|Svt) ?\[(warning|error)\]: (.*)")  # these write past FFmpeg's log
_COUNTS = re.compile(rb"(\[[^\[\]]+ @ 0x[0-9a-f]+\] )*\[(warning|error|fatal|panic)\] |(x264|x265|Svt) ?\[")
_LOADER_LINE = re.compile(r"\S+: (error while loading shared libraries: .*)")


class Line(NamedTuple):
    """One message: the names before it, whether it is an error or a mere warning, and its text."""

    contexts: str  # "h264", "vost#0:0/libx264 enc:libx264", or nothing
    is_error: bool
    message: str

    def __str__(self) -> str:
        return (f"[{self.contexts}] " if self.contexts else "") + self.message


class Row(NamedTuple):
    """A message that decides. ``at_zero``: even though FFmpeg exits with 0.

    Regular expressions, each searched for in its part of a line. They are compiled when they are first needed, which
    is seldom: compiling all takes as long as starting Python.
    """

    kind: FailureKind
    message: str
    contexts: str
    not_contexts: str
    at_zero: bool
    in_warnings: bool

    def fits(self, line: Line) -> bool:
        """Tell whether this row is about this line."""
        return (
            (line.is_error or self.in_warnings)
            and re.search(self.message, line.message) is not None
            and re.search(self.contexts, line.contexts) is not None
            and re.search(self.not_contexts, line.contexts) is None
        )


def row(
    kind: FailureKind,
    message: str,
    *,
    contexts: str = "",
    not_contexts: str = "(?!)",
    at_zero: bool = False,
    in_warnings: bool = False,
) -> Row:
    """Return a row; without ``contexts`` whoever speaks."""
    return Row(kind, message, contexts, not_contexts, at_zero, in_warnings)


def read_lines(stderr: str) -> Iterator[Line]:
    """Yield the warnings and errors of a log written with ``-loglevel level+warning`` or a wordier level."""
    for text in stderr.split("\n"):
        if found := _LINE.fullmatch(text):
            contexts = " ".join(part.split(" @ ")[0] for part in found[1].strip("[] ").split("] [") if part)
            yield Line(contexts, found[2] != "warning", found[3].strip())
        elif found := _LIBRARY_LINE.fullmatch(text):
            yield Line(found[1], found[2] == "error", found[3].strip())
        elif found := _LOADER_LINE.fullmatch(text):
            yield Line("", is_error=True, message=found[1])


def counts(line: bytes) -> bool:
    """Tell whether a line of a log is a warning or worse, without reading it."""
    return _COUNTS.match(line) is not None


def first_fit(rows: Iterable[Row], lines: Sequence[Line], *, at_zero: bool) -> tuple[FailureKind, Line] | None:
    """Return what decides and its line: of several rows that fit the first counts, of a row's lines the first."""
    for candidate in rows:
        if candidate.at_zero or not at_zero:
            for line in lines:
                if candidate.fits(line):
                    return candidate.kind, line
    return None
