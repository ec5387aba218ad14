"""What a quote says, as values; their JSON is a contract (docs/quote.md)."""

from __future__ import annotations

from typing import Literal

from reelpress.facts.prediction import OUTCOMES, SHARE, Interval, Predicted
from reelpress.facts.values import Value
from reelpress.plan.model import Reason
from reelpress.request import Codec

# "unavailable": this machine has no such encoder, or no GPU that was proven to work; "failed": the rehearsal did not
# come to an output, and so would the job not.
OfferOutcome = Literal["encoded", "copied", "skipped", "rejected", "unavailable", "failed"]
Worth = Literal["yes", "no", "doubtful"]


class Offer(Value, frozen=True, kw_only=True):
    """What a job with one codec on one device would come to.

    ``worth`` ``no``: nothing would be encoded, or no encode delivered; ``doubtful``: the interval of its size reaches
    over the largest that is delivered. ``why`` says so in one sentence. ``saved_share`` is of the input's size, 0.6 for
    60 % smaller, below 0 for larger. ``settings`` are the encoder's, in words. ``took_s`` is what finding out took.
    """

    codec: Codec
    device: Literal["cpu", "nvidia"]
    outcome: OfferOutcome
    worth: Worth
    why: str
    encoder: str | None = None
    settings: str | None = None
    predicted: Predicted | None = None
    saved_share: Interval | None = None
    reasons: tuple[Reason, ...] = ()
    took_s: float = 0.0


class Quote(Value, frozen=True, kw_only=True, tag_field="event", tag="quote"):
    """What jobs on one input would come to on one machine, before any of them is done.

    ``share`` is how many of 100 jobs lie inside each interval. ``assumes`` says in words what the seconds rest on, and
    ``usd_basis`` what the dollars do. ``made_at`` is UTC, ISO 8601.
    """

    schema: int = 1
    quote: str
    input: str
    size_bytes: int
    duration_s: float | None
    video: str | None  # e.g. "h264 1280x720 29.97 fps yuv420p"
    offers: tuple[Offer, ...]
    share: float = SHARE
    assumes: str
    usd_basis: str
    took_s: float
    cpu_s: float
    made_at: str
    host: str
    reelpress_version: str

    def of_job(self, codec: str, *, may_use_gpu: bool) -> Predicted | None:
        """Return what was said of the job that is done with a codec: on a GPU if one works, else the CPU.

        An encode of the GPU that is not kept counts, too: the CPU makes no other one then.
        """
        said = [offer for offer in self.offers if offer.codec == codec and offer.predicted is not None]
        on_gpu = [o for o in said if o.device == "nvidia" and o.outcome in OUTCOMES] if may_use_gpu else []
        on_cpu = [o for o in said if o.device == "cpu"]
        return next((offer.predicted for offer in (*on_gpu, *on_cpu)), None)
