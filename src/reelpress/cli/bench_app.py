"""``reelpress bench``: the command. What it does is imported when it runs."""

from __future__ import annotations

from pathlib import Path

import click

from reelpress.cli.options import HARDWARE

_PATH = click.Path(path_type=Path)


@click.command(epilog="Example: reelpress bench --save l4.json")
@click.argument("files", metavar="[FILE]...", nargs=-1, type=_PATH)
@click.option("--sizes", metavar="LIST", help="Sizes of files to make [100MB,300MB,500MB; none with FILE].")
@click.option("--picture", metavar="WxH", default="1920x1080", show_default=True, help="Of files to make.")
@click.option("--rounds", metavar="N", type=click.IntRange(1, 20), default=2, show_default=True)
@click.option("--codec", metavar="h264|hevc|av1", help="Codec of the outputs [h264].")
@HARDWARE
@click.option("--calibrate", is_flag=True, help="Calibrate first, quickly, and add that to what is saved.")
@click.option("--work-dir", metavar="DIR", type=_PATH, help="Where files lie for the time [the temporary folder].")
@click.option("--save", metavar="FILE", type=_PATH, help="Save everything as JSON, to send or to compare with.")
@click.option("--against", metavar="FILE", multiple=True, type=_PATH, help="Compare with a saved run; repeatable.")
@click.option("--read", metavar="FILE", multiple=True, type=_PATH, help="Show saved runs, measure nothing; repeatable.")
@click.option("--write-readme", metavar="FILE", type=_PATH, help="Put the tables between its two bench comments.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout (docs/bench.md).")
def bench(
    files: tuple[Path, ...],
    *,
    sizes: str | None,
    picture: str,
    rounds: int,
    codec: str | None,
    hardware: str | None,
    calibrate: bool,
    work_dir: Path | None,
    save: Path | None,
    against: tuple[Path, ...],
    read: tuple[Path, ...],
    write_readme: Path | None,
    as_json: bool,
) -> None:
    """Measure the CPU against every way to use this machine's GPUs.

    Whole jobs with their checks, in turn: seconds, VMAF, size, energy, cost, memory. What is saved names no path, no
    file and no host.
    """
    from reelpress.cli.bench import Wishes, run_bench_command

    wishes = Wishes(
        files=files, sizes=sizes, picture=picture, rounds=rounds, codec=codec, hardware=hardware, calibrate=calibrate,
        work_dir=work_dir, save=save, against=against, read=read, write_readme=write_readme, as_json=as_json,
    )  # fmt: skip
    raise click.exceptions.Exit(run_bench_command(wishes))
