"""``reelpress ladder``: the command. What it does is imported when it runs."""

from __future__ import annotations

from pathlib import Path

import click

from reelpress.cli.options import JSON, OUTPUT_PATH


@click.command(epilog="Example: reelpress ladder talk.mov -o talk-stream/")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("-o", "--output", metavar="DIR", required=True, type=OUTPUT_PATH, help="Folder to make.")
@click.option("--max-size", metavar="WxH", default="1920x1080", show_default=True, help="Box of the top rung.")
@click.option("--max-fps", metavar="RATE", help="Cap on frames per second; none is repeated [30].")
@click.option("--preset", metavar="NAME", help="x264 preset [lean].")
@click.option("--rungs", metavar="N", type=click.IntRange(1, 8), default=6, show_default=True, help="At most so many.")
@click.option(
    "--segment", "segment_s", metavar="SECONDS", type=click.FloatRange(1, 12), default=4.0, show_default=True,
    help="Length of a segment.",
)  # fmt: skip
@click.option("--timeout", "timeout_s", metavar="SECONDS", help="Time the encode may take [auto].")
@click.option("--receipt", metavar="FILE", type=click.Path(path_type=Path), help="Write the receipt as JSON.")
@click.option("--overwrite", is_flag=True, help="Replace a ladder that exists.")
@JSON
def ladder(
    file: Path,
    output: Path,
    *,
    max_size: str,
    rungs: int,
    segment_s: float,
    receipt: Path | None,
    overwrite: bool,
    json_output: bool,
    **flags: str | None,
) -> None:
    """Make a bit rate ladder for streaming.

    H.264 and AAC as HLS and DASH in one folder, sizes and rates by what samples of this video look like. One decode
    for all rungs, cut at the same pictures, checked before the folder gets its name.
    """
    from reelpress.cli.ladder import run_ladder

    code = run_ladder(
        file, output, flags, max_size=max_size, rungs=rungs, segment_s=segment_s, receipt=receipt,
        overwrite=overwrite, as_json=json_output,
    )  # fmt: skip
    raise click.exceptions.Exit(code)
