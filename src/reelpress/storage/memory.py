"""Whether a folder is in memory, and how much memory is left to this process's control group."""

from __future__ import annotations

import os
import re
from pathlib import Path

from reelpress.facts.values import Value

_IN_MEMORY = {"tmpfs", "ramfs", "rootfs"}
# gVisor, in which Cloud Run keeps containers, writes to memory whatever it calls the file system.
_GVISOR_ROOTS = {"9p", "overlay", "gofer", "none"}
# A control group without a limit has one near 2**63 (v1), rounded to pages.
_NO_LIMIT = 2**60


class Machine(Value, frozen=True, kw_only=True):
    """Where the kernel says what it has; other places in tests. ``cloud_run`` is whether this is Cloud Run."""

    mounts: str = "/proc/mounts"
    meminfo: str = "/proc/meminfo"
    membership: str = "/proc/self/cgroup"
    cgroup_root: str = "/sys/fs/cgroup"
    cloud_run: bool | None = None


def memory_left(folder: Path, machine: Machine = Machine()) -> tuple[bool, int | None]:  # noqa: B008 - a frozen value
    """Tell whether a folder is in memory, and if so how many bytes of memory are left for its files.

    That is the least of what every control group above this process leaves and what the machine has available;
    ``None`` where nothing can be read, and for folders on disks.
    """
    if not is_in_memory(folder, machine):
        return False, None
    bounds = [*_group_bounds(machine), *_available(machine)]
    return True, max(min(bounds), 0) if bounds else None


def is_in_memory(folder: Path, machine: Machine) -> bool:
    """Tell whether what is written to a folder takes memory: by the mount that it is on, or by being on Cloud Run."""
    kind, point = _mount_of(folder.resolve(), machine)
    if kind in _IN_MEMORY:
        return True
    # A volume that was mounted on purpose (a bucket, NFS) is no memory, there neither.
    return _is_cloud_run(machine) and point == "/" and kind in _GVISOR_ROOTS


def _is_cloud_run(machine: Machine) -> bool:
    if machine.cloud_run is not None:
        return machine.cloud_run
    return bool(os.environ.get("K_SERVICE") or os.environ.get("CLOUD_RUN_JOB"))


def _mount_of(folder: Path, machine: Machine) -> tuple[str, str]:
    """Return kind and place of the file system a folder is on: the deepest mount, of equals the last."""
    best = ("", "")
    for line in _read(machine.mounts).splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal.group(1), 8)), fields[1])
        if folder.is_relative_to(point) and len(point) >= len(best[1]):
            best = (fields[2], point)
    return best


def _group_bounds(machine: Machine) -> list[int]:
    root = Path(machine.cgroup_root)
    bounds: list[int] = []
    for line in _read(machine.membership).splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            bounds += _bounds_up(root, path, "memory.max", "memory.current", "file")
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_cache")
            bounds += _bounds_up(root / "memory", path, *names)
    return bounds


def _bounds_up(root: Path, path: str, limit_name: str, used_name: str, cache_name: str) -> list[int]:
    """Return what each group from ours up to the root leaves.

    Inside a container the path of our group may not be visible; then the root that is, is our group.
    """
    bounds: list[int] = []
    group = root / path.lstrip("/")
    while True:
        limit, used = _number(group / limit_name), _number(group / used_name)
        if limit is not None and limit < _NO_LIMIT and used is not None:
            bounds.append(limit - used + _droppable(group / "memory.stat", cache_name))
        if group == root or root not in group.parents:
            return bounds
        group = group.parent


def _droppable(stat: Path, cache_name: str) -> int:
    """Return how much of a group's use is the kernel's to drop: copies of what is on disks.

    Files in memory count as cache as well, and cannot be dropped.
    """
    shared = "total_shmem" if cache_name.startswith("total_") else "shmem"
    values = dict(line.split()[:2] for line in _read(str(stat)).splitlines() if len(line.split()) >= 2)
    return max(int(values.get(cache_name, 0)) - int(values.get(shared, 0)), 0)


def _available(machine: Machine) -> list[int]:
    found = re.search(r"^MemAvailable:\s+(\d+) kB", _read(machine.meminfo), re.MULTILINE)
    return [int(found.group(1)) * 1024] if found else []


def _number(path: Path) -> int | None:
    text = _read(str(path)).strip()
    return int(text) if text.isdigit() else None


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
