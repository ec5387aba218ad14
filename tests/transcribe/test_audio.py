"""Sound comes out on the clock of the video, whatever the file does, and nothing else is opened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reelpress.transcribe.audio import Audio, Samples
from reelpress.transcribe.exchange import FailedError
from reelpress.transcribe.windows import RATE_HZ

from clips import X264, external_reference, make, picture, plain, tone, with_sound


def whole(path: Path) -> tuple[Samples, list[str]]:
    with Audio(path, 3600) as audio:
        samples = audio.read(3600 * RATE_HZ)
        assert audio.position == len(samples)
        return samples, audio.notes


def loud_s(samples: Samples) -> tuple[float, float]:
    """Where sound begins and ends."""
    at = np.flatnonzero(np.abs(samples) > 0.02)
    return at[0] / RATE_HZ, at[-1] / RATE_HZ


def test_sound_is_whole_and_starts_where_the_video_does(tmp_path: Path) -> None:
    samples, notes = whole(with_sound(tmp_path / "a.mp4"))
    assert abs(len(samples) / RATE_HZ - 2) < 0.06
    assert samples.dtype == np.float32
    assert 0.05 < np.abs(samples).max() < 1
    assert notes == []


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_sound_that_begins_late_stays_late(tmp_path: Path, suffix: str) -> None:
    late = make(tmp_path / f"late.{suffix}", *picture(), "-itsoffset", "0.8", *tone(seconds=1), *X264, "-c:a", "aac")
    begin_s, end_s = loud_s(whole(late)[0])
    assert begin_s == pytest.approx(0.8, abs=0.12)
    assert end_s == pytest.approx(1.8, abs=0.12)


def test_a_gap_in_the_timestamps_is_silence(tmp_path: Path) -> None:
    gap = make(
        tmp_path / "gap.mkv", *tone(seconds=4), "-af", "aselect='not(between(t,1,3))'", "-c:a", "pcm_s16le",
    )  # fmt: skip
    samples, notes = whole(gap)
    assert len(samples) / RATE_HZ == pytest.approx(4, abs=0.1)
    assert np.abs(samples[int(1.3 * RATE_HZ) : int(2.7 * RATE_HZ)]).max() == 0
    assert notes == []


def test_timestamps_that_begin_anew_lose_no_sound(tmp_path: Path) -> None:
    one = make(tmp_path / "one.ts", *tone(seconds=3), "-c:a", "aac")
    twice = tmp_path / "twice.ts"
    twice.write_bytes(one.read_bytes() * 2)
    samples, notes = whole(twice)
    assert len(samples) / RATE_HZ == pytest.approx(6, abs=0.3)
    assert "timestamps" in "".join(notes)


def test_a_clock_that_runs_too_slowly_costs_no_sound(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mkv", *tone(seconds=3), "-c:a", "pcm_s16le", "-bsf:a", "setts=ts=TS/50")
    samples, notes = whole(path)
    assert len(samples) / RATE_HZ == pytest.approx(3, abs=0.1)
    assert "timestamps" in "".join(notes)


def test_reading_goes_on_where_it_was_skipped_to(tmp_path: Path) -> None:
    path = make(tmp_path / "a.wav", *tone(seconds=2), "-ar", "44100")
    samples, _ = whole(path)
    with Audio(path, 3600) as audio:
        audio.skip(12_345)
        assert audio.position == 12_345
        assert np.array_equal(audio.read(5_000), samples[12_345:17_345])
        assert 0 < audio.share <= 1


def test_no_sound_is_told(tmp_path: Path) -> None:
    with Audio(plain(tmp_path / "a.mp4"), 3600) as audio:
        assert not audio.has_sound


def test_a_file_that_ends_early_gives_what_there_is(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mkv", *tone(seconds=8), "-c:a", "libmp3lame")
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    samples, _ = whole(path)
    assert 2 < len(samples) / RATE_HZ < 6


def test_sound_of_noise_is_an_error(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", *tone(seconds=2), "-c:a", "aac", "-movflags", "+faststart")
    raw = path.read_bytes()
    begin = raw.index(b"mdat") + 4
    path.write_bytes(raw[:begin] + b"\xff" * (len(raw) - begin))
    with pytest.raises(FailedError) as caught:
        whole(path)
    assert "broken" in caught.value.failure.what
    assert caught.value.failure.evidence


def test_too_long_is_an_error(tmp_path: Path) -> None:
    with Audio(make(tmp_path / "a.wav", *tone(seconds=2)), 1) as audio, pytest.raises(FailedError, match="too long"):
        audio.read(10 * RATE_HZ)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nsecret.wav\n", "list of other files"),
        (b"ffconcat version 1.0\nfile secret.wav\n", "list of other files"),
        (b"hello " * 100, "not recognisable"),
        (b"", "empty"),
    ],
)
def test_what_is_no_media_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    make(tmp_path / "secret.wav", *tone(seconds=1))
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(FailedError, match=says):
        Audio(path, 3600)


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.mp4", tmp_path):
        with pytest.raises(FailedError, match="cannot be read"):
            Audio(path, 3600)


def test_sound_in_another_file_is_not_followed(tmp_path: Path) -> None:
    target = make(tmp_path / "other.mov", *tone(seconds=2), "-c:a", "pcm_s16le")
    path = external_reference(tmp_path / "a.mov", target, target)
    raw = bytearray(path.read_bytes())
    begin = raw.index(b"mdat") + 4
    raw[begin : begin + 2 * 2 * 48_000] = bytes(min(len(raw) - begin, 2 * 2 * 48_000))  # silence here, a tone there
    path.write_bytes(raw)
    with Audio(path, 3600) as audio:
        try:
            samples = audio.read(10 * RATE_HZ)
        except FailedError:
            return
        assert np.abs(samples).max(initial=0) == 0
