"""Runs of FFmpeg on a fake machine, and what can be said of their outputs without trusting the fake."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import clips
import driver

SECONDS = 1.0
FRAMES = int(SECONDS * clips.RATE)
SMALL, MIDDLE = "320x180", "640x360"  # CUDA filters are interpreted: small pictures for them
CUDA = ("-init_hw_device", "cuda=cu", "-filter_hw_device", "cu")
DECODE = (*CUDA, "-hwaccel", "cuda", "-hwaccel_device", "cu", "-hwaccel_output_format", "cuda")
QUIET = ("-nostdin", "-hide_banner", "-loglevel", "repeat+warning", "-y")


@dataclass(frozen=True)
class Done:
    code: int
    stderr: str  # without addresses


FFmpeg = Callable[..., Done]


def environment(machine: driver.FakeMachine, **more: str) -> dict[str, str]:
    return {**os.environ, **machine.env, **more}


def run(ffmpeg: str, machine: driver.FakeMachine, *arguments: str | Path, **env: str) -> Done:
    command = [ffmpeg, *QUIET, *map(str, arguments)]
    done = subprocess.run(
        command, env=environment(machine, **env), capture_output=True, text=True, timeout=60, check=False
    )
    return Done(done.returncode, re.sub(r" @ 0x[0-9a-f]+", "", done.stderr))


def similarity(out: Path, size: str, filters: str = "null") -> float:
    """SSIM against the same test picture, filtered on the CPU."""
    graph = f"[1:v]{filters},format=yuv420p[wanted];[0:v]format=yuv420p[got];[got][wanted]ssim"
    command = [clips.ffmpeg(), "-nostdin", "-i", str(out), *clips.picture(size, seconds=SECONDS)]
    done = subprocess.run([*command, "-lavfi", graph, "-f", "null", "-"], capture_output=True, text=True, check=True)
    return float(re.findall(r"All:([0-9.]+)", done.stderr)[-1])


def stream(out: Path) -> dict[str, Any]:
    wanted = "stream=codec_name,profile,pix_fmt,width,height:packet=pts,dts,flags:frame=pict_type,pts"
    command = ["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", wanted, "-of", "json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    found = json.loads(done.stdout)
    facts: dict[str, Any] = found["streams"][0]
    facts["packets"] = [p for p in found["packets_and_frames"] if p["type"] == "packet"]
    facts["frames"] = [p for p in found["packets_and_frames"] if p["type"] == "frame"]
    return facts


def check_times(found: dict[str, Any], frames: int = FRAMES) -> None:
    pts, dts = ([p[key] for p in found["packets"]] for key in ("pts", "dts"))
    assert len(pts) == len(found["frames"]) == frames
    assert all(later > earlier for earlier, later in itertools.pairwise(dts))
    assert all(p >= d for p, d in zip(pts, dts, strict=True))
    steps = {later - earlier for earlier, later in itertools.pairwise(sorted(pts))}
    assert len(steps) == 1
