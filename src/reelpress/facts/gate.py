"""What an output has to be good for, as values: what was asked of its looks and its size, and what each try came to."""

from __future__ import annotations

from typing import Literal

from reelpress.facts.quality import Pooled, Viewing, Window
from reelpress.facts.values import Value

Windows = Literal["sampled", "whole"]
OnMiss = Literal["keep", "deliver"]
# Gates of receipts that are about quality and size: they are met by another setting, not by another way to encode.
QUALITY_GATES = ("vmaf", "vmaf_worst", "size_ratio")


class GateWish(Value, frozen=True, kw_only=True):
    """What is asked of an output; nothing is measured unless something is.

    ``min_vmaf`` is the least mean of all frames looked at, ``min_vmaf_worst`` that of the worst second, both 0 to 100.
    ``max_size_ratio`` is the most bytes of the output for each of the input, over 0. ``windows`` says whether all
    of the output is looked at or a few stretches. An encode that misses is made again at another setting, ``retries``
    times at most. Where none meets it, ``on_miss`` keeps the input and delivers nothing, or delivers the best there is.
    With ``measures`` a score is taken though nothing is held against it.
    """

    min_vmaf: float | None = None
    min_vmaf_worst: float | None = None
    max_size_ratio: float | None = None
    windows: Windows = "sampled"
    retries: int = 2
    on_miss: OnMiss = "keep"
    measures: bool = False

    @property
    def asks_quality(self) -> bool:
        """Whether a visual score is asked for."""
        return self.measures or self.min_vmaf is not None or self.min_vmaf_worst is not None

    @property
    def is_set(self) -> bool:
        """Whether anything is asked for at all."""
        return self.asks_quality or self.max_size_ratio is not None


class Scored(Value, frozen=True, kw_only=True):
    """What was measured on one output. ``vmaf`` ``None``: it is not known how good it is, and ``cause`` says why.

    ``windows`` are the stretches looked at, in seconds from the first picture, ``seconds`` their sum. ``self_test``
    says how the check of the measurement itself ended. ``findings`` are what else was seen to be wrong with the output.
    """

    vmaf: Pooled | None
    cause: str | None = None
    model: str | None = None
    viewing: Viewing | None = None
    whole: bool = False
    windows: tuple[Window, ...] = ()
    frames: int = 0
    seconds: float = 0.0
    self_test: str | None = None
    findings: tuple[str, ...] = ()


class Try(Value, frozen=True, kw_only=True):
    """One encode that was held against what was asked.

    ``setting`` is its CRF or CQ, on the scale of ``encoder``. ``size_ratio`` is its bytes for each of the input's.
    An encode that was ``stopped`` for its size has the size that it was on course for, and no scores. ``missed`` names
    the gates that it did not pass.
    """

    encoder: str
    setting: float
    size_bytes: int | None
    size_ratio: float | None
    vmaf: float | None
    vmaf_worst: float | None
    missed: tuple[str, ...]
    unmeasured: str | None = None
    stopped: str | None = None
    delivered: bool = False
