"""Scores a clip against what its own graph makes of the source in software, the same pictures in the same places.

A clip's reference exists nowhere: windows, captions and colours are made while it is encoded. So each stretch is made
once more by the filters that made the clip, and both go into libvmaf of one FFmpeg, frame by number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from reelpress.facts.formats import OUR_MP4, QUIET
from reelpress.facts.gate import GateWish, Scored
from reelpress.facts.host import HostFacts
from reelpress.facts.quality import FrameScores, Pooled, Viewing, Window, WorstSecond
from reelpress.plan.model import ClipStretch, with_files
from reelpress.quality.measure import model_name
from reelpress.quality.places import choose_windows, covers, read_packets
from reelpress.quality.views import FROM_LINES_4K
from reelpress.quality.vmaf import NO_SCORER_TOLD, LogReader, libvmaf_filter, pool
from reelpress.run.process import CancelToken, Limits, run

# Features of two equal pictures, which every score rests on: libvmaf's VIF and ADM are 1 there, to rounding.
_EQUAL_FEATURES = ("integer_vif_scale0", "integer_vif_scale1", "integer_vif_scale2", "integer_vif_scale3",
                   "integer_adm2")  # fmt: skip
_EQUAL_WITHIN = 1e-3
_SELF_TEST_FRAMES = 8
_LABELS = re.compile(r"\[([a-z][a-z0-9]*)\]")
_GAP_S = 10.0  # between stretches where they are pooled, so that no second reaches over two


def viewing_of(width: int, height: int) -> Viewing:
    """Return on what pictures of a size are watched, for the model: the shorter side tells, as of portraits."""
    return "4k" if min(width, height) > FROM_LINES_4K else "1080p"


def score_clip(
    host: HostFacts,
    source_url: str,
    output: Path,
    duration_s: float,
    stretches_of: Callable[[Sequence[Window]], tuple[ClipStretch, ...]],
    *,
    wish: GateWish,
    windows: tuple[Window, ...] = (),
    viewing: Viewing,
    files: Mapping[str, str],
    cancel: CancelToken | None,
    spend: Callable[[float], None],
) -> Scored:
    """Return how alike a clip is to what it was made of.

    ``stretches_of`` says how software makes the pictures of windows, and ``files`` are what stands for the paths in
    graphs. ``windows`` are those to look at instead of what this output suggests. Anything that keeps it from being
    known is a cause in the answer, a cancel too.
    """
    scorer = host.scorer
    if scorer is None:
        return Scored(vmaf=None, cause=NO_SCORER_TOLD)
    if wish.windows == "whole":
        windows = (Window(start_s=0.0, duration_s=duration_s),)
    elif not windows:
        windows = choose_windows(duration_s, read_packets(scorer.path, output, cancel=cancel, spend=spend))
    at_s: list[float] = []  # stretches far apart, so that no second is made of two
    shown_s: list[float] = []
    scores: list[float] = []
    for number, stretch in enumerate(stretches_of(windows)):
        clip = _Clip(scorer.path, source_url, output, stretch, files, viewing, cancel, spend)
        if number == 0 and (why := clip.self_test()) is not None:
            return Scored(vmaf=None, cause=why, self_test="failed")
        found = clip.scores()
        if isinstance(found, str):
            return Scored(vmaf=None, cause=found)
        shown_s += [float((stretch.first + n) / stretch.fps) for n in range(stretch.frames)]
        at_s += [number * _GAP_S + at for at in shown_s[len(at_s) :]]
        scores += found.vmaf
    pooled = _placed(pool(scores, at_s), at_s, shown_s)
    return Scored(
        vmaf=pooled, model=model_name(viewing), viewing=viewing, whole=covers(windows, duration_s),
        windows=windows, frames=len(scores), seconds=round(sum(w.duration_s for w in windows), 3), self_test="passed",
    )  # fmt: skip


def _placed(pooled: Pooled, at_s: Sequence[float], shown_s: Sequence[float]) -> Pooled:
    """Return scores whose worst second has the time it is shown at."""
    worst = pooled.worst_second
    if worst is None:
        return pooled
    nearest = min(range(len(at_s)), key=lambda number: abs(at_s[number] - worst.at_s))
    return msgspec.structs.replace(pooled, worst_second=WorstSecond(score=worst.score, at_s=round(shown_s[nearest], 3)))


class _Clip:
    """One stretch of a clip and its reference."""

    def __init__(
        self, ffmpeg: str, source_url: str, output: Path, stretch: ClipStretch, files: Mapping[str, str],
        viewing: Viewing, cancel: CancelToken | None, spend: Callable[[float], None],
    ) -> None:  # fmt: skip
        self._ffmpeg, self._source_url, self._output, self._stretch = ffmpeg, source_url, output, stretch
        self._files, self._viewing, self._cancel, self._spend = files, viewing, cancel, spend

    def self_test(self) -> str | None:
        """Score the reference against a lossless copy of itself, made in a run of its own; return what is wrong."""
        frames = min(_SELF_TEST_FRAMES, self._stretch.frames)
        # two inputs and two graphs: what a seek or a filter does differently the second time is to show
        graph = self._graph()
        again = graph.replace("[0:", "[1:", 1)
        labels = sorted(set(_LABELS.findall(again)), key=len, reverse=True)
        for label in labels:
            again = again.replace(f"[{label}]", f"[again{label}]")
        both = f"{graph};{again};{_counted('[v]', 'wanted', frames)};{_counted('[againv]', 'made', frames)}"
        read = self._run((*self._inputs(), *self._inputs()), both)
        if isinstance(read, str):
            return f"the source could not be compared with itself: {read}"
        if read.frames != frames:
            return f"the source gave {read.frames} of {frames} frames when it was compared with itself"
        for name in _EQUAL_FEATURES:
            off = [value for value in read.column(name) if abs(value - 1) > _EQUAL_WITHIN]
            if off or not read.column(name):
                return f"the source is not like itself ({name} {off[0] if off else 'missing'})"
        return None

    def scores(self) -> FrameScores | str:
        """Return the scores of the stretch's frames, or why there are none."""
        stretch = self._stretch
        # half a frame early, so that rounding cannot leave out the frame that is meant
        at_s = max(0.0, float((stretch.first - 0.5) / stretch.fps))
        seek = ("-ss", f"{at_s:.6f}") if stretch.first else ()
        both = (
            f"{self._graph()};{_counted('[v]', 'wanted', stretch.frames)};{_counted('[1:v:0]', 'made', stretch.frames)}"
        )
        read = self._run((*self._inputs(), *OUR_MP4, *seek, "-i", f"file:{self._output}"), both)
        if isinstance(read, str):
            return f"the clip could not be compared with its source: {read}"
        if read.frames != stretch.frames:
            return f"{read.frames} of {stretch.frames} frames could be compared at {at_s:.1f} s"
        return read.scores([n / float(stretch.fps) for n in range(stretch.frames)])

    def _graph(self) -> str:
        return with_files(self._stretch.graph, self._files)

    def _inputs(self) -> tuple[str, ...]:
        return (*self._stretch.input_args, self._source_url)

    def _run(self, inputs: Sequence[str], graph: str) -> LogReader | str:
        reader = LogReader()
        compare = libvmaf_filter(self._viewing, threads=2)
        done = run(
            (
                self._ffmpeg, *QUIET, *inputs,
                "-filter_complex", f"{graph};[made][wanted]{compare}", "-f", "null", "-",
            ),
            limits=Limits(wall_s=600 + 60 * self._stretch.frames / float(self._stretch.fps), stall_s=None),
            cancel=self._cancel, on_line=reader.feed,
        )  # fmt: skip
        self._spend(done.cpu_s)
        if done.returncode != 0:
            return done.last_words().replace(str(self._output), "the clip")[:300]
        return reader


def _counted(label: str, name: str, frames: int) -> str:
    """Return the filters that leave so many frames and number them, so that they are put together by their numbers."""
    return f"{label}trim=end_frame={frames},settb=1/25,setpts=N,format=yuv420p,setsar=1[{name}]"
