"""A window's place in every frame, in pixels, and as an expression that FFmpeg evaluates. Pure.

Places are those of :func:`reelpress.facts.framing.middle_at`, so that the preview shows what is delivered.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from reelpress.facts.framing import Window, window_shares
from reelpress.facts.values import Value
from reelpress.plan.clip_clock import Clock

# Keys that lie closer than this to the straight line between others are left out: a tenth of what can be seen.
TOLERANCE_PX = 0.05


class Upright(Value, frozen=True, kw_only=True):
    """Decoded pictures once they are turned and cropped: their pixels, and their shape as a viewer sees it."""

    width: int
    height: int
    aspect: float


class Extent(Value, frozen=True, kw_only=True):
    """Width and height of a window in pixels of the picture, not rounded."""

    width: float
    height: float


class Piece(NamedTuple):
    """A stretch of frames in which the window's left upper corner moves evenly, in pixels (``x + step_x * n``)."""

    first: float
    x: float
    y: float
    step_x: float
    step_y: float


def extent(picture: Upright, aspect: Fraction, zoom: float) -> Extent:
    """Return the size of a window of this shape."""
    width, height = window_shares(picture.aspect, float(aspect), zoom)
    return Extent(width=width * picture.width, height=height * picture.height)


def pieces(
    window: Window, size: Extent, picture: Upright, clock: Clock, first: int, last: int, tolerance_px: float
) -> list[Piece]:
    """Return a window's path from frame ``first`` to before ``last``; corners may lie outside the picture."""
    points = simplified(
        [
            (clock.frame_at(key.t_s), key.x * picture.width - size.width / 2, key.y * picture.height - size.height / 2)
            for key in window.path
        ],
        tolerance_px,
    )
    made = [Piece(first, points[0][1], points[0][2], 0.0, 0.0)]
    for (n0, x0, y0), (n1, x1, y1) in pairwise(points):
        if n1 > n0:
            step_x, step_y = (x1 - x0) / (n1 - n0), (y1 - y0) / (n1 - n0)
            made.append(Piece(n0, x0 - step_x * n0, y0 - step_y * n0, step_x, step_y))
    made.append(Piece(*points[-1], 0.0, 0.0))
    under_way = bisect_right([piece.first for piece in made[1:]], first)
    kept = [made[under_way]._replace(first=first), *made[under_way + 1 :]]
    return [piece for piece in kept if piece.first < last]


def simplified(points: Sequence[tuple[float, float, float]], tolerance: float) -> list[tuple[float, float, float]]:
    """Return the points without those that straight lines between the others pass within ``tolerance``."""
    keep = {0, len(points) - 1}
    stretches = [(0, len(points) - 1)]
    while stretches:
        a, b = stretches.pop()
        n0, x0, y0 = points[a]
        span = points[b][0] - n0
        worst, at = tolerance, None
        for i in range(a + 1, b):
            share = (points[i][0] - n0) / span if span else 0.0
            off = max(
                abs(points[i][1] - x0 - (points[b][1] - x0) * share),
                abs(points[i][2] - y0 - (points[b][2] - y0) * share),
            )
            if off > worst:
                worst, at = off, i
        if at is not None:
            keep.add(at)
            stretches += [(a, at), (at, b)]
    return [points[i] for i in sorted(keep)]


def corner(path: Sequence[Piece], n: float, size: Extent, picture: Upright) -> tuple[float, float]:
    """Return the window's left upper corner at a frame, kept inside the picture."""
    piece = next((p for p in reversed(path) if p.first <= n), path[0])
    return (
        min(max(piece.x + piece.step_x * n, 0.0), picture.width - size.width),
        min(max(piece.y + piece.step_y * n, 0.0), picture.height - size.height),
    )


def moves(path: Sequence[Piece], last: int, size: Extent, picture: Upright) -> bool:
    """Tell whether a window is anywhere else before frame ``last`` than where it begins."""
    places = [corner(path, n, size, picture) for n in (*(piece.first for piece in path), last - 1)]
    return any(max(along) - min(along) > TOLERANCE_PX for along in zip(*places, strict=True))


def tree(parts: Sequence[tuple[float, str]], frame: str) -> str:
    """Return an expression that is the part that began last at ``frame``, found by halving.

    FFmpeg's parser ends about a hundred levels deep, so a chain of conditions would not do.
    """
    if len(parts) == 1:
        return parts[0][1]
    half = len(parts) // 2
    return f"if(lt({frame},{number(parts[half][0])}),{tree(parts[:half], frame)},{tree(parts[half:], frame)})"


def line(value: float, step: float, frame: str) -> str:
    """Return ``value + step * frame`` as an expression."""
    return number(value) if abs(step) < 1e-9 else f"{number(value)}+{step:.9f}*{frame}"


def number(value: float) -> str:
    """Return a number as FFmpeg reads it, without an exponent."""
    text = f"{value:.4f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
