"""Clips whose frames say their number, and reading the number from what became of them."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np

from clips import ffmpeg

BITS = 8
SIZE = (320, 180)


def picture(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Grey, with a column of black or white blocks in its middle third: the bits of the number, the lowest on top."""
    width, height = size
    made = np.full((height, width), 110, np.uint8)
    step = height // BITS
    for bit in range(BITS):
        made[bit * step : (bit + 1) * step, width // 3 : 2 * width // 3] = 235 if number >> bit & 1 else 16
    return made


def encode(out: Path, pictures: Sequence[np.ndarray], rate: str, *options: str, sound: Sequence[str] = ()) -> Path:
    """Encode grey pictures as H.264; ``sound`` is another input."""
    height, width = pictures[0].shape
    given = ("-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{width}x{height}", "-r", rate, "-i", "-")
    command = [
        ffmpeg(), "-hide_banner", "-loglevel", "error", "-y", *given, *sound, "-c:v", "libx264",
        "-preset", "ultrafast", "-crf", "12", "-pix_fmt", "yuv420p", *options, f"file:{out}",
    ]  # fmt: skip
    raw = b"".join(each.tobytes() for each in pictures)
    done = subprocess.run(command, input=raw, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return out


def clip(out: Path, frames: int, rate: str = "25", *options: str, sound: Sequence[str] = ()) -> Path:
    return encode(out, [picture(number) for number in range(frames)], rate, *options, sound=sound)


def numbers(path: Path) -> list[int]:
    """The number in every frame; the blocks are looked for over the whole width, so any crop of their third will do."""
    found = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            grey = frame.to_ndarray(format="gray")
            height, width = grey.shape
            middle = grey[:, width * 2 // 5 : width * 3 // 5].mean(axis=1)
            bits = [middle[int((bit + 0.5) * height / BITS)] > 125 for bit in range(BITS)]
            found.append(sum(1 << bit for bit, is_set in enumerate(bits) if is_set))
    return found
