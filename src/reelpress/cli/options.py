"""What options of several commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from reelpress.errors import UsageError

Command = Callable[..., None]
Option = Callable[[Command], Command]
JSON = click.option(
    "--json", "json_output", is_flag=True, help="Print events and the receipt as NDJSON on stdout (docs/json.md)."
)
HARDWARE = click.option("--hardware", metavar="auto|require|off", help="Use a GPU where one is proven to work [auto].")
# What is asked of outputs, wherever some are made. Values stay text: the settings table reads them.
GATES = (
    click.option("--min-vmaf", metavar="SCORE", help="Least mean VMAF; a miss is encoded again."),
    click.option("--min-vmaf-worst", metavar="SCORE", help="Least VMAF of the worst second."),
    click.option("--max-size-ratio", metavar="SHARE", help="Most bytes out for each in, as 0.5."),
    click.option("--vmaf-windows", metavar="sampled|whole", help="What of it is scored [sampled]."),
    click.option("--vmaf-retries", metavar="N", help="How often a miss is encoded again [2]."),
    click.option("--on-miss", metavar="keep|deliver", help="Then deliver nothing, or the best [keep]."),
)
GATE_NAMES = ("min_vmaf", "min_vmaf_worst", "max_size_ratio", "vmaf_windows", "vmaf_retries", "on_miss")


def refuse_unnamed_output(text: str | None) -> None:
    """Raise :class:`UsageError` for an empty name: an unset variable in a script must not mean the working folder."""
    if text == "":
        raise UsageError("The output's name is empty.", hint="Name a file or a folder; this folder is `.`")


class OutputPath(click.Path):
    """The name of what a command writes; never empty."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - as Click declares it
        """Return the path. Raises :class:`UsageError`."""
        refuse_unnamed_output(value)
        return super().convert(value, param, ctx)


OUTPUT_PATH = OutputPath(path_type=Path)


def with_options(options: Sequence[Option]) -> Callable[[Command], Command]:
    """Return what gives a command these options, in their order."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add
