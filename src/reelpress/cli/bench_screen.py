"""Runs of the benchmark on a screen of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reelpress.bench.model import BenchRun
from reelpress.bench.page import cells_of, failed_at_times, machine_text, promise_text
from reelpress.bench.results import changes, promises, rows, speedups
from reelpress.cli.render import plain_text

_COLOURS = {"met": "green", "not met": "red"}


def print_run(run: BenchRun, before: Sequence[BenchRun], console: Console) -> None:
    """Print a run, what became of the promises, and what changed since earlier runs."""
    faster = speedups(run)
    console.print(Text(plain_text(f"{machine_text(run)}.")))
    table = Table(box=None, pad_edge=False)
    for title in ("input", "way"):
        table.add_column(title)
    for title in ("s", "x real", "x CPU", "VMAF", "size", "energy", "cost", "memory"):
        table.add_column(title, justify="right")
    for row in rows(run):
        cells = [row.material, row.rung, *cells_of(row, faster.get((row.material, row.rung)))]
        table.add_row(*(plain_text(cell) for cell in cells))
    console.print(table)
    for text, colour in _lines(run, before):
        console.print(Text(plain_text(text), style=colour))


def _lines(run: BenchRun, before: Sequence[BenchRun]) -> Iterator[tuple[str, str]]:
    for why in run.absent:
        yield f"No way on a GPU: {why}", ""
    for row in rows(run):
        if (failed := failed_at_times(row)) is not None:
            yield f"{row.material} {row.rung}: {failed}", "red"
    for score in run.scores:
        if score.unmeasured is not None:
            yield f"No VMAF of {score.material} {score.rung}: {score.unmeasured}", ""
    for answer in promises(run):
        took = f" ({answer.wall_s:.1f} s)" if answer.wall_s is not None else ""
        yield f"{promise_text(answer.promise)}: {answer.kept}{took}", _COLOURS.get(answer.kept, "")
    for old in before:
        found = changes(run, old)
        if not found:
            yield f"Not comparable with the run of {old.made_at[:16]}: {_unlike(run, old)}.", ""
        for change in found:
            gain = f", VMAF {change.vmaf_gain:+.1f}" if change.vmaf_gain is not None else ""
            what = f"{change.material} {change.rung}: {change.seconds_ratio:.2f} times the seconds{gain}"
            yield f"Since {change.made_at[:16]}: {what}", ""


def _unlike(run: BenchRun, old: BenchRun) -> str:
    if (run.machine.cpu, run.machine.cores) != (old.machine.cpu, old.machine.cores):
        return f"it was on {machine_text(old)}"
    return "it was asked for something else" if run.choice != old.choice else "no input and way is in both"
