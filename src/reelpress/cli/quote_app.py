"""``reelpress quote``: the command. What it does is imported when it runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from reelpress.cli.options import Option, with_options


def quote_command(encoding: Sequence[Option]) -> click.Command:
    """Return the command; ``encoding`` are the options that shape an encode."""

    @click.command(epilog="Example: reelpress quote holiday.mov --encoders h264,av1")
    @click.argument("files", metavar="FILE...", nargs=-1, required=True)
    @click.option("--encoders", metavar="LIST", help="Codecs to quote: h264,hevc,av1, or all [that of --codec].")
    @click.option("--quick", is_flag=True, help="From the facts of the file alone: at once, and rough.")
    @click.option("--budget", "budget_s", metavar="SECONDS", help="Time for the stretches of one offer [60].")
    @click.option(
        "--receipts", metavar="PATH", type=click.Path(path_type=Path), help="Learn from these how far off quotes are."
    )
    @with_options(encoding)
    @click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each file (docs/quote.md).")
    def quote(
        files: tuple[str, ...],
        *,
        encoders: str | None,
        quick: bool,
        budget_s: str | None,
        max_size: str | None,
        hardware: str | None,
        always_encode: bool,
        receipts: Path | None,
        as_json: bool,
        **flags: str | None,
    ) -> None:
        """Say what compress would come to, before it is done.

        Size, VMAF, seconds and dollars, on the CPU and on a GPU, each with the interval that four of five jobs lie in.
        """
        from reelpress.cli.quote import run_quote

        code = run_quote(
            files, flags, encoders=encoders, quick=quick, budget_s=budget_s, max_size=max_size, hardware=hardware,
            always_encode=always_encode, receipts=receipts, as_json=as_json,
        )  # fmt: skip
        raise click.exceptions.Exit(code)

    return quote
