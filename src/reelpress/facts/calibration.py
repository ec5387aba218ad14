"""What encoders of this machine were seen to make of the same pictures: points of quality, size and work, as values."""

from __future__ import annotations

from typing import Literal

from reelpress.facts.quality import Viewing
from reelpress.facts.values import Value

# What a calibration of this machine is used for: nothing, the CQ that stands for a CRF, or default CRFs besides.
CalibrationUse = Literal["off", "cq", "defaults"]

# The form of a stored calibration; one of another form is measured anew.
CALIBRATION_SCHEMA = 1


class CalibrationClip(Value, frozen=True, kw_only=True):
    """What was encoded. ``name`` is ours (``motion``, ``file 1``), never a file's; ``sha256`` is of its lossless form.

    ``seconds`` is all of it together, in ``frames`` pictures.
    """

    name: str
    sha256: str
    width: int
    height: int
    seconds: float
    frames: int


class CurvePoint(Value, frozen=True, kw_only=True):
    """One clip with one setting. ``quality`` is on the encoder's own scale: CRF, or CQ for NVENC; lower is better.

    ``vmaf`` is the mean over frames, 0 to 100. ``bytes_per_s`` is of video alone, per second of programme, and
    ``cpu_s_per_s`` the CPU seconds that FFmpeg took for it, reading included.
    """

    clip: str
    quality: float
    vmaf: float
    bytes_per_s: float
    cpu_s_per_s: float


class Curve(Value, frozen=True, kw_only=True):
    """One encoder with one preset, on what it ran: all three have to be the same for the points to hold.

    ``preset`` is as the encoder is told it (``lean``, ``8``, ``p1``). The GPU's fields are ``None`` on the CPU.
    ``made_at`` is that of an earlier measurement of the same clips that it was kept from, ``None`` for this one's.
    """

    encoder: str
    preset: str
    ffmpeg_version: str
    gpu: str | None = None
    driver_version: str | None = None
    compute_capability: str | None = None
    made_at: str | None = None
    points: tuple[CurvePoint, ...] = ()


class Calibration(Value, frozen=True, kw_only=True):
    """All curves of one measurement. ``made_at`` is UTC, ISO 8601; ``cpu`` the model as the system names it."""

    schema: int = CALIBRATION_SCHEMA
    made_at: str
    reelpress_version: str
    cpu: str | None
    cores: int
    viewing: Viewing = "1080p"
    clips: tuple[CalibrationClip, ...] = ()
    curves: tuple[Curve, ...] = ()
