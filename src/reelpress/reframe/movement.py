"""Where something moves between two pictures, once the camera's own movement is taken out."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Grey = NDArray[np.float32]

STRIPS = 32  # over the longer side of a small picture 160 px wide, and half as many over the other
_LONG_SIDE = 160
_NOISE = 10.0  # levels of 255: grain and coding change pixels by less
_LEAST_TRUST = 0.15  # of the phase correlation's peak: below, no single shift explains the change
_FLAT, _SHARP = 1, 48  # levels


class Movement:
    """Compares each picture with the one before it."""

    def __init__(self) -> None:
        self._before: Grey | None = None

    def forget(self) -> None:
        """Take the next picture for the first of a new shot."""
        self._before = None

    def look(self, picture: Picture) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the mean change in strips from left to right, and from top to bottom, in per cent of the range."""
        now, before = _small(picture), self._before
        self._before = now
        if before is None or before.shape != now.shape:
            return (), ()
        changed = np.abs(now - _moved_with(before, now))
        changed = np.where(changed > _NOISE, changed, 0) / 2.55
        height, width = changed.shape
        across, down = (STRIPS, STRIPS // 2) if width >= height else (STRIPS // 2, STRIPS)
        columns = [float(part.mean()) for part in np.array_split(changed, across, axis=1)]
        rows = [float(part.mean()) for part in np.array_split(changed, down, axis=0)]
        return tuple(round(each, 2) for each in columns), tuple(round(each, 2) for each in rows)


def texture(picture: Picture) -> tuple[float, float]:
    """Return the shares of pixels that equal their right neighbour, and that differ from it much."""
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.int16)
    steps = np.abs(np.diff(grey, axis=1))
    return round(float((steps <= _FLAT).mean()), 4), round(float((steps >= _SHARP).mean()), 4)


def _small(picture: Picture) -> Grey:
    height, width = picture.shape[:2]
    scale = _LONG_SIDE / max(height, width)
    size = (max(STRIPS // 2, round(width * scale)), max(STRIPS // 2, round(height * scale)))
    grey = cv2.cvtColor(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    return cv2.GaussianBlur(grey, (3, 3), 0).astype(np.float32)


def _moved_with(before: Grey, now: Grey) -> Grey:
    """Return the picture before, moved as the camera has moved since."""
    hann = cv2.createHanningWindow((now.shape[1], now.shape[0]), cv2.CV_32F)
    # copies: OpenCV multiplies the pictures that it is given with the window, in place
    (dx, dy), trust = cv2.phaseCorrelate(before.copy(), now.copy(), hann)
    if trust < _LEAST_TRUST or max(abs(dx), abs(dy)) < 0.3:
        return before
    shift = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    return cv2.warpAffine(before, shift, (now.shape[1], now.shape[0]), borderMode=cv2.BORDER_REPLICATE).astype(
        np.float32
    )
