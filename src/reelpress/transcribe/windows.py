"""Where long audio is cut, and which words belong to which side of a cut. Pure; positions are samples at 16 kHz."""

from __future__ import annotations

from collections.abc import Sequence

from reelpress.facts.values import Value

RATE_HZ = 16_000
OVERLAP_S = 5.0  # heard twice where nobody pauses
CLIP_S = 28.0  # Whisper hears 30 s at once
_SEARCH_S = 60.0  # the last part of a window, in which a pause is looked for
_LEAST_PAUSE_S = 0.3
_JOINED_PAUSE_S = 2.0  # Whisper invents words in longer silences


class Span(Value, frozen=True, kw_only=True):
    """A stretch of audio, from ``start`` up to but not including ``end``."""

    start: int
    end: int

    @property
    def length_s(self) -> float:
        """How long it lasts."""
        return (self.end - self.start) / RATE_HZ


class Cut(Value, frozen=True, kw_only=True):
    """Where a window ends; ``overlap`` samples on both sides are heard by both windows, 0 inside a pause."""

    at: int
    overlap: int


def choose_cut(speech: Sequence[Span], window: int) -> Cut:
    """Return where to end a window of at most ``window`` samples.

    That is the middle of the longest pause in the window's last minute; if nobody pauses for 0.3 s there, it is its
    end, with an overlap of 5 s.
    """
    first = max(window - int(_SEARCH_S * RATE_HZ), window // 2)
    ends = [0, *(span.end for span in speech)]
    starts = [*(span.start for span in speech), window]
    pauses = [
        (min(start, window) - max(end, first), max(end, first), min(start, window))
        for end, start in zip(ends, starts, strict=True)
    ]
    length, begins, stops = max(pauses)
    if length >= _LEAST_PAUSE_S * RATE_HZ:
        return Cut(at=stops if stops == window else (begins + stops) // 2, overlap=0)
    return Cut(at=window, overlap=int(OVERLAP_S * RATE_HZ))


def clips(speech: Sequence[Span], start: int, end: int) -> list[Span]:
    """Return the speech between two positions as stretches of at most 28 s, joined over pauses of up to 2 s.

    A single span is at most 28 s long already: the voice activity detection is told so.
    """
    found: list[Span] = []
    for span in speech:
        begins, stops = max(span.start, start), min(span.end, end)
        if begins >= stops:
            continue
        last = found[-1] if found else None
        if (
            last is not None
            and begins - last.end <= _JOINED_PAUSE_S * RATE_HZ
            and stops - last.start <= CLIP_S * RATE_HZ
        ):
            found[-1] = Span(start=last.start, end=stops)
        else:
            found.append(Span(start=begins, end=stops))
    return found
