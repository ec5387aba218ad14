"""What happens while a job runs, as values: the progress bar, the NDJSON stream and a service read the same events.

The last event of a job is its :class:`reelpress.receipt.Receipt`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from reelpress.facts.failure import FailureKind
from reelpress.facts.framing import Framing
from reelpress.facts.media import MediaFacts
from reelpress.facts.values import Value
from reelpress.plan.model import Plan
from reelpress.receipt import Gate, Receipt


class Queued(Value, frozen=True, kw_only=True, tag_field="event", tag="queued"):
    """A clip of an export waits for its turn; ``index`` is its place among the clips, from 0.

    ``output`` is where it will be. A clip that is tried again is queued again, as another job.
    """

    job: str
    input: str
    index: int
    name: str | None
    start_s: float
    end_s: float
    output: str


class Started(Value, frozen=True, kw_only=True, tag_field="event", tag="started"):
    """Work on an input began."""

    job: str
    input: str


class Probed(Value, frozen=True, kw_only=True, tag_field="event", tag="probed"):
    """The facts of the input are known."""

    job: str
    input: str
    facts: MediaFacts


class Analysed(Value, frozen=True, kw_only=True, tag_field="event", tag="analysed"):
    """It is known where a clip's windows go."""

    job: str
    input: str
    framing: Framing


class Planned(Value, frozen=True, kw_only=True, tag_field="event", tag="planned"):
    """It is decided what to do, and why."""

    job: str
    input: str
    plan: Plan


class Sampled(Value, frozen=True, kw_only=True, tag_field="event", tag="sampled"):
    """A trial on samples, on the way to a VMAF that is aimed at, came to something; ``number`` counts from 1.

    ``setting`` is on the scale of ``encoder``: a CRF, or NVENC's CQ. ``bytes_per_s`` is video per second of programme.
    """

    job: str
    input: str
    number: int
    encoder: str
    setting: float
    vmaf: float
    bytes_per_s: float


class AttemptStarted(Value, frozen=True, kw_only=True, tag_field="event", tag="attempt_started"):
    """FFmpeg was started; ``number`` counts from 1 to at most ``of``. ``gpu`` is the UUID of the GPU it may use."""

    job: str
    input: str
    number: int
    of: int
    encoder: str
    why: str
    argv: tuple[str, ...]
    gpu: str | None


class Progressed(Value, frozen=True, kw_only=True, tag_field="event", tag="progress"):
    """How far an attempt is; ``percent`` never goes back and stays under 100 until the receipt.

    With ``stage`` ``analyse`` it is how far the search for a clip's windows is, counted for itself.
    """

    job: str
    input: str
    percent: float | None
    frames: int | None
    fps: float | None
    speed: float | None  # programme seconds per second
    eta_s: float | None
    size_bytes: int | None
    predicted_bytes: int | None
    stage: Literal["analyse", "encode"] = "encode"


class AttemptFailed(Value, frozen=True, kw_only=True, tag_field="event", tag="attempt_failed"):
    """An attempt did not deliver; ``next_encoder`` is ``None`` when there is none left that could help."""

    job: str
    input: str
    number: int
    encoder: str
    failure: FailureKind
    evidence: str
    next_encoder: str | None


class Checked(Value, frozen=True, kw_only=True, tag_field="event", tag="checked"):
    """The output was compared with what was planned."""

    job: str
    input: str
    gates: tuple[Gate, ...]


Event = (
    Queued | Started | Probed | Analysed | Sampled | Planned | AttemptStarted | Progressed | AttemptFailed | Checked
    | Receipt
)  # fmt: skip
OnEvent = Callable[[Event], None]
