"""A plan that keeps to a VMAF asked for: samples are tried, and the plan is made again with what was found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from reelpress.facts.host import HostFacts
from reelpress.facts.media import MediaFacts
from reelpress.gpus import GpuPolicy, gpus_of
from reelpress.plan.compress import plan
from reelpress.plan.crf_curve import Point
from reelpress.plan.encoders import cpu_row, gpu_row
from reelpress.plan.model import Attempt, Encode, Plan, Reason
from reelpress.plan.nvenc import cq_for
from reelpress.plan.target import Found, Unreachable
from reelpress.plan.worth import SampleFacts
from reelpress.quality.search import Aim, OnTrial, Work, aim
from reelpress.request import Request
from reelpress.run.process import CancelToken


def target_plan(
    decided: Encode,
    source: Path,
    facts: MediaFacts,
    host: HostFacts,
    request: Request,
    samples: SampleFacts | None,
    *,
    policy: GpuPolicy,
    cancel: CancelToken,
    spend: Callable[..., None],
    on_trial: OnTrial,
) -> tuple[Plan, Aim]:
    """Return the plan for ``request.target_vmaf``, and the search it rests on; ``samples`` are those of ``decided``.

    Raises :class:`Cancelled` and :class:`OutputError`.
    """
    assert request.target_vmaf is not None  # noqa: S101 - who calls has looked
    access = gpus_of(host, policy).access(host, spend) if any(a.gpus for a in decided.attempts) else None
    work = Work(
        source=source, facts=facts, host=host, target=request.target_vmaf,
        cache_dir=Path(policy.cache_dir) if policy.cache_dir else None, gpus=access, max_pixels=request.max_pixels,
        cancel=cancel, spend=spend, on_trial=on_trial,
    )  # fmt: skip
    tried: list[Aim] = []
    for attempt in _first_of_each_device(decided.attempts):

        def replan(number: float, attempt: Attempt = attempt) -> Encode | None:
            made = plan(facts, host, at_setting(request, host, attempt, number), samples)
            return made if isinstance(made, Encode) else None

        found = aim(work, decided, attempt, replan)
        spend(0.0, gpu_s=found.gpu_s)
        tried.append(found)
        if found.point is not None:
            wish = at_setting(request, host, attempt, found.point.crf)
            told = (reason(found, attempt, wish, decided), *(failed(one) for one in tried[:-1]))
            return _with(told, plan(facts, host, wish, _as_sampled(found, found.point, samples))), found
    return _with(tuple(failed(one) for one in tried), decided), tried[0]


def at_setting(request: Request, host: HostFacts, attempt: Attempt, number: float) -> Request:
    """Return the request that has an attempt's encoder work at this number of its own scale.

    For NVENC it is a CQ; the CRF for encoders on the CPU, should they have to take over, is the table's for that CQ.
    """
    if attempt.device != "nvidia":
        return msgspec.structs.replace(request, crf=number)
    row, other = gpu_row(request.codec), cpu_row(request.codec)
    generation = next((gpu.compute_capability for gpu in host.gpus if gpu.uuid in attempt.gpus), None)
    middle = other.crf_max / 2
    crf = min(max(number - (cq_for(row, generation, middle).cq - middle), 1.0), other.crf_max)
    return msgspec.structs.replace(request, cq=number, crf=float(round(crf)) if other.crf_integer else crf)


def reason(found: Aim, attempt: Attempt, wish: Request, decided: Encode) -> Reason:
    """Return what a search found, in a sentence for people."""
    point = found.point
    assert point is not None  # noqa: S101 - who calls has looked
    scale = "CQ" if attempt.device == "nvidia" else "CRF"
    made = f"{found.trials} {'trial' if found.trials == 1 else 'trials'}"
    if found.known:
        made += f" and {found.known} remembered"
    how = f"{made} on {found.sampled_s:.0f} s of samples, {found.seconds:.0f} s"
    gives = f"{scale} {point.crf:g} of {found.encoder} is predicted to give {point.vmaf:.1f} at {_rate(point)}"
    fact = f"VMAF {point.vmaf:.2f}, {point.bytes_per_s:.0f} bytes/s"
    if isinstance(found.step, Unreachable):
        text = f"VMAF {found.target:g} cannot be reached ({found.step.why}); {gives} ({how})."
        return Reason(code="target_vmaf_unreachable", text=text, fact=fact)
    end = "; the scale ends there" if isinstance(found.step, Found) and found.step.at_end else ""
    text = f"VMAF {found.target:g} was aimed at: {gives}{end} ({how})."
    if attempt.device == "nvidia" and any(a.device == "cpu" for a in decided.attempts):
        text += f" Should the CPU have to take over, its CRF {wish.crf:g} comes from the table."
    return Reason(code="target_vmaf", text=text, fact=fact)


def failed(found: Aim) -> Reason:
    """Return why a search came to nothing."""
    text = f"VMAF {found.target:g} was not aimed at with {found.encoder}: {found.why_not}."
    return Reason(code="target_vmaf_unmeasured", text=text, fact=found.why_not)


def notes(aimed: Aim) -> tuple[str, ...]:
    """Return the warnings that a receipt has of a search."""
    if aimed.point is None:
        return (f"VMAF {aimed.target:g} was not aimed at: {aimed.why_not}",)
    if isinstance(aimed.step, Unreachable):
        return (f"VMAF {aimed.target:g} cannot be reached: {aimed.point.vmaf:.1f} is predicted",)
    return ()


def _first_of_each_device(attempts: tuple[Attempt, ...]) -> list[Attempt]:
    """Return the attempt that runs first, and where that is on a GPU the first without one."""
    first = attempts[0]
    other = next((a for a in attempts if not a.gpus), None) if first.gpus else None
    return [first] if other is None else [first, other]


def _as_sampled(found: Aim, point: Point, samples: SampleFacts | None) -> SampleFacts:
    """Return the prediction as samples of the encode, which say whether it pays."""
    return SampleFacts(
        windows=len(found.windows), seconds=found.sampled_s, encoded_bytes_per_s=point.bytes_per_s,
        p_skip=samples.p_skip if samples is not None else None, p_skip_of_small=True,
    )  # fmt: skip


def _with(told: tuple[Reason, ...], decided: Plan) -> Plan:
    return msgspec.structs.replace(decided, reasons=(*told, *decided.reasons))


def _rate(point: Point) -> str:
    bits = point.bytes_per_s * 8
    return f"{bits / 1e6:.2f} Mbit/s" if bits >= 1e6 else f"{bits / 1e3:.0f} kbit/s"
