"""Packets of an MP4 by its tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from reelpress.quality.packets import media_bytes, packet_table


def box(kind: bytes, *inner: bytes) -> bytes:
    body = b"".join(inner)
    return (len(body) + 8).to_bytes(4, "big") + kind + body


def words(*values: int) -> bytes:
    return b"".join((value % 2**32).to_bytes(4, "big") for value in values)


def movie(path: Path, *tables: bytes, hz: int = 1000) -> Path:
    track = box(b"trak", box(b"mdia", box(b"mdhd", words(0, 0, 0, hz, 0)), box(b"minf", box(b"stbl", *tables))))
    path.write_bytes(box(b"ftyp", b"isom") + box(b"mdat", bytes(70)) + box(b"moov", box(b"mvhd", bytes(8)), track))
    return path


SIZES = box(b"stsz", words(0, 0, 4, 40, 10, 5, 15))
STEPS = box(b"stts", words(0, 1, 4, 40))


def test_packets_are_shown_in_another_order_than_they_are_decoded(tmp_path: Path) -> None:
    # I P b b: decoded at 0, 40, 80, 120 ms, shown at 0, 120, 40, 80
    path = movie(tmp_path / "a.mp4", SIZES, STEPS, box(b"ctts", words(0, 3, 1, 40, 1, 120, 2, 0)))
    table = packet_table(path)
    assert table.sizes == (40, 10, 5, 15)
    assert table.shown_s == pytest.approx((0.0, 0.12, 0.04, 0.08))
    assert table.before(0.12) == (40, 5, 15)
    assert table.before(1.0) == (40, 10, 5, 15)
    assert media_bytes(path) == 70


def test_offsets_below_zero_are_counted_from_the_first_picture(tmp_path: Path) -> None:
    offsets = box(b"ctts", words(0, 2, 1, -40, 3, 0))
    assert packet_table(movie(tmp_path / "a.mp4", SIZES, STEPS, offsets)).shown_s[0] == 0


def test_equal_sizes_are_one_number(tmp_path: Path) -> None:
    path = movie(tmp_path / "a.mp4", box(b"stsz", words(0, 7, 4)), STEPS)
    assert packet_table(path).sizes == (7, 7, 7, 7)


@pytest.mark.parametrize("tables", [(), (SIZES,), (STEPS,), (SIZES, box(b"stts", words(0, 1, 3, 40)))])
def test_tables_that_are_missing_or_disagree_are_no_packets(tmp_path: Path, tables: tuple[bytes, ...]) -> None:
    assert packet_table(movie(tmp_path / "a.mp4", *tables)).sizes == ()


def test_what_is_no_mp4_has_no_packets(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"\0\0\0\3abc")
    assert packet_table(path).sizes == ()
    assert media_bytes(path) == 0
