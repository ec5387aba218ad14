"""Which stretches of a programme are scored where not all of it is. Pure."""

from __future__ import annotations

from reelpress.facts.quality import Window, spread_windows

# Up to so many seconds all is scored: samples would save nothing worth saying.
WHOLE_UP_TO_S = 20.0
WINDOWS, WINDOW_S = 8, 2.0


def choose_windows(programme_s: float) -> tuple[Window, ...]:
    """Return windows spread evenly over a programme of this length, in order; none where all of it is to be scored."""
    if programme_s <= WHOLE_UP_TO_S:
        return ()
    return spread_windows(programme_s, WINDOWS, WINDOW_S)
