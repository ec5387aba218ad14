"""Starts the real program, reads its events as they come, and looks at what it leaves behind."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import forked_program
import reelpress

import clips

PART = ".reelpress-part"
EXIT_CODES = {0, 1, 2, 3, 4, 5, 130}  # 70, a bug of ours, is documented too, and never acceptable here
STATUSES = {"encoded", "copied", "skipped", "rejected", "failed", "cancelled"}
PATIENCE_S = 90.0  # for what has no promised time, on a machine that is busy with other things

Event = dict[str, Any]


def builds() -> dict[str, str]:
    """The FFmpegs of this machine: the bundled one, and the distribution's where there is one."""
    found = {"bundled": clips.ffmpeg()}
    on_path = shutil.which("ffmpeg", path="/usr/bin:/usr/local/bin")
    if on_path is not None:
        found["path"] = on_path
    return found


def environment(**more: str) -> dict[str, str]:
    """What the program sees: nothing of the developer's own settings."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    cache = Path(tempfile.gettempdir()) / f"reelpress-faults-cache-{os.getuid()}"
    return {
        **kept, "LANG": "C.UTF-8", "XDG_CACHE_HOME": str(cache), "REELPRESS_TRACEBACK": "1",
        "PYTHONPATH": str(Path(reelpress.__file__).parents[1]), **more,
    }  # fmt: skip


def program(*arguments: str | bytes | os.PathLike[str]) -> list[str | bytes | os.PathLike[str]]:
    return [sys.executable, "-m", "reelpress", *arguments]


@dataclass
class Ended:
    """How a run of the program ended; stdout is checked to be NDJSON when events are asked for."""

    code: int
    stdout: bytes
    stderr: bytes
    wall_s: float = 0.0

    @property
    def events(self) -> list[Event]:
        lines = self.stdout.split(b"\n")
        assert lines.pop() == b"", "the last line has an end too"
        events = [json.loads(line.decode("utf-8")) for line in lines]
        assert all(isinstance(event, dict) and event["event"] for event in events)
        return events

    @property
    def receipts(self) -> list[Event]:
        return [event for event in self.events if event["event"] == "receipt"]

    @property
    def receipt(self) -> Event:
        """The one receipt, which is the last thing said."""
        events = self.events
        assert events, self.stderr.decode(errors="replace")
        assert events[-1]["event"] == "receipt"
        assert sum(event["event"] == "receipt" for event in events) == 1
        return events[-1]


def reelpress_ends(ended: Ended) -> Ended:
    """Every ending is a documented one, and never a traceback."""
    talk = ended.stderr.decode(errors="replace")
    assert ended.code in EXIT_CODES, talk
    assert b"Traceback" not in ended.stderr, talk
    assert b"This is a bug" not in ended.stderr, talk
    return ended


def reel(*arguments: str | bytes | os.PathLike[str], cwd: Path, prefix: tuple[str, ...] = (), **env: str) -> Ended:
    """Run the program to its end."""
    start = time.monotonic()
    if prefix:
        done = subprocess.run(
            [*prefix, *program(*arguments)], cwd=cwd, env=environment(**env), stdin=subprocess.DEVNULL,
            capture_output=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
    else:
        done = forked_program.run(arguments, cwd=cwd, env=environment(**env), patience_s=PATIENCE_S)
    return reelpress_ends(Ended(done.returncode, done.stdout, done.stderr, time.monotonic() - start))


def compress(*arguments: str | bytes | os.PathLike[str], cwd: Path, prefix: tuple[str, ...] = (), **env: str) -> Ended:
    """Run ``reelpress compress --json`` with these arguments to its end; fast unless they say otherwise."""
    if not any(str(argument) == "--preset" for argument in arguments):
        arguments = ("--preset", "ultrafast", *arguments)
    return reel("compress", "--json", *arguments, cwd=cwd, prefix=prefix, **env)


@dataclass
class Running:
    """The program under way, with its NDJSON as it comes."""

    popen: subprocess.Popen[bytes]
    talk: Path
    started_at: float = field(default_factory=time.monotonic)
    said: list[bytes] = field(default_factory=list)
    _lines: queue.Queue[bytes | None] = field(default_factory=queue.Queue)
    _reader: threading.Thread | None = None

    @property
    def pid(self) -> int:
        return self.popen.pid

    def read(self) -> None:
        def pump() -> None:
            assert self.popen.stdout is not None
            for line in self.popen.stdout:
                self._lines.put(line)
            self._lines.put(None)

        self._reader = threading.Thread(target=pump, daemon=True)
        self._reader.start()

    def until(self, kind: str, where: Callable[[Event], bool] = lambda _event: True) -> Event:
        """Return the next event of a kind; an end before it is a failure of the test."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            line = self._lines.get(timeout=max(0.01, deadline - time.monotonic()))
            assert line is not None, f"it ended before {kind}: {self.talk.read_text(errors='replace')}"
            self.said.append(line)
            event = json.loads(line)
            if event["event"] == kind and where(event):
                return event

    def child(self, *words: bytes) -> int:
        """Wait for a process it started whose command line holds all these words, and return its number."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for pid, command in descendants(self.pid):
                if all(word in command for word in words):
                    return pid
            assert self.popen.poll() is None, f"it ended first: {self.talk.read_text(errors='replace')}"
            time.sleep(0.002)
        raise AssertionError(f"no child with {words!r}")

    def forked_from(self, parent: int) -> int:
        """Wait for a process that one of those it started has forked, and return its number."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if forked := Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
                    return int(forked[0])
            assert self.popen.poll() is None, f"it ended first: {self.talk.read_text(errors='replace')}"
        raise AssertionError(f"{parent} forked nothing")

    def end(self, within_s: float = PATIENCE_S) -> Ended:
        """Wait for its end."""
        self.popen.wait(within_s)
        assert self._reader is not None
        self._reader.join(10)
        while (line := self._lines.get_nowait()) is not None:
            self.said.append(line)
        ended = Ended(self.popen.returncode, b"".join(self.said), self.talk.read_bytes())
        return ended if ended.code < 0 else reelpress_ends(ended)

    def stop(self) -> None:
        """Leave nothing of it, whatever the test did."""
        with contextlib.suppress(ProcessLookupError):
            self.popen.kill()
        self.popen.wait(30)
        if self._reader is not None:
            self._reader.join(10)
        if self.popen.stdout is not None:
            self.popen.stdout.close()


@contextlib.contextmanager
def running(
    *arguments: str | os.PathLike[str], cwd: Path, command: str = "compress", prefix: tuple[str, ...] = (), **env: str
) -> Iterator[Running]:
    """Start ``reelpress compress --json``, or another command, and hand it over while it runs."""
    with tempfile.NamedTemporaryFile(prefix="reelpress-talk-") as talk:
        popen = subprocess.Popen(
            [*prefix, *program(command, "--json", *arguments)],
            cwd=cwd,
            env=environment(**env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=talk,
        )
        run = Running(popen, Path(talk.name))
        run.read()
        try:
            yield run
        finally:
            run.stop()


# Processes -----------------------------------------------------------------------------------------------------------


def _processes() -> Iterator[tuple[int, int, bytes]]:
    """Every living process: its number, its parent's, its command line and name."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, parent = (folder / "stat").read_bytes().rpartition(b")")[2].split()[:2]
            if state not in (b"Z", b"X"):
                words = (folder / "cmdline").read_bytes() + (folder / "comm").read_bytes()
                yield int(folder.name), int(parent), words


def descendants(root: int) -> list[tuple[int, bytes]]:
    """Every living process below ``root``."""
    everyone = list(_processes())
    family = {root}
    while True:
        more = {pid for pid, parent, _ in everyone if parent in family} - family
        if not more:
            break
        family |= more
    return [(pid, command) for pid, _, command in everyone if pid in family and pid != root]


def alive(pids: set[int]) -> set[int]:
    return {pid for pid, _, _ in _processes() if pid in pids}


def naming(word: os.PathLike[str] | bytes) -> set[int]:
    """Every living process whose command line holds ``word``: a folder of the test's own finds what it started."""
    wanted = word if isinstance(word, bytes) else os.fsencode(word)
    return {pid for pid, _, command in _processes() if wanted in command and pid != os.getpid()}


def seconds_until(claim: Callable[[], bool], since: float, at_most_s: float) -> float:
    """Wait for a claim to come true and return how long that took, counted from ``since``."""
    while not claim():
        assert time.monotonic() - since < at_most_s, f"not within {at_most_s} s"
        time.sleep(0.01)
    return time.monotonic() - since


# Files ---------------------------------------------------------------------------------------------------------------


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def parts_in(folder: Path) -> list[str]:
    return [name for name in names_in(folder) if name.endswith(PART)]


def identity(path: Path) -> tuple[object, ...]:
    """What must not change in a file that is only read."""
    stat = path.stat()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return digest, stat.st_size, stat.st_mtime_ns, stat.st_mode, stat.st_ino, stat.st_nlink, stat.st_uid


def is_whole(path: Path) -> bool:
    """Tell whether FFmpeg decodes a file to its end without a word."""
    command = [clips.ffmpeg(), "-nostdin", "-v", "repeat+error", "-i", f"file:{path}", "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE_S, check=False)
    # the null muxer speaks of times that it would have rounded to the same tick, which is no matter of the file
    words = [line for line in done.stderr.splitlines() if not line.startswith(b"[null @")]
    return done.returncode == 0 and not words
