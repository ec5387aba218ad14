"""``reelpress costs``: what jobs cost, as a table of 80 columns with a chart, or for programs."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import click
import msgspec

from reelpress.cli.charts import bars
from reelpress.cli.ledger_source import from_receipts, open_service_database, window
from reelpress.cli.render import plain_text
from reelpress.errors import ExitCode, UsageError
from reelpress.facts.values import Value, to_json
from reelpress.observe.budget import BudgetState
from reelpress.observe.cost import By, CostLine, CostReport, cost_report

_MOST_LINES = 60
_COLUMNS = (
    "key", "jobs", "failed", "on_gpu", "programme_s", "usd", "usd_per_output_minute", "cpu", "memory", "gpu",
    "storage", "egress", "compared", "compared_usd", "other_usd",
)  # fmt: skip


class Answer(Value, frozen=True, kw_only=True):
    """What ``GET /v1/costs`` answers, and ``--json`` prints."""

    report: CostReport
    budget: BudgetState | None = None


def run_costs(
    since: str,
    until: str | None,
    by: str,
    flags: Mapping[str, str | None],
    *,
    receipts: Path | None,
    url: str | None,
    key: str | None,
    as_json: bool,
    as_csv: bool,
) -> int:
    """Print what jobs cost."""
    if as_json and as_csv:
        raise UsageError("--json and --csv exclude each other.")
    answer = _answer(since, until, by, flags, receipts=receipts, url=url, key=key)
    if as_json:
        click.echo(to_json(answer))
    elif as_csv:
        _write_csv(answer.report)
    else:
        _print(answer)
    return int(ExitCode.DONE)


def _answer(
    since: str, until: str | None, by: str, flags: Mapping[str, str | None], *, receipts: Path | None, url: str | None,
    key: str | None,
) -> Answer:  # fmt: skip
    start, end = window(since, until)
    chosen: By = next(name for name in get_args(By) if name == by)
    if receipts is not None:
        found = from_receipts(receipts, start, end)
        return Answer(report=cost_report(found, by=chosen, since=start, until=end))
    if url is not None and not any(flags.values()):
        from reelpress.cli.remote import Service

        asked = {"since": start, "by": chosen} | ({"until": end} if end is not None else {})
        with Service(url, key) as service:
            return msgspec.json.decode(service.ask("GET", "/v1/costs", params=asked), type=Answer)
    import time

    with open_service_database(flags) as (database, settings), database.reading() as connection:
        from reelpress.jobs.ledger import lines
        from reelpress.jobs.spending import budget_now

        entries = (entry for _, entry in lines(connection, since=start, until=end))
        report = cost_report(entries, by=chosen, since=start, until=end)
        return Answer(report=report, budget=budget_now(connection, settings.budget, time.time()))


def _print(answer: Answer) -> None:
    report = answer.report
    if not report.total.jobs:
        click.echo("No job ended in this time.")
    else:
        head = {"day": "day (UTC)", "encoder": "encoder", "user": "user"}[report.by]
        click.echo(f"{head:<20} {'jobs':>6} {'failed':>6} {'on GPU':>6} {'output':>10} {'USD':>10} {'USD/min':>9}")
        for line in report.lines[:_MOST_LINES]:
            click.echo(_line(line))
        if len(report.lines) > _MOST_LINES:
            click.echo(f"{len(report.lines) - _MOST_LINES} more; --csv has them all")
        click.echo(_line(report.total))
        click.echo("")
        for text in _said(report):
            click.echo(text)
    if answer.budget is not None:
        more = {"cpu": " No GPU is used.", "pause": " Queued jobs wait."}.get(answer.budget.action or "", "")
        click.echo(f"budget: {answer.budget.text}{more}")
    chart = bars("USD a day", [day.day[5:] for day in report.days], [day.usd for day in report.days])
    if chart is not None:
        click.echo(f"\n{chart}")


def _line(line: CostLine) -> str:
    key = plain_text(line.key)
    key = key if len(key) <= 20 else f"{key[:19]}…"
    minute = line.usd_per_output_minute
    per_minute = "-" if minute is None else f"{minute:.6f}"
    minutes = line.programme_s / 60
    output = f"{minutes:.1f} min" if minutes < 10_000 else f"{minutes / 60:.0f} h"
    counted = f"{line.jobs:>6} {line.failed:>6} {line.on_gpu:>6}"
    return f"{key:<20} {counted} {output:>10} {_usd(line.usd):>10} {per_minute:>9}"


def _usd(usd: float) -> str:
    return f"{usd:.2f}" if usd >= 100 else f"{usd:.4f}" if usd >= 0.1 else f"{usd:.6f}"


def _said(report: CostReport) -> list[str]:
    total = report.total
    parts = ", ".join(f"{name} {_usd(usd)}" for name, usd in total.parts.items() if usd)
    said = [f"of that: {parts}" if parts else "nothing of it had a price"]
    if total.compared:
        change = total.other_usd / total.compared_usd - 1 if total.compared_usd else 0.0
        word = "more" if change >= 0 else "less"
        said.append(
            f"on the other device: {_usd(total.other_usd)} USD for {total.compared} jobs that cost "
            f"{_usd(total.compared_usd)}, {abs(change):.0%} {word}"
        )
    else:
        said.append("on the other device: not known, too few jobs of the same kind ran there")
    if report.unpriced:
        said.append(f"{report.unpriced} jobs used something whose price is not known: see usd_basis in their receipts")
    return said


def _write_csv(report: CostReport) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for line in report.lines:
        values = {name: getattr(line, name) for name in _COLUMNS if hasattr(line, name)} | line.parts
        # a spreadsheet takes text that begins so for a formula
        values["key"] = f"'{line.key}" if line.key[:1] in "=+-@" else line.key
        writer.writerow(["" if values.get(name) is None else values[name] for name in _COLUMNS])
