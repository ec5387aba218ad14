"""What the files of an export are called: safe on every file system, one of a kind, in the order of the clips. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

_LONGEST_BYTES = 120  # of a name's stem: room for what is put around it while it comes into being
_RESERVED = frozenset('<>:"/\\|?*')


def output_names(names: Sequence[str | None], stem: str) -> tuple[str, ...]:
    """Return ``01-intro.mp4`` for a clip with a name, ``STEM-02.mp4`` for one without, for all clips in order.

    ``stem`` is what the source is called, without its ending.
    """
    digits = max(2, len(str(len(names))))
    stem = safe_stem(stem) or "clip"
    chosen: list[str] = []
    taken: set[str] = set()
    for number, name in enumerate(names, start=1):
        place, safe = f"{number:0{digits}}", safe_stem(name or "")
        file = f"{place}-{safe}.mp4" if safe else f"{stem}-{place}.mp4"
        if file.casefold() in taken:  # a stem that looks like a number and a name
            file = f"{place}-{file}"
        taken.add(file.casefold())
        chosen.append(file)
    return tuple(chosen)


def safe_stem(text: str) -> str:
    """Return a text as a part of a file name: letters of every script stay, what steers a shell or a path does not."""
    plain = unicodedata.normalize("NFC", text)
    kept = "".join(c if c.isprintable() and c not in _RESERVED else " " for c in plain)
    joined = "-".join(kept.split())
    return joined.encode("utf-8", "ignore")[:_LONGEST_BYTES].decode("utf-8", "ignore").strip("-. ")
