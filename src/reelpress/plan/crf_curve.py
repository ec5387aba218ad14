"""What settings of one encoder come to, from a few points of its scale. Pure.

Over most of a scale 100 less VMAF grows with CRF as an exponential does, at a rate that differs little between
pictures: so points are connected by lines of the logarithm of what is lost.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from reelpress.facts.numbers import never_rising
from reelpress.facts.values import Value
from reelpress.plan.encoders import EncoderRow

_LEAST_LOSS = 0.05  # nothing scores more than 100 less this here, so that there is a logarithm of what is lost
_RATES = (0.4, 2.5)  # a measured rate is believed within these multiples of the usual one


class Point(Value, frozen=True, kw_only=True):
    """What a setting came to on the samples: mean VMAF, and bytes of video per second of programme."""

    crf: float
    vmaf: float
    bytes_per_s: float


class Scale(Value, frozen=True, kw_only=True):
    """An encoder's scale as far as it is searched: ``best`` to ``worst`` in ``step``, lower numbers being better.

    ``usual_crf`` is where VMAF 93 is expected, ``rate`` by how much the logarithm of what is lost to 100 grows for one
    more on the scale, ``halves`` how many more halve the bytes.
    """

    best: float
    worst: float
    step: float
    usual_crf: float
    rate: float
    halves: float

    def numbers(self) -> list[float]:
        """Return all settings, best quality first."""
        count = math.floor((self.worst - self.best) / self.step + 1e-9) + 1
        return [round(self.best + n * self.step, 4) for n in range(count)]


# Ends: below the best nothing is seen any more and bytes run away; above the worst VMAF no longer tells how bad it
# looks (banding, blocks in the dark). Where VMAF 93 lies and how fast it falls are about the medians of four real clips
# (two films, two talks) at 540 lines: x264 had 93 at CRF 23 to 31 and rates of 0.07 to 0.16, x265 at 23 to 34 and 0.05
# to 0.16, SVT-AV1 at 34 to 45 and 0.03 to 0.07. NVENC's are guesses after plan.nvenc; a search corrects them.
_SCALES = {
    "libx264": Scale(best=12, worst=40, step=0.25, usual_crf=25.0, rate=0.11, halves=6.0),
    "libx265": Scale(best=12, worst=42, step=0.25, usual_crf=26.0, rate=0.105, halves=5.7),
    "libsvtav1": Scale(best=12, worst=58, step=1, usual_crf=37.0, rate=0.055, halves=10.7),
    "h264_nvenc": Scale(best=12, worst=44, step=1, usual_crf=28.0, rate=0.115, halves=6.0),
    "hevc_nvenc": Scale(best=12, worst=44, step=1, usual_crf=28.0, rate=0.11, halves=6.0),
    "av1_nvenc": Scale(best=12, worst=56, step=1, usual_crf=34.0, rate=0.08, halves=9.0),
}


def scale_of(row: EncoderRow) -> Scale:
    """Return the scale on which an encoder is searched."""
    return _SCALES[row.name]


def predict(points: Sequence[Point], scale: Scale, crf: float) -> Point:
    """Return what a setting will come to: as measured where a point is of it, else between the points or beyond."""
    known = falling(points)
    at = next((p for p in known if p.crf == crf), None)
    if at is not None:
        return at
    left = next((p for p in reversed(known) if p.crf < crf), None)
    right = next((p for p in known if p.crf > crf), None)
    if left is not None and right is not None:
        share = (crf - left.crf) / (right.crf - left.crf)
        loss = loss_of(left.vmaf) + share * (loss_of(right.vmaf) - loss_of(left.vmaf))
        size = math.exp(_log(left.bytes_per_s) + share * (_log(right.bytes_per_s) - _log(left.bytes_per_s)))
    else:
        near = left or right
        assert near is not None  # noqa: S101 - there is at least one point
        loss = loss_of(near.vmaf) + (crf - near.crf) * rate_of(known, scale)
        size = near.bytes_per_s * 2 ** ((near.crf - crf) / scale.halves)
    return Point(crf=crf, vmaf=round(_vmaf(loss), 3), bytes_per_s=round(size, 1))


def falling(points: Sequence[Point]) -> list[Point]:
    """Return points in order of settings with scores and bytes that never rise: neighbours that do are pooled."""
    ordered = sorted({p.crf: p for p in points}.values(), key=lambda p: p.crf)
    vmaf = never_rising([p.vmaf for p in ordered])
    size = never_rising([p.bytes_per_s for p in ordered])
    return [Point(crf=p.crf, vmaf=v, bytes_per_s=s) for p, v, s in zip(ordered, vmaf, size, strict=True)]


def is_flat(points: list[Point], scale: Scale) -> bool:
    """Tell whether better settings score no higher any more: of two points some way apart, at the good end."""
    if len(points) < 2:
        return False
    first, second = points[0], points[1]
    apart = second.crf - first.crf
    return apart * scale.rate >= 0.2 and loss_of(second.vmaf) - loss_of(first.vmaf) < 0.15 * scale.rate * apart


def rate_of(points: list[Point], scale: Scale) -> float:
    """Return how fast the loss grows: as between the outermost points, if that is credible."""
    if len(points) < 2:
        return scale.rate
    seen = (loss_of(points[-1].vmaf) - loss_of(points[0].vmaf)) / (points[-1].crf - points[0].crf)
    return min(max(seen, scale.rate * _RATES[0]), scale.rate * _RATES[1])


def crf_at(points: list[Point], scale: Scale, target: float) -> float:
    """Return the setting at which the line through the two points around the target meets it."""
    for low, high in itertools.pairwise(points):
        if low.vmaf >= target > high.vmaf:
            share = (loss_of(target) - loss_of(low.vmaf)) / (loss_of(high.vmaf) - loss_of(low.vmaf))
            return low.crf + share * (high.crf - low.crf)
    return scale.usual_crf


def loss_of(vmaf: float) -> float:
    """Return the logarithm of what is lost to 100."""
    return math.log(max(100.0 - vmaf, _LEAST_LOSS))


def _vmaf(loss: float) -> float:
    return max(0.0, 100.0 - math.exp(loss))


def _log(value: float) -> float:
    return math.log(max(value, 1.0))
