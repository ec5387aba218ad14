"""A quote: what jobs on one input would come to, with each codec, on the CPU and on a GPU of this machine."""

from __future__ import annotations

import os
import platform
import secrets
import time
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from reelpress.bookkeeping import Book, describe
from reelpress.facts.host import HostFacts
from reelpress.facts.values import Value
from reelpress.gpus import gpus_of
from reelpress.look import Look, look_at
from reelpress.plan.encoders import cpu_row
from reelpress.plan.model import Encode, Reject
from reelpress.planning import plan_with_samples
from reelpress.policy import RunPolicy
from reelpress.quoting.model import Offer, Quote
from reelpress.quoting.offers import Offering, unavailable
from reelpress.quoting.prediction import ErrorTable
from reelpress.quoting.scoring import Scorer
from reelpress.request import Codec, Hardware, Request, with_codec
from reelpress.run.process import CancelToken
from reelpress.version import VERSION

BUDGET_S = 60.0
# What is planned for each hardware policy: without a GPU, and with one where one works.
_DEVICES: dict[Hardware, tuple[Hardware, ...]] = {"off": ("off",), "require": ("auto",), "auto": ("off", "auto")}


class QuoteOptions(Value, frozen=True, kw_only=True):
    """How a quote is made: for which codecs, how thoroughly, and how far off earlier ones were.

    ``quick`` asks the facts alone. No further stretch is begun ``budget_s`` after an offer was; what is begun ends.
    ``looked_at`` says that jobs will be handed a look at their input, which then is none of their seconds.
    """

    codecs: tuple[Codec, ...]
    quick: bool = False
    budget_s: float = BUDGET_S
    errors: ErrorTable = ErrorTable()
    looked_at: bool = False


def quote_file(
    source: str | os.PathLike[str],
    folder: Path,
    *,
    host: HostFacts,
    request: Request,
    options: QuoteOptions,
    policy: RunPolicy = RunPolicy(),  # noqa: B008 - a frozen value
    named: str | None = None,
    number: str | None = None,
    cancel: CancelToken | None = None,
) -> Quote:
    """Return what jobs on an input would come to, which is only read; ``folder`` is for files of a moment.

    ``request`` says all but the codec; its CRF and preset are of its own codec, the others have their defaults.
    ``named`` is what the input is called in the quote, ``number`` the quote's id.

    Raises :class:`InputError` when the input cannot be used, and :class:`Cancelled`.
    """
    began, stop, book = time.monotonic(), cancel or CancelToken(), Book()
    path = Path(os.path.abspath(os.fspath(source)))  # noqa: PTH100 - a link stays the name that was given
    with book.stage("probe"):
        look = look_at(path, stop)
        book.spend(look.cpu_s)
    number = number or f"quo_{int(time.time() * 1000):012x}{secrets.token_hex(8)}"
    scorer = Scorer(path, look.facts, folder, host, cancel=stop, spend=book.spend)
    made = [
        offer
        for codec in options.codecs
        for offer in _offers(path, look, folder, host, with_codec(request, codec), policy, options, scorer, stop, book)
    ]
    file = describe(path, look.facts, None)
    return Quote(
        quote=number, input=named or os.fspath(source), size_bytes=look.facts.size_bytes,
        duration_s=look.facts.duration_s, video=file.video,
        offers=tuple(_signed(offer, number) for offer in made),
        assumes=_assumes(made, host, request, policy), usd_basis=_usd_basis(made, host, policy),
        took_s=round(time.monotonic() - began, 3), cpu_s=round(sum(stage.cpu_s for stage in book.stages), 3),
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        host=f"{platform.system()} {platform.machine()}, {host.cores} cores", reelpress_version=VERSION,
    )  # fmt: skip


def _offers(
    path: Path,
    look: Look,
    folder: Path,
    host: HostFacts,
    request: Request,
    policy: RunPolicy,
    options: QuoteOptions,
    scorer: Scorer,
    cancel: CancelToken,
    book: Book,
) -> list[Offer]:
    """Return the offers of one codec: on the CPU and on a GPU, or one where it makes no difference."""
    facts = look.facts
    offering = Offering(
        path, facts, folder, policy, quick=options.quick, budget_s=options.budget_s, errors=options.errors,
        probe_s=0.0 if options.looked_at else book.stages[0].wall_s, look=_done(look) if options.looked_at else None,
        scorer=scorer, cancel=cancel, spend=book.spend,
    )  # fmt: skip
    made: list[Offer] = []
    for device in _DEVICES[request.hardware]:
        began = time.monotonic()
        wanted = msgspec.structs.replace(request, hardware=device)
        with book.stage("sample"):
            here = host if device == "off" else gpus_of(host, policy.gpu).host_for(facts, wanted, cancel, book.spend)
            planning = Book()
            decided = plan_with_samples(path, facts, here, wanted, cancel, planning)
            book.spend(sum(stage.cpu_s for stage in planning.stages))
            planned_s = sum(stage.wall_s for stage in planning.stages)
            on_gpu = isinstance(decided, Encode) and bool(decided.attempts[0].gpus)
            if device == "auto" and isinstance(decided, Encode) and not on_gpu:
                offer = unavailable(request.codec, _why_no_gpu(decided, here))
            elif device == "auto" and not isinstance(decided, Encode | Reject) and made:
                break  # what is not encoded is not encoded on the GPU either
            else:
                offer = offering.make(decided, here, wanted, planned_s=planned_s)
        made.append(msgspec.structs.replace(offer, took_s=round(time.monotonic() - began, 3)))
    return made


def _done(look: Look) -> Future[Look]:
    done: Future[Look] = Future()
    done.set_result(look)
    return done


def _why_no_gpu(decided: Encode, host: HostFacts) -> str:
    why = next((r.text for r in decided.reasons if r.code == "cpu_only"), None)
    return (why or host.gpu_note or "no GPU encodes this here").removeprefix("Encoded on the CPU: ").rstrip(".")


def _signed(offer: Offer, number: str) -> Offer:
    predicted = offer.predicted
    if predicted is None:
        return offer
    return msgspec.structs.replace(offer, predicted=msgspec.structs.replace(predicted, quote=number))


def _usd_basis(offers: Sequence[Offer], host: HostFacts, policy: RunPolicy) -> str:
    uses_gpu = any(o.device == "nvidia" and o.predicted is not None for o in offers)
    return policy.tariff(host).basis(uses_gpu=uses_gpu)


def _assumes(offers: Sequence[Offer], host: HostFacts, request: Request, policy: RunPolicy) -> str:
    jobs = (
        "one job at a time" if policy.at_once == 1 else f"{policy.at_once} jobs at a time share the price, not the time"
    )
    is_left_out = request.gate.is_set and any(
        o.predicted is not None and o.outcome == "encoded" and o.predicted.basis != "rehearsed" for o in offers
    )
    gate = ", and without what a gate asks for: scores, and encodes made again" if is_left_out else ""
    return f"{jobs}, on all {host.cores} cores, with nothing else at work on this machine{gate}"


def default_codecs(request: Request) -> tuple[Codec, ...]:
    """Return the codecs of a quote for which none were named: the request's."""
    return (cpu_row(request.codec).codec,)
