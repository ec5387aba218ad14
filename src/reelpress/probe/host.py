"""Facts about this machine: FFmpeg builds with what they contain, cores, memory, and why there is no GPU.

What a build contains is remembered by path, size and modification time, so that a job does not ask twice.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from reelpress.errors import UsageError
from reelpress.facts.host import EncoderFacts, FfmpegFacts, HostFacts
from reelpress.facts.values import from_json, to_json
from reelpress.probe.calibration import read_calibration
from reelpress.probe.nvml import NO_DEVICE, device_present
from reelpress.run.host_state import host_folder
from reelpress.run.process import Limits, run

_ASK = Limits(wall_s=20, cpu_s=20)
_LIST_LINE = re.compile(r"^ [A-Z.|]{2,6} +(\S+) +")
# libavcodec's major version is FFmpeg's plus 54 since FFmpeg 4 (58), whatever a packager calls the build.
_AVCODEC = re.compile(r"^libavcodec\s+(\d+)\.", re.MULTILINE)
_AVCODEC_OFFSET = 54
_CACHE_FORMAT = "1"
_MEMBERSHIP, _GROUPS, _MEMORY = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"), Path("/proc/meminfo")


def probe_host(*, ffmpeg: str | None = None, cache_dir: Path | None = None) -> HostFacts:
    """Return this machine's facts; ``ffmpeg`` is a binary named in the settings.

    Raises :class:`UsageError` when that binary does not run. Other candidates that do not run are left out.
    """
    builds: dict[str, FfmpegFacts] = {}
    for path, origin in _candidates(ffmpeg):
        real = str(path.resolve())
        if real in builds:
            continue
        facts = _ffmpeg_facts(path, origin, cache_dir)
        if facts is not None:
            builds[real] = facts
        elif origin == "settings":
            raise UsageError(
                f"REELPRESS_FFMPEG names {ffmpeg!r}, which does not run as FFmpeg.", hint="Give a full path."
            )
    # a build named in the settings is wanted; among the others the newest is the best for the CPU
    ordered = sorted(builds.values(), key=lambda f: (f.origin == "settings", f.major), reverse=True)
    return HostFacts(
        ffmpegs=tuple(ordered), gpus=(), cores=cores(), memory_mb=_memory_mb(), gpu_note=_gpu_note(),
        calibration=read_calibration(cache_dir or default_cache_dir()),
    )  # fmt: skip


def _candidates(named: str | None) -> list[tuple[Path, str]]:
    found: list[tuple[Path, str]] = []
    if named is not None:
        where = shutil.which(named)
        if where is None:
            raise UsageError(f"REELPRESS_FFMPEG names {named!r}, which is not there.", hint="Give a full path.")
        found.append((Path(where), "settings"))
    with contextlib.suppress(ImportError, RuntimeError):
        found.append((_bundled(), "bundled"))
    on_path = shutil.which("ffmpeg")
    if on_path is not None:
        found.append((Path(on_path), "path"))
    return found


def _bundled() -> Path:
    """Return the FFmpeg that came with imageio-ffmpeg. Raises ``ImportError`` or ``RuntimeError`` without one.

    Its own way of finding it is to run it, which with the import takes as long as all else that is asked here.
    """
    spec = importlib.util.find_spec("imageio_ffmpeg")
    if spec is not None and "IMAGEIO_FFMPEG_EXE" not in os.environ:
        for folder in spec.submodule_search_locations or ():
            for path in sorted(Path(folder, "binaries").glob("ffmpeg-*")):
                if os.access(path, os.X_OK):
                    return path
    import imageio_ffmpeg

    return Path(imageio_ffmpeg.get_ffmpeg_exe())


def _ffmpeg_facts(path: Path, origin: str, cache_dir: Path | None) -> FfmpegFacts | None:
    try:
        stat = path.resolve().stat()
    except OSError:
        return None
    key = f"{_CACHE_FORMAT}|{path}|{path.resolve()}|{origin}|{stat.st_size}|{stat.st_mtime_ns}"
    folder = cache_dir or default_cache_dir()
    file = folder / f"ffmpeg-{hashlib.sha256(key.encode(errors='surrogateescape')).hexdigest()[:16]}.json"
    with contextlib.suppress(OSError, msgspec.DecodeError):
        remembered = from_json(file.read_bytes(), FfmpegFacts)
        if remembered.path == str(path):
            return remembered
    facts = ask_ffmpeg(path, origin)
    if facts is not None:
        remember(file, facts)
    return facts


def remember(file: Path, value: object) -> None:
    """Write a cache file whole or not at all, for this user alone; a folder that cannot be written only costs time."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=".remembered-")
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(to_json(value))
            Path(name).replace(file)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise


def default_cache_dir() -> Path:
    """Return the folder for remembered facts, after the XDG base directory specification.

    A user without a home, as a container may have one, has a folder until the machine starts again. Raises as
    :func:`reelpress.run.host_state.host_folder` then.
    """
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "reelpress"
    try:
        return Path.home() / ".cache" / "reelpress"
    except RuntimeError:
        return host_folder() / "cache"


def ask_ffmpeg(path: Path, origin: str) -> FfmpegFacts | None:
    """Ask one binary what it is and contains; ``None`` when it does not answer like FFmpeg."""
    answers = []
    for question in ("-version", "-encoders", "-filters"):
        done = run([str(path), "-hide_banner", "-nostdin", question], limits=_ASK)
        if done.returncode != 0:
            return None
        answers.append(done.stdout.decode(errors="replace"))
    version, encoders, filters = answers
    codec = _AVCODEC.search(version)
    if not version.startswith("ffmpeg version ") or codec is None:
        return None
    return FfmpegFacts(
        path=str(path), origin=origin, version=version.split()[2], major=int(codec[1]) - _AVCODEC_OFFSET,
        encoders=tuple(EncoderFacts(name=name, opens=None) for name in _listed(encoders)),
        filters=frozenset(_listed(filters)),
    )  # fmt: skip


def _listed(text: str) -> list[str]:
    names = (match[1] for line in text.splitlines() if (match := _LIST_LINE.match(line)))
    return [name for name in names if name != "="]


def cores() -> int:
    """Return how many cores this process may use: affinity and quotas of control groups, at least 1."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    for group, is_old in _groups_of("cpu"):
        with contextlib.suppress(OSError, ValueError):
            if is_old:
                quota = (group / "cpu.cfs_quota_us").read_text()
                period = (group / "cpu.cfs_period_us").read_text()
            else:
                quota, _, period = (group / "cpu.max").read_text().partition(" ")
            if int(quota) > 0:  # "max" and -1 are no quota
                usable = min(usable, round(int(quota) / int(period)))
    return max(1, usable)


def _memory_mb() -> int | None:
    sizes = []
    for group, is_old in _groups_of("memory"):
        with contextlib.suppress(OSError, ValueError):
            sizes.append(int((group / ("memory.limit_in_bytes" if is_old else "memory.max")).read_text()) // 2**20)
    with contextlib.suppress(OSError, ValueError, IndexError):
        sizes.append(int(_MEMORY.read_text().split()[1]) // 1024)
    return min(sizes, default=None)


def _groups_of(controller: str) -> Iterator[tuple[Path, bool]]:
    """Yield the groups that may bound this process, from its own up, and whether they are of the older kind.

    A service has a group of its own; inside a container the path of ours may not be there, and its root is ours.
    """
    with contextlib.suppress(OSError):
        for line in _MEMBERSHIP.read_text(errors="replace").splitlines():
            number, _, rest = line.partition(":")
            controllers, _, path = rest.partition(":")
            is_new = number == "0" and not controllers
            if is_new or controller in controllers.split(","):
                top = _GROUPS if is_new else _GROUPS / controller
                own = top / path.lstrip("/")
                yield from ((group, not is_new) for group in (own, *own.parents) if group.is_relative_to(top))


def _gpu_note() -> str | None:
    """Return why no GPU can be offered, in one line, or ``None`` when an NVIDIA device may be present."""
    return None if device_present() else NO_DEVICE
