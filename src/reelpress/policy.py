"""How long and with what a run may go on."""

from __future__ import annotations

from reelpress.facts.values import Value
from reelpress.gpus import GpuPolicy


class RunPolicy(Value, frozen=True, kw_only=True):
    """How long and with what a run may go on; ``timeout_s`` ``None`` follows the input's duration."""

    timeout_s: float | None = None
    stall_timeout_s: float = 120.0
    memory_limit_bytes: int = 16_000_000_000
    usd_per_cpu_hour: float = 0.0864
    decode_whole: bool = False
    gpu: GpuPolicy = GpuPolicy()
