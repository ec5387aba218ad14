"""``reelpress compare``: the command. What it does is imported when it runs."""

from __future__ import annotations

from pathlib import Path

import click

_PATH = click.Path(path_type=Path)


@click.command(epilog="Example: reelpress compare holiday.mov holiday.compressed.mp4 --min-vmaf 93")
@click.argument("reference", metavar="REFERENCE", type=_PATH)
@click.argument("encoded", metavar="ENCODED...", nargs=-1, required=True, type=_PATH)
@click.option("--viewing", type=click.Choice(["phone", "1080p", "4k"]), help="Screen the scores are for [by size].")
@click.option("--whole", is_flag=True, help="Score every frame, not samples of a long video.")
@click.option("--size", type=click.Choice(["reference", "encoded"]), default="reference", show_default=True,
              help="Whose size pictures are compared at.")  # fmt: skip
@click.option("--hdr", type=click.Choice(["map", "refuse"]), default="map", show_default=True,
              help="An HDR reference: tone-map it, or refuse.")  # fmt: skip
@click.option("--ssim", is_flag=True, help="Measure SSIM, too.")
@click.option("--xpsnr", is_flag=True, help="Measure XPSNR, too; decodes both once more.")
@click.option("--min-vmaf", metavar="SCORE", type=click.FloatRange(0, 100), help="Mean VMAF to reach, else exit 1.")
@click.option("--min-vmaf-worst", metavar="SCORE", type=click.FloatRange(0, 100),
              help="VMAF the worst second has to reach, else exit 1.")  # fmt: skip
@click.option("--html", metavar="FILE", type=_PATH, help="Write a report with curve and worst frames.")
@click.option("--json", "as_json", is_flag=True, help="Print NDJSON on stdout (docs/json.md).")
@click.option("--frames", is_flag=True, help="With --json: the scores of every frame.")
def compare(
    reference: Path,
    encoded: tuple[Path, ...],
    *,
    viewing: str | None,
    whole: bool,
    size: str,
    hdr: str,
    ssim: bool,
    xpsnr: bool,
    min_vmaf: float | None,
    min_vmaf_worst: float | None,
    html: Path | None,
    as_json: bool,
    frames: bool,
) -> None:
    """Measure encodes against what they were made of.

    Scores (VMAF, PSNR), and damage: lost, frozen, shifted or garbled pictures, wrong
    colours or shape, sound that is not on time. The way of measuring is tested first
    on the reference itself.
    """
    from reelpress.cli.compare import Asked, run_compare
    from reelpress.facts.quality import Measuring
    from reelpress.facts.values import from_plain

    how = from_plain(
        {"viewing": viewing, "whole": whole, "size": size, "hdr": hdr, "ssim": ssim, "xpsnr": xpsnr}, Measuring
    )
    asked = Asked(min_vmaf=min_vmaf, min_vmaf_worst=min_vmaf_worst)
    code = run_compare(reference, encoded, how, asked, html=html, as_json=as_json, frames=frames)
    raise click.exceptions.Exit(code)


COMMANDS = (compare,)
