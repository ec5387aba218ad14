"""Gauges of this machine's GPUs: what NVML says of them, how many of their slots are held, whether they are left alone.

NVML is asked in a child process, for a driver may hang or crash; where it does, it is left alone for a while.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterable

from reelpress.gpus import gpus_of
from reelpress.jobs.encoding import Encoding
from reelpress.observe.instruments import Instruments, Seen
from reelpress.probe.nvml import GpuDevice, device_present, read_load
from reelpress.run.breaker import Breaker
from reelpress.run.host_state import host_folder
from reelpress.run.slots import GpuSlots

# One collection asks for several gauges; and a second reader may ask a moment later.
_BELIEVED_S = 4.0
# A scrape must end within Prometheus's ten seconds, whatever the driver does.
_ASK_S = 3.0
_LEFT_ALONE_S = 60.0
_MIB = 2**20


class GpuGauges:
    """Shows the GPUs that this process's worker may use; without a sign of one it asks nobody."""

    def __init__(self, instruments: Instruments, encoding: Encoding) -> None:
        if not encoding.settings.use_gpu:
            return
        self._host = encoding.host
        self._gpus = gpus_of(encoding.host, encoding.policy.gpu)
        self._lock = threading.Lock()
        self._devices: tuple[GpuDevice, ...] = ()
        self._believed_until = float("-inf")
        for name, read in _FROM_NVML.items():
            instruments.watch(name, functools.partial(self._each, read))
        instruments.watch("reelpress_gpu_slots", lambda: self._each(lambda gpu: self._slots().capacity(gpu.uuid)))
        instruments.watch("reelpress_gpu_slots_in_use", lambda: self._each(lambda gpu: self._slots().held(gpu.uuid)))
        instruments.watch("reelpress_gpu_breaker_open", self._breakers)

    def _each(self, read: Callable[[GpuDevice], float | None]) -> Iterable[Seen]:
        for gpu in self._now():
            value = read(gpu)
            if value is not None:
                yield value, {"gpu": str(gpu.index)}

    def _now(self) -> tuple[GpuDevice, ...]:
        if not device_present():
            return ()
        with self._lock:
            if time.monotonic() > self._believed_until:
                self._devices = read_load(wall_s=_ASK_S)
                self._believed_until = time.monotonic() + (_BELIEVED_S if self._devices else _LEFT_ALONE_S)
            return self._devices

    def _slots(self) -> GpuSlots:
        return GpuSlots(host_folder(), self._gpus.counted())

    def _breakers(self) -> Iterable[Seen]:
        """Say 1 of a GPU that no FFmpeg may use: it is left alone, or each of them is kept off it for itself."""
        found = [each for each in Breaker(host_folder()).snapshot() if each.state != "closed"]
        builds = {ffmpeg.path for ffmpeg in self._host.ffmpegs}
        for gpu in self._now():
            kept_off = {each.ffmpeg for each in found if each.gpu == gpu.uuid}
            yield float(None in kept_off or (bool(builds) and builds <= kept_off)), {"gpu": str(gpu.index)}


def _share(percent: int | None) -> float | None:
    return None if percent is None else percent / 100


def _used_bytes(gpu: GpuDevice) -> float | None:
    free = gpu.load.memory_free_mb
    return None if gpu.memory_mb is None or free is None else (gpu.memory_mb - free) * _MIB


_FROM_NVML: dict[str, Callable[[GpuDevice], float | None]] = {
    "reelpress_gpu_encoder_utilization_ratio": lambda gpu: _share(gpu.load.encoder_percent),
    "reelpress_gpu_decoder_utilization_ratio": lambda gpu: _share(gpu.load.decoder_percent),
    "reelpress_gpu_utilization_ratio": lambda gpu: _share(gpu.load.percent),
    "reelpress_gpu_memory_used_bytes": _used_bytes,
    "reelpress_gpu_memory_bytes": lambda gpu: None if gpu.memory_mb is None else gpu.memory_mb * _MIB,
    "reelpress_gpu_encoder_sessions": lambda gpu: gpu.load.sessions,
}
