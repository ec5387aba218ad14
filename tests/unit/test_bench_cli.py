"""``reelpress bench`` as somebody with a machine runs it, with files of some hundred kilobytes."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

import forked_program
import reelpress
from reelpress.bench.material import named_input
from reelpress.bench.model import BenchRun
from reelpress.bench.page import BEGIN, END
from reelpress.bench.runner import run_bench
from reelpress.calibrating.measure import Measured
from reelpress.cli.bench import Wishes, run_bench_command
from reelpress.engine import compress_file
from reelpress.errors import HardwareError, InputError, OutputError
from reelpress.facts.calibration import Calibration, Curve
from reelpress.facts.values import from_json
from reelpress.policy import RunPolicy
from reelpress.probe.calibration import read_calibration, store_calibration
from reelpress.probe.host import probe_host
from reelpress.request import Request

import clips


def bench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {name: text for name, text in os.environ.items() if not name.startswith(("REELPRESS_", "COMPRESSION_"))}
    env |= {"PYTHONPATH": str(Path(reelpress.__file__).parents[1]), "REELPRESS_CACHE_DIR": str(folder / "cache")}
    env |= {"COLUMNS": "80", "TMPDIR": str(folder)}
    return forked_program.run_text(["bench", *arguments], cwd=folder, env=env, patience_s=300)


def wishes(**changed: object) -> Wishes:
    base = Wishes(
        files=(), sizes=None, picture="320x180", rounds=1, codec=None, hardware="off", calibrate=False, work_dir=None,
        save=None, against=(), read=(), write_readme=None, as_json=False,
    )  # fmt: skip
    return msgspec.structs.replace(base, **changed)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over a made file and one that was named, saved."""
    folder = tmp_path_factory.mktemp("bench")
    named = clips.with_sound(folder / "secret-name.mp4")
    arguments = ("--sizes", "300kB", "--picture", "320x180", "--rounds", "2", "--save", "run.json", str(named))
    done = bench(folder, *arguments, "--hardware", "off")
    assert done.returncode == 0, done.stderr
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    assert "300 MB on the CPU in less than 300 s: not measured in this run" in done.stdout
    return folder / "run.json"


def test_everything_is_in_one_document_and_nothing_private(saved: Path) -> None:
    text = saved.read_text()
    run = from_json(text, BenchRun)
    assert [(m.name, m.generated) for m in run.materials] == [("0.3 MB", True), ("file 1", False)]
    made = run.materials[0]
    assert abs(made.size_bytes - 300_000) < 0.05 * 300_000
    assert made.video.startswith("h264 320x180 ")
    assert [(m.material, m.rung, m.round) for m in run.measurements] == [
        ("0.3 MB", "cpu", 1), ("file 1", "cpu", 1), ("0.3 MB", "cpu", 2), ("file 1", "cpu", 2)
    ]  # fmt: skip
    for one in run.measurements:
        assert (one.failure, one.encoder) == (None, "libx264")
        assert 0 < one.encode_s <= one.wall_s
        assert one.size_bytes
        assert (one.peak_memory_bytes or 0) > 10**7
        assert (one.usd or 0) > 0
    assert [score.unmeasured for score in run.scores] == [None, None]
    assert all(50 < (score.vmaf or 0) <= 100 for score in run.scores)
    for private in ("secret-name", str(saved.parent)):
        assert private not in text
    assert socket.gethostname() not in re.findall(r"[\w.-]+", text)
    assert not [path for path in saved.parent.iterdir() if path.name.startswith("reelpress-bench-")]


def test_the_first_output_that_is_delivered_is_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = clips.plain(tmp_path / "source.mp4", size="320x180", seconds=1.0)
    sources = iter((tmp_path / "gone.mp4", source))
    monkeypatch.setattr(
        "reelpress.bench.runner.compress_file", lambda _, *more, **named: compress_file(next(sources), *more, **named)
    )
    request = Request(hardware="off")
    (tmp_path / "work").mkdir()
    host = probe_host(cache_dir=tmp_path)
    run = run_bench([named_input(1, source)], host, request, RunPolicy(), tmp_path / "work", rounds=2)
    assert [one.failure is None for one in run.measurements] == [False, True]
    assert [(score.material, score.rung, score.unmeasured) for score in run.scores] == [("file 1", "cpu", None)]
    assert run.hardware == "off"


def test_a_saved_run_is_read_compared_and_put_into_a_page(saved: Path) -> None:
    page = saved.parent / "page.md"
    page.write_text(f"before\n{BEGIN}\n{END}\nafter\n")
    done = bench(saved.parent, "--read", str(saved), "--against", str(saved), "--write-readme", str(page))
    assert done.returncode == 0, done.stderr
    assert "0.3 MB cpu: 1.00 times the seconds, VMAF +0.0" in " ".join(done.stdout.split())
    text = page.read_text()
    assert text.startswith(f"before\n{BEGIN}\n")
    assert "| 0.3 MB, h264 320x180 " in text
    assert "| on the CPU | libx264 |" in text
    shown = json.loads(bench(saved.parent, "--read", str(saved), "--json").stdout)
    assert shown == json.loads(saved.read_text())


@pytest.mark.parametrize(
    ("part", "field", "number"),
    [
        ("measurements", "wall_s", "0"), ("measurements", "wall_s", "-1"), ("measurements", "wall_s", "1e999"),
        ("measurements", "size_bytes", "9" * 400), ("materials", "size_bytes", "0"), ("materials", "duration_s", "0"),
        ("materials", "duration_s", "NaN"), ("scores", "more", "[" * 100_000),
    ],
)  # fmt: skip
@pytest.mark.parametrize("option", ["read", "against"])
def test_a_saved_run_that_cannot_have_been_measured_is_refused_before_anything_is(
    saved: Path, tmp_path: Path, part: str, field: str, number: str, option: str
) -> None:
    run = json.loads(saved.read_bytes())
    run[part][0][field] = "here"
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps(run).replace('"here"', number))
    with pytest.raises(InputError, match="no saved run"):
        run_bench_command(wishes(files=(tmp_path / "gone.mp4",), **{option: (wrong,)}))


_SMALL = ("--sizes", "100kB", "--picture", "160x160", "--rounds", "1", "--hardware", "off")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--sizes", "lots"), 2, "accepted: 100k to 100G"),
        (("--sizes", "1kB"), 2, "accepted: 100k to 100G"),
        (("--sizes", ","), 2, "nothing to measure with"),
        (("--sizes", "1MB", "--picture", "100x100"), 2, "accepted: even sides from 160"),
        (("--read", "no.json"), 3, "no saved run"),
        (("--read", "other.json"), 3, "no saved run"),
        (("--save", "nowhere/x.json"), 2, "folder does not exist"),
        (("--save", "folder", *_SMALL), 2, "is a folder"),
        (("--save", "x" * 300, *_SMALL), 5, "choose a shorter name"),
        (("other.json", "--save", "./other.json"), 2, "is an input or an output"),
        (("--write-readme", "page.md", "--save", "page.md"), 2, "is an input or an output"),
        (("--write-readme", "other.json"), 2, "no place for the table"),
        (("--sizes", "99GB,98GB,97GB,96GB,95GB,94GB,93GB,92GB,91GB"), 5, "free"),
        (("no.mp4",), 3, "no.mp4: there is no such file"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_measured(
    tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    (tmp_path / "other.json").write_text('{"schema": 1}')
    (tmp_path / "page.md").write_text(f"{BEGIN}\n{END}\n")
    (tmp_path / "folder").mkdir()
    done = bench(tmp_path, *arguments)
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr
    assert "making a file" not in done.stderr
    assert (tmp_path / "other.json").read_text() == '{"schema": 1}'


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has an NVIDIA device")
def test_a_gpu_that_was_required_and_is_not_there_is_told_before_files_are_made(tmp_path: Path) -> None:
    done = bench(tmp_path, "--sizes", "100kB", "--hardware", "require", "--save", "run.json")
    assert (done.returncode, done.stdout) == (4, ""), done.stderr
    assert "no GPU encodes this here" in done.stderr
    assert "making a file" not in done.stderr
    assert not (tmp_path / "run.json").exists()


def test_an_input_that_no_way_encodes_ends_the_run_with_why(tmp_path: Path) -> None:
    """Its table would have no row."""
    source = named_input(1, clips.plain(tmp_path / "source.mp4", size="160x120", seconds=0.4))
    host = msgspec.structs.replace(probe_host(cache_dir=tmp_path), gpu_note=None, gpus=())
    with pytest.raises(HardwareError, match="file 1: Hardware was required; no GPU encodes this here") as refused:
        run_bench([source], host, Request(hardware="require"), RunPolicy(), tmp_path, rounds=1)
    assert refused.value.evidence
    assert refused.value.hint


@pytest.mark.parametrize(
    "more", [("holiday.mov",), ("--sizes", "1MB"), ("--codec", "av1"), ("--hardware", "off"), ("--calibrate",)]
)
def test_what_is_only_read_cannot_be_measured_too(saved: Path, more: tuple[str, ...]) -> None:
    done = bench(saved.parent, "--read", str(saved), *more)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert "--read measures nothing" in done.stderr


class Bench:
    """The command on a tiny file, with a run of its own making: ``meanwhile`` happens while it measures."""

    def __init__(self, folder: Path, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.source = clips.plain(folder / "source.mp4", size="160x120", seconds=0.4)
        self.meanwhile: Callable[[], object] = lambda: None
        self.cache = folder / "cache"
        monkeypatch.setenv("REELPRESS_CACHE_DIR", str(self.cache))
        run = from_json(saved.read_bytes(), BenchRun)

        def measured(*_: object, **__: object) -> BenchRun:
            self.meanwhile()
            return run

        monkeypatch.setattr("reelpress.cli.bench.run_bench", measured)

    def __call__(self, *, calibrate: bool = False, save: Path | None = None, page: Path | None = None) -> int:
        return run_bench_command(wishes(files=(self.source,), calibrate=calibrate, save=save, write_readme=page))


@pytest.fixture
def command(tmp_path: Path, saved: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, saved, monkeypatch)


def test_what_was_written_into_the_page_while_it_measured_is_not_lost(command: Bench, tmp_path: Path) -> None:
    page, link = tmp_path / "page.md", tmp_path / "link.md"
    page.write_bytes(f"before\r\n{BEGIN}\r\n{END}\r\nafter\r\n".encode())
    page.chmod(0o640)
    link.symlink_to(page)
    command.meanwhile = lambda: page.write_bytes(page.read_bytes() + b"written meanwhile\r\n")
    assert command(page=link) == 0
    text = page.read_bytes().decode()
    assert text.endswith(f"{END}\r\nafter\r\nwritten meanwhile\r\n")
    assert "| on the CPU | libx264 |" in text
    assert text.count("\n") == text.count("\r\n") > 6
    assert (link.is_symlink(), page.stat().st_mode & 0o777) == (True, 0o640)


def test_results_are_told_and_the_page_is_written_though_they_cannot_be_saved(
    command: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, save = tmp_path / "page.md", tmp_path / "run.json"
    page.write_text(f"{BEGIN}\n{END}\n")
    command.meanwhile = save.mkdir
    with pytest.raises(OutputError, match=r"cannot write .*run\.json"):
        command(save=save, page=page)
    assert "300 MB on the CPU in less than 300 s" in capsys.readouterr().out
    assert "| on the CPU | libx264 |" in page.read_text()


def test_a_quick_calibration_takes_the_place_of_none_that_holds_and_tells_its_failures(
    command: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    curve = Curve(
        encoder="libx264", preset="lean", ffmpeg_version=probe_host(cache_dir=command.cache).ffmpegs[0].version
    )
    quick = Calibration(made_at="2026-11-22T00:00:00+00:00", reelpress_version="0", cpu=None, cores=2, curves=(curve,))
    found = Measured(calibration=quick)
    monkeypatch.setattr("reelpress.cli.bench.measure", lambda *_, **__: found)
    monkeypatch.setattr("reelpress.cli.bench.with_gpus", None)  # with --hardware off nothing asks a GPU
    stale = msgspec.structs.replace(quick, curves=(msgspec.structs.replace(curve, ffmpeg_version="0.1"),))
    store_calibration(command.cache, stale)
    assert command(calibrate=True) == 0
    assert read_calibration(command.cache) == quick
    assert "Not calibrated" not in capsys.readouterr().err

    careful = msgspec.structs.replace(quick, made_at="2026-11-20T00:00:00+00:00")
    store_calibration(command.cache, careful)
    found = Measured(calibration=quick, failed=(("h264_nvenc p1", "no slot for 60 s"),))
    assert command(calibrate=True) == 1
    told = capsys.readouterr().err
    assert "Not calibrated: h264_nvenc p1: no slot for 60 s" in told
    assert "The calibration of 2026-11-20 stays" in told
    assert read_calibration(command.cache) == careful
