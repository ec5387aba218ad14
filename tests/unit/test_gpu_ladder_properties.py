"""What holds for the attempts of every plan, whatever the file, the GPUs and the wish."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, example, find, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from msgspec import structs

from reelpress.facts.failure import FailureKind
from reelpress.facts.host import GpuFacts, GpuPath, HostFacts
from reelpress.facts.media import MediaFacts, VideoTrack
from reelpress.plan.compress import plan
from reelpress.plan.encoders import GPU_PRESETS, gpu_row
from reelpress.plan.model import Attempt, Encode
from reelpress.plan.nvenc import FEATURES
from reelpress.request import Request

from factories import (
    DECODED,
    ENCODED,
    FILTERS,
    NEW,
    OLD,
    audio,
    ffmpeg,
    gpu,
    gpu_h200,
    gpu_host,
    media,
    subtitle,
    video,
)
from test_plan_properties import videos, wishes

thorough = settings(
    max_examples=50, derandomize=True, phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)  # fmt: skip
# How much of the work a GPU does, most first.
ORDER = ("gpu", "gpu_encode", "gpu_reduced", "gpu_decode", "cpu")


@st.composite
def paths(draw: DrawFn, build: str) -> list[GpuPath]:
    has_encoder = draw(st.sampled_from((True, True, False)))
    wanted = [("encode", *each) for each in ENCODED] + [("decode", *each) for each in DECODED]
    made = []
    for kind, name, pix_fmt in (*wanted, ("filter", "scale_cuda", "yuv420p")):
        state = draw(st.sampled_from(("works", "works", "works", "busy", "fails", None)))
        if kind == "encode" and not has_encoder:
            state = "fails"
        if state is not None:
            features = (
                frozenset(draw(st.sets(st.sampled_from(FEATURES)))) if (kind, state) == ("encode", "works") else ()
            )
            failure = None if state == "works" else FailureKind.GPU_UNSUPPORTED
            made.append(GpuPath(ffmpeg=build, kind=kind, name=name, pix_fmt=pix_fmt, state=state,
                                features=frozenset(features), failure=failure, why_not=failure and "no"))  # fmt: skip
    return made


@st.composite
def hosts(draw: DrawFn) -> HostFacts:
    gpus: list[GpuFacts] = []
    for number in range(draw(st.integers(0, 3))):
        known = [path for build in (NEW, OLD) if draw(st.booleans()) for path in draw(paths(build))]
        gpus.append(gpu(
            uuid=draw(st.sampled_from((f"GPU-{number}",) * 4 + (None,))), index=number, paths=tuple(known),
            compute_capability=draw(st.sampled_from(("6.1", "8.9", "12.0", None))),
            suspended=draw(st.sampled_from((None, None, None, "left alone"))),
        ))  # fmt: skip
    machine = gpu_host(gpus=tuple(gpus))
    if draw(st.integers(0, 9)) == 0:  # the new build cannot do all filters
        new = ffmpeg(encoders=machine.ffmpegs[0].encoders, filters=FILTERS - {"zscale", "tonemap", "bwdif"})
        machine = structs.replace(machine, ffmpegs=(new, machine.ffmpegs[1]))
    return machine


def usual(track: VideoTrack) -> VideoTrack:
    """Upright, of usual format: what a GPU can do whole, so that this is not too rare."""
    return structs.replace(
        track, rotation_deg=0, mirrored=False, is_interlaced=False, pix_fmt="yuv420p", chroma="420", bit_depth=8,
        has_alpha=False, changes_size=False, width=3840, height=2160, display_width=3840, display_height=2160,
        colour=video().colour, codec="h264",
    )  # fmt: skip


TRACKS = videos().map(lambda track: structs.replace(track, decodes=True, frames=300))
SOUNDS = st.sampled_from(((), (audio(index=1),), (audio(index=1, codec="mp3"), subtitle(index=2))))
MEDIA = st.builds(lambda track, sound: media(track, *sound), TRACKS | TRACKS.map(usual), SOUNDS)
WISHES = st.builds(
    lambda wish, preset: structs.replace(wish, always_encode=True, gpu_preset=preset),
    wishes(),
    st.sampled_from(GPU_PRESETS),
)
CASES = st.tuples(MEDIA, hosts(), WISHES)
Case = tuple[MediaFacts, HostFacts, Request]
# Rare among the examples: a source large enough for a GPU that only decodes.
HYBRID: Case = (media(video(width=3840, height=2160), audio()), gpu_host(gpu_h200()), Request(always_encode=True))


def encode_of(case: Case, **wishes: Any) -> Encode:
    decided = plan(case[0], case[1], structs.replace(case[2], **wishes))
    assume(isinstance(decided, Encode))
    assert isinstance(decided, Encode)
    return decided


def filters_of(attempt: Attempt) -> str:
    return attempt.args[attempt.args.index("-filter:v:0") + 1]


def path_of(case: Case, uuid: str, attempt: Attempt, kind: str, name: str, pix_fmt: str) -> GpuPath | None:
    (known,) = [each for each in case[1].gpus if each.uuid == uuid]
    assert known.suspended is None
    return known.path(attempt.ffmpeg, kind, name, pix_fmt)


@thorough
@given(CASES)
@example(HYBRID)
def test_the_last_attempt_is_on_the_cpu_unless_hardware_is_required(case: Case) -> None:
    assert encode_of(case, hardware="auto").attempts[-1].rung == "cpu"


@thorough
@given(CASES)
@example(HYBRID)
def test_required_hardware_is_all_there_is_and_encodes(case: Case) -> None:
    decided = encode_of(case, hardware="require")
    assert {attempt.device for attempt in decided.attempts} == {"nvidia"}
    assert all(attempt.gpus for attempt in decided.attempts)


@thorough
@given(CASES)
@example(HYBRID)
def test_what_is_off_is_planned_as_where_there_is_none(case: Case) -> None:
    decided = encode_of(case, hardware="off")
    bare = structs.replace(case[1], gpus=())
    assert decided.attempts == encode_of((case[0], bare, case[2]), hardware="off").attempts
    for attempt in decided.attempts:
        assert (attempt.device, attempt.rung, attempt.gpus) == ("cpu", "cpu", ())
        assert not [token for token in attempt.args if "cuda" in token or "nvenc" in token]
    auto = encode_of(case, hardware="auto")
    assert tuple(a for a in auto.attempts if a.rung == "cpu") == decided.attempts


@thorough
@given(CASES)
@example(HYBRID)
def test_no_attempt_relies_on_what_is_known_to_fail_or_was_never_tried(case: Case) -> None:
    decided, track = encode_of(case, hardware="auto"), case[0].main_video
    assert track is not None
    for attempt in decided.attempts:
        for uuid in attempt.gpus:
            needed = []
            if attempt.device == "nvidia":
                needed.append(("encode", gpu_row(case[2].codec).name, decided.expect.pix_fmt or ""))
            if attempt.rung in ("gpu", "gpu_decode"):
                needed += [("decode", track.codec, track.pix_fmt or ""), ("filter", "scale_cuda", "yuv420p")]
            for each in needed:
                known = path_of(case, uuid, attempt, *each)
                assert known is not None, each
                assert known.state != "fails", each
            if attempt.rung in ("gpu", "gpu_encode"):
                known = path_of(case, uuid, attempt, *needed[0])
                assert known is not None
                args = dict(zip(attempt.args, attempt.args[1:], strict=False))
                if known.state == "works":
                    assert args["-bf:v:0"] == "0" or "b_frames" in known.features
                    assert args["-b_ref_mode:v:0"] == "disabled" or "b_ref" in known.features
                    for feature, option in (("lookahead", "-rc-lookahead"), ("spatial_aq", "-spatial-aq"),
                                            ("temporal_aq", "-temporal-aq"), ("multipass", "-multipass")):  # fmt: skip
                        assert f"{option}:v:0" not in args or feature in known.features


@thorough
@given(CASES)
@example(HYBRID)
def test_frames_stay_on_the_gpu_only_where_ffmpeg_does_all_of_it_right(case: Case) -> None:
    track = case[0].main_video
    assert track is not None
    decided = encode_of(case, hardware="auto")
    for attempt in decided.attempts:
        on_gpu = attempt.rung in ("gpu", "gpu_decode")
        assert ("scale_cuda" in filters_of(attempt)) == ("-hwaccel" in attempt.args) == on_gpu
        if on_gpu:
            assert (track.rotation_deg, track.mirrored, track.changes_size) == (0, False, False)
            assert not track.is_interlaced
            assert not track.colour.is_hdr
            assert (track.pix_fmt, track.colour.range) in {("yuv420p", "limited"), ("yuv420p", None)}
            assert track.width % 2 == track.height % 2 == 0
            names = {each.partition("=")[0] for each in filters_of(attempt).split(",")}
            assert not names & {"scale", "crop", "transpose", "bwdif", "zscale", "tonemap", "subtitles"}
            if attempt.ffmpeg == OLD:
                assert (
                    max(track.display_width / decided.expect.width, track.display_height / decided.expect.height) <= 2
                )


@thorough
@given(CASES)
@example(HYBRID)
def test_attempts_go_from_most_on_the_gpu_to_nothing_without_repeating(case: Case) -> None:
    attempts = encode_of(case, hardware="auto").attempts
    places = [ORDER.index(attempt.rung) for attempt in attempts]
    assert places == sorted(places)
    assert len({(a.ffmpeg, a.args, a.gpus) for a in attempts}) == len(attempts)
    for attempt in attempts:
        assert len(set(attempt.gpus)) == len(attempt.gpus)
        assert (attempt.device == "nvidia") == attempt.encoder.endswith("_nvenc")


@thorough
@given(CASES)
@example(HYBRID)
def test_every_attempt_makes_the_same_size_clock_and_colours(case: Case) -> None:
    """There is one expectation for all; here are the commands that have to meet it."""
    decided = encode_of(case, hardware="auto")
    size = f"w={decided.expect.width}:h={decided.expect.height}"
    assert decided.expect == encode_of(case, hardware="off").expect
    for attempt in decided.attempts:
        chain = filters_of(attempt)
        assert f"scale={size}" in chain or f"scale_cuda={size}" in chain
        assert "setsar=1" in chain
    alike = ("-fps_mode:v:0", "-enc_time_base:v:0", "-color_primaries:v:0", "-color_trc:v:0", "-colorspace:v:0",
             "-color_range:v:0", "-map_metadata", "-map_chapters", "-movflags", "-format_whitelist")  # fmt: skip
    said = {tuple(dict(zip(a.args, a.args[1:], strict=False)).get(name) for name in alike) for a in decided.attempts}
    assert len(said) == 1
    tails = {chain.partition("setparams=")[2] for chain in map(filters_of, decided.attempts)}
    assert len(tails) == 1


@thorough
@given(CASES)
@example(HYBRID)
def test_the_reasons_speak_of_the_attempt_that_comes_first(case: Case) -> None:
    decided = encode_of(case, hardware="auto")
    codes, best = {reason.code for reason in decided.reasons}, decided.attempts[0]
    assert ("gpu_settings" in codes) == (best.device == "nvidia")
    assert ("cpu_only" in codes) == ("settings" in codes) == (best.device == "cpu")
    assert ("gpu_encode_only" in codes) == (best.rung == "gpu_encode")


@pytest.mark.parametrize("rung", ["gpu", "gpu_encode", "gpu_reduced", "cpu"])
def test_the_examples_above_reach_every_rung(rung: str) -> None:
    def reaches(case: Case) -> bool:
        decided = plan(case[0], case[1], structs.replace(case[2], hardware="auto"))
        return isinstance(decided, Encode) and rung in {attempt.rung for attempt in decided.attempts}

    find(CASES, reaches, settings=settings(thorough, max_examples=2000, phases=(Phase.generate,)))


def test_the_example_named_here_reaches_the_one_rung_that_is_rare() -> None:
    assert plan(*HYBRID).attempts[0].rung == "gpu_decode"  # type: ignore[union-attr]
