"""Boxes of MP4 files of ours."""

from __future__ import annotations

import pytest

from reelpress.facts.boxes import BoxError, boxes, clock_hz

FREE = b"\0\0\0\x0cfree1234"
LONG = b"\0\0\0\x01wide" + (20).to_bytes(8, "big") + b"1234"


def test_boxes_come_in_order_with_those_inside_others_and_without_media() -> None:
    media = b"\0\0\0\x0amdatxx"
    inner = (8 + len(FREE) + len(LONG)).to_bytes(4, "big") + b"moov" + FREE + LONG
    to_the_end = b"\0\0\0\0skip56"
    found = list(boxes(media + inner + to_the_end, {b"moov"}))
    assert found == [(b"free", b"1234"), (b"wide", b"1234"), (b"skip", b"56")]
    assert list(boxes(b"", ())) == []


@pytest.mark.parametrize(
    "data", [FREE[:-1], FREE + b"123", b"\0\0\0\x07free", LONG[:12], b"\0\0\0\x10moov" + FREE[:8], b"\0"]
)
def test_what_is_no_box_is_an_error(data: bytes) -> None:
    with pytest.raises(BoxError):
        list(boxes(data, (b"moov",)))


@pytest.mark.parametrize(("version", "at"), [(0, 12), (1, 20)])
def test_a_track_s_clock_stands_where_its_version_says(version: int, at: int) -> None:
    assert clock_hz(bytes([version]) + bytes(at - 1) + (90_000).to_bytes(4, "big")) == 90_000
    assert clock_hz(bytes([version]) + bytes(at - 1) + b"\1\1\1") == 0
