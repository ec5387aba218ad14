"""The box walker: what it reads of well-formed files, and that no bytes make it raise, loop or read without bound."""

from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reelpress.facts.media import Edit
from reelpress.probe import isobmff
from reelpress.probe.isobmff import FileBoxes, read_boxes


def box(kind: bytes, *parts: bytes) -> bytes:
    payload = b"".join(parts)
    return struct.pack(">I4s", len(payload) + 8, kind) + payload


def u32(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}I", *numbers)


FTYP = box(b"ftyp", b"isom", u32(512), b"isomavc1")
MVHD = box(b"mvhd", u32(0, 0, 0, 1000, 5000), bytes(80))


def elst(*entries: tuple[int, int], version: int = 0) -> bytes:
    layout = ">Qqi" if version else ">Iii"
    rows = b"".join(struct.pack(layout, length, start, 1 << 16) for length, start in entries)
    return box(b"elst", bytes([version, 0, 0, 0]), u32(len(entries)), rows)


def trak(
    track_id: int = 1,
    *,
    edits: bytes = b"",
    entry: bytes = b"avc1",
    inside: bytes = b"",
    handler: bytes = b"vide",
    dref: bytes = b"",
    wide: bool = False,
) -> bytes:
    times = struct.pack(">QQ", 0, 0) if wide else u32(0, 0)
    version = bytes([int(wide), 0, 0, 0])
    stsd = box(b"stsd", u32(0, 1), box(entry, bytes(78), inside))
    info = box(b"minf", box(b"dinf", dref), box(b"stbl", stsd))
    mdhd = box(b"mdhd", version, times, u32(90_000, 0), bytes(12))
    hdlr = box(b"hdlr", u32(0, 0), handler, bytes(12))
    tkhd = box(b"tkhd", version, times, u32(track_id), bytes(60))
    return box(b"trak", tkhd, box(b"edts", edits), box(b"mdia", mdhd, hdlr, info))


def read(raw: bytes, size: int | None = None) -> FileBoxes:
    found = read_boxes(io.BytesIO(raw), len(raw) if size is None else size)
    assert found is not None
    return found


def test_moov_first_is_faststart_and_last_is_not() -> None:
    moov, mdat = box(b"moov", MVHD, trak()), box(b"mdat", bytes(10))
    assert read(FTYP + moov + mdat).is_faststart is True
    assert read(FTYP + mdat + moov).is_faststart is False
    assert read(FTYP + moov).is_faststart is None
    assert read(FTYP + mdat).is_faststart is None
    assert read(FTYP + mdat).has_moov is False


def test_fragments_are_seen_in_mvex_and_in_moof() -> None:
    mvex = box(b"moov", MVHD, trak(), box(b"mvex", bytes(8)))
    assert read(FTYP + mvex + box(b"mdat")).is_fragmented is True
    assert read(FTYP + box(b"moof", bytes(4))).is_fragmented is True
    assert read(FTYP + box(b"moov", MVHD, trak()) + box(b"mdat")).is_fragmented is False
    assert read(FTYP).is_fragmented is None


@pytest.mark.parametrize("version", [0, 1])
def test_edit_lists_are_in_seconds_and_an_empty_edit_has_no_media_time(version: int) -> None:
    raw = FTYP + box(b"moov", MVHD, trak(edits=elst((1000, -1), (4000, 180_000), version=version), wide=bool(version)))
    assert read(raw).tracks[0].edits == (
        Edit(duration_s=1.0, media_time_s=None),
        Edit(duration_s=4.0, media_time_s=2.0),
    )


def test_an_edit_list_before_its_timescale_is_still_read() -> None:
    raw = FTYP + box(b"moov", trak(edits=elst((500, 90_000))), MVHD)
    assert read(raw).tracks[0].edits == (Edit(duration_s=0.5, media_time_s=1.0),)


def test_an_edit_list_that_claims_more_entries_than_it_holds_yields_those_it_holds() -> None:
    lying = box(b"elst", u32(0, 0xFFFFFFFF), struct.pack(">Iii", 1000, 0, 1 << 16))
    assert read(FTYP + box(b"moov", MVHD, trak(edits=lying))).tracks[0].edits == (
        Edit(duration_s=1.0, media_time_s=0.0),
    )


def test_dolby_vision_profile_and_compatibility_are_read() -> None:
    record = box(b"dvvC", bytes([1, 0, 8 << 1 | 0, 0x25, 4 << 4]), bytes(19))
    track = read(FTYP + box(b"moov", MVHD, trak(entry=b"hvc1", inside=record))).tracks[0]
    assert (track.sample_entry, track.dolby_vision_profile, track.dolby_vision_compatibility_id) == ("hvc1", 8, 4)


def test_encryption_is_seen_by_the_entry_and_by_sinf() -> None:
    assert read(FTYP + box(b"moov", MVHD, trak(entry=b"encv"))).tracks[0].is_encrypted
    assert read(FTYP + box(b"moov", MVHD, trak(inside=box(b"sinf", bytes(8))))).tracks[0].is_encrypted
    assert not read(FTYP + box(b"moov", MVHD, trak())).tracks[0].is_encrypted


@pytest.mark.parametrize(
    ("entry", "is_external"),
    [
        (box(b"url ", u32(1)), False),
        (box(b"url ", u32(0)), False),
        (box(b"url ", u32(0), b"file:///etc/passwd\0"), True),
        (box(b"alis", u32(0), bytes(120), b"/etc/passwd"), True),
    ],
)
def test_data_in_another_file_is_seen(entry: bytes, is_external: bool) -> None:
    raw = FTYP + box(b"moov", MVHD, trak(dref=box(b"dref", u32(0, 1), entry)))
    assert read(raw).tracks[0].is_external is is_external


def test_tracks_are_found_by_id_and_by_place_when_ids_repeat() -> None:
    boxes = read(FTYP + box(b"moov", MVHD, trak(7, entry=b"avc1"), trak(9, entry=b"hvc1")))
    assert boxes.track(9, 0) == boxes.tracks[1]
    assert boxes.track(5, 1) == boxes.tracks[1]
    assert boxes.track(5, 2) is None
    twins = read(FTYP + box(b"moov", MVHD, trak(7, entry=b"avc1"), trak(7, entry=b"hvc1")))
    assert twins.track(7, 1) == twins.tracks[1]


def test_a_64_bit_size_is_understood_and_a_size_of_zero_reaches_to_the_end() -> None:
    moov = box(b"moov", MVHD, trak())
    long = struct.pack(">I4sQ", 1, b"mdat", 24) + bytes(8)
    assert read(FTYP + long + moov).has_moov
    assert read(FTYP + struct.pack(">I4s", 0, b"mdat") + moov).has_moov is False


@pytest.mark.parametrize("size", [2, 7])
def test_a_size_smaller_than_a_header_ends_the_walk_and_is_noted(size: int) -> None:
    boxes = read(FTYP + struct.pack(">I4s", size, b"free") + box(b"moov", MVHD, trak()))
    assert boxes.has_moov is False
    assert boxes.problems == (f"box 'free' claims {size} bytes, less than its own header",)


def test_a_box_that_reaches_beyond_the_file_is_cut_and_noted() -> None:
    raw = FTYP + box(b"moov", MVHD, trak()) + struct.pack(">I4s", 5000, b"mdat") + bytes(10)
    assert read(raw).is_faststart is True
    assert read(raw).problems == ("box 'mdat' claims 5000 bytes, 18 are there",)


def test_what_is_no_iso_file_is_none() -> None:
    for raw in (b"", b"abc", b"\x1aE\xdf\xa3" + bytes(40), b"#EXTM3U\nx.mp4\n"):
        assert read_boxes(io.BytesIO(raw), len(raw)) is None


def test_many_boxes_and_a_huge_edit_list_meet_the_limits() -> None:
    crowd = FTYP + box(b"free") * (isobmff.MAX_BOXES + 10) + box(b"moov", MVHD)
    assert f"more than {isobmff.MAX_BOXES} boxes; the rest was not read" in read(crowd).problems
    entries = tuple((1, 1) for _ in range(isobmff.MAX_EDITS + 5))
    edits = read(FTYP + box(b"moov", MVHD, trak(edits=elst(*entries)))).tracks[0].edits
    assert len(edits) == isobmff.MAX_EDITS


class _CountingFile(io.BytesIO):
    """Notes how much is read of it."""

    taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        got = super().read(size)
        self.taken += len(got)
        return got


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([
                b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"edts", b"elst", b"mdat", b"moof", b"free",
                b"dinf", b"dref", b"mvhd", b"mdhd", b"tkhd", b"hdlr",
            ]),
            st.one_of(st.integers(0, 200), st.integers(0, 2**32 - 1)),
            st.binary(max_size=60),
        ),
        max_size=40,
    ),
    st.integers(-1, 10_000),
)  # fmt: skip
def test_no_arrangement_of_boxes_makes_it_raise_or_read_without_bound(
    parts: list[tuple[bytes, int, bytes]], extra: int
) -> None:
    raw = FTYP + b"".join(struct.pack(">I4s", size, kind) + data for kind, size, data in parts)
    file = _CountingFile(raw)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(isobmff, "MAX_BYTES", 500)
        boxes = read_boxes(file, len(raw) + extra)  # the size may lie too
    assert isinstance(boxes, FileBoxes)
    assert file.taken <= 500


@settings(max_examples=300)
@given(st.data())
def test_a_damaged_well_formed_file_never_makes_it_raise(data: st.DataObject) -> None:
    record = box(b"dvcC", bytes(24))
    moov = box(b"moov", MVHD, trak(edits=elst((1, -1), (2, 3)), inside=record), trak(2, handler=b"soun"))
    raw = bytearray(FTYP + moov + box(b"mdat", bytes(20)))
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(8, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(8, len(raw)))
    assert isinstance(read_boxes(io.BytesIO(bytes(raw[:cut])), cut), FileBoxes)
