"""Encoders that encode nothing: how long they would have taken, how they would have failed, and the receipt of that."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Literal

from reelpress.facts.failure import FailureKind
from reelpress.facts.values import Value
from reelpress.observe.prices import Tariff
from reelpress.plan.model import Reason
from reelpress.receipt import AttemptRecord, CostParts, FileRecord, Quality, Receipt, Stage

from simulation.traffic import Video

# Seconds of programme in a second; starting values of the order that field reports have, not measurements.
SPEED = {"h264_nvenc": 9.0, "libx264": 2.6}
GPU_NAME, GPU = "Simulated NVIDIA L4", "GPU-00000000-0000-0000-0000-000000000000"
_FAILED_AFTER_S = 4.0
Device = Literal["cpu", "nvidia"]


class Encoding(Value, frozen=True, kw_only=True):
    """What an engine would have done: stages of the job with their seconds, and the receipt."""

    stages: tuple[tuple[Literal["fetch", "probe", "compress", "store"], float], ...]
    receipt: Receipt

    @property
    def wall_s(self) -> float:
        """How long the job takes."""
        return sum(seconds for _, seconds in self.stages)


def encode(
    video: Video,
    dice: random.Random,
    *,
    job: str,
    now: float,
    tariff: Tariff,
    has_gpu: bool,
    gpu_fails: FailureKind | None = None,
    why_no_gpu: Reason | None = None,
    fails: FailureKind | None = None,
    slowness: float = 1.0,
) -> Encoding:
    """Return how a job goes: on the GPU, where there is one and nothing speaks against it, else on the CPU.

    ``gpu_fails`` makes the attempt on the GPU fail and the CPU do it; ``fails`` makes all attempts fail.
    """
    attempts: list[AttemptRecord] = []
    if has_gpu and why_no_gpu is None:
        seconds = video.duration_s / SPEED["h264_nvenc"] * dice.lognormvariate(0, 0.18) * slowness
        failure = gpu_fails or fails
        attempts.append(_attempt("h264_nvenc", "nvidia", _FAILED_AFTER_S if failure else seconds, failure))
    if not attempts or attempts[-1].failure is not None:
        seconds = video.duration_s / SPEED["libx264"] * dice.lognormvariate(0, 0.22)
        attempts.append(_attempt("libx264", "cpu", _FAILED_AFTER_S if fails else seconds, fails))
    last = attempts[-1]
    encode_s = sum(attempt.wall_s for attempt in attempts)
    stages = [_stage(tariff, "probe", 1.0, 0.8)]
    if has_gpu:
        stages.append(_stage(tariff, "gpu", 0.1, 0.0))
    on_gpu_s = sum(attempt.wall_s for attempt in attempts if attempt.device == "nvidia")
    stages += [
        _stage(tariff, "encode", encode_s, sum(a.cpu_s for a in attempts), on_gpu_s),
        _stage(tariff, "check", 2.0, 2.5),
    ]
    reasons = () if why_no_gpu is None else (why_no_gpu,)
    if gpu_fails and not fails:
        reasons = (*reasons, Reason(code="fell_back", text=f"h264_nvenc did not deliver ({gpu_fails})."))
    is_made = last.failure is None
    output_bytes = int(video.size_bytes * dice.uniform(0.25, 0.6))
    parts = sum((part for _, part in stages), CostParts())
    receipt = Receipt(
        job=job, status="encoded" if is_made else "failed", exit_code=0 if is_made else 1,
        encoder=last.encoder if is_made else None, device=last.device if is_made else None,
        gpu=GPU_NAME if is_made and last.device == "nvidia" else None, input="in.mp4",
        output="out.mp4" if is_made else None, saved_share=1 - output_bytes / video.size_bytes if is_made else None,
        reasons=reasons, error=None if is_made else "Every attempt failed.",
        error_code=None if is_made else "encode_failed", evidence=None, hint=None,
        source=_file("in.mp4", video.size_bytes, video.duration_s),
        result=_file("out.mp4", output_bytes, video.duration_s) if is_made else None, streams=(),
        attempts=tuple(attempts), gates=(), warnings=(), quality=_quality(dice, last.encoder if is_made else None),
        stages=tuple(stage for stage, _ in stages), wall_s=sum(s.wall_s for s, _ in stages),
        cpu_s=sum(s.cpu_s for s, _ in stages), usd=parts.usd, usd_basis=tariff.text, usd_parts=parts,
        started_at=datetime.fromtimestamp(now, UTC).isoformat(), reelpress_version="simulated", host="simulated",
    )  # fmt: skip
    fetch_s = video.size_bytes / 60e6
    return Encoding(
        stages=(
            ("fetch", fetch_s), ("probe", 1.0), ("compress", receipt.wall_s - 1.0),
            ("store", output_bytes / 60e6 if is_made else 0.0),
        ),
        receipt=receipt,
    )  # fmt: skip


def _attempt(encoder: str, device: Device, wall_s: float, failure: FailureKind | None) -> AttemptRecord:
    return AttemptRecord(
        encoder=encoder, device=device, rung="gpu" if device == "nvidia" else "cpu",
        gpu=GPU if device == "nvidia" else None, waited_s=0.0, ffmpeg_version="simulated", argv=(),
        returncode=0 if failure is None else 1, wall_s=wall_s, cpu_s=wall_s * (0.4 if device == "nvidia" else 1.9),
        peak_memory_bytes=0, failure=failure, evidence=None, note=None, stderr_tail="",
    )  # fmt: skip


def _stage(
    tariff: Tariff, name: Literal["probe", "gpu", "encode", "check"], wall_s: float, cpu_s: float, gpu_s: float = 0.0
) -> tuple[Stage, CostParts]:
    parts = tariff.cost(wall_s=wall_s, cpu_s=cpu_s, gpu_s=gpu_s)
    return Stage(name=name, wall_s=wall_s, cpu_s=cpu_s, usd=parts.usd, gpu_s=gpu_s), parts


def _file(path: str, size_bytes: int, duration_s: float) -> FileRecord:
    return FileRecord(
        path=path, size_bytes=size_bytes, sha256=None, container="mp4", video="h264 1280x720", audio=(), subtitles=(),
        duration_s=duration_s, frames=None,
    )  # fmt: skip


def _quality(dice: random.Random, encoder: str | None) -> Quality:
    """Return a score for one output in four, as a service that measures samples has it."""
    if encoder is None or dice.random() > 0.25:
        return Quality(method="none", score=None, text="Not measured.")
    mean = 94.0 if encoder == "libx264" else 93.0
    score = min(99.5, max(60.0, dice.gauss(mean, 2.0)))
    return Quality(method="vmaf", score=score, text=f"VMAF {score:.1f}.")
