"""Faults after which FFmpeg exits with 0 and a whole output: each is caught, and a right output delivered."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

import pytest

from reelpress.engine import compress_file
from reelpress.facts.failure import FailureKind as K
from reelpress.plan import gpu_ladder
from reelpress.receipt import Receipt
from reelpress.run.breaker import Breaker
from reelpress.run.host_state import host_folder

import clips
import world
from world import Outcome, World, Worlds

pytestmark = pytest.mark.gpu_fake


@pytest.mark.parametrize("origin", ["bundled", "path"])
@pytest.mark.parametrize(
    ("faults", "kind", "rung"),
    [
        pytest.param("cuvidDecodePicture@15=700", K.GPU_DECODE_FAILED, "gpu_encode", id="NVDEC dies mid-file"),
        pytest.param("cuvidDecodePicture@10+1=700", K.GPU_DECODE_FAILED, "gpu_encode", id="one bad picture"),
        pytest.param("cuvidDecodePicture@26=700", K.GPU_DECODE_FAILED, "gpu_encode", id="the last picture"),
        pytest.param("cuvidCreateDecoder=100,cuMemcpy2D@20=700", K.GPU_COPY_FAILED, "cpu", id="copies to the GPU"),
        pytest.param("cuvidCreateDecoder=100,cuMemcpy2D@9+1=700", K.GPU_COPY_FAILED, "cpu", id="one copy"),
    ],
)
def test_what_ffmpeg_calls_a_success_is_not_believed(
    worlds: Worlds, pool: Executor, tmp_path: Path, origin: world.Origin, faults: str, kind: K, rung: str
) -> None:
    outcome = pool.submit(world.job, worlds(origin, 1), tmp_path / "job", faults).result()
    first = outcome.receipt.attempts[0]
    assert (first.rung, first.returncode, first.failure) == ("gpu", 0, kind)
    assert outcome.faults_seen
    assert (outcome.rung, outcome.complaints) == (rung, ())


def job_that_believes_the_gpu_turns(known: World, folder: Path) -> Outcome:
    """Do a job with a planner that forgot what FFmpeg leaves undone on a GPU. Runs in a process of its own."""
    right = gpu_ladder.software_steps
    gpu_ladder.software_steps = lambda _shape: None
    try:
        return world.job(known, folder, "")
    finally:
        gpu_ladder.software_steps = right


def upside_down(known: World, folder: Path) -> World:
    """Return the world with a source that lies on its side; its pictures are square, so that no size tells."""
    source = clips.rotated(folder / "turned.mp4", known.source, 90)
    return World(known.machine, known.host, source, known.folder)


@pytest.mark.parametrize("origin", ["bundled", "path"])
@pytest.mark.parametrize(
    ("job", "rungs"),
    [
        pytest.param(world.job, ["gpu_encode"], id="planned right"),
        pytest.param(job_that_believes_the_gpu_turns, ["gpu", "cpu"], id="planned wrong"),
    ],
)
def test_a_rotation_that_is_lost_on_gpu_frames(
    worlds: Worlds,
    pool: Executor,
    tmp_path: Path,
    origin: world.Origin,
    job: Callable[..., Outcome],
    rungs: list[str],
) -> None:
    known = upside_down(worlds(origin, 1), tmp_path)
    arguments = ("",) if job is world.job else ()
    outcome = pool.submit(job, known, tmp_path / "job", *arguments).result()
    attempts = outcome.receipt.attempts
    assert [a.rung for a in attempts] == rungs
    assert {a.returncode for a in attempts} == {0}
    assert [a.failure for a in attempts] == [K.CHECK_NOT_MET] * (len(rungs) - 1) + [None]
    if len(rungs) > 1:
        assert "pictures: expected at least" in (attempts[0].evidence or "")
    assert outcome.complaints == ()


def two_copies(known: World, folder: Path) -> tuple[list[Receipt], list[str]]:
    """Do two jobs of the same contents, at which the encoder fails; return how they went and what the breaker says."""
    machine = known.machine.twin(folder / "machine")
    world.live_on(machine, folder)
    shutil.copytree(known.found, folder / "cache")
    machine.set_faults("encode@25=20")  # of a job's 26 pictures; a trial has 24
    receipts = []
    for name in ("one.mp4", "two.mp4"):
        shutil.copy(known.source, folder / name)
        receipts.append(
            compress_file(
                folder / name, folder / f"out-{name}", host=known.host, request=world.REQUEST,
                policy=world.policy_of(folder / "cache"),
            )
        )  # fmt: skip
    return receipts, [report.state for report in Breaker(host_folder()).snapshot()]


def test_an_input_that_brings_a_gpu_down_counts_once_whatever_its_name(
    worlds: Worlds, pool: Executor, tmp_path: Path
) -> None:
    (tmp_path / "job").mkdir()
    receipts, states = pool.submit(two_copies, worlds("bundled", 1), tmp_path / "job").result()
    kinds = [[attempt.failure for attempt in receipt.attempts] for receipt in receipts]
    assert kinds == [[K.DEVICE_LOST, None]] * 2
    # the first has the GPU tried again, which is its cost, too
    encodes = [next(stage for stage in receipt.stages if stage.name == "encode") for receipt in receipts]
    assert encodes[0].cpu_s > sum(attempt.cpu_s for attempt in receipts[0].attempts) + 0.02
    gpu = next(stage for stage in receipts[0].stages if stage.name == "gpu")
    assert gpu.cpu_s > 0
    assert states == ["closed"]
