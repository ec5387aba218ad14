"""How far one clip is, from its events: one percentage over all stages, what is left, what does the work. Pure.

The command line, the service and its page show the same numbers, since all of them come from here.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from reelpress.events import Analysed, AttemptFailed, AttemptStarted, Checked, Event, Planned, Progressed, Started
from reelpress.facts.values import Value
from reelpress.receipt import Receipt, Status

ClipStage = Literal["queued", "analyse", "render", "check", "finished"]

# Where each stage ends, as a percentage of the whole: about the share of time that each takes on a CPU.
ANALYSED_PERCENT, RENDERED_PERCENT = 15.0, 92.0
# No more is said before the clip has its name.
MOST_PERCENT = 99.0
# What Progressed says of a stage's own end: it keeps below 100, too.
_STAGE_END_PERCENT = 99.0
_CHECK_SHARE = (100.0 - RENDERED_PERCENT) / (RENDERED_PERCENT - ANALYSED_PERCENT)  # of what rendering takes

DELIVERED: frozenset[Status] = frozenset({"encoded", "copied"})


def warnings_of(receipt: Receipt) -> tuple[str, ...]:
    """Return what people should know of a clip: of its source, its framing, and what platforms may not take."""
    return tuple(dict.fromkeys((*receipt.warnings, *(receipt.clip.warnings if receipt.clip is not None else ()))))


class ClipProgress(Value, frozen=True, kw_only=True):
    """How far a clip is.

    ``percent`` never goes back and is 100 only once the clip is delivered. ``eta_s`` is ``None`` where it cannot be
    told yet. ``encoder`` and ``device`` are those of the attempt under way, then of what was delivered. ``status`` is
    ``None`` until the end.
    """

    stage: ClipStage = "queued"
    percent: float = 0.0
    eta_s: float | None = None
    speed: float | None = None
    encoder: str | None = None
    device: Literal["cpu", "nvidia"] | None = None
    warnings: tuple[str, ...] = ()
    status: Status | None = None

    @property
    def is_delivered(self) -> bool:
        """True once the clip has its name."""
        return self.status in DELIVERED


class ClipMeter:
    """Takes the events of one clip in their order; a clip that is tried again gets a meter of its own."""

    def __init__(self) -> None:
        self._stage: ClipStage = "queued"
        self._percent = 0.0
        self._left: tuple[float, float] | None = None  # when it was told, and the seconds that were left then
        self._render_started_s: float | None = None
        self._now: ClipProgress = ClipProgress()

    @property
    def progress(self) -> ClipProgress:
        """How far it was when it last said something."""
        return self._now

    def take(self, event: Event, at_s: float) -> ClipProgress:
        """Take one event that came at ``at_s``, on any clock that never goes back, and say how far the clip is."""
        changes: dict[str, Any] = {}
        match event:
            case Started():
                self._enter("analyse", 0.0)
            case Analysed():
                self._enter("analyse", ANALYSED_PERCENT)
                changes["warnings"] = event.framing.warnings
            case Planned():
                self._enter("render", ANALYSED_PERCENT)
            case AttemptStarted():
                self._enter("render", ANALYSED_PERCENT)
                self._render_started_s = at_s
                device = "nvidia" if event.encoder.endswith("_nvenc") else "cpu"
                changes |= {"encoder": event.encoder, "device": device, "speed": None}
                self._left = None
            case Progressed():
                self._advance(event, at_s)
                changes["speed"] = event.speed
            case AttemptFailed():
                self._left = None
                changes["speed"] = None
            case Checked():
                self._enter("check", MOST_PERCENT)
            case Receipt():
                return self._end(event)
            case _:
                pass
        self._now = self._with(at_s, changes)
        return self._now

    def at(self, at_s: float) -> ClipProgress:
        """Say how far it is at a time at which nothing new was said: what is left goes on counting down."""
        return self._with(at_s, {}) if self._now.status is None else self._now

    def _enter(self, stage: ClipStage, percent: float) -> None:
        self._stage = stage
        self._percent = max(self._percent, percent)

    def _advance(self, event: Progressed, at_s: float) -> None:
        share = min(1.0, max(0.0, (event.percent or 0.0) / _STAGE_END_PERCENT))
        if event.stage == "analyse":
            self._enter("analyse", share * ANALYSED_PERCENT)
            return
        percent = ANALYSED_PERCENT + share * (RENDERED_PERCENT - ANALYSED_PERCENT)
        self._enter("check" if share >= 1.0 else "render", percent)
        if event.eta_s is not None:
            took_s = at_s - (self._render_started_s if self._render_started_s is not None else at_s)
            self._left = at_s, event.eta_s + _CHECK_SHARE * (took_s + event.eta_s)

    def _end(self, receipt: Receipt) -> ClipProgress:
        delivered = receipt.status in DELIVERED
        self._now = ClipProgress(
            stage="finished", percent=100.0 if delivered else self._now.percent, eta_s=0.0 if delivered else None,
            encoder=receipt.encoder if delivered else self._now.encoder,
            device=receipt.device if delivered else self._now.device,
            warnings=tuple(dict.fromkeys((*self._now.warnings, *warnings_of(receipt)))), status=receipt.status,
        )  # fmt: skip
        return self._now

    def _with(self, at_s: float, changes: dict[str, Any]) -> ClipProgress:
        left = None if self._left is None else max(0.0, self._left[1] - (at_s - self._left[0]))
        percent = round(min(self._percent, MOST_PERCENT), 1)
        return msgspec.structs.replace(self._now, stage=self._stage, percent=percent, eta_s=left, **changes)
