"""Carries a run out: every way on every input, in turn within each round, each a whole job with its checks."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from reelpress.bench.material import Input
from reelpress.bench.model import BenchGpu, BenchRun, Choice, Encodes, Machine, Measurement, Score
from reelpress.calibrating.measure import cpu_model
from reelpress.engine import compress_file, facts_and_plan
from reelpress.errors import HardwareError, InputError, ReelpressError
from reelpress.facts.host import HostFacts
from reelpress.facts.quality import Measuring
from reelpress.facts.values import Value
from reelpress.gpus import gpus_of
from reelpress.plan.model import Copy, Encode, Reject, Rung, Skip
from reelpress.policy import RunPolicy
from reelpress.probe.media import probe
from reelpress.probe.nvml import load
from reelpress.quality.measure import measure
from reelpress.receipt import Receipt
from reelpress.request import Request
from reelpress.run.process import CancelToken
from reelpress.version import VERSION

_PRIVATE = re.compile(r"(?:(?<![\w.])/[^\s:;,)\"']+)|(?:(?:GPU|MIG)-[0-9a-fA-F-]{8,})")


class Step(Value, frozen=True, kw_only=True):
    """What begins now: so many of so many are done."""

    done: int
    of: int
    text: str


class _Way(Value, frozen=True, kw_only=True):
    """One way on one input, with the plan that has it."""

    rung: Rung
    decided: Encode


def run_bench(
    inputs: Sequence[Input],
    host: HostFacts,
    request: Request,
    policy: RunPolicy,
    folder: Path,
    *,
    rounds: int,
    on_step: Callable[[Step], None] = lambda _step: None,
) -> BenchRun:
    """Measure all ways on all inputs; outputs lie in ``folder`` for the time.

    Within a round ways take turns, and every second round goes backwards, so that what else the machine does falls on
    all of them. A way that fails is a row that says so. Raises :class:`InputError` for an input that cannot be used,
    and :class:`HardwareError` where a GPU was required and none encodes it.
    """
    request = msgspec.structs.replace(request, always_encode=True, max_input_bytes=10**15)
    load_before = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    seen = host
    absent: list[str] = []
    ways: dict[str, list[_Way]] = {}
    for one in inputs:
        found, why = _ways(one, host, request, policy)
        ways[one.about.name] = found
        absent += why
        seen = gpus_of(host, policy.gpu).host_for(one.facts, request, CancelToken())
    total = rounds * sum(map(len, ways.values()))
    measurements: list[Measurement] = []
    scores: dict[tuple[str, Rung], Score] = {}
    for number in range(rounds):
        for one in inputs:
            order = ways[one.about.name] if number % 2 == 0 else ways[one.about.name][::-1]
            for way in order:
                text = f"round {number + 1}, {one.about.name}, {way.rung}"
                on_step(Step(done=len(measurements), of=total, text=text))
                target = folder / f"{way.rung}.mp4"
                taken = _job(one, way.rung, target, host, request, policy, number + 1)
                measurements.append(taken)
                if taken.failure is None and (one.about.name, way.rung) not in scores:
                    on_step(Step(done=len(measurements), of=total, text=f"{text}: VMAF"))
                    scores[one.about.name, way.rung] = score_output(one, target, way.decided, way.rung, host)
                target.unlink(missing_ok=True)
    uses_gpu = any(one.gpu is not None for one in measurements)
    return BenchRun(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"), reelpress_version=VERSION,
        machine=_machine(seen, load_before), choice=_choice(request), rounds=rounds, hardware=request.hardware,
        tariff=policy.tariff(host).basis(uses_gpu=uses_gpu), scores=tuple(scores.values()),
        materials=tuple(one.about for one in inputs), measurements=tuple(measurements),
        absent=tuple(dict.fromkeys(map(public, absent))), calibration=host.calibration,
    )  # fmt: skip


def score_output(one: Input, made: Path, decided: Encode, rung: Rung, host: HostFacts) -> Score:
    """Score an output against what its encoder was given of the input, over windows."""
    how = Measuring(look="windows", prepare=decided.expect.picture_filters, size="encoded")
    try:
        found = measure(Path(one.path), one.facts, made, probe(made), how=how, host=host)
    except ReelpressError as error:
        return Score(material=one.about.name, rung=rung, vmaf=None, unmeasured=type(error).code)
    if found.vmaf is None:
        return Score(material=one.about.name, rung=rung, vmaf=None, unmeasured=found.cause_code)
    worst = found.vmaf.worst_second
    return Score(
        material=one.about.name, rung=rung, vmaf=found.vmaf.mean, vmaf_worst_second=worst.score if worst else None
    )


def public(text: str) -> str:
    """Return a reason without what may name this machine: paths, addresses of devices, UUIDs of GPUs."""
    return _PRIVATE.sub("[left out]", text)


def _unusable(planned: Copy | Skip | Reject, name: str) -> ReelpressError:
    """Return why there is nothing to measure with an input of this name: no way encodes it here."""
    reason = planned.reasons[0]
    hint = planned.hint if isinstance(planned, Reject) else None
    if isinstance(planned, Reject) and planned.code == "hardware_absent":
        return HardwareError(f"{name}: {reason.text}", evidence=reason.fact, hint=hint)
    return InputError(f"{name} is nothing to encode.", evidence=reason.text, hint=hint)


def _ways(
    one: Input, host: HostFacts, request: Request, policy: RunPolicy
) -> tuple[list[_Way], tuple[str, ...]]:  # fmt: skip
    """Return the ways that a plan has for an input, the CPU first, and why there are none on a GPU."""
    _, planned = facts_and_plan(one.path, host=host, request=request, policy=policy)
    if not isinstance(planned, Encode):
        raise _unusable(planned, one.about.name)
    rungs = dict.fromkeys(attempt.rung for attempt in planned.attempts)
    found = [_Way(rung=rung, decided=planned) for rung in sorted(rungs, key=lambda rung: rung != "cpu")]
    if any(way.rung != "cpu" for way in found):
        return found, ()
    why = next((r.text for r in planned.reasons if r.code in ("cpu_only", "cpu_asked")), planned.reasons[0].text)
    return found, (why,)


def _job(
    one: Input, rung: Rung, target: Path, host: HostFacts, request: Request, policy: RunPolicy, number: int
) -> Measurement:
    before = _energy_mj()
    receipt = compress_file(
        one.path, target, host=host, request=request, policy=msgspec.structs.replace(policy, rung=rung), overwrite=True
    )
    after = _energy_mj()
    last = receipt.attempts[-1] if receipt.attempts else None
    energy = drawn_j(before, after, last.gpu) if last is not None else None
    return measured(one.about.name, rung, number, receipt, energy)


def measured(material: str, rung: Rung, number: int, receipt: Receipt, energy_j: float | None) -> Measurement:
    """Return what a receipt says of a job; ``number`` is its round."""
    last = receipt.attempts[-1] if receipt.attempts else None
    return Measurement(
        material=material, rung=rung, round=number, encoder=last.encoder if last else None, gpu=receipt.gpu,
        wall_s=receipt.wall_s, encode_s=round(sum(s.wall_s for s in receipt.stages if s.name == "encode"), 3),
        cpu_s=receipt.cpu_s, size_bytes=receipt.result.size_bytes if receipt.result else None,
        usd=receipt.usd_parts.whole_usd, energy_j=energy_j, failure=_failure(receipt),
        peak_memory_bytes=last.peak_memory_bytes if last else None,
    )  # fmt: skip


def drawn_j(before: Mapping[str, int], after: Mapping[str, int], uuid: str | None) -> float | None:
    """Return what a GPU drew between two readings in mJ; ``None`` where one lacks it, or its driver began anew."""
    if uuid is None or uuid not in before or uuid not in after or after[uuid] < before[uuid]:
        return None
    return round((after[uuid] - before[uuid]) / 1000, 1)


def _failure(receipt: Receipt) -> str | None:
    """Return in stable words why nothing good was delivered; texts of FFmpeg may hold names of files."""
    if receipt.status == "encoded" and receipt.exit_code == 0:
        return None
    kinds = [str(attempt.failure) for attempt in receipt.attempts if attempt.failure is not None]
    return ", ".join(dict.fromkeys(kinds)) or receipt.error_code or f"{receipt.status}, exit code {receipt.exit_code}"


def _energy_mj() -> dict[str, int]:
    return {uuid: seen.energy_mj for uuid, seen in load().items() if seen.energy_mj is not None}


def _choice(request: Request) -> Choice:
    return Choice(
        codec=request.codec, crf=request.crf, preset=request.preset, gpu_preset=request.gpu_preset,
        max_width=request.max_width, max_height=request.max_height,
    )  # fmt: skip


def _machine(host: HostFacts, load_before: float | None) -> Machine:
    gpus = tuple(
        BenchGpu(
            name=gpu.name, memory_mb=gpu.memory_mb, driver_version=gpu.driver_version,
            compute_capability=gpu.compute_capability, nvenc_api=gpu.nvenc_api,
            encodes=tuple(
                Encodes(encoder=path.name, features=tuple(sorted(path.features)))
                for path in gpu.paths if path.kind == "encode" and path.state == "works"
            ),
        )
        for gpu in host.gpus
    )  # fmt: skip
    return Machine(
        cpu=cpu_model(), cores=host.cores, memory_mb=host.memory_mb, gpus=gpus, gpu_note=host.gpu_note,
        system=f"{platform.system()} {platform.machine()}", load=None if load_before is None else round(load_before, 2),
        ffmpegs=tuple(f"{build.version} ({build.origin})" for build in host.ffmpegs),
    )  # fmt: skip
