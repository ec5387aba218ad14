"""Names of objects: which ones are accepted, the temporary ones, and safe ones made from what strangers call a file.

A key that is accepted here means the same object in every store, a local folder included. It is never repaired: a
repaired key would be another object than the one that was asked for. Names are repaired, by :func:`safe_name`.
"""

from __future__ import annotations

import re
import secrets
import unicodedata

from reelpress.errors import UsageError

# S3 and GCS take 1024 bytes with the prefix of the store; see opening.MAX_PREFIX_BYTES for the rest.
MAX_KEY_BYTES = 900
# File systems take 255, and obstore writes beside the target under a longer name first.
MAX_SEGMENT_BYTES = 240
MAX_NAME_BYTES = 150

RESERVED = ".reelpress"
TEMPORARY = f"{RESERVED}/tmp"  # noqa: S108 - in the store, not on this machine
UPLOADS = f"{RESERVED}/uploads"
_TOKEN_BYTES = 16
_JOB = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_TEMPORARY_KEY = re.compile(rf"{re.escape(TEMPORARY)}/{_JOB.pattern}/[0-9a-f]{{{2 * _TOKEN_BYTES}}}")
_SEGMENT_KEY = re.compile(rf"{re.escape(UPLOADS)}/{_JOB.pattern}/[0-9]{{5}}")
# What obstore's local store keeps for files that are being written.
_STAGING = re.compile(r"#[0-9]+\Z")
# Controls, surrogates, separators of lines, and the invisible ones that reorder what a person reads (U+202E).
_BANNED_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_UNSAFE_IN_NAMES = re.compile(r'[\\/:*?"<>|#%{}^`\[\]~&$\x00-\x1f]')


def check_key(key: str) -> str:
    """Return the key as it is. Raises :class:`UsageError` when it is not accepted; ``.reelpress/`` is our own.

    Keys must be in Unicode's form NFC: an ``é`` of one and of two characters look alike and are two objects.
    """
    problem = _problem_of(key)
    if problem is None and key.split("/", 1)[0] == RESERVED:
        problem = f"names under {RESERVED}/ are reserved"
    if problem is not None:
        raise UsageError("This object key is not accepted.", evidence=f"{_shown(key)}: {problem}")
    return key


def check_prefix(prefix: str) -> str:
    """Return a prefix that keys are put under, or ``""``. Raises :class:`UsageError`."""
    problem = _problem_of(prefix) if prefix else None
    if problem is not None:
        raise UsageError("This prefix for object keys is not accepted.", evidence=f"{_shown(prefix)}: {problem}")
    return prefix


def check_job(job: str) -> str:
    """Return the id of a job, if it can be a segment of a key. Raises :class:`UsageError`."""
    if _JOB.fullmatch(job) is None or ".." in job:
        raise UsageError(
            "This id of a job is not accepted.", evidence=_shown(job), hint="letters, digits, '_', '-', '.'"
        )
    return job


def temporary_key(job: str) -> str:
    """Return a key that nobody has used and nobody can guess. Raises :class:`UsageError` for a bad job id."""
    return f"{TEMPORARY}/{check_job(job)}/{secrets.token_hex(_TOKEN_BYTES)}"


def segment_key(upload_id: str, number: int) -> str:
    """Return the key of one segment of a browser's upload. Raises :class:`UsageError` for a bad id."""
    return f"{UPLOADS}/{check_job(upload_id)}/{number:05d}"


def upload_of(key: str) -> str:
    """Return the id of the upload that a segment's key belongs to."""
    return key.removeprefix(f"{UPLOADS}/").partition("/")[0]


def is_temporary(key: str) -> bool:
    """Tell whether :func:`temporary_key` or :func:`segment_key` could have made this key."""
    return (_TEMPORARY_KEY.fullmatch(key) or _SEGMENT_KEY.fullmatch(key)) is not None


def safe_name(name: str, *, fallback: str = "video") -> str:
    """Return a name for one segment of a key, made from what a stranger's browser calls the file; never fails.

    Folders go, as do controls, invisible characters and those that shells, addresses or Windows read as something
    else; a leading dot, too. Case and letters of every script stay. The ending survives when the rest must be cut.
    """
    last = re.split(r"[\\/]", name)[-1]
    clean = unicodedata.normalize("NFC", last.encode("utf-8", "ignore").decode())
    clean = "".join(c for c in clean if unicodedata.category(c) not in _BANNED_CATEGORIES)
    clean = re.sub(r"\s+", " ", _UNSAFE_IN_NAMES.sub("_", clean)).strip(" .")
    stem, dot, ending = clean.rpartition(".")
    if not dot or len(ending.encode()) > 16:
        stem, ending = clean, ""
    tail = f".{ending}" if ending else ""
    room = MAX_NAME_BYTES - len(tail.encode())
    stem = stem.encode()[:room].decode("utf-8", "ignore").strip(" .") or fallback
    # Cutting can leave a letter and take its accent, or put two parts together that compose.
    return unicodedata.normalize("NFC", stem + tail)


def _problem_of(key: str) -> str | None:
    try:
        raw = key.encode()
    except UnicodeEncodeError:
        return "not Unicode text"
    if len(raw) > MAX_KEY_BYTES:
        return f"longer than {MAX_KEY_BYTES} bytes"
    if any(unicodedata.category(c) in _BANNED_CATEGORIES for c in key):
        return "holds a control or invisible character"
    if "\\" in key:
        return "holds a backslash"
    if not unicodedata.is_normalized("NFC", key):
        return "not in Unicode's form NFC"
    return next((problem for part in key.split("/") if (problem := _problem_of_segment(part))), None)


def _problem_of_segment(segment: str) -> str | None:
    if not segment:
        return "empty, or a slash at its start or end or beside another"
    if segment in {".", ".."}:
        return f"holds the segment {segment!r}"
    if len(segment.encode()) > MAX_SEGMENT_BYTES:
        return f"a segment is longer than {MAX_SEGMENT_BYTES} bytes"
    if _STAGING.search(segment):
        return "a segment ends in '#' and digits, which a local store keeps for itself"
    return None


def _shown(key: str) -> str:
    return ascii(key if len(key) <= 80 else key[:80] + "...")
