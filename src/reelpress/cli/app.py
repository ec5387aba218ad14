"""The program: commands, and how every ending becomes an exit code.

Imports of the engine happen inside the commands, so that ``reelpress --help`` answers at once.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from reelpress.errors import ExitCode, ReelpressError
from reelpress.version import VERSION

app = typer.Typer(
    name="reelpress",
    help="Makes videos small and right, checks what came out, and proves it with a receipt.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

JSON_HELP = "Print events and the receipt as NDJSON on stdout (docs/json.md)."
Json = Annotated[bool, typer.Option("--json", help=JSON_HELP)]
Codec = Annotated[str | None, typer.Option("--codec", metavar="h264|hevc|av1", help="Codec of the output [h264].")]
Crf = Annotated[str | None, typer.Option(help="Quality, lower is better [23 h264, 26 hevc, 34 av1].")]
Preset = Annotated[str | None, typer.Option(help="CPU preset [lean h264, fast hevc, 8 av1].")]
MaxSize = Annotated[str | None, typer.Option(metavar="WxH", help="Box to fit, never enlarged [1280x720].")]
MaxFps = Annotated[str | None, typer.Option(help="Cap on frames per second; none is repeated [30].")]
AudioBitrate = Annotated[str | None, typer.Option(help="AAC bit rate for stereo [128k].")]
AudioChannels = Annotated[str | None, typer.Option(metavar="keep|stereo", help="More than two channels [keep].")]
Hdr = Annotated[str | None, typer.Option(metavar="tonemap|keep", help="HDR becomes SDR, or stays 10-bit [tonemap].")]
Hardware = Annotated[
    str | None, typer.Option(metavar="auto|require|off", help="Use a GPU where one is proven to work [auto].")
]
MaxFileSize = Annotated[str | None, typer.Option(help="Larger inputs are skipped [1GB].")]
MinSaving = Annotated[str | None, typer.Option(help="Share an encode must save to be delivered [0.05].")]
Timeout = Annotated[str | None, typer.Option(help="Seconds one attempt may take [auto].")]
DecodeCheck = Annotated[
    str | None, typer.Option(metavar="sampled|whole", help="What the software decoder reads of an output [sampled].")
]
Always = Annotated[bool, typer.Option("--always-encode", help="Deliver an encode even where it does not pay.")]


def _version(value: bool) -> None:
    if value:
        typer.echo(f"reelpress {VERSION}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""


@app.command(epilog="Example: reelpress compress holiday.mov -o small/ --max-size 1920x1080")
def compress(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT", help="Videos, or folders of videos.")],
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE|DIR", help="Output; beside the input by default.")
    ] = None,
    codec: Codec = None,
    crf: Crf = None,
    preset: Preset = None,
    max_size: MaxSize = None,
    max_fps: MaxFps = None,
    audio_bitrate: AudioBitrate = None,
    audio_channels: AudioChannels = None,
    hdr: Hdr = None,
    hardware: Hardware = None,
    max_file_size: MaxFileSize = None,
    min_saving: MinSaving = None,
    timeout: Timeout = None,
    decode_check: DecodeCheck = None,
    always_encode: Always = False,
    jobs: Annotated[str | None, typer.Option("--jobs", "-j", help="Inputs at the same time [half the cores].")] = None,
    receipt: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the receipt as JSON.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")] = False,
    json_output: Json = False,
) -> None:
    """Compress videos to checked MP4 files.

    The inputs are only ever read. What is not given comes from the environment or .env.
    """
    from reelpress.cli.compress import run_compress

    flags = {
        "codec": codec, "crf": crf, "preset": preset, "max_fps": max_fps, "audio_bitrate_bps": audio_bitrate,
        "audio_channels": audio_channels, "hdr": hdr, "max_input_bytes": max_file_size, "min_saving": min_saving,
        "timeout_s": timeout, "decode_check": decode_check, "jobs": jobs,
    }  # fmt: skip
    code = run_compress(
        inputs, output, flags, max_size=max_size, hardware=hardware, always_encode=always_encode, receipt=receipt,
        overwrite=overwrite, as_json=json_output,
    )  # fmt: skip
    raise typer.Exit(code)


@app.command(epilog="Example: reelpress probe holiday.mov --json")
def probe(
    file: Annotated[Path, typer.Argument(readable=False, metavar="FILE", help="A media file.")],
    json_output: Json = False,
) -> None:
    """Show what a media file is.

    Every stream, its timing and colour, and what is unknown or broken.
    """
    from reelpress.cli.inspect import run_probe

    raise typer.Exit(run_probe(file, as_json=json_output))


@app.command(epilog="Example: reelpress plan holiday.mov --codec hevc")
def plan(
    file: Annotated[Path, typer.Argument(readable=False, metavar="FILE", help="A media file.")],
    codec: Codec = None,
    crf: Crf = None,
    preset: Preset = None,
    max_size: MaxSize = None,
    max_fps: MaxFps = None,
    audio_bitrate: AudioBitrate = None,
    audio_channels: AudioChannels = None,
    hdr: Hdr = None,
    hardware: Hardware = None,
    max_file_size: MaxFileSize = None,
    min_saving: MinSaving = None,
    always_encode: Always = False,
    json_output: Json = False,
) -> None:
    """Explain what compress would do.

    With its reasons and its command; nothing is written.
    """
    from reelpress.cli.inspect import run_plan

    flags = {
        "codec": codec, "crf": crf, "preset": preset, "max_fps": max_fps, "audio_bitrate_bps": audio_bitrate,
        "audio_channels": audio_channels, "hdr": hdr, "max_input_bytes": max_file_size, "min_saving": min_saving,
    }  # fmt: skip
    code = run_plan(file, flags, max_size=max_size, hardware=hardware, always_encode=always_encode, as_json=json_output)
    raise typer.Exit(code)


@app.command(epilog="Example: reelpress doctor --hardware require")
def doctor(hardware: Hardware = None, json_output: Json = False) -> None:
    """Find out what works on this machine.

    Every encoder of every FFmpeg encodes, and its output is decoded and compared.
    """
    from reelpress.cli.doctor import run_doctor

    raise typer.Exit(run_doctor(hardware, as_json=json_output))


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
        # outside standalone mode Typer hands back the code of the Exit that a command raised
        code = int(app(prog_name="reelpress", standalone_mode=False) or ExitCode.DONE)
    except (KeyboardInterrupt, typer.Abort):
        code = int(ExitCode.INTERRUPTED)
    except typer.TyperException as error:
        _show(error)
        code = int(ExitCode.USAGE)
    except ReelpressError as error:
        _complain(error.lines())
        code = int(error.exit_code)
    except SystemExit:  # Typer's own answer to a reader of stdout that went away
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


def _show(error: typer.TyperException) -> None:
    """Print what Typer has to say about the arguments."""
    show = getattr(error, "show", None)
    if callable(show):
        show()
    else:
        _complain([str(error)])


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
