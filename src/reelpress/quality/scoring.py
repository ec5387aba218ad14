"""Scores what the engine made of a video, for the gate: a comparison with its source as the plan's filters made it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from reelpress.errors import ReelpressError
from reelpress.facts.gate import GateWish, Scored
from reelpress.facts.host import HostFacts
from reelpress.facts.media import MediaFacts
from reelpress.facts.quality import Measuring, Window
from reelpress.plan.model import Expectation
from reelpress.quality.measure import measure
from reelpress.quality.places import choose_windows, covers, read_packets
from reelpress.quality.vmaf import NO_SCORER_TOLD
from reelpress.run.process import CancelToken


def score_encode(
    host: HostFacts,
    source: tuple[Path, MediaFacts],
    output: tuple[Path, MediaFacts],
    expect: Expectation,
    *,
    wish: GateWish,
    windows: tuple[Window, ...] = (),
    cancel: CancelToken,
    spend: Callable[[float], None],
) -> Scored:
    """Return how alike an encode is to its source: in a few stretches, or all of it.

    ``windows`` are those to look at instead of what this output suggests. Anything that keeps it from being known is a
    cause in the answer, a cancel too.
    """
    scorer, made = host.scorer, output[1].main_video
    if scorer is None:
        return Scored(vmaf=None, cause=NO_SCORER_TOLD)
    duration_s = expect.duration_s or (made.duration_s if made is not None else None)
    if wish.windows == "sampled" and not windows and duration_s is not None:
        packets = read_packets(scorer.path, output[0], cancel=cancel, spend=spend)
        windows = choose_windows(duration_s, packets)
    whole = not windows or covers(windows, duration_s)
    how = Measuring(
        size="encoded", prepare=expect.picture_filters, whole=whole, windows=() if whole else windows,
        look="whole" if whole else "windows",
    )  # fmt: skip
    try:
        seen = measure(*source, *output, how=how, host=host, cancel=cancel, spend=spend)
    except ReelpressError as error:  # a cancel ends the job a moment later; NumPy is missing, or the disk is full
        return Scored(vmaf=None, cause=" ".join(filter(None, (error.what, error.hint))))
    test = seen.self_test
    return Scored(
        vmaf=seen.vmaf if seen.verdict == "measured" else None, cause=seen.cause, model=seen.model,
        viewing=seen.viewing, whole=how.whole, windows=seen.windows, frames=seen.frames, seconds=seen.scored_s,
        self_test=None if test is None else "passed" if test.passed else "failed",
        findings=tuple(finding.text for finding in seen.damage),
    )  # fmt: skip
