"""What is promised of every clip, proven on real files with both FFmpegs: frames, time, place, colour, sound."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from reelpress.check.clip_output import check_loudness
from reelpress.facts.captions import Captions, Cue
from reelpress.facts.framing import Layout
from reelpress.plan.model import ClipExpectation
from reelpress.probe.media import probe

import clips
import measure
import numbered
from clip_work import Cut, framed, middle, shot, window
from thorough import every_second

pytestmark = pytest.mark.media

OPEN_GOP = ("-preset", "veryfast", "-bf", "3", "-x264-params", "open-gop=1:keyint=20:scenecut=0:b-pyramid=normal")


@pytest.mark.parametrize("name", every_second(["open.mp4", "open.mkv", "open.ts", "late.mp4"]))
def test_a_clip_is_exactly_the_frames_of_its_stretch(cut: Cut, tmp_path: Path, name: str) -> None:
    late = ("-output_ts_offset", "0.52") if name.startswith("late") else ()
    source = numbered.clip(tmp_path / name, 150, "25", *OPEN_GOP, *late)
    for first, last in ((0, 10), (61, 72), (139, 150)):
        cut(source, first / 25 + 0.013, last / 25)
        # what is on the screen at the start, which is a frame that began before it
        assert numbered.numbers(tmp_path / "clip.mp4") == list(range(first, last)), (first, last)


@pytest.mark.parametrize("codec", [("avi", "mpeg4"), ("mxf", "mpeg2video")])
def test_a_container_that_counts_in_frames_puts_no_clip_off(cut: Cut, tmp_path: Path, codec: tuple[str, str]) -> None:
    """Seconds of such frames, 1001/30000 long, have no end: those that a filter is told lie between two."""
    source = numbered.clip(tmp_path / f"in.{codec[0]}", 150, "30000/1001", "-c:v", codec[1], "-q:v", "3")
    for first, last in ((61, 72), (62, 73), (139, 150)):
        cut(source, first * 1.001 / 30 + 0.013, last * 1.001 / 30)
        assert numbered.numbers(tmp_path / "clip.mp4") == list(range(first, last)), (first, last)


@pytest.mark.parametrize("name", ["uneven.ts", "uneven.flv"])
def test_a_clip_far_from_a_keyframe_is_whole_though_others_lie_close(cut: Cut, tmp_path: Path, name: str) -> None:
    keys = ",".join(f"{n / 10:.1f}" for n in range(0, 60, 3))  # the last GOP is ten times as long as one on average
    rare = ("-preset", "veryfast", "-g", "999", "-sc_threshold", "0", "-force_key_frames", keys)
    source = numbered.clip(tmp_path / name, 250, "10", *rare)
    cut(source, 18.0, 19.1)
    assert numbered.numbers(tmp_path / "clip.mp4")[::3] == list(range(180, 191))


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_a_clip_out_of_the_middle_is_no_sign_of_damage(cut: Cut, tmp_path: Path, codec: str) -> None:
    """Without an index decoding begins between keyframes, where decoders miss what pictures refer to."""
    source = numbered.clip(
        tmp_path / "midway.ts", 400, "25", "-c:v", codec, "-preset", "medium", "-g", "48", "-bf", "3"
    )
    for start_s in (7.1, 9.3, 11.9):
        assert cut(source, start_s, start_s + 1).warnings == (), start_s


@pytest.mark.parametrize("begins_s", [("500", "20"), ("20", "500")], ids=["back", "forth"])
def test_a_clock_that_jumps_does_not_put_a_clip_off(cut: Cut, tmp_path: Path, begins_s: tuple[str, str]) -> None:
    parts = []
    for begin, first in zip(begins_s, (0, 125), strict=True):
        pictures = [numbered.picture(number) for number in range(first, first + 125)]
        late = ("-g", "25", "-output_ts_offset", begin)
        parts.append(numbered.encode(tmp_path / f"{begin}.ts", pictures, "25", *late))
    source = tmp_path / "in.ts"
    source.write_bytes(b"".join(part.read_bytes() for part in parts))
    track = probe(source).main_video
    assert track is not None
    assert track.clock_jumps == 1
    for first, last in ((61, 72), (181, 192), (239, 250)):
        cut(source, first / 25 + 0.013, last / 25)
        assert numbered.numbers(tmp_path / "clip.mp4") == list(range(first, last)), (first, last)


def test_a_stream_without_times_is_cut_by_its_frames(cut: Cut, tmp_path: Path) -> None:
    source = numbered.clip(tmp_path / "in.h264", 250, "25", *OPEN_GOP)
    for first, last in ((61, 72), (201, 212)):
        cut(source, first / 25 + 0.013, last / 25)
        assert numbered.numbers(tmp_path / "clip.mp4") == list(range(first, last)), (first, last)


@pytest.mark.parametrize("by_stretch", [False, True])
def test_a_transport_stream_is_cut_in_time_though_another_stream_begins_before_it(
    cut: Cut, tmp_path: Path, *, by_stretch: bool
) -> None:
    pictures = numbered.clip(tmp_path / "pictures.mkv", 250, "25", *OPEN_GOP)
    late = ("-itsoffset", "0.5")
    source = clips.make(
        tmp_path / "in.ts", *late, "-i", str(pictures), *late, *clips.tone(seconds=10), *clips.tone(seconds=10),
        "-map", "0:v", "-map", "1:a", "-map", "2:a", "-c:v", "copy", "-c:a", "aac",
    )  # fmt: skip
    for first, last in ((120, 131), (201, 212)):
        cut(source, first / 25 + 0.013, last / 25, by_stretch=by_stretch)
        assert numbered.numbers(tmp_path / "clip.mp4") == list(range(first, last)), (first, last)


def test_shots_change_at_their_frame(cut: Cut, tmp_path: Path) -> None:
    source = measure.four_corners(tmp_path / "in.mp4", size=(640, 360))
    left, right = window((0.0, 0.0, 0.5), zoom=2.0), window((0.0, 1.0, 0.5), zoom=2.0)
    framing = framed(
        shot(0.0, 0.4, "still", left), shot(0.4, 0.8, "still", right), shot(0.8, 1.2, "fit"),
        shot(1.2, 1.6, "split", window((0, 0.0, 0.0), zoom=4.0), window((0, 1.0, 1.0), zoom=4.0)),
        shot(1.6, 2.0, "track", window((1.6, 0.0, 0.0), (1.76, 0.0, 0.0), (1.8, 1.0, 1.0), zoom=4.0)),
    )  # fmt: skip
    cut(source, 0.2, 2.0, framing=framing)
    seen = [measure.corners(picture) for _, picture in measure.frames(tmp_path / "clip.mp4")]
    assert len(seen) == 45
    assert {s[:1] + s[2:3] for s in seen[:5]} == {("red", "blue")}
    assert {s[1:2] + s[3:] for s in seen[5:15]} == {("green", "white")}
    assert {s[:2] + s[2:] for s in seen[25:35]} == {("red", "red", "white", "white")}
    assert set(seen[35:39]) == {("red",) * 4}
    assert set(seen[40:]) == {("white",) * 4}


@pytest.mark.parametrize("layout", every_second(["track", "still", "fit", "split"]))
def test_a_clip_of_one_layout_alone_passes_its_checks(cut: Cut, tmp_path: Path, layout: Layout) -> None:
    source = measure.four_corners(tmp_path / "in.mp4", size=(640, 360))
    first, second = window((0.0, 0.2, 0.5), (0.5, 0.8, 0.5)), window((0.0, 0.8, 0.5))
    windows = {"still": (second,), "track": (first,), "fit": (), "split": (first, second)}[layout]
    receipt = cut(source, 0.0, 0.5, framing=framed(shot(0.0, 0.5, layout, *windows)))
    assert (receipt.status, receipt.exit_code) == ("encoded", 0), receipt.error
    colours = {gate.name: gate.measured for gate in receipt.gates if gate.name.startswith("colour_")}
    assert {colours[f"colour_{name}"] for name in ("primaries", "transfer", "matrix")} == {"bt709"}


@pytest.mark.parametrize(
    ("rate", "want", "fps"),
    [
        ("15", [8, 8, 9, 9, 10, 10], 30), ("60", [30, 31, 32], 60), ("120", [60, 62, 64], 60),
        ("30000/1001", [15, 16, 17], Fraction(30000, 1001)),
    ],
)  # fmt: skip
def test_rates_become_even_ones(cut: Cut, tmp_path: Path, rate: str, want: list[int], fps: Fraction) -> None:
    source = numbered.clip(tmp_path / "in.mkv", 200, rate)  # milliseconds: times are rounded
    receipt = cut(source, 0.54 if rate == "15" else 0.502, 1.2)
    found = numbered.numbers(tmp_path / "clip.mp4")
    assert found[: len(want)] == want
    steps = {b - a for a, b in itertools.pairwise(found)}
    assert steps == ({0, 1} if rate == "15" else {2} if rate == "120" else {1})
    assert receipt.clip is not None
    assert receipt.clip.fps == fps


@pytest.mark.parametrize("name", ["in.mkv", "in.avi"])
def test_a_clip_of_few_pictures_begins_in_the_midst_of_one(cut: Cut, tmp_path: Path, name: str) -> None:
    source = numbered.clip(tmp_path / name, 40, "5", *(("-c:v", "mpeg4", "-q:v", "3") if name.endswith("avi") else ()))
    receipt = cut(source, 1.09, 2.5)
    assert receipt.clip is not None
    assert (receipt.clip.start_s, receipt.clip.fps) == (pytest.approx(1.08), 25)
    assert numbered.numbers(tmp_path / "clip.mp4") == [(27 + n) // 5 for n in range(35)]


def test_a_variable_rate_becomes_constant_and_keeps_its_times(cut: Cut, tmp_path: Path) -> None:
    source = numbered.clip(tmp_path / "in.mp4", 100, "25", "-vf", "select='lt(n,25)+not(mod(n,3))'", "-fps_mode", "vfr")
    receipt = cut(source, 0.69, 2.9)
    assert receipt.clip is not None
    shown = numbered.numbers(tmp_path / "clip.mp4")
    for place, number in enumerate(shown):
        at_s = receipt.clip.start_s + place / float(receipt.clip.fps)
        last = max(n for n in range(100) if (n < 25 or n % 3 == 0) and n / 25 <= at_s + 0.5 / float(receipt.clip.fps))
        assert number == last, (place, at_s)


SOUND = {
    "flash.mp4": ("-c:a", "aac"),
    "flash.mkv": ("-c:a", "libmp3lame"),
    "flash.ts": ("-c:a", "aac", "-bf", "2"),
    "bframes.mp4": ("-preset", "veryfast", "-bf", "3", "-c:a", "aac", "-ar", "44100"),
}


# Of a picture that is held for seconds the decode time lies before it, and that of the next keyframe as well.
PAUSE = ("-preset", "medium", "-x264-params", "b-adapt=0:bframes=3:scenecut=0", "-force_key_frames", "6")


@pytest.mark.parametrize("name", every_second(["in.mp4", "in.mkv", "in.ts", "in.mov"]))
def test_a_clip_that_begins_in_a_pause_shows_what_stands_there(cut: Cut, tmp_path: Path, name: str) -> None:
    pause = ("-vf", "select='lt(n,50)+gte(n,150)'", "-fps_mode", "vfr", *PAUSE)
    source = numbered.clip(tmp_path / name, 200, "25", *pause)
    for start_s, end_s in ((1.6, 2.4), (2.4, 3), (5.92, 6.6)):
        cut(source, start_s, end_s)
        frames = range(round(start_s * 25), round(end_s * 25))
        shown = [min(n, 49) if n < 150 else n for n in frames]
        assert numbered.numbers(tmp_path / "clip.mp4") == shown, (start_s, end_s)


@pytest.mark.parametrize("keys", ["1", "250"])
def test_of_slides_each_is_shown_when_it_stands_there(cut: Cut, tmp_path: Path, keys: str) -> None:
    """One picture every four seconds, all keyframes or none, and the last for ten."""
    slides = ("-vf", "setpts=N*4/TB", "-fps_mode", "vfr", *PAUSE)
    source = numbered.clip(tmp_path / "in.mp4", 8, "25", *slides, "-g", keys, *clips.still_until(38))
    for start_s in (2, 13, 26, 34):
        cut(source, start_s, start_s + 1.5)
        shown = numbered.numbers(tmp_path / "clip.mp4")
        seconds = [start_s + 1.5 * n / len(shown) for n in range(len(shown))]
        assert shown == [min(int(t / 4 + 1e-6), 7) for t in seconds], start_s


@pytest.mark.parametrize("name", ["in.mp4", "in.mkv"])
def test_a_clip_of_a_still_end_shows_its_last_picture(cut: Cut, tmp_path: Path, name: str) -> None:
    vary = "1" if name == "in.mp4" else "lt(n,25)+not(mod(n,3))"
    still = ("-vf", f"select='{vary}'", "-fps_mode", "vfr", "-preset", "medium", *clips.still_until(9))
    source = numbered.clip(tmp_path / name, 49, "25", *still)
    for start_s, end_s in ((1, 8), (1.92, 4), (3, 9)):
        cut(source, start_s, end_s)
        shown = numbered.numbers(tmp_path / "clip.mp4")[max(0, round((2 - start_s) * 25)) :]
        assert shown == [48] * round((end_s - max(2, start_s)) * 25)


@pytest.mark.parametrize("name", every_second(SOUND))
def test_sound_stays_with_the_picture(cut: Cut, tmp_path: Path, name: str) -> None:
    source = measure.flash_and_beep(tmp_path / name, *SOUND[name])
    for start_s in (0.0, 0.93):
        cut(source, start_s, 2.5, loudness_lufs=None)
        made = tmp_path / "clip.mp4"
        assert abs(measure.offset_ms(made) - measure.offset_ms(source)) < 5
        assert abs(measure.flash_time(made) - (measure.FLASH_S - start_s)) < 0.045


@pytest.mark.parametrize("begins_s", [("500", "20"), ("20", "500")], ids=["back", "forth"])
def test_sound_stays_with_the_picture_behind_a_jump_of_the_clock(
    cut: Cut, tmp_path: Path, begins_s: tuple[str, str]
) -> None:
    parts = [
        measure.flash_and_beep(tmp_path / f"{begin}.ts", "-c:a", "aac", "-output_ts_offset", begin)
        for begin in begins_s
    ]
    source = tmp_path / "in.ts"
    source.write_bytes(b"".join(part.read_bytes() for part in parts))
    cut(source, 3.2, 5.5, loudness_lufs=None)
    made = tmp_path / "clip.mp4"
    assert abs(measure.offset_ms(made) - measure.offset_ms(parts[1])) < 30
    assert abs(measure.flash_time(made) - (3.0 + measure.FLASH_S - 3.2)) < 0.1


def test_a_limiter_does_not_delay_sound(cut: Cut, tmp_path: Path) -> None:
    source = measure.flash_and_beep(tmp_path / "in.mp4", "-c:a", "aac")
    receipt = cut(source, 0.5, 2.5)
    assert "loudness_limited" in {r.code for r in receipt.reasons} or receipt.clip is not None
    assert abs(measure.offset_ms(tmp_path / "clip.mp4")) < 20


def test_sound_that_begins_late_or_ends_early_is_silence_there(cut: Cut, tmp_path: Path) -> None:
    source = clips.make(
        tmp_path / "in.mp4", *clips.picture(seconds=4), "-itsoffset", "1", *clips.tone(seconds=1), *clips.X264,
        "-af", "volume=4", "-c:a", "aac",
    )  # fmt: skip
    cut(source, 0.6, 3.0, loudness_lufs=None)
    assert abs(measure.beep_time(tmp_path / "clip.mp4") - (measure.beep_time(source) - 0.6)) < 0.002
    cut(source, 2.4, 3.4, loudness_lufs=None)  # all of it after the sound
    with av.open(str(tmp_path / "clip.mp4")) as container:
        heard = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
    assert np.abs(heard).max() < 1e-3
    assert abs(heard.size / 48_000 - 1.0) < 0.03


@pytest.mark.parametrize(
    ("turn", "want"),
    [
        (90, ("green", "white", "red", "blue")), (180, ("white", "blue", "green", "red")),
        (270, ("blue", "red", "white", "green")),
    ],
)  # fmt: skip
def test_rotation_is_baked(cut: Cut, tmp_path: Path, turn: int, want: tuple[str, ...]) -> None:
    source = clips.rotated(tmp_path / "in.mp4", measure.four_corners(tmp_path / "flat.mp4"), turn)
    cut(source, 0.4, 1.0)
    assert measure.corners(measure.frames(tmp_path / "clip.mp4")[3][1]) == want
    assert probe(tmp_path / "clip.mp4").video[0].rotation_deg == 0


def test_a_container_crop_and_wide_pixels_are_seen(cut: Cut, tmp_path: Path) -> None:
    flat = measure.four_corners(tmp_path / "flat.mp4")
    cropped = clips.clean_aperture(tmp_path / "cut.mp4", flat, (160, 90), (80, -45))  # its upper right quarter
    cut(cropped, 0.4, 1.0)
    assert measure.corners(measure.frames(tmp_path / "clip.mp4")[3][1]) == ("green",) * 4
    # anamorphic: a window of 9:16 of what is shown is narrower in stored pixels
    wide = numbered.encode(tmp_path / "wide.mp4", [bars(160, 180)] * 25, "25", "-vf", "setsar=2")
    cut(wide, 0.2, 0.8)
    assert abs(edge(tmp_path / "clip.mp4") - 90) < 1.5


def bars(width: int, height: int, at: float = 0.5) -> np.ndarray:
    """Black to the left of a place, white to the right."""
    made = np.full((height, width), 16, np.uint8)
    made[:, round(width * at) :] = 235
    return made


def edge(path: Path, frame: int = 3) -> float:
    """Where black becomes white in a frame, in pixels."""
    row = measure.frames(path)[frame][1][:, :, 1].astype(float).mean(axis=0)
    at = int(np.flatnonzero(row > 125)[0])
    return at - 0.5 + (125 - row[at - 1]) / (row[at] - row[at - 1]) if at else 0.0


@pytest.mark.parametrize("size", every_second([(1280, 720), (320, 180)]))
@pytest.mark.parametrize("layout", ["still", "track"])
def test_a_window_is_where_the_preview_shows_it(cut: Cut, tmp_path: Path, size: tuple[int, int], layout: str) -> None:
    width, height = size
    source = numbered.encode(tmp_path / "in.mp4", [bars(width, height)] * 10, "25")
    for middle_x, zoom in ((0.4721, 1.0), (0.5313, 1.0), (0.511, 1.37)):
        keys = [(0.0, middle_x, 0.5)]
        if layout == "track":
            keys.append((1.0, middle_x + 0.01, 0.5))
        cut(source, 0.0, 0.4, framing=framed(shot(0, 1, layout, window(*keys, zoom=zoom))), width=360, height=640)  # type: ignore[arg-type]
        left = middle_x + (0.01 * 3 / 25 if layout == "track" else 0) - height * 9 / 16 / width / zoom / 2
        want = (0.5 - left) * width * 360 * zoom / (height * 9 / 16)
        assert abs(edge(tmp_path / "clip.mp4") - want) < 1, (middle_x, zoom)


def test_a_pan_is_smooth(cut: Cut, tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    rng = np.random.default_rng(1)
    texture = cv2.GaussianBlur(rng.integers(0, 255, (360, 640)).astype(np.uint8), (0, 0), 2.5)
    texture = cv2.normalize(texture, None, 20, 230, cv2.NORM_MINMAX)
    source = numbered.encode(tmp_path / "in.mp4", [texture] * 30, "25")
    keys = ((0.0, 0.3, 0.5), (1.2, 0.3 + 30 * 0.5 / 640, 0.5))  # half a pixel of the source from frame to frame
    cut(source, 0.0, 1.2, framing=framed(shot(0, 2, "track", window(*keys))), width=360, height=640, crf=8)
    pictures = [p[:, :, 1].astype(np.float32) for _, p in measure.frames(tmp_path / "clip.mp4")]
    soft = cv2.createHanningWindow((360, 640), cv2.CV_32F)
    steps = [-cv2.phaseCorrelate(a, b, soft)[0][0] for a, b in itertools.pairwise(pictures)]
    want = 0.5 * 360 / 202.5
    print(f"step {np.mean(steps):.3f} wanted {want:.3f}, deviation {np.std(steps):.3f} px")
    assert abs(np.mean(steps) - want) < 0.05
    assert np.std(steps) <= 0.32


def test_colours_end_as_bt709(cut: Cut, tmp_path: Path) -> None:
    cut(clips.hlg(tmp_path / "hlg.mp4"), 0.0, 0.4)
    seen = measure.frames(tmp_path / "clip.mp4")[2][1]
    assert 60 < seen.mean() < 200
    # small and untagged is BT.601, and looks the same as BT.709
    source = measure.four_corners(tmp_path / "sd.mp4")
    cut(source, 0.2, 0.8, framing=framed(shot(0, 2, "fit")))
    middle_row = measure.frames(tmp_path / "clip.mp4")[3][1][160 - 25 : 160 - 10, 20:70].reshape(-1, 3).mean(axis=0)
    assert np.abs(middle_row - np.array([254, 0, 0])).max() < 16


def test_colours_of_a_matrix_that_few_players_know_stay_as_they_are(cut: Cut, tmp_path: Path) -> None:
    cut(measure.four_corners_in_ycgco(tmp_path / "in.mp4"), 0.2, 0.6, framing=framed(shot(0, 2, "fit")))
    middle = measure.frames(tmp_path / "clip.mp4")[3][1][110:210]
    assert measure.corners(middle) == ("red", "green", "blue", "white")


def test_fields_become_frames(cut: Cut, tmp_path: Path) -> None:
    receipt = cut(clips.interlaced(tmp_path / "in.mp4"), 0.4, 1.2)
    assert "deinterlaced" in {r.code for r in receipt.reasons}
    assert probe(tmp_path / "clip.mp4").video[0].is_interlaced is False


@pytest.mark.parametrize("size", ["180x320", "240x180", "136x320"])
def test_other_shapes_fill_the_clip(cut: Cut, tmp_path: Path, size: str) -> None:
    source = clips.plain(tmp_path / "in.mp4", size=size)
    for framing in (middle(), framed(shot(0, 2, "fit"))):
        cut(source, 0.4, 1.0, framing=framing)
        track = probe(tmp_path / "clip.mp4").video[0]
        assert (track.width, track.height, track.frames) == (180, 320, 15)


def test_a_picture_that_changes_size_midway(cut: Cut, tmp_path: Path) -> None:
    one = clips.plain(tmp_path / "one.ts", size="320x180", seconds=1)
    two = clips.plain(tmp_path / "two.ts", "-output_ts_offset", "1", size="480x270", seconds=1)
    source = tmp_path / "in.ts"
    source.write_bytes(one.read_bytes() + two.read_bytes())
    framing = framed(shot(0.0, 1.3, "still", window((0, 0.5, 0.5))), shot(1.3, 3, "still", window((0, 0.2, 0.5))))
    cut(source, 0.6, 1.6, framing=framing)


@pytest.mark.parametrize(("gain", "pulses"), [("-22dB", False), ("-6dB", True)])
def test_loudness_is_as_asked(cut: Cut, tmp_path: Path, gain: str, *, pulses: bool) -> None:
    # noise with a burst now and then needs the limiter, even noise does not
    shape = "if(lt(mod(t,0.5),0.01),1,0.05)" if pulses else "0.3"
    noise = f"aevalsrc='{shape}*(random(0)*2-1)':s=48000:d=6,volume={gain}"
    source = clips.make(
        tmp_path / "in.mp4", *clips.picture(seconds=6), "-f", "lavfi", "-i", noise, *clips.X264, "-c:a", "aac"
    )
    receipt = cut(source, 1.0, 5.0)
    assert receipt.clip is not None
    assert receipt.clip.loudness_lufs == pytest.approx(-14, abs=1)
    assert (receipt.clip.true_peak_dbtp or 0) <= -1
    assert ("loudness_limited" in {r.code for r in receipt.reasons}) is pulses


def test_what_a_clip_leaves_out_at_its_start_does_not_count_for_its_loudness(cut: Cut, tmp_path: Path) -> None:
    """The first 21 ms are not heard in a clip; a click there may be as loud as all that follows."""
    click = "aevalsrc='sin(2*PI*440*t)*if(between(t,1.001,1.015),1,0.01)':s=48000:d=6"
    source = clips.make(
        tmp_path / "in.mkv", *clips.picture(seconds=6), "-f", "lavfi", "-i", click, *clips.X264, "-c:a", "pcm_s16le"
    )
    receipt = cut(source, 1.0, 5.0)
    assert receipt.clip is not None
    assert receipt.clip.loudness_lufs == pytest.approx(-14, abs=0.5)


def test_what_is_silent_or_has_no_sound_stays_so(cut: Cut, tmp_path: Path) -> None:
    silent = clips.make(tmp_path / "silent.mp4", *clips.picture(), "-f", "lavfi", "-i", "anullsrc=d=2", *clips.X264)
    receipt = cut(silent, 0.2, 1.8)
    assert "loudness_kept" in {r.code for r in receipt.reasons}
    receipt = cut(clips.plain(tmp_path / "mute.mp4"), 0.2, 1.8)
    assert "no_sound" in {r.code for r in receipt.reasons}
    assert probe(tmp_path / "clip.mp4").audio == ()


@pytest.mark.parametrize(
    ("sound", "verdicts"),
    [
        ("anullsrc=d=3", {"audio_heard": "failed", "loudness": "failed"}),
        ("sine=d=3,volume=-40dB", {"loudness": "failed", "true_peak": "passed"}),
        (None, {"loudness": "unmeasured", "true_peak": "unmeasured"}),
    ],
)
def test_a_clip_of_what_could_be_heard_must_not_be_silent(
    tmp_path: Path, sound: str | None, verdicts: dict[str, str]
) -> None:
    """Silence that was measured is another thing than a sound that could not be."""
    clip = ClipExpectation(
        fps=Fraction(25), max_gop_s=2.0, loudness_lufs=-14.0, true_peak_dbtp=-1.0, places=(), most_bytes=1_000_000
    )
    heard = () if sound is None else ("-f", "lavfi", "-i", sound, "-c:a", "aac")
    made = clips.make(tmp_path / "made.mp4", *clips.picture(seconds=3), *heard, *clips.X264)
    _, gates = check_loudness(clips.ffmpeg(), made, clip, 3.0, cancel=None, spend=lambda _: None)
    assert {gate.name: gate.verdict for gate in gates} == verdicts


def test_captions_are_drawn_whatever_the_folder_is_called(
    cut: Cut, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / "it's, a [b]; c:d\\e=f"
    odd.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(odd))
    source = clips.make(tmp_path / "in.mp4", "-f", "lavfi", "-i", "color=black:s=320x180:r=25:d=2", *clips.X264)
    said = Captions(cues=(Cue(start_s=1.0, end_s=1.4, text="Hello"),))
    receipt = cut(source, 0.6, 1.8, captions=said)
    lit = [bool((p > 128).any()) for _, p in measure.frames(tmp_path / "clip.mp4")]
    assert lit == [10 <= n < 20 for n in range(30)]
    assert receipt.clip is not None
    assert receipt.clip.caption_cues == 1
    assert not [warning for warning in receipt.clip.warnings if "caption" in warning]
    assert list(odd.glob("reelpress-clip-*")) == []


def test_captions_that_are_all_of_other_times_are_told(cut: Cut, tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.mp4", "-f", "lavfi", "-i", "color=black:s=320x180:r=25:d=2", *clips.X264)
    receipt = cut(source, 0.6, 1.8, captions=Captions(cues=(Cue(start_s=3601.0, end_s=3602.0, text="Hello"),)))
    assert receipt.clip is not None
    assert (receipt.clip.caption_cues, receipt.exit_code) == (0, 0)
    assert "None of the captions is on between its start and its end." in receipt.clip.warnings


def test_captions_whose_letters_cannot_be_drawn_are_told(cut: Cut, tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.mp4", "-f", "lavfi", "-i", "color=black:s=320x180:r=25:d=2", *clips.X264)
    rare = "\U00030001"  # of a block that no usual font has
    cues = (Cue(start_s=0.7, end_s=1.4, text=f"Hé {rare} \U0001f389"), Cue(start_s=5.0, end_s=6.0, text="\U0001f600"))
    receipt = cut(source, 0.6, 1.8, captions=Captions(cues=cues))
    assert receipt.clip is not None
    assert [warning for warning in receipt.clip.warnings if "captions" in warning] == [
        "The captions' font has no \U0001f389: left out of the picture.",
        f"No font on this machine has letters of the captions, such as {rare}: drawn as empty boxes.",
    ]
