"""What a plan is: a value that can be printed, stored, compared and carried out.

A plan never names real paths: ``INPUT`` and ``OUTPUT`` stand for them until :func:`argv` puts them in, whole tokens
at a time, so that no file name can become an option. ``CAPTIONS`` and ``FONTS`` stand for paths inside a filter graph,
where they are put in escaped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Literal

import msgspec

from reelpress.facts.failure import FailureKind
from reelpress.facts.values import Value

INPUT = "<input>"
OUTPUT = "<output>"
CAPTIONS = "<captions>"
FONTS = "<fonts>"

Action = Literal["encode", "copy", "convert", "drop"]


class Reason(Value, frozen=True, kw_only=True):
    """Why something was decided: a stable ``code``, one sentence, and the fact it rests on."""

    code: str
    text: str
    fact: str | None = None


class StreamDecision(Value, frozen=True, kw_only=True):
    """What becomes of one stream of the input."""

    index: int
    kind: Literal["video", "audio", "subtitle", "data", "attachment", "attached_picture", "unknown"]
    action: Action
    codec: str | None  # the codec it will have in the output; None when dropped
    reason: str


class PicturePlace(Value, frozen=True, kw_only=True):
    """A frame of a clip to compare, and how software makes it of the source: input options, and a graph to ``[v]``."""

    frame: int
    input_args: tuple[str, ...]
    graph: str


class ClipStretch(Value, frozen=True, kw_only=True):
    """Frames of a clip from ``first`` on, and how software makes them: input options, and a graph to ``[v]``."""

    first: int
    frames: int
    fps: Fraction
    input_args: tuple[str, ...]
    graph: str


class ClipExpectation(Value, frozen=True, kw_only=True):
    """What platforms ask of a clip: a constant rate, keyframes at most so far apart, sound so loud."""

    fps: Fraction
    max_gop_s: float
    loudness_lufs: float | None  # None: the loudness was left as it is
    true_peak_dbtp: float
    places: tuple[PicturePlace, ...]  # compared where a GPU worked
    most_bytes: int  # what its limit on bits lets it become


class Expectation(Value, frozen=True, kw_only=True):
    """What the output must be, and by how much it may differ. ``None`` means: cannot be known beforehand."""

    codec: str
    width: int
    height: int
    pix_fmt: str | None
    sample_aspect_ratio: Fraction | None
    rotation_deg: int
    frames: int | None
    frames_at_most: int | None
    duration_s: float | None
    duration_tolerance_s: float
    promised_s: float | None  # the header's claim, where the file was found to end before it
    audio: tuple[float | None, ...]  # duration in seconds of each audio stream, in order
    audio_tolerance_s: float
    audio_offset_s: float | None  # start of the first audio minus start of the video
    subtitles: int
    chapters: int
    colour_transfer: str | None
    colour_primaries: str | None
    colour_matrix: str | None
    colour_range: Literal["limited", "full"] | None
    copied_codecs: tuple[str, ...]  # of streams whose packets are the input's own, damage included
    max_bytes: int | None  # larger than this is not worth delivering
    picture_filters: str | None = None  # what software does to the source's pictures, for comparing
    frames_at_least: int | None = None  # where frames are kept by their times
    frames_every: int | None = None  # of so many decoded frames one is kept; None where their times decide
    last_s: float | None = None  # how long the last picture stays, where that is for longer than others do
    audio_most_s: float | None = None  # what a hundredth of a long sound may come to; None where its length is a claim
    audio_sync_s: float = 0.04  # ITU-R BT.1359: 45 ms early is where viewers begin to notice
    clip: ClipExpectation | None = None  # what is asked of clips besides


# From all on the GPU down to all on the CPU: decode, scale and encode; encode alone; encode without the optional
# features; decode and scale for an encoder on the CPU; nothing.
Rung = Literal["gpu", "gpu_encode", "gpu_reduced", "gpu_decode", "cpu", "copy"]

RUNG_WORDS: dict[Rung, str] = {
    "gpu": "all on the GPU",
    "gpu_encode": "encoding on the GPU",
    "gpu_reduced": "encoding on the GPU with its basic features",
    "gpu_decode": "decoding on the GPU",
    "cpu": "on the CPU",
    "copy": "as a remux",
}


class Attempt(Value, frozen=True, kw_only=True):
    """One way to do the work: a complete command, and the failures after which the next attempt may run.

    ``device`` is where the encoder runs. ``gpus`` are the UUIDs of the GPUs any of which may run it, empty for one that
    touches none; the one that does is the command's device 0. With ``only_after`` the attempt is passed over unless the
    one before failed in one of these ways.
    """

    encoder: str
    device: Literal["cpu", "nvidia"]
    rung: Rung
    ffmpeg: str
    args: tuple[str, ...]
    falls_back_on: tuple[FailureKind, ...]
    why: str
    gpus: tuple[str, ...] = ()
    only_after: tuple[FailureKind, ...] = ()
    encodes_all_audio: bool = False  # also what the plan would copy: for audio whose packets turn out broken


class Encode(Value, frozen=True, kw_only=True, tag_field="kind", tag="encode"):
    """Encode the video; attempts are ordered, best first."""

    attempts: tuple[Attempt, ...]
    expect: Expectation
    streams: tuple[StreamDecision, ...]
    reasons: tuple[Reason, ...]
    otherwise: Copy | Skip  # what to deliver if the encode turns out not to pay


class Copy(Value, frozen=True, kw_only=True, tag_field="kind", tag="copy"):
    """Move the video into an MP4 as it is."""

    attempts: tuple[Attempt, ...]
    expect: Expectation
    streams: tuple[StreamDecision, ...]
    reasons: tuple[Reason, ...]


class Skip(Value, frozen=True, kw_only=True, tag_field="kind", tag="skip"):
    """Write nothing: the input is the best that can be delivered, or nothing for us to work on."""

    reasons: tuple[Reason, ...]


RejectCode = Literal["input_unusable", "hardware_absent", "usage"]


class Reject(Value, frozen=True, kw_only=True, tag_field="kind", tag="reject"):
    """The input cannot be used, or what was required is not there. ``code`` maps to an exit code."""

    code: RejectCode
    reasons: tuple[Reason, ...]
    hint: str | None = None


Plan = Encode | Copy | Skip | Reject


def only_rung(decided: Plan, rung: Rung | None) -> Plan:
    """Return the same plan with the attempts of one rung alone, none of which leads to another; ``None`` leaves all.

    Where the plan has no such attempt it is refused.
    """
    if rung is None or not isinstance(decided, Encode):
        return decided
    kept = tuple(
        msgspec.structs.replace(attempt, falls_back_on=(), only_after=())
        for attempt in decided.attempts
        if attempt.rung == rung and not attempt.encodes_all_audio
    )
    if kept:
        return msgspec.structs.replace(decided, attempts=kept)
    text = f"Nothing here would do this {RUNG_WORDS[rung]}."
    return Reject(code="hardware_absent", reasons=(Reason(code="rung_absent", text=text, fact=None), *decided.reasons))


def argv(attempt: Attempt, *, source: str, target: str, files: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return the attempt's full command; ``target`` is an absolute path, passed as a ``file:`` URL as ``source`` is.

    ``source`` is a URL with one of the protocols that the attempt allows. ``files`` are the paths that stand for
    ``CAPTIONS`` and ``FONTS``.
    """
    paths = {INPUT: source, OUTPUT: f"file:{target}"}
    args = [paths.get(token, token) for token in attempt.args]
    if files and "-filter_complex" in args:
        at = args.index("-filter_complex") + 1
        args[at] = with_files(args[at], files)
    return (attempt.ffmpeg, *args)


def with_files(graph: str, files: Mapping[str, str]) -> str:
    """Put paths into a filter graph, escaped as the value of an option and then as a part of the graph."""

    def escaped(token: re.Match[str]) -> str:
        value = re.sub(r"([\\':])", r"\\\1", files[token[0]])
        return re.sub(r"([\\'\[\],;\s])", r"\\\1", value)

    return re.sub("|".join(map(re.escape, files)), escaped, graph) if files else graph
