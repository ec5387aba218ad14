"""The structure gates: pure comparisons of what came out with what was planned.

A fact nobody could read is ``unmeasured``, never a failure; a shortfall that the input's own damage explains is
``damaged_input``, as far as it does (:mod:`reelpress.check.due`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest

from reelpress.check.due import excused_s, frames_given, least_frames, lost_pictures, lost_sound
from reelpress.facts.media import AudioTrack, Decoded, MediaFacts, VideoTrack
from reelpress.plan.model import Expectation
from reelpress.receipt import Gate, Verdict
from reelpress.run.report import DecodeReport

# Of as many frames as the decoder gave, where nobody counted those of the input.
UNCOUNTED_TOLERANCE = 0.01


def check_structure(
    expect: Expectation,
    media: MediaFacts,
    decoded: Decoded | None,
    *,
    input_damage: tuple[str, ...] = (),
    report: DecodeReport | None = None,
    heard_s: Sequence[float | None] = (),
) -> tuple[Gate, ...]:
    """Compare an output's facts with what was expected; gates come in a fixed order.

    ``report`` is what the decoder of the input's pictures counted, ``heard_s`` how many seconds those of its sounds
    gave, where there were any.
    """
    if len(media.video) != 1:
        found = f"{len(media.video)} video streams"
        return (Gate(name="video", verdict="failed", expected="1 video stream", measured=found, text="Not one video."),)
    track = media.video[0]
    damaged = bool(input_damage)
    gates = (
        _equal("codec", expect.codec, track.codec),
        _equal("size", f"{expect.width}x{expect.height}", f"{track.width}x{track.height}"),
        _equal("pixel_aspect", str(expect.sample_aspect_ratio or 1), str(track.sample_aspect_ratio)),
        _equal("rotation", f"{expect.rotation_deg} degrees", f"{track.rotation_deg} degrees"),
        _equal("pixel_format", expect.pix_fmt, track.pix_fmt),
        *_colour(expect, track),
        _frames(expect, track, report, damaged=damaged),
        _duration(expect, track, report, damaged=damaged),
        *_audio(expect, media, track, _missing(expect, report, heard_s) if damaged else None),
        _equal("subtitles", str(expect.subtitles), str(len(media.subtitles))),
        _equal("chapters", str(expect.chapters), str(len(media.chapters))),
        *_clip(expect, media, track),
        _equal("faststart", "True", None if media.is_faststart is None else str(media.is_faststart)),
        _decodes(decoded, expect.copied_codecs),
        _complete(expect),
        _size(expect, media),
    )
    return tuple(gate for gate in gates if gate is not None)


def _gate(name: str, verdict: Verdict, expected: str, measured: str, text: str = "") -> Gate:
    return Gate(name=name, verdict=verdict, expected=expected, measured=measured, text=text)


def _clip(expect: Expectation, media: MediaFacts, track: VideoTrack) -> tuple[Gate, ...]:
    """Check what platforms ask of a clip."""
    clip = expect.clip
    if clip is None:
        return ()
    rate = f"{float(clip.fps):.5g} fps, constant"
    found = None
    if track.fps_avg is not None and track.is_vfr is not None:
        same = not track.is_vfr and abs(track.fps_avg / clip.fps - 1) < 0.001
        found = rate if same else f"{float(track.fps_avg):.5g} fps, {'variable' if track.is_vfr else 'constant'}"
    elif track.frames == 1:
        found = rate
    gop, wanted = track.longest_gop_s, f"at most {clip.max_gop_s:g} s"
    if gop is None:
        gop_gate = _gate("gop", "unmeasured", wanted, "unknown", "Not known.")
    else:
        verdict: Verdict = "passed" if gop <= clip.max_gop_s + 0.001 else "failed"
        gop_gate = _gate("gop", verdict, wanted, f"{gop:.2f} s")
    tracks: tuple[VideoTrack | AudioTrack, ...] = (track, *media.audio)
    moved = [edit for each in tracks for edit in each.edits if edit.media_time_s != 0]
    starts = {f"{each.start_s:.3f} s" for each in tracks if each.start_s is not None}
    at_zero = _equal("starts_at_zero", "0.000 s", ", ".join(sorted(starts)) or None)
    return (
        _equal("constant_rate", rate, found), gop_gate,
        _equal("edit_list", "none that moves anything", f"{len(moved)} edits" if moved else "none that moves anything"),
        at_zero,
    )  # fmt: skip


def _equal(name: str, expected: str | None, measured: str | None) -> Gate:
    if expected is None or measured is None:
        return _gate(name, "unmeasured", str(expected), str(measured), "Not known.")
    return _gate(name, "passed" if expected == measured else "failed", expected, measured)


def _colour(expect: Expectation, track: VideoTrack) -> tuple[Gate, ...]:
    pairs = (
        ("colour_primaries", expect.colour_primaries, track.colour.primaries),
        ("colour_transfer", expect.colour_transfer, track.colour.transfer),
        ("colour_matrix", expect.colour_matrix, track.colour.matrix),
    )
    gates = [_equal(name, want, got or "unknown") for name, want, got in pairs if want is not None]
    if expect.colour_range == "limited" and track.colour.range == "full":
        gates.append(_gate("colour_range", "failed", "limited", "full"))
    return tuple(gates)


def _frames(expect: Expectation, track: VideoTrack, report: DecodeReport | None, *, damaged: bool) -> Gate:
    if track.frames is None:
        return _gate("frames", "unmeasured", str(expect.frames), "unknown", "The output was not counted to its end.")
    if track.frames == 0:
        return _gate("frames", "failed", "at least 1", "0", "The output holds no picture.")
    if expect.clip is not None:
        verdict: Verdict = "passed" if track.frames == expect.frames else "failed"
        return _gate("frames", verdict, str(expect.frames), str(track.frames))
    if expect.frames is not None:
        return _all_frames(expect, expect.frames, track.frames, report, damaged=damaged)
    if expect.frames_at_most is not None:
        return _some_frames(track.frames, least_frames(expect, report), expect.frames_at_most)
    return _uncounted_frames(track.frames, frames_given(expect, report))


def _uncounted_frames(got: int, given: int | None) -> Gate:
    if given is not None and got < given - max(1, UNCOUNTED_TOLERANCE * given):
        return _gate("frames", "failed", str(given), str(got), "The decoder gave more.")
    return _gate("frames", "unmeasured", "unknown", str(got), "The input's frames could not be counted.")


def _some_frames(got: int, least: int | None, most: int) -> Gate:
    """Of those that come too soon for a cap on the rate some are left out, which depends on their times."""
    wanted = f"at most {most}" if least is None else f"{least} to {most}"
    return _gate("frames", "passed" if (least or 1) <= got <= most else "failed", wanted, str(got))


def _all_frames(expect: Expectation, wanted: int, got: int, report: DecodeReport | None, *, damaged: bool) -> Gate:
    """Every frame that is not left out on purpose is to be there; what packets did not decode to cannot be."""
    if got == wanted:
        return _gate("frames", "passed", str(wanted), str(got))
    if report is not None and got == frames_given(expect, report) != wanted and got < wanted:
        text = f"The input's {report.packets} packets decode to {report.frames} frames."
        verdict: Verdict = "damaged_input" if report.errors or damaged else "passed"
        return _gate("frames", verdict, str(wanted), str(got), text)
    if wanted - got == 1:
        # two frames with one timestamp: the muxer has room for one
        return _gate("frames", "passed", str(wanted), str(got), "One frame shared its time with another.")
    return _gate("frames", "failed", str(wanted), str(got), "Frames are missing or repeated.")


def _complete(expect: Expectation) -> Gate | None:
    """Tell whether the input itself held what its header promises."""
    if expect.promised_s is None or expect.duration_s is None:
        return None
    missing = expect.promised_s - expect.duration_s
    if missing <= max(1.0, 0.02 * expect.promised_s):
        return None
    text = "The input ends before its header says it does."
    return _gate("input_complete", "damaged_input", f"{expect.promised_s:.1f} s", f"{expect.duration_s:.1f} s", text)


def _duration(expect: Expectation, track: VideoTrack, report: DecodeReport | None, *, damaged: bool) -> Gate:
    if expect.duration_s is None or track.duration_s is None:
        return _gate("duration", "unmeasured", str(expect.duration_s), str(track.duration_s), "Not known.")
    off = track.duration_s - expect.duration_s
    want, got = f"{expect.duration_s:.3f} s ± {expect.duration_tolerance_s:.3f} s", f"{track.duration_s:.3f} s"
    early_s = 0.0 if expect.last_s is None or track.last_s is None else track.last_s - expect.last_s
    if abs(off) <= expect.duration_tolerance_s < early_s:
        # its length is written down as planned, whatever pictures came: those that are missing are not made up for
        off, got = -early_s, f"{got}, of which the last picture stays {track.last_s:.3f} s"
        want += f", of which {expect.last_s:.3f} s"
    if abs(off) <= expect.duration_tolerance_s:
        return _gate("duration", "passed", want, got)
    given, lost = frames_given(expect, report), lost_pictures(expect, report)
    all_given = given is not None and track.frames == given < (expect.frames or 0)
    in_proportion = -off <= expect.duration_tolerance_s + excused_s(expect.duration_s, lost)
    by_times = expect.frames is None and expect.frames_every is None
    as_given = all_given or (by_times and bool(lost) and in_proportion)
    if off < 0 and as_given and report is not None and not report.errors:
        # screen recorders end in packets that say "nothing changed"; the last picture simply stays
        return _gate("duration", "passed", want, got, "The input's last packets hold no new picture.")
    # how long a picture stays that was lost at the end nobody knows where they come as they please
    explained = in_proportion or (all_given and track.is_vfr)
    return _gate("duration", "damaged_input" if damaged and off < 0 and explained else "failed", want, got)


def _missing(
    expect: Expectation, report: DecodeReport | None, heard_s: Sequence[float | None]
) -> tuple[float, tuple[float, ...]]:
    """Return how many seconds may be missing of a damaged input's pictures, and of each of its sounds."""
    pairs = zip_longest(expect.audio, heard_s[: len(expect.audio)])
    sounds = tuple(excused_s(want or 0.0, lost_sound(want or 0.0, heard)) for want, heard in pairs)
    return excused_s(expect.duration_s or 0.0, lost_pictures(expect, report)), sounds


def _audio(
    expect: Expectation, media: MediaFacts, track: VideoTrack, missing: tuple[float, tuple[float, ...]] | None
) -> tuple[Gate, ...]:
    gates = [_equal("audio_streams", str(len(expect.audio)), str(len(media.audio)))]
    pictures_s, sounds_s = missing or (0.0, (0.0,) * len(expect.audio))
    for number, (want, got, short_s) in enumerate(zip(expect.audio, media.audio, sounds_s, strict=False)):
        gates.append(_audio_duration(number, want, got, expect, short_s))
    first = media.audio[0] if media.audio else None
    if expect.audio_offset_s is not None and first is not None:
        if first.start_s is None or track.start_s is None:
            gates.append(_gate("audio_sync", "unmeasured", f"{expect.audio_offset_s:.3f} s", "unknown", "Not known."))
        else:
            off = (first.start_s - track.start_s) - expect.audio_offset_s
            # either may begin later than it did, by what was lost of it
            short_s = max(pictures_s, *sounds_s[:1]) if missing is not None else 0.0
            verdict = _within(abs(off) < expect.audio_sync_s, excused=abs(off) <= short_s)
            wanted = f"within {expect.audio_sync_s * 1000:.0f} ms of the input"
            gates.append(_gate("audio_sync", verdict, wanted, f"{off * 1000:+.0f} ms"))
    return tuple(gates)


def _within(met: bool, *, excused: bool) -> Verdict:
    if met:
        return "passed"
    return "damaged_input" if excused else "failed"


def _audio_duration(number: int, want: float | None, got: AudioTrack, expect: Expectation, short_s: float) -> Gate:
    name = f"audio_{number}_duration"
    if want is None or got.duration_s is None:
        return _gate(name, "unmeasured", str(want), str(got.duration_s), "Not known.")
    off = got.duration_s - want
    share_s, most_s = want * 0.01, expect.audio_most_s
    tolerance_s = max(expect.audio_tolerance_s, share_s if most_s is None else min(share_s, most_s))
    verdict = _within(abs(off) <= tolerance_s, excused=short_s > 0 and -tolerance_s - short_s <= off < 0)
    return _gate(name, verdict, f"{want:.3f} s", f"{got.duration_s:.3f} s")


_DECODER = re.compile(r"\[(\w+)\] ")  # which one speaks


def _decodes(decoded: Decoded | None, copied_codecs: tuple[str, ...]) -> Gate:
    if decoded is None:
        return _gate("decodes", "unmeasured", "no errors", "not decoded", "The software decoder was not run.")
    stretch = "all of it" if decoded.whole else "its start, middle and end"
    speakers = {spoke[1] if (spoke := _DECODER.match(line)) else None for line in decoded.errors}
    if speakers and speakers <= set(copied_codecs):
        text = f"The software decoder read {stretch}. These packets are the input's own, copied."
        return _gate("decodes", "damaged_input", "no errors", decoded.errors[0], text)
    if decoded.errors:
        return _gate("decodes", "failed", "no errors", decoded.errors[0], f"The software decoder read {stretch}.")
    return _gate("decodes", "passed", "no errors", "no errors", f"The software decoder read {stretch}.")


def _size(expect: Expectation, media: MediaFacts) -> Gate | None:
    if expect.max_bytes is None:
        return None
    verdict: Verdict = "passed" if media.size_bytes <= expect.max_bytes else "failed"
    return _gate("smaller", verdict, f"at most {expect.max_bytes} bytes", f"{media.size_bytes} bytes")
