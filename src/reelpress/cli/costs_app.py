"""``reelpress costs`` and ``reelpress perf``: the commands. What they do is imported when one of them runs."""

from __future__ import annotations

from pathlib import Path

import click

from reelpress.cli.options import OUTPUT_PATH, with_options

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout (docs/costs.md).")
_DATABASE = (
    click.option("--data-dir", metavar="DIR", help="The service's folder [reelpress-data]."),
    click.option("--database-url", metavar="URL", help="Its Postgres, instead of SQLite in the folder."),
    click.option(
        "--receipts", metavar="PATH", type=click.Path(path_type=Path), help="Read receipts instead."
    ),
)  # fmt: skip
_REMOTE = (
    click.option("--url", envvar="REELPRESS_URL", metavar="URL", help="Ask the service there; or REELPRESS_URL."),
    click.option("--key", envvar="REELPRESS_API_KEY", metavar="KEY", help="API key; better in REELPRESS_API_KEY."),
)
_LIMITS = (
    click.option("--factor", "regression_factor", metavar="NUMBER", help="Times the baseline that is too slow [2]."),
    click.option("--min-samples", "regression_samples", metavar="N", help="Jobs a group needs to be judged [20]."),
)


@click.command(epilog="Example: reelpress costs --since 30d --by encoder")
@click.option("--since", metavar="WHEN", default="7d", show_default=True, help="As 7d, 24h or 2026-11-01 (UTC).")
@click.option("--until", metavar="WHEN", help="Up to then [now].")
@click.option("--by", type=click.Choice(["day", "encoder", "user"]), default="day", show_default=True)
@with_options((*_DATABASE, *_REMOTE))
@_JSON
@click.option("--csv", "as_csv", is_flag=True, help="Print the table as CSV on stdout.")
def costs(
    since: str,
    until: str | None,
    by: str,
    *,
    receipts: Path | None,
    url: str | None,
    key: str | None,
    as_json: bool,
    as_csv: bool,
    **flags: str | None,
) -> None:
    """Add up what jobs cost.

    For a minute of output too, and what the same would have cost on the other device. Reads the service's database,
    asks a service, or reads receipts.
    """
    from reelpress.cli.costs import run_costs

    code = run_costs(
        since, until, by, flags, receipts=receipts, url=url, key=key, as_json=as_json, as_csv=as_csv
    )  # fmt: skip
    raise click.exceptions.Exit(code)


@click.group()
def perf() -> None:
    """Compare how fast jobs are with how fast they were.

    By encoder and size of input: small is under 100 MB, medium under 300, large under 500, huge is more.
    """


@perf.command(epilog="Example: reelpress perf baseline --since 7d")
@click.option("--since", metavar="WHEN", default="7d", show_default=True, help="Jobs since then are normal.")
@click.option("--until", metavar="WHEN", help="Up to then [now].")
@click.option("-o", "--output", metavar="FILE", type=OUTPUT_PATH, help="Write it to this file, too.")
@with_options(_DATABASE)
@_JSON
def baseline(
    since: str, until: str | None, *, output: Path | None, receipts: Path | None, as_json: bool, **flags: str | None
) -> None:
    """Take how fast jobs were for normal.

    It is kept in the service's database, and watched by the service from then on.
    """
    from reelpress.cli.perf import run_baseline

    raise click.exceptions.Exit(run_baseline(since, until, flags, output=output, receipts=receipts, as_json=as_json))


@perf.command(epilog="Example: reelpress perf check --since 24h --baseline baseline.json")
@click.option("--since", metavar="WHEN", default="24h", show_default=True, help="Jobs since then are compared.")
@click.option("--until", metavar="WHEN", help="Up to then [now].")
@click.option("--baseline", "file", metavar="FILE", type=click.Path(path_type=Path), help="This file's, instead.")
@with_options((*_LIMITS, *_DATABASE))
@_JSON
def check(
    since: str, until: str | None, *, file: Path | None, receipts: Path | None, as_json: bool, **flags: str | None
) -> None:
    """Compare how fast jobs are with the baseline.

    Exit code 1 if a group is slower than allowed.
    """
    from reelpress.cli.perf import run_check

    raise click.exceptions.Exit(run_check(since, until, flags, file=file, receipts=receipts, as_json=as_json))


@perf.command(epilog="Example: reelpress perf history --encoder h264_nvenc")
@click.option("--since", metavar="WHEN", default="30d", show_default=True, help="Days since then.")
@click.option("--encoder", metavar="NAME", help="Only this one's jobs.")
@click.option("--size", metavar="CLASS", type=click.Choice(["small", "medium", "large", "huge"]), help="Only these.")
@with_options(_DATABASE)
@_JSON
def history(
    since: str, *, encoder: str | None, size: str | None, receipts: Path | None, as_json: bool, **flags: str | None
) -> None:
    """Show how fast jobs were on each day."""
    from reelpress.cli.perf import run_history

    code = run_history(since, flags, encoder=encoder, size=size, receipts=receipts, as_json=as_json)
    raise click.exceptions.Exit(code)


@perf.command(epilog="Example: reelpress perf predictions --since 30d")
@click.option("--since", metavar="WHEN", default="30d", show_default=True, help="Jobs since then.")
@click.option("--until", metavar="WHEN", help="Up to then [now].")
@with_options(_DATABASE)
@_JSON
def predictions(since: str, until: str | None, *, receipts: Path | None, as_json: bool, **flags: str | None) -> None:
    """Show how right was what was predicted of jobs.

    By what a prediction rested on (docs/quote.md), and by encoder.
    """
    from reelpress.cli.predictions import run_predictions

    raise click.exceptions.Exit(run_predictions(since, until, flags, receipts=receipts, as_json=as_json))


COMMANDS = (costs, perf)
