"""What a clip is to be: one frozen value, independent of where it came from (flags, a file, the API, the wizard)."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from reelpress.facts.calibration import CalibrationUse
from reelpress.facts.captions import Captions
from reelpress.facts.framing import Framing
from reelpress.facts.gate import GateWish
from reelpress.facts.values import Value
from reelpress.request import Hardware

LayoutChoice = Literal["auto", "still", "track", "fit", "split"]


class ClipRequest(Value, frozen=True, kw_only=True):
    """One clip: from where to where (programme seconds), and how.

    ``framing`` ``None`` lets analysis decide, within ``layout``; shots of a given framing whose ``rule`` is ``hand``
    are never changed. ``fps`` of the output is the source's, at most ``max_fps`` and at least ``min_fps``, constant.
    ``loudness_lufs`` is integrated loudness (ITU-R BS.1770), ``true_peak_dbtp`` the highest true peak; ``None`` leaves
    the loudness as it is. ``preset`` ``shorts`` is the product's own for vertical clips.
    ``gate`` is what is asked of its quality and size.
    """

    start_s: float
    end_s: float
    name: str | None = None
    width: int = 1080
    height: int = 1920
    layout: LayoutChoice = "auto"
    framing: Framing | None = None
    captions: Captions | None = None
    max_fps: Fraction = Fraction(60)
    min_fps: Fraction = Fraction(23)
    preset: str = "shorts"
    crf: float | None = None
    audio_bitrate_bps: int = 192_000
    loudness_lufs: float | None = -14.0
    true_peak_dbtp: float = -2.0
    hardware: Hardware = "auto"
    max_pixels: int = 8192 * 8192
    threads: int = 0  # 0 lets the encoder choose
    gate: GateWish = GateWish()
    calibration: CalibrationUse = "cq"

    @property
    def duration_s(self) -> float:
        """How long the clip is to be, in seconds."""
        return self.end_s - self.start_s
