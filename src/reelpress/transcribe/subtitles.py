"""Words become segments for the screen. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reelpress.facts.transcript import Grouping, Segment, Word

# Two lines of what broadcasters use.
_SEGMENT = Grouping(chars=2 * 42, duration_s=7.0, pause_s=1.0, sentence_chars=15)


def segments_of(said: Sequence[tuple[Word, ...]]) -> tuple[Segment, ...]:
    """Return the words as segments of at most two lines and 7 s, cut at pauses, sentences and Whisper's own segments.

    A single word may be longer than that. ``said`` is in order of time, and no part of it is empty.
    """
    found: list[list[Word]] = []
    for words in said:
        is_new = True
        for word in words:
            if is_new or _SEGMENT.must_end(found[-1], _joined(found[-1]), word):
                found.append([])
            found[-1].append(word)
            is_new = False
    return tuple(
        Segment(start_s=words[0].start_s, end_s=words[-1].end_s, text=_joined(words), words=tuple(words))
        for words in found
    )


def _joined(words: Iterable[Word]) -> str:
    return " ".join("".join(word.text for word in words).split())
