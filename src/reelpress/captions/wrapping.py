"""Text is set in lines and pages that fit a box, whatever the text. Pure; places in a text are offsets into it."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

_SMALLEST = 0.6  # of the full size: long words are made this small before they are broken
_STEPS = tuple(step / 100 for step in range(100, 5, -5))

# What Chinese and Japanese lines neither begin nor end with.
_NOT_FIRST = frozenset("、。，．・：；？！）」』】〉》〕］｝…々ーぁぃぅぇぉっゃゅょァィゥェォッャュョ,.!?:;)]}%”’")  # noqa: RUF001
_NOT_LAST = frozenset("（「『【〈《〔［｛([{“‘")  # noqa: RUF001
_SENTENCE_ENDS = frozenset(".!?…,;:。！？、，")  # noqa: RUF001


class Part(NamedTuple):
    """A stretch of a text, from ``start`` up to but not including ``end``."""

    start: int
    end: int


class Page(NamedTuple):
    """What stands on the screen at once: lines, in ``scale`` of the full size."""

    lines: tuple[Part, ...]
    scale: float

    @property
    def part(self) -> Part:
        """The text of the page, from its first character to its last."""
        return Part(self.lines[0].start, self.lines[-1].end)


class Box(NamedTuple):
    """What a page may take: width in em of the full size, lines of the full size, and as many as fit at all."""

    width_em: float
    lines: int
    most_lines: int


def arrange(text: str, width_of: Callable[[str], float], box: Box, most_pages: int) -> tuple[Page, ...]:
    """Return a text as pages that fit a box; ``width_of`` gives the width of a character in em.

    The text's own lines are kept if they fit at the full size. Else it is filled into at most ``most_pages`` pages,
    smaller if there is no other way. Words that are too long for a line are made smaller, then broken.
    """
    if not text.strip():
        return ()
    setting = _Setting(text, width_of)
    own = setting.own_lines()
    if len(own) <= box.lines and all(setting.width(line) <= box.width_em for line in own):
        return (Page(tuple(own), 1.0),)
    tokens = setting.tokens(box.width_em)
    for scale in _STEPS:
        lines = math.floor(box.lines / scale) if scale >= _SMALLEST else math.floor(box.most_lines / scale)
        pages = setting.pages(tokens, box.width_em / scale, lines, most_pages)
        if pages is not None:
            return tuple(Page(page, scale) for page in pages)
    lines = math.floor(box.most_lines / _STEPS[-1])
    filled = setting.fill(tokens, box.width_em / _STEPS[-1])
    return (Page(tuple(filled[:lines]), _STEPS[-1]),)


class _Setting:
    """A text with the widths of its beginnings."""

    def __init__(self, text: str, width_of: Callable[[str], float]) -> None:
        self._text = text
        self._widths = [0.0, *accumulate(width_of(" " if char == "\n" else char) for char in text)]

    def width(self, part: Part) -> float:
        return self._widths[part.end] - self._widths[part.start]

    def own_lines(self) -> list[Part]:
        """Return the lines that the text itself has."""
        found, start = [], 0
        for line in self._text.split("\n"):
            if line.strip():
                found.append(Part(start, start + len(line)))
            start += len(line) + 1
        return found

    def tokens(self, width_em: float) -> list[Part]:
        """Return the smallest parts that a line may break between; none is wider than a line of small text."""
        found: list[Part] = []
        for token in tokens_of(self._text):
            if self.width(token) <= width_em / _SMALLEST:
                found.append(token)
                continue
            start = token.start
            for cluster in _clusters(self._text, token):
                if cluster.start > start and self.width(Part(start, cluster.end)) > width_em:
                    found.append(Part(start, cluster.start))
                    start = cluster.start
            found.append(Part(start, token.end))
        return found

    def pages(
        self, tokens: Sequence[Part], width_em: float, lines: int, most_pages: int
    ) -> list[tuple[Part, ...]] | None:
        """Return tokens as pages of so many lines, or nothing when they do not fit in so many pages."""
        if any(self.width(token) > width_em for token in tokens):
            return None
        filled = self.fill(tokens, width_em)
        count = math.ceil(len(filled) / lines)
        if count > most_pages:
            return None
        found: list[tuple[Part, ...]] = []
        rest = list(tokens)
        for left in range(count, 0, -1):
            page = self._first_page(rest, width_em, lines, left)
            found.append(tuple(self._balanced(page, width_em)))
            rest = rest[len(page) :]
        return found

    def _first_page(self, tokens: list[Part], width_em: float, lines: int, pages: int) -> list[Part]:
        """Return the tokens of the first of so many pages: about its share, up to where a sentence ends if one does."""
        if pages == 1:
            return tokens
        share = self.width(Part(tokens[0].start, tokens[-1].end)) / pages
        best, least = 0, math.inf
        for count in range(1, len(tokens)):
            page, rest = tokens[:count], tokens[count:]
            if len(self.fill(page, width_em)) > lines:
                break
            if len(self.fill(rest, width_em)) > lines * (pages - 1):
                continue
            off = abs(self.width(Part(page[0].start, page[-1].end)) - share) / share
            off -= 0.3 if self._text[page[-1].end - 1] in _SENTENCE_ENDS else 0.0
            if off < least:
                best, least = count, off
        return tokens[:best]

    def fill(self, tokens: Sequence[Part], width_em: float) -> list[Part]:
        """Return lines with as many tokens as each can hold, and at least one."""
        found: list[Part] = []
        for token in tokens:
            if found and self.width(Part(found[-1].start, token.end)) <= width_em:
                found[-1] = Part(found[-1].start, token.end)
            else:
                found.append(token)
        return found

    def _balanced(self, tokens: Sequence[Part], width_em: float) -> list[Part]:
        """Return as few lines as need be, of widths as even as can be."""
        lines = self.fill(tokens, width_em)
        narrow = max(self.width(token) for token in tokens)
        wide = width_em
        for _ in range(10):
            middle = (narrow + wide) / 2
            tried = self.fill(tokens, middle)
            if len(tried) > len(lines):
                narrow = middle
            else:
                lines, wide = tried, middle
        return lines


def tokens_of(text: str) -> list[Part]:
    """Return words, and single characters of Chinese and Japanese with the punctuation that goes with them."""
    found: list[Part] = []
    for word in _words(text):
        start = word.start
        for one, two in pairwise(_clusters(text, word)):
            if _may_break(text[one.end - 1], text[two.start]):
                found.append(Part(start, two.start))
                start = two.start
        found.append(Part(start, word.end))
    return found


def _words(text: str) -> list[Part]:
    found, start = [], 0
    for at in range(len(text) + 1):
        if at == len(text) or text[at].isspace():
            if at > start:
                found.append(Part(start, at))
            start = at + 1
    return found


def _may_break(before: str, after: str) -> bool:
    return (_is_ideographic(before) or _is_ideographic(after)) and after not in _NOT_FIRST and before not in _NOT_LAST


def _is_ideographic(char: str) -> bool:
    """Tell whether lines may break beside a character: Han and Kana, not Hangul, which has spaces."""
    return unicodedata.east_asian_width(char) in "WF" and ("\u2e80" <= char < "\ua000" or char >= "\uf900")


def _clusters(text: str, part: Part) -> list[Part]:
    """Return what a reader takes for single characters: letters with their accents, and joined emoji."""
    found: list[Part] = []
    for at in range(part.start, part.end):
        if found and _belongs_to_last(text, found[-1], at):
            found[-1] = Part(found[-1].start, at + 1)
        else:
            found.append(Part(at, at + 1))
    return found


def _belongs_to_last(text: str, last: Part, at: int) -> bool:
    char, before = text[at], text[at - 1]
    if _is_flag(char) and _is_flag(before):
        return last.end - last.start == 1
    return (
        before == "\u200d"
        or unicodedata.category(char) in {"Mn", "Mc", "Me", "Cf"}
        or "\U0001f3fb" <= char <= "\U0001f3ff"  # skin tones
    )


def _is_flag(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"
