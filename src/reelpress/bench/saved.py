"""Whether the numbers of a run that somebody sent can have been measured. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from reelpress.bench.model import BenchRun

_MOST = 1e15  # of anything: seconds, bytes, joules


def impossible(run: BenchRun) -> str | None:
    """Return the first number of a run that nothing can have had, with its place; ``None`` where there is none."""
    for place, number, is_above_0 in _numbers(run):
        if number is not None and not (0 <= number <= _MOST and (number or not is_above_0)):
            return f"{place} is {number}"[:200]
    return None


def _numbers(run: BenchRun) -> Iterator[tuple[str, float | None, bool]]:
    """Yield every number with its place, and whether it has to be above 0."""
    machine = run.machine
    yield "rounds", run.rounds, True
    yield "machine.cores", machine.cores, True
    yield "machine.memory_mb", machine.memory_mb, False
    yield "machine.load", machine.load, False
    for gpu in machine.gpus:
        yield "machine.gpus.memory_mb", gpu.memory_mb, False
    for material in run.materials:
        yield "materials.size_bytes", material.size_bytes, True
        yield "materials.duration_s", material.duration_s, True
    for one in run.measurements:
        yield "measurements.round", one.round, True
        yield "measurements.wall_s", one.wall_s, one.failure is None  # what failed at once took no time
        yield "measurements.encode_s", one.encode_s, False
        yield "measurements.cpu_s", one.cpu_s, False
        yield "measurements.size_bytes", one.size_bytes, True
        yield "measurements.usd", one.usd, False
        yield "measurements.energy_j", one.energy_j, False
        yield "measurements.peak_memory_bytes", one.peak_memory_bytes, False
    for score in run.scores:
        yield "scores.vmaf", score.vmaf, False
        yield "scores.vmaf_worst_second", score.vmaf_worst_second, False
