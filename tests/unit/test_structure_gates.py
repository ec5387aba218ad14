"""Each gate on a good and on a bad output, on what nobody knows, and on what the input's own damage explains."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reelpress.check.due import frames_due, missing_s
from reelpress.check.structure import check_structure
from reelpress.engine import compress_file
from reelpress.facts.media import Chapter, Colour, Decoded, MediaFacts
from reelpress.plan.model import Expectation
from reelpress.probe.host import probe_host
from reelpress.receipt import Gate
from reelpress.request import Request
from reelpress.run.report import DecodeReport, read_report, read_samples

import clips
from factories import audio, media, subtitle, video

GOOD = Decoded(whole=True, errors=())
DAMAGE = ("packet is corrupt",)


def expectation(**changes: Any) -> Expectation:
    """What the output of ``factories.media()`` was planned to be."""
    base = Expectation(
        codec="h264", width=1920, height=1080, pix_fmt="yuv420p", sample_aspect_ratio=None, rotation_deg=0, frames=300,
        frames_at_most=None, duration_s=10.0, duration_tolerance_s=0.1, promised_s=None, audio=(10.0,),
        audio_tolerance_s=0.15, audio_offset_s=0.0, subtitles=0, chapters=0, colour_transfer=None,
        colour_primaries=None, colour_matrix=None, colour_range=None, copied_codecs=(), max_bytes=20_000_000,
        frames_every=1,
    )  # fmt: skip
    return msgspec.structs.replace(base, **changes)


def gates(
    facts: MediaFacts | None = None,
    *,
    decoded: Decoded | None = GOOD,
    damage: tuple[str, ...] = (),
    report: DecodeReport | None = None,
    heard_s: tuple[float | None, ...] = (),
    **expected: Any,
) -> dict[str, Gate]:
    found = check_structure(
        expectation(**expected), media() if facts is None else facts, decoded, input_damage=damage, report=report,
        heard_s=heard_s,
    )  # fmt: skip
    assert len({gate.name for gate in found}) == len(found)
    return {gate.name: gate for gate in found}


def seen(**changes: Any) -> MediaFacts:
    """An output whose video differs in this."""
    return media(video(**changes), audio())


def heard(**changes: Any) -> MediaFacts:
    """An output whose sound differs in this."""
    return media(video(), audio(**changes))


def counted(frames: int, errors: int | None = 0) -> DecodeReport:
    return DecodeReport(packets=300, frames=frames, errors=errors)


def test_an_output_as_planned_passes_every_gate() -> None:
    assert {gate.verdict for gate in gates().values()} == {"passed"}
    assert set(gates()) == {
        "codec", "size", "pixel_aspect", "rotation", "pixel_format", "frames", "duration", "audio_streams",
        "audio_0_duration", "audio_sync", "subtitles", "chapters", "faststart", "decodes", "smaller",
    }  # fmt: skip


BAD: dict[str, tuple[str, MediaFacts, dict[str, Any]]] = {
    "codec": ("codec", seen(codec="hevc"), {}),
    "width": ("size", seen(width=1918), {}),
    "height": ("size", seen(height=1078), {}),
    "pixel aspect": ("pixel_aspect", seen(sample_aspect_ratio=Fraction(4, 3)), {}),
    "pixel aspect of a copy": ("pixel_aspect", media(), {"sample_aspect_ratio": Fraction(4, 3)}),
    "rotation": ("rotation", seen(rotation_deg=90, width=1920, display_width=1080), {}),
    "pixel format": ("pixel_format", seen(pix_fmt="yuv444p"), {}),
    "primaries": ("colour_primaries", seen(colour=Colour(primaries="bt2020")), {"colour_primaries": "bt709"}),
    "transfer": ("colour_transfer", seen(colour=Colour(transfer="smpte2084")), {"colour_transfer": "bt709"}),
    "lost transfer": ("colour_transfer", media(), {"colour_transfer": "bt709"}),
    "matrix": ("colour_matrix", seen(colour=Colour(matrix="smpte170m")), {"colour_matrix": "bt709"}),
    "range": ("colour_range", seen(colour=Colour(range="full")), {"colour_range": "limited"}),
    "no frame": ("frames", seen(frames=0), {}),
    "two frames missing": ("frames", seen(frames=298), {}),
    "one frame repeated": ("frames", seen(frames=301), {}),
    "more frames than the cap": ("frames", seen(frames=152), {"frames": None, "frames_at_most": 151}),
    "no frame under a cap": ("frames", seen(frames=0), {"frames": None, "frames_at_most": 151}),
    "fewer frames than slots": (
        "frames",
        seen(frames=139),
        {"frames": None, "frames_every": None, "frames_at_most": 151, "frames_at_least": 140},
    ),
    "two of every second frame missing": (
        "frames",
        seen(frames=148),
        {"frames": 150, "frames_every": 2, "frames_at_most": 150},
    ),
    "a last picture that stays because others are missing": (
        "duration",
        seen(duration_s=10.0, last_s=6.2),
        {"last_s": 6.0},
    ),
    "too short": ("duration", seen(duration_s=9.89), {}),
    "too long": ("duration", seen(duration_s=10.11), {}),
    "a sound too few": ("audio_streams", media(video()), {}),
    "a sound too many": ("audio_streams", media(video(), audio(), audio(index=2)), {}),
    "short sound": ("audio_0_duration", heard(duration_s=9.84), {}),
    "long sound": ("audio_0_duration", heard(duration_s=10.16), {}),
    "a second of a long sound": (
        "audio_0_duration",
        heard(duration_s=998.9),
        {"audio": (1000.0,), "audio_most_s": 1.0},
    ),
    "more than a hundredth of a sound": (
        "audio_0_duration",
        heard(duration_s=49.4),
        {"audio": (50.0,), "audio_most_s": 1.0},
    ),
    "late sound": ("audio_sync", heard(start_s=0.041), {}),
    "early sound": ("audio_sync", heard(start_s=-0.041), {}),
    "late picture": ("audio_sync", seen(start_s=0.041), {}),
    "lost delay": ("audio_sync", media(), {"audio_offset_s": 0.5}),
    "a subtitle too few": ("subtitles", media(), {"subtitles": 1}),
    "a subtitle too many": ("subtitles", media(video(), audio(), subtitle()), {}),
    "lost chapters": ("chapters", media(), {"chapters": 2}),
    "index at the end": ("faststart", media(is_faststart=False), {}),
    "larger than wanted": ("smaller", media(size_bytes=20_000_001), {}),
}


@pytest.mark.parametrize(("gate", "output", "expected"), BAD.values(), ids=BAD)
def test_an_output_that_differs_fails_at_its_gate_and_at_no_other(
    gate: str, output: MediaFacts, expected: dict[str, Any]
) -> None:
    found = gates(output, **expected)
    assert found[gate].verdict == "failed"
    assert found[gate].expected != found[gate].measured
    assert {name for name, one in found.items() if one.verdict != "passed"} <= {gate, "size"}


GOOD_ENOUGH: dict[str, tuple[str, MediaFacts, dict[str, Any]]] = {
    "tags as planned": ("colour_transfer", seen(colour=Colour(transfer="bt709")), {"colour_transfer": "bt709"}),
    "aspect of a copy": (
        "pixel_aspect", seen(sample_aspect_ratio=Fraction(4, 3)), {"sample_aspect_ratio": Fraction(4, 3)},
    ),
    "one frame shares its time": ("frames", seen(frames=299), {}),
    "as many frames as the cap": ("frames", seen(frames=151), {"frames": None, "frames_at_most": 151}),
    "as few frames as slots": (
        "frames", seen(frames=140), {"frames": None, "frames_every": None, "frames_at_most": 151,
                                     "frames_at_least": 140},
    ),
    "a last picture that stays as planned": ("duration", seen(duration_s=10.0, last_s=6.09), {"last_s": 6.0}),
    "just short enough": ("duration", seen(duration_s=9.9005), {}),
    "just long enough": ("duration", seen(duration_s=10.0995), {}),
    "sound within 150 ms": ("audio_0_duration", heard(duration_s=9.851), {}),
    "long sound within a hundredth of a claim": ("audio_0_duration", heard(duration_s=990.1), {"audio": (1000.0,)}),
    "long sound within a second of what was measured": (
        "audio_0_duration", heard(duration_s=999.1), {"audio": (1000.0,), "audio_most_s": 1.0},
    ),
    "sound within a hundredth, which is less": (
        "audio_0_duration", heard(duration_s=49.6), {"audio": (50.0,), "audio_most_s": 1.0},
    ),
    "sound 39 ms late": ("audio_sync", heard(start_s=0.039), {}),
    "sound late by the input's own delay": ("audio_sync", heard(start_s=0.5), {"audio_offset_s": 0.5}),
    "chapters": ("chapters", media(chapters=(Chapter(start_s=0, end_s=5, title=None),)), {"chapters": 1}),
    "just as large as wanted": ("smaller", media(size_bytes=20_000_000), {}),
}  # fmt: skip


@pytest.mark.parametrize(("gate", "output", "expected"), GOOD_ENOUGH.values(), ids=GOOD_ENOUGH)
def test_a_difference_within_tolerance_passes(gate: str, output: MediaFacts, expected: dict[str, Any]) -> None:
    assert gates(output, **expected)[gate].verdict == "passed"


UNKNOWN: dict[str, tuple[str, MediaFacts, dict[str, Any]]] = {
    "pixel format of the output": ("pixel_format", seen(pix_fmt=None), {}),
    "pixel format that was wanted": ("pixel_format", media(), {"pix_fmt": None}),
    "frames of the output": ("frames", seen(frames=None), {}),
    "frames of the input": ("frames", media(), {"frames": None}),
    "duration of the output": ("duration", seen(duration_s=None), {}),
    "duration of the input": ("duration", media(), {"duration_s": None}),
    "duration of the output's sound": ("audio_0_duration", heard(duration_s=None), {}),
    "duration of the input's sound": ("audio_0_duration", media(), {"audio": (None,)}),
    "start of the sound": ("audio_sync", heard(start_s=None), {}),
    "start of the picture": ("audio_sync", seen(start_s=None), {}),
    "place of the index": ("faststart", media(is_faststart=None), {}),
}


@pytest.mark.parametrize(("gate", "output", "expected"), UNKNOWN.values(), ids=UNKNOWN)
def test_what_nobody_knows_is_unmeasured_and_never_failed(
    gate: str, output: MediaFacts, expected: dict[str, Any]
) -> None:
    assert gates(output, **expected)[gate].verdict == "unmeasured"
    assert gates(output, damage=DAMAGE, **expected)[gate].verdict == "unmeasured"


@pytest.mark.parametrize(
    ("expected", "absent"),
    [({"max_bytes": None}, "smaller"), ({"audio_offset_s": None}, "audio_sync"), ({}, "input_complete"),
     ({}, "colour_transfer"), ({}, "colour_range")],
)  # fmt: skip
def test_a_gate_nobody_asked_for_is_not_there(expected: dict[str, Any], absent: str) -> None:
    assert absent not in gates(**expected)


@pytest.mark.parametrize("tracks", [(audio(),), (video(), video(index=2), audio())])
def test_an_output_without_just_one_video_fails_whatever_else_it_is(tracks: tuple[Any, ...]) -> None:
    found = gates(media(*tracks))
    assert {name: gate.verdict for name, gate in found.items()} == {"video": "failed"}


# --- frames, with the account of the input's decoder ---


@pytest.mark.parametrize(
    ("got", "report", "damage", "verdict"),
    [
        (300, counted(300), (), "passed"),
        (300, counted(290, 4), DAMAGE, "passed"),
        (290, counted(290), (), "passed"),
        (290, counted(290, None), (), "passed"),
        (290, counted(290, 10), (), "damaged_input"),
        (290, counted(290), DAMAGE, "damaged_input"),
        (290, counted(291), (), "failed"),
        (290, counted(291, 9), DAMAGE, "failed"),
        (290, counted(300), (), "failed"),
        (290, None, (), "failed"),
        (301, counted(301), (), "failed"),
        (310, counted(310, 3), DAMAGE, "failed"),
        (299, counted(300), (), "passed"),
    ],
)
def test_frames_may_be_missing_only_as_far_as_the_decoder_gave_none(
    got: int, report: DecodeReport | None, damage: tuple[str, ...], verdict: str
) -> None:
    assert gates(seen(frames=got), report=report, damage=damage)["frames"].verdict == verdict


@pytest.mark.parametrize(
    ("got", "report", "damage", "verdict"),
    [
        (145, counted(290), (), "passed"),
        (146, counted(291), (), "passed"),
        (145, counted(290, 10), (), "damaged_input"),
        (145, counted(290), DAMAGE, "damaged_input"),
        (144, counted(290), DAMAGE, "failed"),
        (145, counted(300), (), "failed"),
        (145, None, DAMAGE, "failed"),
        (20, counted(300), (), "failed"),
        (151, counted(300), (), "failed"),
    ],
)
def test_of_every_second_frame_as_many_are_due_as_the_decoder_gave(
    got: int, report: DecodeReport | None, damage: tuple[str, ...], verdict: str
) -> None:
    found = gates(seen(frames=got), report=report, damage=damage, frames=150, frames_every=2, frames_at_most=150)
    assert found["frames"].verdict == verdict


@pytest.mark.parametrize(
    ("got", "report", "verdict"),
    [
        (139, counted(300), "failed"),
        (140, counted(300), "passed"),
        (60, counted(280), "passed"),
        (59, counted(280), "failed"),
        (1, counted(40), "passed"),
    ],
)
def test_fewer_slots_are_filled_where_the_decoder_gave_fewer_frames(
    got: int, report: DecodeReport, verdict: str
) -> None:
    capped = {"frames": None, "frames_every": None, "frames_at_most": 151, "frames_at_least": 140}
    found = gates(seen(frames=got, duration_s=10.0), report=report, damage=DAMAGE, **capped)
    assert found["frames"].verdict == verdict


@pytest.mark.parametrize(
    ("expected", "report", "damaged", "due"),
    [
        ({}, counted(300), False, (300, 300)),
        ({}, counted(290), True, (290, 290)),
        ({}, counted(290), False, (290, 290)),
        ({}, None, False, (300, 300)),
        ({}, None, True, None),
        ({"frames": 150, "frames_every": 2}, counted(291), True, (146, 146)),
        ({"frames": None, "frames_every": None, "frames_at_least": 140, "frames_at_most": 151}, counted(300), True,
         (140, 151)),
        ({"frames": None, "frames_every": None, "frames_at_most": 151}, counted(300), False, (1, 151)),
        ({"frames": None}, counted(300), False, None),
    ],
)  # fmt: skip
def test_rungs_of_a_ladder_owe_what_the_decoder_gave(
    expected: dict[str, Any], report: DecodeReport | None, damaged: bool, due: tuple[int, int] | None
) -> None:
    assert frames_due(expectation(**expected), report, damaged=damaged) == due


@pytest.mark.parametrize(
    ("report", "samples", "damaged", "missing"),
    [
        (counted(300), {1: 480_000}, False, (0.0, 0.0)),
        (counted(300), {1: 480_000}, True, (1.0, 1.0)),
        (counted(270), {1: 480_000}, False, (3.0, 0.0)),
        (counted(270), {1: 240_000}, True, (3.0, 11.0)),
        (None, {}, True, (2.0, 2.0)),
    ],
)
def test_what_a_source_may_lack_follows_from_what_was_decoded(
    report: DecodeReport | None, samples: dict[int, int], damaged: bool, missing: tuple[float, float]
) -> None:
    found = missing_s(expectation(), report, audio(sample_rate_hz=48_000), samples, damaged=damaged)
    assert found == pytest.approx(missing)


@pytest.mark.parametrize(
    ("got", "every", "verdict"),
    [(300, 1, "unmeasured"), (297, 1, "unmeasured"), (296, 1, "failed"), (150, 2, "unmeasured"), (147, 2, "failed"),
     (40, None, "unmeasured")],
)  # fmt: skip
def test_of_an_input_that_nobody_counted_what_the_decoder_gave_is_due(
    got: int, every: int | None, verdict: str
) -> None:
    assert gates(seen(frames=got), report=counted(300), frames=None, frames_every=every)["frames"].verdict == verdict


@pytest.mark.parametrize(
    ("frames", "report", "verdict"),
    [(280, counted(280), "passed"), (280, counted(280, 20), "failed"), (280, counted(281), "failed"),
     (300, counted(300), "failed"), (280, None, "failed")],
)  # fmt: skip
def test_a_programme_may_end_early_where_its_last_packets_held_no_picture(
    frames: int, report: DecodeReport | None, verdict: str
) -> None:
    assert gates(seen(frames=frames, duration_s=9.3), report=report)["duration"].verdict == verdict


@pytest.mark.parametrize(
    ("duration_s", "report", "verdict"),
    [(9.3, counted(280), "passed"), (9.3, counted(280, 20), "failed"), (9.3, counted(300), "failed"),
     (7.0, counted(280), "failed"), (9.3, None, "failed")],
)  # fmt: skip
def test_where_frames_are_kept_by_their_times_a_programme_ends_early_in_proportion_at_most(
    duration_s: float, report: DecodeReport | None, verdict: str
) -> None:
    found = gates(
        seen(frames=145, duration_s=duration_s), report=report, frames=None, frames_every=None, frames_at_most=151
    )
    assert found["duration"].verdict == verdict


def test_what_a_clip_is_cut_of_is_no_reason_to_be_short() -> None:
    found = gates(seen(frames=295, duration_s=9.8), report=counted(280), frames_every=None, frames=295)
    assert found["duration"].verdict == "failed"


# --- damage ---


@pytest.mark.parametrize(
    ("gate", "output"),
    [
        ("duration", seen(duration_s=8.1)),
        ("audio_0_duration", heard(duration_s=8.0)),
        ("audio_sync", heard(start_s=1.9)),
    ],
)
def test_what_is_missing_is_put_down_to_a_damaged_input(gate: str, output: MediaFacts) -> None:
    assert gates(output)[gate].verdict == "failed"
    assert gates(output, damage=DAMAGE)[gate].verdict == "damaged_input"


@pytest.mark.parametrize(
    ("gate", "output"),
    [
        ("duration", seen(duration_s=7.8)),
        ("audio_0_duration", heard(duration_s=7.8)),
        ("audio_sync", heard(start_s=2.1)),
        ("audio_sync", heard(start_s=-2.1)),
    ],
)
def test_damage_does_not_excuse_more_than_a_little_where_nobody_counted_what_was_decoded(
    gate: str, output: MediaFacts
) -> None:
    assert gates(output, damage=DAMAGE)[gate].verdict == "failed"


@pytest.mark.parametrize(
    ("duration_s", "frames", "report", "verdict"),
    [
        (9.0, 300, counted(300), "damaged_input"),
        (8.8, 300, counted(300), "failed"),
        (8.8, 270, counted(270, 30), "damaged_input"),
        (6.8, 270, counted(270, 30), "failed"),
        (4.0, 120, counted(120, 180), "damaged_input"),
        (0.4, 12, counted(299, 1), "failed"),
    ],
)
def test_a_damaged_input_may_be_short_by_what_its_decoder_did_not_give(
    duration_s: float, frames: int, report: DecodeReport, verdict: str
) -> None:
    found = gates(seen(duration_s=duration_s, frames=frames), report=report, damage=DAMAGE)
    assert found["duration"].verdict == verdict


def test_how_long_a_lost_picture_stayed_nobody_knows_where_they_come_as_they_please() -> None:
    output = seen(duration_s=4.0, frames=299, is_vfr=True)
    assert gates(output, report=counted(299, 1), damage=DAMAGE)["duration"].verdict == "damaged_input"
    assert gates(output, report=counted(300, 0), damage=DAMAGE)["duration"].verdict == "failed"


@pytest.mark.parametrize(
    ("duration_s", "decoded_s", "verdict"),
    [(9.0, 10.0, "damaged_input"), (8.8, 10.0, "failed"), (5.0, 5.0, "damaged_input"), (4.0, 9.0, "failed"),
     (8.8, None, "damaged_input"), (4.0, None, "failed")],
)  # fmt: skip
def test_a_damaged_sound_may_be_short_by_what_its_decoder_did_not_give(
    duration_s: float, decoded_s: float | None, verdict: str
) -> None:
    found = gates(heard(duration_s=duration_s), damage=DAMAGE, heard_s=(decoded_s,))
    assert found["audio_0_duration"].verdict == verdict
    assert gates(heard(duration_s=duration_s), heard_s=(decoded_s,))["audio_0_duration"].verdict == "failed"


@pytest.mark.parametrize(
    ("gate", "output"),
    [("duration", seen(duration_s=12.0)), ("audio_0_duration", heard(duration_s=12.0)), ("frames", seen(frames=330)),
     ("codec", seen(codec="hevc")), ("smaller", media(size_bytes=20_000_001))],
)  # fmt: skip
def test_damage_does_not_excuse_what_is_too_much_or_wrong(gate: str, output: MediaFacts) -> None:
    assert gates(output, damage=DAMAGE)[gate].verdict == "failed"


@pytest.mark.parametrize(
    ("promised", "held", "told"),
    [(10.0, 10.0, False), (10.0, 9.01, False), (10.0, 8.9, True), (1000.0, 981.0, False), (1000.0, 979.0, True),
     (10.0, None, False), (9.0, 10.0, False)],
)  # fmt: skip
def test_an_input_that_ends_before_its_promise_is_told(promised: float, held: float | None, told: bool) -> None:
    output = seen(duration_s=held)
    found = gates(output, promised_s=promised, duration_s=held)
    assert ("input_complete" in found) is told
    assert not told or found["input_complete"].verdict == "damaged_input"


# --- the software decoder ---


@pytest.mark.parametrize(
    ("decoded", "verdict", "measured"),
    [
        (GOOD, "passed", "no errors"),
        (None, "unmeasured", "not decoded"),
        (Decoded(whole=False, errors=("error while decoding MB 1 2", "more")), "failed",
         "error while decoding MB 1 2"),
    ],
)  # fmt: skip
def test_an_output_must_decode(decoded: Decoded | None, verdict: str, measured: str) -> None:
    gate = gates(decoded=decoded)["decodes"]
    assert (gate.verdict, gate.measured) == (verdict, measured)


BROKEN_AAC = "[aac] channel element 1.12 is not allocated"
BROKEN_H264 = "[h264] Invalid data found when processing input"


@pytest.mark.parametrize(
    ("copied", "errors", "verdict"),
    [
        (("aac",), (BROKEN_AAC,), "damaged_input"),
        (("aac", "h264"), (BROKEN_AAC, BROKEN_H264), "damaged_input"),
        ((), (BROKEN_AAC,), "failed"),
        (("aac",), (BROKEN_H264,), "failed"),
        (("aac",), (BROKEN_AAC, BROKEN_H264), "failed"),
        (("aac",), ("who speaks here is not said",), "failed"),
        (("aac",), (BROKEN_AAC, "[mov,mp4,m4a,3gp,3g2,mj2] stream 0, offset 0x30: partial file"), "failed"),
    ],
)
def test_errors_in_copied_packets_are_the_inputs_own(
    copied: tuple[str, ...], errors: tuple[str, ...], verdict: str
) -> None:
    assert gates(decoded=Decoded(whole=True, errors=errors), copied_codecs=copied)["decodes"].verdict == verdict


@pytest.mark.parametrize(("whole", "stretch"), [(True, "all of it"), (False, "its start, middle and end")])
def test_the_gate_says_how_much_was_decoded(whole: bool, stretch: str) -> None:
    assert stretch in gates(decoded=Decoded(whole=whole, errors=()))["decodes"].text


# --- FFmpeg's own account, as two versions write it ---

NINE = """\
[AVIOContext @ 0x559a804a3e40] [verbose] Statistics: 21143 bytes written, 2 seeks, 4 writeouts
[out#0/mp4 @ 0x559a802b9b40] [verbose] Output file #0 (file:/tmp/out.mp4):
[out#0/mp4 @ 0x559a802b9b40] [verbose]   Output stream #0:0 (video): 10 frames encoded; 10 packets muxed (15692 bytes);\x20
[in#0/mov,mp4,m4a,3gp,3g2,mj2 @ 0x559a802b4e00] [verbose] Input file #0 (a.mp4):
[in#0/mov,mp4,m4a,3gp,3g2,mj2 @ 0x559a802b4e00] [verbose]   Input stream #0:0 (video): 12 packets read (15758 bytes); 10 frames decoded; 2 decode errors;\x20
[in#0/mov,mp4,m4a,3gp,3g2,mj2 @ 0x559a802b4e00] [verbose]   Input stream #0:1 (audio): 19 packets read (3759 bytes); 18 frames decoded; 0 decode errors (17640 samples);\x20
[in#0/mov,mp4,m4a,3gp,3g2,mj2 @ 0x559a802b4e00] [verbose]   Input stream #0:2 (video): 1 packets read (759 bytes);\x20
[in#0/mov,mp4,m4a,3gp,3g2,mj2 @ 0x559a802b4e00] [verbose]   Total: 29 packets (19517 bytes) demuxed
"""  # noqa: E501 - as it was written
FIVE = """\
[verbose] No more output streams to write to, finishing.
[info] video:15kB audio:4kB subtitle:0kB other streams:0kB global headers:0kB muxing overhead: 8.496965%
[verbose] Input file #0 (a.mp4):
[verbose]   Input stream #0:0 (video): 12 packets read (15758 bytes); 10 frames decoded;\x20
[verbose]   Input stream #0:1 (audio): 19 packets read (3759 bytes); 18 frames decoded (18432 samples);\x20
[verbose]   Total: 29 packets (19517 bytes) demuxed
[verbose] Output file #0 (file:/tmp/out.mp4):
[verbose]   Output stream #0:0 (video): 10 frames encoded; 10 packets muxed (15706 bytes);\x20
"""


@pytest.mark.parametrize(
    ("text", "index", "want"),
    [
        (NINE, 0, DecodeReport(packets=12, frames=10, errors=2)),
        (FIVE, 0, DecodeReport(packets=12, frames=10, errors=None)),
        (NINE, 1, None),
        (FIVE, 1, None),
        (NINE, 2, None),
        (FIVE, 3, None),
        ("", 0, None),
        (NINE[:300], 0, None),
    ],
)
def test_the_account_of_the_main_video_is_read(text: str, index: int, want: DecodeReport | None) -> None:
    assert read_report(text, index) == want


def test_samples_are_read_of_sounds_that_were_decoded() -> None:
    copied = "[in#0/avi @ 0x5] [verbose]   Input stream #0:4 (audio): 19 packets read (3759 bytes); \n"
    assert read_samples(NINE + copied) == {1: 17640}
    assert read_samples(FIVE) == {1: 18432}
    assert read_samples(FIVE + NINE) == {1: 17640}


@pytest.mark.parametrize("version", ["5.1", "9"])
def test_an_account_that_stands_in_a_name_before_the_real_one_does_not_count(version: str) -> None:
    forged = (NINE if version == "9" else FIVE).replace("12 packets", "777 packets")
    real = NINE if version == "9" else FIVE
    read = read_report(forged + real, 0)
    assert read is not None
    assert read.packets == 12


@pytest.mark.parametrize(
    "line", ["x[verbose]   Input stream #0:0 (video): 7 packets read (1 bytes); 7 frames decoded; "]
)
def test_an_account_in_the_middle_of_a_line_does_not_count(line: str) -> None:
    assert read_report(line, 0) is None


# FFmpeg prints control characters as question marks, but not line breaks: a name is not found by its own spelling.
FORGED = (
    "\x01\n[verbose]   Input stream #0:0 (video): 7 packets read (1 bytes); 7 frames decoded; \n"
    "[h264 @ 0x5] [error] error while decoding MB 1 2\n"
)


@pytest.mark.media
@pytest.mark.parametrize("origin", ["bundled", "path"])
def test_a_file_name_can_forge_neither_the_account_nor_damage(origin: str, tmp_path: Path) -> None:
    """FFmpeg 5.1 names the output after its account of the input, and ours is named after the input."""
    host = probe_host()
    builds = tuple(f for f in host.ffmpegs if f.origin == origin)
    if not builds:
        pytest.skip(f"no {origin} FFmpeg on this machine")
    source = clips.plain(tmp_path / "in.mp4", seconds=0.4).rename(tmp_path / f"a{FORGED}b.mp4")
    only = msgspec.structs.replace(host, ffmpegs=builds)
    receipt = compress_file(source, None, host=only, request=Request(preset="ultrafast", always_encode=True))
    assert receipt.status == "encoded", receipt.error
    report = read_report(receipt.attempts[0].stderr_tail, 0)
    assert report is not None
    assert (report.frames, receipt.warnings) == (10, ())


@pytest.mark.media
@pytest.mark.parametrize("origin", ["bundled", "path"])
def test_every_ffmpeg_here_gives_an_account(origin: str, tmp_path: Path) -> None:
    binary = next((f.path for f in probe_host().ffmpegs if f.origin == origin), None)
    if binary is None:
        pytest.skip(f"no {origin} FFmpeg on this machine")
    source = clips.plain(tmp_path / "in.mp4", seconds=0.4)
    command = [binary, "-nostdin", "-nostats", "-loglevel", "repeat+level+verbose", "-i", source, "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    report = read_report(done.stderr, 0)
    assert report is not None
    assert (report.packets, report.frames, report.errors or 0) == (10, 10, 0)
