"""What an output folder remembers of its exports, so that a command that was killed goes on where it stopped.

``.reelpress-clips.json`` holds for each output what it was asked to be and, once it is delivered, its receipt. A clip
is *pending* from before its first byte until its receipt is written; so what a killed run delivered in its last moment
is known to be ours. Whoever exports into a folder holds its lock, and the manifest is replaced as a whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from reelpress.bookkeeping import Hashing
from reelpress.clip_request import ClipRequest
from reelpress.errors import OutputError
from reelpress.facts.values import Value, to_json
from reelpress.receipt import Receipt
from reelpress.run.host_state import FileLock, read_value
from reelpress.run.process import CancelToken
from reelpress.settling import stop_if_cancelled
from reelpress.version import VERSION

MANIFEST = ".reelpress-clips.json"
LOCK = ".reelpress-clips.lock"
_VERSION = 1


class Entry(Value, frozen=True, kw_only=True):
    """One output: the hash of what it was asked to be, and its receipt once it is there."""

    asked: str
    receipt: Receipt | None = None


class _Document(Value, frozen=True, kw_only=True):
    version: int = _VERSION
    clips: dict[str, Entry] = {}  # noqa: RUF012 - msgspec copies it for each value


def hash_of(request: ClipRequest, *, fingerprint: str, face_model: Path | None) -> str:
    """Return what tells apart any two clips whose outputs may differ: content, wishes, version of this program."""
    looks_for_faces = face_model if request.framing is None else None
    parts = (VERSION, fingerprint, str(looks_for_faces), to_json(request).decode())
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


class Folder:
    """An output folder under one export's lock; a context manager, and safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._guard = threading.Lock()
        self._lock: FileLock | None = None
        self._clips: dict[str, Entry] = {}

    def __enter__(self) -> Self:
        """Make the folder if need be and take its lock. Raises :class:`OutputError`, also when another export has it.

        A manifest that cannot be read, or of another version, is as good as none: files that are there are not ours.
        """
        with _explained(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock.try_take(self.path / LOCK)
        if self._lock is None:
            raise OutputError(
                f"Another export into {self.path} is under way.", hint="Wait for it, or name another folder with -o."
            )
        try:
            with _explained(self.path):
                document = read_value(self.path / MANIFEST, _Document)
        except BaseException:
            self._lock.release(remove=True)
            raise
        if document is not None and document.version == _VERSION:
            self._clips = dict(document.clips)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            self._lock.release(remove=True)

    def kept(self, name: str, asked: str, cancel: CancelToken) -> Receipt | None:
        """Return the receipt of an output that is there, whole, and just what is asked for; else ``None``.

        Raises :class:`Cancelled`.
        """
        entry = self._clips.get(name)
        if entry is None or entry.asked != asked or entry.receipt is None or entry.receipt.result is None:
            return None
        target, told = self.path / name, entry.receipt.result
        with contextlib.suppress(OSError):
            if target.stat().st_size == told.size_bytes and Hashing.of(target, cancel) == told.sha256 is not None:
                return entry.receipt
        stop_if_cancelled(cancel)  # what was not read to its end may still be just that
        return None

    def begin(self, name: str, asked: str) -> bool:
        """Note that a clip is about to be made, and return whether a file of its name is ours to replace."""
        with self._guard:
            entry = self._clips.get(name)
            is_ours = entry is not None and entry.asked == asked
            if is_ours or not os.path.lexists(self.path / name):
                self._clips[name] = Entry(asked=asked)
                self._write()
            return is_ours

    def end(self, name: str, asked: str, receipt: Receipt | None) -> None:
        """Note what was delivered; ``None`` forgets a clip that was begun and came to nothing."""
        with self._guard:
            entry = self._clips.get(name)
            if receipt is not None:
                self._clips[name] = Entry(asked=asked, receipt=receipt)
            elif entry is not None and entry.asked == asked and entry.receipt is None:
                del self._clips[name]
            self._write()

    def _write(self) -> None:
        beside = self.path / f"{MANIFEST}.new"  # a fixed name: whoever holds the lock is alone here
        with _explained(self.path):
            with beside.open("wb") as file:
                file.write(to_json(_Document(clips=self._clips)))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path / MANIFEST)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"Clips cannot be kept in {path}.", evidence=str(error), hint="Name a folder that can be written, with -o."
        ) from error
