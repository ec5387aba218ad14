"""``reelpress bench``: measure or read runs, print them, save them, put them into a page."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console

from reelpress.api import policy_from
from reelpress.bench.material import generated_input, named_input
from reelpress.bench.model import SCHEMA, BenchRun
from reelpress.bench.page import page, put_into
from reelpress.bench.results import rows
from reelpress.bench.runner import run_bench
from reelpress.calibrating.material import scorer_of
from reelpress.calibrating.measure import Scope, measure, with_gpus
from reelpress.cli.bench_screen import print_run
from reelpress.cli.progress_line import ProgressLine
from reelpress.cli.render import human_bytes
from reelpress.errors import ExitCode, InputError, OutputError, UsageError
from reelpress.facts.values import Value, from_json, to_json
from reelpress.probe.calibration import store_calibration
from reelpress.probe.host import default_cache_dir, probe_host
from reelpress.run.temporary import temporary_folder
from reelpress.settings import load, request_from, split_size
from reelpress.settings_table import quantity

_SIZES = "100MB,300MB,500MB"
_MOST_BYTES = 16 * 2**20  # a saved run has some tens of KB
_SPARE = 1.3  # of what files take: outputs lie beside them, one at a time


class Wishes(Value, frozen=True, kw_only=True):
    """The command's arguments."""

    files: tuple[Path, ...]
    sizes: str | None
    picture: str
    rounds: int
    codec: str | None
    hardware: str | None
    calibrate: bool
    work_dir: Path | None
    save: Path | None
    against: tuple[Path, ...]
    read: tuple[Path, ...]
    write_readme: Path | None
    as_json: bool


def run_bench_command(wishes: Wishes) -> int:
    """Do what was asked for; the exit code is 1 where a way failed."""
    before = [read_run(path) for path in wishes.against]
    if wishes.save is not None and not wishes.save.absolute().parent.is_dir():
        raise UsageError(f"--save {wishes.save}: its folder does not exist.", hint="Create it first.")
    # before an hour is spent
    readme = _readable(wishes.write_readme) if wishes.write_readme is not None else ""
    if wishes.write_readme is not None:
        put_into(readme, "")
    runs = [read_run(path) for path in wishes.read] or [_measure(wishes)]
    if wishes.save is not None:
        if len(runs) != 1:
            raise UsageError("--save saves one run.", hint="Leave it out with several --read.")
        _write(wishes.save, to_json(runs[0]) + b"\n")
    if wishes.write_readme is not None:
        _write(wishes.write_readme, put_into(readme, page(runs)).encode())
    for run in runs:
        if wishes.as_json:
            sys.stdout.write(to_json(run).decode() + "\n")
        else:
            print_run(run, before, Console(file=sys.stdout, highlight=False))
    failed = any(row.failure is not None for run in runs for row in rows(run))
    return int(ExitCode.CHECK_NOT_MET if failed and not wishes.read else ExitCode.DONE)


def read_run(path: Path) -> BenchRun:
    """Return a saved run. Raises :class:`InputError` for a file that is none."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"{path} is no saved run: it is too large.")
        run = from_json(path.read_bytes(), BenchRun)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise InputError(f"{path} is no saved run of `reelpress bench`.", evidence=str(error)) from error
    if run.schema != SCHEMA:
        raise InputError(f"{path} has form {run.schema}; this version reads {SCHEMA}.")
    return run


def sizes_of(text: str) -> tuple[int, ...]:
    """Return sizes in bytes of a list as ``100MB,300MB``. Raises :class:`UsageError`."""
    parse = quantity(100_000, 10**11)
    try:
        return tuple(dict.fromkeys(parse(part) for part in text.split(",") if part.strip()))
    except ValueError:
        raise UsageError(f"--sizes cannot be {text!r}.", hint="accepted: 100k to 100G, as 100MB,300MB") from None


def _measure(wishes: Wishes) -> BenchRun:
    settings = load({"codec": wishes.codec})
    request = request_from(settings, hardware=wishes.hardware)
    sizes = sizes_of(wishes.sizes if wishes.sizes is not None else "" if wishes.files else _SIZES)
    width, height = split_size(wishes.picture)
    if not (160 <= width <= 8192 and 160 <= height <= 8192) or width % 2 or height % 2:
        raise UsageError(f"--picture cannot be {wishes.picture!r}.", hint="accepted: even sides from 160 to 8192")
    if not sizes and not wishes.files:
        raise UsageError("There is nothing to measure with.", hint="Give --sizes, or name files.")
    root = wishes.work_dir or Path(tempfile.gettempdir())
    if not root.is_dir():
        raise UsageError(f"--work-dir {root} is no folder.", hint="Create it first.")
    _refuse_small_disk(root, sizes, wishes.files)
    host = probe_host(ffmpeg=settings.ffmpeg, cache_dir=settings.cache_path)
    with temporary_folder("reelpress-bench-", root) as folder, ProgressLine(sys.stderr) as progress:
        if wishes.calibrate:
            found = measure(
                with_gpus(host, cache_dir=settings.cache_path),
                Scope(quick=True, width=640, height=360, seconds=2.0, gpu_preset=settings.gpu_preset), folder,
                on_step=lambda step: progress.tell(f"calibrating, {step.done} of {step.of}: {step.text}"),
            )  # fmt: skip
            store_calibration(settings.cache_path or default_cache_dir(), found.calibration)
            host = msgspec.structs.replace(host, calibration=found.calibration)
        inputs = []
        for size in sizes:
            progress.tell(f"making a file of {human_bytes(size)}")
            inputs.append(generated_input(size, ffmpeg=scorer_of(host), folder=folder, width=width, height=height))
        inputs += [named_input(number, path) for number, path in enumerate(wishes.files, 1)]
        return run_bench(
            inputs, host, request, policy_from(settings), folder, rounds=wishes.rounds,
            on_step=lambda step: progress.tell(f"{step.done} of {step.of} jobs: {step.text}"),
        )  # fmt: skip


def _refuse_small_disk(root: Path, sizes: Sequence[int], files: Sequence[Path]) -> None:
    largest = max((*sizes, *(path.stat().st_size for path in files if path.is_file())), default=0)
    needed = int(_SPARE * (sum(sizes) + largest))
    free = shutil.disk_usage(root).free
    if free < needed:
        raise OutputError(
            f"{root} has {human_bytes(free)} free; this needs {human_bytes(needed)}.",
            hint="Name another folder with --work-dir, or smaller --sizes.",
        )  # fmt: skip


def _readable(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--write-readme {path} cannot be read.", evidence=str(error)) from error


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise OutputError(f"{path} could not be written.", evidence=str(error)) from error
