"""``reelpress ladder``: arguments to a ladder, its receipt to a table or NDJSON."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import IO

from reelpress.api import policy_from
from reelpress.cli.compress import settings_and_request
from reelpress.cli.render import JsonLines, ProgressBars, human_bytes, print_error, print_receipt
from reelpress.cli.stopping import stop_signals
from reelpress.cli.written import refuse_written, write_receipts
from reelpress.probe.host import probe_host
from reelpress.receipt import LadderRecord, Receipt
from reelpress.run.process import CancelToken
from reelpress.stream_engine import LadderWish, make_ladder


def run_ladder(
    file: Path,
    output: Path,
    flags: Mapping[str, str | None],
    *,
    max_size: str,
    rungs: int,
    segment_s: float,
    receipt: Path | None,
    overwrite: bool,
    as_json: bool,
) -> int:
    """Make the ladder and return the exit code. Raises :class:`UsageError`, :class:`OutputError`."""
    if receipt is not None:
        refuse_written("--receipt", receipt, [file, output])
    settings, request = settings_and_request(flags, max_size=max_size, hardware="off", always_encode=True, codec="h264")
    host = probe_host(ffmpeg=settings.ffmpeg, cache_dir=settings.cache_path)
    reader = JsonLines(sys.stdout) if as_json else ProgressBars(sys.stderr)
    cancel = CancelToken()
    with reader, stop_signals() as stop_if, ThreadPoolExecutor(max_workers=1) as pool:
        work = pool.submit(
            make_ladder, file, output, host=host, request=request,
            wish=LadderWish(most_rungs=rungs, segment_s=segment_s), policy=policy_from(settings), overwrite=overwrite,
            on_event=reader.on_event, cancel=cancel,
        )  # fmt: skip
        while not wait([work], timeout=0.1).done:
            if stop_if():
                cancel.cancel()
        made = work.result()
    try:
        if receipt is not None:
            write_receipts(receipt, [made])
    finally:  # what became of the input is told all the same
        if not as_json:
            _show(file, made)
    return made.exit_code


def _show(file: Path, made: Receipt) -> None:
    print_receipt(made, sys.stdout)
    if made.ladder is not None:
        _print_rungs(made.ladder, made, sys.stdout)
    print_error(file.name, made, sys.stderr)


def _print_rungs(ladder: LadderRecord, made: Receipt, out: IO[str]) -> None:
    """Print the rungs as a table of less than 80 columns."""
    rows = [("size", "CRF", "VMAF*", "mean", "peak", "samples said")]
    rows += [
        (
            f"{r.width}x{r.height}", f"{r.crf:g}", f"{r.predicted_vmaf:.1f}", _rate(r.average_bps), _rate(r.peak_bps),
            _rate(r.predicted_bps),
        )
        for r in ladder.rungs
    ]  # fmt: skip
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    print(file=out)
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells), file=out)
    size = made.result.size_bytes if made.result is not None else 0
    sounds = ", ".join(_rate(bps) for bps in ladder.sounds_bps) or "none"
    print(
        f"\n{ladder.segments} segment{'' if ladder.segments == 1 else 's'} of {ladder.segment_s:g} s; sound: {sounds}; "
        f"{human_bytes(size)} in all.",
        file=out,
    )
    print("* of samples, at the size of the top rung.", file=out)


def _rate(bps: int) -> str:
    return f"{bps / 1000:.0f} kb/s"
