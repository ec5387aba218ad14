"""The receipt of a job: what ran, why, what came out, how that was checked, how long it took and what it cost.

Its JSON is a contract, described in docs/json.md; ``schema`` changes when a field changes its meaning.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from reelpress.facts.failure import FailureKind
from reelpress.facts.framing import Framing
from reelpress.facts.gate import Scored, Try
from reelpress.facts.prediction import Predicted
from reelpress.facts.values import Value
from reelpress.plan.model import Reason, Rung, StreamDecision

SCHEMA = 1

Status = Literal["encoded", "copied", "skipped", "rejected", "failed", "cancelled"]
Verdict = Literal["passed", "failed", "unmeasured", "damaged_input"]


class Gate(Value, frozen=True, kw_only=True):
    """One check of the output. ``damaged_input``: not met, because the input itself is broken."""

    name: str
    verdict: Verdict
    expected: str
    measured: str
    text: str


class AttemptRecord(Value, frozen=True, kw_only=True):
    """One run of FFmpeg; ``failure`` is ``None`` when its output passed.

    ``gpu`` is the UUID of the GPU it had a slot on, for which it had waited ``waited_s``. ``note`` says what FFmpeg did
    otherwise than it was told without failing.
    """

    encoder: str
    device: Literal["cpu", "nvidia"]
    rung: Rung
    gpu: str | None
    waited_s: float
    ffmpeg_version: str
    argv: tuple[str, ...]
    returncode: int
    wall_s: float
    cpu_s: float
    peak_memory_bytes: int
    failure: FailureKind | None
    evidence: str | None
    note: str | None
    stderr_tail: str


class FileRecord(Value, frozen=True, kw_only=True):
    """One file at the time it was read or written. ``sha256`` is ``None`` where it was not needed."""

    path: str
    size_bytes: int
    sha256: str | None
    container: str | None
    video: str | None  # e.g. "h264 1280x720 29.97 fps yuv420p"
    audio: tuple[str, ...]
    subtitles: tuple[str, ...]
    duration_s: float | None
    frames: int | None


class Quality(Value, frozen=True, kw_only=True):
    """How good the output is and how that was measured; ``unmeasured`` is an answer, and says why.

    ``score`` is the mean VMAF of what was delivered. ``scored`` has what it was pooled from, ``tries`` every encode
    that was held against what was asked, in order. ``target`` is the VMAF that was aimed at, ``predicted`` what samples
    said the setting would come to; ``None`` where a limit had it encoded again at another.
    """

    method: str
    score: float | None
    text: str
    scored: Scored | None = None
    tries: tuple[Try, ...] = ()
    target: float | None = None
    predicted: float | None = None


class CostParts(Value, frozen=True, kw_only=True):
    """What something cost, in USD, by what was paid for. ``None``: no price is known, or it is not looked at here."""

    cpu: float | None = 0.0
    memory: float | None = 0.0
    gpu: float | None = 0.0
    storage: float | None = None
    egress: float | None = None

    @property
    def known(self) -> dict[str, float]:
        """The parts whose price is known, by name."""
        parts = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: usd for name, usd in parts.items() if usd is not None}

    @property
    def usd(self) -> float:
        """All that is known together."""
        return sum(self.known.values())

    @property
    def unpriced(self) -> tuple[str, ...]:
        """The parts of a machine that were used and have no known price."""
        return tuple(name for name in ("memory", "gpu") if getattr(self, name) is None)

    @property
    def whole_usd(self) -> float | None:
        """All of it; ``None`` where a part of the machine has no known price."""
        return None if self.unpriced else self.usd

    def __add__(self, other: CostParts) -> CostParts:
        """Return both together; a part that one of them does not know stays unknown."""
        return CostParts(**{name: _sum(getattr(self, name), getattr(other, name)) for name in self.__struct_fields__})

    def rounded(self) -> CostParts:
        """Return the same to 8 places, as receipts have it."""
        return CostParts(**{name: _round(getattr(self, name)) for name in self.__struct_fields__})


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def _round(usd: float | None) -> float | None:
    return None if usd is None else round(usd, 8)


class Stage(Value, frozen=True, kw_only=True):
    """Time spent: ``wall_s`` on the clock, ``cpu_s`` by child processes of the stage, ``gpu_s`` with a slot of a GPU.

    ``usd`` is estimated from that.
    """

    name: Literal["probe", "gpu", "sample", "analyse", "encode", "copy", "check", "score", "publish"]
    wall_s: float
    cpu_s: float
    usd: float
    gpu_s: float = 0.0


class ClipRecord(Value, frozen=True, kw_only=True):
    """What a clip is: its stretch of the programme, its pictures and its sound, as delivered.

    ``start_s`` is the time of the frame that it begins with. ``framing`` is what was drawn. ``loudness_lufs`` and
    ``true_peak_dbtp`` were measured on the output. ``warnings`` are for people: where framing fell back on less, what
    the picture lost, which limit of a platform it breaks.
    """

    name: str | None
    start_s: float
    end_s: float
    width: int
    height: int
    fps: Fraction
    frames: int
    framing: Framing
    caption_cues: int
    loudness_lufs: float | None
    true_peak_dbtp: float | None
    warnings: tuple[str, ...] = ()


class RungRecord(Value, frozen=True, kw_only=True):
    """One rung of a ladder, as it was delivered.

    ``predicted_vmaf`` is of samples, at the top rung's size. ``predicted_bps`` is the mean of samples, ``average_bps``
    and ``peak_bps`` are of the segments, all without sound.
    """

    width: int
    height: int
    crf: float
    codec: str
    predicted_vmaf: float
    predicted_bps: int
    average_bps: int
    peak_bps: int


class LadderRecord(Value, frozen=True, kw_only=True):
    """A ladder for streaming: its playlists, its rungs from the best down, and how it was cut."""

    master: str
    manifest: str
    segments: int
    segment_s: float
    rungs: tuple[RungRecord, ...]
    sounds_bps: tuple[int, ...]


class Receipt(Value, frozen=True, kw_only=True, tag_field="event", tag="receipt"):
    """What became of one input."""

    schema: int = SCHEMA
    job: str
    status: Status
    exit_code: int
    encoder: str | None  # the encoder that ran; "copy" for a remux, None where nothing was written
    device: Literal["cpu", "nvidia"] | None
    gpu: str | None  # the name of the GPU that worked on it, be it only as a decoder
    input: str
    output: str | None
    saved_share: float | None  # 0.6: the output is 60 % smaller
    reasons: tuple[Reason, ...]
    error: str | None
    error_code: str | None
    evidence: str | None
    hint: str | None
    source: FileRecord | None
    result: FileRecord | None
    streams: tuple[StreamDecision, ...]
    attempts: tuple[AttemptRecord, ...]
    gates: tuple[Gate, ...]
    warnings: tuple[str, ...]
    quality: Quality
    stages: tuple[Stage, ...]
    wall_s: float
    cpu_s: float
    usd: float
    usd_basis: str
    started_at: str  # UTC, ISO 8601
    reelpress_version: str
    host: str
    clip: ClipRecord | None = None
    usd_parts: CostParts = CostParts()
    predicted: Predicted | None = None  # what was said of the job before it was done
    ladder: LadderRecord | None = None
