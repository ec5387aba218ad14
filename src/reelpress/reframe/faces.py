"""Finds faces in single pictures, with what OpenCV has: YuNet where its file is, else the Haar cascades of OpenCV 4.

A detector remembers nothing between stretches and is not thread-safe: every analysis makes its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from reelpress.errors import UsageError
from reelpress.reframe.evidence import Face

Picture = NDArray[Any]  # of bytes; OpenCV's own stubs say no more
_Box = tuple[int, int, int, int]

_LEAST_HEIGHT = 0.066  # of a face, as a share of the picture's shorter side: 24 px of 360
_YUNET_SURE = 0.7  # of WIDER FACE's easy and medium faces few score less
_HAAR_LINES = 270
_HAAR_STEP = 1.15
_FORGET_AFTER = 5  # samples


class FaceDetector(Protocol):
    """What looks for faces in pictures that follow each other."""

    name: str

    def look(self, picture: Picture) -> tuple[Face, ...]:
        """Return the faces in a picture (height, width, BGR)."""

    def forget(self) -> None:
        """Take the next picture for the first of a new shot."""


def open_detector(face_model: Path | None) -> FaceDetector | None:
    """Return the best detector there is; ``None`` where OpenCV has no cascades (5 and later) and no model is given.

    Raises :class:`UsageError` for a model that OpenCV cannot read, or that is not one for faces.
    """
    if face_model is not None:
        return YuNetFaces(face_model)
    return HaarFaces() if hasattr(cv2, "CascadeClassifier") and _cascade("frontalface_alt2") is not None else None


class YuNetFaces:
    """YuNet (Wu, Peng and Yu 2023), a small network that finds faces from the front and from the side."""

    name = "yunet"

    def __init__(self, model: Path) -> None:
        with _refusing():
            self._net = cv2.FaceDetectorYN.create(str(model), "", (320, 320), _YUNET_SURE)
        self.look(np.zeros((320, 320, 3), np.uint8))  # networks of other kinds can be read, but not asked

    def look(self, picture: Picture) -> tuple[Face, ...]:
        """Return the faces in a picture."""
        height, width = picture.shape[:2]
        with _refusing():
            self._net.setInputSize((width, height))
            _, rows = self._net.detect(picture)
        found = () if rows is None else rows
        return tuple(
            _face((float(row[0]), float(row[1]), float(row[2]), float(row[3])), (width, height), float(row[14]))
            for row in found
            if row[3] >= _LEAST_HEIGHT * min(width, height)
        )

    def forget(self) -> None:
        """Nothing is remembered."""


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """Raise :class:`UsageError` for what OpenCV says of a model."""
    try:
        yield
    except cv2.error as error:
        raise UsageError(
            "The model for faces cannot be used.", evidence=str(error).strip().splitlines()[-1][:200],
            hint="REELPRESS_FACE_MODEL is to name YuNet's file of 2023; `reelpress models get yunet` fetches it",
        ) from error  # fmt: skip


class HaarFaces:
    """Haar cascades: what one finds another must confirm to be sure, and who turns aside is looked for in profile.

    The whole picture is searched in every second sample; in between, and where a face was lost, only around those that
    were there before. A single hit proves nothing: who uses this asks for agreement over samples.
    """

    name = "haar"

    def __init__(self) -> None:
        self._front, self._second = _cascade("frontalface_alt2"), _cascade("frontalface_default")
        self._profile = _cascade("profileface")
        self._known: list[tuple[_Box, int]] = []
        self._looks = 0

    def look(self, picture: Picture) -> tuple[Face, ...]:
        """Return the faces in a picture."""
        height, width = picture.shape[:2]
        scale = min(1.0, _HAAR_LINES / min(height, width))
        size = (round(width * scale), round(height * scale))
        grey: Picture = cv2.equalizeHist(
            cv2.resize(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), size, interpolation=cv2.INTER_AREA)
        )
        least = round(_LEAST_HEIGHT * min(size))
        boxes: list[tuple[_Box, float]] = []
        if self._looks % 2 == 0:
            for box in _search(self._front, grey, least, neighbours=4):
                confirmed = bool(_search(self._second, _part(grey, box, 0.3)[0], box[3] // 2, neighbours=2))
                boxes.append((box, 1.0 if confirmed else 0.4))
        self._looks += 1
        for box, _ in self._known:
            if not any(_same(box, other) for other, _ in boxes) and (again := self._search_around(grey, box)):
                boxes.append(again)
        boxes = _without_nested(boxes)
        lost = [
            (box, age + 1)
            for box, age in self._known
            if age < _FORGET_AFTER and not any(_same(box, other) for other, _ in boxes)
        ]
        self._known = [*((box, 0) for box, _ in boxes), *lost]
        return tuple(_face(box, size, sure) for box, sure in boxes)

    def forget(self) -> None:
        """Take the next picture for the first of a new shot."""
        self._known, self._looks = [], 0

    def _search_around(self, grey: Picture, box: _Box) -> tuple[_Box, float] | None:
        part, (left, top) = _part(grey, box, 0.6)
        least = round(box[3] * 0.75)
        for cascade, mirrored, sure in (
            (self._front, False, 0.8), (self._profile, False, 0.6), (self._profile, True, 0.6),
        ):  # fmt: skip
            seen = np.ascontiguousarray(part[:, ::-1]) if mirrored else part
            for x, y, width, height in _search(cascade, seen, least, neighbours=3):
                at = part.shape[1] - x - width if mirrored else x
                return (left + at, top + y, width, height), sure
        return None


def _cascade(name: str) -> cv2.CascadeClassifier | None:
    cascade = cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / f"haarcascade_{name}.xml"))
    return None if cascade.empty() else cascade


def _search(cascade: cv2.CascadeClassifier | None, grey: Picture, least: int, neighbours: int) -> list[_Box]:
    if cascade is None or min(grey.shape[:2]) < max(least, 1):
        return []
    found = cascade.detectMultiScale(grey, _HAAR_STEP, neighbours, 0, (least, least))
    return [(int(x), int(y), int(width), int(height)) for x, y, width, height in found]


def _part(grey: Picture, box: _Box, margin: float) -> tuple[Picture, tuple[int, int]]:
    x, y, width, height = box
    left, top = max(0, round(x - margin * width)), max(0, round(y - margin * height))
    right, bottom = round(x + (1 + margin) * width), round(y + (1 + margin) * height)
    return np.ascontiguousarray(grey[top:bottom, left:right]), (left, top)


def _same(one: _Box, two: _Box) -> bool:
    reach = 0.6 * max(one[2], two[2])
    return (
        abs(one[0] + one[2] / 2 - two[0] - two[2] / 2) < reach
        and abs(one[1] + one[3] / 2 - two[1] - two[3] / 2) < reach
    )


def _without_nested(boxes: Iterable[tuple[_Box, float]]) -> list[tuple[_Box, float]]:
    """Return the boxes, largest first, without those whose middle lies in a larger one."""
    kept: list[tuple[_Box, float]] = []
    for box, sure in sorted(boxes, key=lambda each: -each[0][2]):
        at = box[0] + box[2] / 2, box[1] + box[3] / 2
        if not any(x <= at[0] <= x + width and y <= at[1] <= y + height for (x, y, width, height), _ in kept):
            kept.append((box, sure))
    return kept


def _face(box: Sequence[float], size: tuple[int, int], sure: float) -> Face:
    width, height = size
    x, y, w, h = box
    places = x / width, y / height, w / width, h / height
    left, top, wide, high = (round(place, 4) for place in places)
    return Face(x=left, y=top, width=wide, height=high, sure=round(min(1.0, max(0.0, sure)), 3))
