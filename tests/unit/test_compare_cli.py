"""`reelpress compare` as text, JSON and exit codes; the measuring itself is tested in tests/media."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from reelpress.cli import compare as module
from reelpress.cli.app import app
from reelpress.cli.compare import Asked, exit_code
from reelpress.cli.compare_text import comparison_rows, verdict
from reelpress.errors import UsageError
from reelpress.facts.quality import ComparedFile, Comparison, Finding, Measuring, Pooled, WorstSecond
from reelpress.probe.host import probe_host
from reelpress.run.process import run

FILE = ComparedFile(
    path="/in/\x1b[31mred.mp4", size_bytes=1000, codec="h264", width=320, height=180, fps=30.0, frames=60,
    duration_s=2.0, pix_fmt="yuv420p",
)  # fmt: skip
SCORES = Pooled(
    mean=91.0, harmonic_mean=90.0, p5=80.0, p1=75.0, min=70.0, worst_second=WorstSecond(score=85.0, at_s=1.0)
)
GOOD = Comparison(verdict="measured", reference=FILE, encoded=FILE, how=Measuring(), vmaf=SCORES, psnr_y_db=SCORES)


def test_exit_codes_and_first_lines_say_how_it_ended() -> None:
    late = Finding(code="video_shifted", text="Pictures come 33 ms late.")
    note = Finding(code="sound_missing", text="The encode has no sound.", severity="note")
    damaged = msgspec.structs.replace(GOOD, findings=(late, note))
    unmeasured = Comparison(verdict="unmeasured", reference=FILE, encoded=FILE, how=Measuring(), cause="No libvmaf.")
    noted = msgspec.structs.replace(GOOD, findings=(note,))
    ends = [(exit_code(found, ()), verdict(found, ())[0].split(":")[0]) for found in (GOOD, noted, damaged, unmeasured)]
    assert ends == [(0, "measured"), (0, "measured"), (1, "damaged"), (1, "unmeasured")]
    assert [label for label, _ in comparison_rows(damaged, ())][:2] == ["damage", "note"]


def test_gates_ask_mean_and_worst_second_and_of_less_than_a_second_the_worst_frame() -> None:
    assert Asked(min_vmaf=91, min_vmaf_worst=85).missed(GOOD) == ()
    assert len(Asked(min_vmaf=91.5, min_vmaf_worst=86).missed(GOOD)) == 2
    short = msgspec.structs.replace(GOOD, vmaf=msgspec.structs.replace(SCORES, worst_second=None))
    assert "worst frame" in Asked(min_vmaf_worst=71).missed(short)[0]
    assert exit_code(GOOD, Asked(min_vmaf=95).missed(GOOD)) == 1


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "\x1bclip.mp4"
    scorer = probe_host().scorer
    assert scorer is not None
    made = run((
        scorer.path, "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=10:d=2", "-c:v", "libx264",
        "-pix_fmt", "yuv420p", f"file:{path}",
    ))  # fmt: skip
    assert made.returncode == 0, made.stderr_tail
    return path


def test_the_command_prints_text_that_fits_and_cannot_steer_a_terminal(clip: Path) -> None:
    found = CliRunner().invoke(app, ["compare", str(clip), str(clip)], env={"COLUMNS": "80"})
    assert found.exit_code == 0, found.output
    assert found.output.startswith("result     measured: \\x1bclip.mp4, VMAF ")
    assert "\x1b" not in found.output
    assert max(map(len, found.output.splitlines())) <= 80


def test_the_command_prints_one_event_a_file_and_misses_what_cannot_be_reached(clip: Path) -> None:
    found = CliRunner().invoke(app, ["compare", str(clip), str(clip), str(clip), "--json", "--min-vmaf", "100"])
    events = [json.loads(line) for line in found.output.splitlines()]
    assert [event["event"] for event in events] == ["compared", "compared"]
    assert all(event["comparison"]["verdict"] == "measured" and event["exit_code"] == 1 for event in events)
    assert all(event["missed"] and event["comparison"]["by_frame"] is None for event in events)
    assert found.exit_code == 1
    framed = CliRunner().invoke(app, ["compare", str(clip), str(clip), "--json", "--frames"])
    assert len(json.loads(framed.output)["comparison"]["by_frame"]["vmaf"]) == 20


@pytest.mark.parametrize("kind", ["reference", "encode", "symbolic link", "hard link"])
def test_a_report_never_replaces_what_is_compared(clip: Path, tmp_path: Path, kind: str) -> None:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(clip.read_bytes())
    (tmp_path / "symbolic.html").symlink_to("a.mp4")
    (tmp_path / "hard.html").hardlink_to(tmp_path / "b.mp4")
    name = {"reference": "a.mp4", "encode": "b.mp4", "symbolic link": "symbolic.html", "hard link": "hard.html"}[kind]
    given = (str(tmp_path / "a.mp4"), str(tmp_path / "b.mp4"), "--html", str(tmp_path / name))
    found = CliRunner().invoke(app, ["compare", *given])
    assert isinstance(found.exception, UsageError)
    assert "is an input" in found.exception.what
    assert found.output == "", "nothing was measured"
    assert {(tmp_path / name).read_bytes() for name in ("a.mp4", "b.mp4")} == {clip.read_bytes()}


def test_a_report_needs_its_folder_before_anything_is_measured(clip: Path, tmp_path: Path) -> None:
    report = tmp_path / "nowhere" / "report.html"
    found = CliRunner().invoke(app, ["compare", str(clip), str(clip), "--html", str(report)])
    assert isinstance(found.exception, UsageError)
    assert found.output == ""


def test_a_report_that_cannot_be_made_is_told(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blind = msgspec.structs.replace(probe_host(), ffmpegs=())
    monkeypatch.setattr(module, "probe_host", lambda **_: blind)
    report = tmp_path / "report.html"
    found = CliRunner().invoke(app, ["compare", str(clip), str(clip), "--html", str(report)])
    assert found.exit_code == 1
    assert f"reelpress: {report} is not written: no FFmpeg here has libvmaf" in found.stderr.replace("\n", " ")
    assert not report.exists()
