"""What holds for every plan, whatever the file, the machine and the wish; and for every list of timestamps."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from msgspec import structs

from expressions import FUNCTIONS, kept_by
from reelpress.facts.host import EncoderFacts, HostFacts
from reelpress.facts.media import (
    MOST_PAUSES,
    Chapter,
    Colour,
    ContentLight,
    DolbyVision,
    Edit,
    MediaFacts,
    VideoTrack,
)
from reelpress.facts.values import from_json, to_json
from reelpress.plan.compress import plan
from reelpress.plan.encoders import cpu_row
from reelpress.plan.geometry import FPS_TOLERANCE, timing
from reelpress.plan.model import INPUT, OUTPUT, Attempt, Copy, Encode, Plan, argv
from reelpress.plan.seeking import pauses_of
from reelpress.plan.worth import SampleFacts
from reelpress.probe.media_timing import filled_slots, held_frames, pauses
from reelpress.request import CODECS, Request

from factories import audio, ffmpeg, host, media, other, subtitle, video

F = Fraction
# The same examples every time: a red run is a change of the code. For new ones: raise the number, drop derandomize.
thorough = settings(
    max_examples=60, derandomize=True, phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip

RATES = (F(24000, 1001), F(24), F(25), F(30000, 1001), F(30), F(50), F(60000, 1001), F(60), F(120), F(240), F(15, 2))
HOSTILE = (
    "-y", "-i", "file:/etc/passwd", "a\nb", "<input>", "<output>", "-metadata", "concat:a|b", "%d", "'; rm -rf /",
    "x=y=z", "[0:v]null[v]", "\x1b[31m", "", "-filter_complex", "日本語\u202e",
)  # fmt: skip
TEXT = st.one_of(st.none(), st.sampled_from(HOSTILE), st.text(max_size=12))
PIXELS = (
    ("yuv420p", 8, "420"), ("yuvj420p", 8, "420"), ("yuv422p10le", 10, "422"), ("yuv444p", 8, "444"),
    ("yuv420p10le", 10, "420"), ("p010le", 10, "420"), ("gbrp", 8, "rgb"), ("rgba", 8, "rgb"), ("gray", 8, "gray"),
    ("yuv411p", 8, "411"), (None, None, None),
)  # fmt: skip
PRIMARIES = (None, "bt709", "bt2020", "bt470bg", "smpte170m", "smpte432")
TRANSFERS = (None, "bt709", "smpte2084", "arib-std-b67", "bt2020-10", "gamma28", "iec61966-2-1")
MATRICES = (None, "bt709", "bt2020nc", "bt470bg", "smpte170m", "gbr")
VIDEO_CODECS = ("h264", "hevc", "av1", "vp9", "mpeg2video", "prores", "mjpeg", "wmv3", "ffv1")
AUDIO_CODECS = ("aac", "mp3", "ac3", "opus", "pcm_s24le", "flac", None)


@st.composite
def colours(draw: DrawFn) -> Colour:
    vision = st.builds(
        DolbyVision, profile=st.sampled_from((5, 7, 8, None)), compatibility_id=st.sampled_from((0, 1, 4, None)),
        base_layer=st.sampled_from(("hdr10", "hlg", "sdr", "none", None)),
    )  # fmt: skip
    return Colour(
        range=draw(st.sampled_from(("limited", "full", None))), primaries=draw(st.sampled_from(PRIMARIES)),
        transfer=draw(st.sampled_from(TRANSFERS)), matrix=draw(st.sampled_from(MATRICES)),
        content_light=draw(st.none() | st.builds(ContentLight, max_cll=st.integers(0, 10_000),
                                                 max_fall=st.integers(0, 10_000))),
        dolby_vision=draw(st.none() | st.none() | vision),
    )  # fmt: skip


EDITS = tuple(Edit(duration_s=4.0, media_time_s=at) for at in (2.5, None, 0.0))
SIDES = st.one_of(st.integers(2, 8192), st.sampled_from((2, 3, 16, 63, 64, 720, 1080, 1280, 1920, 2160, 3840, 8192)))
ASPECTS = st.one_of(
    st.just(F(1)), st.sampled_from((F(64, 45), F(16, 15), F(2, 3), F(10, 11), F(4), F(1, 4))),
    st.fractions(F(1, 20), F(20), max_denominator=200),
)  # fmt: skip


@st.composite
def videos(draw: DrawFn, index: int = 0) -> VideoTrack:
    pix_fmt, depth, chroma = draw(st.sampled_from(PIXELS))
    fps = draw(st.none() | st.sampled_from(RATES) | st.fractions(F(1, 10), F(1000), max_denominator=1001))
    is_vfr = draw(st.sampled_from((False, False, True, None))) if fps else None
    seconds = draw(st.none() | st.floats(0.01, 100_000))
    rate = draw(st.none() | st.integers(1, 10**9))
    width, height = draw(SIDES), draw(SIDES)
    aspect = draw(ASPECTS)
    rotation = draw(st.sampled_from((0, 90, 180, 270)))
    shown = (max(2, round(width * aspect)), height)
    return video(
        index=index, codec=draw(st.sampled_from(VIDEO_CODECS)), width=width, height=height,
        sample_aspect_ratio=aspect, rotation_deg=rotation, mirrored=draw(st.booleans()),
        display_width=shown[rotation in (90, 270)], display_height=shown[rotation not in (90, 270)],
        pix_fmt=pix_fmt, bit_depth=depth, chroma=chroma, has_alpha=pix_fmt == "rgba", colour=draw(colours()),
        field_order=draw(st.sampled_from((None, "progressive", "tt", "bb", "tb", "bt"))),
        is_interlaced=draw(st.sampled_from((None, False, False, True))),
        time_base=draw(st.sampled_from((F(1, 1000), F(1, 90_000), F(1, 600), F(1, 15_360), F(1001, 30_000)))),
        fps_avg=fps, fps_nominal=draw(st.sampled_from((None, fps, fps, F(30)))),
        fps_peak=draw(st.none() | st.floats(float(fps), 1000)) if fps else None, is_vfr=is_vfr,
        frames=draw(st.none() | st.integers(0, 10**7)), start_s=draw(st.none() | st.floats(-10, 100_000)),
        duration_s=seconds, size_bytes=draw(st.none() | st.integers(0, 10**12)), bitrate_bps=rate,
        decodes=draw(st.sampled_from((True, True, True, False))), changes_size=draw(st.booleans()),
        edits=draw(st.sampled_from(((), (), EDITS[1:], EDITS))),
    )  # fmt: skip


@st.composite
def medias(draw: DrawFn, words: st.SearchStrategy[str | None] = TEXT) -> MediaFacts:
    kinds = ["video", *draw(st.lists(st.sampled_from(("video", "audio", "audio", "subtitle", "other")), max_size=4))]
    kinds = kinds[::-1] if draw(st.booleans()) else kinds
    tracks: list[Any] = []
    for index, kind in enumerate(kinds):
        if kind == "video":
            tracks.append(draw(videos(index)))
        elif kind == "audio":
            tracks.append(audio(
                index=index, codec=draw(st.sampled_from(AUDIO_CODECS)), channels=draw(st.none() | st.integers(0, 32)),
                sample_rate_hz=draw(st.none() | st.sampled_from((8000, 44_100, 48_000, 96_000, 192_000))),
                bitrate_bps=draw(st.none() | st.integers(1, 10**7)), decodes=draw(st.booleans()),
                size_bytes=draw(st.sampled_from((None, 0, 1000))), language=draw(words), title=draw(words),
                duration_s=draw(st.none() | st.floats(0, 1000)), start_s=draw(st.none() | st.floats(-1, 1000)),
                edits=draw(st.sampled_from(((), EDITS[:1]))),
            ))  # fmt: skip
        elif kind == "subtitle":
            codec, is_text = draw(st.sampled_from((("subrip", True), ("mov_text", True), ("dvb_subtitle", False))))
            said = {"language": draw(words), "title": draw(words)}
            tracks.append(subtitle(index=index, codec=codec, is_text=is_text, **said))
        else:
            what = draw(st.sampled_from(("data", "attachment", "attached_picture", "unknown")))
            tracks.append(other(index=index, kind=what, title=draw(words)))
    chapters = draw(st.lists(st.builds(Chapter, start_s=st.just(0.0), end_s=st.just(1.0), title=words), max_size=2))
    return media(
        *tracks, size_bytes=draw(st.integers(1, 10**12)), scan_complete=draw(st.booleans()),
        container=draw(st.sampled_from(("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "mpegts"))),
        duration_s=draw(st.none() | st.floats(0.01, 100_000)), title=draw(words), location=draw(words),
        creation_time=draw(words), chapters=tuple(chapters),
        damage=draw(st.sampled_from(((), ("file ends early at 3 s of 10",)))),
    )  # fmt: skip


@st.composite
def wishes(draw: DrawFn) -> Request:
    codec = draw(st.sampled_from(CODECS))
    return Request(
        codec=codec, preset=draw(st.none() | st.sampled_from(cpu_row(codec).presets)),
        crf=draw(st.none() | st.integers(0, int(cpu_row(codec).crf_max))),
        max_width=draw(st.sampled_from((1280, 1280, 16384)) | st.integers(16, 16384)),
        max_height=draw(st.sampled_from((720, 720, 16384)) | st.integers(16, 16384)),
        max_fps=draw(st.sampled_from((F(30), F(30000, 1001))) | st.fractions(F(1), F(1000), max_denominator=99)),
        audio_bitrate_bps=draw(st.integers(16_000, 1_000_000)),
        audio_channels=draw(st.sampled_from(("keep", "stereo"))), hdr=draw(st.sampled_from(("tonemap", "keep"))),
        hardware=draw(st.sampled_from(("auto", "off", "auto", "off", "require"))),
        min_saving=draw(st.sampled_from((0.0, 0.05, 0.95))), always_encode=draw(st.booleans()),
        threads=draw(st.sampled_from((0, 4))),
    )  # fmt: skip


FEW = tuple(EncoderFacts(name=n, opens=None) for n in ("libx264", "aac"))
HOSTS = (
    host(), host(ffmpeg(encoders=FEW)), host(ffmpeg(encoders=()), ffmpeg(path="/usr/bin/ffmpeg")),
    host(ffmpeg(filters=frozenset({"scale", "format", "setsar", "setparams", "select"}))),
    HostFacts(ffmpegs=(), gpus=(), cores=1, memory_mb=None),
)  # fmt: skip
SAMPLES = st.none() | st.builds(
    SampleFacts, windows=st.just(3), seconds=st.floats(1, 100), encoded_bytes_per_s=st.floats(0, 10**8)
)
CASES = st.tuples(medias(), st.sampled_from((HOSTS[0], *HOSTS)), wishes(), SAMPLES)
ENCODES = st.tuples(
    videos().map(lambda track: media(structs.replace(track, decodes=True, frames=300), audio(index=1))),
    st.just(HOSTS[0]),
    wishes().map(lambda wish: structs.replace(wish, always_encode=True, hardware="off")),
    st.none(),
)


def attempts_of(decided: Plan) -> tuple[Attempt, ...]:
    own = decided.attempts if isinstance(decided, Encode | Copy) else ()
    return (*own, *attempts_of(decided.otherwise)) if isinstance(decided, Encode) else own


def encode_of(case: tuple[Any, ...]) -> tuple[Encode, VideoTrack]:
    """The plan where it is an encode, and the track it is made from; other examples are passed over."""
    decided = plan(*case)
    assume(isinstance(decided, Encode))
    assert isinstance(decided, Encode)
    track = case[0].main_video
    assert track is not None
    return decided, track


def filters_of(attempt: Attempt) -> list[str]:
    """The filters one by one; a comma between quotes belongs to an expression."""
    return re.split(r",(?=(?:[^']*'[^']*')*[^']*$)", attempt.args[attempt.args.index("-filter:v:0") + 1])


@thorough
@given(CASES)
def test_every_input_gets_the_same_reasoned_answer_every_time(case: tuple[Any, ...]) -> None:
    decided = plan(*case)
    assert decided.reasons
    assert all(reason.code and reason.text for reason in decided.reasons)
    assert to_json(plan(*case)) == to_json(decided)


@thorough
@given(CASES)
def test_a_plan_survives_its_json(case: tuple[Any, ...]) -> None:
    decided = plan(*case)
    assert from_json(to_json(decided), Plan) == decided


@thorough
@given(ENCODES)
@example((media(video(width=1920, height=1080)), HOSTS[0], Request(max_width=1283, max_height=723), None))
@example((media(video(width=8192, height=2)), HOSTS[0], Request(), None))
def test_output_is_even_inside_the_turned_box_and_never_enlarged(case: tuple[Any, ...]) -> None:
    decided, track = encode_of(case)
    request = case[2]
    out = (decided.expect.width, decided.expect.height)
    shown = (track.display_width, track.display_height)
    sides = sorted((request.max_width, request.max_height))
    assert all(side >= 2 and side % 2 == 0 for side in out)
    assert all(side <= limit for side, limit in zip(out, shown, strict=True)), "enlarged"
    assert all(side <= limit for side, limit in zip(sorted(out), sides, strict=True)), "outside the box"
    assert (out[0] >= out[1]) == (shown[0] >= shown[1]) or abs(out[0] - out[1]) <= 2, "the box was not turned"


@thorough
@given(ENCODES)
def test_the_shape_is_kept_to_the_pixel_that_even_numbers_cost(case: tuple[Any, ...]) -> None:
    decided, track = encode_of(case)
    out = (decided.expect.width, decided.expect.height)
    shown = (track.display_width, track.display_height)
    longer, shorter = (0, 1) if shown[0] >= shown[1] else (1, 0)
    sides = sorted((case[2].max_width, case[2].max_height))
    scale = min(F(1), F(sides[1], shown[longer]), F(sides[0], shown[shorter]))
    for got, full in zip(out, shown, strict=True):
        assert abs(got - full * scale) < 2
    assert f"scale=w={out[0]}:h={out[1]}" in ",".join(filters_of(decided.attempts[0]))


@thorough
@given(ENCODES)
def test_hdr_is_either_tone_mapped_and_tagged_or_kept_in_ten_bits(case: tuple[Any, ...]) -> None:
    decided, track = encode_of(case)
    expect, filters = decided.expect, filters_of(decided.attempts[0])
    names = [f.partition("=")[0] for f in filters]
    if not track.colour.is_hdr:
        assert "tonemap" not in names
        assert expect.colour_transfer not in ("smpte2084", "arib-std-b67")
    elif "10" in (expect.pix_fmt or ""):
        assert (case[2].hdr, expect.colour_transfer) == ("keep", track.colour.transfer)
        assert "tonemap" not in names
    else:
        assert "tonemap" in names
        assert (expect.colour_primaries, expect.colour_transfer, expect.colour_matrix) == ("bt709",) * 3
        assert expect.colour_range == "limited"
        assert names.index("tonemap") < names.index("setparams")


@thorough
@given(ENCODES)
def test_pixels_come_out_as_the_encoder_row_says_in_limited_range_where_range_is_said(case: tuple[Any, ...]) -> None:
    decided, track = encode_of(case)
    row = cpu_row(case[2].codec)
    assert decided.expect.pix_fmt in (row.pix_fmt, row.pix_fmt_hdr)
    for attempt in decided.attempts:
        assert attempt.args[attempt.args.index("-pix_fmt:v:0") + 1] == decided.expect.pix_fmt
        stated = dict(pairwise(attempt.args)).get("-color_range:v:0")
        assert stated == {"limited": "tv", "full": "pc", None: None}[decided.expect.colour_range]
    if not track.colour.is_hdr:
        assert decided.expect.colour_range != "full"


@thorough
@given(CASES)
def test_every_stream_of_the_input_is_decided_once(case: tuple[Any, ...]) -> None:
    decided, facts = plan(*case), case[0]
    want = sorted(t.index for t in (*facts.video, *facts.audio, *facts.subtitles, *facts.other))
    for chosen in (decided, decided.otherwise if isinstance(decided, Encode) else None):
        if isinstance(chosen, Encode | Copy):
            assert sorted(s.index for s in chosen.streams) == want
            assert all(s.reason and (s.codec is None) == (s.action == "drop") for s in chosen.streams)
            kept = [s.index for s in chosen.streams if s.action != "drop"]
            for attempt in chosen.attempts:
                maps = [attempt.args[n + 1] for n, token in enumerate(attempt.args) if token == "-map"]
                assert sorted(maps) == sorted(f"0:{index}" for index in kept)


@thorough
@given(CASES)
def test_every_command_is_closed_and_names_its_files_once(case: tuple[Any, ...]) -> None:
    for attempt in attempts_of(plan(*case)):
        assert attempt.args[:2] == ("-hide_banner", "-nostdin")
        assert attempt.args.count(INPUT) == attempt.args.count(OUTPUT) == 1
        assert attempt.args[-1] == OUTPUT
        assert attempt.args[attempt.args.index(INPUT) - 1] == "-i"
        command = argv(attempt, source="file:/in/-y.mp4", target="/out/<input>")
        assert command[0] == attempt.ffmpeg
        assert [t for t in command if "/in/" in t or "/out/" in t] == ["file:/in/-y.mp4", "file:/out/<input>"]


@thorough
@given(CASES)
def test_every_attempt_runs_an_ffmpeg_that_has_its_encoder_and_filters(case: tuple[Any, ...]) -> None:
    builds = {f.path: f for f in case[1].ffmpegs}
    for attempt in attempts_of(plan(*case)):
        build = builds[attempt.ffmpeg]
        if attempt.encoder == "copy":
            continue
        assert build.lists(attempt.encoder)
        assert attempt.args[attempt.args.index("-c:v:0") + 1] == attempt.encoder
        assert {f.partition("=")[0] for f in filters_of(attempt)} <= build.filters


METADATA_KEYS = {"com.apple.quicktime.location.ISO6709", "com.apple.quicktime.title"}


@thorough
@given(medias(st.sampled_from(HOSTILE)), wishes())
def test_nothing_a_file_says_of_itself_stands_outside_a_metadata_value(facts: MediaFacts, request: Request) -> None:
    """The command is the one for a file that says something harmless, but for the values after ``key=``."""
    harmless = from_json(re.sub(rb'("(?:title|location|language|creation_time)":)"(?:[^"\\]|\\.)*"', rb'\1"word"',
                                to_json(facts)), MediaFacts)  # fmt: skip
    ours, theirs = (attempts_of(plan(m, HOSTS[0], request)) for m in (harmless, facts))
    assert len(ours) == len(theirs)
    said = {facts.title, facts.location}
    for a, b in zip(ours, theirs, strict=True):
        assert len(a.args) == len(b.args)
        for n, (mine, its) in enumerate(zip(a.args, b.args, strict=True)):
            if mine != its:
                key, _, value = its.partition("=")
                assert b.args[n - 1] == "-metadata"
                assert key in METADATA_KEYS
                assert value in said


@thorough
@given(ENCODES)
def test_no_filter_can_repeat_a_frame(case: tuple[Any, ...]) -> None:
    decided, track = encode_of(case)
    names = {f.partition("=")[0] for f in filters_of(decided.attempts[0])}
    assert not names & {"fps", "framerate", "minterpolate", "loop", "tpad", "telecine", "framestep"}
    assert decided.attempts[0].args[decided.attempts[0].args.index("-fps_mode:v:0") + 1] == "vfr"
    if "bwdif" in names:
        assert track.is_interlaced
        assert "mode=send_frame" in ",".join(filters_of(decided.attempts[0]))


# --- frames and times: FFmpeg's expressions, evaluated here ---


def moved_by(filters: Sequence[str], times: Sequence[float]) -> list[float]:
    """The times after ``settb`` and ``setpts``."""
    setpts = [f.removeprefix("setpts=") for f in filters if f.startswith("setpts=")]
    if not setpts:
        return list(times)
    base = F(next(f.removeprefix("settb=") for f in filters if f.startswith("settb=")))
    ticks = [round(F(t) / base) for t in times]  # av_rescale_q rounds to nearest
    return [float(eval(setpts[0], FUNCTIONS, {"PTS": p, "STARTPTS": ticks[0]}) * base) for p in ticks]


CAPS = st.sampled_from((F(30), F(30000, 1001), F(25), F(24), F(60))) | st.fractions(F(1), F(120), max_denominator=9)


@st.composite
def constant(draw: DrawFn) -> tuple[VideoTrack, list[float]]:
    """A track of constant rate, with its times rounded to the container's clock."""
    rate = draw(st.sampled_from(RATES) | st.fractions(F(5), F(300), max_denominator=50))
    base = draw(st.sampled_from((F(1, 1000), F(1, 90_000), F(1, 15_360))))
    start = draw(st.sampled_from((F(0), F(7, 1000), F(600), F(-1, 10))))
    count = draw(st.integers(2, 1500))
    times = [float(round((start + n / rate) / base) * base) for n in range(count)]
    track = video(fps_avg=rate, fps_nominal=rate, fps_peak=float(rate), is_vfr=False, frames=count, time_base=base,
                  start_s=times[0], duration_s=float(count / rate))  # fmt: skip
    return track, times


@st.composite
def variable(draw: DrawFn) -> tuple[VideoTrack, list[float]]:
    """A track whose frames come as they please, with the facts that follow from its times."""
    gaps = draw(st.lists(st.integers(1, 300), min_size=19, max_size=400))
    times = [draw(st.sampled_from((0.0, 0.007, 600.0)))]
    for gap in gaps:
        times.append(round(times[-1] + gap / 1000, 3))
    seconds = times[-1] - times[0] + sorted(gaps)[len(gaps) // 2] / 1000
    rate = F(len(times) / seconds).limit_denominator(100_000)
    peak, pts = 1000 / sorted(gaps)[int(len(gaps) * 0.05)], [round(1000 * t) for t in times]
    track = video(fps_avg=rate, fps_nominal=None, fps_peak=peak, is_vfr=True,
                  frames=len(times), time_base=F(1, 1000), start_s=times[0], duration_s=seconds,
                  held_s=held_frames(pts, F(1, 1000)), filled_slots=filled_slots(pts, F(1, 1000), peak))  # fmt: skip
    return track, times


@thorough
@given(variable(), CAPS)
def test_what_stays_on_the_screen_is_never_what_a_cap_leaves_out(
    made: tuple[VideoTrack, list[float]], cap: Fraction
) -> None:
    """Where frames come only with changes, the last one of a burst is what is looked at until the next."""
    track, times = made
    kept = kept_by(timing(track, Request(max_fps=cap))[0].filters, times)
    assert kept[-1] == times[-1] or times[-1] - times[-2] >= 0.1
    for before, time, after in zip(times, times[1:], times[2:], strict=False):
        if time - before < 0.0995 and after - time > 0.2005:
            assert time in kept


@thorough
@given(constant() | variable(), CAPS)
def test_capped_frames_are_a_subset_that_begins_with_the_first_and_fits_the_cap(
    made: tuple[VideoTrack, list[float]], cap: Fraction
) -> None:
    track, times = made
    clock, _ = timing(track, Request(max_fps=cap))
    kept = kept_by(clock.filters, times)
    seconds = track.duration_s or 0
    assert kept[0] == times[0]
    assert set(kept) <= set(times)
    assert kept == sorted(set(kept))
    if clock.keeps_all_frames:
        assert kept == times
        return
    assert len(kept) <= float(cap) * FPS_TOLERANCE * seconds + 2 + len(track.held_s)
    assert clock.frames_at_most is not None
    assert len(kept) <= clock.frames_at_most
    if len(times) > float(cap) * FPS_TOLERANCE * seconds + 2 + len(track.held_s):
        assert len(kept) < len(times), "a rate above the cap was let through whole"


@thorough
@given(constant() | variable(), CAPS)
def test_how_many_frames_a_cap_leaves_is_known_beforehand(made: tuple[VideoTrack, list[float]], cap: Fraction) -> None:
    track, times = made
    clock, _ = timing(track, Request(max_fps=cap))
    kept = len(kept_by(clock.filters, times))
    if clock.every is not None:
        assert kept == math.ceil(len(times) / clock.every)
        return
    slots = dict(track.filled_slots)
    assert clock.frames_at_least is not None or (track.is_vfr and not [n for n in slots if n <= cap])
    assert (clock.frames_at_least or 0) <= kept
    if not track.is_vfr or cap in slots:
        assert kept - len(track.held_s) <= 2 + 1.1 * (clock.frames_at_least or 0)


@thorough
@given(constant(), CAPS)
def test_capped_frames_stay_close_to_even(made: tuple[VideoTrack, list[float]], cap: Fraction) -> None:
    """No second goes without pictures: a gap is never longer than two slots of the cap and a frame."""
    track, times = made
    clock, _ = timing(track, Request(max_fps=cap))
    kept = kept_by(clock.filters, times)
    longest = max((b - a for a, b in pairwise(kept)), default=0.0)
    assert track.fps_avg is not None
    assert longest <= 2 / min(cap, track.fps_avg) + 1 / track.fps_avg + F(2, 1000)


@thorough
@given(constant())
def test_a_rate_within_the_cap_loses_no_frame(made: tuple[VideoTrack, list[float]]) -> None:
    track, times = made
    assert track.fps_avg is not None
    clock, reasons = timing(track, Request(max_fps=max(F(1), track.fps_avg)))
    assert clock.keeps_all_frames
    assert kept_by(clock.filters, times) == times
    assert "fps_capped" not in {r.code for r in reasons}


# A container counts in whole milliseconds, so a time may be wrong by half of one, and the first one's error is added.
GRID_TOLERANCE_S = 0.0011


@thorough
@given(constant())
@example((video(time_base=F(1, 1000), fps_avg=F(24), fps_nominal=F(24)), [round(n / 24, 3) for n in range(2000)]))
def test_putting_frames_back_on_their_grid_moves_none_beyond_the_rounding(
    made: tuple[VideoTrack, list[float]],
) -> None:
    track, times = made
    clock, _ = timing(track, Request(max_fps=F(1000)))
    moved = moved_by(clock.filters, times)
    assert max(abs(a - b) for a, b in zip(times, moved, strict=True)) <= GRID_TOLERANCE_S


@pytest.mark.parametrize(
    ("claimed", "actual"),
    [(F(24), F(24000, 1001)), (F(30), F(30000, 1001)), (F(60), F(60000, 1001)), (None, F(24000, 1001))],
)
def test_frames_are_not_put_on_the_grid_of_another_rate(claimed: Fraction | None, actual: Fraction) -> None:
    """Matroska that claims 24 fps and holds 23.976 would stutter every 42 seconds."""
    times = [round(float(n / actual), 3) for n in range(3000)]
    track = video(time_base=F(1, 1000), fps_avg=actual, fps_nominal=claimed, frames=3000, duration_s=125.0)
    clock, _ = timing(track, Request(max_fps=F(1000)))
    moved = moved_by(clock.filters, times)
    assert max(abs(a - b) for a, b in zip(times, moved, strict=True)) <= GRID_TOLERANCE_S


@thorough
@given(constant() | variable())
def test_the_encoders_clock_tells_every_frame_from_the_next(made: tuple[VideoTrack, list[float]]) -> None:
    track, times = made
    clock, _ = timing(track, Request(max_fps=F(1000)))
    assume(min(b - a for a, b in pairwise(times)) > 0)
    ticks = [round(F(t) / clock.time_base) for t in moved_by(clock.filters, times)]
    assert len(set(ticks)) == len(ticks)
    assert max(abs(tick * float(clock.time_base) - t) for tick, t in zip(ticks, times, strict=True)) < 0.002


@given(
    st.lists(st.sampled_from((10, 33, 40, 100, 249, 250, 251, 400, 3000, 60_000)), min_size=2, max_size=150),
    st.floats(0, 1),
)
def test_decoding_begins_several_pictures_before_the_one_that_is_shown(gaps: list[int], share: float) -> None:
    """In MP4 a keyframe is sought by its decode time, which lies as many pictures before it as are reordered."""
    pts = list(accumulate(gaps, initial=0))
    track = video(is_vfr=True, duration_s=(pts[-1] + 40) / 1000, pauses_s=pauses(pts, F(1, 1000)))
    assert len(track.pauses_s) <= MOST_PAUSES
    at_s = share * pts[-1] / 1000
    shown = sum(t / 1000 <= at_s for t in pts) - 1
    begins_s = pauses_of(track).decoded_from_s(at_s)
    assert begins_s <= pts[max(0, shown - 4)] / 1000 + 0.001
