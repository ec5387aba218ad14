"""The parity gate and the gate on quality where a GPU encodes: FFmpeg's own NVENC on the stand-in for the driver."""

from __future__ import annotations

from concurrent.futures import Executor
from pathlib import Path

import msgspec
import pytest

from reelpress import parity as module
from reelpress.engine import compress_file
from reelpress.facts.failure import FailureKind
from reelpress.facts.gate import GateWish
from reelpress.facts.parity import Parity
from reelpress.parity import check_parity
from reelpress.receipt import Receipt
from reelpress.run.breaker import Breaker
from reelpress.run.host_state import host_folder

import clips
import world
from world import REQUEST, World, Worlds

pytestmark = pytest.mark.gpu_fake
# Enough detail that a CRF costs something, at the smallest size there is.
DETAIL = (
    "-f", "lavfi", "-i",
    "mandelbrot=size=160x160:rate=25:start_scale=0.5:end_scale=0.05:end_pts=30,noise=alls=6:allf=t",
)  # fmt: skip


def detail(out: Path, seconds: float = 1.6) -> Path:
    return clips.make(out, *DETAIL, "-t", str(seconds), *clips.X264, "-crf", "6", "-g", "12", "-bf", "2")


def parity(
    known: World, folder: Path, source: Path, *, whole: bool = True, faults: str = "", crf: float = 18
) -> Parity:
    """Compare on a twin of the machine. Changes this process's environment."""
    machine = known.machine.twin(folder / "machine")
    world.live_on(machine, folder)
    machine.set_faults(faults)
    request = msgspec.structs.replace(REQUEST, crf=crf)
    return check_parity(
        source, host=known.host, request=request, policy=world.policy_of(known.found), whole=whole
    )  # fmt: skip


def test_both_devices_are_measured_and_held_to_each_other(worlds: Worlds, pool: Executor, tmp_path: Path) -> None:
    known = worlds("bundled", 1)
    one = pool.submit(parity, known, tmp_path / "job", detail(tmp_path / "in.mp4")).result()
    assert one.error is None, (one.error, one.evidence)
    assert one.cpu is not None
    assert one.gpu is not None
    assert (one.cpu.device, one.cpu.encoder, one.cpu.gpu) == ("cpu", "libx264", None)
    assert (one.gpu.device, one.gpu.encoder) == ("nvidia", "h264_nvenc")
    assert (one.gpu.gpu or "").startswith("Fake ")
    assert one.cpu.setting == 18
    assert one.cpu.frames == one.gpu.frames == 40
    gates = {gate.name: gate for gate in one.gates}
    assert set(gates) == {"cpu_vmaf", "gpu_vmaf", "vmaf_loss", "size"}
    assert one.cpu.vmaf is not None
    assert one.cpu.vmaf > 90
    assert gates["cpu_vmaf"].verdict == "passed"
    assert one.between_vmaf is not None
    assert one.between_vmaf > 80
    change = one.gpu.size_bytes / one.cpu.size_bytes - 1
    assert gates["size"].measured == f"{change:+.1%}"
    assert gates["size"].verdict == ("passed" if abs(change) <= 0.05 else "warned" if abs(change) <= 0.1 else "failed")
    assert one.exit_code == (1 if one.verdict in ("failed", "unmeasured") else 0)


def in_short_stretches(known: World, folder: Path, source: Path) -> Parity:
    """Compare as if a few seconds were long. Runs in a process of its own."""
    usual = module.WHOLE_BELOW_S, module.STRETCH_S
    module.WHOLE_BELOW_S, module.STRETCH_S = 2.0, 0.6
    try:
        return parity(known, folder, source, whole=False)
    finally:
        module.WHOLE_BELOW_S, module.STRETCH_S = usual


@pytest.mark.thorough
def test_stretches_are_taken_of_what_is_longer(worlds: Worlds, pool: Executor, tmp_path: Path) -> None:
    source = detail(tmp_path / "in.mp4", 3)
    one = pool.submit(in_short_stretches, worlds("bundled", 1), tmp_path / "job", source).result()
    assert one.error is None, (one.error, one.evidence)
    assert len(one.stretches) == 3
    assert one.cpu is not None
    assert one.gpu is not None
    assert one.cpu.frames == one.gpu.frames
    assert 3 * 15 <= one.gpu.frames <= 3 * (15 + 12)  # from the keyframe before on, one every 12 frames


def test_a_gpu_that_fails_passes_nothing_on_the_cpu(worlds: Worlds, pool: Executor, tmp_path: Path) -> None:
    source = detail(tmp_path / "in.mp4")
    one = pool.submit(parity, worlds("bundled", 1), tmp_path / "job", source, faults="encode@5=20").result()
    assert (one.verdict, one.exit_code, one.cpu, one.gpu) == ("unmeasured", 4, None, None)
    assert one.error


def test_without_libvmaf_it_is_unmeasured(worlds: Worlds, pool: Executor, tmp_path: Path) -> None:
    known = worlds("path", 1)
    if known.host.scorer is not None:
        pytest.skip("the FFmpeg on PATH has libvmaf")
    one = pool.submit(parity, known, tmp_path / "job", detail(tmp_path / "in.mp4")).result()
    assert {gate.name: gate.verdict for gate in one.gates}["gpu_vmaf"] == "unmeasured"
    assert (one.verdict in ("unmeasured", "failed"), one.exit_code) == (True, 1)
    assert one.gpu is not None
    assert "libvmaf" in (one.gpu.cause or "")


def held(known: World, folder: Path, source: Path) -> tuple[Receipt, list[str]]:
    """Do a job with a gate on a twin of the machine; also say which circuits were ever in doubt."""
    world.live_on(known.machine.twin(folder / "machine"), folder)
    wish = GateWish(min_vmaf=88, retries=4)
    request = msgspec.structs.replace(REQUEST, crf=44, gate=wish, hardware="require")
    receipt = compress_file(
        source, folder / "out.mp4", host=known.host, request=request, policy=world.policy_of(known.found)
    )
    return receipt, [report.gpu for report in Breaker(host_folder()).snapshot()]


def test_a_miss_on_a_gpu_is_made_again_there_and_says_nothing_against_it(
    worlds: Worlds, pool: Executor, tmp_path: Path
) -> None:
    source = detail(tmp_path / "in.mp4")
    receipt, doubted = pool.submit(held, worlds("bundled", 1), tmp_path / "job", source).result()
    assert (receipt.status, receipt.exit_code) == ("encoded", 0), (receipt.error, receipt.evidence)
    tries = receipt.quality.tries
    assert len(tries) >= 2
    assert {one.encoder for one in tries} == {"h264_nvenc"}
    assert tries[-1].setting < tries[0].setting
    assert [a.failure for a in receipt.attempts[:-1]] == [FailureKind.QUALITY_NOT_MET] * (len(tries) - 1)
    assert {a.device for a in receipt.attempts} == {"nvidia"}
    assert {gate.name: gate.verdict for gate in receipt.gates}["pictures"] == "passed"
    assert doubted == []
