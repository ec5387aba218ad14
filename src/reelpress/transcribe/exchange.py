"""What :mod:`reelpress.transcribe.transcribe` and its child say to each other.

The request is JSON on the child's stdin. The child prints messages as lines of JSON, the last of which is
:class:`Finish` or :class:`Failure`. Finished windows are files in a folder that both know.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from reelpress.facts.transcript import Word
from reelpress.facts.values import Value, from_json, to_json
from reelpress.transcribe.options import TranscribeOptions


class Request(Value, frozen=True, kw_only=True):
    """What to transcribe. Names are absolute and in bytes: names need not be text.

    Only windows that carry ``key`` are of this source, these options and this version.
    """

    source: bytes
    windows: bytes
    key: str
    options: TranscribeOptions


class Window(Value, frozen=True, kw_only=True):
    """A finished window: the words of the audio from ``start`` to ``end`` (samples at 16 kHz).

    ``overlap`` samples before ``end`` are heard again with the next window. ``speech`` counts samples with speech.
    """

    key: str
    number: int
    start: int
    end: int
    overlap: int
    is_last: bool
    speech: int
    said: tuple[tuple[Word, ...], ...]
    language: str | None
    language_probability: float | None
    device: str | None
    compute_type: str | None
    notes: tuple[str, ...]


class Moved(Value, frozen=True, kw_only=True, tag_field="message", tag="moved"):
    """How far the child is, from 0 to 1."""

    share: float


class Loading(Value, frozen=True, kw_only=True, tag_field="message", tag="loading"):
    """A model is about to be loaded: should the child die now, this device is to blame."""

    device: str


class Finish(Value, frozen=True, kw_only=True, tag_field="message", tag="finish"):
    """All windows are there. ``notes`` are about the file as a whole."""

    windows: int
    resumed_windows: int
    notes: tuple[str, ...]


class Failure(Value, frozen=True, kw_only=True, tag_field="message", tag="failure"):
    """Why there will be no transcript."""

    what: str
    evidence: str | None = None
    hint: str | None = None


Message = Moved | Loading | Finish | Failure


class FailedError(Exception):
    """The child's answer will be :attr:`failure`."""

    def __init__(self, what: str, evidence: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.failure = Failure(what=what, evidence=evidence, hint=hint)


def read_message(line: str) -> Message | None:
    """Return the message a line holds; ``None`` for what native libraries print."""
    try:
        return from_json(line, Message)  # type: ignore[arg-type]  # a union of types is no type to mypy
    except msgspec.DecodeError:
        return None


def read_windows(folder: Path, key: str) -> list[Window]:
    """Return the finished windows of a transcript, from the first one on, without a gap."""
    found: list[Window] = []
    while not (found and found[-1].is_last):
        try:
            window = from_json(_window_path(folder, len(found)).read_bytes(), Window)
        except (OSError, msgspec.DecodeError):
            break
        begins = found[-1].end if found else 0
        if window.key != key or window.number != len(found) or window.start != begins:
            break
        found.append(window)
    return found


def write_window(folder: Path, window: Window) -> None:
    """Write a finished window, whole or not at all. Raises ``OSError``."""
    target = _window_path(folder, window.number)
    partial = target.with_suffix(f".{os.getpid()}.part")
    with partial.open("wb") as file:
        file.write(to_json(window))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(target)


def _window_path(folder: Path, number: int) -> Path:
    return folder / f"window-{number:05}.json"
