"""``reelpress parity``: files to comparisons, comparisons to tables or JSON, and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import IO

import click

from reelpress.api import policy_from
from reelpress.cli.compress import settings_and_request
from reelpress.cli.render import human_bytes, plain_text, print_rows
from reelpress.cli.stopping import stop_signals
from reelpress.errors import ExitCode
from reelpress.facts.parity import Parity, ParitySide, ParityVerdict
from reelpress.facts.values import to_json
from reelpress.parity import check_parity
from reelpress.probe.host import probe_host
from reelpress.run.process import CancelToken

_COLOURS: Mapping[ParityVerdict, str] = {"passed": "green", "warned": "yellow", "failed": "red", "unmeasured": "yellow"}
_GATES = {"cpu_vmaf": "CPU VMAF", "gpu_vmaf": "GPU VMAF", "vmaf_loss": "GPU against CPU", "size": "size"}
_TICK_S = 0.1
# The gravest of several endings is the run's own.
_SEVERITY = (
    ExitCode.INTERRUPTED, ExitCode.BUG, ExitCode.OUTPUT_FAILED, ExitCode.HARDWARE_ABSENT, ExitCode.INPUT_UNUSABLE,
    ExitCode.USAGE, ExitCode.CHECK_NOT_MET,
)  # fmt: skip


def run_parity(
    files: Sequence[Path], flags: Mapping[str, str | None], *, max_size: str | None, whole: bool, as_json: bool
) -> int:
    """Compare all files, one after another, and return the exit code. Raises :class:`UsageError`."""
    settings, request = settings_and_request(flags, max_size=max_size, hardware="require", always_encode=True)
    host = probe_host(ffmpeg=settings.ffmpeg, cache_dir=settings.cache_path)
    policy, cancel = policy_from(settings), CancelToken()
    found: list[Parity] = []

    def work() -> None:
        for file in files:
            one = check_parity(file, host=host, request=request, policy=policy, whole=whole, cancel=cancel)
            found.append(one)
            print_json(one, sys.stdout) if as_json else print_parity(one, sys.stdout)
            if one.exit_code in (ExitCode.HARDWARE_ABSENT, ExitCode.INTERRUPTED):
                break  # the others would end alike

    with stop_signals() as stop_if, ThreadPoolExecutor(max_workers=1) as pool:
        working = pool.submit(work)
        while not wait([working], timeout=_TICK_S).done:
            if stop_if():
                cancel.cancel()
        working.result()  # raises what it came to: files that were not looked at are none that passed
    codes = {ExitCode(one.exit_code) for one in found}
    return int(next((code for code in _SEVERITY if code in codes), ExitCode.DONE))


def print_json(one: Parity, out: IO[str]) -> None:
    """Print one file as a line of JSON."""
    out.write(to_json(one).decode() + "\n")
    out.flush()


def print_parity(one: Parity, out: IO[str]) -> None:
    """Print one file for a person."""
    click.echo(click.style(one.verdict, fg=_COLOURS[one.verdict], bold=True) + f"  {plain_text(one.input)}", file=out)
    rows = [(name, _side(side)) for name, side in (("CPU", one.cpu), ("GPU", one.gpu)) if side is not None]
    if one.between_vmaf is not None:
        rows.append(("between", f"VMAF {one.between_vmaf:.2f} of the GPU's output against the CPU's"))
    rows += [
        (_GATES[gate.name], f"{gate.verdict}: {gate.measured}, {gate.expected} wanted") for gate in one.gates
    ]  # fmt: skip
    if one.stretches:
        total = sum(stretch.duration_s for stretch in one.stretches)
        rows.append(("taken", f"about {total:.0f} s in {len(one.stretches)} stretches"))
    rows += [
        (label, text) for label, text in (("error", one.error), ("evidence", one.evidence), ("hint", one.hint)) if text
    ]
    print_rows(rows, out)


def _side(side: ParitySide) -> str:
    score = f"VMAF {side.vmaf:.2f}" if side.vmaf is not None else "VMAF unknown"
    worst = f" (worst second {side.worst_vmaf:.2f})" if side.worst_vmaf is not None else ""
    on = f" on {side.gpu}" if side.gpu else ""
    return (
        f"{side.encoder}{on} at {side.setting:g}: {score}{worst}, {human_bytes(side.size_bytes)}, {side.wall_s:.1f} s"
    )
