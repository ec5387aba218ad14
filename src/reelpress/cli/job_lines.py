"""Jobs as lines of text that fit a terminal: their names, where they are, what became of them."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import click

from reelpress.cli.render import human_bytes, human_time, plain_text
from reelpress.errors import STORAGE_REASONS, ExitCode
from reelpress.jobs.model import Job, JobError, JobEvent

COLOURS = {"running": "blue", "done": "green", "failed": "red", "dead": "red", "cancelled": "yellow"}
_CODES = {
    "usage": ExitCode.USAGE, "hardware_absent": ExitCode.HARDWARE_ABSENT, "output_failed": ExitCode.OUTPUT_FAILED,
    "bug": ExitCode.BUG,
}  # fmt: skip
_GRAVEST = (
    ExitCode.INTERRUPTED, ExitCode.BUG, ExitCode.OUTPUT_FAILED, ExitCode.HARDWARE_ABSENT, ExitCode.INPUT_UNUSABLE,
    ExitCode.USAGE, ExitCode.CHECK_NOT_MET, ExitCode.DONE,
)  # fmt: skip


def name_of(job: Job) -> str:
    """Return what a job is called: by its labels, by its input's name, or by where its input is."""
    labels, source = job.spec.labels, job.spec.input
    named = labels.get("name") or labels.get("title") or getattr(source, "name", None)
    path = urlsplit(source.value).path if source.kind == "url" else source.value
    return named or PurePosixPath(path).name or job.id


def where(job: Job) -> str:
    """Return where a job is, or what became of it, in a few words."""
    if job.status == "queued":
        return "waiting to go on" if job.attempts else "waiting"
    if job.status == "running":
        left = "" if job.eta_s is None else f", {human_time(job.eta_s)} left"
        doing = "starting" if job.stage == "queued" else job.stage
        return f"{'stopping' if job.cancel_requested else doing} {job.percent:.0f} %{left}"
    if job.error is not None:
        return job.error.text
    result = job.result
    if result is None:
        return "nothing was delivered" if job.status == "cancelled" else ""
    if result.output is None:
        return "kept as it is: the input is the best there is"
    sizes = f"{human_bytes(result.input_bytes)} to {human_bytes(result.output.size_bytes)}"
    return f"{result.saved_share:.0%} smaller, {sizes}" if result.saved_share else f"{result.outcome}, {sizes}"


def exit_code(jobs: Sequence[Job]) -> int:
    """Return the gravest of the jobs' endings as an exit code; a job that goes on counts as well."""
    codes = {_ending(job) for job in jobs}
    return int(next((code for code in _GRAVEST if code in codes), ExitCode.DONE))


def _ending(job: Job) -> ExitCode:
    if job.status == "cancelled":
        return ExitCode.INTERRUPTED
    if job.status == "done" or job.error is None:
        return ExitCode.DONE if job.status != "failed" else ExitCode.CHECK_NOT_MET
    if job.error.code in _CODES:
        return _CODES[job.error.code]
    if not job.error.retryable:  # what no retry mends is the input; its codes say what is wrong with it
        return ExitCode.INPUT_UNUSABLE
    return ExitCode.OUTPUT_FAILED if job.error.code in STORAGE_REASONS else ExitCode.CHECK_NOT_MET


def print_job(job: Job) -> None:
    """Print one job as one line, cut to the width of a terminal."""
    head = f"{job.id}  "
    status = click.style(f"{job.status:<9}", fg=COLOURS.get(job.status))
    tail = f"  {plain_text(name_of(job))}: {plain_text(where(job))}"
    if sys.stdout.isatty():
        room = max(shutil.get_terminal_size().columns - len(head) - 9, 20)
        tail = tail if len(tail) <= room else f"{tail[: room - 1]}…"
    click.echo(f"{head}{status}{tail}")


def print_error(error: JobError) -> None:
    """Print why a job failed, its evidence and what to do, on stderr."""
    lines = [error.text, error.evidence and f"evidence: {error.evidence}", error.hint and f"hint: {error.hint}"]
    for line in filter(None, lines):
        click.echo(f"  {plain_text(line)}", err=True)


def print_event(event: JobEvent) -> None:
    """Print one thing that happened, with its time here."""
    at = datetime.fromtimestamp(event.at).astimezone()
    facts = "  ".join(f"{name}={_plain(value)}" for name, value in event.data.items() if value is not None)
    click.echo(f"{at:%Y-%m-%d %H:%M:%S}  {event.kind:<16}  {plain_text(facts)}".rstrip())


def _plain(value: Any) -> str:  # noqa: ANN401 - what JSON holds
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def short(name: str, most: int = 24) -> str:
    """Return a name in at most so many characters, with its end."""
    name = plain_text(name)
    return name if len(name) <= most else f"{name[: most // 2 - 1]}…{name[-(most - most // 2) :]}"


def clock() -> str:
    """Return the time of day."""
    return time.strftime("%H:%M:%S")
