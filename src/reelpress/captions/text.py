"""Caption text that strangers wrote is cleaned, and cues are put one after the other. Pure."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable

import msgspec

from reelpress.facts.captions import CaptionWord, Cue

MAX_CUES = 20_000  # four times those of a long film
MAX_TEXT_CHARS = 500  # one cue; broadcasters stop at 84
MAX_WORDS = 200

# Marks that make readers see another text than the one that is there; ZWJ, ZWNJ, LRM and RLM are needed for writing.
_HIDDEN = re.compile("[\u200b\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffc\U000e0000-\U000e007f]")
_ASS_TAGS = re.compile(r"\{\\[^{}]*\}")
_TAGS = re.compile(r"</?[A-Za-z][^<>]*>|<\d[\d:.,]*>")
_MOST_MARKS = 4  # accents on one letter; Vietnamese and Hebrew need three
_SAME_S = 0.05  # cues that begin so close together were meant to be read together


def without_markup(text: str) -> str:
    """Return text of a subtitle file without HTML, WebVTT and ASS tags, and with its entities read."""
    return html.unescape(_TAGS.sub("", _ASS_TAGS.sub("", text)))


def clean(text: str) -> str:
    """Return text without control and bidirectional override characters, towers of accents, and needless space.

    Lines stay; empty ones go. What is left is at most ``MAX_TEXT_CHARS`` characters.
    """
    lines = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    kept = (" ".join(_without_towers(_visible(line)).split()) for line in lines)
    return "\n".join(line for line in kept if line)[:MAX_TEXT_CHARS].rstrip()


def _visible(line: str) -> str:
    return "".join(
        " " if char.isspace() else char
        for char in _HIDDEN.sub("", line)
        if char.isspace() or unicodedata.category(char) not in {"Cc", "Cs", "Cn", "Co"}
    )


def _without_towers(line: str) -> str:
    kept: list[str] = []
    marks = 0
    for char in line:
        marks = marks + 1 if unicodedata.category(char).startswith("M") else 0
        if marks <= _MOST_MARKS:
            kept.append(char)
    return "".join(kept)


def in_sequence(cues: Iterable[Cue]) -> tuple[Cue, ...]:
    """Return cues in order of time, of which none overlaps another.

    One that is still on when the next begins ends there. Those that begin together are one, with the texts below one
    another; the times of its words are lost.
    """
    found: list[Cue] = []
    for cue in sorted(cues, key=lambda cue: (cue.start_s, cue.end_s)):
        last = found[-1] if found else None
        if last is not None and cue.start_s - last.start_s < _SAME_S:
            found[-1] = _together(last, cue)
            continue
        if last is not None and last.end_s > cue.start_s:
            found[-1] = clipped(last, last.start_s, cue.start_s)
        found.append(cue)
    return tuple(found)


def _together(one: Cue, two: Cue) -> Cue:
    end_s = max(one.end_s, two.end_s)
    if two.text in one.text.split("\n"):
        return msgspec.structs.replace(one, end_s=end_s)
    return Cue(start_s=one.start_s, end_s=end_s, text=f"{one.text}\n{two.text}"[:MAX_TEXT_CHARS].rstrip())


def clipped(cue: Cue, start_s: float, end_s: float) -> Cue:
    """Return what of a cue lies between two times; its text stays whole, and words outside have no length."""
    return Cue(
        start_s=max(cue.start_s, start_s), end_s=min(cue.end_s, end_s), text=cue.text,
        words=tuple(
            CaptionWord(
                start_s=min(max(word.start_s, start_s), end_s), end_s=min(max(word.end_s, start_s), end_s),
                text=word.text,
            )
            for word in cue.words
        ),
    )  # fmt: skip
