"""What Whisper makes up is left out: words where nobody speaks, guesses, and loops. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from reelpress.facts.transcript import Word
from reelpress.facts.values import Value

# Whisper's own thresholds, as faster-whisper has them.
NO_SPEECH_PROB = 0.6
AVG_LOGPROB = -1.0
COMPRESSION_RATIO = 2.4

_LOOP = 4  # the same text this many times in a row is a loop
_LEAST_WORD_S = 0.02  # Whisper's own resolution


class Heard(Value, frozen=True, kw_only=True):
    """One segment of Whisper's, in seconds of the video, with how sure it is.

    ``no_speech_prob`` is from 0 to 1. ``avg_logprob`` is 0 or less, higher is surer. ``compression_ratio`` is how well
    the text compresses; repetitions do.
    """

    words: tuple[Word, ...]
    no_speech_prob: float
    avg_logprob: float
    compression_ratio: float

    @property
    def text(self) -> str:
        """The words together."""
        return "".join(word.text for word in self.words).strip()


def is_doubtful(heard: Heard) -> bool:
    """Tell whether Whisper itself would try again with another temperature."""
    return heard.avg_logprob < AVG_LOGPROB or heard.compression_ratio > COMPRESSION_RATIO


def is_silence(heard: Heard) -> bool:
    """Tell whether Whisper thinks that nobody speaks, and guessed all the same."""
    return heard.no_speech_prob > NO_SPEECH_PROB and heard.avg_logprob < AVG_LOGPROB


def kept_words(heard: Heard, start_s: float, end_s: float) -> Heard:
    """Return the segment with those words whose middle lies between two times, the first one included."""
    inside = tuple(word for word in heard.words if start_s <= (word.start_s + word.end_s) / 2 < end_s)
    return Heard(
        words=inside, no_speech_prob=heard.no_speech_prob, avg_logprob=heard.avg_logprob,
        compression_ratio=heard.compression_ratio,
    )  # fmt: skip


def without_loops(said: Sequence[tuple[Word, ...]]) -> tuple[list[tuple[Word, ...]], list[str]]:
    """Return the segments' words with each loop reduced to its first segment, and a note for each."""
    kept: list[tuple[Word, ...]] = []
    notes: list[str] = []
    for text, group in groupby(said, key=lambda words: "".join(word.text for word in words).strip()):
        same = list(group)
        if len(same) >= _LOOP:
            times = f"{same[0][0].start_s:.1f} s to {same[-1][-1].end_s:.1f} s"
            notes.append(f"{len(same)} repetitions of {text[:60]!r} were made one: {times}")
            same = same[:1]
        kept += same
    return kept, notes


def in_order(said: Sequence[tuple[Word, ...]], duration_s: float) -> list[tuple[Word, ...]]:
    """Return the words with times that never go back nor overlap, inside the audio; what lies behind its end goes."""
    ordered: list[tuple[Word, ...]] = []
    reached_s = 0.0
    for words in said:
        placed: list[Word] = []
        for word in words:
            start_s = max(word.start_s, reached_s)
            end_s = min(max(word.end_s, start_s + _LEAST_WORD_S), duration_s)
            if not word.text.strip() or end_s - start_s < _LEAST_WORD_S / 2:
                continue
            reached_s = end_s
            placed.append(
                Word(start_s=round(start_s, 3), end_s=round(end_s, 3), text=word.text, probability=word.probability)
            )
        if placed:
            ordered.append(tuple(placed))
    return ordered
