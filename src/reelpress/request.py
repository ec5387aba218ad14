"""What the caller wants: one frozen value, independent of where it came from (flags, environment, API)."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import msgspec

from reelpress.facts.calibration import CalibrationUse
from reelpress.facts.gate import GateWish
from reelpress.facts.values import Value

Codec = Literal["h264", "hevc", "av1"]
Hardware = Literal["auto", "require", "off"]
HdrPolicy = Literal["tonemap", "keep"]
AudioChannels = Literal["keep", "stereo"]

CODECS: tuple[Codec, ...] = ("h264", "hevc", "av1")


class Request(Value, frozen=True, kw_only=True):
    """What to make of an input.

    ``crf`` is on the chosen encoder's own scale; ``None`` takes that encoder's default. ``cq`` is NVENC's, used as it
    is; ``None`` takes the one that stands for the CRF. ``target_vmaf`` has both searched on samples. ``max_width`` x
    ``max_height`` is a box for the *longer* and the *shorter* side: 1280x720 lets a portrait video be 720x1280.
    ``gate`` is what is asked of the output's quality and size.
    """

    codec: Codec = "h264"
    crf: float | None = None
    cq: float | None = None
    target_vmaf: float | None = None
    preset: str | None = None
    gpu_preset: str = "fast"
    max_width: int = 1280
    max_height: int = 720
    max_fps: Fraction = Fraction(30)
    audio_bitrate_bps: int = 128_000
    audio_channels: AudioChannels = "keep"
    hdr: HdrPolicy = "tonemap"
    hardware: Hardware = "auto"
    max_input_bytes: int = 1_000_000_000
    min_saving: float = 0.05  # an encode must be at least this much smaller than its input, as a share of it
    always_encode: bool = False  # deliver an encode even where it does not pay
    max_pixels: int = 8192 * 8192
    threads: int = 0  # 0 lets the encoder choose
    gate: GateWish = GateWish()
    resolution: Literal["fixed", "auto"] = "fixed"  # auto: what samples look best at, within the box
    calibration: CalibrationUse = "cq"


def with_codec(request: Request, codec: Codec) -> Request:
    """Return a request for another codec: quality and preset are on a scale of their own encoder's."""
    if codec == request.codec:
        return request
    return msgspec.structs.replace(request, codec=codec, crf=None, preset=None)
