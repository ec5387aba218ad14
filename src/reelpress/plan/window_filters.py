"""The filters that cut a window out of the picture and scale it, be it still or moving by fractions of a pixel. Pure.

FFmpeg crops by whole pixels, and pictures with halved colour by two. A window that stands still is cut a little too
large, scaled, and cut again where pixels are small; one that moves is cut too large and then resampled at its exact
place (``perspective``), since whole pixels would show as judder. So is one that stands where whole pixels do not lead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, floor
from typing import NamedTuple

from reelpress.plan.geometry import Size
from reelpress.plan.window_path import Extent, Piece, Upright, corner, line, number, tree

# Returns the filters that scale to a size and make colours right.
Colours = Callable[[Size], tuple[str, ...]]
# How much wider than the window the first cut may be, so that the second one falls on whole pixels.
_MARGIN_PX = 24
# How far from its place an edge of a window may end up, in pixels of the output; the preview may be a little off, too.
MISPLACED_PX = 0.5
_FRAME = "ld(1)"


class _Strip(NamedTuple):
    """The first cut along one axis: its length in the picture and once scaled, and the last place where it fits."""

    length: int
    scaled: int
    last: int


class _Cuts(NamedTuple):
    """A strip, both offsets of each window along one axis, and how far off that is at most."""

    strip: _Strip
    offsets: list[tuple[int, int]]
    misplaced_px: float


def still_window(
    paths: Sequence[Sequence[Piece]], size: Extent, picture: Upright, target: Size, colours: Colours
) -> tuple[str, ...] | None:
    """Return the filters of windows of one size, one after another, each of which holds still.

    ``None`` where whole pixels come no nearer than ``MISPLACED_PX`` to the windows' places.
    """
    corners = [corner(path, path[0].first, size, picture) for path in paths]
    across = _still_cuts([x for x, _ in corners], size.width, picture.width, target.width)
    down = _still_cuts([y for _, y in corners], size.height, picture.height, target.height)
    if max(across.misplaced_px, down.misplaced_px) > MISPLACED_PX:
        return None

    def places(cuts: _Cuts, which: int) -> str:
        return _steps([(path[0].first, offsets[which]) for path, offsets in zip(paths, cuts.offsets, strict=True)])

    first = _crop(across.strip.length, down.strip.length, places(across, 0), places(down, 0))
    scaled = Size(width=across.strip.scaled, height=down.strip.scaled)
    made = (first, *colours(scaled))
    if scaled == target:
        return made
    return (*made, _crop(target.width, target.height, places(across, 1), places(down, 1)))


def moving_window(
    paths: Sequence[Sequence[Piece]], size: Extent, picture: Upright, target: Size, colours: Colours
) -> tuple[str, ...]:
    """Return the filters of windows of one size, one after another, that may move."""
    track = [piece for path in paths for piece in path]
    across = _Axis([(p.first, p.x, p.step_x) for p in track], size.width, picture.width, target.width)
    down = _Axis([(p.first, p.y, p.step_y) for p in track], size.height, picture.height, target.height)
    corners = enumerate(((0.0, 0.0), (size.width, 0.0), (0.0, size.height), (size.width, size.height)))
    quad = ":".join(f"x{k}='{across.inside(right)}':y{k}='{down.inside(low)}'" for k, (right, low) in corners)
    return (
        _crop(across.strip.length, down.strip.length, across.first_cut, down.first_cut),
        *colours(Size(width=across.strip.scaled, height=down.strip.scaled)),
        f"perspective={quad}:interpolation=cubic:eval=frame",
        f"scale=w={target.width}:h={target.height}",
    )


class _Axis:
    """A moving window along one axis: where the picture is cut first, and where the window is in what is left."""

    def __init__(self, lines: Sequence[tuple[float, float, float]], length: float, whole: int, target: int) -> None:
        self.strip = _moving_strip(length, whole, target)
        self._scale = self.strip.scaled / self.strip.length
        self._at: float | None = None
        self._place = ""
        if all(step == 0 for _, _, step in lines) and len({round(value, 4) for _, value, _ in lines}) == 1:
            self._at = min(max(lines[0][1], 0.0), whole - length)
        else:
            path = tree([(first, line(value, step, _FRAME)) for first, value, step in lines], _FRAME)
            self._place = f"st(0,clip({path},0,{number(whole - length)}))"

    @property
    def first_cut(self) -> str:
        """The even pixel before the window, as far as the picture goes."""
        return f"st(1,n);{self._place};{self._even}" if self._at is None else str(self._even_before(self._at))

    def inside(self, beyond: float) -> str:
        """Return the place ``beyond`` pixels of the picture after the window's corner, in the scaled strip."""
        if self._at is not None:
            return number((self._at - self._even_before(self._at) + beyond) * self._scale)
        # perspective counts frames from 1
        place = f"ld(0)-{self._even}+{number(beyond)}"
        return f"st(1,in-1);{self._place};" + (place if self._scale == 1 else f"({place})*{self._scale:.9f}")

    @property
    def _even(self) -> str:
        return f"min(2*floor(ld(0)/2),{self.strip.last})"

    def _even_before(self, place: float) -> int:
        return min(2 * floor(place / 2), self.strip.last)


def _still_cuts(places: Sequence[float], length: float, whole: int, target: int) -> _Cuts:
    """Return the cuts that come nearest to all places."""
    if whole - length < 1:  # the window is all there is; the rest is not worth resampling
        return _Cuts(_Strip(whole, target, 0), [(0, 0)] * len(places), 0.0)
    scale = target / length
    least = 2 * ceil(length / 2 + 1)
    lengths = [n for n in range(least, least + _MARGIN_PX, 2) if n <= whole] or [whole // 2 * 2]
    strips = [_Strip(n, 2 * round(n * scale / 2), (whole - n) // 2 * 2) for n in lengths]
    return min((_cuts(places, strip, length, target) for strip in strips), key=lambda cuts: cuts.misplaced_px)


def _cuts(places: Sequence[float], strip: _Strip, length: float, target: int) -> _Cuts:
    scale = strip.scaled / strip.length
    offsets = [_cut(place, strip, length, target) for place in places]
    off = 0.0
    for place, (first, second) in zip(places, offsets, strict=True):
        begin, end = first + second / scale - place, first + (second + target) / scale - place - length
        off = max(off, abs(begin), abs(end))
    return _Cuts(strip, offsets, off * target / length)


def _moving_strip(length: float, whole: int, target: int) -> _Strip:
    strip = min(2 * ceil(length / 2 + 1), whole)
    shrink = min(1.0, target / length)  # what is larger than the output is made smaller first
    scaled = strip if shrink == 1 else max(2, 2 * round(strip * shrink / 2))
    return _Strip(strip, scaled, (whole - strip) // 2 * 2)


def _cut(place: float, strip: _Strip, length: float, target: int) -> tuple[int, int]:
    """Return the two offsets, both even, that together come nearest to a place."""
    scale = strip.scaled / strip.length
    most = strip.scaled - target
    lowest = max(0, 2 * ceil((place + length - strip.length) / 2))
    firsts = [n for n in range(lowest, 2 * floor(place / 2) + 1, 2) if n <= strip.last] or [
        min(max(0, 2 * floor(place / 2)), strip.last)
    ]
    choices = [(n, min(max(0, 2 * round((place - n) * scale / 2)), most // 2 * 2)) for n in firsts]
    return min(choices, key=lambda c: abs(c[0] + c[1] / scale - place))


def _steps(values: Sequence[tuple[float, int]]) -> str:
    kept = [v for i, v in enumerate(values) if i == 0 or v[1] != values[i - 1][1]]
    return tree([(first, str(value)) for first, value in kept], "n")


def _crop(width: int, height: int, x: str, y: str) -> str:
    return f"crop=w={width}:h={height}:x='{x}':y='{y}'"
