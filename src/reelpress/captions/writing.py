"""WebVTT and SubRip of anything that has text and times. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

_LINE_CHARS = 42  # what broadcasters use


class Timed(Protocol):
    """A text and when it is on the screen, in seconds: a cue, a segment of a transcript."""

    @property
    def start_s(self) -> float:
        """When it appears."""

    @property
    def end_s(self) -> float:
        """When it goes."""

    @property
    def text(self) -> str:
        """What it says; no line of it is empty."""


def vtt(cues: Iterable[Timed]) -> str:
    """Return a WebVTT file; one without cues is valid too."""
    escape = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
    return "WEBVTT\n" + "".join(
        f"\n{_clock(c.start_s, '.')} --> {_clock(c.end_s, '.')}\n{_lines(c.text).translate(escape)}\n" for c in cues
    )


def srt(cues: Iterable[Timed]) -> str:
    """Return a SubRip file; one without cues is empty."""
    # SubRip has no escapes. Players read <b> as markup and a line of digits and arrows as a new cue.
    plain = str.maketrans({"<": "\u2039", ">": "\u203a"})  # similar marks
    return "\n".join(
        f"{n}\n{_clock(c.start_s, ',')} --> {_clock(c.end_s, ',')}\n{_lines(c.text).translate(plain)}\n"
        for n, c in enumerate(cues, start=1)
    )


def _clock(at_s: float, point: str) -> str:
    ms = round(at_s * 1000)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}{point}{ms % 1000:03}"


def _lines(text: str) -> str:
    """Break a text in two where it does not fit one line, at the space nearest to its middle; lines it has stay."""
    spaces = [n for n, char in enumerate(text) if char == " "]
    if len(text) <= _LINE_CHARS or "\n" in text or not spaces:
        return text
    at = min(spaces, key=lambda n: abs(n - len(text) / 2))
    return f"{text[:at]}\n{text[at + 1 :]}"
