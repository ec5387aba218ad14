"""Builds the fake NVIDIA driver, and describes the machines that it plays: see README.md beside this file."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

SOURCES = Path(__file__).parent / "src"
PACKAGES = "gcc libc6-dev libffmpeg-nvenc-dev libx264-dev libx265-dev libavcodec-dev libavutil-dev"

CUDA, NVENC, NVDEC, NVML = "libcuda.so.1", "libnvidia-encode.so.1", "libnvcuvid.so.1", "libnvidia-ml.so.1"
_SHARED = ("core.c", "shared.c")
_LIBRARIES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    CUDA: ((*_SHARED, "cuda.c", "cuda_memory.c", "ptx_parse.c", "ptx_run.c"), ("-lm",)),
    NVENC: (("nvenc.c", "nvenc_queue.c", "encoder_x264.c", "encoder_x265.c"), (f"-l:{CUDA}",)),
    NVDEC: (("cuvid.c", "h264_headers.c"), (f"-l:{CUDA}",)),
    NVML: ((*_SHARED, "nvml.c"), ()),
}
_FLAGS = (
    "-O2", "-g", "-std=gnu11", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror",
    "-shared", "-Wl,-Bsymbolic", "-Wl,-z,defs",
    "-Wl,-z,nodelete",  # FFmpeg unloads the driver with each encoder; faults are counted for the whole process
)  # fmt: skip

NO_VIDEO_CAPABILITY = (NVENC, NVDEC)
"""What a container lacks whose NVIDIA_DRIVER_CAPABILITIES do not name "video"."""
DRIVER_MISMATCH = "cuInit=803,nvmlInit=18"
"""The kernel module and the libraries are of different versions, as after an update without a restart."""
GPU_LOST = "*=lost"


class CannotBuildError(Exception):
    """There is no compiler, or a header is missing."""


# --- profiles ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Driver:
    version: str
    api: str  # the newest NVENC API that it speaks
    cuda: int


DRIVERS = {
    "535": Driver("535.216.03", "12.1", 12020),
    "550": Driver("550.144.03", "12.2", 12040),
    "580": Driver("580.95.05", "13.0", 13000),
    "610": Driver("610.43.02", "13.1", 13010),
}

_EVERY_CODEC = {
    "min_height": 49,
    "max_width": 4096,
    "max_height": 4096,
    "lookahead": 1,
    "cabac": 1,
    "yuv444": 1,
    "lossless": 1,
}
_H264 = {**_EVERY_CODEC, "min_width": 145, "bframes": 4, "bref": 2, "temporal_aq": 1, "multiple_refs": 1, "weighted": 1}
_HEVC = {
    **_EVERY_CODEC, "min_width": 129, "max_width": 8192, "max_height": 8192, "bframes": 5, "bref": 2, "temporal_aq": 1,
    "multiple_refs": 1, "weighted": 1, "ten_bit": 1,
}  # fmt: skip
_PASCAL = {"bref": 0, "temporal_aq": 0, "multiple_refs": 0}


@dataclass(frozen=True)
class Profile:
    """One GPU. ``h264`` and ``hevc`` are what NVENC says it can do; empty: it has no such encoder."""

    name: str
    compute: str
    vram_mb: int
    driver: str = "610"
    speed: int = 50  # multiprocessors: by default CUDA numbers the fastest device 0
    engines: int = 1
    h264: Mapping[str, int] = field(default_factory=lambda: _H264)
    hevc: Mapping[str, int] = field(default_factory=lambda: _HEVC)
    nvdec: bool = True
    sessions: int = 0  # at a time on this device; 0: as many as its memory takes
    machine_sessions: int = 0  # at a time on all devices together
    session_refusal: int = 10  # 21 with newer drivers
    context_mb: int = 100
    session_mb: int = 150
    preset_bframes: int = 2


_L4 = Profile("Fake NVIDIA L4", "8.9", 23034, "535", speed=58, engines=2)

PROFILES: Mapping[str, Profile] = {
    "l4": _L4,
    "l4-580": replace(_L4, driver="580"),
    "l4-610": replace(_L4, driver="610"),
    "rtx-pro-6000": Profile("Fake NVIDIA RTX PRO 6000", "12.0", 97887, speed=188, engines=4),
    "t4": Profile("Fake NVIDIA T4", "7.5", 15360, speed=40),
    "a100": Profile("Fake NVIDIA A100", "8.0", 40960, speed=108, engines=0, h264={}, hevc={}),
    "h100": Profile("Fake NVIDIA H100", "9.0", 81559, speed=132, engines=0, h264={}, hevc={}),
    "h200": Profile("Fake NVIDIA H200", "9.0", 143771, speed=132, engines=0, h264={}, hevc={}),
    "geforce": Profile("Fake NVIDIA GeForce RTX 3060", "8.6", 12288, speed=28, machine_sessions=8),
    "pascal": Profile(
        "Fake NVIDIA Tesla P4", "6.1", 7680, speed=20,
        h264={**_H264, **_PASCAL}, hevc={**_HEVC, **_PASCAL, "bframes": 0},
    ),
}  # fmt: skip
HEALTHY = "rtx-pro-6000"


@dataclass(frozen=True)
class Device:
    index: int  # as NVML and the journal count: by PCI bus
    name: str
    uuid: str
    pci: str
    profile: Profile


# --- machines ---------------------------------------------------------------------------------------------------------


class FakeMachine:
    """A machine with fake GPUs: what runs in its environment sees them and no others."""

    def __init__(self, folder: Path, devices: Sequence[Device], driver: Driver) -> None:
        self.folder = folder
        self.devices = tuple(devices)
        self.driver = driver

    @property
    def env(self) -> dict[str, str]:
        """What to add to the environment of a process, for it and all its children."""
        before = {name: os.environ.get(name, "") for name in ("LD_LIBRARY_PATH", "PATH")}
        ours = {"LD_LIBRARY_PATH": self.folder / "lib", "PATH": self.folder / "bin"}
        paths = {name: ":".join(filter(None, [str(path), _without_fakes(before[name])])) for name, path in ours.items()}
        return {"FAKENV_STATE": str(self.folder), **paths}

    def set_faults(self, faults: str = "") -> None:
        """Replace all faults, in running processes too; "" is a healthy machine."""
        for spent in self.folder.glob("once.*"):
            spent.unlink()
        fresh = self.folder / "faults.new"
        fresh.write_text(faults.replace(",", "\n") + "\n")
        fresh.replace(self.folder / "faults")  # processes that run never read half of it

    def twin(self, folder: Path) -> FakeMachine:
        """The same machine once more: the same GPUs by name and UUID, with faults, journal and sessions of its own."""
        folder.mkdir(parents=True)
        for name in ("lib", "bin"):
            shutil.copytree(self.folder / name, folder / name, symlinks=True)
        shutil.copy(self.folder / "machine", folder / "machine")
        twin = FakeMachine(folder, self.devices, self.driver)
        twin.set_faults()
        return twin

    @contextmanager
    def faults(self, faults: str) -> Iterator[None]:
        self.set_faults(faults)
        try:
            yield
        finally:
            self.set_faults()

    def journal(self, event: str | None = None) -> list[dict[str, Any]]:
        """What the driver was asked to do, all of it or one kind of event."""
        path = self.folder / "journal"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [line for line in lines if event is None or line["ev"] == event]

    def clear_journal(self) -> None:
        (self.folder / "journal").write_text("")


def _without_fakes(paths: str) -> str:
    """A machine's environment replaces that of the machine before it."""
    return ":".join(p for p in paths.split(":") if p and not (Path(p).parent / "machine").is_file())


class FakeNvidia:
    """The built driver, and the machines made of it."""

    def __init__(self, libraries: Path, machines: Path) -> None:
        self.libraries = libraries
        self._machines = machines
        self._count = 0

    def machine(
        self,
        profile: str | Sequence[str] = HEALTHY,
        gpus: int = 1,
        *,
        faults: str = "",
        driver: str | None = None,
        leave_out: Collection[str] = (),
        software_preset: str = "ultrafast",
        **changes: Any,
    ) -> FakeMachine:
        """A new machine: ``gpus`` of one profile, or one of each profile named, with ``changes`` to all of them.

        ``driver`` is a key of DRIVERS, by default the first profile's; ``leave_out`` names missing libraries.
        """
        names = [profile] * gpus if isinstance(profile, str) else list(profile)
        profiles = [replace(PROFILES[name], **changes) for name in names]
        installed = DRIVERS[driver or (profiles[0].driver if profiles else PROFILES[HEALTHY].driver)]
        self._count += 1
        folder = self._machines / f"machine{self._count}"
        (folder / "lib").mkdir(parents=True)
        (folder / "bin").mkdir()
        for library in set(_LIBRARIES) - set(leave_out):
            (folder / "lib" / library).symlink_to(self.libraries / library)
        smi = folder / "bin" / "nvidia-smi"
        smi.write_text(f"#!{sys.executable}\n" + (SOURCES.parent / "nvidia_smi.py").read_text())
        smi.chmod(0o755)
        devices = [_device(index, p, folder) for index, p in enumerate(profiles)]
        (folder / "machine").write_text(_description(devices, installed, software_preset))
        made = FakeMachine(folder, devices, installed)
        made.set_faults(faults)
        return made


def _device(index: int, profile: Profile, folder: Path) -> Device:
    identity = uuid.uuid5(uuid.NAMESPACE_URL, f"{folder.name}/{index}")
    return Device(index, profile.name, f"GPU-{identity}", f"{0:08X}:{index + 1:02X}:00.0", profile)


def _description(devices: Sequence[Device], driver: Driver, software_preset: str) -> str:
    machine_sessions = min((d.profile.machine_sessions for d in devices if d.profile.machine_sessions), default=0)
    lines = [
        f"devices={len(devices)}", f"driver={driver.version}", f"api={driver.api}", f"cuda={driver.cuda}",
        f"sessions={machine_sessions}", f"software_preset={software_preset}",
    ]  # fmt: skip
    for device in devices:
        lines += [f"dev{device.index}.{key}={getattr(device, key)}" for key in ("uuid", "pci")]
        for key in (f.name for f in fields(Profile)):
            value = getattr(device.profile, key)
            if isinstance(value, Mapping):
                if not value:
                    continue
                value = " ".join(f"{k}:{v}" for k, v in {"engines": device.profile.engines, **value}.items())
            lines.append(f"dev{device.index}.{key}={int(value) if isinstance(value, bool) else value}")
    return "\n".join(lines) + "\n"


# --- building ---------------------------------------------------------------------------------------------------------


def build(folder: Path) -> Path:
    """The libraries, in ``folder``; built where they are not there yet."""
    digest = hashlib.sha256(repr((_FLAGS, _LIBRARIES)).encode())
    for source in sorted(SOURCES.iterdir()):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    done = folder / digest.hexdigest()[:16]
    if done.is_dir():
        return done
    compiler = shutil.which("gcc")
    if compiler is None:
        raise CannotBuildError(f"no gcc; on Debian: apt install {PACKAGES}")
    making = folder / f"making.{os.getpid()}"
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    for name, (sources, links) in _LIBRARIES.items():
        command = [compiler, *_FLAGS, f"-Wl,-soname,{name}", *sources, "-o", str(making / name), f"-L{making}", *links]
        built = subprocess.run(
            [*command, "-ldl", "-lpthread"], cwd=SOURCES, capture_output=True, text=True, check=False
        )
        missing = [line for line in built.stderr.splitlines() if "No such file or directory" in line]
        if missing:
            raise CannotBuildError(f"{missing[0]}; on Debian: apt install {PACKAGES}")
        if built.returncode:
            raise AssertionError(built.stderr)
    try:
        making.rename(done)
    except OSError:  # another run was quicker
        shutil.rmtree(making)
    return done
