"""How events and receipts look: NDJSON, a progress bar on a terminal, text that fits 80 columns."""

from __future__ import annotations

import shutil
import textwrap
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

import click

from reelpress.errors import OutputError
from reelpress.events import AttemptFailed, Event, Progressed, Sampled, Started
from reelpress.facts.failure import FailureKind
from reelpress.facts.prediction import Predicted
from reelpress.facts.values import Value, to_json
from reelpress.receipt import Quality, Receipt

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

# How each status looks.
WORDS = {
    "encoded": "green", "copied": "green", "skipped": "yellow", "rejected": "red", "failed": "red",
    "cancelled": "yellow",
}  # fmt: skip


_NO_COLOURS: Mapping[str, str] = {}


def plain_text(text: str) -> str:
    """Return text that cannot steer a terminal: control characters of hostile names and tags become visible."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def human_bytes(size: int) -> str:
    """Return a size in decimal units, three significant digits."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{size} B" if unit == "B" else f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


def human_time(seconds: float) -> str:
    """Return a duration as people say it: 4.2 s, 3:05, 1:02:03."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class JsonLines:
    """Writes each event as one line of JSON."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._out.flush()

    def on_event(self, event: Value) -> None:
        """Write one event, whole, at once."""
        line = to_json(event).decode()
        try:
            with self._lock:
                self._out.write(line + "\n")
                self._out.flush()
        except OSError as error:
            raise OutputError("The events could not be written.", evidence=error.strerror) from error


class ProgressBars:
    """A bar per running input on a terminal; elsewhere nothing but a line where an attempt failed."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._tasks: dict[str, TaskID] = {}
        self._bars: Progress | None = None

    def __enter__(self) -> Self:
        if self._out.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            self._bars = Progress(
                TextColumn("{task.description}"), BarColumn(bar_width=20), TextColumn("{task.percentage:>3.0f}%"),
                TextColumn("{task.fields[facts]}"), console=Console(file=self._out), transient=True,
            )  # fmt: skip
            self._bars.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def on_event(self, event: Event) -> None:
        """Show what an event says."""
        if isinstance(event, AttemptFailed) and event.next_encoder is not None:
            text = f"{event.encoder} did not deliver ({event.failure}): {event.evidence}; trying {event.next_encoder}"
            print(plain_text(text), file=self._out)
        elif isinstance(event, AttemptFailed) and event.failure is FailureKind.QUALITY_NOT_MET:
            print(plain_text(f"{event.encoder} missed what was asked: {event.evidence}"), file=self._out)
        if self._bars is not None:
            self._draw(self._bars, event)

    def _draw(self, bars: Progress, event: Event) -> None:
        from rich.markup import escape

        if isinstance(event, Started):
            name = plain_text(Path(event.input).name)
            short = name if len(name) <= 24 else f"{name[:11]}…{name[-12:]}"
            self._tasks[event.job] = bars.add_task(escape(short), total=100, facts="looking")
        task = self._tasks.get(event.job)
        if task is None:
            return
        if isinstance(event, Sampled):
            bars.update(task, facts=f"trial {event.number}: {event.setting:g} gives VMAF {event.vmaf:.1f}")
        elif isinstance(event, Progressed):
            parts = [f"{event.speed:g}x" if event.speed else None]
            parts += [f"{human_time(event.eta_s)} left" if event.eta_s is not None else None]
            parts += [f"about {human_bytes(event.predicted_bytes)}" if event.predicted_bytes else None]
            facts = "  ".join(p for p in parts if p)
            bars.update(task, completed=event.percent or 0, facts=facts)
        elif isinstance(event, Receipt):
            bars.remove_task(task)
            del self._tasks[event.job]


def print_rows(rows: Sequence[tuple[str, str]], out: IO[str], colours: Mapping[str, str] = _NO_COLOURS) -> None:
    """Print labels and texts in two columns that fit the terminal; ``colours`` by label, on a terminal only.

    Rich would do this more handsomely; importing it for eight lines of text took a tenth of a second of every run.
    """
    label_columns = max(len(label) for label, _ in rows) + 2
    width = max(20, shutil.get_terminal_size().columns - label_columns)
    for label, text in rows:
        lines = textwrap.wrap(plain_text(text), width, break_on_hyphens=False) or [""]
        for number, line in enumerate(lines):
            first = click.style(f"{label if number == 0 else '':{label_columns}}", dim=True)
            click.echo(first + click.style(line, fg=colours.get(label)), file=out)


def print_receipt(receipt: Receipt, out: IO[str]) -> None:
    """Print one receipt for a person."""
    print_rows(_receipt_rows(receipt), out, {"result": WORDS[receipt.status]})


def print_error(name: str, receipt: Receipt, out: IO[str]) -> None:
    """Print what went wrong with one input of several, if anything did: what, evidence, hint."""
    if receipt.error is None:
        return
    parts = (
        receipt.error,
        receipt.evidence and f"evidence: {receipt.evidence}",
        receipt.hint and f"hint: {receipt.hint}",
    )
    first, *rest = [plain_text(part) for part in parts if part]
    print(f"reelpress: {plain_text(name)}: {first}", *rest, sep="\n  ", file=out)


def _receipt_rows(receipt: Receipt) -> list[tuple[str, str]]:
    rows = [("input", receipt.input)]
    source, result = receipt.source, receipt.result
    if source is not None:
        rows.append(("", _describe(source.size_bytes, source.video, source.audio, source.duration_s)))
    if result is not None:
        rows.append(("output", result.path))
        rows.append(("", _describe(result.size_bytes, result.video, result.audio, result.duration_s)))
    saved = (
        f", {receipt.saved_share:.0%} smaller" if receipt.saved_share is not None and receipt.saved_share > 0 else ""
    )
    where = {"cpu": "the CPU", "nvidia": receipt.gpu or "the GPU", None: ""}[receipt.device]
    on = f" with {receipt.encoder} on {where}" if receipt.encoder and where else ""
    rows.append(("result", f"{receipt.status}{on}{saved}"))
    rows += [("why" if n == 0 else "", reason.text) for n, reason in enumerate(receipt.reasons)]
    if receipt.predicted is not None and receipt.predicted.quote is not None:
        rows.append(("quoted", _against(receipt, receipt.predicted)))
    if receipt.gates:
        passed = sum(g.verdict == "passed" for g in receipt.gates)
        rows.append(("checks", f"{passed} of {len(receipt.gates)} passed"))
        rows += [("", text) for text in not_passed(receipt)]
    rows += _quality_rows(receipt.quality)
    rows += [("note" if n == 0 else "", text) for n, text in enumerate(receipt.warnings[:8])]
    speed = ""
    if receipt.status == "encoded" and source is not None and source.duration_s and receipt.wall_s:
        speed = f", {source.duration_s / receipt.wall_s:.1f}x real time"
    rows.append(("time", f"{human_time(receipt.wall_s)} ({receipt.cpu_s:.1f} CPU s, about ${receipt.usd:.5f}){speed}"))
    return rows


def not_passed(receipt: Receipt) -> list[str]:
    """Return each check that an output did not pass, in one line."""
    others = [gate for gate in receipt.gates if gate.verdict != "passed"]
    return [f"{gate.name}: {gate.verdict}, expected {gate.expected}, got {gate.measured}" for gate in others]


def _quality_rows(quality: Quality) -> list[tuple[str, str]]:
    """Return what was measured of what is delivered, and what was made before; nothing where nothing was asked."""
    rows = []
    scored = quality.scored
    if scored is not None and scored.vmaf is not None:
        worst = scored.vmaf.worst_second
        second = f", worst second {worst.score:.2f} at {human_time(worst.at_s)}" if worst is not None else ""
        rows.append(("quality", f"VMAF {scored.vmaf.mean:.2f}{second}; {quality.text}"))
    elif scored is not None:
        rows.append(("quality", f"unmeasured: {quality.text}"))
    tries = quality.tries if len(quality.tries) > 1 else ()
    for number, one in enumerate(tries):
        score = f"VMAF {one.vmaf:.2f}" if one.vmaf is not None else one.unmeasured or one.stopped or ""
        size = human_bytes(one.size_bytes) if one.size_bytes is not None else "stopped"
        text = f"{one.encoder} at {one.setting:g}: {', '.join(part for part in (score, size) if part)}"
        rows.append(("tries" if number == 0 else "", text + (", delivered" if one.delivered else "")))
    return rows


def _against(receipt: Receipt, said: Predicted) -> str:
    """Return what a quote said, and how far off it was."""
    if said.encoder != receipt.encoder:
        return f"{said.encoder or 'nothing'} was to write it"
    parts = []
    if said.size_bytes is not None and receipt.result is not None:
        off = receipt.result.size_bytes / said.size_bytes.likely - 1
        parts.append(f"{human_bytes(round(said.size_bytes.likely))} ({off:+.1%} came)")
    if said.wall_s is not None and said.wall_s.likely > 0:
        parts.append(f"{human_time(said.wall_s.likely)} ({receipt.wall_s / said.wall_s.likely - 1:+.0%})")
    return ", ".join(parts) or "as said"


def _describe(size_bytes: int, video: str | None, audio: tuple[str, ...], duration_s: float | None) -> str:
    parts = [human_bytes(size_bytes), human_time(duration_s) if duration_s is not None else None, video]
    sound = " + ".join(audio) if len(audio) <= 2 else f"{len(audio)} audio streams"
    return ", ".join(p for p in (*parts, sound) if p)
