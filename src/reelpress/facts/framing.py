"""Where the vertical window lies in a picture, as values: what analysis finds, hands set, preview shows, render does.

Places are shares of the picture a viewer sees (``display_width`` x ``display_height``, upright): 0 is left or top, 1 is
right or bottom. Times are programme seconds: 0 is the first picture of the source.
"""

from __future__ import annotations

import itertools
from typing import Literal

from reelpress.facts.values import Value

Layout = Literal["still", "track", "fit", "split"]
LAYOUTS: tuple[Layout, ...] = ("still", "track", "fit", "split")
# What decided: faces, movement, nothing (the middle), a picture that is no wider than the window, a hand.
Rule = Literal["faces", "motion", "centre", "whole", "hand"]
MAX_ZOOM = 4.0


class PathKey(Value, frozen=True, kw_only=True):
    """Where the middle of a window is at a time."""

    t_s: float
    x: float
    y: float


class Window(Value, frozen=True, kw_only=True):
    """A part of the picture: the largest of the wished shape, divided by ``zoom`` (1 to ``MAX_ZOOM``).

    Its middle follows ``path``, straight from key to key, and stands still before the first and after the last one; one
    key is a window that holds still. Where it would leave the picture it stops at the edge.
    """

    path: tuple[PathKey, ...]
    zoom: float = 1.0


class Shot(Value, frozen=True, kw_only=True):
    """A stretch between two cuts, and how it is framed: its windows do not know those of other shots.

    ``windows`` is one for ``still`` and ``track``, two for ``split`` (upper, lower), none for ``fit``. ``rule`` says
    what decided, ``note`` in words why it is not what was hoped for, where it is not. ``subjects`` counts the people
    that were followed or seen.
    """

    start_s: float
    end_s: float
    layout: Layout
    windows: tuple[Window, ...]
    rule: Rule
    note: str | None = None
    subjects: int = 0


class Framing(Value, frozen=True, kw_only=True):
    """The shots of a stretch, in order and without gaps. ``detector`` names what looked for faces."""

    shots: tuple[Shot, ...]
    detector: str | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """Say where framing fell back on something less, each once."""
        return tuple(dict.fromkeys(shot.note for shot in self.shots if shot.note is not None))


def window_shares(display_aspect: float, aspect: float, zoom: float) -> tuple[float, float]:
    """Return width and height of a window as shares of the picture.

    ``display_aspect`` is the picture's width over its height, ``aspect`` the window's.
    """
    if display_aspect >= aspect:
        return aspect / display_aspect / zoom, 1 / zoom
    return 1 / zoom, display_aspect / aspect / zoom


def middle_at(window: Window, t_s: float, shares: tuple[float, float]) -> tuple[float, float]:
    """Return the middle of a window at a time, kept inside the picture; ``shares`` is :func:`window_shares`."""
    keys = window.path
    place = (keys[0].x, keys[0].y) if t_s <= keys[0].t_s else (keys[-1].x, keys[-1].y)
    for one, two in itertools.pairwise(keys):
        if one.t_s <= t_s < two.t_s:
            share = (t_s - one.t_s) / (two.t_s - one.t_s)
            place = (one.x + (two.x - one.x) * share, one.y + (two.y - one.y) * share)
            break
    x, y = (min(max(at, share / 2), 1 - share / 2) for at, share in zip(place, shares, strict=True))
    return x, y
