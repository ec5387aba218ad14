"""What :mod:`reelpress.probe.media` and its child say to each other, as JSON on the child's stdin and stdout."""

from __future__ import annotations

from reelpress.facts.media import MediaFacts
from reelpress.facts.values import Value


class Request(Value, frozen=True, kw_only=True):
    """What to probe. ``path`` is the file's absolute name in bytes: names need not be text."""

    path: bytes
    max_pixels: int
    scan_budget_s: float
    samples_later: bool = True  # also decode frames from the middle, where size or fields may change


class Refusal(Value, frozen=True, kw_only=True):
    """Why there are no facts; ``kind`` is a key of :data:`reelpress.probe.media.HINTS`."""

    kind: str
    what: str
    evidence: str | None = None


class Answer(Value, frozen=True, kw_only=True):
    """Exactly one of the two."""

    facts: MediaFacts | None = None
    refused: Refusal | None = None
