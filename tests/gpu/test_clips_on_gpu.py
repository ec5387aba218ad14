"""Clips on fake GPUs: what is tried first, what happens when it breaks, and that what is wrong is not believed."""

from __future__ import annotations

import shutil
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import pytest

from reelpress import gpus as product_gpus
from reelpress.facts.failure import FailureKind as K
from reelpress.plan import clip_graph
from reelpress.receipt import Receipt

import clip_work
import clips
import measure
import world
from clip_work import framed, shot, window
from world import World, Worlds

pytestmark = pytest.mark.gpu_fake
SIZE = {"width": 180, "height": 320}


@dataclass(frozen=True)
class Made:
    receipt: Receipt
    frames: int
    left: tuple[str, ...]


def job(known: World, folder: Path, source: Path, faults: str, *, plans_wrong: bool = False) -> Made:
    """Cut a clip on a twin of a machine that breaks. Runs in a process of its own, whose environment it changes."""
    machine = known.machine.twin(folder / "machine")
    world.live_on(machine, folder)
    shutil.copytree(known.found, folder / "cache")
    out = folder / "out" / "out.mp4"
    out.parent.mkdir()
    framing = framed(
        shot(0.0, 0.5, "still", window((0, 0.2, 0.5))), shot(0.5, 2, "track", window((0.5, 0.2, 0.5), (1.5, 0.8, 0.5)))
    )
    machine.set_faults(faults)
    right = clip_graph.shot_frames
    if plans_wrong:  # pictures of another place than the attempt's are what the source is compared by

        def spoiled(*given):  # type: ignore[no-untyped-def]
            spoiled.calls += 1
            found = right(*given)
            return (
                found if spoiled.calls <= 1 else tuple((a, b, framed(shot(0, 2, "fit")).shots[0]) for a, b, _ in found)
            )

        spoiled.calls = 0
        clip_graph.shot_frames = spoiled
    try:
        args = known.host, 0.24, 1.44
        receipt = clip_work.cut(
            source, out, *args, framing=framing, hardware="auto", policy=world.policy_of(folder / "cache"), **SIZE
        )
    finally:
        clip_graph.shot_frames = right
        product_gpus.gpus_of.cache_clear()
    frames = len(measure.times(out)) if out.exists() else 0
    return Made(receipt, frames, tuple(sorted(p.name for p in out.parent.iterdir())))


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    encode = ("-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "12", "-pix_fmt", "yuv420p", "-c:a", "aac")
    return clips.make(folder / "in.mp4", *clips.picture("320x180", "25", 2), *clips.tone(seconds=2), *encode)


@pytest.mark.parametrize("origin", ["bundled", "path"])
@pytest.mark.parametrize(
    ("faults", "kinds", "rung"),
    [
        pytest.param("", [], "gpu", id="healthy"),
        pytest.param("cuvidDecodePicture@10=700", [K.GPU_DECODE_FAILED], "gpu_encode", id="NVDEC dies in mid-clip"),
        pytest.param("encode@12=20", [K.DEVICE_LOST], "cpu", id="NVENC dies in mid-clip"),
        pytest.param("cuMemcpy2D@9+1=700", [K.GPU_COPY_FAILED], "cpu", id="one copy fails"),
        pytest.param("cuvidCreateDecoder=100", [], "gpu", id="NVDEC refuses"),
    ],
)
def test_a_clip_is_made_whatever_breaks(
    worlds: Worlds, pool: Executor, tmp_path: Path, talk: Path, origin: world.Origin, faults: str, kinds: list[K],
    rung: str,
) -> None:  # fmt: skip
    made = pool.submit(job, worlds(origin, 1), tmp_path / "job", talk, faults).result()
    receipt = made.receipt
    assert receipt.status == "encoded", (receipt.error, receipt.evidence)
    assert [a.failure for a in receipt.attempts if a.failure is not None] == kinds
    assert receipt.attempts[-1].rung == rung
    assert (made.frames, made.left) == (30, ("out.mp4",))
    assert [g for g in receipt.gates if g.verdict not in ("passed", "unmeasured")] == []
    assert {"pictures"} <= {g.name for g in receipt.gates} or rung == "cpu"


@pytest.mark.parametrize("origin", ["bundled", "path"])
def test_pictures_that_are_not_the_sources_are_not_delivered_by_a_gpu(
    worlds: Worlds, pool: Executor, tmp_path: Path, talk: Path, origin: world.Origin
) -> None:
    made = pool.submit(job, worlds(origin, 1), tmp_path / "job", talk, "", plans_wrong=True).result()
    first = made.receipt.attempts[0]
    assert (first.rung, first.returncode, first.failure) == ("gpu", 0, K.CHECK_NOT_MET)
    assert "pictures: expected at least" in (first.evidence or "")
    assert made.receipt.attempts[-1].rung == "cpu"
