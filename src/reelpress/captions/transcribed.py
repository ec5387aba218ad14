"""The words of a transcript become short cues for a tall picture. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reelpress.captions.text import clean
from reelpress.facts.captions import Captions, CaptionStyle, CaptionWord, Cue
from reelpress.facts.transcript import Grouping, TranscriptDocument, Word

_CUE = Grouping(chars=30, duration_s=3.0, pause_s=0.5, sentence_chars=10)  # two short lines

# Faults of word times that people report: reference, section 4.
_LEAST_WORD_S = 0.08
_LONGEST_WORD_S = 1.2
_JOINED_S = 0.25


def from_transcript(document: TranscriptDocument, *, style: CaptionStyle = "karaoke") -> Captions:
    """Return captions of at most 30 characters and 3 s, with the times of their words, cut at pauses and sentences.

    Times never go back. A word lasts at least 0.08 s if the next one leaves it so long, and at most 1.2 s; a pause of
    less than 0.25 s belongs to the word before it, and so does one between two cues. A single word may be longer than
    30 characters.
    """
    words = _timed(word for segment in document.segments for word in segment.words)
    ends = {segment.words[-1] for segment in document.segments if segment.words}
    groups: list[list[Word]] = []
    is_new = True
    for word, original in words:
        if is_new or _CUE.must_end(groups[-1], _joined(groups[-1]), word):
            groups.append([])
        groups[-1].append(word)
        is_new = original in ends
    cues = [cue for group in groups if (cue := _cue(group)) is not None]
    return Captions(cues=tuple(cues), style=style, origin="transcription")


def _timed(words: Iterable[Word]) -> list[tuple[Word, Word]]:
    """Return words with times that can be shown, each with the word as it was."""
    spoken = sorted((word for word in words if clean(word.text)), key=lambda word: word.start_s)
    later = [word.start_s for word in spoken[1:]]
    found = []
    # where nothing was said there is one more of the latter
    for word, next_s in zip(spoken, [*later, float("inf")], strict=False):
        end_s = min(max(word.end_s, word.start_s + _LEAST_WORD_S), word.start_s + _LONGEST_WORD_S, next_s)
        if next_s - end_s < _JOINED_S:
            end_s = next_s
        found.append((Word(start_s=word.start_s, end_s=end_s, text=word.text, probability=word.probability), word))
    return found


def _joined(words: Iterable[Word]) -> str:
    return clean("".join(word.text for word in words))


def _cue(words: Sequence[Word]) -> Cue | None:
    start_s, end_s = words[0].start_s, words[-1].end_s
    if end_s <= start_s:
        return None
    spoken = (CaptionWord(start_s=word.start_s, end_s=word.end_s, text=clean(word.text)) for word in words)
    return Cue(start_s=start_s, end_s=end_s, text=_joined(words), words=tuple(spoken))
