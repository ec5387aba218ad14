"""``reelpress compress``: arguments to items, events to a progress bar or NDJSON, receipts to text and exit code."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

from reelpress.api import policy_from
from reelpress.batch import collect, run_batch
from reelpress.cli.options import refuse_unnamed_output
from reelpress.cli.render import JsonLines, ProgressBars, print_error, print_receipt
from reelpress.cli.stopping import stop_signals
from reelpress.cli.written import refuse_written, write_receipts
from reelpress.errors import ExitCode, UsageError
from reelpress.look import Look
from reelpress.probe.host import probe_host
from reelpress.receipt import Receipt
from reelpress.request import Request
from reelpress.run.process import CancelToken
from reelpress.settings import Settings, check_hardware, load, request_from, split_size

# The worst ending of several inputs is the run's own; among these the first that occurred wins.
_SEVERITY = (
    ExitCode.INTERRUPTED,
    ExitCode.BUG,
    ExitCode.OUTPUT_FAILED,
    ExitCode.HARDWARE_ABSENT,
    ExitCode.INPUT_UNUSABLE,
    ExitCode.USAGE,
    ExitCode.CHECK_NOT_MET,
)


def settings_and_request(
    flags: Mapping[str, str | None],
    *,
    max_size: str | None,
    hardware: str | None,
    always_encode: bool,
    codec: str | None = None,
) -> tuple[Settings, Request]:
    """Read settings under the given flags; ``codec`` as :func:`load` takes it. Raises :class:`UsageError`."""
    width, height = split_size(max_size) if max_size is not None else (None, None)
    box = {"max_width": None if width is None else str(width), "max_height": None if height is None else str(height)}
    check_hardware(hardware)
    settings = load({**flags, **box}, codec=codec)
    return settings, request_from(settings, hardware=hardware, always_encode=always_encode)


def run_compress(
    inputs: Sequence[str],
    output: str | None,
    flags: Mapping[str, str | None],
    *,
    max_size: str | None,
    hardware: str | None,
    always_encode: bool,
    receipt: Path | None,
    overwrite: bool,
    quote: bool,
    as_json: bool,
    look: Future[Look] | None,
    cancel: CancelToken,
) -> int:
    """Compress everything that was named and return the exit code; ``look`` is one at the first input, begun early.

    With ``quote`` every input is quoted first.
    """
    if not all(inputs):
        # an unset variable in a script must not mean the whole working folder
        raise UsageError("An input's name is empty.", hint="Name a file or a folder; this folder is `.`")
    refuse_unnamed_output(output)
    items = collect([Path(name) for name in inputs], output)
    if receipt is not None:
        refuse_written("--receipt", receipt, [video for item in items for video in (item.source, item.target)])
    settings, request = settings_and_request(flags, max_size=max_size, hardware=hardware, always_encode=always_encode)
    host = probe_host(ffmpeg=settings.ffmpeg, cache_dir=settings.cache_path)
    if quote:
        from reelpress.cli.quote import quoted

        items = quoted(
            items, host=host, request=request, policy=policy_from(settings), as_json=as_json,
            first_looked_at=look is not None,
        )  # fmt: skip
    reader = JsonLines(sys.stdout) if as_json else ProgressBars(sys.stderr)
    with reader, stop_signals() as stop_if:
        receipts = run_batch(
            items, host=host, request=request, policy=policy_from(settings), jobs=settings.jobs,
            overwrite=overwrite, on_event=reader.on_event, cancel=cancel, stop_if=stop_if, look=look,
        )  # fmt: skip
    try:
        if receipt is not None:
            write_receipts(receipt, receipts)
    finally:  # what became of the inputs is told all the same
        if not as_json:
            _show(receipts)
    return exit_code(receipts)


def _show(receipts: Sequence[Receipt]) -> None:
    if len(receipts) == 1:
        names = [Path(receipts[0].input).name]
        print_receipt(receipts[0], sys.stdout)
    else:
        from reelpress.cli.summary import print_summary, short_names

        names = short_names(receipts)
        print_summary(receipts, names, sys.stdout)
    for name, one in zip(names, receipts, strict=True):
        print_error(name, one, sys.stderr)


def exit_code(receipts: Sequence[Receipt]) -> int:
    """Return one code for all: the gravest, 0 when every input ended well."""
    codes = {ExitCode(r.exit_code) for r in receipts}
    return int(next((code for code in _SEVERITY if code in codes), ExitCode.DONE))
