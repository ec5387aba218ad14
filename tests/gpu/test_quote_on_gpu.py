"""Quotes on a machine with a GPU that was found to work, and on one whose GPU does not encode."""

from __future__ import annotations

import shutil
from concurrent.futures import Executor
from pathlib import Path

import msgspec
import pytest

from reelpress.quoting.model import Quote
from reelpress.quoting.quote import QuoteOptions, quote_file

import world
from world import World, Worlds

pytestmark = pytest.mark.gpu_fake


def quoted(known: World, folder: Path, faults: str) -> Quote:
    """Quote on a twin of the machine, broken or not. Changes the environment of this process."""
    machine = known.machine.twin(folder / "machine")
    world.live_on(machine, folder)
    shutil.copytree(known.found, folder / "cache")
    machine.set_faults(faults)
    scratch = folder / "scratch"
    scratch.mkdir()
    return quote_file(
        known.source, scratch, host=known.host, request=msgspec.structs.replace(world.REQUEST, preset="ultrafast"),
        options=QuoteOptions(codecs=("h264",)), policy=world.policy_of(folder / "cache"),
    )  # fmt: skip


def test_cpu_and_gpu_stand_side_by_side(worlds: Worlds, pool: Executor, tmp_path: Path) -> None:
    quote = pool.submit(quoted, worlds("bundled", 1), tmp_path / "quote", "").result()
    cpu, gpu = quote.offers
    assert (cpu.device, cpu.encoder, cpu.outcome) == ("cpu", "libx264", "encoded")
    assert (gpu.device, gpu.encoder, gpu.outcome) == ("nvidia", "h264_nvenc", "encoded"), gpu.why
    for offer in (cpu, gpu):
        predicted = offer.predicted
        assert predicted is not None
        assert predicted.size_bytes is not None
        assert predicted.wall_s is not None
        assert predicted.vmaf is not None, offer.reasons
    # nobody said what an hour of the GPU costs
    assert cpu.predicted is not None
    assert gpu.predicted is not None
    assert cpu.predicted.usd is not None
    assert gpu.predicted.usd is None
    assert "no price is known for gpu" in quote.usd_basis
    assert quote.of_job("h264", may_use_gpu=True) == gpu.predicted
    assert quote.of_job("h264", may_use_gpu=False) == cpu.predicted


def test_a_gpu_that_breaks_in_the_rehearsal_is_no_offer_and_the_cpu_still_is(
    worlds: Worlds, pool: Executor, tmp_path: Path
) -> None:
    broken = "cuInit=999"
    cpu, gpu = pool.submit(quoted, worlds("bundled", 1), tmp_path / "quote", broken).result().offers
    assert cpu.outcome == "encoded"
    assert gpu.outcome in ("failed", "unavailable")
    assert gpu.predicted is None
    assert gpu.why
