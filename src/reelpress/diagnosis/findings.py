"""What the doctor found, as its ``--json`` has it."""

from __future__ import annotations

from reelpress.diagnosis.gpu import GpuReport, NeededApi
from reelpress.diagnosis.problems import Problem
from reelpress.facts.host import EncoderFacts
from reelpress.facts.values import Value
from reelpress.plan.calibration import CurveState
from reelpress.probe.gpu_finding import GpuFinding


class Build(Value, frozen=True, kw_only=True):
    """One FFmpeg, the CPU encoders that were tried with it, and the NVENC API it asks for, where a driver showed it."""

    path: str
    origin: str
    version: str
    encoders: tuple[EncoderFacts, ...]
    nvenc_api: NeededApi | None = None


class CalibrationState(Value, frozen=True, kw_only=True):
    """What was measured by ``reelpress calibrate``, when (UTC, ISO 8601), and which of its curves hold here now."""

    made_at: str
    curves: tuple[CurveState, ...]


class Findings(Value, frozen=True, kw_only=True, tag_field="event", tag="doctor"):
    """What the doctor found; ``exit_code`` answers ``asked`` (auto, require or off).

    ``gpu`` is the short answer, without the paths that ``gpus`` tell of. ``gpu_s`` of ``wall_s`` went into GPUs.
    """

    asked: str
    exit_code: int
    healthy: bool
    wall_s: float
    gpu_s: float
    cores: int
    memory_mb: int | None
    builds: tuple[Build, ...]
    gpu: GpuFinding
    gpus: tuple[GpuReport, ...]
    problems: tuple[Problem, ...]
    advice: tuple[str, ...]
    calibration: CalibrationState | None = None
