"""The half that talks to the driver: a JSON request on stdin, one JSON answer on stdout.

Run by :mod:`reelpress.probe.nvml` as a process of its own: what hangs or crashes in the driver's libraries ends this
process and nothing else. Where NVML is out of reach, as in a container without the ``utility`` capability, the GPUs
are listed by CUDA.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import uuid
from typing import Any

import msgspec
import pynvml

from reelpress.facts.values import from_json, to_json
from reelpress.probe.nvml import DriverFacts, GpuDevice, GpuLoad, NvmlRequest

_VISIBLE = "CUDA_VISIBLE_DEVICES"
_CC_MAJOR, _CC_MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*
# What a GPU or an older driver does not tell is a fact like another, and no note.
_SILENT = (pynvml.NVMLError_NotSupported, pynvml.NVMLError_FunctionNotFound)


class _DriverError(Exception):
    """A library of the driver is missing or refuses, in one line."""


def answer(request: NvmlRequest) -> DriverFacts:
    """Ask NVML, and the libraries that it does not speak for; what fails becomes a note."""
    notes: list[str] = []
    nvml = _Nvml(notes, wanted=request.nvml)
    facts = DriverFacts(gpus=nvml.gpus(only_load=request.only_load)) if nvml.works else DriverFacts()
    if request.only_load:
        return msgspec.structs.replace(facts, notes=tuple(notes))
    gpus = facts.gpus
    # CUDA is slow to start, so it is asked only for what NVML does not know: which GPUs this process may use
    if not gpus or _VISIBLE in os.environ:
        try:
            usable = _cuda_gpus()
            known = {gpu.uuid: gpu for gpu in gpus}
            gpus = tuple(known.get(gpu.uuid, gpu) for gpu in usable)
        except _DriverError as refused:
            notes.append(str(refused))
            gpus = ()
    api = None
    try:
        api = _nvenc_api()
    except _DriverError as refused:
        notes.append(str(refused))
    return DriverFacts(
        gpus=gpus, driver_version=nvml.driver_version(), cuda_version=nvml.cuda_version(), nvenc_api=api,
        notes=tuple(dict.fromkeys(notes)),
    )  # fmt: skip


class _Nvml:
    """NVML, whose every question may be refused: the answer is then ``None`` and there is a note."""

    def __init__(self, notes: list[str], *, wanted: bool) -> None:
        self._notes = notes
        self.works = False
        if not wanted:
            return
        try:
            pynvml.nvmlInit()
            self.works = True
        except pynvml.NVMLError as error:
            notes.append(f"NVML: {error}")

    def _ask(self, question: str, *arguments: Any) -> Any:  # noqa: ANN401 - whatever NVML answers
        if not self.works:
            return None
        try:
            found = getattr(pynvml, question)(*arguments)
        except _SILENT:
            return None
        except pynvml.NVMLError as error:
            self._notes.append(f"NVML: {error} ({question})")
            return None
        return found.decode(errors="replace") if isinstance(found, bytes) else found

    def driver_version(self) -> str | None:
        version = self._ask("nvmlSystemGetDriverVersion")
        return None if version is None else str(version)

    def cuda_version(self) -> str | None:
        version = self._ask("nvmlSystemGetCudaDriverVersion_v2")
        return None if version is None else f"{version // 1000}.{version % 1000 // 10}"

    def gpus(self, *, only_load: bool) -> tuple[GpuDevice, ...]:
        found = []
        for index in range(self._ask("nvmlDeviceGetCount") or 0):
            handle = self._ask("nvmlDeviceGetHandleByIndex", index)
            name = None if handle is None else self._ask("nvmlDeviceGetUUID", handle)
            if name is None:
                self._notes.append(f"GPU {index} does not answer")
            else:
                found.append(self._gpu(index, handle, name, only_load=only_load))
        return tuple(found)

    def _gpu(self, index: int, handle: object, name: str, *, only_load: bool) -> GpuDevice:
        memory = self._ask("nvmlDeviceGetMemoryInfo", handle)
        encoder = self._ask("nvmlDeviceGetEncoderUtilization", handle)  # percent, and the sampling period
        decoder = self._ask("nvmlDeviceGetDecoderUtilization", handle)
        other = self._ask("nvmlDeviceGetUtilizationRates", handle)
        sessions = self._ask("nvmlDeviceGetEncoderStats", handle)  # sessions, frames a second, latency
        energy = self._ask("nvmlDeviceGetTotalEnergyConsumption", handle)  # millijoules; Volta and newer
        load = GpuLoad(
            encoder_percent=None if encoder is None else encoder[0],
            decoder_percent=None if decoder is None else decoder[0],
            percent=None if other is None else other.gpu,
            sessions=None if sessions is None else sessions[0],
            memory_free_mb=None if memory is None else int(memory.free) // 2**20,
            energy_mj=None if energy is None else int(energy),
        )
        memory_mb = None if memory is None else int(memory.total) // 2**20
        if only_load:
            return GpuDevice(index=index, name="", uuid=name, memory_mb=memory_mb, load=load)
        capability = self._ask("nvmlDeviceGetCudaComputeCapability", handle)
        return GpuDevice(
            index=index, name=self._ask("nvmlDeviceGetName", handle) or "NVIDIA GPU", uuid=name,
            memory_mb=memory_mb,
            compute_capability=None if capability is None else f"{capability[0]}.{capability[1]}", load=load,
        )  # fmt: skip


def _library(name: str) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(name)
    except OSError as error:
        raise _DriverError(f"cannot load {name}: {error}") from error


def _nvenc_api() -> str:
    """Return the newest NVENC API the driver offers, as ``13.0``: a number of one byte, minor version in the low half.

    Says nothing about the chip: the library is there on GPUs without an encoder, too.
    """
    number = ctypes.c_uint32()
    try:
        status = _library("libnvidia-encode.so.1").NvEncodeAPIGetMaxSupportedVersion(ctypes.byref(number))
    except AttributeError as error:
        raise _DriverError("NVENC does not tell its version") from error
    if status != 0:
        raise _DriverError(f"NVENC does not tell its version: error {status}")
    return f"{number.value >> 4}.{number.value & 15}"


def _cuda_gpus() -> tuple[GpuDevice, ...]:
    """Return the GPUs that CUDA lets this process use, which is what ``CUDA_VISIBLE_DEVICES`` leaves."""
    cuda = _library("libcuda.so.1")

    def call(name: str, *arguments: Any) -> None:  # noqa: ANN401 - C values
        try:
            status = getattr(cuda, name)(*arguments)
        except AttributeError as error:
            raise _DriverError(f"the driver has no {name}") from error
        if status != 0:
            text = ctypes.c_char_p()
            cuda.cuGetErrorName(status, ctypes.byref(text))
            said = text.value.decode(errors="replace") if text.value else str(status)
            raise _DriverError(f"{name} failed: {said}")

    count = ctypes.c_int()
    call("cuInit", 0)
    call("cuDeviceGetCount", ctypes.byref(count))
    found = []
    for index in range(count.value):
        name, raw, memory = ctypes.create_string_buffer(96), ctypes.create_string_buffer(16), ctypes.c_size_t()
        major, minor = ctypes.c_int(), ctypes.c_int()
        call("cuDeviceGetName", name, len(name), index)
        call("cuDeviceGetUuid", raw, index)
        with contextlib.suppress(_DriverError):  # good to know, no more
            call("cuDeviceTotalMem_v2", ctypes.byref(memory), index)
        call("cuDeviceGetAttribute", ctypes.byref(major), _CC_MAJOR, index)
        call("cuDeviceGetAttribute", ctypes.byref(minor), _CC_MINOR, index)
        found.append(
            GpuDevice(
                index=index, name=name.value.decode(errors="replace"), uuid=f"GPU-{uuid.UUID(bytes=raw.raw)}",
                memory_mb=memory.value // 2**20 or None, compute_capability=f"{major.value}.{minor.value}",
            )
        )  # fmt: skip
    return tuple(found)


def main() -> None:
    """Answer the request on stdin."""
    request = from_json(sys.stdin.buffer.read(), NvmlRequest)
    sys.stdout.buffer.write(to_json(answer(request)))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
