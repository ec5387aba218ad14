"""The filters that cut a window out of the picture and scale it, be it still or moving by fractions of a pixel. Pure.

FFmpeg crops by whole pixels, and pictures with halved colour by two. A window that stands still is cut a little too
large, scaled, and cut again where pixels are small; one that moves is cut too large and then resampled at its exact
place (``perspective``), since whole pixels would show as judder.
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
_FRAME = "ld(1)"


class _Strip(NamedTuple):
    """The first cut along one axis: its length in the picture and once scaled, and the last place where it fits."""

    length: int
    scaled: int
    last: int


def still_window(
    paths: Sequence[Sequence[Piece]], size: Extent, picture: Upright, target: Size, colours: Colours
) -> tuple[str, ...]:
    """Return the filters of windows of one size, one after another, each of which holds still."""
    across = _still_strip(size.width, picture.width, target.width)
    down = _still_strip(size.height, picture.height, target.height)
    cuts: list[tuple[float, tuple[int, int], tuple[int, int]]] = []
    for path in paths:
        x, y = corner(path, path[0].first, size, picture)
        cuts.append(
            (path[0].first, _cut(x, across, size.width, target.width), _cut(y, down, size.height, target.height))
        )

    def places(which: Callable[[tuple[float, tuple[int, int], tuple[int, int]]], int]) -> str:
        return _steps([(cut[0], which(cut)) for cut in cuts])

    first = _crop(across.length, down.length, places(lambda c: c[1][0]), places(lambda c: c[2][0]))
    made = (first, *colours(Size(width=across.scaled, height=down.scaled)))
    if (across.scaled, down.scaled) == (target.width, target.height):
        return made
    second = _crop(target.width, target.height, places(lambda c: c[1][1]), places(lambda c: c[2][1]))
    return (*made, second)


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


def _still_strip(length: float, whole: int, target: int) -> _Strip:
    """Return the first cut whose scaled length is nearest to an even number."""
    scale = target / length
    if whole - length < 2:  # the window is all there is
        return _Strip(whole, target, 0)
    least = 2 * ceil(length / 2 + 1)
    lengths = [n for n in range(least, least + _MARGIN_PX, 2) if n <= whole] or [whole // 2 * 2]
    best = min(lengths, key=lambda n: abs(n * scale - 2 * round(n * scale / 2)) / n)
    return _Strip(best, 2 * round(best * scale / 2), (whole - best) // 2 * 2)


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
