"""What people and programs say captions are is checked, and captions are cut to a clip. Pure."""

from __future__ import annotations

import math
from itertools import pairwise

import msgspec

from reelpress.captions.text import MAX_CUES, MAX_TEXT_CHARS, MAX_WORDS, clean, clipped, in_sequence
from reelpress.errors import InputError
from reelpress.facts.captions import Captions, CaptionWord, Cue

_SHORTEST_S = 0.04  # one frame at 25 a second: less of a cue, at the edge of a clip, is a flash
_BEYOND_S = 1.0  # subtitles often end a little after the picture


def checked(captions: Captions, *, duration_s: float | None = None) -> Captions:
    """Return captions as they are to be used: clean, in order, without overlaps and empty cues.

    Times are seconds of the programme, which lasts ``duration_s``. Raises :class:`InputError` for more cues, words or
    text than ``captions.text`` allows, and for times that go back or lie outside of the programme; it names the cue,
    counted from 1. Words whose times or texts do not fit their cue are left out: the text counts.
    """
    if len(captions.cues) > MAX_CUES:
        raise _refused("there are too many captions", f"{len(captions.cues)} cues, at most {MAX_CUES}")
    cues = (_checked_cue(cue, f"cue {number}", duration_s) for number, cue in enumerate(captions.cues, start=1))
    return msgspec.structs.replace(captions, cues=in_sequence(cue for cue in cues if cue is not None))


def _checked_cue(cue: Cue, name: str, duration_s: float | None) -> Cue | None:
    times = f"{name}: {cue.start_s:g} s to {cue.end_s:g} s"
    if not (math.isfinite(cue.start_s) and math.isfinite(cue.end_s) and 0 <= cue.start_s < cue.end_s):
        raise _refused("a caption must begin at 0 s or later, and end after it began", times)
    if duration_s is not None and cue.start_s > duration_s + _BEYOND_S:
        raise _refused("a caption lies behind the end of the video", f"{times}, the video ends at {duration_s:g} s")
    if len(cue.text) > MAX_TEXT_CHARS:
        raise _refused("a caption is too long", f"{name}: {len(cue.text)} characters, at most {MAX_TEXT_CHARS}")
    if len(cue.words) > MAX_WORDS:
        raise _refused("a caption has too many words", f"{name}: {len(cue.words)} words, at most {MAX_WORDS}")
    text = clean(cue.text)
    words = tuple(
        CaptionWord(start_s=word.start_s, end_s=word.end_s, text=spoken)
        for word in cue.words
        if (spoken := clean(word.text))
    )
    if not text:
        return None
    return Cue(start_s=cue.start_s, end_s=cue.end_s, text=text, words=words if _in_order(words, cue) else ())


def _in_order(words: tuple[CaptionWord, ...], cue: Cue) -> bool:
    """Tell whether words follow each other, inside their cue; times that are no numbers do not."""
    times = (cue.start_s, *(at for word in words for at in (word.start_s, word.end_s)), cue.end_s)
    return all(one <= two for one, two in pairwise(times))


def _refused(what: str, evidence: str) -> InputError:
    return InputError(what, evidence=evidence, hint="correct the caption, or leave it out", reason="captions")


def cut(captions: Captions, start_s: float, end_s: float) -> Captions:
    """Return the captions that are on between two times of the programme, with times counted from the first one.

    A cue that began before, or goes on after, is cut there with its whole text. Less than 0.04 s of a cue is none.
    """
    inside = (clipped(cue, start_s, end_s) for cue in in_sequence(captions.cues))
    kept = tuple(_shifted(cue, -start_s) for cue in inside if cue.end_s - cue.start_s >= _SHORTEST_S)
    return msgspec.structs.replace(captions, cues=kept)


def _shifted(cue: Cue, by_s: float) -> Cue:
    return Cue(
        start_s=_shift(cue.start_s, by_s), end_s=_shift(cue.end_s, by_s), text=cue.text,
        words=tuple(
            CaptionWord(start_s=_shift(word.start_s, by_s), end_s=_shift(word.end_s, by_s), text=word.text)
            for word in cue.words
        ),
    )  # fmt: skip


def _shift(at_s: float, by_s: float) -> float:
    return round(max(at_s + by_s, 0.0), 6)
