"""``reelpress calibrate`` as a user runs it, on a tiny clip, and what ``doctor`` says of it then."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Never

import msgspec
import pytest

import forked_program
import reelpress
from reelpress.calibrating.material import GENERATED, generated_clip
from reelpress.calibrating.measure import Measured, Scope, measure
from reelpress.cli.calibrate import run_calibrate
from reelpress.cli.doctor_screen import screen
from reelpress.diagnosis.findings import CalibrationState, Findings
from reelpress.errors import InputError, OutputError
from reelpress.facts.values import from_json
from reelpress.plan.calibration import CurveState
from reelpress.probe.calibration import calibration_file, read_calibration
from reelpress.probe.host import probe_host

import clips


def calibrate(
    cache: Path, *arguments: str, command: str = "calibrate", **more: str
) -> subprocess.CompletedProcess[str]:
    env = {name: text for name, text in os.environ.items() if not name.startswith(("REELPRESS_", "COMPRESSION_"))}
    env |= {
        "PYTHONPATH": str(Path(reelpress.__file__).parents[1]),
        "REELPRESS_CACHE_DIR": str(cache),
        "COLUMNS": "80",
        **more,
    }
    return forked_program.run_text([command, *arguments], cwd=cache.parent, env=env, patience_s=300)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with a calibration over one tiny clip, made by the command."""
    folder = tmp_path_factory.mktemp("calibrate")
    source = clips.plain(folder / "private-name.mp4", "-crf", "5", size="160x120", seconds=1.2)
    done = calibrate(folder / "cache", "--quick", "--only-files", str(source))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert all(len(line) <= 80 for line in lines if not line.startswith("Kept in"))
    assert any(line.startswith("libx265    fast") for line in lines)
    assert "9 points over 1 clips (file 1)" in " ".join(lines)
    return folder / "cache"


def test_what_was_measured_is_kept_without_names(cache: Path) -> None:
    made = read_calibration(cache)
    assert made is not None
    assert [curve.encoder for curve in made.curves] == ["libx264", "libx265", "libsvtav1"]
    assert [clip.name for clip in made.clips] == ["file 1"]
    assert (made.clips[0].width, made.clips[0].height) == (160, 120)
    assert made.clips[0].seconds == pytest.approx(1.2, abs=0.05)
    assert "private-name" not in (cache / "calibration.json").read_text()
    for curve in made.curves:
        assert [point.vmaf for point in curve.points] == sorted((p.vmaf for p in curve.points), reverse=True)


def test_it_is_shown_again_and_doctor_knows_it(cache: Path) -> None:
    shown = json.loads(calibrate(cache, "--show", "--json").stdout)
    assert shown["event"] == "calibration"
    assert [row["encoder"] for row in shown["rows"]] == ["libx264", "libx265", "libsvtav1"]
    assert shown["rows"][0]["equal"][1]["quality"] == 23.0
    assert shown["rows"][0]["size_ratio"] == 1.0
    assert all(state["why_not"] is None for state in shown["curves"])
    doctor = calibrate(cache, "--hardware", "off", command="doctor")
    assert "holds for libx264 lean, libx265 fast, libsvtav1 8" in " ".join(doctor.stdout.split())


def test_a_plan_says_that_its_default_was_measured(cache: Path) -> None:
    source = cache.parent / "private-name.mp4"
    arguments = ("--codec", "av1", "--hardware", "off", "--always-encode", str(source))
    plain = calibrate(cache, *arguments, command="plan")
    measured = calibrate(cache, *arguments, command="plan", REELPRESS_CALIBRATION="defaults")
    assert "measured on this machine" not in plain.stdout
    assert "measured on this machine" in " ".join(measured.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--only-files",), "leaves nothing to encode"),
        (("--quick", "--all-presets"), "contradict each other"),
        (("--clip-size", "63x64"), "accepted: even sides"),
        (("--clip-seconds", "nan"), "accepted: 0.2 to 60"),
        (("--show",), "Nothing was measured"),
        (("--show", "--quick"), "--show measures nothing"),
        (("--show", "holiday.mov"), "--show measures nothing"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    done = calibrate(tmp_path / "empty", *arguments)
    assert (done.returncode, words in done.stderr) == (2, True), done.stderr


def test_a_file_that_is_no_video_is_refused_and_nothing_is_stored(tmp_path: Path) -> None:
    (tmp_path / "no.mp4").write_bytes(b"nothing")
    done = calibrate(tmp_path / "cache", "--quick", "--only-files", str(tmp_path / "no.mp4"))
    assert done.returncode == 3, done.stderr
    assert f"reelpress: {tmp_path / 'no.mp4'}: " in done.stderr
    assert read_calibration(tmp_path / "cache") is None


def test_files_are_looked_at_before_clips_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(*_: object, **__: object) -> Never:
        pytest.fail("a clip was drawn for a file that cannot be used")

    monkeypatch.setattr("reelpress.calibrating.measure.generated_clip", draw)
    with pytest.raises(InputError, match="no such file"):
        measure(probe_host(cache_dir=tmp_path), Scope(files=(str(tmp_path / "no.mp4"),)), tmp_path)


def measuring(
    monkeypatch: pytest.MonkeyPatch, folder: Path, measured: Measured, *, as_json: bool = True
) -> int:  # fmt: skip
    """Run the command with a measurement that has an end of its own."""
    monkeypatch.setenv("REELPRESS_CACHE_DIR", str(folder))
    monkeypatch.setattr("reelpress.cli.calibrate.measure", lambda *_, **__: measured)
    return run_calibrate(
        (), quick=False, all_presets=False, only_files=False, clip_size=None, clip_seconds=None, show=False,
        forget=False, as_json=as_json,
    )  # fmt: skip


def test_what_could_not_be_finished_costs_no_curve_that_still_holds(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read_calibration(cache)
    assert before is not None
    shutil.copy(calibration_file(cache), tmp_path)
    x264, *others = before.curves
    unfinished = tuple(msgspec.structs.replace(curve, points=()) for curve in others)
    failed = tuple((f"{curve.encoder} {curve.preset}", "no room") for curve in others)
    made = msgspec.structs.replace(before, made_at="2030-01-01T00:00:00+00:00", curves=(x264,))
    assert measuring(monkeypatch, tmp_path, Measured(calibration=made, failed=failed, unfinished=unfinished)) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["kept"], told["not_stored"]) == (["libx265 fast", "libsvtav1 8"], None)
    stored = read_calibration(tmp_path)
    assert stored is not None
    assert [curve.points for curve in stored.curves] == [curve.points for curve in before.curves]

    nothing = msgspec.structs.replace(made, curves=())
    done = measuring(monkeypatch, tmp_path, Measured(calibration=nothing, failed=failed), as_json=False)
    assert (done, read_calibration(tmp_path)) == (1, stored)
    assert "Not stored: No curve was finished." in capsys.readouterr().out


def test_what_was_measured_is_shown_where_it_cannot_be_stored(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = read_calibration(cache)
    assert made is not None
    calibration_file(tmp_path).mkdir()
    with pytest.raises(OutputError, match="could not be written"):
        measuring(monkeypatch, tmp_path, Measured(calibration=made))
    told = json.loads(capsys.readouterr().out)
    assert [row["encoder"] for row in told["rows"]] == ["libx264", "libx265", "libsvtav1"]
    assert "could not be written" in told["not_stored"]
    assert not list(tmp_path.glob(".calibration-*"))


def test_a_file_with_a_stretch_without_a_new_picture_is_an_input_that_cannot_be_used(tmp_path: Path) -> None:
    """Its last picture is shown for half a minute."""
    held = ("-bsf:v", r"setts=duration=if(eq(N\,24)\,750\,1)")
    source = clips.plain(tmp_path / "slides.mp4", *held, size="160x120", seconds=1.0)
    done = calibrate(tmp_path / "cache", "--quick", "--only-files", str(source))
    assert done.returncode == 3, done.stderr
    assert "evidence: " in done.stderr
    assert "hint: " in done.stderr


def test_a_file_too_small_to_be_scored_is_an_input_that_cannot_be_used(tmp_path: Path) -> None:
    source = clips.plain(tmp_path / "icon.mp4", size="64x16", seconds=1.0)
    done = calibrate(tmp_path / "cache", "--quick", "--only-files", str(source))
    assert done.returncode == 3, done.stderr
    assert "evidence: Pictures of 64x16 are too small for VMAF." in done.stderr


@pytest.mark.parametrize("name", GENERATED)
def test_a_clip_is_drawn_alike_each_time(name: str, tmp_path: Path) -> None:
    """Else no curve of an earlier calibration could stand beside new ones."""
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
    one, other = (
        generated_clip(name, (160, 120), 0.5, ffmpeg=clips.ffmpeg(), folder=folder).about for folder in folders
    )
    assert one == other


def test_it_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "calibration.json").write_text("{}")
    assert calibrate(tmp_path / "cache", "--forget").returncode == 0
    assert not (tmp_path / "cache" / "calibration.json").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--show", "--forget"), "--show and --forget contradict each other"),
        (("--forget", "--quick"), "--forget measures nothing"),
        (("--forget", "--clip-seconds", "1"), "--forget measures nothing"),
        (("--forget", "holiday.mov"), "--forget measures nothing"),
    ],
)
def test_it_is_not_forgotten_by_a_command_that_asks_for_more(
    tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "calibration.json").write_text("{}")
    done = calibrate(tmp_path / "cache", *arguments)
    assert (done.returncode, words in done.stderr) == (2, True), done.stderr
    assert (tmp_path / "cache" / "calibration.json").exists()


def test_doctor_says_which_curves_are_stale() -> None:
    why = "it was measured with driver 535.1; this is 580.1"
    curves = (
        CurveState(encoder="libx264", preset="lean", why_not=None),
        CurveState(encoder="h264_nvenc", preset="p1", why_not=why),
        CurveState(encoder="h264_nvenc", preset="p4", why_not=why),
    )
    found = from_json(
        b'{"event":"doctor","asked":"auto","exit_code":0,"healthy":true,"wall_s":1,"gpu_s":0,"cores":2,"memory_mb":null,'
        b'"builds":[],"gpu":{"available":false,"gpu":null,"encoder":null,"reason":"none"},"gpus":[],"problems":[],'
        b'"advice":[]}',
        Findings,
    )
    state = CalibrationState(made_at="2026-11-22T05:40:00+00:00", curves=curves)
    lines = [line.text for line in screen(msgspec.structs.replace(found, calibration=state), now=0.0)]
    assert "Calibration of 2026-11-22: holds for libx264 lean" in lines
    assert f"  stale  h264_nvenc p1, h264_nvenc p4: {why}" in lines
    assert lines.count("         Change: run `reelpress calibrate` again") == 1
