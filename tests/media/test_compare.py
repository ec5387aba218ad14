"""Measuring an encode against its reference, on clips whose differences are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from reelpress.engine import compress_file
from reelpress.facts.host import HostFacts
from reelpress.facts.quality import Comparison, Measuring, Window
from reelpress.probe.host import probe_host
from reelpress.probe.media import probe
from reelpress.quality.measure import measure
from reelpress.request import Request
from reelpress.run.process import run

import clips
from thorough import every_second

pytestmark = pytest.mark.media

HOST = probe_host()


def ffmpeg(*args: str) -> None:
    scorer = HOST.scorer
    assert scorer is not None
    done = run((scorer.path, "-hide_banner", "-nostdin", "-loglevel", "error", "-y", *args))
    assert done.returncode == 0, done.stderr_tail


def compare(reference: Path, encoded: Path, host: HostFacts = HOST, **how: Any) -> Comparison:
    return measure(reference, probe(reference), encoded, probe(encoded), how=Measuring(**how), host=host)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of moving pictures at 30 fps, and noise that fades in and out."""
    path = tmp_path_factory.mktemp("compare") / "source.mp4"
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=s=320x180:r=30:d=2", "-f", "lavfi", "-i", "anoisesrc=d=2:a=0.4:seed=7",
        "-af", "tremolo=f=1.3:d=0.9", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "12", "-bf", "2",
        "-pix_fmt", "yuv420p", "-c:a", "aac", str(path),
    )  # fmt: skip
    return path


def test_a_file_against_itself_is_what_the_model_gives_for_identical_pictures(source: Path) -> None:
    found = compare(source, source)
    assert found.verdict == "measured", found.cause
    assert found.frames == found.looked_frames == 60
    assert found.psnr_y_db is not None
    assert found.psnr_cr_db is not None
    assert found.psnr_y_db.min == found.psnr_cr_db.min == 60.0
    assert found.vmaf is not None
    assert found.vmaf.min > 97
    assert found.self_test is not None
    assert found.self_test.passed
    assert found.findings == ()


def test_coarser_encodes_score_less(source: Path, tmp_path: Path) -> None:
    means = []
    for crf in (20, 40):
        made = tmp_path / f"{crf}.mp4"
        ffmpeg("-i", str(source), "-c:v", "libx264", "-crf", str(crf), "-c:a", "copy", str(made))
        found = compare(source, made, ssim=True, xpsnr=True)
        assert found.vmaf is not None
        assert found.ssim is not None
        assert found.xpsnr_db is not None
        assert found.damage == ()
        means.append((found.vmaf.mean, found.ssim.mean, found.xpsnr_db.mean))
    assert all(fine > coarse + 1 for fine, coarse in zip(*means, strict=True))


def test_windows_are_scored_like_the_same_frames_of_the_whole(source: Path, tmp_path: Path) -> None:
    made = tmp_path / "made.mkv"
    ffmpeg("-i", str(source), "-c:v", "libx264", "-crf", "35", "-c:a", "copy", str(made))
    whole = compare(source, made, whole=True).by_frame
    part = compare(source, made, windows=(Window(start_s=1.0, duration_s=0.5),)).by_frame
    assert whole is not None
    assert part is not None
    assert part.at_s == pytest.approx(whole.at_s[30:45], abs=1e-3)
    assert part.psnr_y_db == pytest.approx(whole.psnr_y_db[30:45], abs=1e-3)
    # the last frame's movement is that to the frame after it, where there is one
    assert part.vmaf[:-1] == pytest.approx(whole.vmaf[30:44], abs=1e-3)


def test_without_libvmaf_it_is_unmeasured_and_never_bad(source: Path) -> None:
    builds = tuple(msgspec.structs.replace(f, filters=f.filters - {"libvmaf"}) for f in HOST.ffmpegs)
    found = compare(source, source, host=msgspec.structs.replace(HOST, ffmpegs=builds))
    assert (found.verdict, found.cause_code, found.vmaf) == ("unmeasured", "no_libvmaf", None)


def encode(source: Path, target: Path, *args: str) -> Path:
    ffmpeg(
        "-i", str(source), "-c:v", "libx264", "-preset", "ultrafast", "-crf", "14", "-c:a", "copy", *args, str(target)
    )
    return target


@pytest.mark.parametrize("name", every_second(["copy.mkv", "copy.mov", "copy.ts", "copy.flv", "copy.avi"]))
def test_copies_in_other_containers_are_identical_and_have_no_damage(source: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / name
    ffmpeg("-i", str(source), "-c", "copy", str(copy))
    for pair in ((source, copy), (copy, source)):
        found = compare(*pair)
        assert found.verdict == "measured", found.cause
        assert found.damage == ()
        assert found.frames == 60
        assert found.psnr_y_db is not None
        assert found.psnr_y_db.min == 60.0


@pytest.mark.parametrize(("name", "offset_s"), [("late.ts", "5"), ("late.mkv", "1.4"), ("late.mp4", "0.7")])
def test_a_shifted_start_is_no_damage_and_windows_find_their_frames(
    source: Path, tmp_path: Path, name: str, offset_s: str
) -> None:
    copy = tmp_path / name
    ffmpeg("-i", str(source), "-c", "copy", "-output_ts_offset", offset_s, str(copy))
    for look in ("whole", "windows"):
        found = compare(source, copy, look=look, windows=(Window(start_s=1.2, duration_s=0.5),))
        assert found.verdict == "measured", found.cause
        assert found.damage == ()
        assert found.frames == 15
        assert found.psnr_y_db is not None
        assert found.psnr_y_db.min == 60.0


CLEAN = {
    "vfr": ("-vf", "setpts=PTS+0.008*sin(N)/TB", "-fps_mode", "passthrough"),
    "half_rate": ("-vf", "select='not(mod(n,2))'", "-fps_mode", "vfr"),
    "twice_the_rate": ("-vf", "fps=60"),
    "small": ("-vf", "scale=160:90"),
    "large": ("-vf", "scale=640:360"),
    "ten_bits": ("-pix_fmt", "yuv420p10le"),
    "full_colours": ("-pix_fmt", "yuv444p"),
    "full_colours_small": ("-vf", "scale=240:136,setsar=1", "-pix_fmt", "yuv422p10le"),
    "full_range": ("-vf", "scale=out_range=full,format=yuvj420p", "-color_range", "pc"),
    "narrow_pixels": ("-vf", "scale=240:180,setsar=4/3"),
    "coarse": ("-crf", "40"),
}


@pytest.mark.parametrize("name", every_second(CLEAN))
def test_what_is_only_encoded_otherwise_has_no_damage(source: Path, tmp_path: Path, name: str) -> None:
    made = encode(source, tmp_path / "made.mkv", *CLEAN[name])
    found = compare(source, made)
    assert found.verdict == "measured", found.cause
    assert found.damage == ()
    assert found.vmaf is not None
    assert found.vmaf.mean > (50 if name == "coarse" else 65 if "small" in name else 90)


def test_a_turned_reference_is_compared_upright(source: Path, tmp_path: Path) -> None:
    flagged = tmp_path / "flagged.mp4"
    ffmpeg("-display_rotation", "90", "-i", str(source), "-c", "copy", str(flagged))
    found = compare(flagged, encode(flagged, tmp_path / "baked.mp4"))
    assert (found.width, found.height) == (180, 320)
    assert found.damage == ()
    assert found.vmaf is not None
    assert found.vmaf.mean > 95


def test_another_matrix_and_range_are_brought_back_without_a_cast(tmp_path: Path) -> None:
    """swscale's quick arithmetic takes 4 levels off Cb on the way to a small picture: no damage of the encode's."""
    source, made = tmp_path / "source.mkv", tmp_path / "made.mkv"
    exact = "flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
    ffmpeg(
        "-f", "lavfi", "-i", "color=c=0x41D999:s=1280x720:d=0.5",
        "-vf", f"scale={exact}:out_color_matrix=bt709:out_range=limited,format=yuv420p,noise=c0s=12:c0f=t",
        "-colorspace", "bt709", "-c:v", "ffv1", str(source),
    )  # fmt: skip
    steps = f"scale={exact}:in_color_matrix=bt709:out_color_matrix=bt601:out_range=full,format=yuvj420p"
    ffmpeg("-i", str(source), "-vf", steps, "-c:v", "mjpeg", "-qmin", "1", "-q:v", "1", str(made))
    found = compare(source, made)
    assert found.damage == ()
    assert found.psnr_y_db is not None
    assert found.psnr_cb_db is not None
    assert min(found.psnr_y_db.mean, found.psnr_cb_db.mean) > 45


PLANTED = {
    "dropped": ("frames_lost", "-vf", "select='not(eq(n,30))'", "-fps_mode", "passthrough"),
    "dropped_and_closed_up": (
        "frames_lost", "-vf", "select='not(eq(n,30))',setpts=N/FR/TB", "-fps_mode", "passthrough",
    ),
    "end_missing": ("frames_lost", "-vf", "trim=end_frame=55"),
    "frozen": ("frozen", "-vf", "select='not(between(n,30,34))',fps=30"),
    "one_frozen": ("frozen", "-vf", "select='not(eq(n,30))',fps=30"),
    "green": ("pictures_wrong", "-vf", "drawbox=c=green:t=fill:enable='eq(n,30)'"),
    "half_grey": ("pictures_wrong", "-vf", "drawbox=y=ih/2:h=ih/2:c=gray:t=fill:enable='eq(n,30)'"),
    "colours_alone": ("pictures_wrong", "-vf", "hue=s=0:enable='between(n,30,33)'"),
    "colours_swapped": ("pictures_wrong", "-vf", "swapuv"),
    "shifted": ("video_shifted", "-vf", "tpad=start=3:start_mode=clone"),
    "squeezed_levels": ("range_wrong", "-vf", "scale=in_range=full:out_range=limited"),
    "stretched_levels": ("range_wrong", "-vf", "scale=in_range=limited:out_range=full,setrange=limited"),
    "narrow": ("aspect_wrong", "-vf", "scale=240:180,setsar=1"),
    "wrong_pixel_shape": ("aspect_wrong", "-vf", "setsar=4/3"),
    "sound_20_ms_late": ("sound_shifted", "-af", "adelay=20:all=1", "-c:a", "flac"),
    "sound_2_s_late": ("sound_shifted", "-af", "adelay=600:all=1", "-c:a", "flac"),
}  # fmt: skip


@pytest.mark.parametrize("name", every_second(PLANTED))
def test_planted_damage_is_found(source: Path, tmp_path: Path, name: str) -> None:
    code, *args = PLANTED[name]
    found = compare(source, encode(source, tmp_path / "made.mkv", *args))
    assert found.verdict == "measured", found.cause
    assert code in [f.code for f in found.damage]


def test_sound_that_times_alone_move_is_found(source: Path, tmp_path: Path) -> None:
    made = tmp_path / "made.mp4"
    pair = ("-itsoffset", "0.02", "-i", str(source), "-i", str(source))
    ffmpeg(*pair, "-map", "0:v", "-map", "1:a", "-c", "copy", str(made))
    found = compare(source, made)
    assert [f.code for f in found.damage] == ["sound_shifted"]
    assert found.sound_lag_s == pytest.approx(0.02, abs=0.002)


@pytest.mark.parametrize(("late_ms", "codes"), [(0, []), (20, ["sound_shifted"])])
def test_an_edit_list_that_begins_within_a_picture_is_no_desync(
    tmp_path: Path, late_ms: int, codes: list[str]
) -> None:  # fmt: skip
    """Cut at 0.82 s the picture of 0.8667 s comes at 47 ms; FFmpeg puts it at 0, and the sound where it belongs."""
    source, wanted, made = tmp_path / "source.mp4", tmp_path / "wanted.mkv", tmp_path / "made.mp4"
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=s=320x180:r=15:d=4", "-f", "lavfi", "-i", "anoisesrc=d=4:a=0.4:seed=7",
        "-af", "tremolo=f=1.3:d=0.9", "-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-crf", "12",
        "-pix_fmt", "yuv420p", "-c:a", "aac", str(source),
    )  # fmt: skip
    clock = ("-fps_mode", "passthrough", "-enc_time_base:v", "1/90000")
    ffmpeg("-ss", "0.82", "-i", str(source), "-c:v", "ffv1", "-c:a", "flac", *clock, str(wanted))
    sound = ("-c:a", "aac", "-af", f"adelay={late_ms}:all=1") if late_ms else ("-c:a", "copy")
    ffmpeg("-ss", "0.82", "-i", str(source), "-c:v", "copy", *sound, str(made))
    found = compare(wanted, made)
    assert [f.code for f in found.damage] == codes
    assert ("edit_list" in [f.code for f in found.findings]) == (not codes)
    # and the other way round: made of the written file by FFmpeg, an encode has FFmpeg's reading
    assert "sound_shifted" not in [f.code for f in compare(made, encode(made, tmp_path / "again.mkv")).damage]


def test_hdr_is_mapped_or_refused(source: Path, tmp_path: Path) -> None:
    hdr, sdr = tmp_path / "hdr.mp4", tmp_path / "sdr.mp4"
    tags = "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc"
    x265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error", "-crf", "14")
    ffmpeg("-i", str(source), "-vf", f"format=yuv420p10le,{tags}", *x265, "-c:a", "copy", str(hdr))
    receipt = compress_file(hdr, sdr, host=HOST, request=Request(preset="ultrafast", crf=16.0, always_encode=True))
    assert receipt.status == "encoded"
    mapped = compare(hdr, sdr)
    assert mapped.vmaf is not None
    assert mapped.vmaf.mean > 90
    assert mapped.damage == ()
    assert "tone-mapped" in mapped.mapped[0]
    assert compare(hdr, sdr, hdr="refuse").cause_code == "hdr_refused"
    assert compare(sdr, hdr).cause_code == "sdr_to_hdr"


def test_fields_are_made_frames_as_compress_makes_them(tmp_path: Path) -> None:
    source, made = tmp_path / "fields.mp4", tmp_path / "frames.mp4"
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=s=320x180:r=50:d=2", "-vf", "interlace=scan=tff", "-c:v", "libx264",
        "-crf", "10", "-flags", "+ildct+ilme", "-x264opts", "tff=1", str(source),
    )  # fmt: skip
    receipt = compress_file(source, made, host=HOST, request=Request(preset="ultrafast", crf=14.0, always_encode=True))
    assert receipt.status == "encoded"
    found = compare(source, made)
    assert found.damage == ()
    assert found.vmaf is not None
    assert found.vmaf.mean > 95


@pytest.mark.parametrize("gap_s", [0.0, 0.5, 2.0])
def test_windows_that_touch_are_both_scored_whole(tmp_path: Path, gap_s: float) -> None:
    reference = clips.plain(tmp_path / "in.mp4", seconds=8.0)
    encoded = clips.make(tmp_path / "out.mp4", "-i", str(reference), *clips.X264, "-crf", "30")
    windows = tuple(Window(start_s=start, duration_s=2.0) for start in (1.0, 3.0 + gap_s))
    answer = compare(reference, encoded, windows=windows, look="windows")
    assert (answer.frames, answer.scored_s) == (2 * 2 * clips.RATE, 4.0)


@pytest.mark.parametrize("look", ["whole", "windows"])
def test_a_window_that_begins_in_a_pause_of_the_reference_is_scored(tmp_path: Path, look: str) -> None:
    """For 2.5 s of every 3 the reference shows one picture, which an encode at a constant rate repeats."""
    reference = clips.make(
        tmp_path / "in.mp4", "-f", "lavfi", "-i", "testsrc2=size=128x72:rate=25:duration=9", *clips.X264, "-crf", "14",
        "-vf", "select='lt(mod(t,3),0.5)'", "-fps_mode", "vfr",
    )  # fmt: skip
    encoded = clips.make(tmp_path / "out.mp4", "-i", f"file:{reference}", *clips.X264, "-crf", "14", "-r", "25")
    windows = (Window(start_s=2.4, duration_s=1.6), Window(start_s=5.4, duration_s=1.0))
    answer = compare(reference, encoded, windows=windows, look=look)
    assert answer.verdict == "measured", answer.cause
    assert answer.vmaf is not None
    assert answer.vmaf.min > 90
    if look == "whole":
        assert answer.frames == (1.6 + 1.0) * 25
