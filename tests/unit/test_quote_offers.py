"""What follows from the bytes and seconds of an offer: whether it pays, what it saves, and what it costs."""

from __future__ import annotations

import msgspec
import pytest

from reelpress.facts.prediction import Interval, Predicted, around
from reelpress.observe.prices import by_cpu_hour, tariff
from reelpress.plan.compress import plan
from reelpress.plan.model import Encode, Skip
from reelpress.quoting.model import Offer, OfferOutcome, Quote
from reelpress.quoting.weighing import priced, weighed
from reelpress.request import Request

from factories import host, media

INPUT_BYTES = 1_000_000
GPU_WITHOUT_PRICE = tariff(by_cpu_hour(3600.0), cores=4, memory_mb=8192, has_gpu=True)
GPU_WITH_PRICE = tariff(by_cpu_hour(3600.0, 7200.0), cores=4, memory_mb=8192, has_gpu=True)


def offer(size_bytes: float, wall_s: float = 100.0) -> Offer:
    predicted = Predicted(
        basis="sampled", outcome="encoded", encoder="libx264", size_bytes=around(size_bytes, 0.05),
        wall_s=around(wall_s, 0.1),
    )  # fmt: skip
    return Offer(codec="h264", device="cpu", outcome="encoded", worth="yes", why="", predicted=predicted)


def limited(max_bytes: int | None, **changes: object) -> Encode:
    """A plan whose encode may have so many bytes, and is moved into an MP4 otherwise."""
    decided = plan(media(), host(), Request())
    assert isinstance(decided, Encode)
    expect = msgspec.structs.replace(decided.expect, max_bytes=max_bytes)
    return msgspec.structs.replace(decided, expect=expect, **changes)


def usd_of(one: Offer) -> Interval | None:
    assert one.predicted is not None
    return one.predicted.usd


def test_where_a_part_has_no_price_there_are_no_dollars() -> None:
    on_gpu, on_cpu = (priced(offer(1.0), GPU_WITHOUT_PRICE, wall_s=100.0, cpu_s=9.0, gpu_s=s) for s in (80.0, 0.0))
    assert usd_of(on_gpu) is None
    assert usd_of(on_cpu) is not None
    usd = usd_of(priced(offer(1.0), GPU_WITH_PRICE, wall_s=100.0, cpu_s=9.0, gpu_s=80.0))
    assert usd is not None
    assert usd.likely == pytest.approx(9.0 + 2 * 80.0)


def test_the_basis_names_what_has_no_price_where_it_is_used() -> None:
    assert GPU_WITHOUT_PRICE.basis(uses_gpu=False) == GPU_WITHOUT_PRICE.text
    assert "; no price is known for gpu" in GPU_WITHOUT_PRICE.basis(uses_gpu=True)
    assert GPU_WITH_PRICE.basis(uses_gpu=True) == GPU_WITH_PRICE.text


def test_an_encode_that_is_given_up_costs_what_was_done_of_it() -> None:
    kept = weighed(offer(2 * INPUT_BYTES), limited(INPUT_BYTES), INPUT_BYTES, beside_s=0.0)
    assert kept.worth == "no"
    assert kept.predicted is not None
    assert kept.predicted.wall_s is not None
    share = kept.predicted.wall_s.likely / 100.0
    assert share < 0.8
    usd = usd_of(priced(kept, GPU_WITH_PRICE, wall_s=100.0, cpu_s=150.0, gpu_s=80.0))
    assert usd is not None
    assert usd.likely == pytest.approx(share * (150.0 + 2 * 80.0))


def test_what_is_kept_or_moved_saves_nothing() -> None:
    skipped = weighed(
        offer(2 * INPUT_BYTES), limited(INPUT_BYTES, otherwise=Skip(reasons=())), INPUT_BYTES, beside_s=0.0
    )
    assert (skipped.outcome, skipped.saved_share) == ("skipped", None)
    copied = weighed(offer(2 * INPUT_BYTES), limited(INPUT_BYTES), INPUT_BYTES, beside_s=0.0)
    assert copied.outcome == "copied"
    assert copied.saved_share is not None
    assert copied.saved_share.likely == 0.0
    assert copied.predicted is not None
    assert copied.predicted.vmaf == Interval(low=100, likely=100, high=100)


def test_a_size_under_the_limit_is_worth_it_and_one_that_reaches_over_it_doubtful() -> None:
    assert weighed(offer(INPUT_BYTES / 2), limited(INPUT_BYTES), INPUT_BYTES, beside_s=0.0).worth == "yes"
    assert weighed(offer(INPUT_BYTES * 0.98), limited(INPUT_BYTES), INPUT_BYTES, beside_s=0.0).worth == "doubtful"
    free = weighed(offer(2 * INPUT_BYTES), limited(None), INPUT_BYTES, beside_s=0.0)
    assert (free.worth, free.why) == ("yes", "100% larger.")


def test_a_job_is_told_what_the_gpu_would_come_to_also_where_its_encode_is_not_kept() -> None:
    def said(outcome: OfferOutcome) -> Predicted | None:
        on_gpu = msgspec.structs.replace(offer(3.0), device="nvidia", outcome=outcome)
        quote = Quote(
            quote="quo_1", input="in", size_bytes=5, duration_s=None, video=None, offers=(offer(2.0), on_gpu),
            assumes="", usd_basis="", took_s=0.0, cpu_s=0.0, made_at="", host="", reelpress_version="",
        )  # fmt: skip
        return quote.of_job("h264", may_use_gpu=True)

    assert [said(outcome) for outcome in ("encoded", "copied", "skipped")] == [offer(3.0).predicted] * 3
    assert said("failed") == offer(2.0).predicted
