"""What the measurements of a run come to: a row for each input and way, promises, and earlier runs. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Literal

from reelpress.bench.model import BenchRun, Material, Measurement
from reelpress.facts.values import Value
from reelpress.plan.model import Rung

Device = Literal["gpu", "cpu"]
Kept = Literal["met", "not met", "not yet measured on hardware", "not measured in this run"]


class Row(Value, frozen=True, kw_only=True):
    """One way on one input, over the rounds in which it delivered.

    ``wall_s`` is the least (whatever else runs on a machine only ever adds), ``spread`` how much longer the slowest
    took, as a share. ``realtime`` is seconds of programme in a second. Energy and dollars are of the fastest round.
    ``failure`` is that of the first of ``failed_rounds``.
    """

    material: str
    rung: Rung
    encoder: str | None
    gpu: str | None
    rounds: int
    failed_rounds: int
    wall_s: float | None
    spread: float | None
    realtime: float | None
    encode_s: float | None
    cpu_s: float | None
    size_bytes: int | None
    size_ratio: float | None  # to the input
    vmaf: float | None
    unmeasured: str | None
    energy_j: float | None
    usd: float | None
    peak_memory_bytes: int | None
    failure: str | None


class Promise(Value, frozen=True, kw_only=True):
    """Seconds from start to receipt that were promised for an input of this size on this kind of device."""

    mb: int
    device: Device
    most_s: float


# A promise is about where the encoder runs: what the GPU only decodes for an encoder on the CPU is neither's.
_ENCODING_ON: dict[Device, tuple[Rung, ...]] = {"gpu": ("gpu", "gpu_encode", "gpu_reduced"), "cpu": ("cpu",)}
# Requirement N11. Which hardware keeps them is for runs to show.
PROMISES = (Promise(mb=300, device="gpu", most_s=60.0), Promise(mb=300, device="cpu", most_s=300.0))


class PromiseKept(Value, frozen=True, kw_only=True):
    """What became of a promise; ``wall_s`` is the fastest way's on this kind of device."""

    promise: Promise
    kept: Kept
    wall_s: float | None


class Change(Value, frozen=True, kw_only=True):
    """One row against the same of an earlier run: seconds now as a multiple of then, and VMAF points gained."""

    material: str
    rung: Rung
    made_at: str
    seconds_ratio: float
    vmaf_gain: float | None


def rows(run: BenchRun) -> tuple[Row, ...]:
    """Return the rows of a run in the order of its inputs and ways."""
    found = []
    for material in run.materials:
        of_it = [one for one in run.measurements if one.material == material.name]
        found += [
            _row(run, material, rung, [one for one in of_it if one.rung == rung])
            for rung in dict.fromkeys(one.rung for one in of_it)
        ]
    return tuple(found)


def _row(run: BenchRun, material: Material, rung: Rung, all_: Sequence[Measurement]) -> Row:
    good = [one for one in all_ if one.failure is None]
    best = min(good, key=lambda one: one.wall_s, default=None)
    score = next((s for s in run.scores if (s.material, s.rung) == (material.name, rung)), None)
    failure = next((one.failure for one in all_ if one.failure is not None), None)
    if best is None:
        return Row(
            material=material.name, rung=rung, encoder=all_[0].encoder, gpu=None, rounds=0, failed_rounds=len(all_),
            wall_s=None, spread=None,
            realtime=None, encode_s=None, cpu_s=None, size_bytes=None, size_ratio=None, vmaf=None, unmeasured=None,
            energy_j=None, usd=None, peak_memory_bytes=None, failure=failure,
        )  # fmt: skip
    return Row(
        material=material.name, rung=rung, encoder=best.encoder, gpu=best.gpu, rounds=len(good),
        failed_rounds=len(all_) - len(good), wall_s=best.wall_s,
        spread=round(max(one.wall_s for one in good) / best.wall_s - 1, 3),
        realtime=round(material.duration_s / best.wall_s, 2), encode_s=best.encode_s, cpu_s=best.cpu_s,
        size_bytes=best.size_bytes,
        size_ratio=None if best.size_bytes is None else round(best.size_bytes / material.size_bytes, 4),
        vmaf=score.vmaf if score else None, unmeasured=score.unmeasured if score else None,
        energy_j=best.energy_j, usd=best.usd, failure=failure,
        peak_memory_bytes=max((one.peak_memory_bytes or 0 for one in good), default=0) or None,
    )  # fmt: skip


def promises(run: BenchRun) -> tuple[PromiseKept, ...]:
    """Return what became of :data:`PROMISES` in a run."""
    table = rows(run)
    sizes = {material.name: material for material in run.materials}
    answers = []
    for promise in PROMISES:
        fitting = [
            row for row in table
            if _is_of_size(sizes[row.material], promise.mb) and row.rung in _ENCODING_ON[promise.device]
        ]  # fmt: skip
        walls = [row.wall_s for row in fitting if row.wall_s is not None]
        kept: Kept = "not measured in this run"
        if walls:
            kept = "met" if min(walls) < promise.most_s else "not met"
        elif fitting:
            kept = "not met"  # it was tried, and did not deliver
        elif promise.device == "gpu" and run.hardware != "off" and not any(gpu.encodes for gpu in run.machine.gpus):
            kept = "not yet measured on hardware"
        answers.append(PromiseKept(promise=promise, kept=kept, wall_s=min(walls, default=None)))
    return tuple(answers)


def _is_of_size(material: Material, mb: int) -> bool:
    return abs(material.size_bytes / 1e6 - mb) <= 0.05 * mb


def changes(now: BenchRun, before: BenchRun) -> tuple[Change, ...]:
    """Return what became faster or slower since an earlier run, where both did the same on machines of one kind.

    Of the same kind are the same model and number of cores; inputs are the same by name, size and length.
    """
    if (now.machine.cpu, now.machine.cores, now.choice) != (before.machine.cpu, before.machine.cores, before.choice):
        return ()
    then = {(row.material, row.rung, row.encoder, row.gpu): row for row in rows(before)}
    alike = {
        material.name for material in now.materials for other in before.materials
        if material.name == other.name and abs(material.size_bytes / other.size_bytes - 1) < 0.02
        and abs(material.duration_s / other.duration_s - 1) < 0.02
    }  # fmt: skip
    found = []
    for row in rows(now):
        old = then.get((row.material, row.rung, row.encoder, row.gpu))
        if row.material not in alike or old is None or row.wall_s is None or old.wall_s is None:
            continue
        gain = None if row.vmaf is None or old.vmaf is None else round(row.vmaf - old.vmaf, 2)
        found.append(
            Change(
                material=row.material, rung=row.rung, made_at=before.made_at, vmaf_gain=gain,
                seconds_ratio=round(row.wall_s / old.wall_s, 3),
            )
        )  # fmt: skip
    return tuple(found)


def speedups(run: BenchRun) -> dict[tuple[str, Rung], float]:
    """Return how many times as fast as the CPU each other way was: the median of rounds, each against its own.

    Rounds are compared with themselves, for a machine may be busier in one than in another.
    """
    found: dict[tuple[str, Rung], float] = {}
    for material in run.materials:
        by_round = {
            (one.rung, one.round): one.wall_s
            for one in run.measurements if one.material == material.name and one.failure is None
        }  # fmt: skip
        for rung in dict.fromkeys(rung for rung, _ in by_round if rung != "cpu"):
            ratios = [
                by_round["cpu", number] / wall_s
                for (of, number), wall_s in by_round.items() if of == rung and ("cpu", number) in by_round
            ]  # fmt: skip
            if ratios:
                found[material.name, rung] = round(statistics.median(ratios), 2)
    return found
