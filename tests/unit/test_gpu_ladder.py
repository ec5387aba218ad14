"""The ladder's choices, one fact at a time, and the reasons that go with them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from reelpress.facts.host import HostFacts
from reelpress.facts.media import Colour, MediaFacts
from reelpress.plan.compress import plan
from reelpress.plan.model import Attempt, Encode, Reject
from reelpress.request import Request

from factories import (
    FILTERS,
    OLD,
    audio,
    ffmpeg,
    gpu,
    gpu_busy,
    gpu_host,
    gpu_l4,
    gpu_paths,
    gpu_without,
    media,
    old_ffmpeg,
    video,
)

HDR = {"codec": "hevc", "pix_fmt": "yuv420p10le", "bit_depth": 10, "colour": Colour(transfer="smpte2084")}


def planned(facts: MediaFacts | None = None, machine: HostFacts | None = None, **wishes: Any) -> Encode:
    decided = plan(facts or media(), machine or gpu_host(), Request(always_encode=True, **wishes))
    assert isinstance(decided, Encode), decided
    return decided


def option(attempt: Attempt, name: str) -> str | None:
    args = attempt.args
    return args[args.index(f"{name}:v:0") + 1] if f"{name}:v:0" in args else None


def reasons(decided: Encode) -> dict[str, str]:
    return {reason.code: reason.text for reason in decided.reasons}


def first(attempts: tuple[Attempt, ...], rung: str) -> Attempt:
    return next(a for a in attempts if a.rung == rung)


# --- B-frames ---


def test_an_older_ffmpeg_gets_no_b_frames_for_it_misdates_them() -> None:
    """Its NVENC wrapper puts decoding times earlier by ticks of the encoder's clock, not by frames."""
    decided = planned(machine=gpu_host(gpu_l4()))
    for attempt in (a for a in decided.attempts if a.device == "nvidia"):
        assert (option(attempt, "-bf"), option(attempt, "-b_ref_mode")) == ("0", "disabled")
    assert "b_frames" not in reasons(decided).get("gpu_features", "")
    assert "FFmpeg 5.1.9" in reasons(decided)["gpu_no_b_frames"]
    kept = first(decided.attempts, "gpu")
    assert (option(kept, "-rc-lookahead"), option(kept, "-spatial-aq")) == ("20", "1")


def test_a_video_that_starts_after_its_sound_gets_two_b_frames() -> None:
    """FFmpeg 9's muxer loses a start that is less than three frames late behind an encoder's delay of three."""
    late = planned(media(video(start_s=0.04), audio(start_s=0.0), start_s=0.0))
    assert option(late.attempts[0], "-bf") == "2"
    assert option(first(late.attempts, "gpu_encode"), "-bf") == "2"
    for starts in ({"start_s": 0.0}, {"start_s": 5.0}, {"start_s": None}):
        on_time = planned(media(video(**starts), audio(), start_s=starts["start_s"]))
        assert option(on_time.attempts[0], "-bf") == "3"


# --- reasons ---


def test_the_reasons_are_those_of_the_gpu_that_comes_first() -> None:
    weak = gpu_without("h264", "scale_cuda", uuid="GPU-2")
    decided = planned(machine=gpu_host(weak, gpu(index=1)))
    assert (decided.attempts[0].rung, decided.attempts[0].gpus) == ("gpu", ("GPU-1",))
    assert "gpu_encode_only" not in reasons(decided)


def test_without_an_attempt_on_a_gpu_no_reason_speaks_of_its_settings() -> None:
    lean = ffmpeg(filters=frozenset({"scale", "format", "setsar", "setparams"}))
    machine = gpu_host(ffmpegs=(lean, old_ffmpeg(filters=FILTERS)))
    decided = planned(media(video(**HDR), audio()), machine)
    assert {a.device for a in decided.attempts} == {"cpu"}
    assert "gpu_settings" not in reasons(decided)
    assert "filters" in reasons(decided)["cpu_only"]
    refused = plan(media(video(**HDR), audio()), machine, Request(hardware="require", always_encode=True))
    assert isinstance(refused, Reject)
    assert (refused.code, refused.reasons[0].code) == ("hardware_absent", "hardware_required")
    assert "libx264" not in str(refused.reasons)


def test_hdr_that_the_working_ffmpeg_would_not_write_is_said_to_be_why() -> None:
    machine = gpu_host(gpu(paths=gpu_paths(OLD)), ffmpegs=(old_ffmpeg(),))
    decided = planned(media(video(**HDR), audio()), machine, codec="hevc", hdr="keep")
    assert "HDR" in reasons(decided)["cpu_only"]


def test_a_busy_gpu_is_not_called_unable() -> None:
    paths = tuple(msgspec.structs.replace(p, state="busy") for p in gpu_busy().paths)
    decided = planned(machine=gpu_host(gpu_busy(paths=paths)))
    assert decided.attempts[0].rung == "gpu"
    assert "gpu_encode_only" not in reasons(decided)


# --- sizes ---


@pytest.mark.parametrize(("width", "height"), [(1921, 1080), (1920, 1081)])
def test_odd_pictures_are_prepared_in_software(width: int, height: int) -> None:
    """FFmpeg's upload of a frame leaves out the last row of colour of an odd height."""
    decided = planned(media(video(width=width, height=height), audio()))
    assert decided.attempts[0].rung == "gpu_encode"
    assert "odd" in reasons(decided)["gpu_encode_only"]
