"""The program: commands, and how every ending becomes an exit code.

Imports of the engine happen inside the commands, so that ``reelpress --help`` answers at once.
"""

from __future__ import annotations

import errno
import gc
import io
import os
import signal
import sys
from pathlib import Path
from types import FrameType

import click

from reelpress.cli.bench_app import bench
from reelpress.cli.calibrate_app import calibrate
from reelpress.cli.clips_app import clips
from reelpress.cli.compare_app import COMMANDS as COMPARE_COMMANDS
from reelpress.cli.costs_app import COMMANDS as COST_COMMANDS
from reelpress.cli.jobs_app import jobs
from reelpress.cli.ladder_app import ladder
from reelpress.cli.options import GATES, HARDWARE, JSON, with_options
from reelpress.cli.parity_app import parity
from reelpress.cli.quote_app import quote_command
from reelpress.cli.service_app import COMMANDS as SERVICE_COMMANDS
from reelpress.errors import ExitCode, ReelpressError
from reelpress.version import VERSION

_FILE = click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
# What shapes an encode, for every command that plans one. Values stay text here: the settings table reads them.
_ENCODING = (
    click.option("--codec", metavar="h264|hevc|av1", help="Codec of the output [h264]."),
    click.option("--crf", metavar="NUMBER", help="Quality, lower is better [23 h264, 26 hevc, 34 av1]."),
    click.option("--target-vmaf", metavar="VMAF", help="Aim at this quality, searched on samples [none]."),
    click.option("--preset", metavar="NAME", help="CPU preset [lean h264, fast hevc, 8 av1]."),
    click.option("--max-size", metavar="WxH", help="Box to fit, never enlarged [1280x720]."),
    click.option("--max-fps", metavar="RATE", help="Cap on frames per second; none is repeated [30]."),
    click.option("--resolution", metavar="fixed|auto", help="Size within the box: its own, or by samples [fixed]."),
    click.option("--audio-bitrate", "audio_bitrate_bps", metavar="RATE", help="AAC bit rate for stereo [128k]."),
    click.option("--audio-channels", metavar="keep|stereo", help="More than two channels [keep]."),
    click.option("--hdr", metavar="tonemap|keep", help="HDR becomes SDR, or stays 10-bit [tonemap]."),
    HARDWARE,
    click.option("--max-file-size", "max_input_bytes", metavar="SIZE", help="Larger inputs are skipped [1GB]."),
    click.option("--min-saving", metavar="SHARE", help="Share an encode must save to be delivered [0.05]."),
    click.option("--always-encode", is_flag=True, help="Deliver an encode even where it does not pay."),
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.version_option(VERSION, prog_name="reelpress", message="%(prog)s %(version)s")
def app() -> None:
    """Make videos small and right, check what came out, and prove it with a receipt."""


@app.command(epilog="Example: reelpress compress holiday.mov -o small/ --max-size 1920x1080")
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@click.option("-o", "--output", metavar="FILE|DIR", help="Output; beside the input by default.")
@with_options(_ENCODING)
@with_options(GATES)
@click.option("--timeout", "timeout_s", metavar="SECONDS", help="Time one attempt may take [auto].")
@click.option("--decode-check", metavar="sampled|whole", help="What the software decoder reads of an output [sampled].")
@click.option("-j", "--jobs", metavar="N", help="Inputs at the same time [by cores and size].")
@click.option("--receipt", metavar="FILE", type=click.Path(path_type=Path), help="Write the receipt as JSON.")
@click.option("--overwrite", is_flag=True, help="Replace an output that exists.")
@click.option("--quote", is_flag=True, help="Say first what each will come to, and keep that in its receipt.")
@JSON
def compress(
    inputs: tuple[str, ...],
    output: str | None,
    *,
    max_size: str | None,
    hardware: str | None,
    always_encode: bool,
    receipt: Path | None,
    overwrite: bool,
    quote: bool,
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

        gc.freeze()  # what was imported stays: it need not be looked through, now or at the end
        gc.enable()
        code = run_compress(
            inputs, output, flags, max_size=max_size, hardware=hardware, always_encode=always_encode,
            receipt=receipt, overwrite=overwrite, quote=quote, as_json=json_output, look=look, cancel=cancel,
        )  # fmt: skip
    raise click.exceptions.Exit(code)


@app.command(epilog="Example: reelpress probe holiday.mov --json")
@_FILE
@JSON
def probe(file: Path, *, json_output: bool) -> None:
    """Show what a media file is.

    Every stream, its timing and colour, and what is unknown or broken.
    """
    from reelpress.cli.inspect import run_probe

    raise click.exceptions.Exit(run_probe(file, as_json=json_output))


@app.command(epilog="Example: reelpress plan holiday.mov --codec hevc")
@_FILE
@with_options(_ENCODING)
@JSON
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
@HARDWARE
@JSON
def doctor(hardware: str | None, *, json_output: bool) -> None:
    """Find out what works on this machine.

    Every encoder of every FFmpeg encodes, and its output is decoded and compared.
    """
    from reelpress.cli.doctor import run_doctor

    raise click.exceptions.Exit(run_doctor(hardware, as_json=json_output))


for _command in (
    quote_command(_ENCODING), clips, ladder, *SERVICE_COMMANDS, jobs, *COST_COMMANDS, *COMPARE_COMMANDS, parity,
    calibrate, bench,
):  # fmt: skip
    app.add_command(_command)

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
        code = int(app(prog_name="reelpress", standalone_mode=False, color=_colour()) or ExitCode.DONE)
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


def _colour() -> bool | None:
    """Return ``False`` where nobody wants colours (no-color.org, a terminal that knows none), else ``None``."""
    return False if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None


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
