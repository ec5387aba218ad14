"""What options of several commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click

Command = Callable[..., None]
Option = Callable[[Command], Command]
JSON = click.option(
    "--json", "json_output", is_flag=True, help="Print events and the receipt as NDJSON on stdout (docs/json.md)."
)
HARDWARE = click.option("--hardware", metavar="auto|require|off", help="Use a GPU where one is proven to work [auto].")


def with_options(options: Sequence[Option]) -> Callable[[Command], Command]:
    """Return what gives a command these options, in their order."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add
