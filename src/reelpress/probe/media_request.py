"""What :mod:`reelpress.probe.media` and its child say to each other, as JSON on the child's stdin and stdout.

An :class:`Order` and what answers it go between :mod:`reelpress.probe.nursery` and its process.
"""

from __future__ import annotations

from reelpress.facts.media import Decoded, MediaFacts
from reelpress.facts.values import Value

_MOST_THREADS = 16  # as many as FFmpeg takes by itself


class Decoding(Value, frozen=True, kw_only=True):
    """What of an output to decode, with how many threads: all up to ``whole_up_to_s``, of longer ones three places.

    ``None`` is all of any.
    """

    threads: int
    whole_up_to_s: float | None = 5.0


def decoding(cores: int, *, whole: bool = False) -> Decoding:
    """Return how outputs are decoded where there are so many cores: all of them, or of long ones three places."""
    threads = min(max(cores, 1), _MOST_THREADS)
    return Decoding(threads=threads, whole_up_to_s=None) if whole else Decoding(threads=threads)


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
    decoding: Decoding | None = None  # instead of the few frames that tell what they are like


class Refusal(Value, frozen=True, kw_only=True):
    """Why there are no facts; ``kind`` is a key of :data:`reelpress.probe.media.HINTS`."""

    kind: str
    what: str
    evidence: str | None = None


class Answer(Value, frozen=True, kw_only=True):
    """Exactly one of ``facts`` and ``refused``; ``decoded`` with facts where decoding was asked for."""

    facts: MediaFacts | None = None
    refused: Refusal | None = None
    decoded: Decoded | None = None


class Order(Value, frozen=True, kw_only=True):
    """A request, and what the process that is forked for it may use; ``None`` is no limit."""

    request: Request
    cpu_s: int | None
    memory_bytes: int | None
    file_size_bytes: int | None


class Begun(Value, frozen=True, kw_only=True, tag="begun"):
    """A process was forked for an order; ``failed`` says why none could be."""

    failed: str | None = None


class Ended(Value, frozen=True, kw_only=True, tag="ended"):
    """How that process ended; ``returncode`` is negative where a signal of that number killed it."""

    returncode: int
    cpu_s: float
    peak_memory_bytes: int
