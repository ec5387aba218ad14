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
from reelpress.bench.model import BenchRun
from reelpress.bench.page import page
from reelpress.bench.results import rows
from reelpress.bench.runner import run_bench
from reelpress.calibrating.keeping import holding
from reelpress.calibrating.material import scorer_of
from reelpress.calibrating.measure import Scope, measure, with_gpus
from reelpress.cli.bench_files import page_with, read_run, refuse_unwritable, write_whole
from reelpress.cli.bench_screen import print_run
from reelpress.cli.progress_line import ProgressLine
from reelpress.cli.render import human_bytes, plain_text
from reelpress.cli.written import refuse_written
from reelpress.errors import ExitCode, HardwareError, OutputError, ReelpressError, UsageError
from reelpress.facts.host import HostFacts
from reelpress.facts.values import Value, to_json
from reelpress.plan.compress import hardware_absent
from reelpress.probe.calibration import store_calibration
from reelpress.probe.host import default_cache_dir, probe_host
from reelpress.run.temporary import temporary_folder
from reelpress.settings import Settings, load, request_from, split_size
from reelpress.settings_table import quantity

_SIZES = "100MB,300MB,500MB"
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


class _Calibrated(Value, frozen=True, kw_only=True):
    """A machine with what was just measured of it, lines to tell of that, and whether a curve could not be finished."""

    host: HostFacts
    told: tuple[str, ...] = ()
    failed: bool = False


def run_bench_command(wishes: Wishes) -> int:
    """Do what was asked for; the exit code is 1 where a way failed, or a curve of a calibration."""
    before = [read_run(path) for path in wishes.against]
    runs = [read_run(path) for path in wishes.read]
    _refuse_targets(wishes)
    calibration_failed = False
    if not runs:
        run, calibration_failed = _measure(wishes)
        runs = [run]
    unwritten = _keep(wishes, runs)
    for run in runs:
        if wishes.as_json:
            sys.stdout.write(to_json(run).decode() + "\n")
        else:
            print_run(run, before, Console(file=sys.stdout, highlight=False))
    if unwritten:
        raise unwritten[0]  # after what took half an hour is told
    failed = calibration_failed or any(row.failure is not None for run in runs for row in rows(run))
    return int(ExitCode.CHECK_NOT_MET if failed and not wishes.read else ExitCode.DONE)


def _refuse_targets(wishes: Wishes) -> None:
    """Refuse, before an hour is spent, what could not be written after it, and to measure what is only read."""
    measuring = wishes.files or wishes.sizes or wishes.codec or wishes.hardware or wishes.calibrate or wishes.work_dir
    if wishes.read and measuring:
        raise UsageError("--read measures nothing.", hint="Leave out the files, and what says how to measure.")
    if wishes.save is not None:
        if len(wishes.read) > 1:
            raise UsageError("--save saves one run.", hint="Leave it out with several --read.")
        readme_too = [] if wishes.write_readme is None else [wishes.write_readme]
        refuse_written("--save", wishes.save, [*wishes.files, *readme_too])
        refuse_unwritable(wishes.save)
    if wishes.write_readme is not None:
        page_with(wishes.write_readme, "")
        refuse_unwritable(wishes.write_readme)


def _keep(wishes: Wishes, runs: Sequence[BenchRun]) -> list[ReelpressError]:
    """Save runs and put them into the page, which may have changed meanwhile; return what went wrong."""
    unwritten: list[ReelpressError] = []
    if wishes.save is not None:
        try:
            write_whole(wishes.save, to_json(runs[0]) + b"\n")
        except ReelpressError as error:
            unwritten.append(error)
    if wishes.write_readme is not None:
        try:
            write_whole(wishes.write_readme, page_with(wishes.write_readme, page(runs)))
        except ReelpressError as error:
            unwritten.append(error)
    return unwritten


def sizes_of(text: str) -> tuple[int, ...]:
    """Return sizes in bytes of a list as ``100MB,300MB``. Raises :class:`UsageError`."""
    parse = quantity(100_000, 10**11)
    try:
        return tuple(dict.fromkeys(parse(part) for part in text.split(",") if part.strip()))
    except ValueError:
        raise UsageError(f"--sizes cannot be {text!r}.", hint="accepted: 100k to 100G, as 100MB,300MB") from None


def _measure(wishes: Wishes) -> tuple[BenchRun, bool]:
    """Return the run, and whether a curve of its calibration could not be finished, which is told on stderr."""
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
    if request.hardware == "require" and host.gpu_note is not None:
        absent = hardware_absent(host.gpu_note)
        raise HardwareError(absent.reasons[0].text, evidence=host.gpu_note, hint=absent.hint)
    named = [named_input(number, path) for number, path in enumerate(wishes.files, 1)]
    with temporary_folder("reelpress-bench-", root) as folder, ProgressLine(sys.stderr) as progress:
        with_curves = _Calibrated(host=host)
        if wishes.calibrate:
            asked = host if request.hardware == "off" else with_gpus(host, cache_dir=settings.cache_path)
            with_curves = _calibrated(host, asked, settings, folder, progress)
        host = with_curves.host
        inputs = []
        for size in sizes:
            progress.tell(f"making a file of {human_bytes(size)}")
            inputs.append(generated_input(size, ffmpeg=scorer_of(host), folder=folder, width=width, height=height))
        run = run_bench(
            [*inputs, *named], host, request, policy_from(settings), folder, rounds=wishes.rounds,
            on_step=lambda step: progress.tell(f"{step.done} of {step.of} jobs: {step.text}"),
        )  # fmt: skip
    for line in with_curves.told:
        sys.stderr.write(f"{plain_text(line)}\n")
    return run, with_curves.failed


def _calibrated(
    host: HostFacts, surveyed: HostFacts, settings: Settings, folder: Path, progress: ProgressLine
) -> _Calibrated:
    """Calibrate quickly, for this run, what was ``surveyed``; what is stored stays where any of it still holds."""
    found = measure(
        surveyed, Scope(quick=True, width=640, height=360, seconds=2.0, gpu_preset=settings.gpu_preset), folder,
        on_step=lambda step: progress.tell(f"calibrating, {step.done} of {step.of}: {step.text}"),
    )  # fmt: skip
    told = tuple(f"Not calibrated: {label}: {why}" for label, why in found.failed)
    if not found.calibration.curves:
        return _Calibrated(host=host, told=told, failed=True)
    stored = host.calibration
    if stored is not None and holding(stored, surveyed):
        told += (f"The calibration of {stored.made_at[:10]} stays; `reelpress calibrate` makes a new one.",)
    else:
        store_calibration(settings.cache_path or default_cache_dir(), found.calibration)
    host = msgspec.structs.replace(host, calibration=found.calibration)
    return _Calibrated(host=host, told=told, failed=bool(found.failed))


def _refuse_small_disk(root: Path, sizes: Sequence[int], files: Sequence[Path]) -> None:
    largest = max((*sizes, *(path.stat().st_size for path in files if path.is_file())), default=0)
    needed = int(_SPARE * (sum(sizes) + largest))
    free = shutil.disk_usage(root).free
    if free < needed:
        raise OutputError(
            f"{root} has {human_bytes(free)} free; this needs {human_bytes(needed)}.",
            hint="Name another folder with --work-dir, or smaller --sizes.",
        )  # fmt: skip
