"""What is encoded: clips that FFmpeg draws, and stretches of videos that were named. All kept without loss."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from reelpress.errors import HardwareError, InputError, OutputError
from reelpress.facts.calibration import CalibrationClip
from reelpress.facts.formats import QUIET
from reelpress.facts.host import HostFacts
from reelpress.facts.media import MediaFacts
from reelpress.facts.quality import Window, spread_windows
from reelpress.facts.values import Value
from reelpress.plan.compress import plan
from reelpress.plan.model import Encode
from reelpress.probe.media import named, probe
from reelpress.quality.samples import Sample, SampleError, cut_samples
from reelpress.quality.vmaf import too_small
from reelpress.request import Request
from reelpress.run.process import Limits, run

RATE = 30
_LIMITS = Limits(wall_s=300, stall_s=120)
_WINDOWS = 3  # stretches of a video that was named
_WINDOW_S = 2.0
_TAIL_S = 1.0  # at least what follows a sample and is encoded with it

# Drawn by FFmpeg alone, alike on every machine with the same FFmpeg. Each is hard in its own way: detail that moves,
# grain, flat areas with sharp edges and text, and slow gradients in the dark, where banding shows first. Colours of
# gradients are named: where they are not, they are others each time, whatever the seed.
GENERATED: dict[str, str] = {
    "motion": "mandelbrot=size={w}x{h}:rate={r}:start_scale=0.6:end_scale=0.05:end_pts=150,format=yuv420p",
    "noise": "gradients=size={w}x{h}:rate={r}:speed=0.03:seed=7:n=4:c0=0x20407F:c1=0xC08040:c2=0x409060:c3=0xE0D0B0,"
    "format=yuv420p,noise=alls=12:allf=t:all_seed=11",
    "screen": "testsrc2=size={w}x{h}:rate={r},format=yuv420p",
    "dark": "gradients=size={w}x{h}:rate={r}:speed=0.02:seed=3:n=3:c0=0x3050A0:c1=0xA06030:c2=0xF0F0E0,"
    "format=yuv420p,lutyuv=y=16+(val-16)*0.22,noise=c0s=3:c0f=t:all_seed=5",
}  # fmt: skip


class Clip(Value, frozen=True, kw_only=True):
    """One thing to encode: what it is, and its samples without loss."""

    about: CalibrationClip
    samples: tuple[Sample, ...]


def generated_clip(name: str, size: tuple[int, int], seconds: float, *, ffmpeg: str, folder: Path) -> Clip:
    """Draw one of :data:`GENERATED` into ``folder``. Raises :class:`OutputError`."""
    path = folder / f"{name}.mp4"
    done = run(
        (
            ffmpeg, *QUIET, "-progress", "pipe:1", "-y",
            "-f", "lavfi", "-i", GENERATED[name].format(w=size[0], h=size[1], r=RATE),
            "-frames:v", str(max(2, round((seconds + _TAIL_S) * RATE))),
            "-c:v", "libx264", "-preset", "ultrafast", "-qp", "0", "-pix_fmt", "yuv420p", "-f", "mp4", f"file:{path}",
        ),
        limits=_LIMITS,
    )  # fmt: skip
    if done.returncode != 0:
        raise _not_drawn(name, done.last_words())
    windows = (Window(start_s=0.0, duration_s=seconds),)
    try:
        return _clip(name, path, probe(path), windows, ffmpeg=ffmpeg, folder=folder, filters="null", size=size)
    except SampleError as error:
        raise _not_drawn(name, error.in_a_line) from error


def _not_drawn(name: str, evidence: str) -> OutputError:
    return OutputError(
        f"The clip {name} could not be drawn.", evidence=evidence, hint="Is there room in the temporary folder?"
    )  # fmt: skip


def clip_of_file(number: int, file: Path, host: HostFacts, *, folder: Path) -> Clip:
    """Keep stretches of a video as the default plan would give them to an encoder, under a name that is not its own.

    Raises :class:`InputError` for what cannot be used: no video, pictures too small for VMAF, or a stretch of it that
    gives no picture.
    """
    with named(file):
        facts = probe(file)
    decided = plan(facts, host, Request(hardware="off", always_encode=True))
    if not isinstance(decided, Encode):
        raise InputError(f"{file.name} is nothing to encode.", evidence=decided.reasons[0].text)
    attempt, expect = decided.attempts[0], decided.expect
    why = too_small(expect.width, expect.height)
    if why is not None:
        raise InputError(f"{file.name} cannot be measured with.", evidence=why, hint="Name a larger video.")
    try:
        return _clip(
            f"file {number}", file, facts, windows(expect.duration_s or 0.0), ffmpeg=attempt.ffmpeg, folder=folder,
            filters=attempt.args[attempt.args.index("-filter:v:0") + 1], size=(expect.width, expect.height),
        )  # fmt: skip
    except SampleError as error:
        raise InputError(
            f"{file.name} cannot be measured with.", evidence=error.in_a_line,
            hint="Name another file, or a part of this one in which every stretch of two seconds has new pictures.",
        ) from error  # fmt: skip


def windows(duration_s: float) -> tuple[Window, ...]:
    """Return evenly spread stretches of a video, or all of a short one."""
    if duration_s <= _WINDOWS * _WINDOW_S:
        return (Window(start_s=0.0, duration_s=max(duration_s, 0.1)),)
    return spread_windows(duration_s, _WINDOWS, _WINDOW_S)


def scorer_of(host: HostFacts) -> str:
    """Return the path of the FFmpeg that measures VMAF. Raises :class:`HardwareError` where none does."""
    if host.scorer is None:
        raise HardwareError(
            "No FFmpeg here measures VMAF.", evidence="none has the filter libvmaf",
            hint="Install imageio-ffmpeg, whose FFmpeg has it.",
        )  # fmt: skip
    return host.scorer.path


def _clip(
    name: str, file: Path, facts: MediaFacts, places: Sequence[Window], *, ffmpeg: str, folder: Path, filters: str,
    size: tuple[int, int],
) -> Clip:  # fmt: skip
    within = folder / name.replace(" ", "-")
    within.mkdir()
    samples = cut_samples(
        ffmpeg, file, facts, places, within, filters=filters, pix_fmt="yuv420p", spend=lambda _cpu_s: None
    )
    digest = hashlib.sha256()
    for sample in samples:
        with Path(sample.path).open("rb") as content:
            while chunk := content.read(2**20):
                digest.update(chunk)
    about = CalibrationClip(
        name=name, sha256=digest.hexdigest(), width=size[0], height=size[1],
        seconds=round(sum(sample.seconds for sample in samples), 3), frames=sum(sample.frames for sample in samples),
    )  # fmt: skip
    return Clip(about=about, samples=samples)
