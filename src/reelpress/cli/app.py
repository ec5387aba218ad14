"""The program: commands, and how every ending becomes an exit code.

Imports of the engine happen inside the commands, so that ``reelpress --help`` answers at once.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

import click

from reelpress.cli.jobs_app import jobs
from reelpress.errors import ExitCode, ReelpressError
from reelpress.version import VERSION

_Command = Callable[..., None]
_Option = Callable[[_Command], _Command]
_JSON = click.option(
    "--json", "json_output", is_flag=True, help="Print events and the receipt as NDJSON on stdout (docs/json.md)."
)
_FILE = click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
_HARDWARE = click.option("--hardware", metavar="auto|require|off", help="Use a GPU where one is proven to work [auto].")
# What shapes an encode, for every command that plans one. Values stay text here: the settings table reads them.
_ENCODING = (
    click.option("--codec", metavar="h264|hevc|av1", help="Codec of the output [h264]."),
    click.option("--crf", metavar="NUMBER", help="Quality, lower is better [23 h264, 26 hevc, 34 av1]."),
    click.option("--preset", metavar="NAME", help="CPU preset [lean h264, fast hevc, 8 av1]."),
    click.option("--max-size", metavar="WxH", help="Box to fit, never enlarged [1280x720]."),
    click.option("--max-fps", metavar="RATE", help="Cap on frames per second; none is repeated [30]."),
    click.option("--audio-bitrate", "audio_bitrate_bps", metavar="RATE", help="AAC bit rate for stereo [128k]."),
    click.option("--audio-channels", metavar="keep|stereo", help="More than two channels [keep]."),
    click.option("--hdr", metavar="tonemap|keep", help="HDR becomes SDR, or stays 10-bit [tonemap]."),
    _HARDWARE,
    click.option("--max-file-size", "max_input_bytes", metavar="SIZE", help="Larger inputs are skipped [1GB]."),
    click.option("--min-saving", metavar="SHARE", help="Share an encode must save to be delivered [0.05]."),
    click.option("--always-encode", is_flag=True, help="Deliver an encode even where it does not pay."),
)


def _with(options: Sequence[_Option]) -> Callable[[_Command], _Command]:
    def add(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.version_option(VERSION, prog_name="reelpress", message="%(prog)s %(version)s")
def app() -> None:
    """Make videos small and right, check what came out, and prove it with a receipt."""


@app.command(epilog="Example: reelpress compress holiday.mov -o small/ --max-size 1920x1080")
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@click.option("-o", "--output", metavar="FILE|DIR", help="Output; beside the input by default.")
@_with(_ENCODING)
@click.option("--timeout", "timeout_s", metavar="SECONDS", help="Time one attempt may take [auto].")
@click.option("--decode-check", metavar="sampled|whole", help="What the software decoder reads of an output [sampled].")
@click.option("-j", "--jobs", metavar="N", help="Inputs at the same time [half the cores].")
@click.option("--receipt", metavar="FILE", type=click.Path(path_type=Path), help="Write the receipt as JSON.")
@click.option("--overwrite", is_flag=True, help="Replace an output that exists.")
@_JSON
def compress(
    inputs: tuple[str, ...],
    output: str | None,
    *,
    max_size: str | None,
    hardware: str | None,
    always_encode: bool,
    receipt: Path | None,
    overwrite: bool,
    json_output: bool,
    **flags: str | None,
) -> None:
    """Compress videos, or folders of videos, to checked MP4 files.

    The inputs are only ever read. What is not given comes from the environment or .env.
    """
    from reelpress.cli.early import first_look
    from reelpress.run.process import CancelToken

    cancel = CancelToken()
    with first_look(inputs, cancel) as look:
        from reelpress.cli.compress import run_compress

        code = run_compress(
            inputs, output, flags, max_size=max_size, hardware=hardware, always_encode=always_encode,
            receipt=receipt, overwrite=overwrite, as_json=json_output, look=look, cancel=cancel,
        )  # fmt: skip
    raise click.exceptions.Exit(code)


@app.command(epilog="Example: reelpress probe holiday.mov --json")
@_FILE
@_JSON
def probe(file: Path, *, json_output: bool) -> None:
    """Show what a media file is.

    Every stream, its timing and colour, and what is unknown or broken.
    """
    from reelpress.cli.inspect import run_probe

    raise click.exceptions.Exit(run_probe(file, as_json=json_output))


@app.command(epilog="Example: reelpress plan holiday.mov --codec hevc")
@_FILE
@_with(_ENCODING)
@_JSON
def plan(
    file: Path,
    *,
    max_size: str | None,
    hardware: str | None,
    always_encode: bool,
    json_output: bool,
    **flags: str | None,
) -> None:
    """Explain what compress would do.

    With its reasons and its command; nothing is written.
    """
    from reelpress.cli.inspect import run_plan

    code = run_plan(file, flags, max_size=max_size, hardware=hardware, always_encode=always_encode, as_json=json_output)
    raise click.exceptions.Exit(code)


@app.command(epilog="Example: reelpress doctor --hardware require")
@_HARDWARE
@_JSON
def doctor(hardware: str | None, *, json_output: bool) -> None:
    """Find out what works on this machine.

    Every encoder of every FFmpeg encodes, and its output is decoded and compared.
    """
    from reelpress.cli.doctor import run_doctor

    raise click.exceptions.Exit(run_doctor(hardware, as_json=json_output))


_MODELS_DIR = click.option("--dir", "models_dir", metavar="FOLDER", help="Where models are [the Hugging Face cache].")


@app.group()
def models() -> None:
    """Get the models that make speech text."""


@models.command("download", epilog="Example: reelpress models download small")
@click.argument("name", metavar="NAME")
@_MODELS_DIR
def download_model(name: str, models_dir: str | None) -> None:
    """Download a model.

    NAME is one of Whisper's, or OWNER/REPOSITORY. Nothing else ever downloads any.
    """
    from reelpress.cli.models import run_download

    raise click.exceptions.Exit(run_download(name, models_dir))


@models.command("list")
@_MODELS_DIR
def list_models(models_dir: str | None) -> None:
    """List Whisper's models, and those that are here."""
    from reelpress.cli.models import run_list

    raise click.exceptions.Exit(run_list(models_dir))


_SERVICE = (
    click.option("--data-dir", metavar="DIR", help="Database, objects, scratch [reelpress-data]."),
    click.option("--database-url", metavar="URL", help="Postgres instead of SQLite in the folder."),
)
_WORKING = (
    *_SERVICE,
    click.option("--storage-url", metavar="URL", help="Object store instead of the folder."),
    click.option("--worker-jobs", metavar="N", help="Jobs at once [half the cores]."),
    click.option("--grace", "grace_s", metavar="SECONDS", help="For jobs at the end, then handed back [8]."),
)


@app.command(epilog="Example: reelpress serve --port 8001 --data-dir /srv/reelpress")
@_with(_WORKING)
@click.option("--host", metavar="ADDRESS", help="Listen here; beyond this machine keys are needed [127.0.0.1].")
@click.option("--port", metavar="PORT", help="Listen here [8001].")
def serve(**flags: str | None) -> None:
    """Serve the HTTP API, and do its jobs.

    Everything is kept in one folder, unless a database or a store is named.
    """
    from reelpress.cli.serve import run_serve

    raise click.exceptions.Exit(run_serve(flags))


@app.command(epilog="Example: reelpress worker --database-url postgresql://db/videos --storage-url s3://videos")
@_with(_WORKING)
@click.option("--health-port", metavar="PORT", type=click.IntRange(0, 65535), help="Answer /health and /ready here.")
def worker(*, health_port: int | None, **flags: str | None) -> None:
    """Do the jobs of a service.

    On as many machines as share its database and its store.
    """
    from reelpress.cli.serve import run_worker

    raise click.exceptions.Exit(run_worker(flags, health_port=health_port))


@app.command(epilog="Example: export REELPRESS_DATABASE_URL=$(reelpress postgres)")
@click.option("--data-dir", metavar="DIR", help="Its data are in here [reelpress-data].")
@click.option("--stop", is_flag=True, help="Stop it; the data stay.")
def postgres(data_dir: str | None, *, stop: bool) -> None:
    """Start a Postgres of your own, to try several workers.

    It goes on in the background, and prints its address.
    """
    from reelpress.cli.postgres import run_postgres

    raise click.exceptions.Exit(run_postgres(data_dir, stop=stop))


@app.group()
def keys() -> None:
    """Make, list and revoke API keys."""


@keys.command("create", epilog="Example: reelpress keys create --user ann --expires 90")
@click.option("--user", required=True, metavar="NAME", help="Whose key it is.")
@click.option("--scope", "scopes", metavar="read|write|admin", multiple=True, help="Repeatable [read and write].")
@click.option("--label", metavar="TEXT", default="", help="What it is for.")
@click.option("--expires", metavar="DAYS", type=click.FloatRange(0.001, 36500), help="Days it is good for [no end].")
@_with(_SERVICE)
@_JSON
def keys_create(
    user: str, *, scopes: tuple[str, ...], label: str, expires: float | None, json_output: bool, **flags: str | None
) -> None:
    """Make a key, and print it this once."""
    from reelpress.cli.keys import run_create

    code = run_create(flags, user, scopes=scopes, label=label, expires_days=expires, as_json=json_output)
    raise click.exceptions.Exit(code)


@keys.command("list")
@_with(_SERVICE)
@_JSON
def keys_list(*, json_output: bool, **flags: str | None) -> None:
    """List the keys, without their secrets."""
    from reelpress.cli.keys import run_list

    raise click.exceptions.Exit(run_list(flags, as_json=json_output))


@keys.command("revoke")
@click.argument("key_id", metavar="ID")
@_with(_SERVICE)
@_JSON
def keys_revoke(key_id: str, *, json_output: bool, **flags: str | None) -> None:
    """Make a key open nothing any more."""
    from reelpress.cli.keys import run_revoke

    raise click.exceptions.Exit(run_revoke(flags, key_id, as_json=json_output))


app.add_command(jobs)

# The engine explains what becomes of files; these reach us from nothing but our own stdout.
_STDOUT_FAILS = frozenset({errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EIO})


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Run the program; the console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # JSON is UTF-8 whatever the locale; text shows what it can
            stream.reconfigure(encoding="utf-8" if "--json" in sys.argv else None, errors="backslashreplace")
    signal.signal(signal.SIGTERM, _terminate)  # a service manager's stop cleans up like Ctrl-C
    try:
        # outside standalone mode Click hands back the code of the Exit that a command raised
        code = int(app(prog_name="reelpress", standalone_mode=False) or ExitCode.DONE)
    except (KeyboardInterrupt, click.Abort):
        code = int(ExitCode.INTERRUPTED)
    except click.ClickException as error:
        error.show()
        code = int(ExitCode.USAGE)
    except ReelpressError as error:
        _complain(error.lines())
        code = int(error.exit_code)
    except SystemExit:  # Click's own answer to a reader of stdout that went away
        code = int(ExitCode.OUTPUT_FAILED)
    except Exception as error:  # noqa: BLE001 - the last resort: our bug, said in our way
        code = _last_resort(error)
    try:
        sys.stdout.flush()
    except OSError:  # what is still in the buffer must not fail again while Python shuts down
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = code or int(ExitCode.OUTPUT_FAILED)
    sys.exit(code)


def _complain(lines: list[str]) -> None:
    from reelpress.cli.render import plain_text

    first, *rest = (plain_text(line) for line in lines)
    print(f"reelpress: {first}", file=sys.stderr)  # noqa: T201
    for line in rest:
        print(f"  {line}", file=sys.stderr)  # noqa: T201


def _last_resort(error: Exception) -> int:
    if isinstance(error, OSError) and error.errno in _STDOUT_FAILS:
        _complain(["The result could not be printed.", f"evidence: {error.strerror}"])
        return int(ExitCode.OUTPUT_FAILED)
    import traceback

    where = traceback.extract_tb(error.__traceback__)[-1]
    evidence = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
    _complain(["This is a bug in Reelpress.", f"evidence: {evidence}", "hint: report it with the command and file"])
    if os.environ.get("REELPRESS_TRACEBACK"):
        traceback.print_exception(error)
    return int(ExitCode.BUG)
