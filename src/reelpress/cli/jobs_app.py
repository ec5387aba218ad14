"""``reelpress jobs``: the commands. What they do is imported when one of them runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from reelpress.cli.options import OUTPUT_PATH

_Command = Callable[..., None]
_REMOTE = (
    click.option(
        "--url", envvar="REELPRESS_URL", default="http://127.0.0.1:8001", metavar="URL", show_default=True,
        help="Where the service is; or REELPRESS_URL.",
    ),
    click.option("--key", envvar="REELPRESS_API_KEY", metavar="KEY", help="API key; better in REELPRESS_API_KEY."),
    click.option("--json", "as_json", is_flag=True, help="Print NDJSON on stdout (docs/jobs-cli.md)."),
)  # fmt: skip
_ID = click.argument("job_id", metavar="ID")
_IDS = click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
# As of compress; text is read by the service, so that its answer counts.
_ENCODING = (
    click.option("--codec", metavar="h264|hevc|av1", help="Codec of the output."),
    click.option("--crf", metavar="NUMBER", help="Quality, lower is better."),
    click.option("--target-vmaf", metavar="VMAF", help="Aim at this quality, searched on samples."),
    click.option("--preset", metavar="NAME", help="CPU preset."),
    click.option("--max-size", metavar="WxH", help="Box to fit, never enlarged."),
    click.option("--max-fps", metavar="RATE", help="Cap on frames per second; none is repeated."),
    click.option("--audio-bitrate", metavar="RATE", help="AAC bit rate for stereo."),
    click.option("--audio-channels", metavar="keep|stereo", help="More than two channels."),
    click.option("--hdr", metavar="tonemap|keep", help="HDR becomes SDR, or stays 10-bit."),
    click.option("--hardware", metavar="auto|require|off", help="Use a GPU where one is proven to work."),
    click.option("--min-saving", metavar="SHARE", help="Share an encode must save to be delivered."),
    click.option("--decode-check", metavar="sampled|whole", help="What the software decoder reads of an output."),
    click.option("--always-encode", is_flag=True, help="Deliver an encode even where it does not pay."),
)


def _with(options: tuple[Callable[[_Command], _Command], ...]) -> Callable[[_Command], _Command]:
    def add(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@click.group(epilog="Example: reelpress jobs submit holiday.mov --watch")
def jobs() -> None:
    """Submit jobs to a service and look after them.

    An INPUT is a file of this machine, which is uploaded, or key:KEY for an object in the service's store, or an http
    or https address. What is not given is as the service has it set.
    """


@jobs.command(epilog="Example: reelpress jobs submit holiday.mov --codec hevc --watch")
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@_with(_ENCODING)
@click.option("--no-transcript", is_flag=True, help="Leave the transcription out.")
@click.option("--priority", type=click.Choice(["high", "normal", "low"]), help="Before or after others [normal].")
@click.option("--webhook", metavar="URL", help="Told when a job ends.")
@click.option("--output-key", metavar="KEY", help="Where in the store the output goes; for one INPUT.")
@click.option("--label", "labels", metavar="NAME=TEXT", multiple=True, help="Comes back in answers and webhooks.")
@click.option("--no-reuse", is_flag=True, help="Do it even where an earlier result is there.")
@click.option("--watch", is_flag=True, help="Follow the jobs to their ends.")
@_with(_REMOTE)
def submit(
    inputs: tuple[str, ...],
    *,
    url: str,
    key: str | None,
    as_json: bool,
    watch: bool,
    no_transcript: bool,
    priority: str | None,
    webhook: str | None,
    output_key: str | None,
    labels: tuple[str, ...],
    no_reuse: bool,
    always_encode: bool,
    **settings: str | None,
) -> None:
    """Submit jobs, one for each INPUT.

    An upload that broke off goes on when the same file is submitted again.
    """
    from reelpress.cli.jobs import run_submit

    asked: dict[str, object] = {name: value for name, value in settings.items() if value is not None}
    asked |= {"always_encode": True} if always_encode else {}
    asked |= {"transcribe": False} if no_transcript else {}
    body: dict[str, object] = {"settings": asked, "priority": priority, "webhook": webhook, "output_key": output_key}
    body |= {"reuse": False} if no_reuse else {}
    code = run_submit(
        inputs, {name: value for name, value in body.items() if value is not None}, labels=labels, watches=watch,
        url=url, key=key, as_json=as_json,
    )  # fmt: skip
    raise click.exceptions.Exit(code)


@jobs.command("list", epilog="Example: reelpress jobs list --status failed --limit 5")
@click.option("--status", "statuses", metavar="STATUS", multiple=True, help="Only these; may be given again.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=20, show_default=True, help="How many at most.")
@_with(_REMOTE)
def list_(statuses: tuple[str, ...], limit: int, *, url: str, key: str | None, as_json: bool) -> None:
    """List jobs, the newest first."""
    from reelpress.cli.jobs import run_list

    raise click.exceptions.Exit(run_list(statuses, limit, url=url, key=key, as_json=as_json))


@jobs.command(epilog="Example: reelpress jobs watch")
@click.argument("job_ids", metavar="[ID...]", nargs=-1)
@_with(_REMOTE)
def watch(job_ids: tuple[str, ...], *, url: str, key: str | None, as_json: bool) -> None:
    """Follow jobs to their ends.

    Without an ID all that are waiting or running now. The exit code is that of the job that ended worst.
    """
    from reelpress.cli.jobs import run_watch

    raise click.exceptions.Exit(run_watch(job_ids, url=url, key=key, as_json=as_json))


@jobs.command(epilog="Example: reelpress jobs cancel ID")
@_IDS
@_with(_REMOTE)
def cancel(job_ids: tuple[str, ...], *, url: str, key: str | None, as_json: bool) -> None:
    """Cancel jobs; a finished one stays as it is."""
    from reelpress.cli.jobs import run_act

    raise click.exceptions.Exit(run_act("cancel", job_ids, url=url, key=key, as_json=as_json))


@jobs.command(epilog="Example: reelpress jobs retry ID")
@_IDS
@_with(_REMOTE)
def retry(job_ids: tuple[str, ...], *, url: str, key: str | None, as_json: bool) -> None:
    """Do jobs again that failed, died or were cancelled."""
    from reelpress.cli.jobs import run_act

    raise click.exceptions.Exit(run_act("retry", job_ids, url=url, key=key, as_json=as_json))


@jobs.command(epilog="Example: reelpress jobs logs ID")
@_ID
@_with(_REMOTE)
def logs(job_id: str, *, url: str, key: str | None, as_json: bool) -> None:
    """Show what happened to a job, and why it failed."""
    from reelpress.cli.jobs import run_logs

    raise click.exceptions.Exit(run_logs(job_id, url=url, key=key, as_json=as_json))


@jobs.command(epilog="Example: reelpress jobs receipt ID --json > receipt.json")
@_ID
@_with(_REMOTE)
def receipt(job_id: str, *, url: str, key: str | None, as_json: bool) -> None:
    """Show the receipt of a job."""
    from reelpress.cli.jobs import run_receipt

    raise click.exceptions.Exit(run_receipt(job_id, url=url, key=key, as_json=as_json))


@jobs.command(epilog="Example: reelpress jobs download ID -o small.mp4")
@_ID
@click.option("-o", "--output", metavar="FILE", type=OUTPUT_PATH, help="Named as the job by default.")
@click.option("--transcript", type=click.Choice(["vtt", "srt", "json"]), help="This instead of the video.")
@click.option("--overwrite", is_flag=True, help="Replace a file that exists.")
@_with(_REMOTE)
def download(
    job_id: str,
    *,
    output: Path | None,
    transcript: str | None,
    overwrite: bool,
    url: str,
    key: str | None,
    as_json: bool,
) -> None:
    """Download what a job made.

    The file appears under its name when it is whole and its hash is right.
    """
    from reelpress.cli.jobs import run_download

    code = run_download(job_id, output, transcript, overwrite=overwrite, url=url, key=key, as_json=as_json)
    raise click.exceptions.Exit(code)
