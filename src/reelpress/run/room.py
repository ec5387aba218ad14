"""Room for so much work at once, of which pieces take more or less; who came first goes first."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class Room:
    """So many places, shared by threads; a piece of work takes one or more of them while it is done."""

    def __init__(self, places: int) -> None:
        self._free = self._places = max(1, places)
        self._changed = threading.Condition()
        self._come = self._let_in = 0

    @contextlib.contextmanager
    def taken(self, places: int) -> Iterator[None]:
        """Wait for places behind those who came before, and hold them; more than there are counts as all."""
        places = max(1, min(places, self._places))
        with self._changed:
            mine, self._come = self._come, self._come + 1
            self._changed.wait_for(lambda: self._let_in == mine and self._free >= places)
            self._let_in += 1
            self._free -= places
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._free += places
                self._changed.notify_all()
