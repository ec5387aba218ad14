"""VMAF as FFmpeg's ``libvmaf`` gives it: the filter's text, its log, and scores of frames pooled to a few. Pure.

Models are Netflix's (https://github.com/Netflix/vmaf/blob/master/resource/doc/models.md).
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from typing import Literal

from reelpress.facts.numbers import quantile
from reelpress.facts.quality import FrameScores, Pooled, Viewing, WorstSecond

# By where it is watched: for phones the same model with the transform of scores that Netflix fitted for them.
MODELS: dict[Viewing, str] = {
    "phone": "version=vmaf_v0.6.1:enable_transform=true:name=vmaf",
    "1080p": "version=vmaf_v0.6.1:name=vmaf",
    "4k": "version=vmaf_4k_v0.6.1:name=vmaf",
}
# Why nothing is scored where a host has no scorer: as a part of a sentence, and as what is told with a way out.
NO_SCORER = "no FFmpeg here has libvmaf"
NO_SCORER_TOLD = "No FFmpeg here has libvmaf; the one that pip installs with Reelpress has."
_LEAST_SIDE = 17  # with less VIF has nothing left at its coarsest scale, and libvmaf crashes
LOG_PATH = "/dev/stdout"  # libvmaf opens it by name; nothing else of the command may write there


def too_small(width: int, height: int) -> str | None:
    """Return why pictures of this size cannot be scored; ``None`` where they can."""
    return f"Pictures of {width}x{height} are too small for VMAF." if min(width, height) < _LEAST_SIDE else None


def libvmaf_filter(
    viewing: Viewing,
    *,
    threads: int,
    features: Sequence[str] = ("psnr",),
    every: int = 1,
    sync: Literal["nearest", "default"] = "nearest",
) -> str:
    """Return the filter that compares its first input with its second, the reference, for :class:`LogReader`.

    Both have to be of one size and pixel format. Frames are paired by time, each of the first input with the nearest of
    the second, or (``default``) with the one on the screen at its time. ``every`` n-th frame is scored.
    """
    model = MODELS[viewing].replace(":", r"\\:")
    wanted = "|".join(f"name={name}" for name in features)
    more = f":feature={wanted}" if features else ""
    return (
        f"libvmaf=log_fmt=csv:log_path={LOG_PATH}:n_threads={threads}:n_subsample={every}:model={model}{more}"
        f":ts_sync_mode={sync}:repeatlast=1"
    )


class LogReader:
    """Gathers scores from the lines of libvmaf's CSV log; lines that are none of it are passed over."""

    def __init__(self) -> None:
        self._columns: dict[str, int] = {}
        self._rows: list[list[float]] = []

    def feed(self, line: str) -> None:
        """Take one line."""
        fields = line.strip().rstrip(",").split(",")
        if fields[0] == "Frame" and "vmaf" in fields:
            self._columns = {name: place for place, name in enumerate(fields)}
        elif self._columns and len(fields) == len(self._columns):
            try:
                self._rows.append([float(field) for field in fields])
            except ValueError:
                return

    @property
    def frames(self) -> int:
        """How many frames have been scored."""
        return len(self._rows)

    def numbers(self) -> tuple[int, ...]:
        """Return the frames' numbers in the order of the comparison, from 0."""
        return tuple(int(row[0]) for row in self._rows)

    def column(self, name: str) -> tuple[float, ...]:
        """Return one metric of all frames, by libvmaf's name; empty where it was not measured."""
        place = self._columns.get(name)
        return () if place is None else tuple(row[place] for row in self._rows)

    def scores(self, at_s: Sequence[float]) -> FrameScores:
        """Return the scores of frames that are at these times; there have to be as many."""
        names = ("psnr_y", "psnr_cb", "psnr_cr")
        psnr_y, psnr_cb, psnr_cr = (self.column(name) for name in names)
        return FrameScores(
            at_s=tuple(at_s), vmaf=self.column("vmaf"), psnr_y_db=psnr_y, psnr_cb_db=psnr_cb, psnr_cr_db=psnr_cr
        )


class XpsnrReader:
    """Gathers luma's XPSNR of each frame from the lines of FFmpeg's ``xpsnr``; identical pictures count as 100 dB."""

    def __init__(self) -> None:
        self.luma_db: list[float] = []

    def feed(self, line: str) -> None:
        """Take one line."""
        found = _XPSNR.match(line)
        if found is not None:
            self.luma_db.append(min(_MOST_XPSNR_DB, float(found[1])))


_XPSNR = re.compile(r"n: +\d+ +XPSNR y: *([0-9.]+|inf)")
_MOST_XPSNR_DB = 100.0  # an end to infinity, so that it can be pooled


def pool(scores: Sequence[float], at_s: Sequence[float] = ()) -> Pooled:
    """Return what is told of the scores of frames; with their times also the worst second. There is at least one.

    The worst second is looked for among whole seconds that begin with a frame and hold at least two.
    """
    ordered = sorted(scores)
    mean = math.fsum(scores) / len(scores)
    # https://github.com/Netflix/vmaf/blob/master/libvmaf/src/libvmaf.c: one is added, lest 0 divides
    harmonic = len(scores) / math.fsum(1 / (score + 1) for score in scores) - 1
    return Pooled(
        mean=round(mean, 4), harmonic_mean=round(harmonic, 4), p5=round(quantile(ordered, 0.05), 4),
        p1=round(quantile(ordered, 0.01), 4), min=round(ordered[0], 4), worst_second=_worst_second(scores, at_s),
    )  # fmt: skip


def _worst_second(scores: Sequence[float], at_s: Sequence[float]) -> WorstSecond | None:
    gaps = sorted(after - before for before, after in itertools.pairwise(at_s))
    frame_s = gaps[len(gaps) // 2] if gaps else 0.0
    worst: WorstSecond | None = None
    end = 0
    for start, begins in enumerate(at_s):
        while end < len(at_s) and at_s[end] < begins + 1:
            end += 1
        # a second that the programme, or a gap in it, cuts short is none
        if end - start >= 2 and at_s[end - 1] - begins >= 1 - 1.5 * frame_s:
            mean = math.fsum(scores[start:end]) / (end - start)
            if worst is None or mean < worst.score:
                worst = WorstSecond(score=round(mean, 4), at_s=round(begins, 3))
    return worst
