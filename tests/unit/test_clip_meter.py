"""How far a clip is: one number over all stages that never goes back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelpress.clips.meter import ANALYSED_PERCENT, RENDERED_PERCENT, ClipMeter, ClipProgress
from reelpress.events import (
    Analysed,
    AttemptFailed,
    AttemptStarted,
    Checked,
    Event,
    Planned,
    Progressed,
    Started,
)
from reelpress.facts.failure import FailureKind
from reelpress.facts.framing import Framing, Shot
from reelpress.plan.model import Skip

from receipts import receipt

ABOUT = {"job": "j", "input": "in.mp4"}
FELL_BACK = "no face found: the middle was taken"


def analysed() -> Analysed:
    shot = Shot(start_s=0, end_s=9, layout="fit", windows=(), rule="centre", note=FELL_BACK)
    return Analysed(**ABOUT, framing=Framing(shots=(shot,)))


def attempt(encoder: str = "libx264", number: int = 1) -> AttemptStarted:
    return AttemptStarted(**ABOUT, number=number, of=2, encoder=encoder, why="", argv=(), gpu=None)


def progressed(percent: float | None, *, stage: Any = "encode", eta_s: float | None = None) -> Progressed:
    return Progressed(
        **ABOUT, percent=percent, frames=None, fps=None, speed=1.5, eta_s=eta_s, size_bytes=None, predicted_bytes=None,
        stage=stage,
    )  # fmt: skip


def failed() -> AttemptFailed:
    return AttemptFailed(
        **ABOUT, number=1, encoder="h264_nvenc", failure=FailureKind.DEVICE_LOST, evidence="", next_encoder="libx264"
    )


PLANNED = Planned(**ABOUT, plan=Skip(reasons=()))
STARTED, CHECKED = Started(**ABOUT), Checked(**ABOUT, gates=())


def after(*events: Event) -> ClipProgress:
    meter = ClipMeter()
    for at_s, event in enumerate(events):
        meter.take(event, float(at_s))
    return meter.progress


def test_the_stages_of_a_clip_in_their_order() -> None:
    story = [
        (STARTED, "analyse", 0),
        (progressed(50, stage="analyse"), "analyse", pytest.approx(ANALYSED_PERCENT * 50 / 99, abs=0.1)),
        (analysed(), "analyse", ANALYSED_PERCENT),
        (PLANNED, "render", ANALYSED_PERCENT),
        (attempt(), "render", ANALYSED_PERCENT),
        (progressed(49.5), "render", pytest.approx((ANALYSED_PERCENT + RENDERED_PERCENT) / 2, abs=0.1)),
        (progressed(99.0), "check", RENDERED_PERCENT),
        (CHECKED, "check", 99),
        (receipt(), "finished", 100),
    ]
    meter = ClipMeter()
    assert meter.progress == ClipProgress()
    for at_s, (event, stage, percent) in enumerate(story):
        now = meter.take(event, float(at_s))
        assert (now.stage, now.percent) == (stage, percent), event
    assert now.is_delivered
    assert now.warnings == (FELL_BACK,)


def test_hand_set_framing_begins_with_the_render() -> None:
    assert after(STARTED, PLANNED).percent == ANALYSED_PERCENT


def test_the_badge_names_what_works_and_then_what_delivered() -> None:
    assert (after(attempt("h264_nvenc")).encoder, after(attempt("h264_nvenc")).device) == ("h264_nvenc", "nvidia")
    fell_back = after(attempt("h264_nvenc"), progressed(60), failed(), attempt("libx264", 2))
    assert (fell_back.encoder, fell_back.device, fell_back.speed) == ("libx264", "cpu", None)
    assert fell_back.percent > ANALYSED_PERCENT, "what was reached stays"
    done = after(attempt("h264_nvenc"), receipt(encoder="libx264", device="cpu"))
    assert (done.encoder, done.device) == ("libx264", "cpu")


def test_what_is_left_counts_down_and_has_the_check_in_it() -> None:
    meter = ClipMeter()
    meter.take(attempt(), 100.0)
    assert meter.progress.eta_s is None, "nobody knows yet"
    assert meter.take(progressed(50, eta_s=10.0), 110.0).eta_s == pytest.approx(10 + 20 * 8 / 77)
    assert meter.at(114.0).eta_s == pytest.approx(6 + 20 * 8 / 77)
    assert meter.at(500.0).eta_s == 0.0
    assert meter.take(receipt(), 112.0).eta_s == 0.0


@pytest.mark.parametrize("status", ["failed", "rejected", "cancelled"])
def test_a_clip_that_was_not_delivered_never_comes_to_100(status: Any) -> None:
    ended = after(STARTED, attempt(), progressed(99), CHECKED, receipt(status=status))
    assert (ended.stage, ended.percent, ended.eta_s, ended.status) == ("finished", 99.0, None, status)
    assert not ended.is_delivered


EVENTS = st.one_of(
    st.sampled_from([STARTED, PLANNED, CHECKED, analysed(), attempt(), attempt("h264_nvenc"), failed()]),
    st.builds(
        progressed, st.none() | st.floats(-5, 200), stage=st.sampled_from(["analyse", "encode"]),
        eta_s=st.none() | st.floats(0, 1e4),
    ),
)  # fmt: skip


@given(st.lists(EVENTS, max_size=30))
def test_percent_never_goes_back_nor_to_100_before_the_end(events: list[Event]) -> None:
    meter, before = ClipMeter(), 0.0
    for at_s, event in enumerate(events):
        now = meter.take(event, float(at_s))
        assert before <= now.percent < 100
        assert now.eta_s is None or now.eta_s >= 0
        before = now.percent
    assert meter.take(receipt(), 1e6).percent == 100
