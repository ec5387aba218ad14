"""A plan with all that samples can say of it: which size, whether it pays, which setting keeps to a VMAF asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from reelpress.bookkeeping import Book
from reelpress.facts.host import HostFacts
from reelpress.facts.media import MediaFacts
from reelpress.gpus import GpuPolicy
from reelpress.plan.compress import plan
from reelpress.plan.crf_curve import Point
from reelpress.plan.model import Encode, Plan, Reason
from reelpress.plan.sampling import sample_order
from reelpress.plan.worth import SampleFacts, predicted_bytes
from reelpress.probe.sample import take_samples
from reelpress.request import Request
from reelpress.run.process import CancelToken

# The number of a trial, its encoder, and what came of it.
OnTrial = Callable[[int, str, Point], None]


def plan_with_samples(
    source: Path,
    facts: MediaFacts,
    host: HostFacts,
    request: Request,
    cancel: CancelToken,
    book: Book,
    policy: GpuPolicy = GpuPolicy(),  # noqa: B008 - a frozen value
    on_trial: OnTrial = lambda _number, _encoder, _point: None,
) -> Plan:
    """Plan; where the plan would be better with samples, take them and plan again.

    Raises :class:`Cancelled` and :class:`OutputError`.
    """
    decided = plan(facts, host, request)
    told: tuple[Reason, ...] = ()
    aimed = request.target_vmaf is not None
    if request.resolution == "auto" and isinstance(decided, Encode):
        from reelpress.quality.resolution import settle_resolution  # which nobody else has to wait for

        with book.stage("sample"):
            settled = settle_resolution(
                source, facts, host, request, target=request.target_vmaf, cancel=cancel, spend=book.spend
            )
        # a smaller picture keeps to its target as it is seen, enlarged; trials at its own size would not know of that
        aimed = aimed and (settled.request.max_width, settled.request.max_height) == (
            request.max_width, request.max_height
        )  # fmt: skip
        request, told = settled.request, settled.reasons
        decided = plan(facts, host, request)
    # what a target comes to says by itself whether an encode pays
    wish = msgspec.structs.replace(request, always_encode=True) if aimed else request
    order = sample_order(decided, facts, wish) if isinstance(decided, Encode) else None
    samples: SampleFacts | None = None
    if order is not None:
        with book.stage("sample"):
            samples = take_samples(order, source, cancel=cancel, spend=book.spend)
        book.sampled_bytes = predicted_bytes(facts, samples, request) if samples is not None else None
        decided = plan(facts, host, request, samples)
    if aimed and isinstance(decided, Encode):
        from reelpress.targeting import notes, target_plan  # which nobody else has to wait for

        with book.stage("sample"):
            decided, found = target_plan(
                decided, source, facts, host, request, samples, policy=policy, cancel=cancel, spend=book.spend,
                on_trial=on_trial,
            )  # fmt: skip
        book.notes = (*book.notes, *notes(found))
        book.aimed = (found.target, found.point.vmaf) if found.point is not None else None
    return msgspec.structs.replace(decided, reasons=(*told, *decided.reasons)) if told else decided
