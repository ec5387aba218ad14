"""The command that cuts clips. What it does is imported when it runs."""

from __future__ import annotations

from pathlib import Path

import click

from reelpress.cli.options import GATE_NAMES, GATES, HARDWARE, JSON, OUTPUT_PATH, with_options

_CLIPS = (
    click.option(
        "--clip", "ranges", metavar="RANGE", multiple=True,
        help="START-END or START+SECONDS, then =NAME if you like; once for each clip.",
    ),
    click.option(
        "--clips", "listed", metavar="FILE", type=click.Path(path_type=Path), help="Clips listed in .json or .csv."
    ),
)  # fmt: skip
_LOOK = (
    click.option("--size", metavar="WxH", help="Size of every clip [1080x1920]."),
    click.option("--layout", metavar="LAYOUT", help="auto, still, track, fit or split [auto]."),
    click.option("--captions", metavar="FILE", help="Burn in captions from an SRT or VTT file of the video."),
    click.option("--caption-style", metavar="STYLE", help="plain, bold or karaoke [bold]."),
    click.option("--preset", metavar="NAME", help="shorts, or a preset of compress [shorts]."),
    click.option("--crf", metavar="NUMBER", help="Quality, lower is better [the preset's own]."),
    click.option("--loudness", metavar="LUFS|off", help="How loud every clip is [-14]."),
    HARDWARE,
    click.option(
        "--platform", "platforms", metavar="NAME", multiple=True,
        help="Warn of what shorts, tiktok or reels may not take.",
    ),
)  # fmt: skip


@click.command(epilog="Example: reelpress clips talk.mp4 --clip 0:12-0:57=intro --clip 5:00+30 -o shorts/")
@click.argument("video", metavar="VIDEO|URL")
@with_options(_CLIPS)
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    required=True,
    type=OUTPUT_PATH,
    help="Folder of the clips; made if need be.",
)
@with_options(_LOOK)
@with_options(GATES)
@click.option("--timeout", "timeout_s", metavar="SECONDS", help="Time one attempt may take [auto].")
@click.option("-j", "--jobs", metavar="N", help="Clips at the same time [by cores and GPU sessions].")
@click.option("--receipt-dir", metavar="DIR", type=OUTPUT_PATH, help="Write each clip's receipt here, as JSON.")
@click.option("--overwrite", is_flag=True, help="Replace files that are in the way.")
@click.option("--allow-private", is_flag=True, help="Let the URL lead into private networks.")
@JSON
def clips(
    video: str,
    ranges: tuple[str, ...],
    listed: Path | None,
    output: Path,
    *,
    platforms: tuple[str, ...],
    timeout_s: str | None,
    jobs: str | None,
    receipt_dir: Path | None,
    overwrite: bool,
    allow_private: bool,
    json_output: bool,
    **look: str | None,
) -> None:
    """Cut vertical clips out of a video, all at once.

    Times are SS, M:SS or H:MM:SS with a fraction if you like, counted from the video's first picture. The same command
    again keeps the clips that are finished and makes the rest.
    """  # fmt: skip
    from reelpress.cli.clips import run_clips

    flags = {name: look.pop(name) for name in GATE_NAMES} | {"timeout_s": timeout_s, "jobs": jobs}
    code = run_clips(
        video, ranges, listed, output, look, platforms=platforms, flags=flags,
        receipt_dir=receipt_dir, overwrite=overwrite, allow_private=allow_private, as_json=json_output,
    )  # fmt: skip
    raise click.exceptions.Exit(code)
