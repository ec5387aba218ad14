"""How an export of clips is steered while it runs."""

from __future__ import annotations

import queue
from typing import Literal


class ExportControl:
    """Steers an export from any thread. Clips are named by their place, from 0; what makes no sense changes nothing."""

    def __init__(self) -> None:
        self._wishes: queue.SimpleQueue[tuple[Literal["cancel", "retry"], int | None]] = queue.SimpleQueue()

    def cancel(self, index: int) -> None:
        """Stop one clip, whether it runs or waits; one that has ended stays as it is."""
        self._wishes.put(("cancel", index))

    def cancel_all(self) -> None:
        """Stop every clip that has not ended."""
        self._wishes.put(("cancel", None))

    def retry(self, index: int) -> None:
        """Do a clip again that failed, was refused or cancelled, for as long as others go on.

        For one that is under way this means: should it fail.
        """
        self._wishes.put(("retry", index))

    def wishes(self) -> list[tuple[Literal["cancel", "retry"], int | None]]:
        """Take what was wished since the last time, in its order."""
        taken = []
        while True:
            try:
                taken.append(self._wishes.get_nowait())
            except queue.Empty:
                return taken
