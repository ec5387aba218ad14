"""A VMAF asked for: how it is said, and what a plan makes of a setting that was found."""

from __future__ import annotations

import pytest

from reelpress.errors import UsageError
from reelpress.plan.compress import plan
from reelpress.plan.crf_curve import Point
from reelpress.plan.model import Encode
from reelpress.plan.target import Found, Unreachable
from reelpress.plan.worth import SampleFacts
from reelpress.quality.search import Aim
from reelpress.request import Request
from reelpress.settings import load, request_from
from reelpress.targeting import at_setting, notes, reason

from cases import LONG, host
from factories import gpu_host, media, video

FACTS = media(video(**{"bitrate_bps": 8_000_000, "size_bytes": 600_000_000, **LONG}), size_bytes=610_000_000)


def test_a_target_and_a_crf_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="exclude each other"):
        load({"crf": "20", "target_vmaf": "93"}, environ={}, env_file=None)
    with pytest.raises(UsageError, match="exclude each other"):
        load({}, environ={"COMPRESSION_CRF": "20", "COMPRESSION_TARGET_VMAF": "93"}, env_file=None)


def test_a_flag_wins_over_the_other_wish_in_the_environment() -> None:
    aimed = load({"target_vmaf": "93"}, environ={"COMPRESSION_CRF": "20"}, env_file=None)
    assert (aimed.crf, aimed.target_vmaf) == (None, 93.0)
    fixed = load({"crf": "20"}, base=aimed)
    assert (fixed.crf, fixed.target_vmaf) == (20.0, None)
    assert request_from(aimed).target_vmaf == 93.0


@pytest.mark.parametrize("text", ["29", "99.5", "good"])
def test_targets_that_mean_nothing_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="target-vmaf cannot be"):
        load({"target_vmaf": text}, environ={}, env_file=None)


def test_a_cq_that_was_found_is_used_as_it_is_and_the_cpu_gets_the_tables_crf() -> None:
    machine = gpu_host()
    before = plan(FACTS, machine, Request(always_encode=True))
    assert isinstance(before, Encode)
    wish = at_setting(Request(always_encode=True), machine, before.attempts[0], 31.0)
    after = plan(FACTS, machine, wish)
    assert isinstance(after, Encode)
    on_gpu, on_cpu = after.attempts[0].args, next(a for a in after.attempts if a.device == "cpu").args
    assert on_gpu[on_gpu.index("-cq:v:0") + 1] == "31"
    assert on_cpu[on_cpu.index("-crf:v:0") + 1] == "27"
    assert any("CQ 31." in r.text for r in after.reasons)


def test_on_the_cpu_the_setting_is_the_crf() -> None:
    before = plan(FACTS, host(), Request(always_encode=True))
    assert isinstance(before, Encode)
    assert at_setting(Request(), host(), before.attempts[0], 26.25) == Request(crf=26.25)


def test_what_kind_of_picture_it_is_does_not_change_with_the_samples_of_a_search() -> None:
    # between the two limits: still by the stricter for samples at another size, not still by the other
    content = SampleFacts(windows=3, seconds=1.0, encoded_bytes_per_s=None, p_skip=0.47)
    found = SampleFacts(windows=6, seconds=12.0, encoded_bytes_per_s=100.0, p_skip=0.47, p_skip_of_small=True)
    plans = [plan(FACTS, host(), Request(crf=25), samples) for samples in (content, found)]
    first, second = (p.attempts[0].args for p in plans if isinstance(p, Encode))
    assert first == second


def aim(step: Found | Unreachable | None, **more: object) -> Aim:
    return Aim(target=93, encoder="libx264", device="cpu", step=step, **more)  # type: ignore[arg-type]


POINT = Point(crf=26.25, vmaf=92.96, bytes_per_s=150_000)


def test_the_reason_says_setting_quality_rate_and_cost() -> None:
    decided = plan(FACTS, host(), Request())
    assert isinstance(decided, Encode)
    found = aim(Found(point=POINT, measured=True), trials=2, known=1, seconds=21.4)
    told = reason(found, decided.attempts[0], Request(crf=26.25), decided)
    assert told.code == "target_vmaf"
    assert "CRF 26.25 of libx264 is predicted to give 93.0 at 1.20 Mbit/s" in told.text
    assert "2 trials and 1 remembered" in told.text
    assert notes(found) == ()


def test_what_cannot_be_reached_or_measured_is_a_warning() -> None:
    decided = plan(FACTS, host(), Request())
    assert isinstance(decided, Encode)
    short = aim(Unreachable(best=POINT, why="VMAF 92.96 is the most it came to: better settings score no higher"))
    assert reason(short, decided.attempts[0], Request(), decided).code == "target_vmaf_unreachable"
    assert notes(short) == ("VMAF 93 cannot be reached: 93.0 is predicted",)
    assert notes(aim(None, why_not="no FFmpeg here has libvmaf")) == (
        "VMAF 93 was not aimed at: no FFmpeg here has libvmaf",
    )
