"""The fake ``nvidia-smi``: asks the fake NVML, so that the two cannot disagree."""

from __future__ import annotations

import sys

import pynvml as nvml

UNITS = {
    "memory.total": "MiB",
    "memory.used": "MiB",
    "memory.free": "MiB",
    "utilization.gpu": "%",
    "utilization.encoder": "%",
}
NO_DRIVER = (
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. "
    "Make sure that the latest NVIDIA driver is installed and running.\n"
)


def facts(handle, index, count) -> dict[str, object]:
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    name = nvml.nvmlDeviceGetName(handle)
    return {
        "index": index, "count": count, "name": name, "gpu_name": name, "uuid": nvml.nvmlDeviceGetUUID(handle),
        "pci.bus_id": nvml.nvmlDeviceGetPciInfo(handle).busId, "driver_version": nvml.nvmlSystemGetDriverVersion(),
        "compute_cap": "{}.{}".format(*nvml.nvmlDeviceGetCudaComputeCapability(handle)),
        "memory.total": memory.total >> 20, "memory.used": memory.used >> 20, "memory.free": memory.free >> 20,
        "utilization.gpu": nvml.nvmlDeviceGetUtilizationRates(handle).gpu,
        "utilization.encoder": nvml.nvmlDeviceGetEncoderUtilization(handle)[0],
        "encoder.stats.sessionCount": nvml.nvmlDeviceGetEncoderStats(handle)[0],
    }  # fmt: skip


def table(devices: list[dict[str, object]]) -> None:
    driver = nvml.nvmlSystemGetDriverVersion()
    cuda = nvml.nvmlSystemGetCudaDriverVersion()
    print(f"NVIDIA-SMI {driver}  Driver Version: {driver}  CUDA Version: {cuda // 1000}.{cuda % 1000 // 10}  (fake)")
    for d in devices:
        print(f"| {d['index']}  {d['name']} | {d['memory.used']}MiB / {d['memory.total']}MiB |")


def query(devices: list[dict[str, object]], wanted: list[str], how: list[str]) -> int:
    unknown = [w for w in wanted if w not in devices[0]]
    if unknown:
        print(f'Field "{unknown[0]}" is not a valid field to query.\n')
        return 2
    if "noheader" not in how:
        print(", ".join(w + (f" [{UNITS[w]}]" if w in UNITS else "") for w in wanted))
    for d in devices:
        print(", ".join(f"{d[w]}" + (f" {UNITS[w]}" if w in UNITS and "nounits" not in how else "") for w in wanted))
    return 0


def main() -> int:
    arguments = dict(a.partition("=")[::2] for a in sys.argv[1:])
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        if error.value == nvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH:
            print("Failed to initialize NVML: Driver/library version mismatch")
            return 18
        print(NO_DRIVER)
        return 9
    count = nvml.nvmlDeviceGetCount()
    if not count:
        print("No devices were found")
        return 6
    try:
        devices = [facts(nvml.nvmlDeviceGetHandleByIndex(i), i, count) for i in range(count)]
    except nvml.NVMLError as error:
        print(f"Unable to determine the device handle for a GPU: {error}")
        return 15
    if "-L" in arguments:
        for d in devices:
            print(f"GPU {d['index']}: {d['name']} (UUID: {d['uuid']})")
    elif "--query-gpu" in arguments:
        return query(devices, arguments["--query-gpu"].split(","), arguments.get("--format", "").split(","))
    else:
        table(devices)
    return 0


sys.exit(main())
