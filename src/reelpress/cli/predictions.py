"""``reelpress perf predictions``: what was said of jobs against what they came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from reelpress.cli.ledger_source import from_receipts, open_service_database, window
from reelpress.errors import ExitCode
from reelpress.facts.values import to_json
from reelpress.observe.accuracy import SIZE_WITHIN, VMAF_WITHIN, WALL_WITHIN, Accuracy, Deviation, accuracies


def run_predictions(
    since: str, until: str | None, flags: Mapping[str, str | None], *, receipts: Path | None, as_json: bool
) -> int:
    """Compare and show."""
    start, end = window(since, until)
    if receipts is not None:
        found = accuracies(from_receipts(receipts, start, end))
    else:
        with open_service_database(flags) as (database, _), database.reading() as connection:
            from reelpress.jobs.ledger import entries

            found = accuracies(entries(connection, since=start, until=end))
    if as_json:
        for one in found:
            click.echo(to_json(one))
    elif not found:
        click.echo("Nothing was predicted of a job of this time.")
    else:
        _print(found)
    return int(ExitCode.DONE)


def _print(found: Sequence[Accuracy]) -> None:
    click.echo(
        f"{'basis':<12} {'encoder':<10} {'jobs':>4} {'as said':>7}  "
        f"{'':<4} {'median':>7} {'bias':>7} {'within':>12} {'inside':>6}"
    )
    for one in found:
        label = f"{one.basis:<12} {one.encoder:<10} {one.jobs:>4} {one.as_said:>7}  "
        rows = [
            ("size", one.size, f"{SIZE_WITHIN:.0%}"), ("time", one.wall, f"{WALL_WITHIN:.0%}"),
            ("VMAF", one.vmaf, f"{VMAF_WITHIN:g}"),
        ]  # fmt: skip
        for name, deviation, promised in rows:
            if deviation is None and name == "VMAF":
                continue
            click.echo((label + _row(name, deviation, promised)).rstrip())
            label = " " * len(label)
    click.echo("\nmedian: of the deviation, whatever its sign; bias: with it, above 0 where more")
    click.echo("came than was said; inside: jobs inside their interval, meant to be 80%.")


def _row(name: str, found: Deviation | None, promised: str) -> str:
    if found is None:
        return f"{name:<4} {'-':>7}"
    if name == "VMAF":
        median, bias = f"{found.median:.2f}", f"{found.bias:+.2f}"
    else:
        median, bias = f"{found.median:.1%}", f"{found.bias:+.1%}"
    within = f"{found.within:.0%} in {promised}"
    return f"{name:<4} {median:>7} {bias:>7} {within:>12} {found.inside:>6.0%}"
