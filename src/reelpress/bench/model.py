"""What a run of the benchmark is, as values: one JSON document that names no path, no file and no host."""

from __future__ import annotations

from reelpress.facts.calibration import Calibration
from reelpress.facts.values import Value
from reelpress.plan.model import Rung
from reelpress.request import Hardware

SCHEMA = 1


class Material(Value, frozen=True, kw_only=True):
    """One input. ``name`` is its size (``300 MB``) or a number (``file 1``); MB are 10^6 bytes.

    ``video`` says codec, size, rate and pixel format, as receipts do.
    """

    name: str
    generated: bool
    size_bytes: int
    duration_s: float
    video: str


class Measurement(Value, frozen=True, kw_only=True):
    """One whole job: probe, plan, encode, checks, receipt. ``failure`` is ``None`` where it delivered.

    ``encode_s`` is of that with FFmpeg at work. ``energy_j`` is what the GPU drew meanwhile, all that it does included,
    by NVML; ``None`` where it does not tell or none was used. ``peak_memory_bytes`` is FFmpeg's own. ``usd`` is by the
    tariff of the run; ``None`` where a part of what was used has no price, as ``tariff`` says then.
    """

    material: str
    rung: Rung
    round: int
    encoder: str | None
    gpu: str | None
    wall_s: float
    encode_s: float
    cpu_s: float
    size_bytes: int | None
    usd: float | None
    energy_j: float | None = None
    peak_memory_bytes: int | None = None
    failure: str | None = None


class Score(Value, frozen=True, kw_only=True):
    """How good one way's output of one input looks: VMAF over stretches of it, or why that is not known."""

    material: str
    rung: Rung
    vmaf: float | None
    vmaf_worst_second: float | None = None
    unmeasured: str | None = None


class Encodes(Value, frozen=True, kw_only=True):
    """An encoder that works on a GPU, and the optional features it took there."""

    encoder: str
    features: tuple[str, ...]


class BenchGpu(Value, frozen=True, kw_only=True):
    """One GPU, without its UUID."""

    name: str
    memory_mb: int | None
    driver_version: str | None
    compute_capability: str | None
    nvenc_api: str | None
    encodes: tuple[Encodes, ...] = ()


class Machine(Value, frozen=True, kw_only=True):
    """On what it ran. ``load`` is the load average of a minute before the first job, ``None`` where unknown."""

    cpu: str | None
    cores: int
    memory_mb: int | None
    system: str
    gpus: tuple[BenchGpu, ...]
    ffmpegs: tuple[str, ...]
    gpu_note: str | None
    load: float | None = None


class Choice(Value, frozen=True, kw_only=True):
    """What was asked of every job; two runs are comparable where this is the same."""

    codec: str
    crf: float | None
    preset: str | None
    gpu_preset: str
    max_width: int
    max_height: int


class BenchRun(Value, frozen=True, kw_only=True):
    """Everything of one run. ``made_at`` is UTC, ISO 8601; with ``hardware`` ``off`` no GPU was looked for."""

    schema: int = SCHEMA
    made_at: str
    hardware: Hardware = "auto"
    reelpress_version: str
    machine: Machine
    choice: Choice
    tariff: str
    rounds: int
    materials: tuple[Material, ...]
    measurements: tuple[Measurement, ...]
    scores: tuple[Score, ...]
    absent: tuple[str, ...] = ()  # why ways of using a GPU were not measured
    calibration: Calibration | None = None
