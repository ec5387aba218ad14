"""The scores of a comparison: first proof that the way of measuring finds identical pictures so, then the encode's."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from reelpress.facts.quality import FrameScores, Window
from reelpress.quality.align import Alignment
from reelpress.quality.graph import (
    HALF_TICK_S,
    LEAD_S,
    Span,
    score,
    xpsnr,
)
from reelpress.quality.looking import MeasuringError, Times
from reelpress.quality.selftest import SELF_FRAMES, judge_self
from reelpress.quality.vmaf import LogReader, XpsnrReader
from reelpress.quality.work import Pair, Run, Work

_EXACT_S = 0.0002  # lest rounding puts a frame before itself
_SAME_S = 0.0015  # times that are told apart by less are one: Matroska rounds to milliseconds


def prove(work: Work, runs: Sequence[Run]) -> None:
    """Score the reference against itself, a few frames of every stretch on the way that the encode will go.

    Raises :class:`MeasuringError` where identical pictures are not found identical.
    """
    frames, scores = 0, []
    reference = work.brought(work.reference)
    for window, (_, seen) in runs:
        from_s = window.start_s - HALF_TICK_S if window is not None else 0.0
        to_s = from_s + window.duration_s if window is not None else float("inf")
        inside = [float(t) for t in seen.at_s if from_s <= t < to_s][:SELF_FRAMES]
        if not inside:
            continue
        reader = LogReader()
        argv = score(
            work.ffmpeg, reference, reference, work.view, window, work.folder,
            Span(late_s=_EXACT_S, from_s=inside[0], until_s=inside[-1], wanted_from_s=inside[0]), threads=work.threads,
        )  # fmt: skip
        work.runner.run(argv, "The reference could not be scored against itself.", on_line=reader.feed)
        made, again = Times(work.folder / "made.times"), Times(work.folder / "wanted.times")
        found = judge_self(reader, made, again, expected_s=inside, late_s=_EXACT_S, pix_fmt=work.view.pix_fmt)
        frames += found.frames
        scores += list(reader.column("vmaf"))
        mean = round(sum(scores) / len(scores), 3) if scores else None
        work.self_test = msgspec.structs.replace(found, frames=frames, vmaf=mean)
        if not found.passed:
            raise MeasuringError(
                "The reference against itself is not what identical pictures are.", evidence=found.why_not,
                reason="self_test",
            )  # fmt: skip
    if work.self_test is None:
        raise MeasuringError("The reference has no picture where it was to be measured.", reason="no_frames")


class Scored:
    """The scores of one stretch, frame by frame."""

    def __init__(self, at_s: list[float], reader: LogReader, leads: int = 0) -> None:
        all_frames = reader.scores(at_s)
        names = ("at_s", "vmaf", "psnr_y_db", "psnr_cb_db", "psnr_cr_db")
        self.frames = FrameScores(**{name: getattr(all_frames, name)[leads:] for name in names})
        self.ssim = reader.column("float_ssim")[leads:]
        self.xpsnr: tuple[float, ...] = ()


def score_stretch(work: Work, run: Run, alignment: Alignment) -> Scored:
    """Score one stretch.

    Raises :class:`MeasuringError` where other frames were compared than should have been.
    """
    window, pair = run
    expected, leads = _to_score(pair, window, alignment)
    if not expected:
        return Scored([], LogReader())
    encoded = work.brought(work.encoded)
    reference = work.brought(work.reference)
    reader = LogReader()
    features = ("psnr", "float_ssim") if work.how.ssim else ("psnr",)
    late_s = alignment.late_s
    first_s = float(max(t for t in pair[1].at_s if t <= expected[0] + late_s))
    span = Span(late_s=late_s, from_s=expected[0], until_s=expected[-1], wanted_from_s=first_s)
    place = (work.ffmpeg, encoded, reference, work.view, window, work.folder, span)
    argv = score(*place, threads=work.threads, features=features, every=work.how.every)
    work.runner.run(argv, "The encode could not be scored.", on_line=reader.feed)
    made, wanted = Times(work.folder / "made.times"), Times(work.folder / "wanted.times")
    times = [t - alignment.late_s for t in made.at_s]
    off_s = max((abs(a - b) for a, b in zip(times, expected, strict=False)), default=0.0)
    numbers = reader.numbers()
    right = len(times) == len(expected) and off_s < _SAME_S and wanted.at_s[:1] <= made.at_s[:1]
    if not right or numbers != tuple(range(0, len(times), work.how.every)):
        told = f"{len(expected)} frames to compare, {len(times)} came, {len(numbers)} scored, {off_s * 1000:.1f} ms off"
        where = f" at {window.start_s:.1f} s" if window is not None else ""
        raise MeasuringError(
            f"Other frames were compared{where} than should have been.", evidence=told, reason="pairing"
        )  # fmt: skip
    found = Scored([round(max(0.0, times[n]) + alignment.lag_s, 6) for n in numbers], reader, leads)
    if work.how.xpsnr:
        lines = XpsnrReader()
        work.runner.run(xpsnr(*place), "XPSNR could not be measured.", on_line=lines.feed)
        found.xpsnr = tuple(lines.luma_db[n] for n in numbers if n < len(lines.luma_db))[leads:]
    return found


def _to_score(pair: Pair, window: Window | None, alignment: Alignment) -> tuple[list[float], int]:
    """Return the times of the encode's frames to compare, on its own clock, and how many of them only lead there.

    They are all for which the reference has a picture. VMAF takes the first frame of all for one without movement, so
    a window begins with the frame before it, whose score is thrown away.
    """
    made, wanted = pair
    if not len(made) or not len(wanted):
        return [], 0
    first, last = float(wanted.at_s[0]), float(wanted.at_s[-1]) + alignment.frame_s
    times = [float(t) for t in made.at_s if first <= t + alignment.late_s and t + alignment.lag_s <= last]
    if window is None:
        return times, 0
    begin_s = window.start_s - HALF_TICK_S
    inside = [t for t in times if begin_s <= t < begin_s + window.duration_s]
    before = [t for t in times if begin_s - LEAD_S <= t < begin_s][-1:]
    return ([*before, *inside], len(before)) if inside else ([], 0)


def together(scored: Sequence[Scored]) -> FrameScores:
    """Return the scores of all stretches as one."""
    names = ("at_s", "vmaf", "psnr_y_db", "psnr_cb_db", "psnr_cr_db")
    return FrameScores(**{name: tuple(v for one in scored for v in getattr(one.frames, name)) for name in names})
