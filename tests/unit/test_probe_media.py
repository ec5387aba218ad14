"""The probe on clips of every odd kind: facts that are measured, refusals with a reason, and nothing else read."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from reelpress.errors import Cancelled, InputError
from reelpress.facts.formats import INPUT_FORMATS, PLAYLIST_FORMATS, STILL_IMAGE_FORMATS
from reelpress.facts.media import STAYS_S, ContentLight, MediaFacts, OtherTrack
from reelpress.facts.values import from_json, to_json
from reelpress.plan.worth import spent_by
from reelpress.probe.media import HINTS, ProbeLimits, probe
from reelpress.probe.media_refusal import RefusedError, regular_size
from reelpress.probe.media_timing import frame_timing
from reelpress.run.process import CancelToken

import clips

pytestmark = pytest.mark.media
of_its_own = pytest.mark.usefixtures("no_nursery")  # the process that looks is started for it


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="session")
def flat(folder: Path) -> Path:
    """A plain clip: H.264 in mp4, 320x180, 25 frames a second, two seconds, no sound."""
    return clips.plain(folder / "flat.mp4")


def refused(path: str | os.PathLike[str], **limits: float) -> InputError:
    with pytest.raises(InputError) as caught:
        probe(path, limits=ProbeLimits(**limits))  # type: ignore[arg-type]
    error = caught.value
    assert error.reason in HINTS
    assert error.hint == HINTS[error.reason]
    return error


# --- what is measured ---------------------------------------------------------------------------------------------


def test_a_plain_clip_is_described_in_full(flat: Path) -> None:
    facts = probe(flat)
    assert facts.damage == ()
    assert facts.unknown == {}
    assert facts.container == "mov,mp4,m4a,3gp,3g2,mj2"
    assert facts.size_bytes == flat.stat().st_size
    assert (facts.duration_s, facts.start_s, facts.scan_complete) == (2.0, 0.0, True)
    assert (facts.is_faststart, facts.is_fragmented) == (False, False)
    video = facts.video[0]
    assert video == facts.main_video
    assert (video.codec, video.codec_tag, video.width, video.height) == ("h264", "avc1", 320, 180)
    assert (video.display_width, video.display_height, video.rotation_deg, video.mirrored) == (320, 180, 0, False)
    assert (video.pix_fmt, video.bit_depth, video.chroma, video.has_alpha) == ("yuv420p", 8, "420", False)
    assert (video.fps_avg, video.fps_nominal, video.fps_peak, video.is_vfr) == (25, 25, 25.0, False)
    assert (video.frames, video.duration_s, video.keyframes) == (50, 2.0, 1)
    assert video.keyframe_times_s == (0.0,)
    assert video.size_bytes is not None
    assert 0 < video.size_bytes < facts.size_bytes
    assert video.bitrate_bps == round(video.size_bytes * 8 / 2.0)
    assert (video.is_interlaced, video.field_order, video.decodes, video.changes_size) == (
        False,
        "progressive",
        True,
        False,
    )


def test_where_the_bytes_of_a_stream_stand_is_noted(folder: Path) -> None:
    """A still picture follows a moving one: all bytes come in the first half."""
    moves = "select=lt(n\\,100)+eq(n\\,199),fps=25"  # the last picture but one stays for 4 s
    path = clips.make(folder / "front.mp4", *clips.picture(seconds=8.0), "-vf", moves, *clips.X264, "-crf", "30")
    video = probe(path).video[0]
    times, sent = zip(*video.bytes_by_s, strict=True)
    assert 30 < len(times) < 66
    assert (times[0], sent[0]) == (0.0, 0)
    assert (times[-1], sent[-1]) == (video.duration_s, video.size_bytes)
    assert list(times) == sorted(times)
    assert list(sent) == sorted(sent)
    assert spent_by(video, 4.5) == pytest.approx(1.0, abs=0.1)
    assert 0.3 < (spent_by(video, 2.0) or 0.0) < 0.7


def test_facts_survive_a_trip_through_json(flat: Path) -> None:
    facts = probe(flat)
    assert from_json(to_json(facts), MediaFacts) == facts


def test_ntsc_rates_stay_exact_through_a_container_that_rounds_to_milliseconds(folder: Path) -> None:
    video = probe(clips.plain(folder / "ntsc.mkv", rate="30000/1001")).video[0]
    assert (video.fps_avg, video.is_vfr) == (Fraction(30000, 1001), False)
    assert video.fps_nominal == Fraction(30000, 1001)


@pytest.mark.parametrize("name", ["variable.mp4", "variable.mkv"])
def test_a_variable_rate_is_seen(folder: Path, name: str) -> None:
    video = probe(clips.variable(folder / name)).video[0]
    assert video.is_vfr is True
    assert video.frames == 33
    assert video.fps_nominal == 25
    assert video.fps_peak == pytest.approx(25.0)
    assert video.fps_avg is not None
    assert 16 < video.fps_avg < 18


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("after", [50, 249])
def test_a_pause_that_pictures_are_reordered_across_is_counted_once(folder: Path, suffix: str, after: int) -> None:
    """In MP4 a length is the way to the next packet, which is not the next picture where there are B-frames."""
    frames = rf"select='lt(n,25)+between(n,{after},251)'"
    b_frames = ("-preset", "medium", "-x264-params", "b-adapt=0:bframes=3:scenecut=0")
    path = folder / f"pause-{after}{suffix}"
    clips.make(path, *clips.picture(seconds=12), "-vf", frames, "-fps_mode", "vfr", *clips.X264, *b_frames)
    video = probe(path).video[0]
    assert video.frames == 25 + 252 - after
    assert video.duration_s == pytest.approx(252 / 25, abs=0.002)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("encode", [(), ("-preset", "medium")], ids=["in order", "reordered"])
def test_a_last_picture_that_stays_is_as_long_as_its_file_says(
    folder: Path, suffix: str, encode: tuple[str, ...]
) -> None:
    """With B-frames it is not the last packet, and the length is in that."""
    path = folder / f"stays-{len(encode)}{suffix}"
    varying = "lt(n,25)+not(mod(n,3))"  # Matroska has no lengths of packets where the rate is constant
    facts = probe(clips.ends_still(path, *encode, until_s=8.5, select=varying))
    track = facts.video[0]
    assert facts.damage == ()
    assert track.duration_s == pytest.approx(8.5, abs=0.05)
    assert track.last_s == pytest.approx(8.5 - 48 / 25, abs=0.05)
    assert track.ends_still
    assert track.changes_until_s == pytest.approx(48 / 25 + STAYS_S, abs=0.05)


@pytest.mark.parametrize("name", ["flat.mp4", "flat.mkv", "variable.mp4", "variable.mkv"])
def test_a_last_picture_that_stays_as_long_as_others_is_no_still_end(folder: Path, name: str) -> None:
    track = probe((clips.plain if name.startswith("flat") else clips.variable)(folder / f"usual-{name}")).video[0]
    assert not track.ends_still
    assert track.changes_until_s == track.duration_s


def test_frames_lost_from_a_constant_rate_make_it_variable_on_a_known_grid(folder: Path) -> None:
    video = probe(clips.with_gap(folder / "gap.mkv")).video[0]
    assert (video.is_vfr, video.frames, video.fps_nominal) == (True, 40, 25)


def test_frames_an_edit_list_hides_are_not_counted(folder: Path) -> None:
    whole = clips.plain(folder / "whole.mp4", "-g", "25")
    cut = clips.make(folder / "cut.mp4", "-ss", "0.6", "-i", str(whole), "-c", "copy")
    facts = probe(cut)
    assert facts.video[0].frames == 35
    assert facts.duration_s == pytest.approx(1.4)
    assert facts.start_s == pytest.approx(0.0)
    assert facts.video[0].edits[-1].media_time_s == pytest.approx(0.6, abs=0.01)


def test_a_stream_that_starts_late_keeps_its_start(folder: Path) -> None:
    facts = probe(clips.plain(folder / "late.ts", "-output_ts_offset", "1000"))
    assert facts.start_s == pytest.approx(1001.4)
    assert (facts.duration_s, facts.video[0].duration_s) == (pytest.approx(2.0), pytest.approx(2.0))


@pytest.mark.parametrize(("muxer", "codec"), [("mpegts", "aac"), ("vob", "mp2")])
def test_sound_that_begins_later_than_ffmpeg_looks_is_told_by_its_packets(folder: Path, muxer: str, codec: str) -> None:
    path = clips.make(
        folder / f"late_{codec}.{muxer}", *clips.picture("64x64", seconds=12), "-itsoffset", "10",
        *clips.tone(seconds=2), "-map", "0", "-map", "1", "-c:v", "mpeg2video", "-c:a", codec, "-f", muxer,
    )  # fmt: skip
    facts = probe(path)
    sound = facts.audio[0]
    assert (sound.decodes, sound.codec, sound.sample_rate_hz, sound.channels) == (True, codec, 48_000, 1)
    assert sound.begins_late
    assert (sound.start_s or 0) - (facts.start_s or 0) == pytest.approx(10, abs=0.1)
    assert sound.duration_s == pytest.approx(2.0, abs=0.05)
    assert "audio.0.decodes" not in facts.unknown


def test_a_clock_that_is_set_back_is_noted_and_not_measured_as_length(folder: Path) -> None:
    first, second = clips.plain(folder / "a.ts", "-output_ts_offset", "500"), clips.plain(folder / "b.ts")
    joined = folder / "joined.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    facts = probe(joined)
    assert facts.duration_s == pytest.approx(4.0, abs=0.1)
    assert facts.video[0].frames == 100
    assert facts.video[0].is_vfr is False
    assert any("timestamps jump by" in line for line in facts.damage)


def test_sound_that_begins_behind_a_jump_of_the_clock_begins_there(folder: Path) -> None:
    first, second = clips.plain(folder / "mute.ts"), clips.with_sound(folder / "heard.ts")
    joined = folder / "heard_later.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    facts = probe(joined)
    assert (facts.audio[0].start_s or 0) - (facts.video[0].start_s or 0) == pytest.approx(2.0, abs=0.1)
    assert facts.duration_s == pytest.approx(4.0, abs=0.1)


@pytest.mark.parametrize("b_frames", ["0", "2"])
def test_pictures_of_a_programme_stream_come_steadily_though_some_do_not_say_when(folder: Path, b_frames: str) -> None:
    path = clips.make(
        folder / f"steady{b_frames}.vob", *clips.picture("160x120", seconds=6), "-c:v", "mpeg2video", "-bf", b_frames,
        "-g", "12",
    )  # fmt: skip
    command = ["ffprobe", "-v", "error", "-show_entries", "packet=pts", "-of", "csv=p=0", str(path)]
    if shutil.which("ffprobe") is not None:
        assert "N/A" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
    facts = probe(path)
    track = facts.video[0]
    assert (track.frames, track.fps_avg, track.is_vfr) == (150, 25, False)
    assert facts.duration_s == track.duration_s == pytest.approx(6.0)
    assert (track.last_from_s, track.last_s) == (pytest.approx(5.96), pytest.approx(0.04))
    assert track.longest_gop_s == pytest.approx(0.48, abs=0.05)
    assert track.keyframe_times_s == tuple(sorted(track.keyframe_times_s))


@pytest.mark.parametrize("encode", [("-c:v", "mpeg2video", "-bf", "2"), clips.X264])
def test_frames_whose_keyframe_was_cut_off_are_not_counted(folder: Path, encode: tuple[str, ...]) -> None:
    whole = clips.make(folder / "long.ts", *clips.picture(seconds=4), *encode, "-g", "20")
    path = folder / "tail.ts"
    raw = whole.read_bytes()
    path.write_bytes(raw[len(raw) * 3 // 10 // 188 * 188 :])
    command = [clips.ffmpeg(), "-v", "quiet", "-i", str(path), "-fps_mode", "passthrough", "-f", "framecrc", "-"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    decoded = sum(not line.startswith("#") for line in lines)
    assert 20 < decoded < 90
    facts = probe(path)
    assert facts.video[0].frames == decoded
    assert facts.duration_s == pytest.approx(decoded / 25, abs=0.001)


@pytest.mark.parametrize(
    ("name", "encode"), [("bare.h264", clips.X264), ("bare.m2v", ()), ("bare.obu", ("-c:v", "libsvtav1"))]
)
def test_a_bare_stream_has_the_length_its_frames_add_up_to(folder: Path, name: str, encode: tuple[str, ...]) -> None:
    facts = probe(clips.make(folder / name, *clips.picture(), *encode))
    assert facts.duration_s == pytest.approx(2.0)
    assert (facts.video[0].frames, facts.video[0].fps_avg) == (50, 25)


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_frames_of_an_avi_start_when_ffmpeg_shows_the_first(folder: Path, codec: str) -> None:
    path = clips.make(folder / f"{codec}.avi", *clips.picture(), "-c:v", codec, "-bf", "2", "-pix_fmt", "yuv420p")
    command = [
        clips.ffmpeg(),
        "-v",
        "quiet",
        "-copyts",
        "-i",
        str(path),
        "-fps_mode",
        "passthrough",
        "-f",
        "framecrc",
        "-",
    ]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    times = [int(line.split(",")[2]) for line in lines if not line.startswith("#")]
    facts = probe(path)
    assert facts.start_s == pytest.approx(times[0] / 25)
    assert (facts.video[0].frames, facts.duration_s) == (len(times), pytest.approx(2.0))


def test_a_budget_that_runs_out_leaves_claims_and_says_so(folder: Path) -> None:
    long = clips.plain(folder / "budget.mp4", seconds=20)
    facts = probe(long, limits=ProbeLimits(scan_budget_s=0.0))
    assert facts.scan_complete is False
    assert "packets were read for 0 s" in facts.unknown["scan"]
    assert facts.video[0].frames == 500  # mp4's index tells
    assert facts.video[0].decodes
    assert facts.duration_s == facts.header_duration_s == 20.0
    assert "judged by the first" in facts.unknown["video.0.is_vfr"]
    facts = probe(
        clips.make(folder / "budget.mkv", "-i", str(long), "-c", "copy"), limits=ProbeLimits(scan_budget_s=0.0)
    )
    assert facts.video[0].frames is None
    assert "not every packet was read" in facts.unknown["video.0.frames"]
    assert facts.duration_s == facts.header_duration_s == 20.0


# --- how it is to be shown ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("counter_clockwise", "clockwise"), [(90, 270), (180, 180), (-90, 90), (0, 0)])
def test_rotation_is_the_clockwise_turn_that_makes_the_picture_upright(
    folder: Path, flat: Path, counter_clockwise: int, clockwise: int
) -> None:
    video = probe(clips.rotated(folder / f"turn{counter_clockwise}.mp4", flat, counter_clockwise)).video[0]
    assert (video.rotation_deg, video.mirrored) == (clockwise, False)
    upright = (180, 320) if clockwise in {90, 270} else (320, 180)
    assert (video.display_width, video.display_height) == upright
    assert (video.width, video.height) == (320, 180)


def _first_frame(path: Path, *options: str) -> np.ndarray:
    command = [clips.ffmpeg(), "-v", "error", *options, "-i", str(path), "-frames:v", "1", "-pix_fmt", "gray"]
    probe_size = subprocess.run([*command, "-f", "yuv4mpegpipe", "-"], capture_output=True, check=True).stdout
    header, _, rest = probe_size.partition(b"\n")
    sizes = {part[:1]: int(part[1:]) for part in header.split()[1:3]}
    pixels = np.frombuffer(rest.partition(b"\n")[2], np.uint8)
    return pixels[: sizes[b"W"] * sizes[b"H"]].reshape(sizes[b"H"], sizes[b"W"])


@pytest.mark.parametrize("flip", [(), ("-display_hflip",), ("-display_vflip",)])
@pytest.mark.parametrize("angle", [0, 90, 180, 270])
def test_flip_then_turn_gives_what_ffmpeg_shows(folder: Path, flat: Path, angle: int, flip: tuple[str, ...]) -> None:
    path = clips.rotated(folder / f"o{angle}{''.join(flip)}.mp4", flat, angle, *flip)
    video = probe(path).video[0]
    stored = _first_frame(path, "-noautorotate")
    ours = np.rot90(np.flipud(stored) if video.mirrored else stored, -video.rotation_deg // 90)
    assert np.array_equal(ours, _first_frame(path))
    assert video.mirrored is bool(flip)


def test_pixels_that_are_not_square_widen_the_display(folder: Path) -> None:
    video = probe(clips.plain(folder / "wide.mp4", "-vf", "setsar=64/45", size="720x576")).video[0]
    assert video.sample_aspect_ratio == Fraction(64, 45)
    assert (video.width, video.height, video.display_width, video.display_height) == (720, 576, 1024, 576)


def test_a_sample_aspect_ratio_no_picture_has_is_taken_as_one_with_a_reason(folder: Path) -> None:
    facts = probe(clips.plain(folder / "thin.mp4", "-vf", "setsar=1/200"))
    assert (facts.video[0].sample_aspect_ratio, facts.video[0].display_width) == (1, 320)
    assert "which no picture has" in facts.unknown["video.0.sample_aspect_ratio"]


@pytest.mark.parametrize(("order", "expected"), [("tff", "tt"), ("bff", "bb")])
def test_interlaced_video_is_seen_with_its_field_order(folder: Path, order: str, expected: str) -> None:
    video = probe(clips.interlaced(folder / f"{order}.mp4", order)).video[0]
    assert (video.is_interlaced, video.field_order) == (True, expected)


def test_hlg_is_hdr_with_ten_bits(folder: Path) -> None:
    video = probe(clips.hlg(folder / "hlg.mp4")).video[0]
    colour = video.colour
    assert (colour.range, colour.primaries, colour.transfer, colour.matrix) == (
        "limited", "bt2020", "arib-std-b67", "bt2020nc",
    )  # fmt: skip
    assert colour.is_hdr
    assert (video.bit_depth, video.pix_fmt, video.profile) == (10, "yuv420p10le", "Main 10")


def test_mastering_display_and_light_levels_are_read_in_their_units(folder: Path) -> None:
    colour = probe(clips.hdr10(folder / "hdr10.mkv")).video[0].colour
    assert (colour.transfer, colour.content_light) == ("smpte2084", ContentLight(max_cll=1000, max_fall=400))
    display = colour.mastering_display
    assert display is not None
    assert (display.max_luminance, display.min_luminance) == (1000, Fraction(1, 200))
    assert display.red == (Fraction(17, 25), Fraction(8, 25))
    assert display.white == (Fraction(3127, 10000), Fraction(329, 1000))


def test_the_bitstream_wins_over_a_container_that_says_otherwise(folder: Path) -> None:
    tags = ("-color_primaries", "bt2020", "-color_trc", "arib-std-b67", "-colorspace", "bt2020nc")
    truth = clips.hlg(folder / "truth.mp4", *tags, "-movflags", "+write_colr")
    lie = bytearray(truth.read_bytes())
    at = lie.index(b"nclx")
    assert lie[at + 8 : at + 10] == bytes([0, 9])  # the matrix is BT.2020
    lie[at + 4 : at + 10] = bytes([0, 1, 0, 1, 0, 1])
    path = folder / "lie.mp4"
    path.write_bytes(lie)
    colour = probe(path).video[0].colour
    assert (colour.primaries, colour.transfer, colour.matrix) == ("bt2020", "arib-std-b67", "bt2020nc")


def test_unmarked_colour_stays_unknown(flat: Path) -> None:
    colour = probe(flat).video[0].colour
    assert (colour.primaries, colour.transfer, colour.matrix, colour.is_hdr) == (None, None, None, False)


@pytest.mark.parametrize(
    ("pixels", "encode", "depth", "chroma", "has_alpha"),
    [
        ("yuva444p10le", ("-c:v", "prores_ks", "-profile:v", "4444"), 12, "444", True),
        ("yuv422p", ("-c:v", "ffv1"), 8, "422", False),
        ("gray", ("-c:v", "ffv1"), 8, "gray", False),
        ("gbrp", ("-c:v", "ffv1"), 8, "rgb", False),
        ("yuv411p", ("-c:v", "ffv1"), 8, "411", False),
    ],
)
def test_depth_chroma_and_alpha_come_from_the_pixel_format(
    folder: Path, pixels: str, encode: tuple[str, ...], depth: int, chroma: str, has_alpha: bool
) -> None:
    out = clips.make(folder / f"{pixels}.mov", *clips.picture(seconds=0.2), *encode, "-pix_fmt", pixels)
    video = probe(out).video[0]
    assert (video.bit_depth, video.chroma, video.has_alpha) == (depth, chroma, has_alpha)


@pytest.mark.parametrize(
    ("name", "encode"),
    [("vp9.webm", ("libvpx-vp9",)), ("vp8.webm", ("libvpx", "-auto-alt-ref", "0")), ("vp9.mkv", ("libvpx-vp9",))],
)
@pytest.mark.parametrize("has_alpha", [True, False])
def test_alpha_that_a_matroska_file_keeps_beside_the_pictures_is_seen(
    folder: Path, name: str, encode: tuple[str, ...], has_alpha: bool
) -> None:
    pixels = ("-pix_fmt", "yuva420p" if has_alpha else "yuv420p")
    out = clips.make(folder / f"{has_alpha}-{name}", *clips.picture(seconds=0.2), "-c:v", *encode, *pixels)
    copied = clips.make(folder / f"copied-{has_alpha}-{name}", "-i", str(out), "-c", "copy")
    for path in (out, copied):
        video = probe(path).video[0]
        assert (video.pix_fmt, video.has_alpha) == ("yuv420p", has_alpha)


def test_keyframes_whose_times_go_back_are_told_in_order(folder: Path) -> None:
    encode = (*clips.X264, "-bf", "2", "-g", "6", "-sc_threshold", "0")
    path = clips.make(folder / "back.mp4", *clips.picture("160x120", seconds=2), *encode)
    whole = bytearray(path.read_bytes())
    table = whole.index(b"ctts") + 12
    before = 0
    while (count := int.from_bytes(whole[table : table + 4], "big")) + before <= 6:  # the second keyframe's entry
        before, table = before + count, table + 8
    whole[table + 4 : table + 8] = (int.from_bytes(whole[table + 4 : table + 8], "big") + 12_800).to_bytes(4, "big")
    path.write_bytes(whole)
    times = probe(path).video[0].keyframe_times_s
    assert len(times) > 3
    assert times == tuple(sorted(times))


def test_no_stretch_of_a_broken_time_table_is_slower_than_its_average() -> None:
    at, times = 0, [0]
    for number in range(100):
        at += 1 if number % 33 == 5 else 40
        times.append(at)
    seen = frame_timing(times, Fraction(1, 1000), 40, ())
    assert seen.is_vfr
    assert seen.fps_avg is not None
    assert seen.fps_peak == pytest.approx(float(seen.fps_avg))


def test_full_range_is_seen(folder: Path) -> None:
    filters = ("-vf", "scale=out_range=full,format=yuvj420p", "-color_range", "pc")
    video = probe(clips.plain(folder / "full.mp4", *filters)).video[0]
    assert video.colour.range == "full"


# --- every stream -------------------------------------------------------------------------------------------------


def test_every_stream_chapter_and_tag_is_listed(folder: Path, tmp_path: Path) -> None:
    facts = probe(clips.everything(folder / "everything.mkv", tmp_path))
    assert len(facts.video) == 1
    assert [(a.codec, a.language, a.title, a.is_default, a.decodes) for a in facts.audio] == [
        ("aac", "ger", None, False, True),
        ("aac", "eng", "Comments", True, True),
    ]
    assert [(a.sample_rate_hz, a.channels, a.layout) for a in facts.audio] == [(48000, 1, "mono")] * 2
    assert [(s.codec, s.is_text, s.is_forced) for s in facts.subtitles] == [("subrip", True, True)]
    assert {(o.kind, o.title) for o in facts.other} == {
        ("attachment", "letters.ttf"),
        ("attached_picture", "cover.png"),
    }
    assert [(c.start_s, c.end_s, c.title) for c in facts.chapters] == [(0.0, 1.2, "One"), (1.2, 2.0, "Two")]
    assert facts.title == "A film"


def test_a_cover_is_never_the_video_even_when_it_comes_first(folder: Path, flat: Path, tmp_path: Path) -> None:
    cover = clips.make(
        tmp_path / "big.png", *clips.picture("1920x1080", seconds=0.04), "-frames:v", "1", "-update", "1"
    )
    maps = ("-map", "0", "-map", "1", "-c", "copy", "-disposition:v:0", "attached_pic")
    facts = probe(clips.make(folder / "cover.mp4", "-i", str(cover), "-i", str(flat), *maps))
    assert [(v.width, v.frames) for v in facts.video] == [(320, 50)]
    assert [o.kind for o in facts.other] == ["attached_picture"]


def test_subtitles_that_nothing_decodes_are_told_apart(folder: Path, tmp_path: Path) -> None:
    words = tmp_path / "words.srt"
    words.write_text("1\n00:00:00,500 --> 00:00:01,000\nhello\n", encoding="utf-8")
    kinds = ("-map", "0", "-map", "1", "-map", "1", "-c:s:0", "ttml", "-c:s:1", "mov_text")
    path = clips.make(folder / "timed.mp4", *clips.picture(), "-i", str(words), *clips.X264, *kinds)
    assert [(s.codec, s.is_text, s.decodes) for s in probe(path).subtitles] == [
        ("ttml", True, False), ("mov_text", True, True),
    ]  # fmt: skip


def test_subtitles_that_outlast_the_picture_are_no_damage(folder: Path, tmp_path: Path) -> None:
    words = tmp_path / "words.srt"
    words.write_text("1\n00:00:01,000 --> 00:00:09,000\nhello\n", encoding="utf-8")
    path = clips.make(folder / "outlasting.mkv", *clips.picture(), "-i", str(words), *clips.X264, "-c:s", "srt")
    facts = probe(path)
    assert (facts.header_duration_s, facts.duration_s) == (pytest.approx(9.0), pytest.approx(2.0))
    assert facts.damage == ()


def test_a_matroska_that_begins_late_is_no_damage_and_one_that_is_cut_short_still_is(folder: Path) -> None:
    late = clips.make(folder / "late.mkv", "-itsoffset", "30", *clips.picture(seconds=8), *clips.X264, "-g", "5")
    facts = probe(late)
    assert (facts.start_s, facts.duration_s) == (pytest.approx(30.0, abs=0.1), pytest.approx(8.0, abs=0.05))
    assert facts.damage == ()
    cut = folder / "late-cut.mkv"
    cut.write_bytes(late.read_bytes()[: late.stat().st_size // 2])
    assert any(line.startswith("file ends early") for line in probe(cut).damage)


def test_place_and_time_are_told_as_the_file_spells_them(folder: Path) -> None:
    tags = ("-metadata", "location=+48.1351+011.5820/", "-metadata", "creation_time=2024-05-06T07:08:09Z")
    facts = probe(clips.with_sound(folder / "tags.mov", *tags, "-movflags", "+faststart"))
    assert facts.location is not None
    assert facts.location.startswith("+48.135")
    assert facts.creation_time == "2024-05-06T07:08:09.000000Z"
    assert facts.is_faststart is True


def test_encoder_delay_is_not_counted_as_sound(folder: Path) -> None:
    audio = probe(clips.with_sound(folder / "sound.mp4")).audio[0]
    assert (audio.start_s, audio.duration_s) == (0.0, pytest.approx(2.0, abs=0.001))


@pytest.mark.parametrize("rate_hz", [8000, 22050])
def test_encoder_delay_that_is_longer_than_a_packet_is_not_counted_as_sound(folder: Path, rate_hz: int) -> None:
    mp3 = ("-c:a", "libmp3lame", "-ar", str(rate_hz))  # packets of 576 samples, of which 1105 come before the sound
    path = clips.make(folder / f"{rate_hz}.mkv", *clips.picture(), *clips.tone(), *clips.X264, *mp3)
    audio = probe(path).audio[0]
    assert (audio.start_s, audio.duration_s) == (pytest.approx(0.0, abs=0.0011), pytest.approx(2.0, abs=0.08))


def test_sound_alone_is_opened_and_has_no_video(folder: Path) -> None:
    for name in ("a.mp3", "a.wav", "a.flac", "a.m4a", "a.ogg"):
        facts = probe(clips.make(folder / name, *clips.tone()))
        assert facts.main_video is None, name
        assert [a.decodes for a in facts.audio] == [True], name
        assert facts.duration_s == pytest.approx(2.0, abs=0.1), name


def test_fragmented_mp4_is_measured(folder: Path) -> None:
    facts = probe(clips.plain(folder / "frag.mp4", "-movflags", "+frag_keyframe+empty_moov", "-g", "10"))
    assert (facts.is_fragmented, facts.video[0].frames) == (True, 50)
    assert facts.duration_s == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize(
    "name", ["x.avi", "x.flv", "x.mpg", "x.wmv", "x.mxf", "x.gif", "x.ogv", "x.dv", "x.y4m", "x.webm"]
)
def test_containers_people_have_are_opened(folder: Path, name: str) -> None:
    size = "720x576" if name == "x.dv" else "320x180"
    facts = probe(clips.make(folder / name, *clips.picture(size), "-pix_fmt", "bgr8" if name == "x.gif" else "yuv420p"))
    assert facts.main_video is not None
    assert facts.main_video.frames == 50
    assert facts.duration_s == pytest.approx(2.0, abs=0.05)
    assert facts.damage == ()


# --- damage -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["short.mp4", "short.mkv", "short.flv"])
def test_a_file_cut_short_tells_what_is_there_and_that_it_ends_early(folder: Path, name: str) -> None:
    more = ("-movflags", "+faststart") if name.endswith("mp4") else ()
    whole = clips.plain(folder / f"whole-{name}", *more, seconds=4)
    path = folder / name
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    facts = probe(path)
    assert facts.header_duration_s == pytest.approx(4.0, abs=0.1)
    assert facts.duration_s is not None
    assert 0.5 < facts.duration_s < 3.5
    assert facts.video[0].frames is not None
    assert facts.video[0].frames < 95
    assert any(line.startswith("file ends early") for line in facts.damage)


def test_an_mp4_without_its_index_is_unreadable(folder: Path) -> None:
    whole = clips.plain(folder / "noindex-whole.mp4")
    path = folder / "noindex.mp4"
    path.write_bytes(whole.read_bytes()[:3000])
    error = refused(path)
    assert error.reason == "unreadable"
    assert error.evidence is not None
    assert "moov atom not found" in error.evidence


def test_a_stream_of_garbage_does_not_decode_and_says_why(folder: Path) -> None:
    path = folder / "garbage.mp4"
    raw = bytearray(clips.plain(folder / "before-garbage.mp4").read_bytes())
    start = raw.index(b"mdat") + 4
    end = raw.index(b"moov") - 4
    raw[start:end] = b"\xa5" * (end - start)
    path.write_bytes(raw)
    facts = probe(path)
    assert facts.main_video is None
    assert facts.video[0].decodes is False
    assert "h264 decoder" in facts.unknown["video.0.decodes"]
    assert facts.damage


def test_an_unknown_codec_is_named_and_does_not_decode(folder: Path) -> None:
    raw = clips.plain(folder / "known.mp4").read_bytes()
    path = folder / "unknown.mp4"
    path.write_bytes(raw.replace(b"avc1", b"zzzz"))
    facts = probe(path)
    assert (facts.video[0].decodes, facts.main_video) == (False, None)
    assert facts.video[0].codec == "zzzz"
    assert facts.unknown["video.0.decodes"] == "no decoder for zzzz"


def test_an_encrypted_track_is_called_encrypted(folder: Path) -> None:
    key = ("-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "00" * 15 + "01", "-encryption_kid", "00" * 16)
    facts = probe(clips.plain(folder / "secret.mp4", *key))
    assert facts.main_video is None
    assert facts.unknown["video.0.decodes"] == "encrypted (sample entry encv)"


def test_a_size_that_changes_is_noticed_and_the_declared_one_kept(folder: Path, tmp_path: Path) -> None:
    big = clips.plain(tmp_path / "big.ts", size="640x360")
    small = clips.plain(tmp_path / "small.ts", "-output_ts_offset", "2", size="320x180")
    path = folder / "sizes.ts"
    path.write_bytes(big.read_bytes() + small.read_bytes())
    video = probe(path).video[0]
    assert video.changes_size is True
    assert (video.width, video.height) == (640, 360)


# --- refusals -----------------------------------------------------------------------------------------------------


def test_missing_empty_and_special_files_are_refused(tmp_path: Path) -> None:
    assert refused(tmp_path / "nothing.mp4").reason == "missing"
    (tmp_path / "empty.mp4").touch()
    assert refused(tmp_path / "empty.mp4").reason == "empty"
    assert refused(tmp_path).reason == "not_a_file"
    os.mkfifo(tmp_path / "pipe.mp4")
    assert refused(tmp_path / "pipe.mp4").reason == "not_a_file"
    assert refused("/dev/zero").reason == "not_a_file"
    assert refused("https://example.org/a.mp4").reason == "missing"


def test_what_may_not_be_read_is_told_from_what_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(*_given: object, **_more: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "scandir", deny)
    with pytest.raises(RefusedError, match="the folder cannot be listed") as folder:
        regular_size(str(tmp_path))
    monkeypatch.setattr(Path, "stat", deny)
    with pytest.raises(RefusedError, match="the file cannot be read") as file:
        regular_size(str(tmp_path / "a.mp4"))
    for caught in (folder, file):
        assert (caught.value.refusal.kind, caught.value.refusal.evidence) == ("denied", "Permission denied")
        assert "permissions" in HINTS[caught.value.refusal.kind]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"just a text\n" * 50, "not_media"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n", "not_media"),
        (bytes(5000), "not_media"),
        (bytes((i * 167 + i // 7 * 13) % 256 for i in range(6400)), "not_media"),
        (b"%PDF-1.7\n" + bytes(3000), "not_media"),
    ],
)
def test_what_is_no_media_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    assert refused(path).reason == reason


@pytest.mark.parametrize("name", ["p.png", "p.jpg", "p.webp", "p.bmp", "p.tiff", "p.gif", "p.apng"])
@pytest.mark.parametrize("disguise", [None, "film.mp4"])
def test_still_pictures_are_refused_as_pictures(folder: Path, tmp_path: Path, name: str, disguise: str | None) -> None:
    picture = folder / name
    if not picture.exists():
        clips.still(picture)
    path = picture if disguise is None else tmp_path / disguise
    if disguise is not None:
        path.write_bytes(picture.read_bytes())
    assert refused(path).reason == "image"


def _playlists(target: Path) -> dict[str, str]:
    near, far = target.name, str(target)
    return {
        "m3u8-near": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{near}\n#EXT-X-ENDLIST\n",
        "m3u8-far": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{far}\n#EXT-X-ENDLIST\n",
        "m3u8-bom": f"\ufeff\r\n #EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{near}\n#EXT-X-ENDLIST\n",
        "m3u8-web": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n",
        "concat": f"ffconcat version 1.0\nfile {near}\n",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
        "dash": f'<?xml version="1.0"?>\n<MPD type="static"><Period><BaseURL>{near}</BaseURL></Period></MPD>\n',
        "asx": f'<ASX version="3.0"><entry><ref href="{far}"/></entry></ASX>\n',
        "pls": f"[playlist]\nFile1={near}\n",
    }


class _Watched:
    """A file that can tell whether it was read, where the file system keeps access times."""

    def __init__(self, path: Path, content: bytes) -> None:
        self.path = path
        path.write_bytes(content)
        self._forget()
        path.read_bytes()
        if not self.was_read:
            pytest.skip("this file system keeps no access times")
        self._forget()

    def _forget(self) -> None:
        os.utime(self.path, ns=(1, 1))  # also under relatime the next read moves the access time

    @property
    def was_read(self) -> bool:
        return self.path.stat().st_atime_ns != 1


@pytest.mark.parametrize("kind", sorted(_playlists(Path("x"))))
@pytest.mark.parametrize("name", ["film.mp4", "film.m3u8", "film"])
def test_lists_of_other_files_are_refused_and_not_followed(flat: Path, tmp_path: Path, kind: str, name: str) -> None:
    target = _Watched(tmp_path / "target.mp4", flat.read_bytes())
    path = tmp_path / name
    path.write_text(_playlists(target.path)[kind], encoding="utf-8")
    assert refused(path).reason == "playlist"
    assert not target.was_read


@pytest.mark.parametrize("kind", ["m3u8-near", "concat"])
def test_the_demuxers_refuse_by_content_even_where_the_first_bytes_were_not_recognised(
    flat: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import av.logging

    from reelpress.probe import media_child
    from reelpress.probe.media_request import Request

    target = _Watched(tmp_path / "target.mp4", flat.read_bytes())
    path = tmp_path / "list.m3u8"
    path.write_text(_playlists(target.path)[kind], encoding="utf-8")
    monkeypatch.setattr(media_child, "refuse_by_content", lambda head, boxes: None)
    monkeypatch.setattr(media_child, "_forbid_more_files", lambda but: None)
    request = Request(path=os.fsencode(path), max_pixels=10**8, scan_budget_s=1)
    try:
        refusal = media_child.answer(request).refused
    finally:
        av.logging.set_level(None)
    assert refusal is not None
    assert refusal.kind == "playlist"
    assert not target.was_read


def test_samples_in_another_file_are_not_read(flat: Path, tmp_path: Path) -> None:
    target = tmp_path / "target.mp4"
    path = clips.external_reference(tmp_path / "alias.mov", flat, target)
    target.write_bytes(flat.read_bytes())
    # The trap is real: told to, FFmpeg follows it.
    trap = (
        "-v",
        "error",
        "-enable_drefs",
        "1",
        "-use_absolute_path",
        "1",
        "-i",
        str(path),
        "-c",
        "copy",
        "-f",
        "md5",
        "-",
    )
    followed = subprocess.run([clips.ffmpeg(), *trap], capture_output=True, check=True)
    assert followed.stdout.startswith(b"MD5=")
    watched = _Watched(target, flat.read_bytes())
    facts = probe(path)
    assert not watched.was_read
    assert facts.main_video is None
    assert facts.video[0].frames == 0
    assert "another file" in facts.unknown["video.0.decodes"]


@of_its_own
def test_the_child_can_open_one_file_and_no_second(flat: Path) -> None:
    script = (
        "import sys, resource; sys.path[:0] = sys.argv[1:]\n"
        "from reelpress.probe import media_child\n"
        "media_child._forbid_more_files()\n"
        f"first = open({str(flat)!r}, 'rb')\n"
        f"try: open({str(flat)!r}, 'rb')\n"
        "except OSError as error: print(error.errno)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, *sys.path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "24"


def test_raw_video_and_other_demuxers_that_must_be_told_are_refused(tmp_path: Path) -> None:
    path = clips.make(tmp_path / "frames.yuv", *clips.picture(seconds=0.2), "-f", "rawvideo")
    assert refused(path).reason == "unsupported_format"


def test_no_demuxer_is_both_allowed_and_refused_by_name() -> None:
    assert not set(INPUT_FORMATS) & (PLAYLIST_FORMATS | STILL_IMAGE_FORMATS)
    assert len(set(INPUT_FORMATS)) == len(INPUT_FORMATS)


def test_every_allowed_demuxer_exists_in_this_ffmpeg() -> None:
    import av.format

    missing = {name for name in INPUT_FORMATS if not _is_demuxer(av.format, name)}
    assert missing == set()


def _is_demuxer(module: object, name: str) -> bool:
    try:
        return bool(module.ContainerFormat(name, "r").is_input)  # type: ignore[attr-defined]
    except ValueError:
        return False


# --- names --------------------------------------------------------------------------------------------------------

_NAMES = [
    "-i.mp4", "--help", "a b.mp4", "a:b.mp4", "http:x.mp4", "concat:a|b.mp4", "%03d.mp4", "100%.mp4", "q'uo\"te.mp4",
    "new\nline.mp4", "tab\t.mp4", "back\\slash.mp4", "видео café 🎬.mp4", "*.mp4", "[x]?.mp4", "$HOME.mp4",
    "file:x.mp4",
    "{a,b}.mp4", ";rm.mp4", "x" * 250 + ".mp4", "no-extension",
]  # fmt: skip


@pytest.mark.parametrize("name", _NAMES)
@pytest.mark.by_turns
def test_a_name_is_only_a_name(flat: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / name).write_bytes(flat.read_bytes())
    monkeypatch.chdir(tmp_path)
    assert probe(name).video[0].frames == 50
    assert probe(tmp_path / name).video[0].frames == 50


def test_a_name_that_is_no_text_is_still_a_name(flat: Path, tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9\xff.mp4")
    Path(path).write_bytes(flat.read_bytes())
    assert probe(path).video[0].frames == 50


def test_tags_that_are_no_text_do_not_stop_the_probe(folder: Path) -> None:
    raw = clips.plain(folder / "tagged.mkv", "-metadata", "title=ABCDEFGH").read_bytes()
    assert b"ABCDEFGH" in raw
    path = folder / "mangled.mkv"
    path.write_bytes(raw.replace(b"ABCDEFGH", b"A\xff\xfe\xfdEFGH"))
    title = probe(path).title
    assert title is not None
    assert title.startswith("A")


# --- limits -------------------------------------------------------------------------------------------------------


@of_its_own
def test_a_child_that_takes_too_long_is_stopped(flat: Path) -> None:
    error = refused(flat, wall_s=0.001)
    assert error.reason == "too_costly"


@of_its_own
def test_a_child_short_of_memory_is_an_input_error(flat: Path) -> None:
    error = refused(flat, memory_bytes=60 * 1024 * 1024)
    assert error.reason in {"too_costly", "crashed"}


def test_pictures_larger_than_allowed_are_not_decoded(flat: Path) -> None:
    facts = probe(flat, limits=ProbeLimits(max_pixels=100 * 100))
    assert facts.video[0].decodes is False
    assert facts.main_video is None


@of_its_own
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os; os.kill(os.getpid(), 11)", "crashed"),
        ("import sys; sys.exit(3)", "crashed"),
        ("raise MemoryError", "too_costly"),
        ("while True: pass", "too_costly"),
        ("print('{')", "crashed"),
        ("print('{}')", "crashed"),
    ],
)
def test_a_child_that_dies_is_an_input_error(
    flat: Path, code: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reelpress.probe.start.CHILD", code)
    error = refused(flat, cpu_s=1, wall_s=20)
    assert error.reason == reason
    if "11" in code:
        assert error.evidence is not None
        assert signal.SIGSEGV.name in error.evidence


@of_its_own
def test_cancelling_stops_the_probe(flat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reelpress.probe.start.CHILD", "import time; time.sleep(60)")
    token = CancelToken()
    threading.Timer(0.3, token.cancel).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        probe(flat, cancel=token)
    assert time.monotonic() - began < 10


@of_its_own
def test_a_module_of_ours_in_the_working_directory_is_not_imported(
    flat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "av.py").write_text("raise SystemExit(9)\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    assert probe(flat).video[0].frames == 50


def test_cover_pictures_are_plain_values(folder: Path, tmp_path: Path) -> None:
    facts = probe(clips.everything(folder / "again.mkv", tmp_path))
    assert OtherTrack(index=5, kind="attached_picture", codec="png", title="cover.png") in facts.other
