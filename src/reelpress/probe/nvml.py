"""What the NVIDIA driver says of itself and its GPUs: NVML asked in a child process, for a driver may hang or crash.

Whatever goes wrong becomes a note. Where there is no sign of an NVIDIA device nothing is started.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from reelpress.facts.values import Value, from_json, to_json
from reelpress.run.process import Limits, run

# Is told the CPU seconds of programs, for a job's bill.
Spend = Callable[[float], None]
# As for the media probe: this process's import path, and neither environment nor working directory.
_START_CHILD = "import sys; sys.path[:0] = sys.argv[1:]; from reelpress.probe.nvml_child import main; main()"
_PACKAGE_ROOT = str(Path(__file__).resolve().parents[2])
NO_DEVICE = "no NVIDIA device on this machine"
# A GPU without persistence mode is initialised anew for the first who asks, which takes seconds.
_ASK_S = 15.0
# Native Linux and containers; gVisor, as on Cloud Run; WSL.
_SIGNS = ("/dev/nvidiactl", "/proc/driver/nvidia/version", "/dev/dxg")


def unasked(_cpu_s: float) -> None:
    """Stand for a bill that nobody keeps."""


class NvmlRequest(Value, frozen=True, kw_only=True):
    """What the child is asked: the load alone, or everything; without ``nvml`` CUDA alone lists the GPUs."""

    only_load: bool = False
    nvml: bool = True


class GpuLoad(Value, frozen=True, kw_only=True):
    """How busy a GPU is now: use of its encoder, decoder and other parts, sessions of all processes, free MiB.

    ``energy_mj`` is what it drew since the driver was loaded, in millijoules. ``None`` where the driver does not tell.
    """

    encoder_percent: int | None = None
    decoder_percent: int | None = None
    percent: int | None = None
    sessions: int | None = None
    memory_free_mb: int | None = None
    energy_mj: int | None = None


class GpuDevice(Value, frozen=True, kw_only=True):
    """One GPU as the driver describes it; ``index`` is NVML's, in PCI order, which need not be CUDA's."""

    index: int
    name: str
    uuid: str
    memory_mb: int | None = None
    compute_capability: str | None = None
    load: GpuLoad = GpuLoad()


class DriverFacts(Value, frozen=True, kw_only=True):
    """The driver: its version, the newest CUDA and NVENC API versions it offers, the GPUs this process may use.

    ``notes`` say in plain lines what could not be found out, and why.
    """

    gpus: tuple[GpuDevice, ...] = ()
    driver_version: str | None = None
    cuda_version: str | None = None
    nvenc_api: str | None = None
    notes: tuple[str, ...] = ()


def device_present() -> bool:
    """Tell whether there may be an NVIDIA device: a few looks at the file system, no more.

    A device node, or the driver's library where ``LD_LIBRARY_PATH`` points, as containers on gVisor and WSL have it.
    """
    return any(Path(sign).exists() for sign in _SIGNS) or driver_library() is not None


def driver_library() -> Path | None:
    """Return the CUDA driver library that ``LD_LIBRARY_PATH`` names, or ``None``."""
    folders = os.environ.get("LD_LIBRARY_PATH", "").replace(";", ":").split(":")
    candidates = (Path(folder) / "libcuda.so.1" for folder in folders if folder)
    return next((file for file in candidates if file.exists()), None)


def ask_driver(*, wall_s: float = _ASK_S, spend: Spend = unasked) -> DriverFacts:
    """Ask the driver for everything; takes up to ``wall_s`` seconds, and never raises for what a driver does.

    ``spend`` is told the CPU seconds of the children.
    """
    if not device_present():
        return DriverFacts(notes=(NO_DEVICE,))
    try:
        return _ask(NvmlRequest(), wall_s, spend)
    except _CrashedError as crashed:  # NVML may be what crashes, and no encode needs it
        note = str(crashed)
    try:
        facts = _ask(NvmlRequest(nvml=False), wall_s, spend)
    except _CrashedError:
        facts = DriverFacts()
    return msgspec.structs.replace(facts, notes=(note, *facts.notes))


def load(*, wall_s: float = _ASK_S, spend: Spend = unasked) -> Mapping[str, GpuLoad]:
    """Return how busy each GPU is now, by UUID; empty where nobody can tell."""
    return {gpu.uuid: gpu.load for gpu in read_load(wall_s=wall_s, spend=spend)}


def read_load(*, wall_s: float = _ASK_S, spend: Spend = unasked) -> tuple[GpuDevice, ...]:
    """Return the GPUs with how busy each is now, and without names; empty where nobody can tell."""
    if not device_present():
        return ()
    try:
        return _ask(NvmlRequest(only_load=True), wall_s, spend).gpus
    except _CrashedError:
        return ()


class _CrashedError(Exception):
    """The child was ended by a signal, in one line."""


def _ask(request: NvmlRequest, wall_s: float, spend: Spend) -> DriverFacts:
    roots = [_PACKAGE_ROOT, *(entry for entry in sys.path if Path(entry).is_absolute())]
    done = run(
        [sys.executable, "-I", "-S", "-c", _START_CHILD, *roots],
        limits=Limits(wall_s=wall_s, file_size_bytes=0),
        stdin=to_json(request),
    )
    spend(done.cpu_s)
    if done.stopped is not None:
        return DriverFacts(notes=(f"the NVIDIA driver did not answer within {wall_s:g} s",))
    if done.returncode != 0:
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
        note = f"asking the NVIDIA driver ended with {how}: {done.last_line}".rstrip(": ")
        if done.returncode < 0:
            raise _CrashedError(note)
        return DriverFacts(notes=(note,))
    try:
        return from_json(done.stdout, DriverFacts)
    except msgspec.DecodeError:
        return DriverFacts(notes=("the NVIDIA driver's answer cannot be read",))
