"""The probe over 140 files nobody of this project made, against what the manifest and their makers say of them."""

from __future__ import annotations

import csv
import os
import re
import time
from fractions import Fraction
from functools import cache
from pathlib import Path

import pytest

from reelpress.errors import InputError
from reelpress.facts.media import DolbyVision, MediaFacts
from reelpress.probe.media import probe

MEDIA = Path(os.environ.get("REELPRESS_MEDIA") or Path(__file__).resolve().parents[3] / "shared" / "media")
MANIFEST = MEDIA / "manifest.csv"

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(
        not MANIFEST.is_file(), reason=f"no media corpus at {MEDIA}; REELPRESS_MEDIA names another place"
    ),
]


def _rows() -> list[dict[str, str]]:
    if not MANIFEST.is_file():
        return []
    with MANIFEST.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


ROWS = _rows()
BY_NAME = {Path(row["name"]).name: row for row in ROWS}

# Files that are refused, and the reason given.
REFUSED = {
    "demo_video.mp4": "not_media",  # a Git LFS pointer
    "8_OnlyOneEBMLElement.mkv": "not_media",
    "EBML-ELEM-START.mkv": "not_media",
    "sample_fragmented_sideloaded_track.mp4": "unreadable",
    "sample_malformed_free_box.mp4": "unreadable",
    "sample_fragmented_clearkey.mp4": "encrypted",
    "src01_hrc00_576x324.yuv420p10le.yuv": "unsupported_format",
    "src01_hrc01_576x324.yuv420p10le.yuv": "unsupported_format",
}
# Where packets tell another length than the manifest, which asked the header: what they tell.
MEASURED_S = {
    "sample_fragmented.mp4": 1.068,  # FFmpeg 5.1 read 143165 s
    "Enigma_Principles_of_Lust-part.mp4": 11.711,  # cut off; the header claims 210 s
    "direct-bff.mkv": 0.433,  # cut off; the header claims 8.3 s
    "nasa_13013.mp4": 13.056,  # the rest is subtitles
    "sample_opus.mp4": 1.0035,  # the manifest counts what the edit list hides
    "iibbibb_editlist_videoonly.mp4": 12.0,
    "sample_with_fake_auxiliary_tracks.mp4": 0.04,  # five frames at one time
    "mpeg2_field_encoding.mp4": 1.24,  # the ten frames before the first keyframe decode to nothing
    "sample_scte35.ts": 0.111,  # the rest is SCTE-35 messages
    "sample_h264_iframes_only.ts": 1.0,
    "sample_with_vobsub.mkv": 1.009,  # subtitles last longer
    "sample_with_pgs_subtitles.mkv": 1.01,
    "sample_with_srt.mkv": 1.071,
    "bbb_800x640_768kbps_30fps_avc_2b_firstpts_10_sec.mp4": 4.0,  # the manifest counts the ten seconds before it
}


@cache
def outcome(name: str) -> MediaFacts | InputError:
    try:
        return probe(MEDIA / "files" / BY_NAME[name]["name"])
    except InputError as error:
        return error


def facts(name: str) -> MediaFacts:
    found = outcome(name)
    assert isinstance(found, MediaFacts), found
    return found


def rows_with(column: str) -> list[str]:
    return [name for name, row in BY_NAME.items() if row[column] not in {"", "-"} and name not in REFUSED]


def test_the_corpus_is_whole() -> None:
    assert len(BY_NAME) == len(ROWS) == 140
    assert set(REFUSED) | set(MEASURED_S) <= set(BY_NAME)


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_every_file_gets_facts_or_a_reason_in_reasonable_time(name: str) -> None:
    began = time.monotonic()
    found = outcome(name)
    assert time.monotonic() - began < 30
    if name in REFUSED:
        assert isinstance(found, InputError)
        assert found.reason == REFUSED[name]
        assert found.evidence
        assert found.hint
        return
    assert isinstance(found, MediaFacts), found
    assert found.scan_complete
    assert found.container == BY_NAME[name]["container"]
    for position, video in enumerate(found.video):
        for field in ("fps_avg", "is_vfr", "pix_fmt", "bit_depth", "frames", "duration_s", "is_interlaced"):
            reason = found.unknown.get(f"video.{position}.{field}")
            assert (getattr(video, field) is None) == (reason is not None and "judged" not in reason), field
        assert video.decodes == (f"video.{position}.decodes" not in found.unknown)


@pytest.mark.parametrize("name", rows_with("width"))
def test_size_pixels_and_codec_are_the_manifests(name: str) -> None:
    row, video = BY_NAME[name], facts(name).video[0]
    assert (video.width, video.height) == (int(row["width"]), int(row["height"]))
    if row["pix_fmt"]:
        assert video.pix_fmt == row["pix_fmt"]
    codec = row["vcodec"].split(" ")[0].removeprefix("unknown:").replace("vvc1", "vvc")
    assert video.codec == codec
    ratio = re.search(r"SAR (\d+):(\d+)", row["notes"])
    assert video.sample_aspect_ratio == (Fraction(int(ratio[1]), int(ratio[2])) if ratio else 1)


@pytest.mark.parametrize("name", rows_with("width"))
def test_rotation_is_the_manifests_turned_clockwise(name: str) -> None:
    video = facts(name).video[0]
    assert video.rotation_deg == -int(BY_NAME[name]["rotation"] or 0) % 360
    assert video.mirrored is (name == "sample_rotate_and_reflect.mp4")
    if video.rotation_deg in {90, 270} and video.sample_aspect_ratio == 1:
        assert (video.display_width, video.display_height) == (video.height, video.width)


@pytest.mark.parametrize("name", rows_with("duration_s"))
def test_length_is_measured(name: str) -> None:
    expected = MEASURED_S.get(name, float(BY_NAME[name]["duration_s"]))
    measured = facts(name).duration_s
    assert measured is not None
    assert measured == pytest.approx(expected, abs=0.001 if name in MEASURED_S else max(0.08, 0.01 * expected))


# Rates FFmpeg 5.1 averaged from headers that are wrong, by what packets tell; elsewhere the manifest holds.
MEASURED_FPS = {
    "sample.flv": Fraction(30000, 1001),
    "sample_with_htc_rotation_track_name.mkv": Fraction(30000, 1001),
    "sample_with_ass_subtitles.mkv": Fraction(30000, 1001),
    "sample_with_srt.mkv": Fraction(30000, 1001),
    "sample_empty_track.mp4": Fraction(30000, 1001),  # 31.004 by a last frame without a length
    "sample_edit_list.mp4": Fraction(30000, 1001),  # 28.028 counts what the edit list hides
    "sample_sef_super_slow_motion.mp4": Fraction(30),
    "hdr10-video-with-sdr-container.mp4": Fraction(140000, 5087),
    "portrait_4k60.mp4": Fraction(60),
    "Enigma_Principles_of_Lust-part.mp4": Fraction(30000, 1001),
}


@pytest.mark.parametrize("name", rows_with("fps"))
def test_the_average_rate_is_measured(name: str) -> None:
    video = facts(name).video[0]
    if name in MEASURED_FPS:
        assert video.fps_avg == MEASURED_FPS[name]
        return
    claimed = float(Fraction(BY_NAME[name]["fps"].split("/")[1]))
    if video.frames in {0, 1} or claimed in {0, 1000} or name == "sample_with_fake_auxiliary_tracks.mp4":
        assert video.fps_avg is None or 1 < video.fps_avg < 60
    elif video.is_vfr:
        assert float(video.fps_avg or 0) == pytest.approx(claimed, rel=0.2)
    else:
        assert float(video.fps_avg or 0) == pytest.approx(claimed, rel=0.003)


@pytest.mark.parametrize("name", rows_with("fps"))
def test_as_many_frames_are_counted_as_came_out_of_ffmpeg(name: str) -> None:
    decoded = re.search(r"(\d+) frames out", BY_NAME[name]["notes"])
    if decoded is None:
        pytest.skip("the manifest has no count")
    known = {
        "oneminute.avi": 849,  # packets that change nothing give no frame
        "nasa_13013.mp4": 325,  # the manifest counted the other video stream
    }
    frames, expected = facts(name).video[0].frames, known.get(name, int(decoded[1]))
    assert frames is not None
    if "error lines" in BY_NAME[name]["notes"] and frames != expected:
        assert expected < frames < expected + 130  # broken frames are packets, too
        assert name in {
            "sample_vvc.mp4",  # FFmpeg 5.1 has no decoder for it
            "sample_missing_stsd.mp4",  # 5.1 gives up because of the sound
            "sample_with_invalid_nalu.mp4",
            "invalid-bitstream.webm",
            "Enigma_Principles_of_Lust-part.mp4",
        }
        return
    assert frames == expected


@pytest.mark.parametrize("name", rows_with("colour"))
def test_colour_is_what_ffprobe_found(name: str) -> None:
    colour = facts(name).video[0].colour
    full, matrix, primaries, transfer = BY_NAME[name]["colour"].split("/")
    assert colour.range == {"tv": "limited", "pc": "full", "-": colour.range}[full]
    if name == "frame_size_change.mp4":
        matrix = "bt470bg"  # what VP8 means by its colour space 0, as FFmpeg's decoder has told since
    for expected, found in ((matrix, colour.matrix), (primaries, colour.primaries), (transfer, colour.transfer)):
        assert found == (None if expected == "-" else expected)


@pytest.mark.parametrize("name", rows_with("acodec"))
def test_sound_is_the_manifests(name: str) -> None:
    tracks = facts(name).audio
    claims = BY_NAME[name]["acodec"].split(" + ")
    assert len(tracks) == len(claims)
    for track, claim in zip(tracks, claims, strict=True):
        codec, channels, rate = claim.split(" ")
        if codec == "?":
            continue
        assert (track.codec, track.channels, track.sample_rate_hz) == (codec, int(channels[:-2]), int(rate))
        assert track.decodes


@pytest.mark.parametrize("name", [n for n, r in BY_NAME.items() if r["vcodec"] == "" and n not in REFUSED])
def test_sound_alone_has_no_video(name: str) -> None:
    assert facts(name).video == ()
    assert facts(name).audio


@pytest.mark.parametrize("name", [n for n, r in BY_NAME.items() if "interlaced " in r["notes"] and r["width"]])
def test_field_order_is_found(name: str) -> None:
    order = re.search(r"interlaced (tt|bb|tb|bt)", BY_NAME[name]["notes"])
    video = facts(name).video[0]
    assert video.is_interlaced is True
    assert order is None or video.field_order == order[1]


def test_only_what_is_interlaced_is_called_so() -> None:
    found = {n for n in rows_with("width") if facts(n).video[0].is_interlaced}
    told = {n for n in rows_with("width") if "interlaced" in BY_NAME[n]["notes"]}
    assert found == told


def test_hdr_is_found_by_the_bitstream() -> None:
    hdr = {n for n in rows_with("width") if facts(n).video[0].colour.is_hdr}
    assert hdr == {n for n in rows_with("width") if BY_NAME[n]["colour"].endswith(("smpte2084", "arib-std-b67"))}
    assert facts("hdr10-video-with-sdr-container.mp4").video[0].colour.transfer == "smpte2084"


def test_dolby_vision_is_found_with_its_base_layer() -> None:
    dolby = {
        n: facts(n).video[0].colour.dolby_vision for n in rows_with("width") if facts(n).video[0].colour.dolby_vision
    }
    phone = DolbyVision(profile=8, compatibility_id=4, base_layer="hlg")
    assert dolby == {"dolbyVision-hdr.MOV": phone, "sample_with_color_info.mp4": phone, "sample_edit_list.mp4": phone}


def test_mastering_display_and_content_light_are_read() -> None:
    colour = facts("sample_with_colr_mdcv_and_clli.mp4").video[0].colour
    assert colour.mastering_display is not None
    assert colour.content_light is not None
    assert (colour.content_light.max_cll, colour.content_light.max_fall) == (1100, 180)


@pytest.mark.parametrize("name", ["h264-mjpeg.mp4", "h264-png.mkv", "bear_with_picture.flac"])
def test_covers_are_not_video(name: str) -> None:
    assert "attached_picture" in {o.kind for o in facts(name).other}
    assert all(v.codec == "h264" for v in facts(name).video)


def test_several_streams_are_all_listed() -> None:
    found = facts("nasa_13013.mp4")
    assert [(v.width, v.fps_avg) for v in found.video] == [(320, 25), (480, Fraction(30000, 1001))]
    assert (len(found.audio), [s.codec for s in found.subtitles]) == (2, ["mov_text", "mov_text"])
    assert found.main_video == found.video[1]


@pytest.mark.parametrize(
    ("name", "codec", "is_text"),
    [
        ("mov_text.mp4", "mov_text", True),
        ("webvtt.mkv", "webvtt", True),
        ("sample_with_srt.mkv", "subrip", True),
        ("sample_with_ass_subtitles.mkv", "ass", True),
        ("sample_with_pgs_subtitles.mkv", "hdmv_pgs_subtitle", False),
        ("sample_with_vobsub.mkv", "dvd_subtitle", False),
    ],
)
def test_subtitles_are_listed_as_text_or_pictures(name: str, codec: str, is_text: bool) -> None:
    assert [(s.codec, s.is_text) for s in facts(name).subtitles] == [(codec, is_text)]


@pytest.mark.parametrize("name", ["sample_with_chapters.mp4", "sample_with_chapters.mkv"])
def test_chapters_are_listed(name: str) -> None:
    chapters = facts(name).chapters
    assert chapters
    assert all(c.end_s >= c.start_s >= 0 for c in chapters)


@pytest.mark.parametrize("name", ["scte20.mp4", "sd-hls0000000000.ts"])
def test_closed_captions_are_seen(name: str) -> None:
    assert facts(name).video[0].has_closed_captions


@pytest.mark.parametrize(
    ("name", "start_s"),
    [
        ("mpeg2_field_encoding.mp4", 22953.768),  # ten frames before it need one that was cut off
        ("scte20.mp4", 1.720),  # two frames before it need one that was cut off,
        ("bbb_800x640_768kbps_30fps_avc_2b_firstpts_10_sec.mp4", 10.0),
        ("sample_edit_list.mp4", 0.0),
        ("sample.avi", 0.0),
        ("edit_list_positive_shift.mp4", 0.0),
    ],
)
def test_starts_are_kept(name: str, start_s: float) -> None:
    assert facts(name).start_s == pytest.approx(start_s, abs=0.001)


@pytest.mark.parametrize(("name", "frames_late"), [("test.avi", 1 / 25), ("sample-with-large-length.avi", 3 / 30)])
def test_an_avi_with_b_frames_starts_when_ffmpeg_shows_its_first(name: str, frames_late: float) -> None:
    assert facts(name).video[0].start_s == pytest.approx(frames_late)
    assert facts(name).start_s == 0.0  # the sound


def test_a_delayed_track_starts_late() -> None:
    found = facts("edit_list_positive_shift.mp4")
    assert (found.video[0].start_s, found.audio[0].start_s) == (pytest.approx(1.0), pytest.approx(0.0))
    assert found.video[0].edits[0].media_time_s is None


@pytest.mark.parametrize("category", ["fragmented"])
def test_fragmented_files_are_called_so(category: str) -> None:
    told = {n for n, r in BY_NAME.items() if r["category"] == category}
    assert told
    assert all(facts(n).is_fragmented for n in told)


def test_variable_rates_are_found_and_constant_ones_are_not_called_variable() -> None:
    found = {n for n in rows_with("fps") if facts(n).video[0].is_vfr}
    assert {"demo_skeleton.mp4", "1.mp4", "sample_android_slow_motion.mp4", "wmv8_x8intra.wmv"} <= found
    constant = {"agent327_720p_70s.mp4", "roadtrip-vp92-10bit.webm", "vp9_webrtc_3.webm", "frame_size_change.mp4"}
    assert not found & constant


def test_sizes_that_change_are_noticed() -> None:
    assert {n for n in rows_with("width") if facts(n).video[0].changes_size} == {"frame_size_change.mp4"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Enigma_Principles_of_Lust-part.mp4", "file ends early"),
        ("direct-bff.mkv", "file ends early"),
        ("invalid-bitstream.webm", "decoding"),
        ("sample_mdat_too_long.mp4", "claims"),
    ],
)
def test_damage_is_told(name: str, words: str) -> None:
    assert any(words in line for line in facts(name).damage)


def test_healthy_files_have_no_damage() -> None:
    damaged = {n: facts(n).damage for n in BY_NAME if n not in REFUSED and facts(n).damage}
    assert set(damaged) == {
        "Enigma_Principles_of_Lust-part.mp4",
        "direct-bff.mkv",
        "invalid-bitstream.webm",
        "sample_with_invalid_nalu.mp4",
        "sample_mdat_too_long.mp4",
    }
