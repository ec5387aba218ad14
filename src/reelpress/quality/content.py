"""Measures what kind of picture samples show: flatness, noise, light and change, by FFmpeg's own filters."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

from reelpress.facts.formats import QUIET
from reelpress.facts.numbers import quantile
from reelpress.facts.quality import ContentFacts
from reelpress.quality.samples import Sample, SampleError, sample_input
from reelpress.run.process import CancelToken, Limits, run

_LIMITS = Limits(wall_s=300, stall_s=60)
NEEDED_FILTERS = frozenset({"convolution", "lutyuv", "mergeplanes", "signalstats", "metadata", "split", "format"})
# A plane through its neighbours leaves nothing of a pixel here (J. Immerkaer, Fast Noise Variance Estimation, 1996).
# What is negative is cut off: the other half, on average.
_LAPLACIAN = "convolution='1 -2 1 -2 4 -2 1 -2 1':0rdiv=1:0bias=0"
# One picture holds all three, so that one line of statistics tells of all: luma, Laplacian, and where that is not zero.
_GRAPH = (
    f"format=gray,split=3[luma][a][b];[a]{_LAPLACIAN}[edges];"
    f"[b]{_LAPLACIAN},lutyuv=y='if(gt(val,0),255,0)'[busy];"
    "[luma][edges][busy]mergeplanes=0x001020:yuv444p,signalstats,metadata=mode=print:file=-"
)
_LINE = re.compile(r"lavfi\.signalstats\.(YAVG|UAVG|VAVG|UMAX|YDIF)=([0-9.]+)")


class Stats:
    """Gathers the statistics of frames from the lines of FFmpeg's ``metadata`` filter."""

    def __init__(self) -> None:
        self._columns: dict[str, list[float]] = {"YAVG": [], "UAVG": [], "VAVG": [], "UMAX": [], "YDIF": []}

    def feed(self, line: str) -> None:
        """Take one line; what is no statistic is passed over."""
        found = _LINE.fullmatch(line.strip())
        if found is not None:
            self._columns[found[1]].append(float(found[2]))

    @property
    def frames(self) -> int:
        """How many frames have been measured."""
        return len(self._columns["YAVG"])

    def facts(self) -> ContentFacts:
        """Return the means over all frames; there is at least one."""
        column = self._columns
        return ContentFacts(
            frames=self.frames, luma=round(_mean(column["YAVG"]), 2),
            busy_share=round(min(1.0, 2 * _mean(column["VAVG"]) / 255), 4), edge_peak=round(_mean(column["UMAX"]), 1),
            noise_sigma=round(2 * _mean(column["UAVG"]) * math.sqrt(math.pi / 2) / 6, 3),
            change=round(_mean(column["YDIF"]), 3),
            change_p95=round(quantile(sorted(column["YDIF"]), 0.95), 3),
        )  # fmt: skip


def look_at_content(
    samples: Sequence[Sample],
    *,
    ffmpeg: str,
    cancel: CancelToken | None = None,
    spend: Callable[[float], None],
) -> ContentFacts:
    """Measure all frames of samples. ``spend`` is told CPU seconds. Raises :class:`SampleError`."""
    stats = Stats()
    for sample in samples:
        done = run(
            (
                ffmpeg, *QUIET,
                *sample_input(sample.path), "-filter_complex", f"[0:v:0]{_GRAPH}", "-f", "null", "-",
            ),
            limits=_LIMITS, cancel=cancel, on_line=stats.feed,
        )  # fmt: skip
        spend(done.cpu_s)
        if done.returncode != 0:
            raise SampleError("A sample could not be measured.", evidence=done.last_words())
    if not stats.frames:
        raise SampleError("The samples hold no frame to measure.")
    return stats.facts()


def _mean(numbers: Sequence[float]) -> float:
    return math.fsum(numbers) / len(numbers) if numbers else 0.0
