"""A run of the benchmark as Markdown, and its place in a page: between two comments, which stay. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from reelpress.bench.model import BenchRun
from reelpress.bench.results import Promise, Row, promises, rows, speedups
from reelpress.errors import UsageError
from reelpress.plan.model import RUNG_WORDS

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
_NOT_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+")
_MEANT = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_[]|<>#~&"})


def page(runs: Sequence[BenchRun]) -> str:
    """Return the tables of runs, each with what it was measured on and what became of the promises."""
    return "\n".join(line for run in runs for line in (*_section(run), "")).rstrip("\n")


def put_into(text: str, tables: str) -> str:
    """Return a page with these tables between its two comments, whatever stood there, in lines that end as its own.

    Raises :class:`UsageError` where a page has not exactly one of each, in their order.
    """
    begin, end = text.find(BEGIN), text.find(END)
    if text.count(BEGIN) != 1 or text.count(END) != 1 or end < begin:
        raise UsageError(
            "The page has no place for the table.", evidence=f"wanted: {BEGIN} and {END}, once each",
            hint="Put the two comments on lines of their own.",
        )  # fmt: skip
    lines = f"\n{tables}\n".replace("\n", "\r\n" if "\r\n" in text else "\n")
    return f"{text[: begin + len(BEGIN)]}{lines}{text[end:]}"


def machine_text(run: BenchRun) -> str:
    """Return in one line what a run was measured on; of texts as the run has them."""
    machine = run.machine
    none = "GPUs left out" if run.hardware == "off" else "no GPU"
    gpus = [
        f"{gpu.name} (driver {gpu.driver_version or 'unknown'}"
        + (f", {gpu.memory_mb / 1024:.0f} GiB)" if gpu.memory_mb else ")")
        for gpu in machine.gpus
    ]  # fmt: skip
    memory = f", {machine.memory_mb / 1024:.0f} GiB" if machine.memory_mb else ""
    cpu = f"{machine.cpu or 'unknown CPU'}, {machine.cores} cores{memory}"
    load = f"; load {machine.load:.1f} before it began" if machine.load is not None else ""
    return f"{'; '.join([cpu, *(gpus or [none])])}{load}"


def promise_text(promise: Promise) -> str:
    """Return what was promised."""
    return f"{promise.mb} MB on the {promise.device.upper()} in less than {promise.most_s:g} s"


def failed_at_times(row: Row) -> str | None:
    """Return in which of its rounds a way failed that delivered in others; of texts as the run has them."""
    if row.wall_s is None or not row.failed_rounds:
        return None
    rounds = f"{row.failed_rounds} of {row.rounds + row.failed_rounds} rounds"
    return f"failed in {rounds}: {row.failure}; its figures are of the others"


def _section(run: BenchRun) -> Iterator[str]:
    faster = speedups(run)
    yield (
        f"On {_plain(machine_text(run))}. Reelpress {_plain(run.reelpress_version)}, FFmpeg "
        f"{_plain(', '.join(run.machine.ffmpegs))}, {_plain(run.made_at[:10])}, {run.rounds} "
        f"round{'s' if run.rounds != 1 else ''}, the fastest of each way:"
    )
    yield ""
    yield "| input | way | encoder | seconds | times real time | times the CPU | VMAF | size | energy | cost | memory |"
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for row in rows(run):
        name = next(_plain(f"{m.name}, {m.video}") for m in run.materials if m.name == row.material)
        figures = cells_of(row, faster.get((row.material, row.rung)))
        cells = [name, RUNG_WORDS[row.rung], *map(_plain, [row.encoder or "-", *figures])]
        yield f"| {' | '.join(cells)} |"
    yield ""
    for row in rows(run):
        if (failed := failed_at_times(row)) is not None:
            yield f"- The way {RUNG_WORDS[row.rung]}, {_plain(row.material)}: {_plain(failed)}"
    for answer in promises(run):
        took = f" ({answer.wall_s:.1f} s)" if answer.wall_s is not None else ""
        yield f"- {promise_text(answer.promise)}: {answer.kept}{took}"


def cells_of(row: Row, faster: float | None) -> list[str]:
    """Return a row's figures as short texts: seconds, real time, times the CPU, VMAF, size, energy, dollars, memory."""
    if row.wall_s is None:
        return [f"failed: {row.failure or 'unknown'}", *["-"] * 7]
    return [
        f"{row.wall_s:.1f}",
        f"{row.realtime:.1f}",
        "1" if row.rung == "cpu" else f"{faster:.1f}" if faster is not None else "-",
        f"{row.vmaf:.1f}" if row.vmaf is not None else "-",
        f"{row.size_ratio:.0%}" if row.size_ratio is not None else "-",
        f"{row.energy_j / 1000:.2f} kJ" if row.energy_j is not None else "-",
        f"${row.usd:.5f}" if row.usd is not None else "-",
        f"{row.peak_memory_bytes / 1e6:.0f} MB" if row.peak_memory_bytes else "-",
    ]  # fmt: skip


def _plain(text: str) -> str:
    """Return text of a run, which a stranger may have sent, as words of Markdown and nothing else."""
    return _NOT_TEXT.sub(" ", text)[:200].translate(_MEANT)
