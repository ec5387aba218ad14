"""systemd's units: systemd itself finds nothing in them, they are shut away, and there is time to end."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from reelpress.cli.app import app
from reelpress.service import server
from reelpress.service_settings import ServiceSettings

from deployed import ROOT, accepts

UNITS = {"reelpress.service": "reelpress.service", "reelpress-worker@.service": "reelpress-worker@1.service"}
FOLDER = ROOT / "deploy/systemd"
_AFTER_GRACE_S = 6  # what stopping programs may take: reelpress.service.server

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine's root with the units, the program they start, and the targets that systemd brings."""
    units = tmp_path / "etc/systemd/system"
    shutil.copytree(FOLDER, units)
    shutil.copytree(
        "/usr/lib/systemd/system", tmp_path / "usr/lib/systemd/system", ignore=shutil.ignore_patterns("*.d")
    )
    for program in ("opt/reelpress/bin/reelpress", "bin/sh"):
        (tmp_path / program).parent.mkdir(parents=True)
        (tmp_path / program).touch(0o755)
    return tmp_path


def analyze(machine: Path, *command: str) -> tuple[int, str]:
    argv = ["systemd-analyze", *command, f"--root={machine}", "--man=no"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.returncode, "\n".join(line for line in done.stderr.splitlines() if "reelpress" in line)


def test_systemd_finds_nothing(machine: Path) -> None:
    assert analyze(machine, "verify", *UNITS.values()) == (0, "")


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("ProtectSystem=", "ProtectSytem="),
        ("KillMode=mixed", "KillMode=mixd"),
        ("/opt/reelpress/bin/reelpress serve", "/opt/reelpress/reelpress serve"),
        ("TimeoutStopSec=30", "TimeoutStopSec=soon"),
    ],
)
def test_systemd_finds_mistakes(machine: Path, right: str, wrong: str) -> None:
    unit = machine / "etc/systemd/system/reelpress.service"
    assert right in unit.read_text()
    unit.write_text(unit.read_text().replace(right, wrong))
    assert analyze(machine, "verify", "reelpress.service") != (0, "")


@pytest.mark.parametrize("unit", UNITS.values())
def test_a_unit_is_shut_away(machine: Path, unit: str) -> None:
    """By systemd's own count, 0 to 10 of exposure; a plain service has 9.6."""
    assert analyze(machine, "security", "--offline=yes", "--threshold=20", unit)[0] == 0
    file = machine / "etc/systemd/system" / next(name for name, one in UNITS.items() if one == unit)
    file.write_text(
        re.sub(r"^(SystemCallFilter|ProtectSystem|CapabilityBoundingSet)=.*$", "", file.read_text(), flags=re.MULTILINE)
    )
    assert analyze(machine, "security", "--offline=yes", "--threshold=20", unit)[0] != 0


@pytest.mark.parametrize("name", UNITS)
def test_settings_are_accepted_and_there_is_time_to_end(name: str) -> None:
    text = (FOLDER / name).read_text()
    assignments = " ".join(re.findall(r"^Environment=(.+)$", text, re.MULTILINE)).split()
    environment = dict(assignment.split("=", 1) for assignment in assignments)
    accepts(environment)
    (stop_s,) = re.findall(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
    assert float(stop_s) >= float(environment.get("REELPRESS_GRACE", 8)) + _AFTER_GRACE_S


def test_the_api_does_no_jobs_whatever_the_shared_file_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file of settings, which the workers have, too, wins over what the unit puts into the environment."""
    started: list[ServiceSettings] = []
    monkeypatch.setattr(server, "serve", lambda settings: started.append(settings) or 0)
    monkeypatch.setenv("REELPRESS_WORKER_JOBS", "2")
    monkeypatch.setenv("REELPRESS_PUSH_JOBS", "1")
    (command,) = re.findall(r"^ExecStart=(.+)$", (FOLDER / "reelpress.service").read_text(), re.MULTILINE)
    done = CliRunner().invoke(app, shlex.split(command)[1:])
    assert done.exit_code == 0, done.output
    assert [(settings.worker_jobs, settings.push_jobs) for settings in started] == [(0, 0)]
