"""What a job is, as values. Their JSON is what the API answers with (docs/service.md)."""

from __future__ import annotations

import secrets
import time
from typing import Any, Literal

from msgspec import field

from reelpress.facts.values import Value
from reelpress.jobs.clip_model import AnalysisWanted, ClipWanted, StoredObject
from reelpress.request import Codec

# An export is the parent of its clips; nobody works on it, and it ends with the last of them.
Kind = Literal["compress", "video", "analysis", "clip", "export", "quote"]
# Only an export is ever a draft: what it will do is still being decided.
Status = Literal["draft", "queued", "running", "done", "failed", "cancelled", "dead"]
Stage = Literal[
    "queued", "fetch", "probe", "compress", "preview", "analyse", "render", "check", "store", "transcribe", "notify",
    "finished",
]  # fmt: skip
InputKind = Literal["object", "upload", "url", "path", "video"]
Priority = Literal["high", "normal", "low"]

UNFINISHED: tuple[Status, ...] = ("queued", "running")
FINISHED: tuple[Status, ...] = ("done", "failed", "cancelled", "dead")
PRIORITIES: tuple[Priority, ...] = ("high", "normal", "low")
KINDS: tuple[Kind, ...] = ("compress", "video", "analysis", "clip", "export", "quote")
PREFIXES: dict[Kind, str] = {
    "compress": "job", "video": "vid", "analysis": "ana", "clip": "clip", "export": "exp", "quote": "quo",
}  # fmt: skip
Starts = dict[Stage, float]
# How far a job is when a stage begins, in percent. Shares of typical wall time.
COMPRESS_STARTS: Starts = {
    "queued": 0, "fetch": 0, "probe": 10, "compress": 12, "check": 87, "store": 90, "notify": 99,
}  # fmt: skip
TRANSCRIBED_STARTS: Starts = {
    "queued": 0, "fetch": 0, "probe": 8, "compress": 10, "check": 60, "store": 62, "transcribe": 68, "notify": 99,
}  # fmt: skip
VIDEO_STARTS: Starts = {"queued": 0, "fetch": 0, "probe": 10, "preview": 15, "store": 85, "notify": 99}
ANALYSIS_STARTS: Starts = {"queued": 0, "fetch": 0, "analyse": 5, "notify": 99}
QUOTE_STARTS: Starts = {"queued": 0, "fetch": 0, "analyse": 20, "notify": 99}
CLIP_STARTS: Starts = {"queued": 0, "fetch": 0, "analyse": 1, "render": 15, "check": 90, "store": 96, "notify": 99}
# What goes on within one step, to and fro.
TOGETHER: tuple[frozenset[Stage], ...] = (
    frozenset({"compress", "check"}),
    frozenset({"analyse", "render", "check"}),
)


class JobInput(Value, frozen=True, kw_only=True):
    """Where a job's input is: an object of the store, an upload, an address, a path on the workers' machine, a video.

    A video is one that a job of that kind made ready.
    ``size_bytes`` and ``sha256`` are what the caller promises of it; an input that is not so is refused. ``name`` is
    what the caller calls the file. An upload is its id, with the size of the file and of its segments.
    """

    kind: InputKind
    value: str
    name: str | None = None
    size_bytes: int | None = None
    sha256: str | None = None
    segment_bytes: int | None = None


class QuoteWanted(Value, frozen=True, kw_only=True, tag_field="kind", tag="quote"):
    """What to quote: for which codecs, from the facts alone or from stretches, and how long those may take."""

    codecs: tuple[Codec, ...]
    quick: bool = False
    budget_s: float = 60.0


class JobSpec(Value, frozen=True, kw_only=True):
    """What was asked for. ``settings`` are text by the names of :data:`reelpress.settings_table.SETTINGS`.

    ``output_key`` ``None`` lets the service choose. ``reuse`` allows the answer to be an earlier job's. ``labels`` are
    the caller's own and come back in answers and webhooks. ``wants`` is what analyses, clips and quotes are to be.
    ``quote`` is the id of a quote that was made of this job.
    """

    input: JobInput
    settings: dict[str, str] = field(default_factory=dict)
    hardware: Literal["auto", "require", "off"] | None = None
    always_encode: bool = False
    transcribe: bool = True
    output_key: str | None = None
    webhook: str | None = None
    reuse: bool = True
    labels: dict[str, str] = field(default_factory=dict)
    wants: AnalysisWanted | ClipWanted | QuoteWanted | None = None
    quote: str | None = None


class JobResult(Value, frozen=True, kw_only=True):
    """What a finished job delivered. ``outcome`` is the receipt's status; ``output`` is ``None`` where none is smaller.

    ``transcript`` maps ``vtt``, ``srt`` and ``json`` to objects. ``reused_from`` names the job whose output this is.
    """

    outcome: Literal["encoded", "copied", "skipped"]
    encoder: str | None
    device: str | None
    input_key: str | None
    input_bytes: int
    output: StoredObject | None
    receipt: StoredObject | None
    saved_share: float | None
    transcript_status: Literal["off", "done", "failed", "skipped"] = "off"
    transcript: dict[str, StoredObject] = field(default_factory=dict)
    transcript_note: str | None = None
    usd: float = 0.0
    wall_s: float = 0.0
    reused_from: str | None = None
    warnings: tuple[str, ...] = ()


class JobError(Value, frozen=True, kw_only=True):
    """Why a job ended without delivering; ``retryable`` tells whether asking again may help."""

    code: str
    text: str
    evidence: str | None = None
    hint: str | None = None
    retryable: bool = False


class StageTime(Value, frozen=True, kw_only=True):
    """When a stage began and how long it took; ``wall_s`` ``None`` while it goes on."""

    stage: Stage
    attempt: int
    started_at: float
    wall_s: float | None = None


class Job(Value, frozen=True, kw_only=True):
    """One job as everybody sees it. Times are seconds since 1970, UTC.

    ``parent`` is the export of a clip, the video of an analysis or an export. ``queue`` ``push`` waits for a request
    that names the job; ``pull`` for any worker; ``none`` is an export's. ``percent`` never goes back
    within a run and is under 100 until the output is stored and verified. ``attempts`` counts the workers that began
    this run. ``waits_for`` says why a queued job is not begun, where it is more than its turn.
    """

    id: str
    user_id: str
    status: Status
    stage: Stage
    percent: float
    priority: Priority
    origin: Literal["api", "push"]
    queue: Literal["pull", "push", "none"]
    run: int
    attempts: int
    worker: str | None
    spec: JobSpec
    created_at: float
    started_at: float | None
    finished_at: float | None
    updated_at: float
    cancel_requested: bool
    eta_s: float | None
    speed: float | None
    result: JobResult | None
    error: JobError | None
    stages: tuple[StageTime, ...] = ()
    kind: Kind = "compress"
    parent: str | None = None
    waits_for: str | None = None


class JobEvent(Value, frozen=True, kw_only=True):
    """Something that happened to a job; ``seq`` grows over all jobs."""

    seq: int
    job: str
    kind: str
    at: float
    data: dict[str, Any]


def new_id(kind: str, now: float | None = None) -> str:
    """Return an id that sorts by time and nobody can guess, as ``job_0199a...``."""
    millis = int((time.time() if now is None else now) * 1000)
    return f"{kind}_{millis:012x}{secrets.token_hex(8)}"


def percent_at(stage: Stage, share: float, starts: Starts) -> float:
    """Return how far a whole job is when ``share`` (0 to 1) of a stage is done; 100 only when finished."""
    if stage == "finished":
        return 100.0
    begin = starts.get(stage, 0.0)
    end = min((value for value in starts.values() if value > begin), default=99.0)
    return min(99.0, begin + (end - begin) * min(max(share, 0.0), 1.0))
