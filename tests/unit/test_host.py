"""How much of a machine is ours: cores and memory within the groups that the kernel bounds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reelpress.probe import host
from reelpress.probe.host import cores, probe_host

GIB = 2**30


class Groups:
    """The files of a machine's control groups; 16 cores, 64 GiB."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("meminfo", "MemTotal:       67108864 kB\n")

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Groups:
    monkeypatch.setattr(host, "_MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(host, "_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(host, "_MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(16)), raising=False)
    return Groups(tmp_path)


def seen() -> tuple[int, int | None]:
    return cores(), probe_host().memory_mb


def test_without_bounds_the_whole_machine_is_ours(groups: Groups) -> None:
    assert seen() == (16, 64 * 1024)
    groups.write("membership", "0::/\n")
    groups.write("cgroup/cpu.max", "max 100000\n")
    groups.write("cgroup/memory.max", "max\n")
    assert seen() == (16, 64 * 1024)


def test_a_container_is_bounded_at_its_root(groups: Groups) -> None:
    groups.write("membership", "0::/\n")
    groups.write("cgroup/cpu.max", "250000 100000\n")
    groups.write("cgroup/memory.max", f"{4 * GIB}\n")
    assert seen() == (2, 4 * 1024)


def test_a_service_is_bounded_by_its_own_group_and_by_those_above(groups: Groups) -> None:
    groups.write("membership", "0::/system.slice/reelpress.service\n")
    groups.write("cgroup/system.slice/reelpress.service/cpu.max", "400000 100000\n")
    groups.write("cgroup/system.slice/reelpress.service/memory.max", "max\n")
    groups.write("cgroup/system.slice/cpu.max", "max 100000\n")
    groups.write("cgroup/system.slice/memory.max", f"{8 * GIB}\n")
    assert seen() == (4, 8 * 1024)


@pytest.mark.parametrize("visible", [True, False], ids=["as the host sees it", "as the container sees it"])
def test_older_kernels_bound_each_kind_for_itself(groups: Groups, visible: bool) -> None:
    groups.write("membership", "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n1:name=systemd:/\n0::/\n")
    below = "docker/abc/" if visible else ""
    groups.write(f"cgroup/cpu/{below}cpu.cfs_quota_us", "150000\n")
    groups.write(f"cgroup/cpu/{below}cpu.cfs_period_us", "50000\n")
    groups.write(f"cgroup/memory/{below}memory.limit_in_bytes", f"{2 * GIB}\n")
    assert seen() == (3, 2 * 1024)


def test_older_kernels_without_a_bound(groups: Groups) -> None:
    groups.write("membership", "4:memory:/\n2:cpu:/\n")
    groups.write("cgroup/cpu/cpu.cfs_quota_us", "-1\n")
    groups.write("cgroup/cpu/cpu.cfs_period_us", "100000\n")
    groups.write("cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    assert seen() == (16, 64 * 1024)


def test_half_a_core_is_one(groups: Groups) -> None:
    groups.write("membership", "0::/\n")
    groups.write("cgroup/cpu.max", "50000 100000\n")
    assert cores() == 1
