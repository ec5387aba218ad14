"""A transcript as values: words and segments, as they lie in the JSON file of one."""

from __future__ import annotations

from reelpress.facts.values import Value


class Word(Value, frozen=True, kw_only=True):
    """One word as it was heard, in seconds of the video; ``text`` begins with a space where the language has one.

    ``probability`` is the model's, from 0 to 1.
    """

    start_s: float
    end_s: float
    text: str
    probability: float


class Segment(Value, frozen=True, kw_only=True):
    """Words that belong on the screen together: a sentence, or a part of one. Segments never overlap."""

    start_s: float
    end_s: float
    text: str
    words: tuple[Word, ...]


class TranscriptDocument(Value, frozen=True, kw_only=True):
    """The JSON file of a transcript; it says nothing of how and when it was made, beyond the notes."""

    version: int = 1
    language: str | None
    language_probability: float | None
    duration_s: float
    speech_s: float
    model: str
    segments: tuple[Segment, ...]
    notes: tuple[str, ...]
