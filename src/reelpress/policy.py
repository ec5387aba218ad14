"""How long and with what a run may go on, and how many inputs or clips at once."""

from __future__ import annotations

from reelpress.facts.host import HostFacts
from reelpress.facts.values import Value
from reelpress.gpus import GpuPolicy
from reelpress.observe.prices import Rates, Tariff, by_cpu_hour, tariff
from reelpress.plan.model import Rung

# What one render was seen to take at its most, a 1080p source and a 1080x1920 output.
_CLIP_MEMORY_MB = 700
# An encode keeps about two cores busy. Up to here a video is mostly so short that half of the work is starting and
# checking, which keep one busy (benchmarks/small_files.py).
SMALL_BYTES = 8 * 2**20
# Encodes at once on a GPU where nobody counted its sessions; those without a slot wait for one.
_GPU_CLIPS = 4


class RunPolicy(Value, frozen=True, kw_only=True):
    """How long and with what a run may go on; ``timeout_s`` ``None`` follows the input's duration.

    ``rates`` are the prices of the machine, of which a job is charged its share: ``at_once`` jobs are on it.
    ``rung`` lets a job try that one way alone, and fail if it does: for measuring ways.
    """

    timeout_s: float | None = None
    stall_timeout_s: float = 120.0
    memory_limit_bytes: int = 16_000_000_000
    rates: Rates = by_cpu_hour(0.0864)
    at_once: int = 1
    decode_whole: bool = False
    gpu: GpuPolicy = GpuPolicy()
    rung: Rung | None = None

    def tariff(self, host: HostFacts) -> Tariff:
        """Return what a job is charged on this machine."""
        return tariff(
            self.rates, cores=host.cores, memory_mb=host.memory_mb, has_gpu=host.gpu_note is None, at_once=self.at_once
        )


def clips_at_once(host: HostFacts, policy: RunPolicy, *, uses_gpu: bool) -> int:
    """Return how many clips to work on at once.

    On two cores two at once took 24 % less time than one after another, and four at once 29 % more. A GPU encodes
    beside what the cores do, so there it is as many as its encoder sessions, if that is more.
    """
    width = min(host.cores, max(2, host.cores // 2))
    if uses_gpu and host.gpu_note is None:
        width = max(width, policy.gpu.sessions or _GPU_CLIPS)
    if host.memory_mb is not None:
        width = min(width, host.memory_mb // _CLIP_MEMORY_MB)
    return max(1, width)


def cores_for(size_bytes: int, host: HostFacts) -> int:
    """Return how many cores an input of this size is given when others wait: 1 for a small one, else 2.

    Where each core has not the memory that an encode may take, all are given 2.
    """
    is_roomy = host.memory_mb is None or host.memory_mb // host.cores >= _CLIP_MEMORY_MB
    return 1 if size_bytes <= SMALL_BYTES and is_roomy else 2
