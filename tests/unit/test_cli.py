"""The program as its callers meet it: exit codes, what goes to which stream, and that it says nothing it should not."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import re
import select
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import forked_program
import reelpress
from reelpress.batch import collect
from reelpress.cli.compress import exit_code
from reelpress.cli.inspect import facts_rows
from reelpress.cli.summary import print_summary, short_names
from reelpress.errors import UsageError
from reelpress.receipt import Gate
from reelpress.settings_table import SETTINGS
from reelpress.version import VERSION

import clips
import receipts
from factories import audio, media

pytestmark = pytest.mark.media

COMMANDS = ("compress", "quote", "clips", "probe", "plan", "doctor", "jobs")
ESCAPE = "\x1b"
STATES = ("video", "junk", "missing")
HOSTILE = "evil\x1b[31m\x07\x9b2J\u202e\nline.mp4"
RECEIPT_KEYS = {
    "event", "schema", "job", "status", "exit_code", "encoder", "device", "gpu", "input", "output", "saved_share",
    "reasons",
    "error", "error_code", "evidence", "hint", "source", "result", "streams", "attempts", "gates", "warnings",
    "quality", "stages", "wall_s", "cpu_s", "usd", "usd_basis", "usd_parts", "started_at", "reelpress_version", "host",
    "clip", "ladder", "predicted",
}  # fmt: skip


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds with sound, at a wasteful bit rate."""
    return clips.with_sound(tmp_path_factory.mktemp("clip") / "clip.mp4", "-crf", "4", "-b:a", "64k")


class Cli:
    """Starts the program in a folder of its own, without the developer's settings."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        ours = {name for row in SETTINGS for name in row.env} | {"NO_COLOR", "FORCE_COLOR", "COLUMNS", "TTY_COMPATIBLE"}
        self.environ = {name: text for name, text in os.environ.items() if name not in ours} | {
            "PYTHONPATH": str(Path(reelpress.__file__).parents[1]), "XDG_CACHE_HOME": str(cache), "TERM": "xterm",
            "COLUMNS": "80",
        }  # fmt: skip

    def __call__(self, *arguments: str | bytes | Path, **environ: str) -> subprocess.CompletedProcess[str]:
        return forked_program.run_text(arguments, cwd=self.folder, env=self.environ | environ, patience_s=120)

    def events(self, *arguments: str | bytes | Path, **environ: str) -> list[dict[str, Any]]:
        done = self(*arguments, "--json", **environ)
        assert done.stdout, done.stderr
        assert done.stdout.endswith("\n")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def files(self) -> dict[str, tuple[int, int]]:
        found = {str(p.relative_to(self.folder)): p.stat() for p in self.folder.rglob("*")}
        return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in found.items()}


@pytest.fixture
def cli(tmp_path: Path, cache: Path) -> Cli:
    return Cli(tmp_path, cache)


@pytest.fixture
def source(tmp_path: Path, clip: Path) -> Path:
    return Path(shutil.copy(clip, tmp_path / "in.mp4"))


def lean(*arguments: str | bytes | Path) -> tuple[str | bytes | Path, ...]:
    return ("compress", *arguments, "--preset", "ultrafast")


# --- help, version, usage ---


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_shows_an_example_and_fits_80_columns(cli: Cli, command: str) -> None:
    done = cli(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Example: reelpress {command} " in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_help_names_every_command(cli: Cli) -> None:
    done = cli("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(re.search(rf"^  {command}\b", done.stdout, re.MULTILINE) for command in COMMANDS)


@pytest.mark.parametrize("arguments", [("--help",), ("compress", "--help")], ids=" ".join)
def test_help_imports_neither_the_engine_nor_anything_heavy(cli: Cli, arguments: tuple[str, ...]) -> None:
    code = (
        "import atexit, sys\n"
        "heavy = {'av', 'rich', 'pydantic', 'msgspec', 'numpy', 'dotenv', 'pynvml', 'asyncio'}\n"
        "atexit.register(lambda: print('HEAVY', sorted(m for m in sys.modules if m.split('.')[0] in heavy\n"
        "    or m.startswith('reelpress.') and m.split('.')[1] not in ('__main__', 'cli', 'errors', 'version'))))\n"
        f"sys.argv = ['reelpress', *{arguments}]\n"
        "from reelpress.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=cli.environ, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []"


def test_what_looks_is_on_its_way_before_the_command_line_is_read(cli: Cli) -> None:
    code = (
        "import atexit, sys\n"
        "wanted = ('reelpress.probe.nursery', 'click')\n"
        "atexit.register(lambda: print('ORDER', [m for m in sys.modules if m in wanted]))\n"
        "sys.argv = ['reelpress', 'compress', 'absent.mp4']\n"
        "from reelpress.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=cli.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert done.stdout.splitlines()[-1] == "ORDER ['reelpress.probe.nursery', 'click']"


def test_version_is_the_packages(cli: Cli) -> None:
    done = cli("--version")
    assert (done.returncode, done.stdout) == (0, f"reelpress {VERSION}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("compress", "in.mp4", "--bananas"),
        ("transmogrify",),
        ("compress",),
        ("probe",),
        ("probe", "a", "b"),
        ("doctor", "x"),
    ],
    ids=" ".join,
)
def test_arguments_that_mean_nothing_are_usage_errors(cli: Cli, arguments: tuple[str, ...]) -> None:
    done = cli(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("option", "value"),
    [("--codec", "vp9"), ("--preset", "p4"), ("--max-size", "big"), ("--hardware", "maybe"), ("--jobs", "0")],
)  # fmt: skip
def test_a_value_that_is_not_accepted_is_refused_before_any_work(cli: Cli, option: str, value: str) -> None:
    done = cli("compress", "missing.mp4", option, value)
    assert (done.returncode, done.stdout) == (2, "")
    assert option in done.stderr
    assert value in done.stderr
    assert "accepted" in done.stderr


def test_a_wrong_value_in_the_environment_is_a_usage_error_too(cli: Cli) -> None:
    done = cli("plan", "missing.mp4", COMPRESSION_CRF="bad")
    assert done.returncode == 2
    assert "COMPRESSION_CRF cannot be 'bad'" in done.stderr


# --- inputs that cannot be used ---


@pytest.mark.parametrize("command", ["compress", "probe", "plan"])
@pytest.mark.parametrize("as_json", [False, True])
def test_a_missing_file_is_an_unusable_input(cli: Cli, command: str, as_json: bool) -> None:
    done = cli(command, "missing.mp4", *(["--json"] if as_json else []))
    assert done.returncode == 3
    assert cli.files() == {}
    if command == "compress" and as_json:
        last = json.loads(done.stdout.splitlines()[-1])
        assert (last["event"], last["status"], last["error_code"]) == ("receipt", "rejected", "input_unusable")
    else:
        assert re.match(r"reelpress: .*(exist|cannot be read|no such file)", done.stderr, re.IGNORECASE)


# --- one valid line ---


@pytest.mark.parametrize(("command", "event", "field"), [("probe", "probed", "facts"), ("plan", "planned", "plan")])
def test_looking_with_json_is_one_line(cli: Cli, source: Path, command: str, event: str, field: str) -> None:
    (line,) = cli.events(command, source.name)
    assert (line["event"], line["input"]) == (event, "in.mp4")
    assert line[field]


def test_what_is_not_known_of_sound_is_not_told_as_none() -> None:
    facts = media(audio(channels=None, sample_rate_hz=None, bitrate_bps=None, start_s=None))
    (row,) = (text for label, text in facts_rows(facts) if label.endswith("audio"))
    assert row == "aac, unknown channels, unknown rate"


def test_the_doctors_findings_are_one_line(cli: Cli) -> None:
    (line,) = cli.events("doctor")
    assert line["event"] == "doctor"
    assert line["healthy"] is True
    works = {e["name"] for build in line["builds"] for e in build["encoders"] if e["opens"]}
    assert works >= {"libx264", "libx265", "libsvtav1"}
    assert line["gpu"]["available"] or line["gpu"]["reason"]
    if not Path("/dev/nvidiactl").exists():
        assert line["gpu_s"] <= 0.05


def test_the_doctor_speaks_to_people_and_refuses_where_hardware_is_required(cli: Cli) -> None:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has an NVIDIA device")
    done = cli("doctor", "--hardware", "require", PATH="/nowhere")
    assert done.returncode == 4
    assert "libx264" in done.stdout
    assert "no NVIDIA device" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert ESCAPE not in done.stdout + done.stderr


# --- compress, for programs ---


def test_compress_with_json_is_a_stream_from_started_to_the_receipt(cli: Cli, source: Path) -> None:
    events = cli.events(*lean(source.name), "--receipt", "receipt.json")
    kinds = [e["event"] for e in events]
    assert kinds[0] == "started"
    assert kinds[-1] == "receipt"
    assert [k for k in kinds if k != "progress"] == [
        "started", "probed", "planned", "attempt_started", "checked", "receipt",
    ]  # fmt: skip
    assert {(e["job"], e["input"]) for e in events} == {(events[0]["job"], "in.mp4")}
    percents = [e["percent"] for e in events if e["event"] == "progress" and e["percent"] is not None]
    assert percents
    assert percents == sorted(percents)
    assert max(percents) < 100
    receipt = events[-1]
    assert set(receipt) == RECEIPT_KEYS
    assert (receipt["status"], receipt["exit_code"], receipt["encoder"]) == ("encoded", 0, "libx264")
    assert receipt["result"]["size_bytes"] == (cli.folder / "in.compressed.mp4").stat().st_size
    assert json.loads((cli.folder / "receipt.json").read_text()) == receipt


def test_percent_never_goes_back_even_when_another_ffmpeg_takes_over(cli: Cli, source: Path) -> None:
    # it crashes midway: read at the video's own speed, so that this does not depend on the machine's
    stub = script(cli.folder / "ffmpeg-that-crashes", f"""
        case "$*" in
            *nostats*) {clips.ffmpeg()} -re "$@" & sleep 1; kill -KILL $!; kill -SEGV $$;;
            *) exec {clips.ffmpeg()} "$@";;
        esac
    """)  # fmt: skip
    events = cli.events("compress", source.name, REELPRESS_FFMPEG=str(stub))
    failed = next(e for e in events if e["event"] == "attempt_failed")
    assert (failed["failure"], failed["next_encoder"]) == ("crashed", "libx264")
    assert (events[-1]["status"], len(events[-1]["attempts"])) == ("encoded", 2)
    percents = [e["percent"] for e in events if e["event"] == "progress" and e["percent"] is not None]
    assert len(percents) >= 2
    assert percents == sorted(percents)


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_file_name_that_is_not_utf8_is_compressed_and_told(cli: Cli, clip: Path) -> None:
    name = b"caf\xe9.mp4"
    try:
        shutil.copy(clip, cli.folder / os.fsdecode(name))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    done = cli(*lean(name), "--json", "--receipt", "receipt.json")
    assert done.returncode == 0, done.stderr
    receipt = [json.loads(line) for line in done.stdout.splitlines()][-1]
    assert receipt["status"] == "encoded"
    assert "caf" in receipt["input"]
    assert json.loads((cli.folder / "receipt.json").read_text()) == receipt
    assert cli("probe", name, "--json").returncode == 0


def test_a_name_that_looks_like_an_option_is_a_file_after_two_dashes(cli: Cli, clip: Path) -> None:
    shutil.copy(clip, cli.folder / "-y.mp4")
    done = cli(*lean("--overwrite"), "--", "-y.mp4")
    assert done.returncode == 0, done.stderr
    assert (cli.folder / "-y.compressed.mp4").stat().st_size > 0


# --- for people ---


@pytest.mark.parametrize("command", ["compress", "probe", "plan"])
def test_text_fits_80_columns_and_has_no_escape_codes_off_a_terminal(cli: Cli, source: Path, command: str) -> None:
    long = source.rename(cli.folder / f"{'a rather long name ' * 6}.mp4")
    done = cli(command, long.name)
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert ESCAPE not in done.stdout + done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "state"),
    [
        *((arguments, state) for arguments in (("compress",), ("probe",), ("plan",)) for state in STATES),
        *(((command, "--json"), "video") for command in ("compress", "probe", "plan")),
    ],
)
def test_a_hostile_file_name_cannot_steer_a_terminal(
    cli: Cli, clip: Path, arguments: tuple[str, ...], state: str
) -> None:
    if state == "video":
        shutil.copy(clip, cli.folder / HOSTILE)
    elif state == "junk":
        (cli.folder / HOSTILE).write_bytes(b"junk" * 100)
    done = cli(*arguments, HOSTILE)
    assert done.returncode == (0 if state == "video" else 3), done.stderr
    said = done.stdout + done.stderr
    allowed = {"\n"} if "--json" not in arguments else {"\n", "\x9b", "\u202e"}  # JSON need not escape these
    assert [c for c in said if not c.isprintable() and c not in allowed] == []
    assert not any(line.startswith("line.mp4") for line in said.splitlines())


@pytest.mark.parametrize(
    "arguments",
    [("compress", f"x{ESCAPE}[31m", f"--{ESCAPE}[31m"), ("compress", "x", "-o", f"{ESCAPE}[31m/a", "--receipt",
                                                         f"{ESCAPE}[31m/b"), (f"{ESCAPE}[31m",)],
)  # fmt: skip
def test_hostile_arguments_cannot_steer_a_terminal(cli: Cli, arguments: tuple[str, ...]) -> None:
    done = cli(*arguments)
    assert done.returncode == 2
    assert ESCAPE not in done.stderr


def in_terminal(cli: Cli, *arguments: str | bytes | Path, **environ: str) -> tuple[int, str, str]:
    """Run with stderr on a terminal; returns the exit code, stdout, and what the terminal was sent."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "reelpress", *arguments], cwd=cli.folder, env=cli.environ | environ,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs,
    ) as child:  # fmt: skip
        os.close(theirs)
        sent, deadline = b"", time.monotonic() + 60
        with contextlib.suppress(OSError):  # EIO: the other end is closed
            while time.monotonic() < deadline and (select.select([ours], [], [], 1)[0] or child.poll() is None):
                sent += os.read(ours, 65536) if select.select([ours], [], [], 0)[0] else b""
        assert child.stdout is not None
        stdout = child.stdout.read().decode()
        code = child.wait(10)
    os.close(ours)
    return code, stdout, sent.decode()


COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def test_a_terminal_shows_a_bar_on_stderr_and_stdout_stays_plain(cli: Cli, tmp_path: Path) -> None:
    clips.with_sound(tmp_path / "in.mp4", "-crf", "4")
    code, stdout, sent = in_terminal(cli, "compress", "in.mp4")
    assert code == 0
    assert "in.mp4" in sent
    assert "━" in sent
    assert "%" in sent
    assert COLOUR.search(sent)
    assert ESCAPE not in stdout
    assert "encoded" in stdout


def test_no_color_leaves_a_bar_without_colours(cli: Cli, tmp_path: Path) -> None:
    # long enough that it is drawn while some of it is done: without colours nothing of a bar is seen before
    clips.plain(tmp_path / "in.mp4", "-crf", "4", size="640x360", seconds=12)
    code, _, sent = in_terminal(cli, "compress", "in.mp4", NO_COLOR="1")
    assert code == 0
    assert "━" in sent
    assert not [c for c in COLOUR.findall(sent) if re.search(r"[34]\d", c)]


def test_json_shows_no_bar_on_a_terminal(cli: Cli, source: Path) -> None:
    code, stdout, sent = in_terminal(cli, *lean(source.name), "--json")
    assert (code, sent) == (0, "")
    assert stdout


# --- streams that are closed, full, or read by nobody ---


def talking_to(cli: Cli, streams: str, *arguments: str | bytes | Path, **environ: str) -> tuple[int, str]:
    """Run with streams as a shell redirects them; return the exit code and whatever stdout and stderr still took."""
    command = ["bash", "-c", f'exec "$@" {streams}', "bash", sys.executable, "-m", "reelpress", *arguments]
    done = subprocess.run(
        command, cwd=cli.folder, env=cli.environ | environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


DEAF = ("2>&-", "2>/dev/full", "2</dev/null")


@pytest.mark.parametrize("streams", [*DEAF, ">&-", "<&-", "<&- >&- 2>&-"])
def test_a_video_is_compressed_whatever_the_streams_are(cli: Cli, source: Path, streams: str) -> None:
    code, said = talking_to(cli, streams, *lean(source.name), "--receipt", "receipt.json")
    assert (code, "Traceback" in said) == (0, False), said
    assert json.loads((cli.folder / "receipt.json").read_text())["status"] == "encoded"
    assert set(cli.files()) == {"in.mp4", "in.compressed.mp4", "receipt.json"}


@pytest.mark.parametrize("streams", DEAF)
@pytest.mark.parametrize(
    ("arguments", "want"),
    [(("compress", "--bananas"), 2), (("compress", "x", "--codec", "vp9"), 2), (("probe", "missing.mp4"), 3),
     (("compress", "missing.mp4"), 3)],
)  # fmt: skip
def test_what_cannot_be_complained_of_ends_with_its_own_code(
    cli: Cli, streams: str, arguments: tuple[str, ...], want: int
) -> None:
    assert talking_to(cli, streams, *arguments)[0] == want


def test_nobody_who_listens_is_no_reason_not_to_fall_back(cli: Cli, source: Path) -> None:
    stub = script(cli.folder / "ffmpeg-that-crashes", f"""
        case "$*" in
            *nostats*) kill -SEGV $$;;
            *) exec {clips.ffmpeg()} "$@";;
        esac
    """)  # fmt: skip
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "reelpress", *lean(source.name), "--receipt", "receipt.json"], cwd=cli.folder,
            env=cli.environ | {"REELPRESS_FFMPEG": str(stub)}, stdout=subprocess.PIPE, stderr=theirs, check=False,
        )  # fmt: skip
    finally:
        os.close(theirs)
    assert done.returncode == 0, done.stdout
    receipt = json.loads((cli.folder / "receipt.json").read_text())
    assert (receipt["status"], len(receipt["attempts"])) == ("encoded", 2)


@pytest.mark.parametrize("arguments", [("probe", "in.mp4"), ("probe", "in.mp4", "--json"), ("compress", "in.mp4")])
def test_a_result_that_cannot_be_printed_is_told_by_the_code(
    cli: Cli, source: Path, arguments: tuple[str, ...]
) -> None:
    code, said = talking_to(cli, ">/dev/full", *arguments)
    assert (code, "Traceback" in said) == (5, False)
    assert source.exists()


# --- one input, and where its output goes ---


def test_plan_writes_nothing(cli: Cli, source: Path) -> None:
    before = cli.files()
    assert cli("plan", source.name).returncode == 0
    assert cli.files() == before


def test_an_existing_output_is_kept_unless_told_otherwise(cli: Cli, source: Path) -> None:
    there = cli.folder / "out.mp4"
    there.write_bytes(b"precious")
    done = cli(*lean(source.name), "-o", "out.mp4")
    assert done.returncode == 5
    assert "--overwrite" in done.stderr
    assert there.read_bytes() == b"precious"
    assert cli(*lean(source.name), "-o", "out.mp4", "--overwrite").returncode == 0
    assert there.stat().st_size > 1000


def test_output_and_input_must_differ_even_with_overwrite(cli: Cli, source: Path) -> None:
    before = source.read_bytes()
    done = cli(*lean(source.name), "-o", "./in.mp4", "--overwrite")
    assert done.returncode == 5
    assert source.read_bytes() == before


def test_an_output_that_ends_in_a_slash_is_a_folder(cli: Cli, source: Path) -> None:
    """As the command's own help has it: ``compress holiday.mov -o small/``."""
    done = cli(*lean(source.name), "-o", "small/")
    assert done.returncode == 0, done.stderr
    assert (cli.folder / "small" / "in.mp4").is_file()


@pytest.mark.parametrize("command", ["compress", "ladder"])
@pytest.mark.parametrize("spelling", ["in.mp4", "./in.mp4", "link.mp4", "hard.mp4"])
def test_a_receipt_never_replaces_the_input(cli: Cli, source: Path, spelling: str, command: str) -> None:
    (cli.folder / "link.mp4").symlink_to(source)
    (cli.folder / "hard.mp4").hardlink_to(source)
    before, names = source.read_bytes(), set(cli.files())
    done = cli(command, source.name, "-o", "out", "--preset", "ultrafast", "--receipt", spelling)
    assert source.read_bytes() == before, "the source was overwritten"
    assert done.returncode == 2
    assert "is an input or an output" in done.stderr
    assert set(cli.files()) == names


def test_a_receipt_never_replaces_the_output(cli: Cli, source: Path) -> None:
    done = cli(*lean(source.name), "-o", "out.mp4", "--receipt", "out.mp4")
    assert done.returncode == 2


@pytest.mark.parametrize("command", ["compress", "ladder"])
@pytest.mark.parametrize(("name", "why"), [("nowhere/r.json", "folder does not exist"), (".", "is a folder")])
def test_a_receipt_needs_its_folder_before_any_work(cli: Cli, source: Path, name: str, why: str, command: str) -> None:
    done = cli(command, source.name, "-o", "out", "--preset", "ultrafast", "--receipt", name)
    assert done.returncode == 2
    assert name in done.stderr
    assert why in done.stderr
    assert list(cli.files()) == ["in.mp4"]


def test_a_ladder_never_replaces_the_folder_its_input_lies_in(cli: Cli, source: Path) -> None:
    (cli.folder / "out").mkdir()
    inside = source.rename(cli.folder / "out" / "init-0.mp4")
    before = inside.read_bytes()
    (cli.folder / "link.mp4").symlink_to(inside)
    for name in ("out/init-0.mp4", "link.mp4"):
        done = cli("ladder", name, "-o", "out", "--overwrite", "--preset", "ultrafast", "--rungs", "1")
        assert inside.read_bytes() == before, "the source was removed"
        assert done.returncode == 5
        assert "lies in the folder to make" in done.stderr


def test_what_was_done_is_told_though_the_receipt_cannot_be_written(cli: Cli, source: Path) -> None:
    done = cli(*lean(source.name), "--receipt", "/dev/full")
    assert done.returncode == 5
    assert "encoded" in done.stdout
    assert "/dev/full could not be written" in done.stderr
    assert (cli.folder / "in.compressed.mp4").stat().st_size > 0


@pytest.mark.parametrize("command", ["compress", "plan"])
def test_required_hardware_that_is_absent_is_exit_code_4(cli: Cli, source: Path, command: str) -> None:
    done = cli(command, source.name, "--hardware", "require")
    assert done.returncode == 4
    assert list(cli.files()) == ["in.mp4"]


def test_an_input_above_the_limit_is_skipped_with_the_reason(cli: Cli, source: Path) -> None:
    done = cli(*lean(source.name), COMPRESSION_MAX_FILE_SIZE="1k")
    assert done.returncode == 0
    assert "skipped" in done.stdout
    assert "COMPRESSION_MAX_FILE_SIZE" in done.stdout
    assert list(cli.files()) == ["in.mp4"]


# --- many inputs ---


def test_a_folder_is_mirrored_all_settled_and_summed_up(cli: Cli, clip: Path) -> None:
    folder = cli.folder / "films"
    (folder / "deep").mkdir(parents=True)
    for name in ("a.mov", "a.mp4", "deep/b.mp4", ".hidden.mp4", "old.compressed.mp4"):
        shutil.copy(clip, folder / name)
    (folder / "junk.mp4").write_bytes(b"junk" * 100)
    (folder / "notes.txt").write_text("no video")
    done = cli(*lean("films"), "-o", "out")
    assert done.returncode == 3, "the gravest ending is the run's own"
    made = {str(p.relative_to(cli.folder / "out")) for p in (cli.folder / "out").rglob("*") if p.is_file()}
    assert made == {"a.mov.mp4", "a.mp4.mp4", "deep/b.mp4"}
    assert "4 inputs: 3 encoded, 1 rejected" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "junk.mp4" in done.stderr
    again = cli(*lean("films"), "-o", "out")
    assert again.returncode == 5, "an output that exists is graver than an input that cannot be used"


def test_a_summary_says_which_checks_an_input_did_not_pass() -> None:
    """An exit code of 1 with nothing beside it tells nobody which file to look at."""
    passed = Gate(name="decodes", verdict="passed", expected="no error", measured="no error", text="")
    frames = Gate(name="frames", verdict="damaged_input", expected="351", measured="350", text="")
    score = Gate(name="vmaf", verdict="unmeasured", expected="90", measured="-", text="")
    told = io.StringIO()
    damaged = receipts.receipt(input="in/broken.mp4", exit_code=1, gates=(passed, frames))
    made = [receipts.receipt(), damaged, receipts.receipt(input="odd.mp4", gates=(passed, score))]
    print_summary(made, short_names(made), told)
    assert told.getvalue().splitlines()[-2:] == [
        "broken.mp4: frames: damaged_input, expected 351, got 350",
        "odd.mp4: vmaf: unmeasured, expected 90, got -",
    ]


def test_a_folder_without_videos_is_a_usage_error(cli: Cli) -> None:
    (cli.folder / "empty").mkdir()
    done = cli("compress", "empty")
    assert done.returncode == 2
    assert "empty holds no videos" in done.stderr


def test_one_input_whose_folder_cannot_be_made_stops_no_other(cli: Cli, source: Path, clip: Path) -> None:
    films = cli.folder / "films"
    for name in ("good/a.mp4", "bad/b.mp4"):
        (films / name).parent.mkdir(parents=True)
        shutil.copy(clip, films / name)
    (cli.folder / "out").mkdir()
    (cli.folder / "out" / "bad").write_text("a file where a folder should be")
    events = cli.events(*lean("films"), "-o", "out")
    ended = {e["input"]: (e["status"], e["exit_code"]) for e in events if e["event"] == "receipt"}
    assert ended == {"films/good/a.mp4": ("encoded", 0), "films/bad/b.mp4": ("failed", 5)}


@pytest.mark.parametrize(
    ("codes", "want"),
    [((), 0), ((0, 0), 0), ((0, 1), 1), ((1, 3), 3), ((3, 0, 4), 4), ((4, 5), 5), ((5, 70), 70), ((70, 130, 3), 130)],
)
def test_the_gravest_ending_is_the_exit_code(codes: tuple[int, ...], want: int) -> None:
    assert exit_code([SimpleNamespace(exit_code=code) for code in codes]) == want  # type: ignore[misc]


def touch(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return [folder / name for name in names]


def test_inputs_named_alike_get_outputs_named_for_them(tmp_path: Path) -> None:
    items = collect(touch(tmp_path, "a.mov", "a.avi", "b.mkv"), tmp_path / "out")
    assert [item.target.name for item in items] == ["a.mov.mp4", "a.avi.mp4", "b.mp4"]


def test_outputs_that_cannot_be_told_apart_are_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="would both become"):
        collect(touch(tmp_path, "x/a.mp4", "y/a.mp4"), tmp_path / "out")


@pytest.mark.parametrize("link", [None, "symbolic", "hard"])
def test_an_output_never_takes_the_place_of_another_input(tmp_path: Path, link: str | None) -> None:
    """As the second time of ``compress *.mp4``, which names what the first made, too."""
    first, other = touch(tmp_path, "a.mp4", "a.compressed.mp4" if link is None else "b.mp4")
    if link == "symbolic":
        (tmp_path / "a.compressed.mp4").symlink_to(other)
    elif link == "hard":
        (tmp_path / "a.compressed.mp4").hardlink_to(other)
    with pytest.raises(UsageError, match="is itself an input") as told:
        collect([first, other], None)
    assert "folder" in (told.value.hint or "")


def test_an_input_that_would_become_itself_is_left_to_its_own_job(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    assert [item.target.name for item in collect([tmp_path], tmp_path)] == ["a.mp4", "b.mp4"]


def test_outputs_that_only_links_tell_apart_are_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").symlink_to("here")
    with pytest.raises(UsageError, match="would both become"):
        collect(touch(tmp_path, "here/a.mp4", "there/a.mp4"), None)


def test_a_file_cannot_take_several_outputs(tmp_path: Path) -> None:
    target, *sources = touch(tmp_path, "out.mp4", "a.mp4", "b.mp4")
    with pytest.raises(UsageError, match="several inputs"):
        collect(sources, target)


def test_a_folder_read_again_holds_the_same_inputs(tmp_path: Path) -> None:
    """What a first run put beside its inputs is no input of the second."""
    touch(tmp_path, "a.mov", "a.avi", "b.mp4")
    first = collect([tmp_path], None)
    touch(tmp_path, *(item.target.name for item in first))
    assert collect([tmp_path], None) == first


def test_a_folder_with_its_outputs_inside_holds_the_same_inputs_again(tmp_path: Path) -> None:
    touch(tmp_path, "a.mov", "deep/b.mp4")
    first = collect([tmp_path], tmp_path / "small")
    touch(tmp_path, *(str(item.target.relative_to(tmp_path)) for item in first))
    assert collect([tmp_path], tmp_path / "small") == first


def test_an_empty_name_is_not_the_working_folder(tmp_path: Path) -> None:
    """An unset variable in a script gives one."""
    for arguments in (
        ("compress", ""),
        ("compress", "a.mp4", "-o", ""),
        ("ladder", "a.mp4", "-o", ""),
        ("clips", "a.mp4", "--clip", "0+1", "-o", ""),
        ("jobs", "download", "job_1", "-o", ""),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "reelpress", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (done.returncode, "name is empty" in done.stderr) == (2, True), done.stderr


def test_inputs_of_one_name_are_told_by_their_folders() -> None:
    made = [receipts.receipt(input=name) for name in ("in/mon/a.mp4", "in/tue/a.mp4", "in/tue/b.mp4")]
    assert short_names(made) == ["mon/a.mp4", "tue/a.mp4", "b.mp4"]
    told = io.StringIO()
    print_summary(made, short_names(made), told)
    assert "mon/a.mp4" in told.getvalue()
    assert "tue/a.mp4" in told.getvalue()
    assert short_names([receipts.receipt(input="/x/a.mp4"), receipts.receipt(input="y/a.mp4")]) == [
        "/x/a.mp4", str(Path("y/a.mp4").absolute()),
    ]  # fmt: skip
