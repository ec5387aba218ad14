"""What is promised of every output, proven on real files with both FFmpegs: picture, time, colour, streams."""

from __future__ import annotations

import json
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from reelpress.probe.media import probe

import clips
import measure
from conftest import Compress

pytestmark = pytest.mark.media


def tags(path: Path) -> dict[str, str]:
    with av.open(str(path)) as container:
        return dict(container.metadata)


@pytest.mark.parametrize(
    ("turn", "want"),
    [
        (0, ("red", "green", "blue", "white")),
        (90, ("green", "white", "red", "blue")),
        (180, ("white", "blue", "green", "red")),
        (270, ("blue", "red", "white", "green")),
    ],
)
def test_rotation_is_baked_and_the_flag_cleared(compress: Compress, tmp_path: Path, turn: int, want: tuple) -> None:
    flat = measure.four_corners(tmp_path / "flat.mp4")
    source = clips.rotated(tmp_path / "in.mp4", flat, turn)
    receipt = compress(source)
    assert measure.corners(measure.frames(tmp_path / "out.mp4")[10][1]) == want
    track = probe(tmp_path / "out.mp4").video[0]
    assert (track.rotation_deg, track.mirrored) == (0, False)
    assert (track.width, track.height) == ((180, 320) if turn in (90, 270) else (320, 180))
    assert bool(turn) == any(r.code == "rotation_baked" for r in receipt.reasons)


def test_mirrored_matrix_is_baked(compress: Compress, tmp_path: Path) -> None:
    flat = measure.four_corners(tmp_path / "flat.mp4")
    source = clips.rotated(tmp_path / "in.mp4", flat, 0, "-display_hflip")
    compress(source)
    assert measure.corners(measure.frames(tmp_path / "out.mp4")[10][1]) == ("green", "red", "white", "blue")
    assert probe(tmp_path / "out.mp4").video[0].mirrored is False


@pytest.mark.parametrize("turn", [0, 90, 180])
def test_what_the_container_crops_is_cropped_once(compress: Compress, tmp_path: Path, turn: int) -> None:
    flat = measure.four_corners(tmp_path / "flat.mp4")
    cut = clips.clean_aperture(tmp_path / "cut.mp4", flat, (160, 90), (80, -45))  # its upper right quarter
    receipt = compress(clips.rotated(tmp_path / "in.mp4", cut, turn))
    assert measure.corners(measure.frames(tmp_path / "out.mp4")[10][1]) == ("green",) * 4
    track = probe(tmp_path / "out.mp4").video[0]
    assert (track.width, track.height) == ((90, 160) if turn == 90 else (160, 90))
    assert track.crop is None
    assert "cropped" in {r.code for r in receipt.reasons}


def test_variable_frame_rate_is_kept_by_timestamps(compress: Compress, tmp_path: Path) -> None:
    source = clips.variable(tmp_path / "in.mp4")
    compress(source)
    before, after = measure.times(source), measure.times(tmp_path / "out.mp4")
    assert len(after) == len(before)
    assert np.abs(np.array(after) - np.array(before)).max() < 0.002


def test_a_gap_stays_a_gap(compress: Compress, tmp_path: Path) -> None:
    source = clips.with_gap(tmp_path / "in.mp4")
    compress(source)
    before, after = measure.times(source), measure.times(tmp_path / "out.mp4")
    assert np.allclose(before, after, atol=0.002)


def test_a_slow_motion_source_fits_an_encoder_of_at_most_240_pictures_a_second(
    compress: Compress, tmp_path: Path
) -> None:
    source = clips.plain(tmp_path / "in.mp4", rate="480", seconds=1)
    assert compress(source, codec="av1", preset="12").encoder == "libsvtav1"
    assert float(measure.average_rate(tmp_path / "out.mp4")) == pytest.approx(30, rel=0.05)


@pytest.mark.parametrize(
    "tags",
    [
        "format=yuv420p,setparams=colorspace=ycgco",
        "format=yuv420p10le,setparams=color_primaries=bt2020:color_trc=arib-std-b67:colorspace=bt2020c",
        "format=gbrp10le,setparams=range=pc:color_primaries=bt2020:color_trc=smpte2084:colorspace=gbr",
        "format=yuv420p,setparams=color_primaries=jedec-p22",
    ],
)
@pytest.mark.parametrize("wish", [{}, {"codec": "hevc", "hdr": "keep"}], ids=["h264", "hevc"])
def test_rare_descriptions_of_colour_do_not_stand_in_the_way(
    compress: Compress, tmp_path: Path, tags: str, wish: dict[str, str]
) -> None:
    source = clips.make(tmp_path / "in.mkv", *clips.picture(seconds=0.2), "-vf", tags, "-c:v", "ffv1")
    compress(source, **wish)


def test_colours_of_a_matrix_that_few_players_know_stay_as_they_are(compress: Compress, tmp_path: Path) -> None:
    compress(measure.four_corners_in_ycgco(tmp_path / "in.mp4"))
    assert measure.corners(measure.frames(tmp_path / "out.mp4")[3][1]) == ("red", "green", "blue", "white")


@pytest.mark.parametrize(("rate", "cap", "want"), [("60", 30, 30), ("50", 30, 25), ("40", 30, 30), ("25", 30, 25)])
def test_frame_rate_cap_drops_and_never_repeats(
    compress: Compress, tmp_path: Path, rate: str, cap: int, want: float
) -> None:
    source = clips.plain(tmp_path / "in.mp4", rate=rate)
    compress(source, max_fps=Fraction(cap))
    before, after = measure.times(source), measure.times(tmp_path / "out.mp4")
    assert len(after) / 2 == pytest.approx(want, rel=0.03)
    assert all(min(abs(t - b) for b in before) < 0.002 for t in after), "a frame stands where none was"
    assert len(set(after)) == len(after)


def test_what_a_recording_of_a_screen_stops_at_is_kept(compress: Compress, tmp_path: Path) -> None:
    """Thirty-two frames at 60 a second, and then nothing for two seconds: the last one is what was shown."""
    source = clips.make(
        tmp_path / "in.mkv", *clips.picture(rate="60", seconds=5.0), "-vf", "select='lt(n,32)+between(n,152,183)'",
        "-fps_mode", "vfr", *clips.X264,
    )  # fmt: skip
    compress(source)
    out = probe(tmp_path / "out.mp4").video[0]
    with av.open(str(tmp_path / "out.mp4")) as container:
        times = sorted(float(p.pts * p.time_base) for p in container.demux(video=0) if p.pts is not None)
    assert pytest.approx(next(t for t in times if t > 0.5), abs=0.002) == 31 / 60
    assert pytest.approx(times[-1], abs=0.002) == 183 / 60
    assert out.frames is not None
    assert out.frames < 40


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
@pytest.mark.parametrize(("name", "cap"), [("in.mp4", "60"), ("in.mkv", "60"), ("in.mp4", "10")])
def test_a_last_picture_that_stays_stays_as_long(
    compress: Compress, tmp_path: Path, codec: str, name: str, cap: str
) -> None:
    """What encoders make ends with the length of one frame; a recording that ended on what stands still was cut."""
    presets = {"h264": "medium", "hevc": "ultrafast", "av1": "12"}
    select = "1" if name == "in.mp4" else "lt(n,25)+not(mod(n,3))"
    source = clips.ends_still(tmp_path / name, until_s=8.5, select=select)
    compress(source, codec=codec, preset=presets[codec], max_fps=Fraction(cap))
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.duration is not None
        assert container.duration / av.time_base == pytest.approx(8.5, abs=0.05)
    before, after = measure.times(source), measure.times(tmp_path / "out.mp4")
    assert {round(t, 2) for t in after} <= {round(t, 2) for t in before}
    assert len(after) == len(before) or cap == "10"
    assert max(after) == pytest.approx(48 / 25, abs=0.05)


def test_matroska_milliseconds_are_put_back_on_the_grid(compress: Compress, tmp_path: Path) -> None:
    source = clips.plain(tmp_path / "in.mkv", rate="24000/1001")
    compress(source)
    after = measure.times(tmp_path / "out.mp4")
    assert np.allclose(np.diff(after), 1001 / 24000, atol=1e-5)
    assert float(measure.average_rate(tmp_path / "out.mp4")) == pytest.approx(24000 / 1001, rel=1e-3)


@pytest.mark.parametrize("kind", ["hlg", "hdr10"])
def test_hdr_becomes_bt709_and_is_not_washed_out(compress: Compress, tmp_path: Path, kind: str) -> None:
    source = getattr(clips, kind)(tmp_path / "in.mp4")
    receipt = compress(source)
    colour = probe(tmp_path / "out.mp4").video[0].colour
    assert (colour.primaries, colour.transfer, colour.matrix) == ("bt709", "bt709", "bt709")
    assert colour.range in ("limited", None)
    assert any(r.code == "tonemapped" for r in receipt.reasons)
    picture = measure.frames(tmp_path / "out.mp4")[0][1].astype(float)
    assert picture.max() - picture.min() > 150, "flat"
    saturation = (picture.max(axis=2) - picture.min(axis=2)).max()
    assert saturation > 120, "grey"


@pytest.mark.parametrize("codec", ["hevc", "av1"])
def test_hdr_is_kept_as_ten_bit_where_asked(compress: Compress, tmp_path: Path, codec: str) -> None:
    source = clips.hdr10(tmp_path / "in.mp4")
    compress(source, codec=codec, hdr="keep", preset="ultrafast" if codec == "hevc" else "12")
    track = probe(tmp_path / "out.mp4").video[0]
    assert (track.codec, track.pix_fmt) == (codec, "yuv420p10le")
    assert (track.colour.transfer, track.colour.primaries) == ("smpte2084", "bt2020")
    assert track.colour.mastering_display is not None
    assert track.colour.mastering_display.max_luminance == 1000
    assert track.colour.content_light is not None
    assert track.colour.content_light.max_cll == 1000


def test_interlaced_is_deinterlaced(compress: Compress, tmp_path: Path) -> None:
    source = clips.interlaced(tmp_path / "in.mp4")
    assert probe(source).video[0].is_interlaced
    receipt = compress(source)
    assert any(r.code == "deinterlaced" for r in receipt.reasons)
    track = probe(tmp_path / "out.mp4").video[0]
    assert track.is_interlaced is False
    assert track.frames == probe(source).video[0].frames
    # combing is energy between neighbouring rows that neighbours two rows apart do not have
    before, after = measure.frames(source)[20][1], measure.frames(tmp_path / "out.mp4")[20][1]

    def combing(picture: np.ndarray) -> float:
        rows = picture.astype(float).mean(axis=2)
        return float(np.abs(rows[1:-1] - (rows[:-2] + rows[2:]) / 2).mean())

    assert combing(after) < 0.8 * combing(before)


@pytest.mark.parametrize(("sar", "want"), [("64/45", (456, 180)), ("2/3", (212, 180)), ("1/1", (320, 180))])
def test_pixels_become_square(compress: Compress, tmp_path: Path, sar: str, want: tuple[int, int]) -> None:
    source = clips.plain(tmp_path / "in.mp4", "-vf", f"setsar={sar}")
    compress(source)
    track = probe(tmp_path / "out.mp4").video[0]
    assert track.sample_aspect_ratio == 1
    assert abs(track.width - want[0]) <= 2
    assert track.height == want[1]


@pytest.mark.parametrize("size", ["321x181", "161x121", "99x33"])
def test_odd_sizes_become_even_and_not_larger(compress: Compress, tmp_path: Path, size: str) -> None:
    width, height = map(int, size.split("x"))
    source = clips.make(tmp_path / "in.mkv", *clips.picture(size), "-c:v", "ffv1", "-pix_fmt", "yuv444p")
    compress(source)
    track = probe(tmp_path / "out.mp4").video[0]
    assert (track.width, track.height) == (width - 1, height - 1)


@pytest.mark.by_turns
@pytest.mark.parametrize(
    "pix_fmt", ["yuv420p10le", "yuv422p", "yuv444p", "yuv422p10le", "yuvj420p", "gbrp", "bgra", "gray", "yuva420p"]
)
def test_every_pixel_format_becomes_limited_yuv420p(compress: Compress, tmp_path: Path, pix_fmt: str) -> None:
    codec = "ffv1" if pix_fmt != "yuvj420p" else "mjpeg"
    quality = ("-q:v", "1") if codec == "mjpeg" else ()
    source = measure.four_corners(
        tmp_path / "in.mkv", "-c:v", codec, *quality, "-pix_fmt", pix_fmt, "-strict", "-1", encode=()
    )
    compress(source)
    track = probe(tmp_path / "out.mp4").video[0]
    assert track.pix_fmt == "yuv420p"
    assert track.colour.range in ("limited", None)
    if pix_fmt != "gray":
        before, after = measure.frames(source)[10][1], measure.frames(tmp_path / "out.mp4")[10][1]
        assert measure.corners(after) == ("red", "green", "blue", "white")
        assert np.abs(before.astype(float).mean(axis=(0, 1)) - after.astype(float).mean(axis=(0, 1))).max() < 8


def test_all_streams_are_kept_or_told(compress: Compress, tmp_path: Path) -> None:
    source = clips.everything(tmp_path / "in.mkv", tmp_path)
    receipt = compress(source)
    out = probe(tmp_path / "out.mp4")
    assert [a.codec for a in out.audio] == ["aac", "aac"]
    assert [a.language for a in out.audio] == ["ger", "eng"]
    assert [s.codec for s in out.subtitles] == ["mov_text"]
    assert [c.title for c in out.chapters] == ["One", "Two"]
    assert out.title == "A film"
    assert {s.kind for s in receipt.streams if s.action == "drop"} == {"attachment", "attached_picture"}
    assert sum("dropped" in w for w in receipt.warnings) == 2


def test_a_chapter_that_ends_before_the_pictures_begin_is_not_missed(compress: Compress, tmp_path: Path) -> None:
    names = tmp_path / "chapters.txt"
    starts = ("0\nEND=1000\ntitle=before", "2000\nEND=3000\ntitle=in it")
    names.write_text(";FFMETADATA1\n" + "".join(f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={each}\n" for each in starts))
    late = ("-itsoffset", "2", *clips.picture(), "-i", str(names), "-map", "0", "-map_chapters", "1")
    source = clips.make(tmp_path / "in.mkv", *late, *clips.X264, "-crf", "10")
    assert len(probe(source).chapters) == 2
    compress(source)
    assert [c.title for c in probe(tmp_path / "out.mp4").chapters] == ["in it"]


def test_subtitles_that_nothing_decodes_do_not_stand_in_the_way(compress: Compress, tmp_path: Path) -> None:
    words = tmp_path / "words.srt"
    words.write_text("1\n00:00:00,500 --> 00:00:01,000\nhello\n", encoding="utf-8")
    kinds = ("-c:s", "ttml")
    source = clips.make(tmp_path / "in.mp4", *clips.picture(), "-i", str(words), *clips.X264, "-crf", "10", *kinds)
    receipt = compress(source)
    assert probe(tmp_path / "out.mp4").subtitles == ()
    assert any("No decoder for its subtitles (ttml)" in w for w in receipt.warnings)


@pytest.mark.parametrize(("policy", "want"), [("keep", 6), ("stereo", 2)])
def test_surround_is_kept_or_mixed_down(compress: Compress, tmp_path: Path, policy: str, want: int) -> None:
    source = clips.make(
        tmp_path / "in.mkv", *clips.picture(), *clips.tone(), *clips.X264, "-af", "aformat=channel_layouts=5.1",
        "-c:a", "ac3", "-b:a", "448k",
    )  # fmt: skip
    compress(source, audio_channels=policy)
    assert probe(tmp_path / "out.mp4").audio[0].channels == want


def test_fitting_aac_is_copied_bit_for_bit(compress: Compress, tmp_path: Path) -> None:
    source = clips.with_sound(tmp_path / "in.mp4", "-b:a", "96k")
    receipt = compress(source)
    assert next(s for s in receipt.streams if s.kind == "audio").action == "copy"

    def packets(path: Path) -> list[bytes]:
        with av.open(str(path)) as container:
            return [bytes(p) for p in container.demux(audio=0) if p.size]

    assert packets(tmp_path / "out.mp4") == packets(source)


def test_date_place_and_title_are_kept(compress: Compress, tmp_path: Path) -> None:
    source = clips.with_sound(
        tmp_path / "in.mov", "-metadata", "creation_time=2024-01-24T14:50:14Z", "-metadata", "title=Holiday",
        "-metadata", "com.apple.quicktime.location.ISO6709=+37.7450-122.4301+066.374/",
        "-movflags", "use_metadata_tags",
    )  # fmt: skip
    compress(source)
    out = probe(tmp_path / "out.mp4")
    assert out.location == "+37.7450-122.4301+066.374/"
    assert out.title == "Holiday"
    assert (out.creation_time or "").startswith("2024-01-24T14:50:14")


def test_date_and_title_are_kept_without_a_place(compress: Compress, tmp_path: Path) -> None:
    source = clips.with_sound(tmp_path / "in.mkv", "-metadata", "title=A name", "-metadata", "comment=Said")
    compress(source)
    assert tags(tmp_path / "out.mp4")["title"] == "A name"
    assert tags(tmp_path / "out.mp4")["comment"] == "Said"


SYNC = {
    "mp4 from zero": ("in.mp4", ("-c:a", "aac", "-b:a", "96k")),
    "ts from 600 s": ("in.ts", ("-c:a", "aac", "-b:a", "96k", "-output_ts_offset", "600")),
    "ts with mp2": ("in.ts", ("-c:a", "mp2",)),
    "mkv with opus": ("in.mkv", ("-c:a", "libopus",)),
    "mkv with pcm": ("in.mkv", ("-c:a", "pcm_s16le",)),
    "video with b-frames": ("in.mp4", ("-bf", "3", "-preset", "medium", "-c:a", "aac", "-b:a", "96k")),
}  # fmt: skip


@pytest.mark.parametrize("name", SYNC)
def test_sound_stays_with_the_picture(compress: Compress, tmp_path: Path, name: str) -> None:
    file, options = SYNC[name]
    source = measure.flash_and_beep(tmp_path / file, *options)
    compress(source)
    assert abs(measure.offset_ms(tmp_path / "out.mp4")) < 40


def test_sound_stays_when_it_starts_late(compress: Compress, tmp_path: Path) -> None:
    whole = measure.flash_and_beep(tmp_path / "whole.mp4", "-c:a", "aac", "-b:a", "96k")
    late = clips.make(
        tmp_path / "in.mp4", "-i", str(whole), "-ss", "0.5", "-i", str(whole), "-map", "0:v", "-map", "1:a",
        "-c:v", "copy", "-c:a", "aac", "-af", "asetpts=PTS+0.5/TB",
    )  # fmt: skip
    compress(late)
    assert abs(measure.offset_ms(tmp_path / "out.mp4")) < 40


@pytest.mark.parametrize("codec", ["copy", "aac"])
def test_edit_lists_leave_sound_and_picture_together(compress: Compress, tmp_path: Path, codec: str) -> None:
    """A lossless cut starts at a keyframe before the cut and hides the rest with an edit list."""
    whole = measure.flash_and_beep(tmp_path / "whole.mp4", "-g", "50", "-bf", "2", "-c:a", "aac", "-b:a", "96k")
    cut = clips.make(tmp_path / "in.mp4", "-ss", "0.6", "-i", str(whole), "-c:v", "copy", "-c:a", codec)
    compress(cut)
    before, after = measure.flash_time(cut), measure.flash_time(tmp_path / "out.mp4")
    assert abs(after - before) < 0.021
    assert abs(measure.offset_ms(tmp_path / "out.mp4") - measure.offset_ms(cut)) < 40
    assert abs(measure.offset_ms(tmp_path / "out.mp4")) < 40


def test_audio_only_is_kept_with_a_reason(compress: Compress, tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.m4a", *clips.tone(), "-c:a", "aac")
    receipt = compress(source, status="skipped")
    assert receipt.reasons[0].code == "audio_only"
    assert receipt.output is None
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("name", ["still.png", "still.jpg"])
def test_images_are_rejected_with_a_reason(compress: Compress, tmp_path: Path, name: str) -> None:
    source = clips.still(tmp_path / name)
    receipt = compress(source, status="rejected")
    assert receipt.exit_code == 3
    assert "still picture" in (receipt.error or "")


def test_empty_file_is_rejected_with_a_reason(compress: Compress, tmp_path: Path) -> None:
    (tmp_path / "in.mp4").touch()
    receipt = compress(tmp_path / "in.mp4", status="rejected")
    assert (receipt.exit_code, "empty" in (receipt.error or "")) == (3, True)


def test_a_picture_that_is_turned_midway_keeps_its_shape(compress: Compress, tmp_path: Path) -> None:
    """A phone that is turned while it sends (WebRTC), or recordings that were joined."""
    parts = [
        clips.plain(tmp_path / f"{n}.ts", "-output_ts_offset", str(2 * n), size=size, seconds=2.0)
        for n, size in enumerate(("320x180", "180x320"))
    ]
    source = tmp_path / "in.ts"
    source.write_bytes(b"".join(part.read_bytes() for part in parts))
    receipt = compress(source)
    assert any(reason.code == "size_changes" for reason in receipt.reasons)
    with av.open(str(tmp_path / "out.mp4")) as container:
        pictures = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    assert {picture.shape for picture in pictures} == {(180, 320)}
    first, last = pictures[5], pictures[-5]
    assert first[:, :60].mean() > 40
    assert last[:, :60].mean() < 20  # 180x320 within 320x180 is 102 pixels wide
    assert last[:, 120:200].mean() > 40


def test_nothing_is_enlarged(compress: Compress, tmp_path: Path) -> None:
    source = clips.plain(tmp_path / "in.mp4", size="160x90")
    compress(source)
    track = probe(tmp_path / "out.mp4").video[0]
    assert (track.width, track.height) == (160, 90)


def test_a_source_that_is_dense_first_and_still_afterwards_is_encoded_to_its_end(
    compress: Compress, tmp_path: Path
) -> None:
    """After its first third nearly all is written; the rest, like a talk after its titles, takes next to nothing."""
    source = clips.make(
        tmp_path / "in.mp4", *clips.picture("1280x720", seconds=3.0),
        "-vf", "noise=alls=40:allf=t,tpad=stop_duration=6:stop_mode=clone", *clips.X264, "-crf", "20",
    )  # fmt: skip
    receipt = compress(source, always_encode=False, crf=22.0)
    assert receipt.output is not None


def test_an_encode_that_would_grow_gives_way_to_a_remux(compress: Compress, tmp_path: Path) -> None:
    source = clips.with_sound(tmp_path / "in.mkv", "-crf", "45", "-b:a", "64k")
    receipt = compress(source, status="copied", always_encode=False, crf=10.0)
    assert any(r.code == "outgrew" for r in receipt.reasons)
    assert receipt.encoder == "copy"
    assert receipt.source is not None
    assert receipt.result is not None

    def packets(path: Path) -> int:
        with av.open(str(path)) as container:
            return sum(1 for p in container.demux(video=0) if p.size)

    assert packets(tmp_path / "out.mp4") == packets(source)


def test_an_encode_that_would_grow_keeps_an_input_mp4_cannot_hold(compress: Compress, tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.webm", *clips.picture(), "-c:v", "libvpx-vp9", "-crf", "60", "-b:v", "0")
    receipt = compress(source, status="skipped", always_encode=False, crf=5.0)
    assert not (tmp_path / "out.mp4").exists()
    assert any(r.code == "kept" for r in receipt.reasons)


@pytest.mark.parametrize("name", ["a.avi", "a.h264"])
def test_pictures_whose_times_nobody_knows_are_not_remuxed(compress: Compress, tmp_path: Path, name: str) -> None:
    """FFmpeg writes times of decoding for those of showing: B-frames came out in the wrong order, and passed."""
    source = clips.plain(tmp_path / name, "-preset", "medium", "-bf", "3", "-crf", "45")
    compress(source, status="skipped", always_encode=False, crf=5.0)


def test_output_is_faststart_and_says_so(compress: Compress, tmp_path: Path) -> None:
    compress(clips.with_sound(tmp_path / "in.mp4"))
    assert probe(tmp_path / "out.mp4").is_faststart is True


def test_source_is_untouched_and_hashed(compress: Compress, tmp_path: Path) -> None:
    source = clips.with_sound(tmp_path / "in.mp4")
    before = (source.read_bytes(), source.stat().st_mtime_ns)
    receipt = compress(source)
    assert (source.read_bytes(), source.stat().st_mtime_ns) == before
    digest = subprocess.run(["sha256sum", source, tmp_path / "out.mp4"], capture_output=True, text=True, check=True)
    hashes = [line.split()[0] for line in digest.stdout.splitlines()]
    assert receipt.source is not None
    assert receipt.result is not None
    assert [receipt.source.sha256, receipt.result.sha256] == hashes


@pytest.mark.parametrize(("codec", "preset", "tag"), [("hevc", "ultrafast", "hvc1"), ("av1", "12", "av01")])
def test_other_codecs_are_tagged_for_players(
    compress: Compress, tmp_path: Path, codec: str, preset: str, tag: str
) -> None:
    compress(clips.with_sound(tmp_path / "in.mp4"), codec=codec, preset=preset)
    track = probe(tmp_path / "out.mp4").video[0]
    assert (track.codec, track.codec_tag) == (codec, tag)


def test_receipt_names_the_build_that_ran(compress: Compress, host: object, tmp_path: Path) -> None:
    receipt = compress(clips.plain(tmp_path / "in.mp4"))
    assert receipt.attempts[-1].ffmpeg_version == host.ffmpegs[0].version  # type: ignore[attr-defined]
    assert json.dumps(receipt.attempts[-1].argv[0]) == json.dumps(host.ffmpegs[0].path)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["in.avi", "in.asf"])
def test_what_does_not_say_when_pictures_are_shown_is_kept_and_not_copied(
    compress: Compress, tmp_path: Path, name: str
) -> None:
    flat = ("-f", "lavfi", "-i", "color=gray:size=1280x720:rate=25:duration=4,drawgrid=w=100:h=100")
    source = clips.make(tmp_path / name, *flat, "-c:v", "libx264", "-crf", "30", "-bf", "2", "-pix_fmt", "yuv420p")
    receipt = compress(source, status="skipped", always_encode=False)
    assert any("does not say when a picture is shown" in r.text for r in receipt.reasons)


def test_an_encode_on_course_to_outgrow_its_input_is_stopped_midway(compress: Compress, tmp_path: Path) -> None:
    noise = ("-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=20,noise=alls=60:allf=t")
    source = clips.make(tmp_path / "in.mkv", *noise, *clips.X264, "-crf", "51")
    receipt = compress(source, status="copied", always_encode=False, crf=1.0, preset="medium")
    first = receipt.attempts[0]
    assert first.failure == "stopped"
    assert "allowed" in (first.evidence or "") or "bytes" in " ".join(r.text for r in receipt.reasons)
    assert receipt.encoder == "copy"


@pytest.mark.parametrize(("picture", "still"), [("color=gray", True), ("testsrc2,noise=alls=60:allf=t", False)])
def test_samples_tell_a_still_picture_from_a_moving_one(
    compress: Compress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, picture: str, still: bool
) -> None:
    # a programme short enough for a test, and no judgement from its bit rate alone
    monkeypatch.setattr("reelpress.plan.sampling.CONTENT_FROM_DURATION_S", 20.0)
    monkeypatch.setattr("reelpress.plan.worth.STILL_BPP", 0.0)
    name, _, more = picture.partition(",")
    joint = ":" if "=" in name else "="
    graph = f"{name}{joint}size=320x180:rate=25:duration=24" + (f",{more}" if more else "")
    source = clips.make(tmp_path / "in.mp4", "-f", "lavfi", "-i", graph, *clips.X264)
    receipt = compress(source, preset=None)
    assert any(r.code == "content_still" for r in receipt.reasons) is still
    assert "sample" in [s.name for s in receipt.stages]
    thorough = any("subme=3" in token for token in receipt.attempts[-1].argv)
    assert thorough is not still


def test_a_source_that_spends_next_to_nothing_is_still_without_samples(compress: Compress, tmp_path: Path) -> None:
    source = clips.make(
        tmp_path / "in.mp4", "-f", "lavfi", "-i", "color=gray:size=320x180:rate=25:duration=3", *clips.X264
    )
    receipt = compress(source, preset=None)
    assert any(r.code == "content_still" for r in receipt.reasons)
    assert "sample" not in [s.name for s in receipt.stages]
