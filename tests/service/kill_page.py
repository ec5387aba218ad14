"""What a batch of kills showed, as a page of the documentation."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

HEAD = """# Kill tests

Written by `make kill-tests`. Each kill is a `kill -9` of a worker, at a random moment after a job of it began the stage
whose turn it is, with several jobs in flight; a new worker is started at once. Afterwards every job must be done, with
one output of the hash that its receipt says, one event of its end and one for its webhook; no FFmpeg may be left, no
scratch folder after the next start, and in the store only temporary objects that the sweep finds. Recovery is the time
from a kill until a worker begins the job anew, with beats of 0.5 s and death after 2 s of silence (2 s and 9 s are the
defaults); where there is one worker, its own start and its first 2 s, in which it judges nobody, are in it.
"""


@dataclass(frozen=True)
class Batch:
    """What was seen in all rounds on one kind of database."""

    kind: str
    workers: int
    rounds: int
    jobs: int
    killed_in: dict[str, int]
    temporary: int
    recovery_s: list[float]
    other_exits: dict[int, int]
    wall_s: float

    def share(self, part: float) -> float:
        return self.recovery_s[min(int(part * len(self.recovery_s)), len(self.recovery_s) - 1)]


def _machine_today() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    machine = (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release()}, Python {platform.python_version()}"
    )
    return f"{time.strftime('%d %B %Y', time.gmtime())}; {machine}; other work on it meanwhile."


def add_to_page(page: Path, batch: Batch) -> None:
    """Write one batch to the page; that of SQLite, the first, begins it anew."""
    if batch.kind == "sqlite" or not page.exists():
        page.write_text(f"{HEAD}\n{_machine_today()}\n")
    stages = ", ".join(
        f"{stage} {count}" for stage, count in sorted(batch.killed_in.items(), key=lambda item: -item[1])
    )
    others = ", ".join(f"{count} with {code}" for code, count in batch.other_exits.items() if code != -9) or "0"
    rows = [
        ("jobs", str(batch.jobs)), ("lost, failed or dead", "0"), ("outputs doubled or wrong", "0"),
        ("ends or webhook events doubled", "0"), ("FFmpeg left", "0"),
        ("scratch folders left after the next start", "0"),
        ("temporary objects left, all swept", str(batch.temporary)),
        ("jobs under the workers killed, by stage", f"{sum(batch.killed_in.values())}: {stages}"),
        ("other ends of workers", others),
        ("recovery p50, p99, longest", ", ".join(f"{batch.share(part):.1f} s" for part in (0.5, 0.99, 1))),
        ("wall time", f"{batch.wall_s / 60:.1f} min"),
    ]  # fmt: skip
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    title = f"## {'SQLite' if batch.kind == 'sqlite' else 'Postgres'}: {batch.rounds} kills, workers: {batch.workers}"
    with page.open("a") as file:
        file.write(f"\n{title}\n\n| | |\n|---|---|\n{table}\n")


EXPORT_HEAD = """
## Storms over exports

Exports of three clips each are made over HTTP while a server (and on Postgres a worker beside it) is killed every
few seconds, and clips and exports are cancelled and retried at random; some clips are made to fail. What cuts them is a
stand-in that writes small files. Afterwards every clip must be there once, with one end for each of its runs, and every
export with one end and one event for its webhook for each of its own; the files of clips that are done must have the
hash that their job says, and nothing else may be left but temporary objects that the sweep finds.
"""


@dataclass(frozen=True)
class ExportBatch:
    """What was seen in one storm over exports."""

    kind: str
    exports: int
    clips: int
    seen: dict[str, int]
    kills: dict[str, int]
    asked: dict[str, int]
    temporary: int
    wall_s: float


def add_exports_to_page(page: Path, batch: ExportBatch) -> None:
    """Write one storm to the page; that of SQLite, the first, begins the part of exports."""

    def listed(counts: dict[str, int]) -> str:
        return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))

    rows = [
        ("clips", str(batch.clips)), ("lost or doubled", "0"), ("ends or webhook events doubled", "0"),
        ("FFmpeg left", "0"), ("scratch folders left after the next start", "0"),
        ("temporary objects left, all swept", str(batch.temporary)), ("killed", listed(batch.kills)),
        ("asked for, with answers", listed(batch.asked)), ("ends", listed(batch.seen)),
        ("wall time", f"{batch.wall_s / 60:.1f} min"),
    ]  # fmt: skip
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    with page.open("a") as file:
        if batch.kind == "SQLite":
            file.write(f"{EXPORT_HEAD}\n{_machine_today()}\n")
        file.write(f"\n### {batch.kind}: {batch.exports} exports\n\n| | |\n|---|---|\n{table}\n")
