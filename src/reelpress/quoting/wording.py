"""How what an offer comes to is said. Pure."""

from __future__ import annotations

import msgspec

from reelpress.plan.model import Attempt, Encode
from reelpress.quoting.model import Offer
from reelpress.receipt import Receipt


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
