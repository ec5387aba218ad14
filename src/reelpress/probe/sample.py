"""Encodes the samples a plan asked for and reads what they say."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from reelpress.plan.model import INPUT, OUTPUT
from reelpress.plan.sampling import SampleOrder
from reelpress.plan.worth import SampleFacts
from reelpress.run.process import CancelToken, Limits, run
from reelpress.run.progress import ProgressParser

_SAMPLE = Limits(wall_s=120, stall_s=60)
# x264's closing statistics; the prefix is FFmpeg's own and no file can write it there
_I_FRAMES = re.compile(r"^\[libx264 @ 0x[0-9a-f]+\] \[info\] frame I:\d+ .*size: *([0-9]+)", re.MULTILINE)
_KEYFRAME_EVERY_S = 250 / 30  # x264's default keyint at 30 frames a second
_P_SKIP = re.compile(r"^\[libx264 @ 0x[0-9a-f]+\] \[info\] mb P .*skip: *([0-9.]+)%", re.MULTILINE)


def take_samples(
    order: SampleOrder, source: Path, *, cancel: CancelToken, spend: Callable[[float], None]
) -> SampleFacts | None:
    """Run the commands; ``None`` when one fails, for then samples decide nothing. ``spend`` is told CPU seconds."""
    tokens = {INPUT: f"file:{source}", OUTPUT: f"file:{os.devnull}"}
    written, skips = 0, []
    for command in order.commands:
        sizes = [0]
        parser = ProgressParser()

        def on_line(line: str, parser: ProgressParser = parser, sizes: list[int] = sizes) -> None:
            progress = parser.feed(line)
            if progress is not None and progress.total_size_bytes is not None:
                sizes.append(progress.total_size_bytes)

        done = run([order.ffmpeg, *(tokens.get(t, t) for t in command)], limits=_SAMPLE, cancel=cancel, on_line=on_line)
        spend(done.cpu_s)
        if done.returncode != 0 or not sizes[-1]:
            return None
        written += sizes[-1] - _extra_keyframe(done.stderr_tail, order.seconds / len(order.commands))
        skips += [float(share) / 100 for share in _P_SKIP.findall(done.stderr_tail)]
    return SampleFacts(
        windows=order.windows,
        seconds=order.seconds,
        encoded_bytes_per_s=written / order.seconds if order.counts_bytes else None,
        p_skip=sum(skips) / len(skips) if skips else None,
    )


def _extra_keyframe(stderr_tail: str, seconds: float) -> int:
    """Return the bytes by which a sample is too large for starting with a keyframe that the whole would not have."""
    sizes = _I_FRAMES.findall(stderr_tail)
    return round(int(sizes[-1]) * max(0.0, 1 - seconds / _KEYFRAME_EVERY_S)) if sizes else 0
