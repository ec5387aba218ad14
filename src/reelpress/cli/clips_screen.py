"""How an export looks: a line for each clip while it runs, a table when it is over."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from reelpress.cli.render import WORDS, human_bytes, human_time, plain_text
from reelpress.clips.meter import ClipMeter, ClipProgress, warnings_of
from reelpress.clips.summary import ExportSummary, is_kept
from reelpress.events import AttemptFailed, AttemptStarted, Event, Queued
from reelpress.receipt import Receipt

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_NAME_COLUMNS = 22
_LINES_LEFT = 3  # of a terminal: for the prompt and what is said besides


class ClipLines:
    """On a terminal a bar for each clip, or for those at work where there are too many; elsewhere lines of text."""

    def __init__(self, out: IO[str], clips: int) -> None:
        self._out = out
        self._names: dict[str, str] = {}
        self._meters: dict[str, ClipMeter] = {}
        self._tasks: dict[str, TaskID] = {}
        self._bars: Progress | None = None
        self._crowded = clips > shutil.get_terminal_size().lines - _LINES_LEFT
        self._guard, self._over = threading.Lock(), threading.Event()
        self._clock: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self._out.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            self._bars = Progress(
                TextColumn("{task.description}"), TextColumn("{task.fields[stage]:7}"), BarColumn(bar_width=14),
                TextColumn("{task.percentage:>3.0f}%"), TextColumn("{task.fields[facts]}"),
                console=Console(file=self._out), transient=True,
            )  # fmt: skip
            self._bars.start()
            self._clock = threading.Thread(target=self._tick, daemon=True, name="reelpress-clip-lines")
            self._clock.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        if self._clock is not None:
            self._clock.join()
        if self._bars is not None:
            self._bars.stop()

    def on_event(self, event: Event) -> None:
        """Show what an event says."""
        with self._guard:
            if isinstance(event, Queued):
                self._begin(event)
            meter = self._meters.get(event.job)
            if meter is None:
                return
            now = meter.take(event, time.monotonic())
            if self._bars is not None:
                self._draw(self._bars, event.job, now)
            elif isinstance(event, AttemptStarted):
                self._say(event.job, f"encoding with {event.encoder}")
            if isinstance(event, AttemptFailed) and event.next_encoder is not None:
                self._say(event.job, f"{event.encoder} did not deliver ({event.failure}), trying {event.next_encoder}")
            if isinstance(event, Receipt) and (self._bars is None or self._crowded):
                after = "" if is_kept(event) else f" after {human_time(event.wall_s)}"
                self._say(event.job, f"{_ending(event)}{after}")

    def _begin(self, event: Queued) -> None:
        name = plain_text(Path(event.output).name)
        self._names[event.job], self._meters[event.job] = name, ClipMeter()
        if self._bars is not None:
            from rich.markup import escape

            half = (_NAME_COLUMNS - 1) // 2
            short = name if len(name) <= _NAME_COLUMNS else f"{name[:half]}…{name[-half:]}"
            self._tasks[event.job] = self._bars.add_task(
                escape(short), total=100, facts="", stage="queued", visible=not self._crowded
            )

    def _draw(self, bars: Progress, job: str, now: ClipProgress) -> None:
        bars.update(
            self._tasks[job], completed=now.percent, stage=now.status or now.stage, facts=_facts(now),
            visible=not self._crowded or now.stage not in ("queued", "finished"),
        )  # fmt: skip

    def _tick(self) -> None:
        """Count down what is left, also while FFmpeg says nothing."""
        while not self._over.wait(1.0):
            with self._guard:
                for job, meter in self._meters.items():
                    if self._bars is not None and meter.progress.stage not in ("queued", "finished"):
                        self._draw(self._bars, job, meter.at(time.monotonic()))

    def _say(self, job: str, text: str) -> None:
        line = f"{self._names[job]}: {plain_text(text)}"
        if self._bars is not None:
            self._bars.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=self._out)


def _facts(now: ClipProgress) -> str:
    if now.status is not None:
        return ""
    parts = [f"{now.speed:g}x" if now.speed else None]
    parts += [f"{human_time(now.eta_s)} left" if now.eta_s is not None else None, now.encoder]
    return "  ".join(part for part in parts if part)


def _ending(receipt: Receipt) -> str:
    return "kept" if is_kept(receipt) else receipt.status


def print_clips(names: Sequence[str], receipts: Sequence[Receipt], summary: ExportSummary, out: IO[str]) -> None:
    """Print a table of the clips, their warnings, and what became of them all."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("clip", overflow="ellipsis", no_wrap=True, max_width=28)
    table.add_column("result")
    for name in ("length", "size", "loudness", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, receipt in zip(names, receipts, strict=True):
        result, clip = receipt.result, receipt.clip
        loudness = f"{clip.loudness_lufs:.1f} LUFS" if clip is not None and clip.loudness_lufs is not None else ""
        table.add_row(
            Text(plain_text(name)), Text(_ending(receipt), style=WORDS.get(receipt.status, "")),
            human_time(result.duration_s) if result is not None and result.duration_s is not None else "",
            human_bytes(result.size_bytes) if result is not None else "", loudness,
            "" if is_kept(receipt) else human_time(receipt.wall_s),
        )  # fmt: skip
    console = Console(file=out, highlight=False)
    console.print(table)
    for name, receipt in zip(names, receipts, strict=True):
        for warning in warnings_of(receipt):
            console.print(Text(plain_text(f"{name}: {warning}")))
    console.print(Text(plain_text(_told(summary))))


def _told(summary: ExportSummary) -> str:
    counts = {name: getattr(summary, name) for name in ("encoded", "kept", "rejected", "failed", "cancelled")}
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    over = f", {human_bytes(summary.read_bytes)} read over the network" if summary.read_bytes else ""
    clips = "1 clip" if summary.clips == 1 else f"{summary.clips} clips"
    return f"{clips} in {summary.folder}: {told}; {human_time(summary.wall_s)}{over}"
