"""How long and with what a run may go on."""

from __future__ import annotations

from reelpress.facts.host import HostFacts
from reelpress.facts.values import Value
from reelpress.gpus import GpuPolicy
from reelpress.observe.prices import Rates, Tariff, by_cpu_hour, tariff


class RunPolicy(Value, frozen=True, kw_only=True):
    """How long and with what a run may go on; ``timeout_s`` ``None`` follows the input's duration.

    ``rates`` are the prices of the machine, of which a job is charged its share: ``at_once`` jobs are on it.
    """

    timeout_s: float | None = None
    stall_timeout_s: float = 120.0
    memory_limit_bytes: int = 16_000_000_000
    rates: Rates = by_cpu_hour(0.0864)
    at_once: int = 1
    decode_whole: bool = False
    gpu: GpuPolicy = GpuPolicy()

    def tariff(self, host: HostFacts) -> Tariff:
        """Return what a job is charged on this machine."""
        return tariff(
            self.rates, cores=host.cores, memory_mb=host.memory_mb, has_gpu=host.gpu_note is None, at_once=self.at_once
        )
