"""When a webhook is tried again; pure."""

from __future__ import annotations

# After each failed try: quick while a receiver restarts, then ever slower.
_DELAYS_S = (5, 30, 120, 600, 1800, 3600, 7200, 14400, 21600, 28800)
WINDOW_S = 24 * 3600.0
_SPREAD = 0.2


def next_attempt_at(
    attempts: int, first_at: float, now: float, *, chance: float, retry_after_s: float = 0.0
) -> float | None:
    """Return when to try again after ``attempts`` tries (1 or more), or ``None``: the day after the first is over.

    Times are in epoch seconds. ``chance``, from 0 to 1, moves the time by up to a fifth, so that many deliveries to one
    receiver spread out. It is at least ``retry_after_s`` away. The last try of all is when the day ends.
    """
    end = first_at + WINDOW_S
    if now >= end:
        return None
    delay_s = _DELAYS_S[min(attempts, len(_DELAYS_S)) - 1] * (1 - _SPREAD + 2 * _SPREAD * chance)
    return min(now + max(delay_s, retry_after_s), end)
