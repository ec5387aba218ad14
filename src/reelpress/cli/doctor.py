"""``reelpress doctor``: what works on this machine, found out by encoding, and what to change where it does not."""

from __future__ import annotations

import sys
from pathlib import Path

from reelpress.errors import ExitCode
from reelpress.facts.host import EncoderFacts
from reelpress.facts.values import Value, to_json
from reelpress.plan.encoders import ENCODERS
from reelpress.probe.gpu_finding import GpuFinding, find_gpu
from reelpress.probe.host import probe_host
from reelpress.probe.trial import try_encoder
from reelpress.settings import check_hardware, load


class Build(Value, frozen=True, kw_only=True):
    """One FFmpeg and the encoders that were tried with it."""

    path: str
    origin: str
    version: str
    encoders: tuple[EncoderFacts, ...]


class Findings(Value, frozen=True, kw_only=True, tag_field="event", tag="doctor"):
    """What the doctor found."""

    cores: int
    memory_mb: int | None
    builds: tuple[Build, ...]
    gpu: GpuFinding
    healthy: bool
    advice: tuple[str, ...]


def run_doctor(hardware: str | None, *, as_json: bool) -> int:
    """Examine this machine; the exit code says whether what was asked for works."""
    check_hardware(hardware)
    found = examine(with_gpu=hardware != "off")
    if as_json:
        sys.stdout.write(to_json(found).decode() + "\n")
    else:
        _print(found)
    if hardware == "require" and not found.gpu.available:
        return int(ExitCode.HARDWARE_ABSENT)
    return int(ExitCode.DONE if found.healthy else ExitCode.HARDWARE_ABSENT)


def examine(*, with_gpu: bool = True) -> Findings:
    """Try every CPU encoder of every FFmpeg, and the GPU where there may be one."""
    settings = load()
    cache_dir = Path(settings.cache_dir) if settings.cache_dir else None
    host = probe_host(ffmpeg=settings.ffmpeg, cache_dir=cache_dir)
    rows = [row for row in ENCODERS if row.device == "cpu"]
    builds = tuple(
        Build(path=f.path, origin=f.origin, version=f.version, encoders=tuple(try_encoder(f, row) for row in rows))
        for f in host.ffmpegs
    )
    gpu = GpuFinding(available=False, gpu=None, encoder=None, reason="not asked for")
    if with_gpu:
        gpu = find_gpu(host, cache_dir=cache_dir)
    works = {e.name for build in builds for e in build.encoders if e.opens}
    advice = []
    if not builds:
        advice.append("No FFmpeg was found: reinstall imageio-ffmpeg, or set REELPRESS_FFMPEG to a binary.")
    missing = [row.name for row in rows if row.name not in works]
    if builds and missing:
        advice.append(f"No FFmpeg here encodes with {', '.join(missing)}: install imageio-ffmpeg, whose build does.")
    if gpu.available:
        advice.append("A GPU encoder works; this version does not drive it yet and encodes on the CPU.")
    return Findings(
        cores=host.cores, memory_mb=host.memory_mb, builds=builds, gpu=gpu, healthy="libx264" in works,
        advice=tuple(advice),
    )  # fmt: skip


def _print(found: Findings) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    memory = f", {found.memory_mb / 1024:.1f} GiB" if found.memory_mb else ""
    console.print(Text(f"This machine: {found.cores} cores{memory}"))
    for build in found.builds:
        console.print(Text(f"FFmpeg {build.version} ({build.origin})"))
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
        for encoder in build.encoders:
            word = Text("works", style="green") if encoder.opens else Text("does not work", style="red")
            table.add_row(encoder.name, word, Text(encoder.why_not or "encoded, decoded and compared"))
        console.print(table)
    name = found.gpu.gpu.name if found.gpu.gpu else "GPU"
    state = f"{found.gpu.encoder} works" if found.gpu.available else f"not used: {found.gpu.reason}"
    console.print(Text(f"{name}: {state}"))
    for line in found.advice:
        console.print(Text(f"hint: {line}"))
