"""What :mod:`reelpress.probe.media` and its child say to each other, as JSON on the child's stdin and stdout."""

from __future__ import annotations

from reelpress.facts.media import MediaFacts
from reelpress.facts.values import Value


class Request(Value, frozen=True, kw_only=True):
    """What to probe. ``path`` is the file's absolute name in bytes: names need not be text.

    Instead, ``url`` is where a gateway on this machine gives the file of ``size_bytes``; libav may then use
    ``protocols``, with ``options``. With ``stretches`` (seconds from the first picture) only the file's beginning and
    these are read.
    """

    path: bytes = b""
    url: str | None = None
    size_bytes: int = 0
    protocols: str | None = None
    options: tuple[tuple[str, str], ...] = ()
    stretches: tuple[tuple[float, float], ...] | None = None
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
