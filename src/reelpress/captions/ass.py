"""Captions of a clip as an ASS document, which libass burns in: styled, and inside the safe box. Pure.

What was uploaded is text and nothing else: no tag of it reaches libass.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from reelpress.captions.fonts import Face, face
from reelpress.captions.text import clean, in_sequence
from reelpress.captions.timing import Shown, Spoken, most_pages, shown, spoken
from reelpress.captions.wrapping import Box, Part, arrange
from reelpress.facts.captions import Captions, CaptionStyle, Cue
from reelpress.facts.values import Value

# Where no platform's buttons and texts are, as shares of the picture: reference, section 3 (1080x1920: x 60 to 900,
# y 250 to 1470).
SAFE_LEFT, SAFE_RIGHT = 60 / 1080, 900 / 1080
SAFE_TOP, SAFE_BOTTOM = 250 / 1920, 1470 / 1920
_FLASH_S = 0.04  # one frame at 25 a second
_WHITE, _YELLOW = "&HFFFFFF&", "&H00D8FF&"  # blue, green, red


class Look(Value, frozen=True, kw_only=True):
    """How a style looks; sizes are shares of the picture's shorter side.

    ``em`` is the size of the letters, ``outline`` and ``shadow`` what lies around them, ``lines`` how many of the full
    size there may be.
    """

    weight: Literal["SemiBold", "ExtraBold"]
    em: float
    outline: float
    shadow: float
    lines: int


LOOKS: dict[CaptionStyle, Look] = {
    "plain": Look(weight="SemiBold", em=60 / 1080, outline=4 / 1080, shadow=2 / 1080, lines=2),
    "bold": Look(weight="ExtraBold", em=88 / 1080, outline=8 / 1080, shadow=4 / 1080, lines=2),
    "karaoke": Look(weight="ExtraBold", em=88 / 1080, outline=8 / 1080, shadow=4 / 1080, lines=2),
}


class Place(Value, frozen=True, kw_only=True):
    """Where captions stand in a picture, in pixels: the safe box, and the middle of their lowest line's lower edge."""

    left: int
    top: int
    right: int
    bottom: int
    middle: int


def place(width: int, height: int) -> Place:
    """Return where captions stand in a picture of so many pixels: under its middle, low in the safe box."""
    return Place(
        left=round(SAFE_LEFT * width), top=round(SAFE_TOP * height), right=round(SAFE_RIGHT * width),
        bottom=round(SAFE_BOTTOM * height), middle=round(width / 2),
    )  # fmt: skip


def ass_document(captions: Captions, *, start_s: float, end_s: float, width: int, height: int) -> str:
    """Return the document for a clip between two times of the programme, for a picture of so many pixels.

    Times in it count from the clip's first picture. A cue that does not fit two lines of its style is shown in pages,
    one after the other; where there is no time for that, smaller. Emoji and other symbols that the font lacks are left
    out: libass draws no emoji. Captions must be :func:`checked <reelpress.captions.editing.checked>`. Raises
    :class:`UsageError` when the font is not installed.
    """
    look = LOOKS[captions.style]
    font = face(look.weight)
    page = _Picture(look=look, font=font, place=place(width, height), side=min(width, height))
    on = (cue for cue in in_sequence(captions.cues) if cue.start_s < end_s and cue.end_s > start_s)
    events = [
        event
        for cue in _drawn(on, font)
        for event in page.events(cue, start_s, end_s, is_karaoke=captions.style == "karaoke")
    ]
    return "\n".join([*_HEAD, f"PlayResX: {width}", f"PlayResY: {height}", *page.styles(), *_EVENTS, *events, ""])


_HEAD = ("[Script Info]", "ScriptType: v4.00+", "WrapStyle: 2", "ScaledBorderAndShadow: yes", "YCbCr Matrix: None")
_STYLE = (
    "Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, "
    "StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, "
    "Encoding"
)
_EVENTS = ("", "[Events]", "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text")


def _drawn(cues: Iterable[Cue], font: Face) -> Iterator[Cue]:
    """Yield cues without what cannot be drawn, and without those of which nothing is left."""
    for cue in cues:
        text = clean(font.without_symbols(cue.text))
        if text:
            words = tuple(
                msgspec.structs.replace(word, text=spoken)
                for word in cue.words
                if (spoken := clean(font.without_symbols(word.text)))
            )
            yield msgspec.structs.replace(cue, text=text, words=words)


class _Picture(Value, frozen=True, kw_only=True):
    """What all events of a document have in common."""

    look: Look
    font: Face
    place: Place
    side: int

    @property
    def line_px(self) -> float:
        return self.look.em * self.side * self.font.line_em

    def styles(self) -> tuple[str, ...]:
        look = self.look
        # Encoding -1: the text says itself whether it runs from right to left.
        style = (
            f"Style: Caption,{self.font.family},{self.line_px:.2f},&H00FFFFFF,&H00FFFFFF,&H00000000,&H96000000,"
            f"-1,0,0,0,100,100,0,0,1,{look.outline * self.side:.2f},{look.shadow * self.side:.2f},2,0,0,0,-1"
        )
        return ("", "[V4+ Styles]", f"Format: {_STYLE}", style)

    def events(self, cue: Cue, start_s: float, end_s: float, *, is_karaoke: bool) -> Iterator[str]:
        edge = (self.look.outline + self.look.shadow) * self.side
        reach = min(self.place.right - self.place.middle, self.place.middle - self.place.left) - edge
        tall = self.place.bottom - self.place.top - 2 * edge
        box = Box(
            width_em=2 * reach / (self.look.em * self.side), lines=self.look.lines,
            most_lines=max(1, int(tall / self.line_px)),
        )  # fmt: skip
        words = spoken(cue) if is_karaoke else ()
        for each in shown(cue, arrange(cue.text, self.font.width_em, box, most_pages(cue))):
            begins, ends = max(each.start_s, start_s) - start_s, min(each.end_s, end_s) - start_s
            if ends - begins >= _FLASH_S:
                yield self._event(cue.text, each, words, start_s, round(begins * 100), round(ends * 100))

    def _event(self, text: str, each: Shown, words: tuple[Spoken, ...], start_s: float, begins: int, ends: int) -> str:
        at = self.place
        edge = (self.look.outline + self.look.shadow) * self.side
        tags = (
            rf"\pos({at.middle},{at.bottom - edge:.1f})\clip({at.left},{at.top},{at.right},{at.bottom})"
            rf"\fs{self.line_px * each.page.scale:.2f}"
        )
        zero_ms = start_s * 1000 + begins * 10
        lines = r"\N".join(_line(text, line, words, zero_ms) for line in each.page.lines)
        return f"Dialogue: 0,{_clock(begins)},{_clock(ends)},Caption,,0,0,0,,{{{tags}}}{lines}"


def _line(text: str, line: Part, words: tuple[Spoken, ...], zero_ms: float) -> str:
    """Return one line; each word has its colour while it is spoken. ``zero_ms`` is when the line appears."""
    out, at = [], line.start
    for word in words:
        start, end = max(word.part.start, at), min(word.part.end, line.end)
        if start >= end:
            continue
        colours = _colours(round(word.start_s * 1000 - zero_ms), round(word.end_s * 1000 - zero_ms))
        out += [escaped(text[at:start]), colours, escaped(text[start:end]), rf"{{\1c{_WHITE}}}"]
        at = end
    return "".join([*out, escaped(text[at : line.end])])


def _colours(start_ms: int, end_ms: int) -> str:
    """Return the tags that make what follows yellow between two times since the event began."""
    if end_ms <= max(start_ms, 0):
        return rf"{{\1c{_WHITE}}}"
    first = _YELLOW if start_ms <= 0 else _WHITE
    # A change that takes 1 ms is done at the second time in every version of libass.
    begin = rf"\t({start_ms - 1},{start_ms},\1c{_YELLOW})" if start_ms > 0 else ""
    return rf"{{\1c{first}{begin}\t({end_ms - 1},{end_ms},\1c{_WHITE})}}"


def escaped(text: str) -> str:
    r"""Return text so that libass takes all of it for text.

    A backslash before a letter would be an escape; a zero-width space keeps them apart, and the font has one.
    """
    kept = text.replace("\n", " ").replace("\\", "\\\u200b")
    return re.sub(r"([{}])", r"\\\1", kept)


def _clock(at_cs: int) -> str:
    return f"{at_cs // 360_000}:{at_cs // 6000 % 60:02}:{at_cs // 100 % 60:02}.{at_cs % 100:02}"


def filter_of(document: Path, fonts: Path) -> str:
    """Return the FFmpeg filter that burns in a document, with paths escaped for a filter graph.

    Not ``subtitles``: that opens its file through FFmpeg's protocols and demuxers, this is read by libass alone.
    """
    return f"ass=filename={_graph(document)}:fontsdir={_graph(fonts)}:shaping=complex"


def _graph(path: Path) -> str:
    option = re.sub(r"([\\':])", r"\\\1", str(path))
    return re.sub(r"([\\'\[\],;])", r"\\\1", option)
