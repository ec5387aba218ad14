"""The command that holds a GPU to the CPU. What it does is imported when it runs."""

from __future__ import annotations

from pathlib import Path

import click

from reelpress.cli.options import with_options

_ENCODING = (
    click.option("--codec", metavar="h264|hevc|av1", help="Codec of both outputs [h264]."),
    click.option("--crf", metavar="NUMBER", help="Quality of the CPU's, which the GPU's follows."),
    click.option("--preset", metavar="NAME", help="CPU preset [lean h264, fast hevc, 8 av1]."),
    click.option("--max-size", metavar="WxH", help="Box to fit, never enlarged [1280x720]."),
)


@click.command(epilog="Example: reelpress parity talk.mov holiday.mp4")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@with_options(_ENCODING)
@click.option("--whole", is_flag=True, help="Encode all of every file, not three stretches of 4 s.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each file (docs/parity.md).")
def parity(files: tuple[Path, ...], *, max_size: str | None, whole: bool, as_json: bool, **flags: str | None) -> None:
    """Hold what a GPU makes to what the CPU makes.

    Both encode each file as compress would, and each output is scored. Nothing is kept. Without a GPU that encodes it
    ends with exit code 4.
    """
    from reelpress.cli.parity import run_parity

    raise click.exceptions.Exit(run_parity(files, flags, max_size=max_size, whole=whole, as_json=as_json))
