"""``--target-vmaf`` with real encoders: what is found, remembered, said, and left behind."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import pytest

from reelpress.engine import compress_file, facts_and_plan
from reelpress.events import Event, Sampled
from reelpress.facts.gate import GateWish
from reelpress.facts.quality import Window
from reelpress.gpus import GpuPolicy
from reelpress.plan.compress import plan
from reelpress.plan.model import Encode, Skip
from reelpress.policy import RunPolicy
from reelpress.probe.host import probe_host
from reelpress.probe.media import probe
from reelpress.quality.samples import cut_samples
from reelpress.quality.trial import encoder_options, software_filters, take_trial
from reelpress.receipt import Receipt
from reelpress.request import Request
from reelpress.run.host_state import host_folder
from reelpress.run.process import CancelToken

import clips

HOST = msgspec.structs.replace(probe_host(), ffmpegs=tuple(f for f in probe_host().ffmpegs if f.origin == "bundled"))
pytestmark = pytest.mark.skipif(HOST.scorer is None, reason="no FFmpeg here has libvmaf")
MEASURED = GateWish(measures=True)  # as settings with a target have it
FAST = {"h264": "veryfast", "hevc": "ultrafast", "av1": "12"}


def noisy(out: Path, seconds: float = 3) -> Path:
    picture = f"mandelbrot=size=320x180:rate=25:end_pts=100,noise=alls=6:allf=t,trim=duration={seconds}"
    return clips.make(out, "-f", "lavfi", "-i", picture, *clips.X264, "-crf", "6")


@pytest.fixture(autouse=True)
def _samples_of_others_are_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def aimed(target: float, codec: str = "h264", **more: object) -> Request:
    return Request(
        **{"codec": codec, "preset": FAST[codec], "hardware": "off", "target_vmaf": target, "gate": MEASURED, **more}
    )  # type: ignore[arg-type]


def policy(tmp_path: Path) -> RunPolicy:
    return RunPolicy(gpu=GpuPolicy(cache_dir=str(tmp_path / "cache")))


def compress(source: Path, tmp_path: Path, request: Request, **more: object) -> tuple[Receipt, list[Sampled]]:
    events: list[Event] = []
    receipt = compress_file(
        source, tmp_path / "out.mp4", host=HOST, request=request, policy=policy(tmp_path), overwrite=True,
        on_event=events.append, **more,  # type: ignore[arg-type]
    )  # fmt: skip
    assert not list(host_folder().glob("samples-*")), "samples were left behind"
    return receipt, [event for event in events if isinstance(event, Sampled)]


def whole_vmaf(source: Path, tmp_path: Path, request: Request) -> float:
    """Score an encode of all of it at the setting that the request names."""
    facts = probe(source)
    decided = plan(facts, HOST, request)
    assert isinstance(decided, Encode)
    attempt, filters, build = decided.attempts[0], software_filters(decided), HOST.scorer
    assert filters is not None and build is not None  # noqa: PT018
    window = Window(start_s=0, duration_s=facts.duration_s or 0)
    folder = tmp_path / "whole"
    folder.mkdir(exist_ok=True)
    samples = cut_samples(
        attempt.ffmpeg, source, facts, [window], folder, filters=filters, pix_fmt="yuv420p", spend=lambda _: None
    )
    return take_trial(
        samples, encoder_options(attempt), folder, encoder_ffmpeg=attempt.ffmpeg, scorer_ffmpeg=build.path,
        spend=lambda _: None,
    ).vmaf.mean  # fmt: skip


@pytest.mark.by_turns
@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_what_is_delivered_has_the_quality_that_was_aimed_at(tmp_path: Path, codec: str) -> None:
    source = noisy(tmp_path / "in.mp4")
    receipt, trials = compress(source, tmp_path, aimed(80, codec))
    assert receipt.status == "encoded", (receipt.error, receipt.evidence, receipt.reasons)
    told = receipt.reasons[0]
    assert told.code == "target_vmaf", told
    argv = receipt.attempts[-1].argv
    crf = float(argv[argv.index("-crf:v:0") + 1])
    assert 1 <= len(trials) <= 4
    assert f"CRF {crf:g} of {receipt.encoder}" in told.text
    made = whole_vmaf(source, tmp_path, Request(codec=codec, preset=FAST[codec], crf=crf, hardware="off"))  # type: ignore[arg-type]
    assert made == pytest.approx(80, abs=1.2)
    assert {stage.name for stage in receipt.stages} >= {"sample", "encode"}
    assert receipt.warnings == ()
    quality = receipt.quality
    assert (quality.target, quality.predicted) == (80, pytest.approx(80, abs=1.0))
    assert quality.score == pytest.approx(made, abs=0.6)


@pytest.mark.thorough
def test_a_second_target_uses_what_the_first_one_learnt(tmp_path: Path) -> None:
    source = noisy(tmp_path / "in.mp4")
    _, first = compress(source, tmp_path, aimed(80))
    again, repeated = compress(source, tmp_path, aimed(80))
    assert repeated == []
    assert "remembered" in again.reasons[0].text
    _, near = compress(source, tmp_path, aimed(82))
    assert len(near) <= len(first)
    moved = tmp_path / "renamed.mp4"
    source.rename(moved)
    _, renamed = compress(moved, tmp_path, aimed(80))
    assert renamed == []
    _, other = compress(moved, tmp_path, aimed(80, preset="superfast"))
    assert other != []


def test_a_target_out_of_reach_takes_the_best_there_is_and_warns(tmp_path: Path) -> None:
    # where nothing moves, identical pictures score 97.4
    source = clips.make(
        tmp_path / "in.mp4", "-f", "lavfi", "-i", "smptebars=size=320x180:rate=25:duration=2", *clips.X264
    )
    receipt, trials = compress(source, tmp_path, aimed(99, always_encode=True))
    assert receipt.status == "encoded"
    assert receipt.reasons[0].code == "target_vmaf_unreachable"
    assert any("cannot be reached" in warning for warning in receipt.warnings)
    assert len(trials) <= 5


@pytest.mark.parametrize("gate", [{"max_size_ratio": 0.04}, {"min_vmaf": 95.0}])
def test_an_encode_made_again_for_a_gate_says_what_became_of_the_target(tmp_path: Path, gate: dict[str, float]) -> None:
    source = noisy(tmp_path / "in.mp4")
    asked = GateWish(measures=True, retries=5, **gate)  # type: ignore[arg-type]
    receipt, _ = compress(source, tmp_path, aimed(90, gate=asked, min_saving=0.0))
    quality = receipt.quality
    assert (receipt.status, receipt.exit_code) == ("encoded", 0), (receipt.error, receipt.evidence)
    assert len(quality.tries) > 1
    assert (quality.target, quality.predicted) == (90, None), "what was predicted is of another setting"
    assert quality.text.endswith("VMAF 90 was aimed at; a limit had it encoded again.")
    assert quality.score is not None
    below = [text for text in receipt.warnings if text.startswith("VMAF 90 was aimed at")]
    assert (below == []) is (quality.score > 90)
    assert all(f"{quality.score:.2f}" in text for text in below)


def test_an_encode_that_is_predicted_to_grow_is_not_made(tmp_path: Path) -> None:
    source = clips.plain(tmp_path / "in.mp4", "-crf", "38", seconds=3)
    receipt, trials = compress(source, tmp_path, aimed(97))
    assert receipt.status in ("copied", "skipped")
    assert trials
    assert not any("-crf:v:0" in attempt.argv for attempt in receipt.attempts)
    assert any(reason.code == "worth_no" for reason in receipt.reasons)


def test_without_libvmaf_it_is_encoded_as_ever_and_said(tmp_path: Path) -> None:
    blind = msgspec.structs.replace(
        HOST,
        ffmpegs=tuple(msgspec.structs.replace(f, filters=f.filters - {"libvmaf"}) for f in HOST.ffmpegs),
    )
    source = noisy(tmp_path / "in.mp4", 2)
    receipt = compress_file(source, tmp_path / "out.mp4", host=blind, request=aimed(90), policy=policy(tmp_path))
    assert receipt.status == "encoded"
    assert receipt.reasons[0].code == "target_vmaf_unmeasured"
    not_aimed, not_measured = receipt.warnings
    assert not_aimed == "VMAF 90 was not aimed at: no FFmpeg here has libvmaf"
    assert not_measured.startswith("quality is unmeasured: No FFmpeg here has libvmaf")
    argv = receipt.attempts[-1].argv
    assert argv[argv.index("-crf:v:0") + 1] == "23"


def test_pictures_too_small_to_be_scored_are_encoded_as_ever_and_it_is_said(tmp_path: Path) -> None:
    picture = "mandelbrot=size=64x16:rate=25,trim=duration=1"
    source = clips.make(tmp_path / "in.mp4", "-f", "lavfi", "-i", picture, *clips.X264, "-crf", "6")
    receipt, _ = compress(source, tmp_path, aimed(90))
    assert receipt.status == "encoded"
    assert receipt.warnings[0] == "VMAF 90 was not aimed at: Pictures of 64x16 are too small for VMAF"


def test_a_cancel_in_the_middle_of_a_trial_leaves_nothing(tmp_path: Path) -> None:
    source = noisy(tmp_path / "in.mp4")
    cancel = CancelToken()
    threading.Timer(0.8, cancel.cancel).start()
    receipt, _ = compress(source, tmp_path, aimed(80, preset="veryslow"), cancel=cancel)
    assert receipt.status == "cancelled"
    assert list(tmp_path.glob("out*")) == []


def test_the_plan_shows_what_would_be_done_and_writes_nothing(tmp_path: Path) -> None:
    source = noisy(tmp_path / "in.mp4", 2)
    _, decided = facts_and_plan(source, host=HOST, request=aimed(85), policy=policy(tmp_path))
    assert not isinstance(decided, Skip)
    assert decided.reasons[0].code == "target_vmaf"
    assert list(tmp_path.glob("*.mp4")) == [source]
