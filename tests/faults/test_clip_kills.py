"""Exports that are killed or stopped: what is finished stays, the same command again makes the rest."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

import reel

pytestmark = pytest.mark.faults

PROMISED_S = 2.0  # printed beside what it took; a busy machine proves nothing
RANGES = {"one": (0.5, 1.0), "two": (2.0, 9.0), "three": (4.0, 4.5)}
# The second clip is nowhere near its end for as long as any test looks at it.
SLOW = ("--size", "720x1280", "--preset", "veryslow")
QUICK = ("--size", "144x256")
FINISHED = ["01-one.mp4", "02-two.mp4", "03-three.mp4"]
MEMORY = ".reelpress-clips.json"


@pytest.fixture
def folder(tmp_path: Path, long_clip: Path) -> Path:
    """A folder with the long clip as ``in.mp4``; its name finds every process that works there.

    Its clips are framed by hand, so that nothing has to be looked for.
    """
    shutil.copy(long_clip, tmp_path / "in.mp4")
    clips = []
    for name, (start_s, end_s) in RANGES.items():
        shot = {"start_s": start_s, "end_s": end_s, "layout": "fit", "windows": [], "rule": "hand"}
        clips.append({"start": start_s, "end": end_s, "name": name, "framing": {"shots": [shot]}})
    (tmp_path / "clips.json").write_text(json.dumps(clips))
    return tmp_path


def asked(folder: Path, *more: str) -> tuple[str, ...]:
    return (str(folder / "in.mp4"), "--clips", "clips.json", *more, "-o", "out")


def export(folder: Path, *more: str) -> reel.Ended:
    return reel.reel("clips", "--json", *asked(folder, *more), cwd=folder)


def results(ended: reel.Ended) -> list[str]:
    """What became of each clip, in order; ``kept`` where an earlier run had made it."""
    events = ended.events
    order = [event["job"] for event in events if event["event"] == "queued"]
    by_job = {r["job"]: "kept" if any(w["code"] == "kept_finished" for w in r["reasons"]) else r["status"]
              for r in ended.receipts}  # fmt: skip
    return [by_job[job] for job in order]


def test_kill_9_keeps_what_is_finished_and_the_rerun_makes_the_rest(folder: Path):
    arguments = asked(folder, *SLOW, "-j", "1")
    with reel.running(*arguments, cwd=folder, command="clips") as run:
        run.until("receipt")
        run.until("progress", lambda event: event["stage"] == "encode")
        family = {pid for pid, _ in reel.descendants(run.pid)}
        assert reel.naming(folder) - {run.pid}, "FFmpeg is at work"
        os.kill(run.pid, signal.SIGKILL)
        took_s = reel.seconds_until(
            lambda: not reel.alive(family) and not reel.naming(folder), time.monotonic(), reel.PATIENCE_S
        )
        print(f"\nkill -9, last process gone: {took_s:.2f} s (promised {PROMISED_S:g} s)")
        run.end()
    out = folder / "out"
    assert [name for name in reel.names_in(out) if not name.startswith(".")] == ["01-one.mp4"]
    assert reel.is_whole(out / "01-one.mp4")
    before = reel.identity(out / "01-one.mp4")

    # a clip that is to be something else now leaves the finished one alone, and takes the place of the unfinished
    again = export(folder, *QUICK)
    assert (again.code, results(again)) == (5, ["failed", "encoded", "encoded"])
    assert reel.identity(out / "01-one.mp4") == before
    assert reel.names_in(out) == [MEMORY, *FINISHED], "no temporary file, no lock"
    assert all(reel.is_whole(out / name) for name in FINISHED)


def test_the_same_command_again_after_kill_9(folder: Path):
    arguments = asked(folder, *QUICK, "-j", "1")
    with reel.running(*arguments, cwd=folder, command="clips") as run:
        run.until("receipt")
        os.kill(run.pid, signal.SIGKILL)
        run.end()
    before = reel.identity(folder / "out" / "01-one.mp4")
    again = export(folder, *QUICK)
    assert (again.code, results(again)) == (0, ["kept", "encoded", "encoded"])
    assert reel.identity(folder / "out" / "01-one.mp4") == before
    assert reel.names_in(folder / "out") == [MEMORY, *FINISHED]
    assert again.events[-1]["event"] == "export"
    assert {name: again.events[-1][name] for name in ("clips", "encoded", "kept", "exit_code")} == {
        "clips": 3, "encoded": 2, "kept": 1, "exit_code": 0,
    }  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_ends_every_clip_and_leaves_nothing_half_done(folder: Path, number: signal.Signals):
    arguments = asked(folder, *SLOW, "-j", "2")
    with reel.running(*arguments, cwd=folder, command="clips") as run:
        run.until("progress", lambda event: event["stage"] == "encode")
        at = time.monotonic()
        os.kill(run.pid, number)
        ended = run.end()
        print(f"\n{number.name}, gone: {time.monotonic() - at:.2f} s (promised {PROMISED_S:g} s)")
    assert ended.code == 130
    assert "cancelled" in results(ended)
    assert (ended.events[-1]["event"], ended.events[-1]["exit_code"]) == ("export", 130)
    assert not reel.naming(folder)
    assert all(name == MEMORY or reel.is_whole(folder / "out" / name) for name in reel.names_in(folder / "out"))
    again = export(folder, *QUICK, "--overwrite")
    assert again.code == 0
    assert reel.names_in(folder / "out") == [MEMORY, *FINISHED]
