"""Samples: the frames they hold, what they lose, and whether a trial of them tells what an encode of the whole does."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from statistics import mean

import msgspec
import pytest

from reelpress.errors import Cancelled
from reelpress.facts.host import FfmpegFacts, HostFacts
from reelpress.facts.quality import Window
from reelpress.plan.compress import plan
from reelpress.plan.model import Attempt, Encode
from reelpress.probe.host import probe_host
from reelpress.probe.media import probe
from reelpress.quality.packets import media_bytes, packet_table
from reelpress.quality.sample_encode import TrialError, encode_sample
from reelpress.quality.samples import Sample, SampleError, cut_samples
from reelpress.quality.trial import (
    Trial,
    encoder_options,
    score_sample,
    software_filters,
    take_trial,
)
from reelpress.request import Request
from reelpress.run.process import CancelToken

import clips

HOST = probe_host()
SCORER = HOST.scorer
FFMPEG = clips.ffmpeg()
pytestmark = pytest.mark.skipif(SCORER is None, reason="no FFmpeg here has libvmaf")


def planned(source: Path, **wishes: object) -> tuple[Attempt, Encode]:
    host = msgspec.structs.replace(HOST, ffmpegs=tuple(f for f in HOST.ffmpegs if f.origin == "bundled"))
    wish = Request(**{"hardware": "off", "always_encode": True, "preset": "veryfast", **wishes})  # type: ignore[arg-type]
    decided = plan(probe(source), host, wish)
    assert isinstance(decided, Encode)
    return decided.attempts[0], decided


def cut(
    source: Path, folder: Path, *windows: Window, tail_s: float | None = None, **wishes: object
) -> tuple[Sample, ...]:
    _, decided = planned(source, **wishes)
    filters = software_filters(decided)
    assert filters is not None
    return cut_samples(
        FFMPEG, source, probe(source), windows, folder, filters=filters,
        pix_fmt=decided.expect.pix_fmt or "yuv420p", tail_s=tail_s, spend=lambda _: None,
    )  # fmt: skip


def trial(samples: tuple[Sample, ...], source: Path, folder: Path, **wishes: object) -> Trial:
    assert SCORER is not None
    attempt, _ = planned(source, **wishes)
    return take_trial(
        samples, encoder_options(attempt), folder, encoder_ffmpeg=FFMPEG, scorer_ffmpeg=SCORER.path, threads=2,
        spend=lambda _: None,
    )  # fmt: skip


def frame_hashes(path: Path, *, start: int = 0, frames: int) -> list[str]:
    """Hashes of the luma of frames, by number: the sample's container has no say in them."""
    command = [FFMPEG, "-v", "error", "-i", str(path), "-vf", f"trim=start_frame={start}:end_frame={start + frames}"]
    done = subprocess.run(
        [*command, "-fps_mode", "passthrough", "-pix_fmt", "gray", "-f", "rawvideo", "-"], capture_output=True,
        check=True, timeout=60,
    )  # fmt: skip
    size = 320 * 180
    return [hashlib.sha1(done.stdout[i : i + size]).hexdigest() for i in range(0, len(done.stdout), size)]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_a_sample_holds_the_frames_of_its_stretch_to_the_bit(tmp_path: Path, name: str) -> None:
    source = clips.plain(tmp_path / name, "-g", "25", seconds=4)
    (sample,) = cut(source, tmp_path, Window(start_s=1.2, duration_s=1.0))
    assert (sample.frames, sample.coded_frames) == (25, 50)
    assert sample.seconds == pytest.approx(1.0)
    assert frame_hashes(Path(sample.path), frames=50) == frame_hashes(source, start=30, frames=50)


@pytest.mark.parametrize("build", HOST.ffmpegs, ids=lambda build: build.origin)
@pytest.mark.parametrize("name", ["a.mp4", "a.ts"])
def test_a_place_to_seek_to_is_found_in_a_file_whose_sound_begins_first(
    tmp_path: Path, name: str, build: FfmpegFacts
) -> None:
    # in a transport stream the seek is 12 s early, so that only what lies later is sought
    source = clips.make(
        tmp_path / name, "-itsoffset", "0.4", *clips.picture(seconds=15), *clips.tone(seconds=15), *clips.X264, "-g",
        "25", "-c:a", "aac",
    )  # fmt: skip
    (sample,) = cut_samples(
        build.path, source, probe(source), [Window(start_s=13.0, duration_s=1.0)], tmp_path, filters="null",
        pix_fmt="yuv420p", spend=lambda _: None,
    )  # fmt: skip
    assert sample.frames == 25
    assert frame_hashes(Path(sample.path), frames=25) == frame_hashes(source, start=325, frames=25)


def test_a_stream_without_times_is_sampled_by_its_frames(tmp_path: Path) -> None:
    source = clips.make(tmp_path / "a.h264", *clips.picture(seconds=16), *clips.X264, "-g", "25")
    (sample,) = cut(source, tmp_path, Window(start_s=13.0, duration_s=1.0))
    assert sample.frames == 25
    assert frame_hashes(Path(sample.path), frames=25) == frame_hashes(source, start=325, frames=25)


@pytest.mark.parametrize("begins_s", [("500", "20"), ("20", "500")], ids=["back", "forth"])
def test_a_sample_behind_a_jump_of_the_clock_is_of_its_own_place(tmp_path: Path, begins_s: tuple[str, str]) -> None:
    parts = [
        clips.make(
            tmp_path / f"{begin}.ts", *clips.picture(seconds=8), "-vf", look, *clips.X264, "-g", "25",
            "-output_ts_offset", begin,
        )
        for begin, look in zip(begins_s, ("null", "negate"), strict=True)
    ]  # fmt: skip
    source = tmp_path / "in.ts"
    source.write_bytes(b"".join(part.read_bytes() for part in parts))
    (sample,) = cut(source, tmp_path, Window(start_s=13.0, duration_s=1.0))
    assert sample.frames == 25
    assert frame_hashes(Path(sample.path), frames=25) == frame_hashes(parts[1], start=125, frames=25)


def test_a_video_that_begins_later_than_its_sound_is_sampled_from_its_own_first_picture(tmp_path: Path) -> None:
    source = clips.make(
        tmp_path / "late.mp4", "-itsoffset", "0.5", *clips.picture(seconds=3), *clips.tone(seconds=3), *clips.X264,
        "-c:a", "aac",
    )  # fmt: skip
    (sample,) = cut(source, tmp_path, Window(start_s=0, duration_s=1.0))
    assert sample.frames == 25
    assert frame_hashes(Path(sample.path), frames=25) == frame_hashes(source, frames=25)


def test_stretches_that_reach_over_the_end_are_as_long_as_the_programme_lasts(tmp_path: Path) -> None:
    source = clips.plain(tmp_path / "a.mp4", seconds=2)
    late, whole = cut(source, tmp_path, Window(start_s=1.5, duration_s=1.0), Window(start_s=0, duration_s=2.0))
    assert (late.frames, late.coded_frames, late.seconds, late.whole) == (12, 12, pytest.approx(0.5), False)
    assert (whole.frames, whole.coded_frames, whole.seconds, whole.whole) == (50, 50, pytest.approx(2.0), True)


def test_ten_bits_lose_nothing_either(tmp_path: Path) -> None:
    source = clips.make(
        tmp_path / "10.mp4", *clips.picture(seconds=2), "-c:v", "libx265", "-x265-params", "log-level=error:lossless=1",
        "-vf", "format=yuv420p10le,setparams=range=tv:color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc",
    )  # fmt: skip
    (sample,) = cut(source, tmp_path, Window(start_s=0, duration_s=1.0), codec="hevc", hdr="keep")

    def raw(path: Path) -> bytes:
        command = [FFMPEG, "-v", "error", "-i", str(path), "-frames:v", "25", "-pix_fmt", "yuv420p10le"]
        return subprocess.run([*command, "-f", "rawvideo", "-"], capture_output=True, check=True, timeout=60).stdout

    assert raw(Path(sample.path)) == raw(source)


@pytest.mark.parametrize(("codec", "crf"), [("h264", 28), ("hevc", 30), ("av1", 45)])
def test_a_trial_of_all_of_it_is_what_the_encode_comes_to(tmp_path: Path, codec: str, crf: float) -> None:
    source = clips.plain(tmp_path / "a.mp4", "-crf", "10", seconds=3)
    wishes = {"codec": codec, "crf": crf, "preset": {"av1": "10"}.get(codec, "veryfast")}
    samples = cut(source, tmp_path, Window(start_s=0, duration_s=3.0), **wishes)
    tried = trial(samples, source, tmp_path, **wishes)
    attempt, _ = planned(source, **wishes)
    made = encode_sample(samples[0], encoder_options(attempt), tmp_path, ffmpeg=FFMPEG, spend=lambda _: None)
    assert tried.size_bytes == pytest.approx(media_bytes(Path(made.path)), rel=0.01)
    assert tried.frames == 75
    assert 50 < tried.vmaf.mean < 99
    assert [part.sample for part in tried.parts] == list(samples)


def test_a_sample_from_the_middle_tells_what_its_frames_are_in_the_whole(tmp_path: Path) -> None:
    slow = "mandelbrot=size=320x180:rate=25:start_scale=0.8:end_scale=0.4:end_pts=200,noise=alls=3:allf=t"
    source = clips.make(
        tmp_path / "a.mp4", "-f", "lavfi", "-i", slow, "-t", "6", "-c:v", "libx264", "-crf", "8", "-g", "50",
        "-pix_fmt", "yuv420p",
    )  # fmt: skip
    wishes = {"crf": 23, "preset": "faster"}
    assert SCORER is not None
    attempt, _ = planned(source, **wishes)
    (whole,) = cut(source, tmp_path, Window(start_s=0, duration_s=6.0), **wishes)
    made = encode_sample(whole, encoder_options(attempt), tmp_path, ffmpeg=FFMPEG, spend=lambda _: None)
    scores, _ = score_sample(made, ffmpeg=SCORER.path, threads=2)
    before, there = (
        mean(score for score, at in zip(scores.vmaf, scores.at_s, strict=True) if start <= at < start + 2)
        for start in (0, 2)
    )
    assert before > there + 0.8
    table = packet_table(Path(made.path))
    bytes_there = sum(size for size, at in zip(table.sizes, table.shown_s, strict=True) if 2 - 1e-4 <= at < 4 - 1e-4)
    folder = tmp_path / "samples"
    folder.mkdir()
    middle = cut(source, folder, Window(start_s=2.0, duration_s=2.0), **wishes)
    tried = trial(middle, source, folder, **wishes)
    assert (tried.frames, tried.coded_seconds) == (50, pytest.approx(3.0))
    assert tried.vmaf.mean == pytest.approx(there, abs=0.8)
    assert tried.size_bytes == pytest.approx(bytes_there, rel=0.06)


def test_what_cannot_be_decoded_encoded_or_waited_for_is_said(tmp_path: Path) -> None:
    source = clips.plain(tmp_path / "a.mp4", seconds=2)
    with pytest.raises(SampleError, match=r"at 1\.0 s"):
        cut_samples(
            FFMPEG, source, probe(source), [Window(start_s=1, duration_s=1)], tmp_path, filters="nosuchfilter",
            pix_fmt="yuv420p", spend=lambda _: None,
        )  # fmt: skip
    with pytest.raises(SampleError):
        cut_samples(
            FFMPEG, source, probe(source), [Window(start_s=0, duration_s=2)], tmp_path, filters="null",
            pix_fmt="yuv420p", most_bytes=2000, spend=lambda _: None,
        )  # fmt: skip
    samples = cut(source, tmp_path, Window(start_s=0, duration_s=1))
    with pytest.raises(TrialError):
        encode_sample(samples[0], ("-c:v:0", "nosuchencoder"), tmp_path, ffmpeg=FFMPEG, spend=lambda _: None)
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        encode_sample(
            samples[0], ("-c:v:0", "libx264"), tmp_path, ffmpeg=FFMPEG, cancel=cancel, spend=lambda _: None
        )  # fmt: skip


def test_only_a_build_with_libvmaf_scores() -> None:
    assert HostFacts(ffmpegs=(), gpus=(), cores=1, memory_mb=None).scorer is None
    assert SCORER is not None
    assert "libvmaf" in SCORER.filters
