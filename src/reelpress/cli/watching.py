"""``reelpress jobs watch``: follows jobs to their ends, as bars on a terminal, lines elsewhere, or NDJSON."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click
import msgspec

from reelpress.cli.job_lines import COLOURS, clock, name_of, print_error, short, where
from reelpress.cli.remote import Progress, Service
from reelpress.facts.values import to_json
from reelpress.jobs.model import FINISHED, UNFINISHED, Job

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

_MOST_BARS = 30


def watch(service: Service, job_ids: Sequence[str], *, as_json: bool) -> list[Job]:
    """Follow jobs until all are finished, and return them in the order they were named."""
    jobs: dict[str, Job] = {}
    with _screen(as_json=as_json) as screen:
        for news in service.follow(job_ids):
            if news is None:
                stale = [one for one in job_ids if one not in jobs or jobs[one].status in UNFINISHED]
            elif isinstance(news, Progress):
                stale = _merge(jobs, news, screen)
            else:
                stale = [news.job] if news.kind in FINISHED and news.job in jobs else []
            for job_id in stale:
                if job_id in jobs and jobs[job_id].status in FINISHED:
                    continue
                jobs[job_id] = service.job(job_id)
                screen.show(jobs[job_id])
            if all(one in jobs and jobs[one].status in FINISHED for one in job_ids):
                break
    return [jobs[one] for one in job_ids]


def _merge(jobs: dict[str, Job], news: Progress, screen: Screen) -> list[str]:
    """Take progress over; return the job if it must be read anew, because it is another thing than it was."""
    job = jobs.get(news.job)
    if job is None or job.status in FINISHED or news.updated_at < job.updated_at:
        return []
    if news.status != job.status:
        return [news.job]
    changed = {name: value for name, value in msgspec.structs.asdict(news).items() if name not in ("job", "status")}
    jobs[news.job] = msgspec.structs.replace(job, **changed)
    screen.show(jobs[news.job])
    return []


class Screen:
    """A line whenever a job changes its status or stage."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[str, str]] = {}

    def show(self, job: Job) -> None:
        """Show where a job is now."""
        if self._said.get(job.id) == (job.status, job.stage):
            return
        self._said[job.id] = (job.status, job.stage)
        status = click.style(f"{job.status:<9}", fg=COLOURS.get(job.status))
        click.echo(f"{clock()}  {status}  {short(name_of(job), 40)}: {where(job)}")
        if job.error is not None:
            print_error(job.error)


class JsonScreen(Screen):
    """Each state of a job as one line of JSON."""

    def show(self, job: Job) -> None:
        """Write the job."""
        click.echo(to_json(job))


class BarScreen(Screen):
    """A bar for each running job; a finished one becomes a line above them."""

    def __init__(self, bars: Bars) -> None:
        super().__init__()
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def show(self, job: Job) -> None:
        """Move a job's bar, or replace it by what became of the job."""
        from rich.markup import escape

        task = self._tasks.get(job.id)
        if job.status in FINISHED:
            if task is not None:
                self._bars.remove_task(self._tasks.pop(job.id))
            super().show(job)
            return
        if task is None:
            if len(self._tasks) >= _MOST_BARS:
                return
            task = self._tasks[job.id] = self._bars.add_task(escape(short(name_of(job))), total=100, facts="")
        # the bar shows the percentage itself
        self._bars.update(task, completed=job.percent, facts=escape(where(job).replace(f" {job.percent:.0f} %", "")))


@contextlib.contextmanager
def _screen(*, as_json: bool) -> Iterator[Screen]:
    if as_json:
        yield JsonScreen()
        return
    if not sys.stdout.isatty():
        yield Screen()
        return
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"), BarColumn(bar_width=16), TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[facts]}"),
    )  # fmt: skip
    with Bars(*columns, transient=True) as bars:
        yield BarScreen(bars)
