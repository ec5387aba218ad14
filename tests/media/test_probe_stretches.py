"""Facts from a few seconds of a file against facts from all of it, on odd clips and on files nobody here made."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from test_probe_corpus import MANIFEST, MEDIA

from reelpress.errors import InputError
from reelpress.facts.media import MediaFacts, VideoTrack
from reelpress.probe.media import probe
from reelpress.source.opening import open_source
from reelpress.source.probing import probe_stretches

import clips

pytestmark = pytest.mark.media

OF_FILE = ("container", "is_faststart", "is_fragmented", "chapters", "subtitles", "other", "title", "creation_time")
OF_VIDEO = (
    "codec", "profile", "width", "height", "sample_aspect_ratio", "rotation_deg", "mirrored", "display_width",
    "display_height", "pix_fmt", "bit_depth", "chroma", "has_alpha", "colour", "field_order", "is_interlaced",
    "time_base", "has_closed_captions", "edits", "decodes", "crop",
)  # fmt: skip
OF_AUDIO = ("index", "codec", "profile", "sample_rate_hz", "channels", "layout", "language", "decodes", "edits")
# Of files that hold no whole second, or whose rate changes, a few seconds tell another rate than the whole.
CORPUS = (
    "agent327_720p_70s.mp4", "bbb_1080p_62s_51.ts", "vp9_webrtc_3.webm", "sample_edit_list.mp4", "portrait_4k60.mp4",
    "bbb_2500ms.ts", "hdr10-video-with-sdr-container.mp4", "dolbyVision-hdr.MOV", "h264-png.mkv", "sample_with_srt.mkv",
    "internal_emulator_transformer_output_270_rotated.mp4", "testvideo.mp4", "wmv8_x8intra.wmv", "scte20.mp4",
    "sample_fragmented.mp4", "sample.avi", "sample_h265.ts", "one-by-one-person-detection.mp4",
)  # fmt: skip


def stretches_of(path: Path, *stretches: tuple[float, float]) -> MediaFacts:
    with open_source(path) as source:
        return probe_stretches(source, stretches)


def agree(whole: MediaFacts, some: MediaFacts) -> None:
    for name in OF_FILE:
        assert getattr(some, name) == getattr(whole, name), name
    assert some.start_s == pytest.approx(whole.start_s, abs=0.001)
    assert some.duration_s == pytest.approx(whole.duration_s, abs=0.25)
    for some_video, whole_video in zip(some.video, whole.video, strict=True):
        for name in OF_VIDEO:
            assert getattr(some_video, name) == getattr(whole_video, name), name
        assert some_video.start_s == pytest.approx(whole_video.start_s, abs=0.001)
    for some_audio, whole_audio in zip(some.audio, whole.audio, strict=True):
        for name in OF_AUDIO:
            assert getattr(some_audio, name) == getattr(whole_audio, name), name
        assert some_audio.start_s == pytest.approx(whole_audio.start_s, abs=0.001)


def rates(track: VideoTrack) -> tuple[object, ...]:
    return track.fps_avg, track.fps_nominal, track.fps_peak, track.is_vfr


@pytest.fixture(scope="module")
def flat(tmp_path_factory) -> Path:
    return clips.with_sound(tmp_path_factory.mktemp("flat") / "flat.mp4")


@pytest.mark.parametrize(
    "make",
    [
        clips.with_sound,
        lambda out: clips.with_sound(out.with_suffix(".mkv")),
        lambda out: clips.with_sound(out.with_suffix(".ts")),
        lambda out: clips.with_sound(out.with_suffix(".avi"), "-c:a", "mp3"),
        lambda out: clips.plain(out, rate="30000/1001"),
        lambda out: clips.plain(out, "-movflags", "+frag_keyframe+empty_moov"),
        lambda out: clips.rotated(out, clips.plain(out.with_name("flat.mp4")), 90),
        clips.interlaced,
        clips.hdr10,
        lambda out: clips.everything(out.with_suffix(".mkv"), out.parent),
        lambda out: clips.plain(out, "-bf", "3", "-g", "50", "-output_ts_offset", "7"),
    ],
    ids=["mp4", "mkv", "ts", "avi", "ntsc", "fragmented", "rotated", "fields", "hdr", "all tracks", "late"],
)
def test_a_part_tells_what_the_whole_tells(tmp_path, make):
    path = make(tmp_path / "clip.mp4")
    whole, some = probe(path), stretches_of(path, (0.1, 0.4), (0.3, 1.9))
    agree(whole, some)
    assert [rates(v) for v in some.video] == [rates(v) for v in whole.video]
    assert not some.damage


@pytest.mark.corpus
@pytest.mark.skipif(not MANIFEST.is_file(), reason=f"no media corpus at {MEDIA}; REELPRESS_MEDIA names another place")
@pytest.mark.by_turns
@pytest.mark.parametrize("name", CORPUS)
def test_a_part_of_a_real_file_tells_what_the_whole_tells(name):
    path = next((MEDIA / "files").glob(f"*/{name}"))
    whole = probe(path)
    length_s = whole.duration_s or 0.0
    some = stretches_of(path, (0.2 * length_s, 0.4 * length_s), (0.7 * length_s, 0.9 * length_s))
    agree(whole, some)
    if whole.main_video is not None and some.main_video is not None and not whole.main_video.is_vfr and length_s > 4:
        assert rates(some.main_video) == rates(whole.main_video)
    assert set(some.damage) <= set(whole.damage)


def test_what_needs_the_whole_file_is_unknown_with_a_reason(tmp_path):
    path = clips.with_sound(tmp_path / "clip.mkv")
    some = stretches_of(path, (0.5, 1.0))
    assert not some.scan_complete
    assert (some.video[0].frames, some.video[0].keyframes, some.video[0].size_bytes) == (None, None, None)
    assert {"scan", "video.0.frames", "video.0.keyframes", "video.0.size_bytes"} <= set(some.unknown)


def test_rates_are_those_of_the_stretches(tmp_path):
    """25 frames a second at first, and then about 8."""
    path = clips.variable(tmp_path / "clip.mp4")
    assert rates(stretches_of(path, (0.1, 0.9)).video[0]) == (25, 25, 25.0, False)
    both = stretches_of(path, (0.1, 0.9), (1.1, 1.9)).video[0]
    assert both.is_vfr
    assert both.fps_avg is not None
    assert Fraction(8) < both.fps_avg < 25
    assert both.fps_peak == 25.0


def test_a_stretch_that_is_not_there_is_told(tmp_path, flat):
    cut_off = tmp_path / "cut.mkv"
    whole = clips.make(tmp_path / "clip.mkv", "-i", str(flat), "-map", "0:v", "-c", "copy")
    cut_off.write_bytes(whole.read_bytes()[: whole.stat().st_size // 3])
    late = (probe(flat).duration_s or 0) - 0.6
    found = stretches_of(cut_off, (0.0, 0.3), (late, late + 0.5)).damage
    assert [line for line in found if f"{late:.3f} s" in line]
    assert not [line for line in found if "from 0.000 s" in line]


def test_a_stretch_beyond_the_end_is_no_damage(flat):
    """The file has all it says it has: what asked for more is told so, and the other stretches are as good as ever."""
    assert not stretches_of(flat, (0.5, 1.5), (60.0, 70.0)).damage


def test_a_stretch_at_the_end_is_read_though_the_pictures_are_not_the_first_stream(tmp_path, flat):
    path = clips.make(tmp_path / "clip.mp4", "-i", str(flat), "-map", "0:a", "-map", "0:v", "-c", "copy")
    some = stretches_of(path, (1.0, 2.0))
    assert (some.video[0].index, some.video[0].fps_avg, some.damage) == (1, 25, ())


def test_a_file_without_a_length_is_read_through(tmp_path):
    some = stretches_of(clips.plain(tmp_path / "clip.h264"), (0.5, 1.0))
    assert some.scan_complete
    assert some.video[0].frames == clips.RATE * clips.SECONDS


def test_refusals_are_those_of_the_whole_probe(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_text("#EXTM3U\n#EXT-X-VERSION:3\nhttp://127.0.0.1:9/a.ts\n")
    with pytest.raises(InputError) as caught:
        stretches_of(path, (0.0, 1.0))
    assert caught.value.reason == "playlist"


READ_BY_CHILD = """
import pathlib, sys, time
from reelpress.facts.values import from_json, to_json
from reelpress.probe import media_child
from reelpress.probe.media_request import Request
account = open("/proc/self/io")
def read_bytes():
    account.seek(0)
    return int(account.read().split()[1])
stretches = ((100.0, 115.0), (600.0, 615.0))
request = Request(path=sys.argv[1].encode(), max_pixels=2**26, scan_budget_s=20, stretches=stretches)
before = read_bytes()
answer = media_child.answer(request)
print(read_bytes() - before, answer.facts.duration_s, answer.facts.video[0].fps_avg, len(answer.facts.damage))
"""


def test_of_a_long_file_little_is_read(tmp_path, flat):
    path = clips.make(tmp_path / "long.mkv", "-stream_loop", "599", "-i", str(flat), "-an", "-c", "copy")
    assert path.stat().st_size > 80_000_000
    command = [sys.executable, "-c", READ_BY_CHILD, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    read_bytes, duration_s, fps, damage = done.stdout.split()
    assert int(read_bytes) < 6_000_000
    assert (float(duration_s), fps, damage) == (pytest.approx(1200, abs=30), "25", "0")


PAUSED = ("-preset", "medium", "-x264-params", "b-adapt=0:bframes=3", "-force_key_frames", "60")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_stretch_within_a_pause_knows_when_it_began(tmp_path, suffix):
    """In MP4 the keyframe behind a pause is decoded at a time before the pause: seeking leads there."""
    still = ("-vf", "select='lt(n,50)+gte(n,1500)'", "-fps_mode", "vfr")
    path = clips.make(tmp_path / f"in{suffix}", *clips.picture(seconds=62), *still, *clips.X264, *PAUSED)
    for stretch in ((30.0, 32.0), (1.5, 55.0), (50.0, 61.0)):
        [track] = stretches_of(path, stretch).video
        [(begin_s, end_s)] = track.pauses_s
        assert (begin_s, end_s) == (pytest.approx(49 / 25, abs=0.002), pytest.approx(60, abs=0.002))
    assert probe(path).video[0].pauses_s == track.pauses_s


@pytest.mark.parametrize("stretch", [(1.0, 1.5), (1.0, 30.0), (20.0, 30.0)])
def test_a_still_end_is_seen_from_the_stretches_that_reach_it(tmp_path, stretch):
    path = clips.ends_still(tmp_path / "in.mp4", "-preset", "medium", until_s=60)
    [whole], [track] = probe(path).video, stretches_of(path, stretch).video
    assert whole.ends_still
    assert track.last_s == whole.last_s
    assert track.changes_until_s == pytest.approx(whole.changes_until_s, abs=0.1)


@pytest.mark.parametrize("stretch", [(10.5, 11.5), (3.0, 12.0)])
def test_sound_that_begins_later_than_ffmpeg_looks_is_told_where_a_stretch_begins_or_ends(
    tmp_path: Path, stretch: tuple[float, float]
) -> None:
    path = clips.make(
        tmp_path / "late.ts", *clips.picture(seconds=12), "-itsoffset", "10", *clips.tone(seconds=2),
        "-map", "0", "-map", "1", *clips.X264, "-b:v", "12M", "-minrate", "12M", "-maxrate", "12M", "-bufsize", "2M",
        "-x264-params", "nal-hrd=cbr", "-c:a", "aac",
    )  # fmt: skip
    sound = stretches_of(path, stretch).audio[0]
    assert (sound.decodes, sound.sample_rate_hz, sound.channels, sound.begins_late) == (True, 48_000, 1, True)
