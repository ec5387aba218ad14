"""``reelpress perf``: how fast jobs are, against a baseline and over days."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import click
import msgspec

from reelpress.cli.charts import curves
from reelpress.cli.ledger_source import from_receipts, holds_receipts, open_service_database, window
from reelpress.cli.written import refuse_written
from reelpress.errors import ExitCode, InputError, OutputError, UsageError
from reelpress.facts.values import Value, from_json, to_json
from reelpress.observe.baseline import Baseline, Comparison, Speed, compare, speeds
from reelpress.observe.cost import day_of
from reelpress.observe.entry import Entry
from reelpress.service_settings import load_service

_LIMITS = ("regression_factor", "regression_samples")


class DaySpeed(Value, frozen=True, kw_only=True):
    """How fast jobs of one encoder and size class were on a day (UTC)."""

    day: str
    speed: Speed


def run_baseline(
    since: str, until: str | None, flags: Mapping[str, str | None], *, output: Path | None, receipts: Path | None,
    as_json: bool,
) -> int:  # fmt: skip
    """Measure, and keep it as the baseline."""
    if output is not None:
        refuse_written("-o", output, [])
        if holds_receipts(output):
            raise UsageError(f"-o {output} holds receipts.", hint="Name another file.")
    start, end = window(since, until)

    def measured(entries: list[Entry]) -> Baseline:
        found = speeds(entries)
        if not found:
            raise InputError("No job made anything in this time.", hint="Choose an earlier --since.")
        return Baseline(made_at=time.time(), since=start, until=end, speeds=found)

    if receipts is not None:
        if output is None:
            raise UsageError("Without a service a baseline is a file.", hint="Name it with -o.")
        made = measured(from_receipts(receipts, start, end))
    else:
        with open_service_database(flags) as (database, _):
            from reelpress.jobs.ledger import entries
            from reelpress.jobs.performance import keep_baseline

            with database.writing() as connection:
                made = measured(entries(connection, since=start, until=end))
                keep_baseline(connection, made)
    if output is not None:
        try:
            output.write_bytes(to_json(made) + b"\n")
        except OSError as error:
            raise OutputError(f"{output} could not be written.", evidence=error.strerror) from None
    if as_json:
        click.echo(to_json(made))
    else:
        _print_speeds(made.speeds)
    return int(ExitCode.DONE)


def run_check(
    since: str, until: str | None, flags: Mapping[str, str | None], *, file: Path | None, receipts: Path | None,
    as_json: bool,
) -> int:  # fmt: skip
    """Compare with the baseline; exit code 1 tells that jobs are slower than allowed."""
    start, end = window(since, until)
    settings = load_service(flags)
    baseline = None if file is None else _read(file)
    if receipts is not None:
        found = from_receipts(receipts, start, end)
    else:
        place = {name: value for name, value in flags.items() if name not in _LIMITS}
        with open_service_database(place) as (database, _), database.reading() as connection:
            from reelpress.jobs.ledger import entries
            from reelpress.jobs.performance import newest_baseline

            found = entries(connection, since=start, until=end)
            baseline = baseline or newest_baseline(connection)
    if baseline is None:
        raise UsageError("There is no baseline yet.", hint="Make one with reelpress perf baseline, or name a file.")
    compared = compare(
        baseline, speeds(found), factor=settings.regression_factor, min_samples=settings.regression_samples
    )
    if as_json:
        for comparison in compared:
            click.echo(to_json(comparison))
    else:
        _print_comparisons(compared, settings.regression_factor, settings.regression_samples)
    slower = any(comparison.regressed for comparison in compared)
    return int(ExitCode.CHECK_NOT_MET if slower else ExitCode.DONE)


def run_history(
    since: str, flags: Mapping[str, str | None], *, encoder: str | None, size: str | None, receipts: Path | None,
    as_json: bool,
) -> int:  # fmt: skip
    """Show how fast jobs were on each day."""
    start, end = window(since, None)
    if receipts is not None:
        found = from_receipts(receipts, start, end)
    else:
        with open_service_database(flags) as (database, _), database.reading() as connection:
            from reelpress.jobs.ledger import entries

            found = entries(connection, since=start, until=end)
    days: dict[str, list[Entry]] = defaultdict(list)
    for entry in found:
        if encoder in (None, entry.encoder) and size in (None, entry.size_class):
            days[day_of(entry.finished_at)].append(entry)
    shown = [DaySpeed(day=day, speed=speed) for day, of_day in sorted(days.items()) for speed in speeds(of_day)]
    if as_json:
        for one in shown:
            click.echo(to_json(one))
    elif not shown:
        click.echo("No job made anything in this time.")
    else:
        _print_history(shown)
    return int(ExitCode.DONE)


def _read(file: Path) -> Baseline:
    try:
        return from_json(file.read_bytes(), Baseline)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
        hint = "reelpress perf baseline -o FILE makes one."
        raise InputError(f"{file} is no baseline.", evidence=str(error), hint=hint) from None


def _print_speeds(found: tuple[Speed, ...]) -> None:
    head = f"{'encoder':<12} {'inputs':<7} {'jobs':>5}"
    click.echo(f"{head}   seconds for a second of output   seconds for a job")
    click.echo(f"{'':<26}   {'p50':>8} {'p95':>8} {'p99':>8}   {'p50':>8} {'p95':>8} {'p99':>8}")
    for speed in found:
        ratio = " ".join(f"{value:>8.3f}" for value in speed.per_programme_s.all)
        wall = " ".join(f"{value:>8.1f}" for value in speed.wall_s.all)
        click.echo(f"{speed.encoder:<12} {speed.size_class:<7} {speed.samples:>5}   {ratio}   {wall}")


def _print_comparisons(compared: tuple[Comparison, ...], factor: float, min_samples: int) -> None:
    if not compared:
        click.echo("No job of this time is of a kind that the baseline has.")
        return
    click.echo(f"{'encoder':<12} {'inputs':<7} {'jobs':>5}   {'p50':>7} {'p95':>7} {'p99':>7}   times the baseline")
    for one in compared:
        ratios = " ".join(f"{'-':>7}" if ratio is None else f"{ratio:>6.2f}x" for ratio in one.ratios)
        verdict = f"slower than {factor:g}x" if one.regressed else "" if any(one.ratios) else "too few jobs"
        click.echo(f"{one.encoder:<12} {one.size_class:<7} {one.samples:>5}   {ratios}   {verdict}".rstrip())
    click.echo(f"\nA quantile is judged from {min_samples} jobs on; p99 from {max(min_samples, 100)}.")


def _print_history(shown: list[DaySpeed]) -> None:
    click.echo(f"{'day (UTC)':<11} {'encoder':<12} {'inputs':<7} {'jobs':>5}   seconds for a second of output")
    click.echo(f"{'':<38}   {'p50':>8} {'p95':>8} {'p99':>8}")
    groups: dict[tuple[str, str], list[DaySpeed]] = defaultdict(list)
    for one in shown:
        speed = one.speed
        groups[speed.encoder, speed.size_class].append(one)
        ratio = " ".join(f"{value:>8.3f}" for value in speed.per_programme_s.all)
        click.echo(f"{one.day:<11} {speed.encoder:<12} {speed.size_class:<7} {speed.samples:>5}   {ratio}")
    # the group with the most jobs is drawn; --encoder and --size choose another
    (encoder, size), most = max(groups.items(), key=lambda item: sum(one.speed.samples for one in item[1]))
    title = f"{encoder}, {size} inputs: p50 and p95, seconds for a second of output"
    series = ([one.speed.per_programme_s.p50 for one in most], [one.speed.per_programme_s.p95 for one in most])
    chart = curves(title, [one.day[5:] for one in most], series)
    if chart is not None:
        click.echo(f"\n{chart}")
