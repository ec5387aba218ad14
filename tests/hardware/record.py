"""What a real machine showed, kept row by row and written as one page of docs/hardware/."""

from __future__ import annotations

import datetime as dt
import platform
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from reelpress.facts.host import FfmpegFacts, GpuFacts, HostFacts


@dataclass(frozen=True)
class Row:
    """One thing that was tried by hand; ``detail`` says what it was compared with and what came out."""

    gpu: str
    ffmpeg: str
    kind: str
    what: str
    works: bool
    detail: str


@dataclass
class Record:
    """Everything one run of the tier found out."""

    host: HostFacts
    gpus: tuple[GpuFacts, ...]
    rows: list[Row] = field(default_factory=list)
    speeds: list[tuple[str, ...]] = field(default_factory=list)
    parity: list[tuple[str, ...]] = field(default_factory=list)

    def add(self, gpu: GpuFacts, ffmpeg: FfmpegFacts, kind: str, what: str, *, works: bool, detail: str) -> None:
        self.rows.append(Row(f"{gpu.index}: {gpu.name}", short(ffmpeg), kind, what, works, detail))

    def page(self) -> str:
        """Return the page: which machine, what worked with which FFmpeg, how fast."""
        gpu = self.gpus[0]
        lines = [
            f"# {gpu.name}",
            "",
            "Written by `make test-gpu`. Each row was done by FFmpeg on this machine and its pictures compared with",
            "the same done in software.",
            "",
            f"- date: {dt.datetime.now(dt.UTC).date().isoformat()}",
            *(f"- GPU {each.index}: {each.name}, {each.memory_mb} MiB, compute capability {each.compute_capability}, "
              f"{each.sessions or 'no'} encodes at once seen" for each in self.gpus),
            f"- driver: {gpu.driver_version}, NVENC API {gpu.nvenc_api or 'none'}",
            f"- CPU: {processor()}, {self.host.cores} cores",
            *(f"- {short(ffmpeg)}: {ffmpeg.version} ({ffmpeg.origin})" for ffmpeg in self.host.ffmpegs),
            "",
            *_table(("GPU", "FFmpeg", "kind", "what", "works", "seen"),
                    ((r.gpu, r.ffmpeg, r.kind, r.what, "yes" if r.works else "no", r.detail) for r in self.rows)),
        ]  # fmt: skip
        if self.speeds:
            lines += [
                "",
                "## Speed",
                "",
                "Least of the rounds, run in turn; GPU and CPU made the same output size.",
                "",
            ]
            lines += _table(("job", "with", "seconds", "CPU seconds", "times real time"), self.speeds)
        if self.parity:
            lines += ["", "## Against the CPU", "", "`reelpress parity` on generated pictures with noise.", ""]
            lines += _table(("codec", "verdict", "CQ", "VMAF", "the CPU's", "size"), self.parity)
        return "\n".join(lines) + "\n"

    def file_name(self) -> str:
        """Return a name for the page that tells machines apart."""
        about = f"{self.gpus[0].name}-driver-{self.gpus[0].driver_version}".lower()
        return re.sub(r"[^a-z0-9.]+", "-", about).strip("-") + ".md"


def short(ffmpeg: FfmpegFacts) -> str:
    return f"FFmpeg {ffmpeg.major} ({ffmpeg.origin})"


def processor() -> str:
    """Return the CPU's name as the kernel has it."""
    cpuinfo = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE) if cpuinfo.exists() else None
    return found[1] if found else platform.processor() or platform.machine()


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    return [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows),
    ]
