"""The fonts that captions are set in: Fira Sans (SIL OFL 1.1), from a package of its own, and how wide its text is."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from reelpress.errors import UsageError
from reelpress.facts.values import Value

_PACKAGE = "fontpkg_fira_sans"
# What a letter that the font lacks is taken to need, in em: another font draws it, and nobody knows which.
_OTHER_EM = 0.75
_WIDE_EM = 1.1
_SYMBOLS = {"So", "Sk"}
_NAMED = 8  # characters in a warning
_MODIFIERS = "\u200d\ufe0e\ufe0f\u20e3"  # join emoji, and say how they look


class Face(Value, frozen=True, kw_only=True):
    """One weight of a font: widths of its characters in em, and how much higher a line is than an em."""

    family: str
    line_em: float
    widths_em: Mapping[str, float]

    def width_em(self, char: str) -> float:
        """Return how wide a character is; for one that the font lacks, a generous guess."""
        width = self.widths_em.get(char)
        if width is not None:
            return width
        if unicodedata.category(char) in {"Mn", "Me", "Cf"}:
            return 0.0
        return _WIDE_EM if unicodedata.east_asian_width(char) in "WF" else _OTHER_EM

    def without_symbols(self, text: str) -> str:
        """Return text without the emoji and other symbols that the font lacks, and what modifies them."""
        kept: list[str] = []
        was_symbol = False
        for char in text:
            is_symbol = char not in self.widths_em and unicodedata.category(char) in _SYMBOLS
            was_symbol = is_symbol or (was_symbol and char in _MODIFIERS)
            if not was_symbol:
                kept.append(char)
        return "".join(kept)


def fonts_dir() -> Path:
    """Return the folder with the fonts of the captions, and nothing else. Raises :class:`UsageError` without them."""
    try:
        files = resources.files(_PACKAGE) / "files"
    except ModuleNotFoundError as error:
        raise UsageError(
            "captions need a font that is not installed", evidence=str(error),
            hint="install the extra: pip install 'reelpress[clips]'",
        ) from error  # fmt: skip
    return Path(str(files))


@cache
def face(weight: str) -> Face:
    """Return a weight of Fira Sans, such as ``SemiBold``."""
    from fontTools.ttLib import TTFont

    with TTFont(fonts_dir() / f"FiraSans-{weight}.ttf", lazy=True) as font:
        head: Any = font["head"]
        advances: Any = font["hmtx"]
        heights: Any = font["OS/2"]
        per_em = head.unitsPerEm
        return Face(
            family=f"Fira Sans {weight}",
            # libass sizes a font by this height, as Windows does, and sets lines so far apart.
            line_em=(heights.usWinAscent + heights.usWinDescent) / per_em,
            widths_em={chr(code): advances[name][0] / per_em for code, name in (font.getBestCmap() or {}).items()},
        )


def not_in_font(text: str) -> str:
    """Return the characters of a text that the captions' font lacks, each once, in order.

    They are drawn with another font of the machine if FFmpeg finds one, and else as empty boxes.
    """
    known = face("ExtraBold").widths_em
    return "".join(
        dict.fromkeys(char for char in text if char not in known and unicodedata.category(char) not in {"Cc", "Cf"})
    )


def not_seen(text: str, not_drawn: frozenset[str]) -> list[str]:
    """Return warnings of what a picture lacks of a text, where FFmpeg found no font for the letters ``not_drawn``."""
    lacking = not_in_font(text)
    symbols = [char for char in lacking if unicodedata.category(char) in _SYMBOLS]
    boxes = [char for char in lacking if char in not_drawn]
    told = []
    if symbols:
        told.append(f"The captions' font has no {' '.join(symbols[:_NAMED])}: left out of the picture.")
    if boxes:
        such = " ".join(boxes[:_NAMED])
        told.append(f"No font on this machine has letters of the captions, such as {such}: drawn as empty boxes.")
    return told
