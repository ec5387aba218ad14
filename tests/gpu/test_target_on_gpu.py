"""A VMAF aimed at on a fake GPU: its CQ is searched as a CRF is, and what becomes of it when the GPU breaks."""

from __future__ import annotations

from concurrent.futures import Executor
from pathlib import Path

import msgspec
import pytest

from reelpress.facts.gate import GateWish
from reelpress.plan.encoders import cpu_row

import world
from world import Worlds

pytestmark = pytest.mark.gpu_fake
REQUEST = msgspec.structs.replace(world.REQUEST, target_vmaf=85.0, gate=GateWish(measures=True))


def test_the_cq_is_searched_and_used_as_it_is(worlds: Worlds, pool: Executor, tmp_path: Path) -> None:
    known = worlds("bundled", 1)
    done = pool.submit(world.job, known, tmp_path, "", REQUEST).result()
    receipt = done.receipt
    assert (receipt.status, receipt.device) == ("encoded", "nvidia"), (receipt.error, receipt.reasons)
    told = next(reason for reason in receipt.reasons if reason.code.startswith("target_vmaf"))
    argv = receipt.attempts[-1].argv
    cq = argv[argv.index("-cq:v:0") + 1]
    assert told.code == "target_vmaf", told
    assert f"CQ {cq} of h264_nvenc" in told.text
    assert "comes from the table" in told.text
    assert receipt.quality.predicted is not None
    assert receipt.quality.score == pytest.approx(receipt.quality.predicted, abs=1.5)
    assert sum(stage.gpu_s for stage in receipt.stages if stage.name == "sample") > 0


def test_a_gpu_that_fails_in_trials_leaves_the_search_to_the_cpu(
    worlds: Worlds, pool: Executor, tmp_path: Path
) -> None:
    known = worlds("bundled", 1)
    done = pool.submit(world.job, known, tmp_path, "encode@2=20", REQUEST).result()
    receipt = done.receipt
    assert (receipt.status, receipt.device) == ("encoded", "cpu"), (receipt.error, receipt.reasons)
    codes = [reason.code for reason in receipt.reasons]
    assert "target_vmaf_unmeasured" in codes
    told = next(reason for reason in receipt.reasons if reason.code == "target_vmaf")
    argv = receipt.attempts[-1].argv
    crf = argv[argv.index("-crf:v:0") + 1]
    assert f"CRF {crf} of {cpu_row('h264').name}" in told.text
