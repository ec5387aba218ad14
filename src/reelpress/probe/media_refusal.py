"""Which files are refused, and in which words: lists of other files, pictures, formats not accepted, broken ones."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Any

import av

from reelpress.facts.formats import PLAYLIST_FORMATS, STILL_IMAGE_FORMATS
from reelpress.probe.isobmff import FileBoxes
from reelpress.probe.media_request import Refusal

# FFmpeg says these of healthy files, while it looks for stream parameters.
_HARMLESS = ("Invalid frame dimensions 0x0", "Attempted to read next track in single-track mode")
_PLAYLIST_STARTS = (
    b"#extm3u", b"#ext-x-", b"#extinf", b"ffconcat", b"[playlist]", b"[reference]", b"rtsptext", b"<asx", b"<smil",
    b"<mpd",
)  # fmt: skip
_IMAGE_STARTS = (
    b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"8BPS", b"\0\0\1\0", b"\xff\x0a",
    b"\0\0\0\x0cJXL ", b"\0\0\0\x0cjP  ",
)  # fmt: skip
_PLAYLIST_TAG = re.compile(rb"<(mpd|smil|asx|compositionplaylist)\b")
_STILL_BRANDS = frozenset({"heic", "heix", "heim", "heis", "mif1", "avif", "msf1"})


class RefusedError(Exception):
    """The answer will be :attr:`refusal`."""

    def __init__(self, kind: str, what: str, evidence: str | None = None) -> None:
        super().__init__(what)
        self.refusal = Refusal(kind=kind, what=what, evidence=evidence)


def regular_size(path: str) -> int:
    """Return the size of a regular file that is not empty; raises :class:`RefusedError` for all else."""
    try:
        status = Path(path).stat()
    except FileNotFoundError as error:
        raise RefusedError("missing", "there is no such file", error.strerror) from error
    except OSError as error:
        raise not_read(error) from error
    except ValueError as error:
        raise RefusedError("unreadable", "the file cannot be read", str(error)) from error
    if stat.S_ISDIR(status.st_mode):
        _refuse_closed(path)
    if not stat.S_ISREG(status.st_mode):
        raise RefusedError("not_a_file", "this is not a regular file", stat.filemode(status.st_mode))
    if status.st_size == 0:
        raise RefusedError("empty", "the file is empty", "0 bytes")
    return status.st_size


def not_read(error: OSError, what: str = "the file cannot be read") -> RefusedError:
    """Return what to say where the system does not let a file be read."""
    kind = "denied" if isinstance(error, PermissionError) else "unreadable"
    return RefusedError(kind, what, error.strerror or str(error))


def _refuse_closed(folder: str) -> None:
    """Raise :class:`RefusedError` where a folder cannot be listed, as the ones are that stand among videos found."""
    try:
        os.scandir(folder).close()
    except OSError as error:
        raise not_read(error, "the folder cannot be listed") from error


def _quote(head: bytes) -> str:
    return f"it begins with {head[:48]!r}"


def refuse_by_content(head: bytes, boxes: FileBoxes | None) -> None:
    """Refuse what is known by its first bytes: lists of other files, and pictures libav would take for video."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    is_sdp = start.startswith(b"v=0") and b"o=" in start[:200]
    is_xml_list = start.startswith((b"<?xml", b"<!--")) and re.search(rb"<(mpd|smil|asx|compositionplaylist)\b", start)
    if start.startswith(_PLAYLIST_STARTS) or is_sdp or is_xml_list:
        raise RefusedError("playlist", "the file is a list of other files, not a video", _quote(head))
    if start.startswith(b"version https://git-lfs"):
        raise RefusedError("not_media", "the file is a Git LFS pointer, not the video it stands for", _quote(head))
    if boxes is not None and boxes.brands and boxes.brands[0] in _STILL_BRANDS and not boxes.has_moov:
        raise RefusedError("image", "the file is a still picture, not a video", f"its brand is {boxes.brands[0]!r}")


def why_not_opened(error: Exception, logs: list[Any], head: bytes, boxes: FileBoxes | None) -> RefusedError:
    """Tell apart a format that is not accepted, a broken file of one that is, and what is no media at all."""
    evidence = "; ".join(log_lines(logs)[-3:]) or str(getattr(error, "strerror", None) or error)
    kind, what = "not_media", "the file is not recognisable as video or sound"
    detected = next((str(name).split(",")[0] for _, name, message in logs if "not on whitelist" in message), None)
    is_picture = head.startswith(_IMAGE_STARTS) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
    is_known = boxes is not None or head.startswith((b"\x1aE\xdf\xa3", b"RIFF", b"FLV", b"OggS", b"0&\xb2u"))
    if detected is not None:
        evidence = f"FFmpeg detects {detected}"
    if detected in STILL_IMAGE_FORMATS or (detected is None and is_picture):
        kind, what = "image", "the file is a still picture, not a video"
    elif detected in PLAYLIST_FORMATS:
        kind, what = "playlist", "the file is a list of other files, not a video"
    elif detected is not None:
        kind, what = "unsupported_format", f"the format {detected} is not accepted"
    elif boxes is not None and any(t.is_encrypted for t in boxes.tracks):
        kind, what = "encrypted", "the file is encrypted"
    elif is_known or not isinstance(error, (av.InvalidDataError, av.EOFError)):
        kind, what = "unreadable", "the file is too damaged to be opened"
    else:
        evidence = f"{_quote(head)}; {evidence}"
    return RefusedError(kind, what, evidence)


def log_lines(logs: list[Any]) -> list[str]:
    """Return what FFmpeg logged, each line once, without what it says of healthy files."""
    seen: dict[str, None] = {}
    for _, name, message in logs:
        if any(phrase in message for phrase in _HARMLESS):
            continue
        seen.setdefault(f"{name}: {' '.join(str(message).split())}"[:200])
    return list(seen)
