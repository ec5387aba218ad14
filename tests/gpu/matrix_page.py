"""The fault matrix as a document: one line for each fault and time, written from what the tests saw."""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from faults import FAULTS, Fault, Strike
from world import PATIENCE_S, STALL_S, TRIAL_AGAIN_S, Origin, Outcome, World

When = Literal["at open", "mid-stream"]
WHEN: tuple[When, ...] = ("at open", "mid-stream")
ORIGINS: tuple[Origin, ...] = ("bundled", "path")
GPUS = (1, 2)
RUNGS = {"gpu": "GPU", "gpu_encode": "GPU encodes", "cpu": "CPU"}

_INTRODUCTION = """
Written by `make fault-matrix` on {date}: {faults} faults and none, at open and mid-stream, with FFmpeg {new} (bundled)
and {old} (Debian), with one GPU and with two.

**Not on a GPU**: the driver is the fake one of `tests/fake_nvidia`, under FFmpeg's own NVENC, NVDEC and CUDA code. This
shows what Reelpress makes of each answer, not which answer a real driver gives in which trouble.

- {right} of {cells} cells ended as expected.

- {delivered} of them in an output, of which ffprobe and the PSNR of every picture against the source, by an FFmpeg that
had no part in the job, found nothing wrong.

- {refused} of them with exit code 4, the class of the failure and no output: `--hardware require`, where without it the
CPU would have done it; run with one of the two FFmpegs in turn. Where a GPU delivers all the same, `require` changes
nothing and was not run.

- Seconds are from the plan to the start of the attempt that delivered, as seen once on {machine}, several jobs at a
time; the longest took {slowest:.1f}. They include the patience with a GPU that has no room ({patience:g} s here, 30 by
default) and, where something hangs, the time until a program without a sign of life is ended ({stall:g} s here, 60 by
default) and the trial of a GPU under suspicion ({trial:g} s here, 20 by default).

A fault whose calls name `dev0` strikes one device, the one that is used first; others strike all. Calls are written
as in `tests/fake_nvidia/README.md`: `@N` is from the N-th call on, `!` the first program only, `~` all but the first.
Calls that are made only at the start fail "mid-stream" in the next program, after the first was spoilt. "GPU" is
decoding, scaling and encoding there; "GPU encodes" is the encoder alone.
"""


@dataclass(frozen=True)
class Cell:
    fault: Fault
    when: When
    origin: Origin
    gpus: int
    hardware: Literal["auto", "require"]

    @property
    def strike(self) -> Strike:
        return strike_of(self.fault, self.when)

    @property
    def rung(self) -> str:
        """The rung that is to deliver unless a GPU is required."""
        return self.strike.one if self.gpus == 1 else self.strike.several

    def __str__(self) -> str:
        return "-".join((self.fault.name, self.when, self.origin, f"{self.gpus}gpu", self.hardware)).replace(" ", "_")


@dataclass(frozen=True)
class Seen:
    outcome: Outcome
    is_right: bool


def strike_of(fault: Fault, when: When) -> Strike:
    return fault.at_open if when == "at open" else fault.mid_stream


def promise(fault: Fault, when: When) -> tuple[str, ...]:
    """Return the columns that say what is expected."""
    strike = strike_of(fault, when)
    classes = ", then ".join(f"`{kind}`" for kind in strike.kinds) or "none"
    calls = " ".join(f"`{call}`" for call in strike.faults.split(",")) if strike.faults else "-"
    return fault.name, when, calls, classes, RUNGS[strike.one], RUNGS[strike.several]


def rows_of(page: str) -> list[tuple[str, ...]]:
    """Return what a page says is expected."""
    lines = [line.strip("| ").split(" | ") for line in page.splitlines() if re.match(r"\| .* \| (at open|mid-)", line)]
    return [tuple(line[:6]) for line in lines]


def page(seen: Mapping[Cell, Seen], worlds: Callable[[Origin, int], World]) -> str:
    versions = {origin: worlds(origin, 1).host.ffmpegs[0].version.partition("-")[0] for origin in ORIGINS}
    right = [cell for cell, one in seen.items() if one.is_right]
    delivered = [c for c in right if seen[c].outcome.delivered]
    slowest = max(seen[c].outcome.recovered_s or 0.0 for c in delivered)
    columns = [f"{versions[origin]}, {gpus} GPU{'s' if gpus > 1 else ''}" for origin in ORIGINS for gpus in GPUS]
    text = _INTRODUCTION.format(
        date=dt.datetime.now(dt.UTC).date(), faults=len(FAULTS) - 1, new=versions["bundled"], old=versions["path"],
        right=len(right), cells=len(seen), delivered=len(delivered), refused=len(right) - len(delivered),
        machine=_machine(), slowest=slowest, patience=PATIENCE_S, stall=STALL_S, trial=TRIAL_AGAIN_S,
    )  # fmt: skip
    lines = ["# GPU faults, and what becomes of a job that meets one", ""]
    for paragraph in text.strip().split("\n\n"):
        lines += [*textwrap.wrap(paragraph, 118, subsequent_indent="  " * paragraph.startswith("- ")), ""]
    head = ("fault", "strikes", "calls", "class", "one GPU", "several GPUs", *(f"{c} (s)" for c in columns))
    head = (*head, "verified", "`require`")
    lines += ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for fault in FAULTS:
        for when in WHEN:
            cells = [Cell(fault, when, origin, gpus, "auto") for origin in ORIGINS for gpus in GPUS]
            required = [c for c in seen if (c.fault, c.when, c.hardware) == (fault, when, "require")]
            lines.append("| " + " | ".join((*promise(fault, when), *_measured(seen, cells, required))) + " |")
    return "\n".join(lines) + "\n"


def _measured(seen: Mapping[Cell, Seen], cells: list[Cell], required: list[Cell]) -> Iterable[str]:
    for cell in cells:
        seconds = seen[cell].outcome.recovered_s
        yield "-" if seconds is None else f"{seconds:.1f}"
    yield _share(seen, cells)
    yield f"exit 4: {_share(seen, required)}" if required else "the same"


def _share(seen: Mapping[Cell, Seen], cells: list[Cell]) -> str:
    right = sum(seen[cell].is_right for cell in cells)
    return f"{right}/{len(cells)}" if right == len(cells) else f"**wrong** {right}/{len(cells)}"


def _machine() -> str:
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return f"{os.cpu_count()} cores of {model[1] if model else platform.machine()}"
