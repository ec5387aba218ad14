"""Subtitle files become captions: SubRip, WebVTT with its word times, and ASS, in any usual encoding."""

from __future__ import annotations

import codecs
import re
from itertools import pairwise
from pathlib import Path

from reelpress.captions.cue_blocks import Block, BrokenTimeError, subrip_blocks, unrolled, webvtt_blocks
from reelpress.captions.text import MAX_CUES, clean, in_sequence, without_markup
from reelpress.errors import InputError
from reelpress.facts.captions import Captions, CaptionStyle, CaptionWord, Cue

MAX_FILE_BYTES = 4 * 2**20  # three hours with a time for every word are half of it
_LONGEST_S = 30.0  # what stays longer was given a wrong end
_UNENDED_S = 2.0
_LATEST_S = 100 * 3600.0
# UTF-32 before UTF-16: its mark begins with the other's.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_ASS_TAGS = re.compile(r"\{[^{}]*\}")
_DRAWING = re.compile(r"\{[^{}]*\\p[1-9]")
_HINT = "give a subtitle file: SubRip (.srt), WebVTT (.vtt) or ASS (.ass)"


def read_captions(path: Path, *, style: CaptionStyle = "bold") -> Captions:
    """Return the captions that a file holds. Raises :class:`InputError` when it cannot be used."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # no name holds a NUL, but a list of clips may
        why = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"the captions cannot be read: {path.name}", evidence=why, hint=_HINT, reason="captions"
        ) from error
    return parse_captions(raw, name=path.name, style=style)


def parse_captions(raw: bytes, *, name: str = "captions", style: CaptionStyle = "bold") -> Captions:
    """Return the captions in the bytes of a file of this name; the content says what it is.

    Tags, positions and notes go, cues without text too. Cues are put in order of time and end where the next begins;
    what begins before 0 s begins there, and what ends before it began lasts until the next cue, at most 2 s. Times are
    those of the file. Raises :class:`InputError` with the line where a time cannot be read.
    """
    if len(raw) > MAX_FILE_BYTES:
        raise _refused(name, "it is too large", f"more than {MAX_FILE_BYTES // 2**20} MiB")
    text = _decoded(raw, name)
    try:
        blocks = _blocks(text, name)
    except BrokenTimeError as error:
        raise _refused(name, "a time in it cannot be read", str(error)) from error
    if len(blocks) > MAX_CUES:
        raise _refused(name, "it has too many cues", f"{len(blocks)}, at most {MAX_CUES}")
    cues = in_sequence(_cues(blocks))
    if not cues:
        raise _refused(name, "it has no captions", f"{len(blocks)} cues, none with text" if blocks else "no time in it")
    return Captions(cues=cues, style=style, origin="file")


def _decoded(raw: bytes, name: str) -> str:
    encoding = next((encoding for mark, encoding in _MARKS if raw.startswith(mark)), None)
    if encoding is None and 0 in raw[:4096]:  # UTF-16 without its mark: a zero beside every Latin letter
        encoding = "utf-16-be" if raw[:4096:2].count(0) > raw[1:4096:2].count(0) else "utf-16-le"
    for tried in (encoding,) if encoding else ("utf-8", "cp1252", "latin-1"):
        try:
            text = raw.decode(tried)
        except UnicodeDecodeError:
            continue
        if not any(char < " " and char not in "\t\n\r\f\v\x1a\x1b" for char in text):
            return text.replace("\r\n", "\n").replace("\r", "\n")
        break
    raise _refused(name, "it is not text", f"it begins with {raw[:16].hex(' ')}")


def _blocks(text: str, name: str) -> list[Block]:
    if text.startswith("WEBVTT"):
        return unrolled(webvtt_blocks(text))
    if "[Script Info]" in text or "[Events]" in text:
        return _ass_blocks(text, name)
    return subrip_blocks(text)


def _ass_blocks(text: str, name: str) -> list[Block]:
    import pysubs2

    try:
        events = pysubs2.SSAFile.from_string(text, format_="ass").events
    except (pysubs2.Pysubs2Error, ValueError, KeyError, IndexError) as error:
        raise _refused(name, "it is broken", f"{type(error).__name__}: {error}") from error
    return [
        Block(start_s=event.start / 1000, end_s=event.end / 1000, lines=_said(event.text).split("\n"))
        for event in events
        if not event.is_comment and not _DRAWING.search(event.text)
    ]


def _said(text: str) -> str:
    """Return the text of an ASS event without its tags; what pysubs2 has for this takes hours for hostile text."""
    return re.sub(r"\\[Nn]", "\n", _ASS_TAGS.sub("", text)).replace("\\h", " ")


def _cues(blocks: list[Block]) -> list[Cue]:
    found = []
    starts = sorted({block.start_s for block in blocks})
    later = dict(pairwise(starts))
    for block in blocks:
        text = clean(without_markup("\n".join(block.lines)))
        start_s, end_s = max(block.start_s, 0.0), min(block.end_s, block.start_s + _LONGEST_S)
        if block.end_s <= block.start_s:
            end_s = min(later.get(block.start_s, _LATEST_S), start_s + _UNENDED_S)
        if text and start_s < end_s and start_s < _LATEST_S:
            found.append(Cue(start_s=start_s, end_s=end_s, text=text, words=_words(block, start_s, end_s)))
    return found


def _words(block: Block, start_s: float, end_s: float) -> tuple[CaptionWord, ...]:
    """Return the words between WebVTT's time tags; none where these go back."""
    if not block.timed:
        return ()
    times = [start_s, *(at_s for at_s, _ in block.timed[1:]), end_s]
    if any(one > two for one, two in pairwise(times)):
        return ()
    words = (
        CaptionWord(start_s=times[at], end_s=times[at + 1], text=clean(without_markup(text)))
        for at, (_, text) in enumerate(block.timed)
    )
    return tuple(word for word in words if word.text)


def _refused(name: str, what: str, evidence: str) -> InputError:
    return InputError(
        f"the captions cannot be used: {name[-200:]}: {what}", evidence=evidence, hint=_HINT, reason="captions"
    )
