"""The sound that is transcribed for a clip: on the programme's clock, whatever the file's own says."""

from __future__ import annotations

import array
import wave
from pathlib import Path

import pytest

from reelpress.facts.host import HostFacts
from reelpress.jobs.sound import extract_sound
from reelpress.look import look_at
from reelpress.run.process import CancelToken
from reelpress.source.opening import open_source

import clips

BEEP_S = 2.0
BEEP = f"aevalsrc='if(gte(t,{BEEP_S}),sin(2*PI*880*t),0)':sample_rate=48000:duration=4"


def onset_s(path: Path) -> float:
    """Return when the sound begins."""
    with wave.open(str(path)) as opened:
        samples = array.array("h", opened.readframes(opened.getnframes()))
        return next(number for number, sample in enumerate(samples) if abs(sample) > 3000) / opened.getframerate()


def sound_of(video: Path, target: Path, start_s: float, end_s: float, host: HostFacts | None = None) -> Path | None:
    ffmpeg = clips.ffmpeg() if host is None else host.ffmpegs[0].path
    cancel = CancelToken()
    with open_source(video) as source:
        return extract_sound(
            source, look_at(video, cancel).facts, target, ffmpeg=ffmpeg, start_s=start_s, end_s=end_s,
            cancel=cancel,
        )  # fmt: skip


@pytest.mark.parametrize("late_s", [0.0, 0.4])
def test_a_beep_is_where_the_programme_has_it(tmp_path: Path, late_s: float) -> None:
    """The first picture may come later than the first sound: it is where the programme begins."""
    video = clips.make(
        tmp_path / "in.mp4", "-itsoffset", f"{late_s}", *clips.picture(seconds=4), "-f", "lavfi", "-i", BEEP,
        *clips.X264, "-c:a", "aac",
    )  # fmt: skip
    made = sound_of(video, tmp_path / "out.wav", 1.0, 3.0)
    assert made is not None
    assert onset_s(made) == pytest.approx(BEEP_S - late_s - 1.0, abs=0.02)
    with wave.open(str(made)) as opened:
        assert (opened.getframerate(), opened.getnchannels()) == (16_000, 1)
        assert opened.getnframes() / 16_000 == pytest.approx(2.0, abs=0.05)


@pytest.mark.by_turns
@pytest.mark.parametrize("suffix", [".ts", ".mpg", ".mkv"])
@pytest.mark.parametrize("start_s", [0.0, 11.0])
@pytest.mark.parametrize("apart_s", [0.5, 0.0, -0.5])
def test_a_beep_is_where_the_programme_has_it_in_any_container(
    host: HostFacts, tmp_path: Path, suffix: str, start_s: float, apart_s: float
) -> None:
    """Whether sound or picture begins first, near the beginning or sought."""
    seconds = start_s + 4
    beep = f"aevalsrc='if(gte(t,{start_s + 1}),sin(2*PI*880*t),0)':sample_rate=48000:duration={seconds}"
    late = [("-itsoffset", f"{s}") if s > 0 else () for s in (apart_s, -apart_s)]
    codecs = ("-c:v", "mpeg2video", "-c:a", "mp2") if suffix == ".mpg" else (*clips.X264, "-c:a", "aac")
    video = clips.make(
        tmp_path / f"in{suffix}", *late[0], *clips.picture(seconds=seconds), *late[1], "-f", "lavfi", "-i", beep,
        "-g", "25", *codecs,
    )  # fmt: skip
    facts = look_at(video, CancelToken()).facts
    assert facts.main_video is not None
    assert facts.main_audio is not None
    # not every container keeps what it is given
    found_s = (facts.main_video.start_s or 0.0) - (facts.main_audio.start_s or 0.0)
    made = sound_of(video, tmp_path / "out.wav", start_s, start_s + 3.0, host)
    assert made is not None
    assert onset_s(made) == pytest.approx(1.0 - found_s, abs=0.03)


@pytest.mark.parametrize("begins_s", [("0", "0"), ("20", "3600")])
@pytest.mark.parametrize("start_s", [1.0, 7.0])
def test_a_clock_that_jumps_does_not_put_sound_off(
    host: HostFacts, tmp_path: Path, begins_s: tuple[str, str], start_s: float
) -> None:
    """Two recordings of five seconds, one behind the other; there is a beep in the second second and in the eighth."""
    joined = tmp_path / "in.ts"
    for number, (begin_s, beep_s) in enumerate(zip(begins_s, (2.0, 3.0), strict=True)):
        beep = f"aevalsrc='if(gte(t,{beep_s}),sin(2*PI*880*t),0)':sample_rate=48000:duration=5"
        part = clips.make(
            tmp_path / f"{number}.ts", *clips.picture(seconds=5), "-f", "lavfi", "-i", beep, *clips.X264, "-g", "25",
            "-c:a", "aac", "-output_ts_offset", begin_s,
        )  # fmt: skip
        with joined.open("ab") as file:
            file.write(part.read_bytes())
    made = sound_of(joined, tmp_path / "out.wav", start_s, start_s + 2.0, host)
    assert made is not None
    assert onset_s(made) == pytest.approx(1.0, abs=0.06)


def test_sound_that_begins_late_has_silence_before_it(tmp_path: Path) -> None:
    video = clips.make(
        tmp_path / "in.mkv", *clips.picture(seconds=4), "-itsoffset", "1.5", "-f", "lavfi", "-i",
        "sine=frequency=880:sample_rate=48000:duration=2", *clips.X264, "-c:a", "aac",
    )  # fmt: skip
    made = sound_of(video, tmp_path / "out.wav", 1.0, 3.0)
    assert made is not None
    assert onset_s(made) == pytest.approx(0.5, abs=0.02)


def test_a_video_without_sound_has_none(tmp_path: Path) -> None:
    assert sound_of(clips.plain(tmp_path / "in.mp4"), tmp_path / "out.wav", 0.0, 1.0) is None
