"""How fast one user may change things: a token bucket for each, in this process."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

_MOST_USERS = 10_000


class Rates:
    """Buckets of ``per_minute`` tokens that fill evenly; safe to use from several threads."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._per_s, self._clock = float(per_minute), per_minute / 60, clock
        self._lock = threading.Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, user_id: str) -> float:
        """Take a token and return 0, or return how many seconds it takes until there is one."""
        now = self._clock()
        with self._lock:
            left, at = self._left.pop(user_id, (self._most, now))
            left = min(self._most, left + (now - at) * self._per_s)
            taken = left >= 1
            self._left[user_id] = (left - 1 if taken else left, now)
            if len(self._left) > _MOST_USERS:  # the one that was away longest has a full bucket by now, or nearly
                self._left.popitem(last=False)
        return 0.0 if taken else (1 - left) / self._per_s
