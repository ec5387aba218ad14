"""What was found to work on a GPU, remembered between runs of the program: one small JSON file for each GPU.

An answer holds for one FFmpeg (by the hash of its bytes), one driver version and one GPU. What works is kept until
one of them changes or :func:`forget` is called; what cannot work with them for a day; other failures, which a restart
may mend, for ten minutes; that a GPU was busy, not at all. A file that cannot be read or written only costs time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from reelpress.facts.failure import FailureKind
from reelpress.facts.host import GpuPath
from reelpress.facts.values import Value, from_json
from reelpress.probe.host import default_cache_dir, remember
from reelpress.probe.nvml import DriverFacts, driver_library
from reelpress.version import VERSION

T = TypeVar("T")

# Other releases try other options.
_FORMAT = f"1 {VERSION}"
_SETTLED_S = 24 * 3600.0
_UNSETTLED_S = 600.0
_DRIVER_S = 3600.0
_SETTLED = frozenset({
    FailureKind.DRIVER_TOO_OLD, FailureKind.GPU_UNSUPPORTED, FailureKind.GPU_FEATURE_MISSING,
    FailureKind.ENCODER_MISSING, FailureKind.FILTER_FAILED,
})  # fmt: skip
_CLOCK_SLACK_S = 60.0
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_KERNEL_MODULE = Path("/proc/driver/nvidia/version")
_VISIBLE = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")


class _Known(Value, frozen=True, kw_only=True):
    ffmpeg_hash: str
    stored_at: float
    path: GpuPath


class _GpuFile(Value, frozen=True, kw_only=True):
    format: str
    uuid: str
    driver_version: str
    known: tuple[_Known, ...] = ()
    sessions: int | None = None


class _DriverFile(Value, frozen=True, kw_only=True):
    format: str
    signature: str
    stored_at: float
    facts: DriverFacts


class GpuCache:
    """The remembered answers under one folder; ``None`` is the user's own cache folder."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or default_cache_dir()

    def driver(self) -> DriverFacts | None:
        """Return what the driver said of itself lately, if nothing about it has changed since."""
        signature = _driver_signature()
        found = _read(self._folder / "gpu-driver.json", _DriverFile)
        if found is None or signature is None or (found.format, found.signature) != (_FORMAT, signature):
            return None
        return found.facts if _is_fresh(found.stored_at, _DRIVER_S) else None

    def store_driver(self, facts: DriverFacts) -> None:
        """Remember the driver's answer, unless something was wrong with it or a change would not be noticed."""
        signature = _driver_signature()
        if signature is not None and facts.gpus and not facts.notes:
            file = _DriverFile(format=_FORMAT, signature=signature, stored_at=time.time(), facts=facts)
            remember(self._folder / "gpu-driver.json", file)

    def ffmpeg_hash(self, path: str) -> str | None:
        """Return the hash of a binary's bytes; it is read once, and again when its size or time changes."""
        try:
            real = Path(path).resolve()
            stat = real.stat()
            key = f"{real}|{stat.st_size}|{stat.st_mtime_ns}"
            file = self._folder / f"ffmpeg-hash-{_short(key)}.json"
            if (remembered := _read(file, str)) is not None:
                return remembered
            with real.open("rb") as binary:
                digest = hashlib.file_digest(binary, "sha256").hexdigest()
        except OSError:
            return None
        remember(file, digest)
        return digest

    def paths(self, uuid: str, driver_version: str, ffmpegs: Mapping[str, str]) -> tuple[GpuPath, ...]:
        """Return what is known of a GPU for FFmpeg builds, given by hash with the path each has now."""
        return tuple(
            msgspec.structs.replace(each.path, ffmpeg=ffmpegs[each.ffmpeg_hash])
            for each in self._gpu(uuid, driver_version).known
            if each.ffmpeg_hash in ffmpegs and _is_fresh(each.stored_at, _lifetime_s(each.path))
        )

    def sessions(self, uuid: str, driver_version: str) -> int | None:
        """Return how many encodes were once seen to run at once on a GPU that had nothing else to do."""
        return self._gpu(uuid, driver_version).sessions

    def store(
        self, uuid: str, driver_version: str, found: Mapping[str, list[GpuPath]], *, sessions: int | None = None
    ) -> None:
        """Add what was found, by the hash of the FFmpeg it was found with; what is not to be kept is left out."""
        now = time.time()
        new = [
            _Known(ffmpeg_hash=digest, stored_at=now, path=path)
            for digest, paths in found.items()
            for path in paths
            if _lifetime_s(path) > 0
        ]
        if not new and sessions is None:
            return
        file = self._gpu(uuid, driver_version)  # read again: another process may have added to it
        replaced = {_key(each) for each in new}
        kept = [each for each in file.known if _key(each) not in replaced]
        sessions = file.sessions if sessions is None else sessions
        remember(self._file(uuid), msgspec.structs.replace(file, known=(*kept, *new), sessions=sessions))

    def forget(self, uuid: str) -> None:
        """Drop what was found to work on a GPU, and what the driver said, which may have lost it.

        How many sessions it takes stays: that does not change with its health, and counting disturbs who encodes.
        """
        file = _read(self._file(uuid), _GpuFile)
        for path in (self._file(uuid), self._folder / "gpu-driver.json"):
            with contextlib.suppress(OSError):
                path.unlink()
        if file is not None and file.sessions is not None:
            remember(self._file(uuid), msgspec.structs.replace(file, known=()))

    def _file(self, uuid: str) -> Path:
        return self._folder / f"gpu-{_short(uuid)}.json"

    def _gpu(self, uuid: str, driver_version: str) -> _GpuFile:
        empty = _GpuFile(format=_FORMAT, uuid=uuid, driver_version=driver_version)
        found = _read(self._file(uuid), _GpuFile)
        wanted = (_FORMAT, uuid, driver_version)
        return found if found and (found.format, found.uuid, found.driver_version) == wanted else empty


def forget(cache_dir: Path | None, gpu_uuid: str) -> None:
    """Drop what is known of a GPU after it failed, so that it is tried anew before it is used again."""
    GpuCache(cache_dir).forget(gpu_uuid)


def _key(known: _Known) -> tuple[str, ...]:
    return known.ffmpeg_hash, known.path.kind, known.path.name, known.path.pix_fmt


def _lifetime_s(path: GpuPath) -> float:
    if path.state == "works":
        return float("inf")
    if path.state == "busy" or path.failure is FailureKind.CANCELLED:
        return 0.0
    return _SETTLED_S if path.failure in _SETTLED else _UNSETTLED_S


def _is_fresh(stored_at: float, lifetime_s: float) -> bool:
    return -_CLOCK_SLACK_S <= time.time() - stored_at < lifetime_s


def _driver_signature() -> str | None:
    """Return what changes when the driver or the set of GPUs does; ``None`` where nothing would tell."""
    try:
        parts = [_BOOT.read_text(), _KERNEL_MODULE.read_text(), str(driver_library())]
        parts += sorted(node.name for node in Path("/dev").glob("nvidia*"))
    except OSError:
        return None
    return _short("|".join([*parts, *(f"{name}={os.environ.get(name)}" for name in _VISIBLE)]))


def _short(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]


def _read(file: Path, kind: type[T]) -> T | None:
    with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
        return from_json(file.read_bytes(), kind)
    return None
