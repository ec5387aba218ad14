"""Whether a GPU makes of a file what the CPU makes of it, as values, and the limits that decide it. Pure."""

from __future__ import annotations

from typing import Literal

from reelpress.facts.quality import Window
from reelpress.facts.values import Value

ParityVerdict = Literal["passed", "warned", "failed", "unmeasured"]
# The product's own promise of a GPU that stands in for the CPU; no standard says so.
LEAST_VMAF = 90.0
MOST_VMAF_LOSS = 0.02  # of the CPU's VMAF; more is a gain, which is no fault
MOST_SIZE_DIFFERENCE, WORST_SIZE_DIFFERENCE = 0.05, 0.10  # of the CPU's size, in either direction
_ORDER: tuple[ParityVerdict, ...] = ("failed", "unmeasured", "warned", "passed")


class ParityGate(Value, frozen=True, kw_only=True):
    """One comparison: what was wanted, and what was measured."""

    name: Literal["cpu_vmaf", "gpu_vmaf", "vmaf_loss", "size"]
    verdict: ParityVerdict
    expected: str
    measured: str


class ParitySide(Value, frozen=True, kw_only=True):
    """What one device made of a file, or of its stretches: together, and scored against the source.

    ``setting`` is the CRF or CQ. ``vmaf`` is the mean over all frames, ``worst_vmaf`` of the worst second; where they
    are not known ``cause`` says why.
    """

    encoder: str
    device: Literal["cpu", "nvidia"]
    gpu: str | None
    rung: str
    setting: float
    size_bytes: int
    wall_s: float
    cpu_s: float
    vmaf: float | None
    worst_vmaf: float | None
    frames: int
    cause: str | None = None


class Parity(Value, frozen=True, kw_only=True, tag_field="event", tag="parity"):
    """One file on both devices. ``between_vmaf`` is the GPU's output against the CPU's.

    ``stretches`` are those that were taken, in seconds from the first picture; none where all of it was.
    """

    input: str
    verdict: ParityVerdict
    exit_code: int
    gates: tuple[ParityGate, ...] = ()
    cpu: ParitySide | None = None
    gpu: ParitySide | None = None
    between_vmaf: float | None = None
    stretches: tuple[Window, ...] = ()
    error: str | None = None
    error_code: str | None = None
    evidence: str | None = None
    hint: str | None = None


def judge(cpu: ParitySide, gpu: ParitySide) -> tuple[ParityGate, ...]:
    """Return the gates. What is not known is ``unmeasured``, which passes nothing."""
    return (
        _least("cpu_vmaf", cpu),
        _least("gpu_vmaf", gpu),
        _loss(cpu.vmaf, gpu.vmaf),
        _size(cpu.size_bytes, gpu.size_bytes),
    )


def verdict_of(gates: tuple[ParityGate, ...]) -> ParityVerdict:
    """Return the gravest of several verdicts."""
    return min((gate.verdict for gate in gates), key=_ORDER.index, default="unmeasured")


def _least(name: Literal["cpu_vmaf", "gpu_vmaf"], side: ParitySide) -> ParityGate:
    expected = f"at least {LEAST_VMAF:g}"
    if side.vmaf is None:
        return ParityGate(name=name, verdict="unmeasured", expected=expected, measured=side.cause or "unknown")
    verdict: ParityVerdict = "passed" if side.vmaf >= LEAST_VMAF else "failed"
    return ParityGate(name=name, verdict=verdict, expected=expected, measured=f"{side.vmaf:.2f}")


def _loss(cpu: float | None, gpu: float | None) -> ParityGate:
    expected = f"at most {MOST_VMAF_LOSS:.0%} below the CPU's"
    if cpu is None or gpu is None or cpu <= 0:
        return ParityGate(name="vmaf_loss", verdict="unmeasured", expected=expected, measured="unknown")
    change = round(gpu / cpu - 1, 9)
    verdict: ParityVerdict = "passed" if change >= -MOST_VMAF_LOSS else "failed"
    return ParityGate(name="vmaf_loss", verdict=verdict, expected=expected, measured=f"{change:+.2%}")


def _size(cpu: int, gpu: int) -> ParityGate:
    expected = f"within {MOST_SIZE_DIFFERENCE:.0%} of the CPU's, to {WORST_SIZE_DIFFERENCE:.0%} with a warning"
    if cpu <= 0:
        return ParityGate(name="size", verdict="unmeasured", expected=expected, measured="unknown")
    change = round(gpu / cpu - 1, 9)
    verdict: ParityVerdict = "passed" if abs(change) <= MOST_SIZE_DIFFERENCE else "warned"
    if abs(change) > WORST_SIZE_DIFFERENCE:
        verdict = "failed"
    return ParityGate(name="size", verdict=verdict, expected=expected, measured=f"{change:+.1%}")
