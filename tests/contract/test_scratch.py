"""Scratch space: what a job may take is known before it starts, also where the disk is memory."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from reelpress.errors import ExitCode, StorageError
from reelpress.storage import scratch as scratching
from reelpress.storage.memory import Machine, is_in_memory, memory_left
from reelpress.storage.scratch import Need, Scratch

MB = 1_000_000


class Host:
    """A machine written down: mounts, control groups, memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("mounts", "/dev/sda / ext4 rw 0 0\n")
        self.write("meminfo", "MemTotal: 64000000 kB\nMemAvailable: 50000000 kB\n")
        self.write("self", "0::/\n")

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def machine(self, *, cloud_run: bool = False) -> Machine:
        return Machine(
            mounts=str(self.folder / "mounts"), meminfo=str(self.folder / "meminfo"),
            membership=str(self.folder / "self"), cgroup_root=str(self.folder / "cgroup"), cloud_run=cloud_run,
        )  # fmt: skip


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "host")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def disk(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    usage = shutil.disk_usage("/")._replace(free=free)
    monkeypatch.setattr(scratching.shutil, "disk_usage", lambda _folder: usage)


def need(megabytes: int) -> Need:
    return Need(input_bytes=megabytes * MB // 2, output_bytes=megabytes * MB - megabytes * MB // 2)


def refused(scratch: Scratch, megabytes: int) -> StorageError:
    with pytest.raises(StorageError) as caught, scratch.reserve(need(megabytes)):
        pass
    assert (caught.value.reason, caught.value.exit_code) == ("full", ExitCode.OUTPUT_FAILED)
    return caught.value


def test_input_output_and_reserve_must_fit(work: Path, host: Host, monkeypatch: pytest.MonkeyPatch):
    disk(monkeypatch, 1000 * MB)
    scratch = Scratch(work, reserve_bytes=100 * MB, machine=host.machine())
    with scratch.reserve(need(900)):
        pass
    error = refused(scratch, 901)
    assert not error.retryable
    assert "1001000000 bytes needed" in error.evidence


def test_promises_are_shared_and_given_back(work: Path, host: Host, monkeypatch: pytest.MonkeyPatch):
    disk(monkeypatch, 1000 * MB)
    scratch = Scratch(work, reserve_bytes=0, machine=host.machine())
    with scratch.reserve(need(600)):
        assert refused(scratch, 401).retryable
        with scratch.reserve(need(400)):
            assert scratch.room().promised_bytes == 1000 * MB
    with pytest.raises(ZeroDivisionError), scratch.reserve(need(900)):
        raise ZeroDivisionError
    with scratch.reserve(need(1000)):
        assert not refused(scratch, 1001).retryable
    assert scratch.room().promised_bytes == 0


def test_what_a_job_has_written_is_not_counted_twice(work: Path, host: Host, monkeypatch: pytest.MonkeyPatch):
    scratch = Scratch(work, reserve_bytes=0, machine=host.machine())
    (work / "j1").mkdir()
    (work / "j1" / "in.mp4").write_bytes(b"x" * 4 * MB)
    written = (work / "j1" / "in.mp4").stat().st_blocks * 512
    disk(monkeypatch, 20 * MB - written)
    with scratch.reserve(need(10), job_folder=work / "j1"):
        assert scratch.room().promised_bytes == 10 * MB - written
        with scratch.reserve(need(10)):
            pass
        assert refused(scratch, 11).retryable


def test_an_input_that_is_here_already_leaves_its_output_promised(
    work: Path, host: Host, monkeypatch: pytest.MonkeyPatch
):
    scratch = Scratch(work, reserve_bytes=0, machine=host.machine())
    (work / "j1").mkdir()
    (work / "j1" / "in.mp4").write_bytes(b"x" * 4 * MB)
    disk(monkeypatch, 10 * MB)
    with scratch.reserve(Need(input_bytes=0, output_bytes=6 * MB), job_folder=work / "j1"):
        assert scratch.room().promised_bytes == 6 * MB
        assert refused(scratch, 5).retryable
        (work / "j1" / "out.mp4").write_bytes(b"x" * 2 * MB)
        written = (work / "j1" / "out.mp4").stat().st_blocks * 512
        assert scratch.room().promised_bytes == 6 * MB - written


def test_a_download_that_goes_on_needs_room_for_what_is_missing(
    work: Path, host: Host, monkeypatch: pytest.MonkeyPatch
):
    scratch = Scratch(work, reserve_bytes=0, machine=host.machine())
    (work / "j1").mkdir()
    (work / "j1" / "begun").write_bytes(b"x" * 8 * MB)
    written = (work / "j1" / "begun").stat().st_blocks * 512
    whole = Need(input_bytes=12 * MB, output_bytes=0)
    disk(monkeypatch, 12 * MB - written)
    with scratch.reserve(whole, job_folder=work / "j1"):
        assert scratch.room().promised_bytes == 12 * MB - written
    disk(monkeypatch, 12 * MB - written - 1)
    with pytest.raises(StorageError, match="scratch"), scratch.reserve(whole, job_folder=work / "j1"):
        pass


def test_a_folder_that_is_not_there_is_said_so(tmp_path: Path, host: Host):
    with pytest.raises(StorageError) as caught:
        Scratch(tmp_path / "nothing", machine=host.machine()).room()
    assert caught.value.reason == "missing"


@pytest.mark.parametrize("kind", ["tmpfs", "ramfs"])
def test_a_folder_in_memory_is_bounded_by_memory(work: Path, host: Host, monkeypatch: pytest.MonkeyPatch, kind: str):
    disk(monkeypatch, 10_000 * MB)
    host.write("mounts", f"/dev/sda / ext4 rw 0 0\n{kind} {work} {kind} rw 0 0\n")
    host.write("cgroup/memory.max", f"{2000 * MB}\n")
    host.write("cgroup/memory.current", f"{500 * MB}\n")
    scratch = Scratch(work, reserve_bytes=100 * MB, program_bytes=300 * MB, machine=host.machine())
    assert scratch.room().memory_bytes == 1500 * MB
    with scratch.reserve(need(500)):
        # 1500 less 500 promised; 100 in reserve and the programs of two jobs
        with scratch.reserve(need(300)):
            pass
        assert refused(scratch, 301).retryable
    assert "of the memory" in refused(scratch, 1101).evidence
    with scratch.reserve(need(1100)):
        pass


def test_a_disk_is_not_bounded_by_memory(work: Path, host: Host, monkeypatch: pytest.MonkeyPatch):
    disk(monkeypatch, 10_000 * MB)
    host.write("cgroup/memory.max", "1000\n")
    host.write("cgroup/memory.current", "0\n")
    scratch = Scratch(work, machine=host.machine())
    assert scratch.room().memory_bytes is None
    with scratch.reserve(need(5000)):
        pass


def test_the_deepest_mount_counts_and_of_equals_the_last(work: Path, host: Host):
    lines = ["tmpfs / tmpfs rw 0 0", f"/dev/sdb {work.parent} ext4 rw 0 0", f"/dev/sdc {work} xfs rw 0 0"]
    host.write("mounts", "\n".join(lines))
    assert not is_in_memory(work, host.machine())
    host.write("mounts", "\n".join([*lines, f"tmpfs {work} tmpfs rw 0 0"]))
    assert is_in_memory(work, host.machine())
    host.write("mounts", "\n".join([lines[0], f"/dev/sdb {work}er ext4 rw 0 0"]))
    assert is_in_memory(work, host.machine())


def test_names_of_mounts_are_unescaped(work: Path, host: Host):
    (work / "a b").mkdir()
    host.write("mounts", f"/dev/sda / ext4 rw 0 0\ntmpfs {work}/a\\040b tmpfs rw 0 0\n")
    assert is_in_memory(work / "a b", host.machine())


def test_a_link_is_followed_to_where_it_leads(work: Path, host: Host):
    (work / "memory").mkdir()
    (work / "link").symlink_to("memory")
    host.write("mounts", f"/dev/sda / ext4 rw 0 0\ntmpfs {work}/memory tmpfs rw 0 0\n")
    assert is_in_memory(work / "link", host.machine())


@pytest.mark.parametrize("kind", ["9p", "overlay", "none"])
def test_on_cloud_run_the_root_is_memory_and_mounted_volumes_are_not(work: Path, host: Host, kind: str):
    host.write("mounts", f"none / {kind} rw 0 0\n")
    assert is_in_memory(work, host.machine(cloud_run=True))
    assert not is_in_memory(work, host.machine())
    host.write("mounts", f"none / {kind} rw 0 0\nbucket {work} fuse.gcsfuse rw 0 0\n")
    assert not is_in_memory(work, host.machine(cloud_run=True))


def in_memory(host: Host) -> int | None:
    host.write("mounts", "tmpfs / tmpfs rw 0 0\n")
    found, left = memory_left(host.folder, host.machine())
    assert found
    return left


def test_the_tightest_group_above_counts(host: Host):
    host.write("self", "0::/a/b\n")
    for group, limit in (("", "max"), ("/a", "1000"), ("/a/b", "5000")):
        host.write(f"cgroup{group}/memory.max", limit)
        host.write(f"cgroup{group}/memory.current", "400")
    assert in_memory(host) == 600


def test_cache_of_disks_can_be_dropped_and_files_in_memory_cannot(host: Host):
    host.write("cgroup/memory.max", "1000")
    host.write("cgroup/memory.current", "900")
    host.write("cgroup/memory.stat", "anon 100\nfile 700\nshmem 300\n")
    assert in_memory(host) == 500


def test_groups_of_the_first_version(host: Host):
    host.write("self", "9:name=systemd:/\n4:memory:/box\n3:cpu,cpuacct:/box\n0::/\n")
    host.write("cgroup/memory/memory.limit_in_bytes", str(2**63 - 4096))
    host.write("cgroup/memory/memory.usage_in_bytes", "5000")
    host.write("cgroup/memory/box/memory.limit_in_bytes", "1000")
    host.write("cgroup/memory/box/memory.usage_in_bytes", "900")
    host.write("cgroup/memory/box/memory.stat", "cache 1\ntotal_cache 500\ntotal_shmem 100\n")
    assert in_memory(host) == 500


def test_the_path_of_our_group_may_not_be_visible(host: Host):
    host.write("self", "4:memory:/kubepods/pod1/x\n")
    host.write("cgroup/memory/memory.limit_in_bytes", "1000")
    host.write("cgroup/memory/memory.usage_in_bytes", "100")
    assert in_memory(host) == 900


def test_the_machine_itself_bounds_too(host: Host):
    host.write("cgroup/memory.max", "9000")
    host.write("cgroup/memory.current", "0")
    host.write("meminfo", "MemAvailable: 3 kB\n")
    assert in_memory(host) == 3072


def test_a_group_beyond_its_limit_leaves_nothing(host: Host):
    host.write("cgroup/memory.max", "900")
    host.write("cgroup/memory.current", "1000")
    assert in_memory(host) == 0


def test_where_nothing_can_be_read_nothing_is_claimed(host: Host):
    for name in ("meminfo", "self"):
        (host.folder / name).unlink()
    assert in_memory(host) is None


def test_this_machine_can_be_asked(work: Path):
    room = Scratch(work).room()
    assert room.disk_bytes > 0
    assert (room.memory_bytes is None) or room.in_memory
