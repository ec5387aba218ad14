import contextlib
import errno
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from reelpress.errors import OutputError
from reelpress.run import partial
from reelpress.run import parts as part_names
from reelpress.run.partial import PartialFile, free_bytes
from reelpress.settling import refuse_target


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def parts(folder: Path) -> list[str]:
    return [name for name in names_in(folder) if name.endswith(".reelpress-part")]


def test_publish_gives_the_file_its_name_and_leaves_nothing_else(tmp_path: Path):
    target = tmp_path / "out.mp4"
    with PartialFile.open(target, overwrite=False) as part:
        assert part.path.parent == tmp_path
        assert part.path.name.startswith(".out.mp4.")
        assert not target.exists()
        part.path.write_bytes(b"film")
        assert part.publish() == target
    assert target.read_bytes() == b"film"
    assert names_in(tmp_path) == ["out.mp4"]


def test_leaving_without_publishing_leaves_nothing(tmp_path: Path):
    with PartialFile.open(tmp_path / "out.mp4", overwrite=False) as part:
        part.path.write_bytes(b"film")
    assert names_in(tmp_path) == []


def test_an_exception_leaves_nothing(tmp_path: Path):
    with pytest.raises(KeyboardInterrupt), PartialFile.open(tmp_path / "out.mp4", overwrite=False):
        raise KeyboardInterrupt
    assert names_in(tmp_path) == []


def test_the_mode_follows_the_umask(tmp_path: Path):
    before = os.umask(0o027)
    try:
        with PartialFile.open(tmp_path / "out.mp4", overwrite=False) as part:
            part.publish()
    finally:
        os.umask(before)
    assert (tmp_path / "out.mp4").stat().st_mode & 0o777 == 0o640


def test_overwrite_replaces_the_target_only_at_the_end(tmp_path: Path):
    target = tmp_path / "out.mp4"
    target.write_bytes(b"old")
    with PartialFile.open(target, overwrite=True) as part:
        part.path.write_bytes(b"new")
        assert target.read_bytes() == b"old"
        part.publish()
    assert target.read_bytes() == b"new"


def test_an_existing_target_is_refused_before_the_work(tmp_path: Path):
    target = tmp_path / "out.mp4"
    target.write_bytes(b"old")
    with pytest.raises(OutputError) as caught:
        PartialFile.open(target, overwrite=False)
    assert caught.value.evidence == os.strerror(errno.EEXIST)
    assert "overwriting" in caught.value.hint
    assert names_in(tmp_path) == ["out.mp4"]


def test_a_dangling_link_is_an_existing_target(tmp_path: Path):
    (tmp_path / "out.mp4").symlink_to("nowhere")
    with pytest.raises(OutputError):
        PartialFile.open(tmp_path / "out.mp4", overwrite=False)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "link to a device"])
def test_what_is_no_regular_file_is_never_replaced(tmp_path: Path, kind: str, overwrite: bool):
    target = tmp_path / "out.mp4"
    if kind == "pipe":
        os.mkfifo(target)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(target))
    elif kind == "device":
        try:
            os.mknod(target, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        except PermissionError:
            pytest.skip("only root makes devices")
    else:
        target.symlink_to("/dev/null")
    before = target.lstat()
    with pytest.raises(OutputError, match="exists and is no regular file"):
        PartialFile.open(target, overwrite=overwrite)
    with pytest.raises(OutputError, match="exists and is no regular file"):
        refuse_target(target, None, overwrite=overwrite)
    assert target.lstat().st_ino == before.st_ino
    assert names_in(tmp_path) == ["out.mp4"]


LINKS = ["links", "renameat2", "reservation"]


def without(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    def no_links(*_args: object, **_options: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    if way != "links":
        monkeypatch.setattr(os, "link", no_links)
    if way == "reservation":
        monkeypatch.setattr(partial, "_rename_noreplace", lambda *_: errno.EINVAL)


@pytest.mark.parametrize("way", LINKS)
def test_a_target_that_came_meanwhile_is_never_clobbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str):
    without(monkeypatch, way)
    target = tmp_path / "out.mp4"
    with PartialFile.open(target, overwrite=False) as part:
        part.path.write_bytes(b"mine")
        target.write_bytes(b"theirs")
        with pytest.raises(OutputError) as caught:
            part.publish()
    assert caught.value.evidence == os.strerror(errno.EEXIST)
    assert target.read_bytes() == b"theirs"
    assert names_in(tmp_path) == ["out.mp4"]


@pytest.mark.parametrize("way", LINKS)
def test_every_way_to_publish_delivers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str):
    without(monkeypatch, way)
    with PartialFile.open(tmp_path / "out.mp4", overwrite=False) as part:
        part.path.write_bytes(b"film")
        part.publish()
    assert (tmp_path / "out.mp4").read_bytes() == b"film"
    assert names_in(tmp_path) == ["out.mp4"]


def test_of_many_who_publish_the_same_name_one_wins_and_the_file_is_whole(tmp_path: Path):
    target, results = tmp_path / "out.mp4", []

    def work(number: int) -> None:
        with PartialFile.open(target, overwrite=False) as part:
            part.path.write_bytes(bytes([number]) * 100_000)
            ready.wait(10)
            with contextlib.suppress(OutputError):
                part.publish()
                results.append(number)

    ready = threading.Barrier(8)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 1
    assert target.read_bytes() == bytes(results) * 100_000
    assert parts(tmp_path) == []


HOLD = """
import sys, time
from pathlib import Path
from reelpress.run.partial import PartialFile
part = PartialFile.open(Path(sys.argv[1]), overwrite=True)
print(part.path, flush=True)
time.sleep(60)
"""


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_writes_is_not(tmp_path: Path):
    target, other = tmp_path / "out.mp4", tmp_path / "out.mp4.mkv"
    held: list[subprocess.Popen[str]] = []
    try:
        held += [
            subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE, text=True)
            for path in (target, target, other)
        ]
        names = [Path(process.stdout.readline().strip()) for process in held]
        assert all(name.exists() for name in names)
        for process in (held[0], held[2]):
            process.send_signal(signal.SIGKILL)
            process.wait(10)
        assert names[0].exists()
        with PartialFile.open(target, overwrite=True) as part:
            assert not names[0].exists()  # dead, the same target
            assert names[1].exists()  # alive
            assert names[2].exists()  # dead, but another target's
            assert part.path.exists()
    finally:
        for process in held:
            process.kill()
            process.wait()
            process.stdout.close()


def test_only_files_that_look_exactly_like_ours_are_swept(tmp_path: Path):
    kept = [".out.mp4.notes.reelpress-part", ".out.mp4.0123456789ab.reelpress-part.bak", ".out.mp4.0123456789ab"]
    for name in kept:
        (tmp_path / name).write_bytes(b"precious")
    (tmp_path / ".out.mp4.0123456789ab.reelpress-part").mkdir()
    (tmp_path / ".out.mp4.0123456789ac.reelpress-part").symlink_to(kept[0])
    swept = tmp_path / ".out.mp4.0123456789ad.reelpress-part"
    swept.write_bytes(b"")
    with PartialFile.open(tmp_path / "out.mp4", overwrite=False):
        assert not swept.exists()
    assert len(names_in(tmp_path)) == 5


def test_a_child_does_not_inherit_the_lock(tmp_path: Path):
    with PartialFile.open(tmp_path / "out.mp4", overwrite=True) as part:
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
        left = tmp_path / ".out.mp4.0123456789ab.reelpress-part"
        os.link(part.path, left)  # the same file under the name of another: swept once the lock is free
    try:
        assert left.exists()
        with PartialFile.open(tmp_path / "out.mp4", overwrite=True):
            assert not left.exists()
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("name", ["x" * 251 + ".mp4", "ж" * 120 + ".mp4", "🎬" * 62 + ".mp4", "it's a \n film.mp4"])
def test_long_and_strange_names(tmp_path: Path, name: str):
    assert len(os.fsencode(name)) <= 255
    target = tmp_path / name
    with PartialFile.open(target, overwrite=False) as part:
        assert len(os.fsencode(part.path.name)) <= 255
        part.path.name.encode()  # no half characters
        part.path.write_bytes(b"film")
        part.publish()
    assert names_in(tmp_path) == [name]


def test_a_name_that_is_no_text(tmp_path: Path):
    target = tmp_path / os.fsdecode(b"\xff\xfe" * 120 + b".mp4")
    with PartialFile.open(target, overwrite=False) as part:
        part.publish()
    assert names_in(tmp_path) == [target.name]


def test_long_names_that_begin_alike_do_not_sweep_each_other(tmp_path: Path):
    first, second = (tmp_path / ("x" * 240 + end) for end in ("1.mp4", "2.mp4"))
    with PartialFile.open(first, overwrite=True) as part:
        name = part.path.name
    left = tmp_path / name
    left.write_bytes(b"")
    with PartialFile.open(second, overwrite=True):
        assert left.exists()
    with PartialFile.open(first, overwrite=True):
        assert not left.exists()


def test_a_name_too_long_is_refused_before_the_work(tmp_path: Path):
    with pytest.raises(OutputError) as caught:
        PartialFile.open(tmp_path / ("x" * 256), overwrite=False)
    assert caught.value.evidence == os.strerror(errno.ENAMETOOLONG)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("absent/out.mp4", errno.ENOENT),
        ("file/out.mp4", errno.ENOTDIR),
        ("folder", errno.EISDIR),
        ("..", errno.EISDIR),
    ],
)
def test_targets_that_cannot_be_say_why_and_what_to_do(tmp_path: Path, name: str, number: int):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError) as caught:
        PartialFile.open(tmp_path / name, overwrite=True)
    assert caught.value.evidence == os.strerror(number)
    assert caught.value.hint
    assert caught.value.exit_code == 5


def test_a_nul_in_the_name_is_an_output_error(tmp_path: Path):
    with pytest.raises(OutputError):
        PartialFile.open(tmp_path / "a\0b", overwrite=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_closed_folder_is_an_output_error(tmp_path: Path):
    script = (
        "import os, sys; from pathlib import Path; from reelpress.run.partial import PartialFile;"
        "from reelpress.errors import OutputError;"
        "os.setuid(65534)\n"
        "try: PartialFile.open(Path(sys.argv[1]), overwrite=True)\n"
        "except OutputError as error: print(error.evidence)"
    )
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is closed to others altogether
        Path(folder).chmod(0o755)
        command = [sys.executable, "-c", script, f"{folder}/out.mp4"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == os.strerror(errno.EACCES)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_failure_to_make_it_durable_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int):
    def fail(fd: int) -> None:
        raise OSError(number, os.strerror(number))

    with PartialFile.open(tmp_path / "out.mp4", overwrite=False) as part:
        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(OutputError) as caught:
            part.publish()
    assert caught.value.evidence == os.strerror(number)
    assert caught.value.hint
    assert names_in(tmp_path) == []


def test_a_partial_file_that_vanished_is_an_output_error(tmp_path: Path):
    with PartialFile.open(tmp_path / "out.mp4", overwrite=False) as part:
        part.path.unlink()
        with pytest.raises(OutputError):
            part.publish()
    assert names_in(tmp_path) == []


def test_a_file_system_without_locks_still_delivers_and_sweeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def no_locks(fd: int, operation: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "no locks here")

    left = tmp_path / ".out.mp4.0123456789ab.reelpress-part"
    left.write_bytes(b"")
    monkeypatch.setattr(part_names.fcntl, "flock", no_locks)
    with PartialFile.open(tmp_path / "out.mp4", overwrite=False) as part:
        part.publish()
    assert (tmp_path / "out.mp4").exists()
    assert left.exists()


def test_a_file_swept_between_its_creation_and_its_lock_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    lock, swept = part_names._lock, []

    def swept_first(fd: int, *, wait: bool) -> bool | None:
        if wait and not swept:
            swept.append(parts(tmp_path)[0])
            (tmp_path / swept[0]).unlink()
        return lock(fd, wait=wait)

    monkeypatch.setattr(part_names, "_lock", swept_first)
    with PartialFile.open(tmp_path / "out.mp4", overwrite=False) as part:
        assert swept
        assert part.path.name != swept[0]
        assert part.path.exists()


def test_ffmpeg_keeps_the_file_it_overwrites(tmp_path: Path):
    ffmpeg = shutil.which("ffmpeg") or pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
    with PartialFile.open(tmp_path / "out.mp4", overwrite=False) as part:
        before = part.path.stat().st_ino
        source = ["-f", "lavfi", "-i", "color=s=32x32:d=0.1", "-movflags", "+faststart", "-f", "mp4"]
        subprocess.run([ffmpeg, "-nostdin", "-v", "error", *source, "-y", f"file:{part.path}"], check=True)
        assert part.path.stat().st_ino == before
        with PartialFile.open(tmp_path / "out.mp4", overwrite=False):
            assert part.path.exists()  # still locked: not swept
        part.publish()
    assert (tmp_path / "out.mp4").stat().st_size > 0


def test_free_bytes_is_what_the_system_says(tmp_path: Path):
    free = free_bytes(tmp_path)
    assert 0 < free <= shutil.disk_usage(tmp_path).total
    with pytest.raises(OutputError):
        free_bytes(tmp_path / "absent")
