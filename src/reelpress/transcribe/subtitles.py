"""Words become segments for the screen, and those become WebVTT and SubRip. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reelpress.transcribe.transcript import Segment, Word

_LINE_CHARS = 42  # what broadcasters use
_SEGMENT_CHARS = 2 * _LINE_CHARS
_SEGMENT_S = 7.0
_PAUSE_S = 1.0
_SENTENCE_CHARS = 15  # shorter sentences share a segment with the next one
_SENTENCE_ENDS = (".", "?", "!", "…", "\u3002", "\uff1f", "\uff01")  # the last three are Chinese and Japanese


def segments_of(said: Sequence[tuple[Word, ...]]) -> tuple[Segment, ...]:
    """Return the words as segments of at most two lines and 7 s, cut at pauses, sentences and Whisper's own segments.

    A single word may be longer than that. ``said`` is in order of time, and no part of it is empty.
    """
    found: list[list[Word]] = []
    for words in said:
        is_new = True
        for word in words:
            if is_new or _must_end(found[-1], word):
                found.append([])
            found[-1].append(word)
            is_new = False
    return tuple(
        Segment(start_s=words[0].start_s, end_s=words[-1].end_s, text=_joined(words), words=tuple(words))
        for words in found
    )


def _joined(words: Iterable[Word]) -> str:
    return " ".join("".join(word.text for word in words).split())


def _must_end(words: Sequence[Word], following: Word) -> bool:
    text = _joined(words)
    return (
        following.start_s - words[-1].end_s > _PAUSE_S
        or following.end_s - words[0].start_s > _SEGMENT_S
        or len(text) + len(following.text) > _SEGMENT_CHARS
        or (text.endswith(_SENTENCE_ENDS) and len(text) >= _SENTENCE_CHARS)
    )


def vtt(segments: Iterable[Segment]) -> str:
    """Return a WebVTT file; one without cues is valid too."""
    escape = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
    return "WEBVTT\n" + "".join(
        f"\n{_clock(s.start_s, '.')} --> {_clock(s.end_s, '.')}\n{_lines(s.text).translate(escape)}\n" for s in segments
    )


def srt(segments: Iterable[Segment]) -> str:
    """Return a SubRip file; one without segments is empty."""
    # SubRip has no escapes. Players read <b> as markup and a line of digits and arrows as a new cue.
    plain = str.maketrans({"<": "\u2039", ">": "\u203a"})  # similar marks
    return "\n".join(
        f"{n}\n{_clock(s.start_s, ',')} --> {_clock(s.end_s, ',')}\n{_lines(s.text).translate(plain)}\n"
        for n, s in enumerate(segments, start=1)
    )


def _clock(at_s: float, point: str) -> str:
    ms = round(at_s * 1000)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}{point}{ms % 1000:03}"


def _lines(text: str) -> str:
    """Break a text in two where it does not fit one line, at the space nearest to its middle."""
    spaces = [n for n, char in enumerate(text) if char == " "]
    if len(text) <= _LINE_CHARS or not spaces:
        return text
    at = min(spaces, key=lambda n: abs(n - len(text) / 2))
    return f"{text[:at]}\n{text[at + 1 :]}"
