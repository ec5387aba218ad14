"""Pictures of an output held against the source: right ones pass wherever containers seek badly or start late."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from reelpress.check.pictures import compare_pictures, pictures_gate
from reelpress.facts.host import HostFacts
from reelpress.plan.compress import plan
from reelpress.plan.model import Encode, argv
from reelpress.probe.media import probe
from reelpress.receipt import Gate
from reelpress.request import Request
from reelpress.run.process import run

import clips

pytestmark = pytest.mark.media

SPARSE_KEYS = (*clips.X264, "-g", "999", "-sc_threshold", "0")


def long_gop(out: Path, *more: str, seconds: float = 4.0) -> Path:
    """A picture that says when it is, with no keyframe after the first."""
    return clips.make(out, *clips.picture(seconds=seconds), *more, *SPARSE_KEYS)


def judged(host: HostFacts, source: Path, made_of: Path | None = None, *, max_fps: Fraction = Fraction(30)) -> Gate:
    """What the gate says of an output, made of the source or of something else."""
    facts = probe(source)
    decided = plan(facts, host, Request(always_encode=True, preset="ultrafast", max_fps=max_fps))
    assert isinstance(decided, Encode)
    out = source.with_name("out.mp4")
    command = argv(decided.attempts[0], source=f"file:{made_of or source}", target=str(out))
    assert run(command).returncode == 0
    return compare_pictures(
        decided.attempts[0].ffmpeg, source, facts, out, probe(out), decided.expect,
        coarseness=23 / 51, cancel=None, spend=lambda _: None,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["in.mp4", "in.mkv", "in.ts", "in.mpg", "in.flv"])
def test_no_keyframe_near_is_no_obstacle(host: HostFacts, tmp_path: Path, name: str) -> None:
    codec = ("-c:v", "mpeg2video", "-q:v", "2", "-g", "999") if name == "in.mpg" else ()
    gate = judged(host, long_gop(tmp_path / name, *codec) if not codec else _mpeg2(tmp_path / name, codec))
    assert gate.verdict == "passed", gate


def _mpeg2(out: Path, codec: tuple[str, ...]) -> Path:
    return clips.make(out, *clips.picture(seconds=4.0), *codec)


@pytest.mark.parametrize("name", ["in.mkv", "in.ts"])
def test_a_video_that_starts_after_its_sound_is_found_where_it_is(host: HostFacts, tmp_path: Path, name: str) -> None:
    picture, sound = clips.picture(seconds=3.0), clips.tone(seconds=4.0)
    source = clips.make(tmp_path / name, "-itsoffset", "1.0", *picture, *sound, *SPARSE_KEYS, "-c:a", "aac", "-copyts")
    assert judged(host, source).verdict == "passed"


def test_a_stream_that_was_joined_midway_is_found_where_it_is(host: HostFacts, tmp_path: Path) -> None:
    """What comes before the first keyframe cannot be decoded, though FFmpeg counts time from there."""
    whole = clips.make(tmp_path / "whole.ts", *clips.picture(seconds=4.0), *clips.X264, "-g", "25", "-bf", "0")
    source = tmp_path / "in.ts"
    packets = [whole.read_bytes()[n : n + 188] for n in range(0, whole.stat().st_size, 188)]
    video = [n for n, p in enumerate(packets) if p[1] & 0x40 and (p[1] & 0x1F) << 8 | p[2] == 0x100]
    source.write_bytes(b"".join((*packets[:3], *packets[video[5] :])))  # tables, then from the sixth picture on
    assert judged(host, source).verdict == "passed"


# What is after twelve seconds was sought, and there MPEG-TS and MPEG-PS were off by their start, or by all of it.
LONG_S = 20.0
OPEN_GOPS = (*clips.X264, "-bf", "3", "-x264-params", "open-gop=1:scenecut=0")
MPEG2 = ("-c:v", "mpeg2video", "-q:v", "3", "-bf", "2", "-sc_threshold", "1000000000")


@pytest.mark.by_turns
@pytest.mark.parametrize(
    ("name", "begins_s", "codec", "gop"),
    [
        ("in.ts", "0", OPEN_GOPS, "12"),
        ("in.ts", "0", OPEN_GOPS, "600"),
        ("in.ts", "100", MPEG2, "600"),
        ("in.ts", "95436", OPEN_GOPS, "12"),  # 33 bits of 90 kHz end 7.7 s after its start
        ("in.mpg", "0", MPEG2, "12"),
        ("in.mpg", "100", MPEG2, "600"),
        ("in.mkv", "100", OPEN_GOPS, "150"),
        ("in.flv", "0", clips.X264, "150"),
        ("in.mp4", "0", OPEN_GOPS, "600"),
        ("in.h264", "0", clips.X264, "12"),
        ("in.m2v", "0", MPEG2, "150"),
    ],
)
def test_places_far_into_a_source_are_found_whatever_its_clock(
    host: HostFacts, tmp_path: Path, name: str, begins_s: str, codec: tuple[str, ...], gop: str
) -> None:
    sound = clips.tone(seconds=LONG_S) if name in ("in.ts", "in.mpg") else ()  # which begins a little earlier
    picture = clips.picture("160x90", seconds=LONG_S)
    source = clips.make(tmp_path / name, *picture, *sound, *codec, "-g", gop, "-output_ts_offset", begins_s)
    assert judged(host, source).verdict == "passed"


@pytest.mark.parametrize("begins_s", ["0", "100"])
def test_sound_that_comes_first_does_not_put_places_off(host: HostFacts, tmp_path: Path, begins_s: str) -> None:
    """FFmpeg's clock, where it seeks, is that of the streams that are used: here without the sound."""
    late = ("-itsoffset", "2.5", *clips.picture("160x90", seconds=LONG_S), *clips.tone(seconds=LONG_S))
    source = clips.make(tmp_path / "in.ts", *late, *OPEN_GOPS, "-g", "25", "-c:a", "aac", "-output_ts_offset", begins_s)
    assert judged(host, source).verdict == "passed"


@pytest.mark.parametrize("begins_s", [("500", "20"), ("20", "500")], ids=["back", "forth"])
def test_a_clock_that_jumps_does_not_put_places_off(host: HostFacts, tmp_path: Path, begins_s: tuple[str, str]) -> None:
    parts = [
        clips.make(
            tmp_path / f"{begin}.ts", *clips.picture("160x90", seconds=10.0), "-vf", look, *clips.X264, "-g", "25",
            "-output_ts_offset", begin,
        )
        for begin, look in zip(begins_s, ("null", "negate"), strict=True)
    ]  # fmt: skip
    source = tmp_path / "in.ts"
    source.write_bytes(b"".join(part.read_bytes() for part in parts))
    track = probe(source).main_video
    assert track is not None
    assert track.clock_jumps == 1
    assert track.longest_gop_s == pytest.approx(1.0, abs=0.1), "a jump is no distance between keyframes"
    assert judged(host, source).verdict == "passed"


@pytest.mark.parametrize("name", ["in.ts", "in.mpg"])
def test_other_pictures_fail_far_into_a_source_too(host: HostFacts, tmp_path: Path, name: str) -> None:
    source = clips.make(tmp_path / name, *clips.picture("160x90", seconds=LONG_S), *MPEG2, "-g", "25")
    other = clips.make(tmp_path / f"o-{name}", "-i", str(source), "-vf", "hflip=enable='gt(t,17)'", *MPEG2, "-g", "25")
    assert judged(host, source, made_of=other).verdict == "failed"


@pytest.mark.parametrize("rate", ["1", "3"])
def test_pictures_far_apart_are_compared(host: HostFacts, tmp_path: Path, rate: str) -> None:
    """At the last place no other picture begins."""
    source = clips.plain(tmp_path / "in.mp4", *SPARSE_KEYS, rate=rate, seconds=4.0)
    assert judged(host, source).verdict == "passed"


@pytest.mark.parametrize("kept", ["lt(t,6.95)+gt(t,9)", "lt(t,3)+gt(t,15)", "eq(n,0)+gt(t,19.5)"])
def test_a_place_within_a_pause_is_compared_where_the_pause_ends(host: HostFacts, tmp_path: Path, kept: str) -> None:
    """Places are at 0.6, 7, 13 and 19 s: what comes before a pause and what after it are other pictures."""
    source = long_gop(tmp_path / "in.mkv", "-vf", f"select='{kept}'", "-fps_mode", "vfr", seconds=20.0)
    assert judged(host, source).verdict == "passed"
    other = clips.make(
        tmp_path / "other.mkv", "-i", str(source), "-vf", "hflip", "-fps_mode", "passthrough", *SPARSE_KEYS
    )
    assert judged(host, source, made_of=other).verdict == "failed"


@pytest.mark.parametrize(
    ("seen", "verdict", "told"),
    [
        ((40.0, None, 41.0), "passed", "Frames at 1.0 s could not be compared."),
        ((None, 12.0, 41.0), "failed", "Frames at 0.0 s could not be compared."),
        ((None, None), "unmeasured", "Frames at 0.0 s, 1.0 s could not be compared."),
        ((), "unmeasured", "No places known."),
        ((40.0,), "passed", "Compared in software."),
    ],
)
def test_a_place_that_cannot_be_compared_does_not_spare_the_others(
    seen: tuple[float | None, ...], verdict: str, told: str
) -> None:
    spent: list[float] = []
    matches = ((float(at), best, 0.5) for at, best in enumerate(seen))
    gate = pictures_gate(matches, places=len(seen), least_db=30.0, spend=spent.append)
    assert gate.verdict == verdict
    assert gate.text.endswith(told)
    assert spent == [0.5] * len(seen)


def test_a_second_of_video_is_compared_at_one_place_and_says_so(host: HostFacts, tmp_path: Path) -> None:
    gate = judged(host, long_gop(tmp_path / "in.mp4", seconds=0.8))
    assert (gate.verdict, gate.expected) == ("passed", "at least 30.0 dB at 1 place")


def test_where_frames_were_dropped_the_next_that_was_kept_is_compared(host: HostFacts, tmp_path: Path) -> None:
    assert judged(host, long_gop(tmp_path / "in.mp4"), max_fps=Fraction(3)).verdict == "passed"


@pytest.mark.parametrize("name", ["in.mp4", "in.ts"])
def test_other_pictures_fail(host: HostFacts, tmp_path: Path, name: str) -> None:
    source = long_gop(tmp_path / name)
    other = clips.make(tmp_path / f"other-{name}", *clips.picture(seconds=4.0), "-vf", "hflip", *SPARSE_KEYS)
    assert judged(host, source, made_of=other).verdict == "failed"


def test_pictures_that_come_half_a_second_late_fail(host: HostFacts, tmp_path: Path) -> None:
    source = long_gop(tmp_path / "in.mp4")
    other = clips.make(
        tmp_path / "late.mp4",
        "-ss",
        "0.5",
        "-i",
        str(source),
        "-vf",
        "tpad=stop_duration=0.5:stop_mode=clone",
        *SPARSE_KEYS,
    )
    assert judged(host, source, made_of=other).verdict == "failed"
