"""A transcript as values: words and segments, as they lie in the JSON file of one."""

from __future__ import annotations

from collections.abc import Sequence

from reelpress.facts.values import Value

_SENTENCE_ENDS = (".", "?", "!", "…", "\u3002", "\uff1f", "\uff01")  # the last three are Chinese and Japanese


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


class Grouping(Value, frozen=True, kw_only=True):
    """How many words belong on the screen together; sentences shorter than ``sentence_chars`` share it with the next.

    They also part where nothing is said for longer than ``pause_s``.
    """

    chars: int
    duration_s: float
    pause_s: float
    sentence_chars: int

    def must_end(self, words: Sequence[Word], text: str, following: Word) -> bool:
        """Tell whether ``following`` is too much for words that make ``text``; a single word may be longer."""
        return (
            following.start_s - words[-1].end_s > self.pause_s
            or following.end_s - words[0].start_s > self.duration_s
            or len(text) + len(following.text) > self.chars
            or (text.endswith(_SENTENCE_ENDS) and len(text) >= self.sentence_chars)
        )


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
