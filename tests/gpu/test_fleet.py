"""Two hundred jobs of many processes over three GPUs with two sessions each, one in ten of which meets a fault."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest

from reelpress.facts.host import HostFacts
from reelpress.facts.values import from_json, to_json
from reelpress.receipt import Receipt

import clips
import driver
import world
from world import World

pytestmark = pytest.mark.gpu_fake

JOBS = 200 if os.environ.get("REELPRESS_THOROUGH") else 20
GPUS, SESSIONS, WORKERS, SEED = 3, 2, 9, 20261121
SECONDS, FRAMES = 0.8, 20
# What strikes one program of a job; the next one finds nothing wrong.
MISHAPS = (
    "encode@8=20!1", "encode@8=10!1", "lock@5=20!1", "encode@8=crash!1", "open=21!1", "initialize=20!1", "eos=20!1",
    "cuCtxCreate=999!1", "open=crash!1", "encode@3=hang!1",
)  # fmt: skip
# An encode takes a while, so that more of them are wanted at once than there are sessions.
SLOW = "encode=25ms"


@pytest.fixture(scope="module")
def fleet(
    fake_nvidia: driver.FakeNvidia, real_host: HostFacts, pool: Executor, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, driver.FakeMachine]:
    """The folder in which all jobs were done, and the machine."""
    host = world.only(real_host, "bundled")
    assert host is not None
    folder = tmp_path_factory.mktemp("fleet")
    # lying on its side: decoded and turned in software, which is quick; only the encoder is the GPU's
    flat = clips.plain(folder / "flat.mp4", "-crf", "8", "-g", "12", size="240x240", seconds=SECONDS)
    sound = clips.make(
        folder / "sound.mp4", "-i", str(flat), *clips.tone(seconds=SECONDS), "-c:v", "copy", "-c:a", "aac"
    )
    source = clips.rotated(folder / "source.mp4", sound, 90)
    machine = fake_nvidia.machine(gpus=GPUS, sessions=SESSIONS, session_refusal=21)
    known = pool.submit(World.survey, machine, host, source, folder / "surveyed").result()
    known.found.rename(folder / "cache")
    machine.clear_journal()
    machine.set_faults(SLOW)
    chance = random.Random(SEED)
    struck = set(chance.sample(range(JOBS), JOBS // 10))
    for name in ("todo", "taken", "done", "out", "runtime"):
        (folder / name).mkdir(mode=0o700)
    (folder / "host.json").write_bytes(to_json(host))
    for number in range(JOBS):
        faults = f"{chance.choice(MISHAPS)}#{number}" if number in struck else ""
        (folder / "todo" / f"{number:03}").write_text(json.dumps({"faults": faults}))
    env = {**os.environ, **machine.env, "XDG_RUNTIME_DIR": str(folder / "runtime"), "PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, str(Path(__file__).with_name("fleet.py")), str(folder)]
    workers = [subprocess.Popen(command, env=env) for _ in range(WORKERS)]
    try:
        codes = [worker.wait(timeout=900) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    assert codes == [0] * WORKERS
    return folder, machine


@pytest.fixture(scope="module")
def receipts(fleet: tuple[Path, driver.FakeMachine]) -> dict[str, Receipt]:
    return {path.name: from_json(path.read_bytes(), Receipt) for path in sorted((fleet[0] / "done").iterdir())}


def test_none_is_lost_and_none_wrong(fleet: tuple[Path, driver.FakeMachine], receipts: dict[str, Receipt]) -> None:
    folder, _ = fleet
    assert len(receipts) == JOBS
    assert Counter(r.status for r in receipts.values()) == {"encoded": JOBS}
    outputs = sorted((folder / "out").iterdir())
    assert [out.stem for out in outputs] == sorted(receipts)

    def look(out: Path) -> list[str]:
        return [*world.judge(out, folder / "source.mp4", frames=FRAMES)]

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        wrong = {out.name: found for out, found in zip(outputs, threads.map(look, outputs), strict=True) if found}
    assert wrong == {}


def test_faults_were_met_and_survived(fleet: tuple[Path, driver.FakeMachine], receipts: dict[str, Receipt]) -> None:
    folder, machine = fleet
    struck = {p.name for p in (folder / "taken").iterdir() if json.loads(p.read_text())["faults"]}
    assert len(struck) == JOBS // 10
    assert len({line["pid"] for line in machine.journal("fault")}) == len(struck)
    # a few strike a trial instead, when a GPU is examined anew
    failed = {name for name, r in receipts.items() if any(a.failure for a in r.attempts)}
    assert len(failed & struck) >= len(struck) * 3 // 4


def test_none_starved_and_every_gpu_worked(receipts: dict[str, Receipt]) -> None:
    """Who waited had a GPU in the end: without a fault of its own no job went to the CPU for want of a slot."""
    reasons = [reason.text for r in receipts.values() for reason in r.reasons if reason.code == "fell_back"]
    assert [text for text in reasons if "no GPU was to be had (session_limit)" in text] == []
    delivered = Counter(r.attempts[-1].gpu for r in receipts.values() if r.device == "nvidia")
    assert len(delivered) == GPUS
    assert sum(delivered.values()) >= JOBS * 3 // 4, delivered  # the rest while GPUs under suspicion were left alone
    assert any(a.waited_s > 0.05 for r in receipts.values() for a in r.attempts)  # slots were scarce at times


def test_the_driver_never_saw_more_than_its_sessions(fleet: tuple[Path, driver.FakeMachine]) -> None:
    _, machine = fleet
    assert max(_most_at_once(machine.journal()).values()) == SESSIONS
    # Whoever encodes holds a slot and asks for no more than there are. The trial of a GPU that was forgotten after a
    # failure has none, and may meet a full one, or fill it before a job that holds a slot: that is waited for.
    refused = [line for line in machine.journal("open") if "refused" in line]
    assert len(refused) <= len(machine.journal("fault"))


def _most_at_once(journal: Iterable[dict[str, object]]) -> dict[object, int]:
    """Return for each device how many sessions were open at the same time, by the driver's own account.

    A program that was killed closes nothing: its session ended at the latest when the slot's next holder opened one,
    and at the earliest with its own last line, which is what is counted.
    """
    lines = list(journal)
    last = {line["pid"]: number for number, line in enumerate(lines)}
    closed = {line["pid"] for line in lines if line["ev"] == "close"}
    open_now: dict[object, set[object]] = defaultdict(set)
    most: Counter[object] = Counter()
    for number, line in enumerate(lines):
        if line["ev"] == "open" and "refused" not in line:
            open_now[line["dev"]].add(line["pid"])
            most[line["dev"]] = max(most[line["dev"]], len(open_now[line["dev"]]))
        gone = line["ev"] == "close" or (number == last[line["pid"]] and line["pid"] not in closed)
        if gone:
            for pids in open_now.values():
                pids.discard(line["pid"])
    return dict(most)
