"""What the check decodes of an output: damage where it says that it looks is seen, up to the very last picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import av.logging
import pytest

from reelpress.facts.media import Decoded, MediaFacts
from reelpress.probe.media import look_at_output, probe
from reelpress.probe.media_decode import OutputDecoder
from reelpress.probe.media_frames import FrameSampler
from reelpress.probe.media_request import Decoding
from reelpress.probe.media_stream import StreamScan

import clips

_SECONDS = 14
_RATE = clips.RATE


@pytest.fixture(scope="module", params=[9999, 100], ids=["one keyframe", "one in four seconds"])
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video with sound that is longer than what is decoded whole for being short."""
    keyframes = ("-preset", "veryfast", "-g", str(request.param), "-sc_threshold", "0", "-movflags", "+faststart")
    return clips.make(
        tmp_path_factory.mktemp("decode") / "long.mp4", *clips.picture(seconds=_SECONDS),
        *clips.tone(seconds=_SECONDS), *clips.X264, "-c:a", "aac", *keyframes,
    )  # fmt: skip


def spoil(source: Path, out: Path, first: int, count: int, kind: str = "video") -> Path:
    """Fill packets with ones, in the order of decoding; of pictures lengths and the kind of unit remain."""
    with av.open(str(source)) as opened:
        places = [(p.pos, p.size) for p in opened.demux(**{kind: 0}) if p.size]
    data = bytearray(source.read_bytes())
    start = first % len(places)
    for at, size in places[start : start + count]:
        data[at + 5 : at + size] = b"\xff" * (size - 5)
    out.write_bytes(data)
    return out


def look(path: Path, *, threads: int = 2, whole: bool = False) -> tuple[MediaFacts, Decoded]:
    wish = Decoding(threads=threads, whole_up_to_s=None) if whole else Decoding(threads=threads)
    return look_at_output(path, wish, duration_s=float(_SECONDS), cancel=None, spend=lambda _: None)


def errors(path: Path) -> tuple[str, ...]:
    return look(path)[1].errors


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("threads", [1, 2, 16])
def test_a_right_output_gives_no_errors_and_the_facts_of_a_probe(video: Path, threads: int, whole: bool) -> None:
    facts, decoded = look(video, threads=threads, whole=whole)
    assert decoded.errors == ()
    assert facts == probe(video)


def test_the_start_is_not_the_middle_where_nothing_of_it_decodes(video: Path, tmp_path: Path) -> None:
    facts, decoded = look(spoil(video, tmp_path / "spoilt.mp4", 0, 90))
    assert decoded.errors[0].startswith("[h264] ")
    assert facts.video[0].frames == _SECONDS * _RATE


def test_decoders_that_complain_do_not_keep_the_look_from_ending(video: Path, tmp_path: Path) -> None:
    spoilt = spoil(video, tmp_path / "spoilt.mp4", 0, 90)
    for _ in range(12):  # a third of the looks waited for ever: their threads for Python, and Python for them
        assert look(spoilt, threads=2)[1].errors


@pytest.mark.parametrize("threads", [1, 16])
def test_where_all_is_decoded_damage_is_seen_anywhere(video: Path, tmp_path: Path, threads: int) -> None:
    _, decoded = look(spoil(video, tmp_path / "spoilt.mp4", 60, 2), threads=threads, whole=True)
    assert decoded.whole
    assert all(line.startswith("[h264] ") for line in decoded.errors)
    assert decoded.errors


# the start; after the keyframe before the middle; the first and the last of the end
@pytest.mark.parametrize("first", [2, 102, 305, _RATE * (_SECONDS - 1), -12, -2])
def test_damage_is_seen_at_the_start_in_the_middle_and_up_to_the_last_picture(
    video: Path, tmp_path: Path, first: int
) -> None:
    assert errors(spoil(video, tmp_path / "spoilt.mp4", first, 2))


def test_between_keyframe_and_last_second_what_is_seen_is_damage_that_others_would_show(
    video: Path, tmp_path: Path
) -> None:
    with av.open(str(video)) as opened:
        packets = [bytes(p) for p in opened.demux(video=0) if p.size]
    between = range(312, _RATE * (_SECONDS - 1) - 4)  # after the frames that follow the last keyframe, the 300th
    needed = [n for n in between if packets[n][4] & 0x60]  # nal_ref_idc: H.264, 7.4.1
    alone = [n for n in between if not packets[n][4] & 0x60]
    assert errors(spoil(video, tmp_path / "needed.mp4", needed[0], 1))
    spoilt = spoil(video, tmp_path / "alone.mp4", alone[0], 1)
    facts, decoded = look(spoilt)
    assert (decoded.whole, decoded.errors) == (False, ())
    assert facts.video[0].frames == _SECONDS * _RATE
    assert look(spoilt, whole=True)[1].errors


def test_damage_to_the_sound_of_the_end_is_seen(video: Path, tmp_path: Path) -> None:
    found = errors(spoil(video, tmp_path / "spoilt.mp4", -5, 4, kind="audio"))
    assert found
    assert all(line.startswith("[aac] ") for line in found)


def test_what_was_said_before_decoding_ends_it_no_sooner(video: Path) -> None:
    said: list[Any] = [(16, "mov", "Invalid frame dimensions 0x0")] * 200  # healthy files have it said of them, too
    with av.logging.Capture(local=False) as logs, av.open(str(video)) as opened:
        logs.extend(said)
        stream = opened.streams.video[0]
        scan = StreamScan(stream, is_discontinuous=False)
        for packet in opened.demux(stream):
            if packet.size:
                scan.add(packet)
        sampler = FrameSampler(stream, 10**9)
        assert OutputDecoder(opened, sampler, scan, logs, 5.0).decode().errors == ()
