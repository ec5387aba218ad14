"""The pane of one of two people: how close, and where. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median

import numpy as np

from reelpress.facts.framing import PathKey, Window, middle_at
from reelpress.reframe.people import Person
from reelpress.reframe.placing import Target, head_room, place, shares_of

_PANE_FACE, _MOST_PANE_ZOOM = 0.22, 2.0  # of a pane's height; beyond, 1080p would be blurred
_ROUNDED = 1e-4  # places are
_LEAST_WHOLE = 0.95  # of a person's faces, or the pane is less close


def pane_of(person: Person, other: Person, picture: float, aspect: float, start_s: float, end_s: float) -> Window:
    """Return the window of a person, of the shape ``aspect``, in a picture of the shape ``picture``.

    It is as close as makes the face large and leaves the other person outside. Where that would cut the face while the
    person stands up, it stands where it has all of it, or else is less close.
    """
    closest = _closest(person, other, shares_of(picture, aspect))
    window = None
    for zoom in (closest, (closest + 1) / 2, 1.0):
        shares = shares_of(picture, aspect, zoom)
        middles = zip(person.times_s, (face.middle for face in person.faces), strict=True)
        targets = [Target(t_s=t_s, x=x, y=head_room(y, shares[1])) for t_s, (x, y) in middles]
        window = place(targets, start_s=start_s, end_s=end_s, shares=shares, zoom=zoom).window
        for choice in (window, _with_all(person, window, shares)):
            if _whole(person, choice, shares) >= _LEAST_WHOLE:
                return choice
    assert window is not None  # noqa: S101 - there is a zoom
    return window


def side_of(shares: tuple[float, float]) -> int:
    """Return along which axis panes of these shares leave something out: 0 is across, 1 down."""
    return 0 if shares[0] < 1 else 1


def in_order(people: Sequence[Person], side: int) -> list[Person]:
    """Return people from left to right, or from top to bottom."""
    return sorted(people, key=lambda person: fmean(face.middle[side] for face in person.faces))


def _closest(person: Person, other: Person, shares: tuple[float, float]) -> float:
    side = side_of(shares)
    apart = abs(_usual_place(person, side) - _usual_place(other, side))
    size = (person.width, person.height)[side]
    alone = shares[side] / max(0.2, 2 * (apart - 1.5 * size))
    return float(np.clip(max(_PANE_FACE * shares[1] / person.height, alone), 1.0, _MOST_PANE_ZOOM))


def _usual_place(person: Person, side: int) -> float:
    return median(face.middle[side] for face in person.faces)


def _with_all(person: Person, window: Window, shares: tuple[float, float]) -> Window:
    """Return a window that stands still, moved as little as has all but outliers of a person's faces, if it can."""
    ends = (1 - _LEAST_WHOLE) / 2, (1 + _LEAST_WHOLE) / 2
    places = []
    for side, share in enumerate(shares):
        usual = median((key.x, key.y)[side] for key in window.path)
        first = np.quantile([(face.x, face.y)[side] for face in person.faces], ends[0])
        last = np.quantile([(face.x + face.width, face.y + face.height)[side] for face in person.faces], ends[1])
        lowest, highest = last - share / 2, first + share / 2
        places.append(round(float(np.clip(usual, lowest, highest)) if lowest <= highest else usual, 5))
    return Window(path=(PathKey(t_s=window.path[0].t_s, x=places[0], y=places[1]),), zoom=window.zoom)


def _whole(person: Person, window: Window, shares: tuple[float, float]) -> float:
    """Return how many of a person's faces are in a window from top to bottom and from side to side, as a share."""
    whole = 0
    for t_s, face in zip(person.times_s, person.faces, strict=True):
        at = middle_at(window, t_s, shares)
        sizes = face.width, face.height
        whole += all(
            abs(place - middle) <= max(share - size, 0.0) / 2 + _ROUNDED
            for place, middle, share, size in zip(face.middle, at, shares, sizes, strict=True)
        )
    return whole / len(person.times_s)
