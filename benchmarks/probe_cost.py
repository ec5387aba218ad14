"""What it costs to find out what a GPU can do: cold, from the cache, and where there is no GPU.

``python benchmarks/probe_cost.py [RUNS]`` on the machine in question; remembered facts lie in a folder of its own.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from reelpress.facts.host import GpuFacts, HostFacts
from reelpress.probe.gpu_survey import survey
from reelpress.probe.gpu_wishes import job_wishes
from reelpress.probe.host import probe_host
from reelpress.probe.nvml import ask_driver, device_present, load

WISHES = job_wishes("h264_nvenc", "yuv420p", "h264", "yuv420p")


def seconds(what: Callable[[], object]) -> float:
    """Return how long something takes."""
    started = time.perf_counter()
    what()
    return time.perf_counter() - started


def report(name: str, runs: list[float]) -> None:
    """Print the median and the range of some runs."""
    print(f"{name:<44} {statistics.median(runs):8.3f} s  ({min(runs):.3f} to {max(runs):.3f}, {len(runs)} runs)")


def cold_and_cached(name: str, host: HostFacts, runs: int, look: Callable[[HostFacts, Path], object]) -> None:
    """Print what a survey costs in a fresh folder, and the second time."""
    cold, cached = [], []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            cold.append(seconds(lambda folder=folder: look(host, Path(folder))))  # type: ignore[misc]
            cached.append(seconds(lambda folder=folder: look(host, Path(folder))))  # type: ignore[misc]
    report(f"{name}, cold", cold)
    report(f"{name}, remembered", cached)


def one_job(host: HostFacts, folder: Path) -> tuple[GpuFacts, ...]:
    """Look for what one compression of an H.264 file needs."""
    return survey(host, wanted=WISHES, cache_dir=folder)


def everything(host: HostFacts, folder: Path) -> tuple[GpuFacts, ...]:
    """Look for what the doctor shows."""
    return survey(host, cache_dir=folder, sessions=4)


def main() -> None:
    """Measure and print."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    report("is there a device", [seconds(device_present) for _ in range(runs)])
    report("ask the driver", [seconds(ask_driver) for _ in range(runs)])
    report("ask for the load", [seconds(load) for _ in range(runs)])
    host = probe_host()
    print("FFmpeg:", ", ".join(build.version for build in host.ffmpegs) or "none")
    cold_and_cached("one H.264 job", host, runs, one_job)
    cold_and_cached("everything", host, runs, everything)
    with tempfile.TemporaryDirectory() as folder:
        for gpu in everything(host, Path(folder)):
            print(f"GPU {gpu.index}: {gpu.name}, driver {gpu.driver_version}, {gpu.sessions} encodes at once")
            for path in gpu.paths:
                print(f"  {path.kind} {path.name} {path.pix_fmt}: {path.state} in {path.wall_s:.3f} s")


if __name__ == "__main__":
    main()
