"""What follows from the bytes and seconds of an offer: whether it pays, what it saves, what it costs. Pure."""

from __future__ import annotations

import msgspec

from reelpress.facts.prediction import Interval, Outcome, around
from reelpress.observe.prices import Tariff
from reelpress.plan.model import Copy, Encode
from reelpress.plan.worth import PROJECT_FROM, REST_AT_LEAST
from reelpress.quoting.model import Offer
from reelpress.quoting.wording import saving_text

# An encoder has taken in so many frames more than it has written (x264's and x265's lookahead, FFmpeg's queues), and
# what it wrote is told every quarter of a second (`plan/ladder.py`), after which it still has to end.
_AHEAD_FRAMES, _TOLD_AFTER_S = 50, 0.2


def weighed(offer: Offer, decided: Encode, input_bytes: int, *, beside_s: float) -> Offer:
    """Say whether an encode of the size that is predicted would be delivered, and what becomes of the job if not.

    ``beside_s`` is what of the job comes before the encode.
    """
    limit, predicted = decided.expect.max_bytes, offer.predicted
    offer = with_saving(offer, input_bytes)
    if predicted is None or predicted.size_bytes is None or limit is None or predicted.size_bytes.high <= limit:
        return msgspec.structs.replace(offer, why=saving_text(offer))
    size = predicted.size_bytes
    text = f"at most {limit} bytes are worth delivering, and an encode would have about {size.likely:.0f}"
    if size.likely <= limit:
        return msgspec.structs.replace(offer, worth="doubtful", why=f"May not pay: {text}.")
    is_moved = isinstance(decided.otherwise, Copy)
    instead: Outcome = "copied" if is_moved else "skipped"
    words = "it would be moved into an MP4 as it is" if is_moved else "the input would be kept as it is"
    predicted = msgspec.structs.replace(
        predicted, outcome=instead, encoder="copy" if is_moved else None,
        size_bytes=around(input_bytes, 0.02) if is_moved else None,
        vmaf=Interval(low=100, likely=100, high=100) if is_moved else None,
        wall_s=None if predicted.wall_s is None else given_up(
            predicted.wall_s, limit / size.likely, beside_s=beside_s,
            frames=decided.expect.frames or decided.expect.frames_at_most or 0,
        ),
    )  # fmt: skip
    offer = msgspec.structs.replace(
        offer, outcome=instead, worth="no", why=f"Not worth it: {text}; {words}.", predicted=predicted
    )
    return with_saving(offer, input_bytes)


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


def with_saving(offer: Offer, input_bytes: int) -> Offer:
    """Return an offer with the share of the input that it saves; ``None`` where it has no size."""
    size = offer.predicted.size_bytes if offer.predicted is not None else None
    if size is None or not input_bytes:
        return msgspec.structs.replace(offer, saved_share=None)
    saved = Interval(
        low=round(1 - size.high / input_bytes, 4), likely=round(1 - size.likely / input_bytes, 4),
        high=round(1 - size.low / input_bytes, 4),
    )  # fmt: skip
    return msgspec.structs.replace(offer, saved_share=saved)


def priced(offer: Offer, tariff: Tariff, *, wall_s: float, cpu_s: float, gpu_s: float) -> Offer:
    """Return an offer with its dollars, in the interval of its seconds; none where a part of them has no price.

    ``cpu_s`` and ``gpu_s`` are of a job that takes ``wall_s``; one that is given up sooner takes less of both.
    """
    predicted = offer.predicted
    if predicted is None or predicted.wall_s is None:
        return offer
    wall = predicted.wall_s
    done = wall.likely / wall_s if wall_s else 1.0
    usd = tariff.cost(wall_s=wall.likely, cpu_s=cpu_s * done, gpu_s=gpu_s * done).whole_usd
    if usd is None:
        return offer
    money = wall.times(usd / wall.likely) if wall.likely else around(usd, 0.0)
    rounded = Interval(low=round(money.low, 8), likely=round(money.likely, 8), high=round(money.high, 8))
    return msgspec.structs.replace(offer, predicted=msgspec.structs.replace(predicted, usd=rounded))
