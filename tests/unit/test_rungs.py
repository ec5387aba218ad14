"""Rungs of a ladder from points, and the command and the playlists that are made of them, without any FFmpeg."""

from __future__ import annotations

import itertools
import struct
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelpress.check.fragments import FragmentError, read_representation
from reelpress.check.ladder import check_ladder, is_ours, read_master, read_media
from reelpress.plan.compress import plan
from reelpress.plan.dash import manifest
from reelpress.plan.geometry import Size
from reelpress.plan.hls import Representation, Segment, master_playlist, media_name, media_playlist
from reelpress.plan.hull import Point
from reelpress.plan.model import Encode
from reelpress.plan.resolution import with_lines
from reelpress.plan.rungs import (
    LEAST_RATE,
    LEAST_STEP,
    MOST_STEP,
    TOP_VMAF,
    Rung,
    choose_rungs,
    trials,
)
from reelpress.plan.streaming import MASTER, MPD, Streams, ladder_attempt, streams
from reelpress.request import Request
from reelpress.stream_engine import make_ladder

from factories import audio, host, media, video

NAMES = {n: Size(width=round(n * 16 / 9 / 2) * 2, height=n) for n in (1080, 720, 540, 480, 360, 240)}


def curve(lines: int, crf: float, *, detail: float = 0.3) -> Point:
    share = lines / 1080
    rate = 900_000 * share ** (0.7 + detail) * 2 ** (-(crf - 19) / 6)
    vmaf = 100 - 30 * detail * (1 - share) - 0.05 * (crf - 8) ** 1.75 * (0.7 + 0.3 * share)
    return Point(lines=lines, crf=crf, bytes_per_s=rate, vmaf=max(1.0, vmaf))


def surveyed(detail: float = 0.3) -> list[Point]:
    return [curve(lines, crf, detail=detail) for lines, crf in trials(tuple(NAMES))]


def rung(lines: int, rate: int, crf: float = 23.0) -> Rung:
    size = NAMES[lines]
    return Rung(
        lines=lines, width=size.width, height=size.height, crf=crf, bytes_per_s=rate / 8, vmaf=90.0,
        max_rate_bps=rate * 2, buffer_bits=rate * 2,
    )  # fmt: skip


@pytest.mark.parametrize("detail", [0.02, 0.1, 0.3, 0.6, 1.0])
def test_rungs_fall_by_half_to_two_thirds_and_sizes_never_rise(detail: float) -> None:
    rungs = choose_rungs(surveyed(detail), NAMES)
    assert 3 <= len(rungs) <= 6
    assert rungs[0].vmaf <= TOP_VMAF + 0.01
    for above, below in itertools.pairwise(rungs):
        assert LEAST_STEP - 1e-9 <= above.bytes_per_s / below.bytes_per_s <= MOST_STEP + 1e-9
        assert below.lines <= above.lines
        assert below.vmaf < above.vmaf
    assert all(r.bytes_per_s >= LEAST_RATE and r.max_rate_bps > 8 * r.bytes_per_s for r in rungs)
    assert (rungs[-1].lines < rungs[0].lines) or detail in (0.02, 1.0)


def test_the_top_is_the_cheapest_that_looks_like_the_source_or_the_best_there_is() -> None:
    top = choose_rungs(surveyed(0.3), NAMES)[0]
    assert top.vmaf == pytest.approx(TOP_VMAF)
    poor = [Point(lines=1080, crf=c, bytes_per_s=4e5 / c, vmaf=90 - c) for c in (19.0, 25.0, 31.0)]
    assert choose_rungs(poor, NAMES)[0].vmaf == pytest.approx(71)


def test_fewer_rungs_may_be_asked_for_and_a_tiny_video_has_one() -> None:
    assert len(choose_rungs(surveyed(), NAMES, most=2)) == 2
    tiny = [Point(lines=100, crf=c, bytes_per_s=9000 / c, vmaf=100 - c / 3) for c in (19.0, 25.0, 31.0)]
    assert len(choose_rungs(tiny, {100: Size(width=100, height=100)})) == 1


@given(
    st.lists(
        st.builds(
            Point, lines=st.sampled_from((1080, 720, 360)), crf=st.floats(14, 42), bytes_per_s=st.floats(1e3, 1e7),
            vmaf=st.floats(1, 100),
        ), min_size=1, max_size=9,
    )
)  # fmt: skip
def test_any_points_give_a_ladder_that_falls(points: list[Point]) -> None:
    rungs = choose_rungs(points, NAMES)
    assert rungs
    assert all(a.bytes_per_s > b.bytes_per_s and a.lines >= b.lines for a, b in itertools.pairwise(rungs))


def command(*lines: int, **track: object) -> tuple[tuple[str, ...], Streams]:
    facts = media(video(**track), audio(), audio(index=2, language="deu", is_default=False))
    request = Request(hardware="off", always_encode=True, max_width=1920, max_height=1080)
    rungs = [rung(n, 3_000_000 // (place + 1), 21.0 + 2 * place) for place, n in enumerate(lines)]
    encodes = []
    for one in rungs:
        decided = plan(facts, host(), with_lines(request, one.lines))
        assert isinstance(decided, Encode)
        encodes.append(decided)
    parts, left_out = streams(facts, rungs, Fraction(30))
    assert [r.code for r in left_out] == ["streams_left_out"]
    return ladder_attempt(encodes[0].attempts[0], encodes, parts).args, parts


def test_one_decode_feeds_all_rungs_and_each_is_encoded_once() -> None:
    args, parts = command(1080, 720, 360)
    assert args.count("-i") == 1
    graph = args[args.index("-filter_complex") + 1]
    assert graph.count("split=3") == 1
    assert "[s0]null[v0]" in graph
    assert "[s2]scale=w=640:h=360,setsar=1[v2]" in graph
    for place, one in enumerate(parts.rungs):
        assert args[args.index(f"-maxrate:v:{place}") + 1] == str(one.max_rate_bps)
        assert args[args.index(f"-c:v:{place}") + 1] == "libx264"
        told = args[args.index(f"-x264-params:v:{place}") + 1]
        assert told.startswith("trellis=1")
        assert told.endswith("scenecut=0:keyint=infinite:open-gop=0")
        assert args[args.index(f"-force_key_frames:v:{place}") + 1].endswith("gte(t,prev_forced_t+3.999))")
    assert [args[args.index(f"-b:a:{n}") + 1] for n in (0, 1)] == ["128000", "64000"]
    assert not [token for token in args if token.endswith((":v:3", ":a:2"))]
    assert [parts.sound_of(n) for n in range(3)] == [3, 3, 4]


def test_both_sounds_come_of_one_filter_graph_that_is_split() -> None:
    args, parts = command(1080)
    graph = args[args.index("-filter_complex") + 1]
    assert len(parts.sounds) == 2
    assert graph.endswith(";[0:1]aresample=48000:async=1:first_pts=0,asplit=2[a0][a1]")
    mapped = [args[i + 1] for i, arg in enumerate(args) if arg == "-map"]
    assert mapped == ["[v0]", "[a0]", "[a1]"]
    assert not [arg for arg in args if arg.startswith("-filter:a")]


def test_colours_are_named_where_small_rungs_would_be_guessed_unlike_the_top() -> None:
    graph = (args := command(1080, 360)[0])[args.index("-filter_complex") + 1]
    assert "colorspace=bt709" in graph.partition("split")[0]
    small = (args := command(360, 240, width=640, height=360)[0])[args.index("-filter_complex") + 1]
    assert "colorspace" not in small


# --- what lies on disk ---


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", len(body) + 8, kind) + body


def init(entry: bytes, config: bytes, timescale: int) -> bytes:
    stsd = box(b"stsd", b"\0" * 4, struct.pack(">I", 1), box(entry, b"\0" * 70, config))
    mdhd = box(b"mdhd", b"\0" * 12, struct.pack(">II", timescale, 0), b"\0" * 4)
    trex = box(b"trex", b"\0" * 4, struct.pack(">5I", 1, 1, 100, 0, 0x10000))
    return box(b"ftyp", b"iso6") + box(
        b"moov", box(b"trak", box(b"mdia", mdhd, box(b"minf", box(b"stbl", stsd)))), box(b"mvex", trex)
    )


def fragment(start: int, durations: list[int], payload: int, *, keys: tuple[int, ...] = (0,)) -> bytes:
    rows = b"".join(struct.pack(">II", d, 0 if n in keys else 0x10000) for n, d in enumerate(durations))
    trun = box(b"trun", struct.pack(">III", 0x0501, len(durations), 0), rows)
    traf = box(b"traf", box(b"tfhd", struct.pack(">II", 0, 1)), box(b"tfdt", struct.pack(">IQ", 1 << 24, start)), trun)
    return box(b"moof", traf) + box(b"mdat", b"x" * payload)


AVC = box(b"avcC", bytes((1, 0x64, 0, 0x1F)))
ESDS = box(b"esds", b"\0" * 4, bytes((3, 20, 0, 0, 0, 4, 17, 64, *[0] * 12, 5, 2, 0x12, 0x10)))


@pytest.fixture
def lying(tmp_path: Path) -> tuple[Path, Streams]:
    """A ladder of two rungs and two sounds, of boxes made by hand."""
    for number in range(2):
        (tmp_path / f"init-{number}.mp4").write_bytes(init(b"avc1", AVC, 1000))
        for place, seconds in enumerate((4, 4, 2), start=1):
            data = fragment((place - 1) * 4000, [100] * seconds * 10, 50_000 * seconds // (number + 1))
            (tmp_path / f"seg-{number}-{place:05d}.m4s").write_bytes(data)
    for number in (2, 3):
        (tmp_path / f"init-{number}.mp4").write_bytes(init(b"mp4a", ESDS, 48_000))
        (tmp_path / f"seg-{number}-00001.m4s").write_bytes(
            fragment(0, [1024] * 469, 160_000 // (number - 1), keys=tuple(range(469)))
        )
    parts, _ = streams(media(), [rung(1080, 400_000), rung(360, 200_000)], Fraction(10))
    return tmp_path, parts


def written(folder: Path, parts: Streams) -> list[Representation]:
    tracks = [read_representation(folder, n) for n in range(4)]
    (folder / MASTER).write_text(master_playlist(parts, tracks))
    for track in tracks:
        (folder / media_name(track.number)).write_text(media_playlist(track))
    (folder / MPD).write_text(manifest(parts, tracks))
    return tracks


def failed(folder: Path, parts: Streams, tracks: list[Representation]) -> list[str]:
    gates = check_ladder(folder, parts, tracks, duration_s=10.0, frames=(100, 100), sound_s=10.0)
    return [gate.name for gate in gates if gate.verdict == "failed"]


def test_segments_are_read_by_their_boxes(lying: tuple[Path, Streams]) -> None:
    track = read_representation(lying[0], 0)
    assert (track.codec, track.timescale) == ("avc1.64001f", 1000)
    assert track.durations_s == (4.0, 4.0, 2.0)
    assert [(s.start, s.samples, s.keyframes, s.starts_with_keyframe) for s in track.segments] == [
        (0, 40, 1, True), (4000, 40, 1, True), (8000, 20, 1, True),
    ]  # fmt: skip
    assert track.peak_bps == max(-(-s.size_bytes * 8000 // s.duration) for s in track.segments)
    assert read_representation(lying[0], 2).codec == "mp4a.40.2"


def test_playlists_say_what_the_segments_are(lying: tuple[Path, Streams]) -> None:
    folder, parts = lying
    tracks = written(folder, parts)
    assert failed(folder, parts, tracks) == []
    variants, groups = read_master((folder / MASTER).read_text())
    assert [v.resolution for v in variants] == ["1920x1080", "640x360"]
    assert variants[0].bandwidth_bps == tracks[0].peak_bps + tracks[2].peak_bps
    assert variants[1].average_bps == tracks[1].average_bps + tracks[3].average_bps
    assert variants[0].codecs == "avc1.64001f,mp4a.40.2"
    assert groups == {"sound-2": "media-2.m3u8", "sound-3": "media-3.m3u8"}
    assert "FRAME-RATE=10.000" in (folder / MASTER).read_text()
    first = read_media((folder / "media-0.m3u8").read_text())
    assert (first.target_s, first.durations_s, first.ends) == (4, (4.0, 4.0, 2.0), True)


def test_the_manifest_says_the_same_and_segments_follow_without_a_gap(lying: tuple[Path, Streams]) -> None:
    folder, parts = lying
    tracks = written(folder, parts)
    space = "{urn:mpeg:dash:schema:mpd:2011}"
    root = ET.fromstring((folder / MPD).read_text())
    assert root.get("mediaPresentationDuration") == "PT10.005S"  # of the sound, whose packets reach further
    sets = root.findall(f".//{space}AdaptationSet")
    assert [one.get("mimeType") for one in sets] == ["video/mp4", "audio/mp4"]
    shown = root.findall(f".//{space}Representation")
    assert [(r.get("id"), r.get("codecs"), int(r.get("bandwidth", ""))) for r in shown] == [
        (str(t.number), t.codec, t.peak_bps) for t in tracks
    ]
    assert [(r.get("width"), r.get("height"), r.get("frameRate")) for r in shown[:2]] == [
        ("1920", "1080", "10/1"), ("640", "360", "10/1"),
    ]  # fmt: skip
    for representation, track in zip(shown, tracks, strict=True):
        rows = representation.findall(f".//{space}S")
        ticks = [int(row.get("d", "")) for row in rows for _ in range(1 + int(row.get("r", "0")))]
        assert ticks == [segment.duration for segment in track.segments]
        assert rows[0].get("t") == "0"


@pytest.mark.parametrize(
    ("frames", "wanted_s", "missing_s", "names"),
    [
        ((100, 100), (10.0, 10.0), (0.0, 0.0), []),
        ((99, 101), (10.0, 10.0), (0.0, 0.0), []),
        ((101, 120), (10.0, 10.0), (0.0, 0.0), ["ladder_frames"]),
        ((40, 99), (10.0, 10.0), (0.0, 0.0), ["ladder_frames"]),
        (None, (10.0, 10.0), (0.0, 0.0), []),
        ((100, 100), (11.0, 11.0), (1.0, 1.0), []),
        ((100, 100), (11.5, 10.0), (1.0, 1.0), ["ladder_duration"]),
        ((100, 100), (10.0, 11.5), (1.0, 1.0), ["ladder_sound"]),
        ((100, 100), (9.0, 9.0), (5.0, 5.0), ["ladder_duration", "ladder_sound"]),
    ],
)
def test_so_much_of_the_source_is_due(
    lying: tuple[Path, Streams],
    frames: tuple[int, int] | None,
    wanted_s: tuple[float, float],
    missing_s: tuple[float, float],
    names: list[str],
) -> None:
    folder, parts = lying
    picture_s, sound_s = wanted_s
    gates = check_ladder(
        folder, parts, written(folder, parts), duration_s=picture_s, frames=frames, sound_s=sound_s,
        missing_s=missing_s,
    )  # fmt: skip
    assert [gate.name for gate in gates if gate.verdict == "failed"] == names


def test_damage_is_seen(lying: tuple[Path, Streams]) -> None:
    folder, parts = lying
    tracks = written(folder, parts)
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}

    def after(name: str, data: bytes | None, *, again: bool = True) -> list[str]:
        path = folder / name
        if data is None:
            path.unlink()
        else:
            path.write_bytes(data)
        found = failed(folder, parts, [read_representation(folder, n) for n in range(4)] if again else tracks)
        for told, original in kept.items():
            (folder / told).write_bytes(original)
        for extra in {p.name for p in folder.iterdir()} - set(kept):
            (folder / extra).unlink()
        return found

    # one rung cut elsewhere; a segment that begins without a keyframe; two keyframes in one
    assert "ladder_aligned" in after("seg-1-00002.m4s", fragment(4000, [100] * 39, 1000))
    assert "ladder_aligned" in after("seg-1-00002.m4s", fragment(4000, [100] * 40, 1000, keys=(1,)))
    assert "ladder_aligned" in after("seg-1-00002.m4s", fragment(4000, [100] * 40, 1000, keys=(0, 20)))
    assert "ladder_aligned" in after("seg-1-00002.m4s", fragment(4040, [100] * 40, 1000))
    # more than was claimed, and a claim that was lowered
    assert after("seg-0-00003.m4s", fragment(8000, [100] * 20, 500_000)) == ["ladder_rates"]
    master = kept[MASTER].decode()
    variant = read_master(master)[0][0]
    lowered = master.replace(f"BANDWIDTH={variant.bandwidth_bps},", f"BANDWIDTH={variant.bandwidth_bps - 1},", 1)
    assert after(MASTER, lowered.encode()) == ["ladder_rates"]
    assert after(MASTER, master.replace("avc1.64001f", "avc1.640028").encode()) == ["ladder_rates"]
    # files: one too few, one too many, a target duration that is too short, no end
    assert "ladder_files" in after("seg-0-00003.m4s", None, again=False)
    assert after("seg-9-00001.m4s", b"") == ["ladder_files"]
    playlist = kept["media-0.m3u8"].decode()
    assert after("media-0.m3u8", playlist.replace("DURATION:4", "DURATION:3").encode()) == ["ladder_files"]
    assert after("media-0.m3u8", playlist.replace("#EXT-X-ENDLIST\n", "").encode()) == ["ladder_files"]
    assert after(MPD, kept[MPD].replace(b"avc1", b"hvc1")) == ["ladder_files"]
    # sound that ends early in one rendition, pictures that are missing in all
    assert "ladder_sound" in after("seg-3-00001.m4s", fragment(0, [1024] * 300, 1000, keys=(0,)))
    assert after("master.m3u8", kept[MASTER]) == []


@pytest.mark.parametrize(
    "data", [b"", b"\0\0\0\x08moof", b"\0\0\0\xffmoof", b"\0\0\0\x07moof", fragment(0, [1], 1)[:-1], b"abc"]
)
def test_segments_that_are_none_are_refused(lying: tuple[Path, Streams], data: bytes) -> None:
    (lying[0] / "seg-0-00002.m4s").write_bytes(data)
    with pytest.raises(FragmentError):
        read_representation(lying[0], 0)


@pytest.mark.parametrize("text", ["", "#EXTM3U", "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\na.m4s", "<html>"])
def test_playlists_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read_media(text)
    with pytest.raises(ValueError):
        read_master(text)


def test_names_of_a_ladder_are_known_from_others() -> None:
    assert all(is_ours(n) for n in (MPD, MASTER, "media-12.m3u8", "init-0.mp4", "seg-3-00017.m4s"))
    assert not any(is_ours(n) for n in ("holiday.mp4", "seg-a-1.m4s", "master.m3u8.bak", "", "manifest.mpd/x"))


def segment(size: int, duration: int) -> Segment:
    return Segment(
        name="a", size_bytes=size, start=0, duration=duration, samples=1, keyframes=1, starts_with_keyframe=True
    )


@pytest.mark.parametrize(
    ("parts", "peak"),
    [
        (((500, 4000), (1000, 4000), (250, 4000)), 2000),
        (((500, 4000), (500, 4000), (250, 50)), 1482),  # a packet at the end counts with the segment before it
        (((500, 4000), (900, 2000)), 3600),
        (((9, 0), (125, 1000)), 1072),  # nothing divides by nothing
        (((10, 100),), 800),  # less than half a second in all
    ],
)
def test_the_peak_is_that_of_a_stretch_and_not_of_a_crumb(parts: tuple[tuple[int, int], ...], peak: int) -> None:
    segments = tuple(segment(*part) for part in parts)
    assert Representation(number=0, timescale=1000, codec="avc1.64001f", segments=segments).peak_bps == peak


def test_a_name_that_no_file_can_have_is_an_unusable_input(tmp_path: Path) -> None:
    made = make_ladder(tmp_path / "nul\0.mp4", tmp_path / "out", host=host(), request=Request())
    assert (made.status, made.exit_code) == ("rejected", 3)
