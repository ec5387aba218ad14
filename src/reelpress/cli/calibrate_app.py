"""``reelpress calibrate``: the command. What it does is imported when it runs."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(epilog="Example: reelpress calibrate --quick holiday.mov talk.mp4")
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--quick", is_flag=True, help="Small clips, few settings: about a minute.")
@click.option("--all-presets", is_flag=True, help="Every preset of every encoder: an hour and more.")
@click.option("--only-files", is_flag=True, help="The files alone, without generated clips.")
@click.option("--clip-size", metavar="WxH", help="Size of generated clips [1280x720; quick: 640x360].")
@click.option("--clip-seconds", metavar="SECONDS", help="Their length [3; quick: 2].")
@click.option("--show", is_flag=True, help="Show what was measured, and whether it holds; measure nothing.")
@click.option("--forget", is_flag=True, help="Take it away.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout (docs/calibrate.md).")
def calibrate(
    files: tuple[Path, ...],
    *,
    quick: bool,
    all_presets: bool,
    only_files: bool,
    clip_size: str | None,
    clip_seconds: str | None,
    show: bool,
    forget: bool,
    as_json: bool,
) -> None:
    """Measure which settings of this machine's encoders look alike.

    Every encoder that works here encodes generated clips, and stretches of the files that are named, with several
    settings; VMAF says which look alike. The planner then uses that instead of its table.
    """
    from reelpress.cli.calibrate import run_calibrate

    code = run_calibrate(
        files, quick=quick, all_presets=all_presets, only_files=only_files, clip_size=clip_size,
        clip_seconds=clip_seconds, show=show, forget=forget, as_json=as_json,
    )  # fmt: skip
    raise click.exceptions.Exit(code)
