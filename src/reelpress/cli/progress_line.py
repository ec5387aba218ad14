"""How far a long measurement is: one line on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import time
from typing import Self, TextIO

from reelpress.cli.render import plain_text

_EVERY_S = 10.0
_WIDTH = 78


class ProgressLine:
    """A context manager; on a terminal its line is gone afterwards."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._live = out.isatty()
        self._told_at = float("-inf")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._live:
            self._out.write("\r\033[K")
            self._out.flush()

    def tell(self, text: str) -> None:
        """Say what is under way."""
        now = time.monotonic()
        if self._live:
            self._out.write(f"\r\033[K{plain_text(text)[:_WIDTH]}")
            self._out.flush()
        elif now - self._told_at >= _EVERY_S:
            self._told_at = now
            self._out.write(f"{plain_text(text)}\n")
            self._out.flush()
