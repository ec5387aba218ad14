"""When each part of a caption is spoken, and when each of its pages is on. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from reelpress.captions.wrapping import Page, Part, tokens_of
from reelpress.facts.captions import Cue

SHORTEST_PAGE_S = 0.7  # less cannot be read
_FLASH_S = 0.3
_JOINED_S = 0.25  # a shorter pause between two words belongs to the first


class Spoken(NamedTuple):
    """A part of a cue's text, and when it is spoken (programme seconds)."""

    part: Part
    start_s: float
    end_s: float


class Shown(NamedTuple):
    """A page of a cue, and when it is on (programme seconds)."""

    page: Page
    start_s: float
    end_s: float


def spoken(cue: Cue) -> tuple[Spoken, ...]:
    """Return the parts of a cue's text with their times.

    These are its words, found in the text; if the text was changed and has as many words, the times stay. Where words
    have no times, or others, the time of the cue is shared out by characters.
    """
    found = _located(cue) or _counted(cue) or shared(cue)
    return tuple(
        one._replace(end_s=two.start_s) if 0 < two.start_s - one.end_s < _JOINED_S else one
        for one, two in pairwise((*found, Spoken(Part(0, 0), found[-1].end_s, found[-1].end_s)))
    )


def _located(cue: Cue) -> list[Spoken]:
    found, at = [], 0
    for word in cue.words:
        text = word.text.strip()
        start = cue.text.find(text, at)
        if start < 0 or cue.text[at:start].strip():
            return []
        at = start + len(text)
        found.append(Spoken(Part(start, at), word.start_s, word.end_s))
    return [] if cue.text[at:].strip() else found


def _counted(cue: Cue) -> list[Spoken]:
    parts = tokens_of(cue.text)
    if len(parts) != len(cue.words):
        return []
    return [Spoken(part, word.start_s, word.end_s) for part, word in zip(parts, cue.words, strict=True)]


def shared(cue: Cue) -> list[Spoken]:
    """Return the words of a text, each with as much of the cue's time as it has of its characters."""
    parts = tokens_of(cue.text)
    each_s = (cue.end_s - cue.start_s) / sum(part.end - part.start + 1 for part in parts)
    found, at_s = [], cue.start_s
    for part in parts:
        end_s = at_s + (part.end - part.start + 1) * each_s
        found.append(Spoken(part, at_s, end_s))
        at_s = end_s
    return found


def most_pages(cue: Cue) -> int:
    """Return in how many pages a cue can be read."""
    return max(1, int((cue.end_s - cue.start_s) / SHORTEST_PAGE_S))


def shown(cue: Cue, pages: Sequence[Page]) -> list[Shown]:
    """Return when each page of a cue is on: from its first word to that of the next page, but long enough to be read.

    Where there is no time for that, all are on equally long.
    """
    times = _turned_s(cue, pages, spoken(cue))
    if min(end_s - start_s for start_s, end_s in pairwise(times)) < _FLASH_S:
        times = _turned_s(cue, pages, shared(cue))
    least_s = min(SHORTEST_PAGE_S, (cue.end_s - cue.start_s) / len(pages))
    for place in range(1, len(pages)):
        times[place] = max(times[place], times[place - 1] + least_s)
    for place in range(len(pages) - 1, 0, -1):
        times[place] = min(times[place], times[place + 1] - least_s)
    return [Shown(page, start_s, end_s) for page, (start_s, end_s) in zip(pages, pairwise(times), strict=True)]


def _turned_s(cue: Cue, pages: Sequence[Page], parts: Sequence[Spoken]) -> list[float]:
    """Return when a cue begins, when each further page of it is reached, and when it ends."""
    return [cue.start_s, *(_reached_s(parts, page.part.start) for page in pages[1:]), cue.end_s]


def _reached_s(parts: Sequence[Spoken], at: int) -> float:
    """Return when a place in the text is reached; within a word that was broken, by characters."""
    each = next(each for each in parts if each.part.end > at)
    share = max(0, at - each.part.start) / (each.part.end - each.part.start)
    return each.start_s + share * (each.end_s - each.start_s)
