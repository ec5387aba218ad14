"""Captions as values. Times are programme seconds of the source, not of a clip cut from it."""

from __future__ import annotations

from typing import Literal

from reelpress.facts.values import Value

# plain: a line at a time; bold: large, few words; karaoke: the spoken word stands out; each inside the safe box.
CaptionStyle = Literal["plain", "bold", "karaoke"]
CAPTION_STYLES: tuple[CaptionStyle, ...] = ("plain", "bold", "karaoke")


class CaptionWord(Value, frozen=True, kw_only=True):
    """One word and when it is spoken."""

    start_s: float
    end_s: float
    text: str


class Cue(Value, frozen=True, kw_only=True):
    """What stands on the screen for a while. ``words`` is empty where their times are not known."""

    start_s: float
    end_s: float
    text: str
    words: tuple[CaptionWord, ...] = ()


class Captions(Value, frozen=True, kw_only=True):
    """Cues in the order in which they begin, and how they look. ``origin`` says where they come from."""

    cues: tuple[Cue, ...]
    style: CaptionStyle = "bold"
    origin: Literal["file", "transcription", "hand"] = "file"
