"""A machine with fake GPUs that was found healthy, and jobs on twins of it that break. Judged without the product.

What a job finds out is picked up here from its receipt; whether its output is right is not: that is ffprobe's answer
and the PSNR of every picture against the source, by an FFmpeg that had no part in it.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from reelpress import gpus as product_gpus
from reelpress.engine import compress_file, facts_and_plan
from reelpress.events import AttemptStarted, Event, Planned
from reelpress.facts.host import HostFacts
from reelpress.gpus import GpuPolicy, gpus_of
from reelpress.look import Look, look_at
from reelpress.plan.model import Encode
from reelpress.policy import RunPolicy
from reelpress.probe import gpu_survey
from reelpress.probe.gpu_bench import TrialLimits
from reelpress.receipt import Receipt
from reelpress.request import Request
from reelpress.run.process import CancelToken

import clips
import driver
from independent import FFPROBE

SECONDS, RATE = 1.04, 25  # the shortest programme that is looked at in more than one place
FRAMES = round(SECONDS * RATE)
SIZE = (160, 160)  # the smallest an encode on a GPU is planned for, and of the source: CUDA filters are interpreted
PATIENCE_S = 2.0  # how long a job waits for a GPU
# Where something hangs: after how long FFmpeg without a sign of life is ended, and how long a GPU under suspicion may
# take to show that it works. Elsewhere they are the product's own, for a machine may be busy.
STALL_S, TRIAL_AGAIN_S = 5.0, 5.0
MIN_DB = 30.0  # of the worst picture; the right ones have 35 and more, a wrong one less than 20
REQUEST = Request(max_width=SIZE[0], max_height=SIZE[1], always_encode=True)

Origin = Literal["bundled", "path"]


def clip(out: Path, *more: str) -> Path:
    """Moving pictures of which no two are alike, and sound."""
    sound = clips.tone(seconds=SECONDS)
    encode = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "8", "-bf", "2", "-g", "12", "-pix_fmt", "yuv420p")
    return clips.make(out, *clips.picture("160x160", str(RATE), SECONDS), *sound, *encode, "-c:a", "aac", *more)


@dataclass(frozen=True)
class World:
    """One machine with one FFmpeg, and what was found on it while it was healthy. Travels to other processes."""

    machine: driver.FakeMachine
    host: HostFacts
    source: Path
    folder: Path

    @property
    def found(self) -> Path:
        return self.folder / "found"

    @staticmethod
    def survey(machine: driver.FakeMachine, host: HostFacts, source: Path, folder: Path) -> World:
        """Find out once what works; later jobs remember it. In this process, whose environment it changes."""
        world = World(machine, host, source, folder)
        live_on(machine, folder / "survey")
        policy = policy_of(world.found)
        facts, _ = facts_and_plan(source, host=host, request=REQUEST, policy=policy)
        found = gpus_of(host, policy.gpu).host_for(facts, REQUEST, CancelToken())
        states = {(p.kind, p.name): p.state for gpu in found.gpus for p in gpu.paths}
        assert len(found.gpus) == len(machine.devices), found.gpu_note
        assert set(states.values()) == {"works"}, states
        return world


class Worlds(Protocol):
    def __call__(self, origin: Origin, gpus: int) -> World: ...


@dataclass(frozen=True)
class Outcome:
    """What became of a job, and of its output in the eyes of others."""

    receipt: Receipt
    complaints: tuple[str, ...]  # about what was delivered, or left behind
    delivered: bool
    recovered_s: float | None  # from the plan to the start of the attempt that delivered
    first_rung: str | None  # what was planned first
    faults_seen: int  # calls that were told to fail

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(str(a.failure) for a in self.receipt.attempts if a.failure is not None)

    @property
    def rung(self) -> str | None:
        return self.receipt.attempts[-1].rung if self.delivered else None


def policy_of(cache: Path, *, patience_s: float = PATIENCE_S) -> RunPolicy:
    return RunPolicy(gpu=GpuPolicy(cache_dir=str(cache), patience_s=patience_s))


def live_on(machine: driver.FakeMachine, folder: Path) -> None:
    """Make this process and its children live on a machine, with a runtime folder of its own."""
    runtime = folder / "runtime"
    runtime.mkdir(parents=True, exist_ok=True)
    os.environ.update(machine.env, XDG_RUNTIME_DIR=str(runtime))
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)


def job(world: World, folder: Path, faults: str, request: Request = REQUEST, *, is_new: bool = False) -> Outcome:
    """Plan on a twin of the machine while all is well, break it, and do the job. Changes this process's environment.

    ``is_new``: the job is done as by a process that just started, which asks the driver for its GPUs again.
    """
    machine = world.machine.twin(folder / "machine")
    live_on(machine, folder)
    shutil.copytree(world.found, folder / "cache")
    policy, out = policy_of(folder / "cache"), folder / "out" / "out.mp4"
    out.parent.mkdir()
    trial = gpu_survey.still_works.__kwdefaults__
    usual = trial["limits"]
    if "hang" in faults:
        policy = msgspec.structs.replace(policy, stall_timeout_s=STALL_S)
        trial["limits"] = TrialLimits(first_s=TRIAL_AGAIN_S)
    look = _look(world.source)
    gpus_of(world.host, policy.gpu).host_for(look.result().facts, request, CancelToken())
    machine.set_faults(faults)
    if is_new:
        product_gpus.gpus_of.cache_clear()
    seen: list[tuple[float, Event]] = []
    receipt = compress_file(
        world.source, out, host=world.host, request=request, policy=policy,
        on_event=lambda event: seen.append((time.monotonic(), event)), look=look,
    )  # fmt: skip
    product_gpus.gpus_of.cache_clear()
    trial["limits"] = usual
    planned = [(at, e.plan) for at, e in seen if isinstance(e, Planned)]
    starts = [at for at, e in seen if isinstance(e, AttemptStarted)]
    first = planned[0][1].attempts[0].rung if planned and isinstance(planned[0][1], Encode) else None
    return Outcome(
        receipt=receipt, complaints=tuple(_complaints(receipt, out, world.source)), delivered=out.exists(),
        recovered_s=round(starts[-1] - planned[0][0], 2) if out.exists() else None, first_rung=first,
        faults_seen=len(machine.journal("fault")),
    )  # fmt: skip


@functools.cache
def _look(source: Path) -> Future[Look]:
    """Look at a source once for all jobs of this process."""
    found: Future[Look] = Future()
    found.set_result(look_at(source, CancelToken()))
    return found


def _complaints(receipt: Receipt, out: Path, source: Path) -> Iterable[str]:
    left = sorted(p.name for p in out.parent.iterdir())
    if (receipt.status == "encoded") != out.exists() or left != [out.name] * out.exists():
        yield f"status {receipt.status}, and there are {left}"
    if out.exists():
        yield from judge(out, source)


def judge(out: Path, source: Path, *, frames: int = FRAMES, size: tuple[int, int] = SIZE) -> Iterable[str]:
    """Say what is wrong with an output, by ffprobe and by comparing every picture with the source."""
    command = [FFPROBE or "ffprobe", "-v", "error", "-count_frames", "-show_streams", "-of", "json", f"file:{out}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=_outside(), timeout=120)
    streams = {s["codec_type"]: s for s in json.loads(done.stdout)["streams"]}
    if done.stderr or set(streams) != {"video", "audio"} or streams["audio"]["codec_name"] != "aac":
        yield f"streams {sorted(streams)} {done.stderr}"
        return
    video = streams["video"]
    got = (video["codec_name"], video["pix_fmt"], video["width"], video["height"], video["nb_read_frames"])
    wanted = ("h264", "yuv420p", *size, str(frames))
    if got != wanted:
        yield f"video {got}, wanted {wanted}"
    if abs(float(video["duration"]) - frames / RATE) > 0.1:
        yield f"{video['duration']} s of video"
    if (worst := psnr(out, source, size)) < MIN_DB:
        yield f"worst picture at {worst:.1f} dB"


def psnr(out: Path, source: Path, size: tuple[int, int] = SIZE) -> float:
    """Return the worst picture's PSNR against the source, scaled in software by an FFmpeg that made neither."""
    graph = f"[1:v]scale={size[0]}:{size[1]},format=yuv420p,setpts=N[w];[0:v]format=yuv420p,setpts=N[g];[g][w]psnr"
    command = [clips.ffmpeg(), "-nostdin", "-i", str(out), "-i", str(source), "-lavfi", graph, "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=_outside(), timeout=120)
    return float(re.findall(r"PSNR .*min:([0-9.]+|inf)", done.stderr)[-1])


def _outside() -> dict[str, str]:
    """Return an environment without a GPU, fake or not."""
    return {name: value for name, value in os.environ.items() if name not in ("FAKENV_STATE", "LD_LIBRARY_PATH")}


def only(host: HostFacts, origin: Origin) -> HostFacts | None:
    """Return the host with one of its FFmpegs, as if it had an NVIDIA device; ``None`` where it lacks that FFmpeg."""
    builds = tuple(f for f in host.ffmpegs if f.origin == origin and f.lists("h264_nvenc"))
    return msgspec.structs.replace(host, ffmpegs=builds, gpu_note=None) if builds else None
