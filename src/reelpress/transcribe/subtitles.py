"""Words become segments for the screen. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reelpress.facts.transcript import Segment, Word

_SEGMENT_CHARS = 2 * 42  # two lines of what broadcasters use
_SEGMENT_S = 7.0
_PAUSE_S = 1.0
_SENTENCE_CHARS = 15  # shorter sentences share a segment with the next one
_SENTENCE_ENDS = (".", "?", "!", "…", "\u3002", "\uff1f", "\uff01")  # the last three are Chinese and Japanese


def segments_of(said: Sequence[tuple[Word, ...]]) -> tuple[Segment, ...]:
    """Return the words as segments of at most two lines and 7 s, cut at pauses, sentences and Whisper's own segments.

    A single word may be longer than that. ``said`` is in order of time, and no part of it is empty.
    """
    found: list[list[Word]] = []
    for words in said:
        is_new = True
        for word in words:
            if is_new or _must_end(found[-1], word):
                found.append([])
            found[-1].append(word)
            is_new = False
    return tuple(
        Segment(start_s=words[0].start_s, end_s=words[-1].end_s, text=_joined(words), words=tuple(words))
        for words in found
    )


def _joined(words: Iterable[Word]) -> str:
    return " ".join("".join(word.text for word in words).split())


def _must_end(words: Sequence[Word], following: Word) -> bool:
    text = _joined(words)
    return (
        following.start_s - words[-1].end_s > _PAUSE_S
        or following.end_s - words[0].start_s > _SEGMENT_S
        or len(text) + len(following.text) > _SEGMENT_CHARS
        or (text.endswith(_SENTENCE_ENDS) and len(text) >= _SENTENCE_CHARS)
    )
