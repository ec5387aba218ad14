"""``reelpress ladder`` on generated clips: aligned rungs, playlists that play, a folder that is whole or not there."""

from __future__ import annotations

import errno
import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from reelpress import stream_engine
from reelpress.check.fragments import read_representation
from reelpress.check.ladder import read_master, read_media
from reelpress.cli.app import app
from reelpress.events import Progressed
from reelpress.probe.host import probe_host
from reelpress.receipt import Receipt
from reelpress.request import Request
from reelpress.run.process import CancelToken
from reelpress.stream_engine import LadderWish, make_ladder

import clips
from thorough import every

HOST = probe_host()
pytestmark = [pytest.mark.media, pytest.mark.skipif(HOST.scorer is None, reason="no FFmpeg here has libvmaf")]
ASKED = Request(preset="ultrafast", max_width=1920, max_height=1080)
SHORT = LadderWish(most_rungs=3, segment_s=2.0)
PICTURE = "mandelbrot=size={size}:rate={rate},format=yuv420p"


def made(
    out: Path, *more: str, size: str = "320x180", rate: str = "25", seconds: float = 5, sound: bool = True
) -> Path:
    heard = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100") if sound else ()
    shown = ("-f", "lavfi", "-i", PICTURE.format(size=size, rate=rate))
    return clips.make(out, *shown, *heard, "-t", str(seconds), *clips.X264, "-crf", "12", *more)


def small(out: Path, seconds: float = 2) -> Path:
    """Where it does not matter what is in it: of one size there are few trials."""
    return made(out, size="256x144", seconds=seconds)


def whole(folder: Path, receipt: Receipt) -> list[list[tuple[float, float]]]:
    """Return when each rung's segments begin and how long they are, once everything about the ladder was seen right."""
    assert receipt.status == "encoded", (receipt.error, receipt.evidence)
    assert {g.verdict for g in receipt.gates} == {"passed"}
    assert receipt.ladder is not None
    variants, groups = read_master((folder / "master.m3u8").read_text())
    assert len(variants) == len(receipt.ladder.rungs)
    cuts = []
    for number in range(len(variants) + len(groups)):
        track = read_representation(folder, number)
        if number < len(variants):
            cuts.append([(s.start / track.timescale, s.duration / track.timescale) for s in track.segments])
    assert all(cut == cuts[0] for cut in cuts)
    assert not [p for p in folder.parent.iterdir() if p.name.endswith(".reelpress-part")]
    return cuts


SOURCES: dict[str, Callable[[Path], Path]] = {
    "plain": lambda d: made(d / "a.mp4"),
    "film rate": lambda d: made(d / "a.mp4", rate="24000/1001"),
    "variable": lambda d: made(d / "a.mkv", "-vf", "select='not(mod(n,3))+between(n,30,60)'", "-fps_mode", "vfr"),
    "late start": lambda d: made(d / "a.ts"),
    "pictures later": lambda d: made(d / "a.mkv", "-vf", "trim=start=0.6", "-preset", "veryfast"),
    "sound later": lambda d: made(d / "a.mkv", "-af", "asetpts=PTS+0.7/TB"),
    "silent": lambda d: made(d / "a.mp4", sound=False),
    "soft": lambda d: made(d / "a.mp4", "-vf", "scale=120:68,scale=854:480"),
    "portrait": lambda d: made(d / "a.mp4", "-vf", "transpose"),
    "rare matrix": lambda d: made(d / "a.mp4", "-vf", "setparams=colorspace=ycgco"),
}


@pytest.mark.parametrize("kind", every(4, SOURCES))
def test_rungs_are_cut_at_the_same_pictures_whatever_the_source(kind: str, tmp_path: Path) -> None:
    source = SOURCES[kind](tmp_path)
    receipt = make_ladder(source, tmp_path / "out", host=HOST, request=ASKED, wish=SHORT)
    cuts = whole(tmp_path / "out", receipt)[0]
    assert len(cuts) == 3
    assert all(1.8 <= duration <= 2.3 for _, duration in cuts[:2])
    ladder = receipt.ladder
    assert ladder is not None
    assert len(ladder.sounds_bps) == (0 if kind == "silent" else 2)
    assert all(a.average_bps > b.average_bps for a, b in itertools.pairwise(ladder.rungs))
    assert all(rung.peak_bps <= 2.2 * rung.predicted_bps for rung in ladder.rungs)
    if kind == "pictures later":  # the first one is shown until the second comes, at its time
        assert sum(duration for _, duration in cuts) == pytest.approx(5, abs=0.05)
        assert "first_picture_held" in [r.code for r in receipt.reasons]
        assert receipt.result is not None
        assert receipt.result.frames == 125
    if kind == "sound later":  # it is silent until then
        heard = read_representation(tmp_path / "out", len(ladder.rungs))
        assert sum(heard.durations_s) == pytest.approx(5, abs=0.06)
    if kind == "soft":  # two sizes, of which one is not quite of the other's shape
        assert len({(rung.width, rung.height) for rung in ladder.rungs}) > 1
    if kind == "portrait":
        assert ladder.rungs[0].width < ladder.rungs[0].height


def test_a_last_picture_that_stays_stays_in_every_rung(tmp_path: Path) -> None:
    source = clips.ends_still(tmp_path / "a.mp4", until_s=9.5)
    receipt = make_ladder(source, tmp_path / "out", host=HOST, request=ASKED, wish=SHORT)
    for cuts in whole(tmp_path / "out", receipt):
        assert sum(duration for _, duration in cuts) == pytest.approx(9.5, abs=0.05)


def test_ffmpeg_plays_the_master_playlist_and_sound_keeps_to_the_picture(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    receipt = make_ladder(made(tmp_path / "a.mp4"), folder, host=HOST, request=ASKED, wish=SHORT)
    whole(folder, receipt)
    done = subprocess.run(
        [clips.ffmpeg(), "-v", "error", "-nostdin", "-i", str(folder / "master.m3u8"), "-map", "0", "-f", "null", "-"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    one = read_media((folder / "media-0.m3u8").read_text())
    sound = read_media((folder / f"media-{len(receipt.ladder.rungs)}.m3u8").read_text())  # type: ignore[union-attr]
    assert sum(sound.durations_s) == pytest.approx(sum(one.durations_s), abs=0.1)
    # sound is cut at its own packets of 21 ms
    assert all(1.9 <= duration <= 2.05 for duration in sound.durations_s[:-1])


def test_a_ladder_is_replaced_as_a_whole_and_nothing_else_ever(tmp_path: Path) -> None:
    source, folder = small(tmp_path / "a.mp4"), tmp_path / "out"
    assert make_ladder(source, folder, host=HOST, request=ASKED, wish=SHORT).status == "encoded"
    again = make_ladder(source, folder, host=HOST, request=ASKED, wish=SHORT)
    assert (again.status, again.exit_code) == ("failed", 5)
    wider = msgspec.structs.replace(SHORT, most_rungs=1)
    replaced = make_ladder(source, folder, host=HOST, request=ASKED, wish=wider, overwrite=True)
    whole(folder, replaced)
    assert not (folder / "media-4.m3u8").exists()
    (folder / "holiday.mp4").write_bytes(b"mine")
    refused = make_ladder(source, folder, host=HOST, request=ASKED, wish=wider, overwrite=True)
    assert refused.exit_code == 5
    assert refused.evidence == "holiday.mp4"
    assert (folder / "holiday.mp4").read_bytes() == b"mine"


def test_a_ladder_that_is_not_right_is_not_delivered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = stream_engine.manifest

    def tampered(*parts: Any) -> str:
        return honest(*parts).replace("avc1", "hvc1")

    monkeypatch.setattr(stream_engine, "manifest", tampered)
    receipt = make_ladder(small(tmp_path / "a.mp4"), tmp_path / "out", host=HOST, request=ASKED, wish=SHORT)
    assert (receipt.status, receipt.exit_code) == ("failed", 1)
    assert "ladder_files" in (receipt.evidence or "")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4"]


def test_a_source_that_changes_while_it_is_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = small(tmp_path / "a.mp4")

    def broken(*_parts: Any) -> str:
        with source.open("ab") as more:
            more.write(b"more")
        return "nothing that plays"

    monkeypatch.setattr(stream_engine, "manifest", broken)
    receipt = make_ladder(source, tmp_path / "out", host=HOST, request=ASKED, wish=SHORT)
    assert (receipt.status, receipt.exit_code) == ("rejected", 3)
    assert "changed" in (receipt.error or "")


def test_a_disk_that_is_full_at_the_end_is_told_with_what_was_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_parts: Any) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(stream_engine, "manifest", full)
    receipt = make_ladder(small(tmp_path / "a.mp4"), tmp_path / "out", host=HOST, request=ASKED, wish=SHORT)
    assert (receipt.status, receipt.exit_code) == ("failed", 5)
    assert "No space left" in (receipt.evidence or "")
    assert [str(attempt.failure) for attempt in receipt.attempts] == ["output_full"]
    assert receipt.attempts[0].cpu_s > 0


def test_cancelling_leaves_nothing(tmp_path: Path) -> None:
    stop = CancelToken()
    receipt = make_ladder(
        small(tmp_path / "a.mp4", seconds=5), tmp_path / "out", host=HOST, request=ASKED, wish=SHORT, cancel=stop,
        on_event=lambda event: stop.cancel() if isinstance(event, Progressed) else None,
    )  # fmt: skip
    assert receipt.status == "cancelled"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4"]


def test_what_a_killed_run_left_goes_with_the_next(tmp_path: Path) -> None:
    source = small(tmp_path / "a.mp4", seconds=3)
    run = "from reelpress.stream_engine import *;from reelpress.probe.host import probe_host;import os,sys\n"
    run += "from reelpress.events import Progressed\n"
    run += "make_ladder(sys.argv[1], sys.argv[2], host=probe_host(), request=Request(preset='ultrafast'),"
    run += "on_event=lambda e: os._exit(9) if isinstance(e, Progressed) else None)"
    done = subprocess.run([sys.executable, "-c", run, str(source), str(tmp_path / "out")], check=False, timeout=300)
    assert done.returncode == 9
    left = [p.name for p in tmp_path.iterdir() if p.name.startswith(".out.")]
    assert len(left) == 1
    assert not (tmp_path / "out").exists()
    mine = tmp_path / ".out.0123456789ab.mine"  # nobody else's folders are swept
    mine.mkdir()
    whole(tmp_path / "out", make_ladder(source, tmp_path / "out", host=HOST, request=ASKED, wish=SHORT))
    assert mine.is_dir()
    assert not (tmp_path / left[0]).exists()


def test_the_command_prints_a_table_or_events(tmp_path: Path) -> None:
    source = small(tmp_path / "a.mp4")
    more = ["--rungs", "2", "--preset", "ultrafast"]
    done = CliRunner().invoke(app, ["ladder", str(source), "-o", str(tmp_path / "one"), *more])
    assert done.exit_code == 0, done.output
    assert "256x144" in done.stdout
    assert "VMAF*" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    done = CliRunner().invoke(app, ["ladder", str(source), "-o", str(tmp_path / "two"), *more, "--json"])
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [lines[0]["event"], lines[-1]["event"]] == ["started", "receipt"]
    assert len(lines[-1]["ladder"]["rungs"]) == 2
    missing = CliRunner().invoke(app, ["ladder", str(tmp_path / "no.mp4"), "-o", str(tmp_path / "three"), *more])
    assert missing.exit_code == 3


def test_a_frame_that_is_shown_for_no_time_makes_no_ladder(tmp_path: Path) -> None:
    source = clips.timeless(tmp_path / "one.webm")
    refused = make_ladder(source, tmp_path / "out", host=HOST, request=ASKED, wish=SHORT)
    assert (refused.status, refused.exit_code) == ("rejected", 3)
    assert "how long" in (refused.error or "")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("size", ["14x14", "64x16"])
def test_pictures_too_small_to_be_scored_are_refused_before_anything_is_encoded(size: str, tmp_path: Path) -> None:
    source = made(tmp_path / "a.mp4", size=size, seconds=1, sound=False)
    refused = make_ladder(source, tmp_path / "out", host=HOST, request=ASKED, wish=SHORT)
    assert (refused.status, refused.exit_code) == ("rejected", 3)
    assert refused.error == f"Pictures of {size} are too small for VMAF."
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4"]


def test_the_smallest_pictures_that_are_scored_make_a_ladder(tmp_path: Path) -> None:
    source = made(tmp_path / "a.mp4", size="18x18", seconds=1, sound=False)
    receipt = make_ladder(source, tmp_path / "out", host=HOST, request=ASKED, wish=SHORT)
    whole(tmp_path / "out", receipt)
    assert receipt.result is not None
    assert receipt.result.video == "h264, 1 rung of 18x18"


def test_settings_of_another_codec_are_none_of_a_ladders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = small(tmp_path / "a.mp4", seconds=1)
    for name, text in (("CODEC", "av1"), ("PRESET", "8"), ("CRF", "60")):
        monkeypatch.setenv(f"COMPRESSION_{name}", text)
    least = ("--rungs", "1", "--max-size", "320x180")
    for preset in ((), ("--preset", "lean")):
        folder = tmp_path / f"out{len(preset)}"
        done = CliRunner().invoke(app, ["ladder", str(source), "-o", str(folder), *least, *preset])
        assert done.exit_code == 0, done.output
    asked = msgspec.structs.replace(ASKED, codec="av1", preset="8", crf=60)
    made_of = make_ladder(source, tmp_path / "by-request", host=HOST, request=asked, wish=SHORT)
    assert made_of.status == "encoded", made_of.error
