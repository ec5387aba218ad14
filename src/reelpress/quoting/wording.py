"""What follows from a prediction, and how it is said. Pure."""

from __future__ import annotations

import msgspec

from reelpress.facts.prediction import Interval
from reelpress.plan.model import Attempt, Encode
from reelpress.plan.worth import PROJECT_FROM, REST_AT_LEAST
from reelpress.quoting.model import Offer
from reelpress.receipt import Receipt

# An encoder has taken in so many frames more than it has written (x264's and x265's lookahead, FFmpeg's queues), and
# what it wrote is told every quarter of a second (`plan/ladder.py`), after which it still has to end.
_AHEAD_FRAMES, _TOLD_AFTER_S = 50, 0.2


def given_up(wall: Interval, share: float, *, beside_s: float, frames: int) -> Interval:
    """Return the seconds of a job whose encode is stopped once it has written all that is worth it, a ``share`` of it.

    One that is on course for far more is stopped sooner (`plan/worth.py`). ``beside_s`` is what of
    the job comes before the encode and is done in any case, ``frames`` what the encode would have written in all.
    """
    at = min(1.0, max(PROJECT_FROM, (share - REST_AT_LEAST) / (1 - REST_AT_LEAST)))  # `outgrown`, with even bytes
    ahead = _AHEAD_FRAMES / max(1, frames)
    low, likely = (
        beside_s + max(0.0, s - beside_s) * min(1.0, part + ahead) + _TOLD_AFTER_S
        for s, part in ((wall.low, PROJECT_FROM), (wall.likely, at))
    )
    return Interval(low=min(low, wall.high), likely=min(likely, wall.high), high=wall.high)


def settings_of(decided: Encode, attempt: Attempt) -> str | None:
    """Return what an encoder is told, in words."""
    told = next((r.text.rstrip(".") for r in decided.reasons if r.code == "settings"), None)
    return told if told is not None else attempt.why


def that_ran(decided: Encode, receipt: Receipt) -> Attempt:
    """Return the attempt that delivered in a rehearsal."""
    last = receipt.attempts[-1]
    return next(
        (a for a in decided.attempts if a.encoder == last.encoder and a.rung == last.rung), decided.attempts[0]
    )  # fmt: skip


def with_saving(offer: Offer, input_bytes: int) -> Offer:
    """Return an offer with the share of the input that it saves."""
    size = offer.predicted.size_bytes if offer.predicted is not None else None
    if size is None or not input_bytes:
        return offer
    saved = Interval(
        low=round(1 - size.high / input_bytes, 4), likely=round(1 - size.likely / input_bytes, 4),
        high=round(1 - size.low / input_bytes, 4),
    )  # fmt: skip
    return msgspec.structs.replace(offer, saved_share=saved)


def saving_text(offer: Offer) -> str:
    """Return what an offer saves, in words."""
    saved = offer.saved_share
    if saved is None:
        return "Its size cannot be said beforehand."
    return f"{saved.likely:.0%} smaller." if saved.likely >= 0 else f"{-saved.likely:.0%} larger."


def why_not(receipt: Receipt) -> str:
    """Return why a rehearsal ended without an encode."""
    told = next((r.text for r in receipt.reasons if r.code == "outgrew"), None)
    return told or (receipt.reasons[0].text if receipt.reasons else "Nothing would be encoded.")


def failed(offer: Offer, what: str, evidence: str | None) -> Offer:
    """Return the offer of what cannot be done."""
    text = what if evidence is None else f"{what} ({evidence})"
    return msgspec.structs.replace(offer, outcome="failed", worth="no", why=text)
