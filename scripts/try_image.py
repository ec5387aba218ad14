"""Tries what the images are made of without a container engine: starts it as one would, and has it do a job.

    python scripts/try_image.py                       # the steps of the build on this machine's Debian, a minute
    python scripts/try_image.py --root FOLDER --dockerfile deploy/Dockerfile.cuda --most-mb 1900

The first builds /opt/reelpress by ``deploy/image/build.sh`` in a namespace in which nothing else of this machine can be
written. Either way the start is as the Dockerfile says: its user without any capability, its environment and no other,
a file system that is read-only but for its volumes, its entry point as process 1. Then /health and /ready must answer,
a job must be done, and SIGTERM must end it in time with the job under way handed back. Needs root, and bubblewrap.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import imageio_ffmpeg

ROOT = Path(__file__).resolve().parent.parent
START_WITHIN_S, JOB_WITHIN_S, GRACE_S, STOP_S = 180, 180, 2, 12
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Failed(SystemExit):
    """What was tried did not work."""


class Dockerfile:
    """What the last stage of a Dockerfile says of the start."""

    def __init__(self, path: Path) -> None:
        last = path.read_text().rsplit("\nFROM ", 1)[1].replace("\\\n", " ")
        said = dict(
            re.findall(r"^(USER|WORKDIR|VOLUME|ENTRYPOINT|CMD|HEALTHCHECK|STOPSIGNAL) +(.+)$", last, re.MULTILINE)
        )
        self.environment = dict(re.findall(r"([A-Z_]+)=(\S+)", " ".join(re.findall(r"^ENV (.+)$", last, re.MULTILINE))))
        self.uid, self.gid = map(int, said["USER"].split(":"))
        self.folder, self.stop = said["WORKDIR"], signal.Signals[said["STOPSIGNAL"]]
        self.volumes, self.entry, self.command = (json.loads(said[name]) for name in ("VOLUME", "ENTRYPOINT", "CMD"))
        self.health = json.loads(said["HEALTHCHECK"].split("CMD ", 1)[1])


class Box:
    """A place to start an image's programs in: the root's folders, read-only, and volumes."""

    def __init__(self, image: Dockerfile, root: list[str], volumes: Path) -> None:
        self.image, self._root, self.volumes = image, root, volumes
        for volume in image.volumes:
            folder = volumes / volume.strip("/")
            folder.mkdir()
            os.chown(folder, image.uid, image.gid)

    def argv(self, command: list[str], environment: dict[str, str], *extra: str, can_write: bool = True) -> list[str]:
        """Return the command line that starts ``command`` in here."""
        told = {**self.image.environment, **environment}
        bind = "--bind" if can_write else "--ro-bind"
        return [
            "bwrap", *self._root, "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--clearenv",
            *(part for volume in self.image.volumes for part in (bind, str(self.volumes / volume.strip("/")), volume)),
            *(part for name, value in told.items() for part in ("--setenv", name, value)),
            "--remount-ro", "/", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--as-pid-1", "--new-session",
            "--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP",
            "--chdir", self.image.folder, *extra, "--",
            "/usr/bin/setpriv", f"--reuid={self.image.uid}", f"--regid={self.image.gid}", "--clear-groups",
            "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", *command,
        ]  # fmt: skip

    def run(self, *command: str, can_write: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command in here to its end."""
        argv = self.argv(list(command), environment, can_write=can_write)
        return subprocess.run(argv, capture_output=True, text=True, timeout=START_WITHIN_S, check=False)

    @contextmanager
    def service(self, log: Path, **environment: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
        """Start what the image starts, and return it with the number of its process 1."""
        reading, writing = os.pipe()
        argv = self.argv([*self.image.entry, *self.image.command], environment, "--info-fd", str(writing))
        with log.open("ab") as out:
            process = subprocess.Popen(argv, stdout=out, stderr=out, pass_fds=(writing,))
        os.close(writing)
        try:
            with os.fdopen(reading) as info:
                yield process, json.loads(info.read())["child-pid"]
        finally:
            process.kill()
            process.wait()


def wait_for(what: str, look: Callable[[], Any], within_s: float, process: subprocess.Popen[bytes], log: Path) -> Any:  # noqa: ANN401
    """Return what ``look`` finds, as soon as it is anything."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline and process.poll() is None:
        if found := look():
            return found
        time.sleep(0.05)
    raise Failed(f"{what}: not within {within_s} s (exit code {process.poll()})\n{log.read_text()[-4000:]}")


class Api:
    """The service's API, with a key."""

    def __init__(self, port: int, key: str) -> None:
        self._url, self._key = f"http://127.0.0.1:{port}", key

    def ask(self, method: str, path: str, body: bytes | dict[str, Any] | None = None) -> Any:  # noqa: ANN401
        """Return the answer's JSON, or ``None`` where there is no good answer."""
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        request = urllib.request.Request(
            self._url + path, data, {"Authorization": f"Bearer {self._key}"}, method=method
        )
        if isinstance(body, dict):
            request.add_header("Content-Type", "application/json")
        try:
            with _OPENER.open(request, timeout=20) as answer:
                content = answer.read()
        except urllib.error.HTTPError as error:
            if error.code == 503:
                return None
            raise Failed(f"{method} {path}: {error.code} {error.read().decode(errors='replace')}") from None
        except OSError:
            return None
        return (
            json.loads(content or b"true")
            if answer.headers.get_content_type() == "application/json"
            else content or True
        )

    def submit(self, clip: bytes) -> str:
        """Upload a clip, and have it encoded."""
        digest = hashlib.sha256(clip).hexdigest()
        upload = self.ask("POST", "/v1/uploads", {"name": "try.mp4", "size_bytes": len(clip), "sha256": digest})
        for part in upload["send"]:
            at = part["number"] * upload["segment_bytes"]
            self.ask("PUT", part["url"], clip[at : at + part["size_bytes"]])
        self.ask("POST", f"/v1/uploads/{upload['id']}/complete", {})
        settings = {"always_encode": True}
        return str(self.ask("POST", "/v1/jobs", {"input": {"upload": upload["id"]}, "settings": settings})["id"])


def make_clip(folder: Path, seconds: int, size: str) -> bytes:
    """Make a moving picture."""
    path = folder / f"{seconds}.mp4"
    source = f"testsrc2=size={size}:rate=25:duration={seconds}"
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-f", "lavfi", "-i", source, "-c:v", "libx264"]
    subprocess.run([*argv, "-preset", "ultrafast", str(path)], check=True)
    return path.read_bytes()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def check_box(box: Box) -> None:
    """See to it that the box is as tight as it is meant to be."""
    inside = box.run(
        "/bin/sh", "-c", "id -u; env | cut -d= -f1; for f in / /usr /etc /opt/reelpress; do touch $f/x; done"
    )
    uid, *names = inside.stdout.split() or ["nobody"]
    if uid != str(box.image.uid) or inside.stderr.count("Read-only file system") != 4:
        raise Failed(f"the box is not tight: {inside}")
    if extra := set(names) - set(box.image.environment) - {"PWD", "SHLVL", "_", "OLDPWD"}:
        raise Failed(f"the environment has more than was declared: {extra}")
    stuck = box.run(*box.image.entry, "serve", can_write=False)
    if stuck.returncode == 0 or "Read-only file system" not in stuck.stderr:
        raise Failed(f"it started without a place to write: {stuck}")


def try_start(box: Box, folder: Path) -> None:
    """Start it, have it do a job, and end it under the next."""
    log, port = folder / "log", free_port()
    made = box.run(*box.image.entry, "keys", "create", "--user", "try", "--scope", "admin", "--json")
    if made.returncode != 0:
        raise Failed(f"no key: {made.stderr}")
    api = Api(port, json.loads(made.stdout)["key"])
    began = time.monotonic()
    with box.service(log, PORT=str(port), REELPRESS_GRACE=str(GRACE_S)) as (process, pid):
        wait_for("/health", lambda: api.ask("GET", "/health"), START_WITHIN_S, process, log)
        alive_s = time.monotonic() - began
        ready = wait_for("/ready", lambda: api.ask("GET", "/ready"), START_WITHIN_S, process, log)
        print(f"alive after {alive_s:.1f} s, ready after {time.monotonic() - began:.1f} s: ", end="")
        print(", ".join(encoder["name"] for encoder in ready["encoders"] if encoder["opens"]))
        if (
            box.run(*box.image.health, PORT=str(port)).returncode != 0
            or box.run(*box.image.health, PORT="1").returncode == 0
        ):
            raise Failed("HEALTHCHECK does not tell whether the service answers")
        short = make_clip(folder, 2, "320x180")
        job = api.submit(short)
        done = wait_for("a job", lambda: ended(api.ask("GET", f"/v1/jobs/{job}")), JOB_WITHIN_S, process, log)
        output = api.ask("GET", f"/v1/jobs/{job}/output")
        if done["status"] != "done" or b"ftyp" not in output[:16]:
            raise Failed(f"the job ended as {done}")
        print(f"a job: {done['result']['encoder']}, {len(short)} to {len(output)} bytes")
        job = api.submit(make_clip(folder, 60, "1280x720"))
        wait_for("an encode", lambda: api.ask("GET", f"/v1/jobs/{job}")["percent"] > 0, JOB_WITHIN_S, process, log)
        told = time.monotonic()
        os.kill(pid, box.image.stop)
        try:
            code = process.wait(GRACE_S + STOP_S)
        except subprocess.TimeoutExpired:
            raise Failed(f"{box.image.stop.name} did not end it within {GRACE_S + STOP_S} s") from None
        print(
            f"{box.image.stop.name}: exit code {code} after {time.monotonic() - told:.1f} s, with {GRACE_S} s of grace"
        )
    with sqlite3.connect(box.volumes / "data/reelpress.sqlite") as database:
        (status,) = database.execute("SELECT status FROM jobs WHERE id = ?", (job,)).fetchone()
    if code != 0 or status not in ("queued", "done"):
        raise Failed(f"exit code {code}, and the job under way is {status}")


def ended(job: dict[str, Any]) -> dict[str, Any] | None:
    """Return the job if it ended."""
    return None if job["status"] in ("queued", "running") else job


def build_here(folder: Path) -> list[str]:
    """Carry out the steps that need no package of Debian's, and return the root that came of it."""
    opt = folder / "opt"
    opt.mkdir()
    cache = Path(os.environ.get("UV_CACHE_DIR", Path.home() / ".cache/uv"))
    cache.mkdir(parents=True, exist_ok=True)
    system = ["--ro-bind", "/usr", "/usr", "--ro-bind", "/etc", "/etc"]
    system += [part for name in ("bin", "sbin", "lib", "lib64") for part in ("--symlink", f"usr/{name}", f"/{name}")]
    run = [
        "--bind",
        str(opt),
        "/opt",
        "--bind",
        str(cache),
        "/cache",
        "--tmpfs",
        "/tmp",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
    ]
    source = ["--ro-bind", str(ROOT), "/src", "--chdir", "/src", "--clearenv", "--setenv", "UV_CACHE_DIR", "/cache"]
    path = ["--setenv", "PATH", "/usr/bin:/bin", "--setenv", "HOME", "/tmp", "--setenv", "PYTHONDONTWRITEBYTECODE", "1"]
    for step in ("tools", "depend", "package"):
        began = time.monotonic()
        argv = [
            "bwrap",
            *system,
            *run,
            *source,
            *path,
            "--remount-ro",
            "/",
            "--",
            "/bin/sh",
            "deploy/image/build.sh",
            step,
        ]
        subprocess.run(argv, check=True)
        print(f"{step}: {time.monotonic() - began:.1f} s", flush=True)
    (opt / "reelpress/image").mkdir()
    for name in ("start.sh", "health.py"):
        (opt / "reelpress/image" / name).write_bytes((ROOT / "deploy/image" / name).read_bytes())
        (opt / "reelpress/image" / name).chmod(0o755)
    return [*system, "--dir", "/opt", "--ro-bind", str(opt / "reelpress"), "/opt/reelpress"]


def size_mb(root: Path) -> float:
    """Return what a folder takes, as layers count it: the sum of its files, links counted once."""
    seen = {(found.st_dev, found.st_ino): found.st_size for path in root.rglob("*") if (found := path.lstat())}
    return sum(seen.values()) / 1e6


def main() -> None:
    """Build, if need be, and try."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--dockerfile", type=Path, default=ROOT / "deploy/Dockerfile")
    asked.add_argument("--root", type=Path, help="the file system of a built image")
    asked.add_argument("--most-mb", type=float, default=1200, help="what it may weigh")
    given = asked.parse_args()
    if os.geteuid() != 0 or not all(map(shutil.which, ("bwrap", "tini"))):
        raise Failed("This needs root, bubblewrap and tini: a start is tried in namespaces, as another user.")
    image = Dockerfile(given.dockerfile)
    with tempfile.TemporaryDirectory(prefix="reelpress-image-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "volumes").mkdir()
        root = ["--ro-bind", str(given.root), "/"] if given.root else build_here(folder)
        weight = size_mb(given.root or folder / "opt/reelpress")
        print(f"{weight:.0f} MB, of {given.most_mb:.0f} MB that it may take")
        if weight > given.most_mb:
            raise Failed("It is too large: what came with it, and is it needed? See docs/images.md.")
        box = Box(image, root, folder / "volumes")
        check_box(box)
        try_start(box, folder)


if __name__ == "__main__":
    sys.exit(main())
