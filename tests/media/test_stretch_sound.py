"""The sound that is transcribed for a clip: on the programme's clock, whatever the file's own says."""

from __future__ import annotations

import array
import wave
from pathlib import Path

import pytest

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


def sound_of(video: Path, target: Path, start_s: float, end_s: float) -> Path | None:
    cancel = CancelToken()
    with open_source(video) as source:
        return extract_sound(
            source, look_at(video, cancel).facts, target, ffmpeg=clips.ffmpeg(), start_s=start_s, end_s=end_s,
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
