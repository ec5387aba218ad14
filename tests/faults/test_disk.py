"""Full disks, targets that cannot be written, sources that change: nothing is lost, and nothing half done."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import reelpress

import clips
import reel

pytestmark = pytest.mark.faults

MIB = 2**20
FAST = ("--preset", "ultrafast")
# Root without the two capabilities that let it pass by permissions: the mode bits count, as for everybody else.
AS_UNPRIVILEGED = """
import ctypes, os, sys
assert os.getuid() or not any(ctypes.CDLL(None).prctl(24, number, 0, 0, 0) for number in (1, 2))
os.execv(sys.argv[1], sys.argv[1:])
"""
UNPRIVILEGED = (sys.executable, "-c", AS_UNPRIVILEGED)


@dataclass(frozen=True)
class SmallDisk:
    """A disk of its own, in a mount namespace of its own; it is gone with the process that holds it."""

    holder: int
    mounted: Path  # as programs in the namespace see it

    @property
    def enter(self) -> tuple[str, ...]:
        user = () if os.getuid() == 0 else ("--user", "--preserve-credentials")
        return ("nsenter", "--target", str(self.holder), "--mount", *user, "--")

    @property
    def seen(self) -> Path:
        """The same folder, as everybody sees it."""
        return Path(f"/proc/{self.holder}/root{self.mounted}")

    def fill(self) -> None:
        """Write until nothing fits any more, as another program would."""
        with contextlib.suppress(OSError), (self.seen / "filler").open("wb", buffering=0) as filler:
            while filler.write(bytes(4096)):
                pass
        assert shutil.disk_usage(self.seen).free == 0

    def remount(self, options: str) -> None:
        subprocess.run([*self.enter, "mount", "-o", f"remount,{options}", str(self.mounted)], check=True, timeout=30)


@contextlib.contextmanager
def small_disk(mounted: Path, size_bytes: int) -> Iterator[SmallDisk]:
    mounted.mkdir()
    own = () if os.getuid() == 0 else ("--user", "--map-root-user")
    script = 'mount -t tmpfs -o "size=$1" tmpfs "$2" && echo ready && exec sleep 600'
    command = ["unshare", *own, "--mount", "--propagation", "private", "sh", "-c", script, "sh", str(size_bytes)]
    with subprocess.Popen([*command, str(mounted)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as holder:
        try:
            assert holder.stdout is not None
            said = holder.stdout.readline()
            if said != b"ready\n":
                if os.getuid() == 0 or os.environ.get("CI"):
                    pytest.fail(f"these tests need a mount namespace, as CI gives them: {said!r}")
                pytest.skip(f"no mount namespace for this user: {said!r}")
            yield SmallDisk(holder.pid, mounted)
        finally:
            holder.kill()


# Full disks ----------------------------------------------------------------------------------------------------------


def test_too_little_space_is_refused_before_any_work(tmp_path: Path, long_clip: Path):
    with small_disk(tmp_path / "disk", 8 * MIB) as disk:
        ended = reel.compress("-o", disk.mounted / "out.mp4", long_clip, cwd=tmp_path, prefix=disk.enter)
        assert ended.code == 5
        assert (ended.receipt["status"], ended.receipt["error_code"]) == ("failed", "output_failed")
        assert "bytes free" in ended.receipt["evidence"]
        assert ended.receipt["hint"]
        assert not [event for event in ended.events if event["event"] == "attempt_started"]
        assert reel.names_in(disk.seen) == []


@pytest.mark.by_turns
@pytest.mark.parametrize("moment", ["attempt_started", "progress"])
@pytest.mark.parametrize("before", [None, b"an older output"], ids=["new", "overwrite"])
def test_a_disk_that_fills_up_during_the_encode_ends_cleanly(
    tmp_path: Path, long_clip: Path, build: str, moment: str, before: bytes | None
):
    before_it = reel.identity(long_clip)
    with small_disk(tmp_path / "disk", 64 * MIB) as disk:
        out = disk.seen / "out.mp4"
        if before is not None:
            out.write_bytes(before)
        arguments = (
            "--preset",
            "slower",  # it must not end before the disk is full, whatever else the machine does
            "--max-size",
            "480x270",
            "--overwrite",
            "-o",
            disk.mounted / "out.mp4",
            long_clip,
        )
        with reel.running(*arguments, cwd=tmp_path, prefix=disk.enter, REELPRESS_FFMPEG=build) as run:
            run.until(moment, lambda event: moment != "progress" or bool(event["frames"]))
            disk.fill()
            ended = run.end()
        assert ended.code == 5, ended.receipt
        assert (ended.receipt["status"], ended.receipt["error_code"]) == ("failed", "output_failed")
        assert "No space left on device" in ended.receipt["evidence"]
        assert ended.receipt["attempts"][-1]["failure"] == "output_full"
        assert ended.receipt["attempts"][-1]["argv"][0] == build
        assert reel.names_in(disk.seen) == sorted(["filler", *(["out.mp4"] if before is not None else [])])
        assert before is None or out.read_bytes() == before
        (disk.seen / "filler").unlink()
        again = reel.compress(
            "--overwrite", "-o", disk.mounted / "out.mp4", long_clip, cwd=tmp_path, prefix=disk.enter
        )  # fmt: skip
        assert again.receipt["status"] == "encoded"
    assert reel.identity(long_clip) == before_it


def test_a_receipt_that_does_not_fit_is_an_output_that_failed(tmp_path: Path, short_clip: Path):
    with small_disk(tmp_path / "disk", 64 * 1024) as disk:
        disk.fill()
        out, receipt = tmp_path / "out.mp4", disk.mounted / "receipt.json"
        ended = reel.compress("-o", out, "--receipt", receipt, short_clip, cwd=tmp_path, prefix=disk.enter)
        assert ended.code == 5
        assert b"No space left on device" in ended.stderr
        # what was delivered stays delivered
        assert ended.receipt["status"] == "encoded"
        assert reel.is_whole(out)


@pytest.mark.parametrize("mode", [(), ("--json",)], ids=["text", "json"])
def test_a_full_disk_behind_stdout_is_an_output_that_failed(tmp_path: Path, short_clip: Path, mode: tuple[str, ...]):
    command = reel.program("compress", *mode, *FAST, "-o", "out.mp4", short_clip)
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command, cwd=tmp_path, env=reel.environment(), stdout=full, stderr=subprocess.PIPE,
            timeout=reel.PATIENCE_S, check=False,
        )  # fmt: skip
    reel.reelpress_ends(reel.Ended(done.returncode, b"", done.stderr))
    assert done.returncode == 5
    assert b"No space left on device" in done.stderr
    assert reel.parts_in(tmp_path) == []


def test_a_read_only_file_system_is_refused(tmp_path: Path, short_clip: Path):
    with small_disk(tmp_path / "disk", 64 * MIB) as disk:
        (disk.seen / "out.mp4").write_bytes(b"older")
        disk.remount("ro")
        target = disk.mounted / "out.mp4"
        ended = reel.compress("--overwrite", "-o", target, short_clip, cwd=tmp_path, prefix=disk.enter)
        assert ended.code == 5
        assert "Read-only" in ended.receipt["evidence"]
        into = reel.compress("-o", disk.mounted / "new" / "out.mp4", short_clip, cwd=tmp_path, prefix=disk.enter)
        assert (into.code, into.receipt["status"]) == (5, "failed")
        assert reel.names_in(disk.seen) == ["out.mp4"]
        assert (disk.seen / "out.mp4").read_bytes() == b"older"


# Targets -------------------------------------------------------------------------------------------------------------


def test_a_folder_without_write_permission_is_refused(tmp_path: Path, short_clip: Path):
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "out.mp4").write_bytes(b"older")
    closed.chmod(0o555)
    for options in ((), ("--overwrite",)):
        ended = reel.compress(*options, "-o", closed / "out.mp4", short_clip, cwd=tmp_path, prefix=UNPRIVILEGED)
        assert (ended.code, ended.receipt["status"]) == (5, "failed")
    new = reel.compress("-o", closed / "new" / "out.mp4", short_clip, cwd=tmp_path, prefix=UNPRIVILEGED)
    assert (new.code, new.receipt["status"]) == (5, "failed")
    assert reel.names_in(closed) == ["out.mp4"]
    assert (closed / "out.mp4").read_bytes() == b"older"


def test_a_folder_that_may_not_be_entered_is_refused(tmp_path: Path, short_clip: Path):
    closed = tmp_path / "closed"
    closed.mkdir()
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).symlink_to(short_clip)
    closed.chmod(0o000)
    ended = reel.compress("-o", closed / "out.mp4", short_clip, cwd=tmp_path, prefix=UNPRIVILEGED)
    several = reel.compress("-o", closed / "new", "a.mp4", "b.mp4", cwd=tmp_path, prefix=UNPRIVILEGED)
    closed.chmod(0o755)
    assert (ended.code, ended.receipt["status"]) == (5, "failed")
    assert several.code == 5
    assert {receipt["status"] for receipt in several.receipts} == {"failed"}
    assert reel.names_in(closed) == []


def test_a_missing_folder_is_made_by_the_program_and_refused_by_the_library(tmp_path: Path, short_clip: Path):
    ended = reel.compress("-o", "a/b/out.mp4", short_clip, cwd=tmp_path)
    assert (ended.code, ended.receipt["status"]) == (0, "encoded")
    receipt = reelpress.compress(short_clip, tmp_path / "missing" / "out.mp4", preset="ultrafast")
    assert (receipt.status, receipt.exit_code, receipt.error_code) == ("failed", 5, "output_failed")
    assert reel.names_in(tmp_path) == ["a"]


def test_a_file_where_a_folder_must_be_is_refused(tmp_path: Path, short_clip: Path):
    (tmp_path / "file").write_bytes(b"kept")
    ended = reel.compress("-o", "file/out.mp4", short_clip, cwd=tmp_path)
    assert (ended.code, ended.receipt["status"]) == (5, "failed")
    assert (tmp_path / "file").read_bytes() == b"kept"


def test_one_target_that_cannot_be_made_leaves_the_other_inputs_alone(tmp_path: Path, short_clip: Path):
    for name in ("films/a/x.mp4", "films/b/y.mp4"):
        (tmp_path / name).parent.mkdir(parents=True)
        shutil.copy(short_clip, tmp_path / name)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_bytes(b"in the way")
    ended = reel.compress("-o", "out", "films", cwd=tmp_path)
    assert ended.code == 5
    assert [receipt["status"] for receipt in ended.receipts if receipt["input"].endswith("x.mp4")] == ["failed"]
    assert [receipt["status"] for receipt in ended.receipts if receipt["input"].endswith("y.mp4")] == ["encoded"]
    assert reel.is_whole(tmp_path / "out" / "b" / "y.mp4")


@pytest.mark.parametrize("options", [(), ("--overwrite",)], ids=["plain", "overwrite"])
def test_a_target_that_is_a_folder_is_refused(tmp_path: Path, short_clip: Path, options: tuple[str, ...]):
    (tmp_path / "out" / "short.mp4").mkdir(parents=True)
    ended = reel.compress(*options, "-o", "out", short_clip, cwd=tmp_path)
    assert (ended.code, ended.receipt["status"]) == (5, "failed")
    assert (tmp_path / "out" / "short.mp4").is_dir()
    assert reel.names_in(tmp_path / "out") == ["short.mp4"]


@pytest.mark.parametrize("options", [(), ("--overwrite",)], ids=["plain", "overwrite"])
@pytest.mark.parametrize("way", ["same name", "symbolic link", "hard link", "link as input", "detour"])
def test_a_target_that_is_the_source_is_refused(tmp_path: Path, short_clip: Path, way: str, options: tuple[str, ...]):
    source, target, named = tmp_path / "in.mp4", tmp_path / "out.mp4", "in.mp4"
    shutil.copy(short_clip, source)
    if way == "symbolic link":
        target.symlink_to("in.mp4")
    elif way == "hard link":
        target.hardlink_to(source)
    elif way == "link as input":
        (tmp_path / "link.mp4").symlink_to("in.mp4")
        named, target = "link.mp4", source
    elif way == "detour":
        (tmp_path / "sub").mkdir()
        target = tmp_path / "sub" / ".." / "in.mp4"
    else:
        target = source
    before, names = reel.identity(source), reel.names_in(tmp_path)
    ended = reel.compress(*options, "-o", target, named, cwd=tmp_path)
    assert (ended.code, ended.receipt["status"]) == (5, "failed")
    assert "same file" in ended.receipt["error"]
    assert reel.identity(source) == before
    assert reel.names_in(tmp_path) == names


@pytest.mark.parametrize("kind", ["file", "dangling link", "pipe"])
def test_a_target_that_exists_is_left_alone(tmp_path: Path, short_clip: Path, kind: str):
    target = tmp_path / "out.mp4"
    if kind == "file":
        target.write_bytes(b"older")
    elif kind == "pipe":
        os.mkfifo(target)
    else:
        target.symlink_to("nowhere")
    before = target.lstat()
    ended = reel.compress("-o", target, short_clip, cwd=tmp_path)
    assert (ended.code, ended.receipt["status"]) == (5, "failed")
    assert "exists" in f"{ended.receipt['error']} {ended.receipt['evidence']}"
    after = target.lstat()
    assert (after.st_ino, after.st_mtime_ns, after.st_size) == (before.st_ino, before.st_mtime_ns, before.st_size)
    assert reel.names_in(tmp_path) == ["out.mp4"]


@pytest.mark.parametrize("options", [(), ("--overwrite",)], ids=["plain", "overwrite"])
def test_a_pipe_is_never_replaced_by_an_output(tmp_path: Path, short_clip: Path, options: tuple[str, ...]):
    os.mkfifo(tmp_path / "out.mp4")
    ended = reel.compress(*options, "-o", "out.mp4", short_clip, cwd=tmp_path)
    assert (ended.code, ended.receipt["status"]) == (5, "failed")
    assert "no regular file" in ended.receipt["error"]
    assert (tmp_path / "out.mp4").is_fifo()
    assert reel.names_in(tmp_path) == ["out.mp4"]


def test_a_link_that_is_overwritten_is_replaced_and_not_followed(tmp_path: Path, short_clip: Path):
    (tmp_path / "precious").write_bytes(b"kept")
    (tmp_path / "out.mp4").symlink_to("precious")
    ended = reel.compress("--overwrite", "-o", "out.mp4", short_clip, cwd=tmp_path)
    assert (ended.code, ended.receipt["status"]) == (0, "encoded")
    assert (tmp_path / "precious").read_bytes() == b"kept"
    assert not (tmp_path / "out.mp4").is_symlink()
    assert reel.is_whole(tmp_path / "out.mp4")


def test_a_target_that_comes_into_being_meanwhile_is_left_alone(tmp_path: Path, long_clip: Path):
    with reel.running("--preset", "medium", "-o", "out.mp4", long_clip, cwd=tmp_path) as run:
        run.until("attempt_started")
        (tmp_path / "out.mp4").write_bytes(b"somebody else's")
        ended = run.end()
    assert (ended.code, ended.receipt["status"]) == (5, "failed")
    assert (tmp_path / "out.mp4").read_bytes() == b"somebody else's"
    assert reel.names_in(tmp_path) == ["out.mp4"]


def test_names_of_255_bytes_are_written_and_longer_ones_refused(tmp_path: Path, short_clip: Path):
    longest = "é" * 125 + "x.mp4"
    assert len(os.fsencode(longest)) == 255
    ended = reel.compress("-o", longest, short_clip, cwd=tmp_path)
    assert (ended.code, ended.receipt["status"]) == (0, "encoded")
    assert reel.names_in(tmp_path) == [longest]
    too_long = reel.compress("-o", f"x{longest}", short_clip, cwd=tmp_path)
    assert (too_long.code, too_long.receipt["status"]) == (5, "failed")
    assert reel.names_in(tmp_path) == [longest]


def test_a_source_whose_default_target_is_too_long_is_refused(tmp_path: Path, short_clip: Path):
    source = tmp_path / ("n" * 250 + ".mp4")
    shutil.copy(short_clip, source)
    ended = reel.compress(source.name, cwd=tmp_path)
    assert (ended.code, ended.receipt["status"]) == (5, "failed")
    assert "too long" in ended.receipt["evidence"].lower()
    assert reel.names_in(tmp_path) == [source.name]


# Sources -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["grows", "is replaced", "is touched", "is taken away"])
def test_a_source_that_changes_while_it_is_read_is_not_delivered(tmp_path: Path, long_clip: Path, change: str):
    source = tmp_path / "in.mp4"
    shutil.copy(long_clip, source)
    with reel.running("--preset", "fast", "--max-size", "480x270", "-o", "out.mp4", "in.mp4", cwd=tmp_path) as run:
        run.until("attempt_started")
        if change == "grows":
            with source.open("ab") as file:
                file.write(bytes(1000))
        elif change == "is replaced":
            other = tmp_path / "other.mp4"
            shutil.copy(long_clip, other)
            stat = source.stat()
            os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
            other.replace(source)
        elif change == "is touched":
            source.touch()
        else:
            time.sleep(0.3)  # FFmpeg has opened it
            source.unlink()
        ended = run.end()
    assert (ended.code, ended.receipt["status"]) == (3, "rejected")
    assert ended.receipt["output"] is None
    assert reel.names_in(tmp_path) == ([] if change == "is taken away" else ["in.mp4"])


def test_a_recording_that_goes_on_is_not_called_small_enough(tmp_path: Path):
    """FFmpeg reads what came since it was planned, and the output outgrows what the source was then."""
    source, late = tmp_path / "in.ts", tmp_path / "late.ts"
    clips.plain(source, "-crf", "40", seconds=2.0)
    clips.plain(late, "-crf", "5", seconds=20.0)
    with reel.running("--preset", "ultrafast", "--crf", "5", "-o", "out.mp4", "in.ts", cwd=tmp_path) as run:
        run.until("planned")
        with source.open("ab") as file:
            file.write(late.read_bytes())
        ended = run.end()
    assert (ended.code, ended.receipt["status"]) == (3, "rejected")
    assert "changed" in str(ended.receipt)


def test_a_recording_that_goes_on_is_not_encoded_twice(tmp_path: Path):
    """What is made of it is not what was planned, with whatever is tried next."""
    source, late = tmp_path / "in.ts", tmp_path / "late.ts"
    clips.with_sound(source, "-crf", "30")
    clips.with_sound(late, "-crf", "30")
    with reel.running(*FAST, "--always-encode", "-o", "out.mp4", "in.ts", cwd=tmp_path) as run:
        run.until("planned")
        with source.open("ab") as file:
            file.write(late.read_bytes() * 3)
        ended = run.end()
    assert (ended.code, ended.receipt["status"]) == (3, "rejected")
    assert "changed" in ended.receipt["error"]
    assert [attempt["failure"] for attempt in ended.receipt["attempts"]] == ["input_unreadable"]


@pytest.mark.parametrize("mode", [0o400, 0o644, 0o777], ids=oct)
def test_a_source_is_as_it_was_after_a_success(tmp_path: Path, short_clip: Path, build: str, mode: int):
    source = tmp_path / "in.mp4"
    shutil.copy(short_clip, source)
    os.utime(source, ns=(1_000_000_000_000_000_001, 1_000_000_000_000_000_001))
    source.chmod(mode)
    before = reel.identity(source)
    ended = reel.compress("-o", "out.mp4", "in.mp4", cwd=tmp_path, REELPRESS_FFMPEG=build)
    assert (ended.code, ended.receipt["status"]) == (0, "encoded")
    assert reel.identity(source) == before
    assert ended.receipt["source"]["sha256"] == before[0]
    assert ended.receipt["result"]["sha256"] == reel.identity(tmp_path / "out.mp4")[0]
