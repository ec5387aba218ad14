"""From measured points to equal quality, and what the planner makes of it: curves that behave, and some that do not."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelpress.calibrating.keeping import together
from reelpress.facts.calibration import Calibration, CalibrationClip, Curve, CurvePoint
from reelpress.facts.host import HostFacts
from reelpress.facts.values import to_json
from reelpress.plan.calibration import (
    calibrated_default,
    curve_states,
    equal_quality,
    monotone,
    quality_at,
    vmaf_at,
)
from reelpress.plan.compress import plan
from reelpress.plan.encoders import cpu_row
from reelpress.plan.model import Encode, Reason
from reelpress.probe.calibration import calibration_file, forget_calibration, read_calibration
from reelpress.request import Request

from factories import gpu, gpu_host, media

QUALITIES = (15.0, 20.0, 25.0, 30.0, 35.0, 40.0)


def falling(quality: float) -> float:
    """A curve as encoders have it: slow at first, then ever steeper."""
    return 99.0 - 0.05 * (quality - 10) ** 2


def curve(encoder: str, preset: str, shape: Callable[[float], float], *clips: str, **changes: object) -> Curve:
    points = tuple(
        CurvePoint(clip=clip, quality=quality, vmaf=shape(quality), bytes_per_s=1e5, cpu_s_per_s=1.0)
        for clip in clips or ("motion", "noise", "dark")
        for quality in QUALITIES
    )
    return msgspec.structs.replace(
        Curve(encoder=encoder, preset=preset, ffmpeg_version="n9.0.2", points=points), **changes
    )  # fmt: skip


def nvenc(shape: Callable[[float], float], **changes: object) -> Curve:
    seen = gpu()
    made_on = {"gpu": seen.name, "driver_version": seen.driver_version, "compute_capability": "12.0"}
    return curve("h264_nvenc", "p1", shape, **{**made_on, **changes})


def calibration(*curves: Curve) -> Calibration:
    return Calibration(
        made_at="2026-11-22T05:40:00+00:00", reelpress_version="0", cpu="a CPU", cores=2, curves=curves
    )  # fmt: skip


def machine(*curves: Curve) -> HostFacts:
    return gpu_host(calibration=calibration(*curves))


def planned(host: HostFacts, **wishes: object) -> Encode:
    decided = plan(media(), host, Request(always_encode=True, **wishes))
    assert isinstance(decided, Encode), decided
    return decided


def reason(decided: Encode, code: str) -> Reason:
    return next(each for each in decided.reasons if each.code == code)


def cq(decided: Encode) -> float:
    args = decided.attempts[0].args
    return float(args[args.index("-cq:v:0") + 1])


# --- curves ---


@given(st.lists(st.tuples(st.sampled_from(QUALITIES), st.floats(0, 100)), min_size=1, max_size=30))
def test_what_was_made_monotone_never_rises_and_keeps_every_setting(points: list[tuple[float, float]]) -> None:
    steps = monotone(points)
    assert [quality for quality, _ in steps] == sorted({quality for quality, _ in points})
    assert all(after[1] <= before[1] + 1e-9 for before, after in itertools.pairwise(steps))
    assert min(v for _, v in points) - 1e-9 <= steps[-1][1] <= steps[0][1] <= max(v for _, v in points) + 1e-9


def test_a_curve_that_falls_stays_as_it_is_and_a_dent_is_evened_out() -> None:
    assert monotone([(30.0, 80.0), (20.0, 95.0), (25.0, 90.0)]) == ((20.0, 95.0), (25.0, 90.0), (30.0, 80.0))
    assert monotone([(20.0, 90.0), (25.0, 94.0), (30.0, 80.0)]) == ((20.0, 92.0), (25.0, 92.0), (30.0, 80.0))
    assert monotone([(20.0, 90.0), (20.0, 92.0)]) == ((20.0, 91.0),)


@given(st.floats(15, 40))
def test_reading_a_curve_forth_and_back_ends_where_it_began(quality: float) -> None:
    steps = monotone([(q, falling(q)) for q in QUALITIES])
    vmaf = vmaf_at(steps, quality)
    assert vmaf is not None
    back = quality_at(steps, vmaf)
    assert back == pytest.approx(quality, abs=1e-6)


def test_nothing_is_read_off_beyond_what_was_measured() -> None:
    steps = monotone([(q, falling(q)) for q in QUALITIES])
    assert vmaf_at(steps, 14.9) is None
    assert vmaf_at(steps, 40.1) is None
    assert quality_at(steps, 99.5) is None
    assert quality_at(steps, 10.0) is None
    assert vmaf_at(((20.0, 91.0),), 20.0) == 91.0


def test_a_flat_curve_tells_no_setting() -> None:
    assert quality_at(((20.0, 97.0), (25.0, 97.0), (30.0, 97.0)), 97.0) is None
    assert quality_at(((20.0, 97.0), (25.0, 96.95), (30.0, 90.0)), 93.0) == pytest.approx(27.84, abs=0.01)


# --- equal quality ---


def test_an_encoder_that_needs_four_less_is_found_to_need_four_less() -> None:
    found = equal_quality(curve("libx264", "lean", falling), nvenc(lambda q: falling(q + 4)), 24.0)
    assert found is not None
    assert found.quality == pytest.approx(20.0, abs=0.35)  # between points it is a chord
    assert (found.clips, found.points) == (3, 36)


def test_noise_in_one_clip_moves_the_answer_little() -> None:
    noisy = curve("libx264", "lean", falling)
    bumps = (1.0, -1.2, 0.8, -0.9, 1.1, -1.0)
    points = tuple(
        msgspec.structs.replace(point, vmaf=point.vmaf + bumps[place % 6] * (point.clip == "noise"))
        for place, point in enumerate(noisy.points)
    )
    found = equal_quality(curve("libx264", "lean", falling), msgspec.structs.replace(noisy, points=points), 23.0)
    assert found is not None
    assert found.quality == pytest.approx(23.0, abs=0.1)
    assert found.low <= 23.0 <= found.high


def test_clips_that_look_perfect_at_any_setting_are_left_out() -> None:
    def still(clip: str) -> Callable[[CurvePoint], CurvePoint]:
        return lambda p: msgspec.structs.replace(p, vmaf=99.9 if p.clip == clip else p.vmaf)

    both = [
        msgspec.structs.replace(each, points=tuple(map(still("dark"), each.points)))
        for each in (curve("libx264", "lean", falling), nvenc(falling))
    ]
    found = equal_quality(*both, 25.0)
    assert found is not None
    assert (found.clips, found.quality) == (2, pytest.approx(25.0))
    flat = [curve("libx264", "lean", lambda _: 99.9), nvenc(lambda _: 99.9)]
    assert equal_quality(*flat, 25.0) is None


def test_a_clip_whose_equal_was_not_reached_moves_the_median_without_a_number() -> None:
    """Four clips need ever more; of the last it is only known that it is more than any setting that was measured."""
    lags = {"a": 0.0, "b": 2.0, "c": 4.0, "d": 60.0}
    reference = curve("libx264", "lean", falling, *lags)
    points = tuple(
        msgspec.structs.replace(point, vmaf=falling(max(10, point.quality - lags[point.clip])))
        for point in reference.points
    )
    other = msgspec.structs.replace(reference, points=points)
    found = equal_quality(reference, other, 25.0)
    assert found is not None
    assert (found.clips, found.beyond) == (4, 1)
    assert found.quality == pytest.approx(28.0, abs=0.3)
    assert (found.low, found.high) == (25.0, pytest.approx(29.0, abs=0.3))
    most = {"a": 0.0, "b": 60.0, "c": 60.0, "d": 60.0}
    points = tuple(
        msgspec.structs.replace(point, vmaf=falling(max(10, point.quality - most[point.clip])))
        for point in reference.points
    )
    assert equal_quality(reference, msgspec.structs.replace(reference, points=points), 25.0) is None


def test_a_quality_out_of_reach_of_the_other_is_none() -> None:
    assert equal_quality(curve("libx264", "lean", falling), nvenc(lambda q: falling(q) - 60), 15.0) is None
    assert equal_quality(curve("libx264", "lean", falling), nvenc(falling), 12.0) is None
    assert equal_quality(curve("libx264", "lean", falling), nvenc(falling, points=()), 23.0) is None


# --- the planner ---


def test_the_planner_takes_the_measured_cq_and_says_so() -> None:
    host = machine(curve("libx264", "lean", falling), nvenc(lambda q: falling(q - 1)))
    decided = planned(host, crf=24.0)
    assert cq(decided) == pytest.approx(25.0, abs=0.15)
    told = reason(decided, "gpu_settings")
    assert told.text.endswith("(calibrated).")
    assert told.fact == (
        "calibrated on Fake RTX PRO 6000, driver 610.43.02, FFmpeg n9.0.2, 2026-11-22, against libx264 lean, "
        f"over 3 clips, 36 points; {cq(decided):.1f} to {cq(decided):.1f} among them"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"driver_version": "999.1"}, {"gpu": "Another GPU"}, {"ffmpeg_version": "8.1"}, {"preset": "p7"},
        {"encoder": "hevc_nvenc"}, {"points": ()},
    ],
)  # fmt: skip
def test_a_curve_of_another_machine_changes_nothing(changes: dict[str, object]) -> None:
    other = msgspec.structs.replace(nvenc(lambda q: falling(q - 1)), **changes)
    host = machine(curve("libx264", "lean", falling), other)
    assert planned(host) == planned(gpu_host())
    assert cq(planned(host)) == 27.0
    assert reason(planned(host), "gpu_settings").text.endswith("(uncalibrated).")


def test_a_calibration_can_be_left_alone() -> None:
    host = machine(curve("libx264", "lean", falling), nvenc(falling))
    assert planned(host, calibration="off") == planned(gpu_host())


def test_without_the_cpu_encoders_curve_there_is_nothing_to_be_equal_to() -> None:
    assert planned(machine(nvenc(falling))) == planned(gpu_host())


def test_the_curve_of_the_preset_that_was_asked_for_goes_before_the_defaults() -> None:
    host = machine(
        curve("libx264", "lean", falling), curve("libx264", "slow", lambda q: falling(q - 2)), nvenc(falling)
    )
    assert cq(planned(host, crf=25.0)) == pytest.approx(25.0)
    assert cq(planned(host, crf=25.0, preset="slow")) == pytest.approx(23.0, abs=0.3)
    assert cq(planned(host, crf=25.0, preset="veryslow")) == pytest.approx(25.0)


def test_measured_defaults_are_taken_only_if_asked_for() -> None:
    x265, av1 = curve("libx265", "fast", lambda q: falling(q - 5)), curve("libsvtav1", "8", lambda q: falling(q - 9.4))
    host = machine(curve("libx264", "lean", falling), x265, av1)

    def crf(**wishes: object) -> str:
        args = planned(host, hardware="off", **wishes).attempts[0].args
        return args[args.index("-crf:v:0") + 1]

    assert (crf(codec="hevc"), crf(codec="av1"), crf()) == ("26", "34", "23")
    measured = {"calibration": "defaults"}
    assert (crf(codec="hevc", **measured), crf(codec="av1", **measured), crf(**measured)) == ("28", "32", "23")
    assert crf(codec="hevc", crf=30.0, **measured) == "30"
    told = reason(planned(host, hardware="off", codec="av1", **measured), "crf_calibrated")
    assert told.text == "CRF 32 instead of 34, the default: measured on this machine."
    assert told.fact is not None
    assert told.fact.startswith("calibrated with FFmpeg n9.0.2, 2026-11-22: looks like libx264 lean at CRF 23, over 3")
    assert calibrated_default(host.calibration, host, cpu_row("h264")) is None


def test_each_curve_says_why_it_no_longer_holds() -> None:
    measured = calibration(
        curve("libx264", "lean", falling), curve("libx265", "fast", falling, ffmpeg_version="8.0"), nvenc(falling),
        nvenc(falling, driver_version="535.1"), nvenc(falling, gpu="NVIDIA L4"),
    )  # fmt: skip
    assert [state.why_not for state in curve_states(measured, gpu_host())] == [
        None,
        "it was measured with FFmpeg 8.0, which is not here",
        None,
        "it was measured with driver 535.1; this is 610.43.02",
        "it was measured on NVIDIA L4, which is not here",
    ]


# --- a new one beside the one before ---


def over(clips: str, *curves: Curve, made_at: str = "2026-11-20T05:40:00+00:00") -> Calibration:
    """A calibration over the usual clips, whose contents are told by a word."""
    made = tuple(
        CalibrationClip(name=name, sha256=clips, width=1280, height=720, seconds=3.0, frames=90)
        for name in ("motion", "noise", "dark")
    )
    return msgspec.structs.replace(calibration(*curves), clips=made, made_at=made_at)


NOW = "2026-11-22T05:40:00+00:00"
X264, P1 = curve("libx264", "lean", falling), nvenc(falling)
P4 = msgspec.structs.replace(P1, preset="p4")
FAILED = msgspec.structs.replace(P1, points=())


def test_the_first_calibration_is_stored_and_an_empty_one_never() -> None:
    made = over("a", X264)
    assert together(made, (FAILED,), None, gpu_host()).store == made
    for earlier in (None, over("a", X264)):
        found = together(over("a"), (FAILED, msgspec.structs.replace(X264, points=())), earlier, gpu_host())
        assert (found.store, found.why_not) == (None, "No curve was finished.")


def test_a_curve_that_was_not_finished_is_kept_of_the_earlier_one_with_its_date() -> None:
    """Workers held the GPU's slots: what was measured on the same clips a day before still holds."""
    slower = msgspec.structs.replace(X264, points=X264.points[:6])
    found = together(over("a", slower, made_at=NOW), (FAILED,), over("a", X264, P1), gpu_host())
    kept = msgspec.structs.replace(P1, made_at="2026-11-20T05:40:00+00:00")
    assert found.kept == (kept,)
    assert found.store == over("a", slower, kept, made_at=NOW)
    told = reason(planned(gpu_host(calibration=found.store), crf=24.0), "gpu_settings")
    assert "FFmpeg n9.0.2, 2026-11-20, against" in (told.fact or "")
    assert together(over("a", X264), (FAILED,), found.store, gpu_host()).kept == (kept,)


def test_curves_of_other_clips_are_never_mixed_and_the_earlier_ones_stay() -> None:
    found = together(over("b", X264, made_at=NOW), (FAILED,), over("a", X264, P1), gpu_host())
    assert found.store is None
    assert found.why_not is not None
    assert found.why_not.startswith("The calibration of 2026-11-20 has h264_nvenc p1 over other clips")
    # the same where its encoder was not found to work this time, and was not even tried
    assert together(over("b", X264, made_at=NOW), (), over("a", X264, P1), gpu_host()).store is None
    reference = msgspec.structs.replace(X264, points=())
    assert together(over("b", P1), (reference,), over("a", X264, P1), gpu_host()).store is None


def test_a_whole_calibration_takes_the_place_of_one_of_other_clips() -> None:
    """Fewer presets were asked for: that is no loss."""
    made = over("b", X264, P1, made_at=NOW)
    earlier = over("a", X264, P1, curve("libx264", "medium", falling), P4)
    assert together(made, (), earlier, gpu_host()).store == made
    assert together(made, (msgspec.structs.replace(P4, points=()),), earlier, gpu_host()).store is None


@pytest.mark.parametrize("changes", [{"driver_version": "999.1"}, {"gpu": "Another GPU"}, {"ffmpeg_version": "8.1"}])
@pytest.mark.parametrize("clips", ["a", "b"])
def test_a_curve_that_no_longer_holds_is_not_kept(changes: dict[str, object], clips: str) -> None:
    stale = msgspec.structs.replace(P1, **changes)
    made = over(clips, X264, made_at=NOW)
    assert together(made, (FAILED,), over("a", X264, stale), gpu_host()).store == made


# --- the file ---


def test_a_calibration_is_kept_and_forgotten(tmp_path: Path) -> None:
    kept = calibration(curve("libx264", "lean", falling), nvenc(falling))
    assert read_calibration(tmp_path) is None
    calibration_file(tmp_path).write_bytes(to_json(kept))
    assert read_calibration(tmp_path) == kept
    assert forget_calibration(tmp_path)
    assert read_calibration(tmp_path) is None
    assert not forget_calibration(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b'{"schema": 99}', b"[" * 10_000])
def test_a_file_that_is_no_calibration_is_none(tmp_path: Path, content: bytes) -> None:
    calibration_file(tmp_path).write_bytes(content)
    assert read_calibration(tmp_path) is None


def test_a_calibration_of_another_form_is_measured_anew(tmp_path: Path) -> None:
    calibration_file(tmp_path).write_bytes(to_json(msgspec.structs.replace(calibration(), schema=2)))
    assert read_calibration(tmp_path) is None
