"""``reelpress calibrate``: measure, store, show."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reelpress.calibrating.keeping import together
from reelpress.calibrating.measure import Measured, Scope, Step, measure, with_gpus
from reelpress.calibrating.summary import COLUMNS, Row, summary
from reelpress.cli.progress_line import ProgressLine
from reelpress.cli.render import human_time, plain_text
from reelpress.errors import ExitCode, OutputError, UsageError
from reelpress.facts.calibration import Calibration
from reelpress.facts.host import HostFacts
from reelpress.facts.values import Value, to_json
from reelpress.plan.calibration import CurveState, EqualQuality, curve_states
from reelpress.probe.calibration import calibration_file, forget_calibration, read_calibration, store_calibration
from reelpress.probe.host import default_cache_dir, probe_host
from reelpress.run.temporary import temporary_folder
from reelpress.settings import Settings, load, split_size

_QUICK = {"width": 640, "height": 360, "seconds": 2.0}


class CalibrationReport(Value, frozen=True, kw_only=True, tag_field="event", tag="calibration"):
    """What ``--json`` prints: the points, what they say, which curves hold now, and what could not be finished.

    ``kept`` are names of curves of the calibration before. ``not_stored`` is a sentence where that one stays instead.
    """

    calibration: Calibration
    rows: tuple[Row, ...]
    curves: tuple[CurveState, ...]
    failed: tuple[tuple[str, str], ...] = ()
    kept: tuple[str, ...] = ()
    not_stored: str | None = None
    file: str


def run_calibrate(
    files: Sequence[Path],
    *,
    quick: bool,
    all_presets: bool,
    only_files: bool,
    clip_size: str | None,
    clip_seconds: str | None,
    show: bool,
    forget: bool,
    as_json: bool,
) -> int:
    """Do what was asked for and return the exit code: 1 where a curve could not be finished, or nothing was stored."""
    measuring = bool(files or quick or all_presets or only_files or clip_size or clip_seconds)
    _refuse_more_than_asked(show=show, forget=forget, measuring=measuring)
    settings = load()
    folder = settings.cache_path or default_cache_dir()
    if forget:
        was_there = forget_calibration(folder)
        print("Forgotten." if was_there else "There was no calibration.", file=sys.stderr)  # noqa: T201
        return int(ExitCode.DONE)
    host = with_gpus(probe_host(ffmpeg=settings.ffmpeg, cache_dir=settings.cache_path), cache_dir=settings.cache_path)
    if show:
        if host.calibration is None:
            raise UsageError("Nothing was measured on this machine yet.", hint="Run `reelpress calibrate`.")
        return _tell(_report(host.calibration, host, folder), as_json=as_json, took_s=None)
    scope = _scope(files, settings, quick, all_presets, only_files, clip_size, clip_seconds)
    started = time.monotonic()
    with (
        temporary_folder("reelpress-calibrate-", Path(tempfile.gettempdir())) as work,
        ProgressLine(sys.stderr) as progress,
    ):
        measured = measure(host, scope, work, on_step=lambda step: progress.tell(_step_text(step)))
    report, unwritten = _stored(measured, host, folder)
    code = _tell(report, as_json=as_json, took_s=time.monotonic() - started)
    if unwritten is not None:
        raise unwritten  # after minutes of measuring what was found is told first
    return code


def _refuse_more_than_asked(*, show: bool, forget: bool, measuring: bool) -> None:
    """Refuse what only one part of could be done, before minutes of measuring are taken away by it."""
    if show and forget:
        raise UsageError("--show and --forget contradict each other.", hint="Give one of them.")
    if measuring and (show or forget):
        name = "--show" if show else "--forget"
        raise UsageError(f"{name} measures nothing.", hint="Leave out the files, and what says how to measure.")


def _stored(measured: Measured, host: HostFacts, folder: Path) -> tuple[CalibrationReport, OutputError | None]:
    """Store what was measured beside, or not at all, what was before; return what to tell, and what went wrong."""
    keeping = together(measured.calibration, measured.unfinished, read_calibration(folder), host)
    unwritten = None
    if keeping.store is not None:
        try:
            store_calibration(folder, keeping.store)
        except OutputError as error:
            unwritten = error
    report = msgspec.structs.replace(
        _report(keeping.store or measured.calibration, host, folder),
        failed=measured.failed, kept=tuple(f"{curve.encoder} {curve.preset}" for curve in keeping.kept),
        not_stored=unwritten.what if unwritten is not None else keeping.why_not,
    )  # fmt: skip
    return report, unwritten


def _scope(
    files: Sequence[Path], settings: Settings, quick: bool, all_presets: bool, only_files: bool,
    clip_size: str | None, clip_seconds: str | None,
) -> Scope:  # fmt: skip
    if only_files and not files:
        raise UsageError("--only-files without a file leaves nothing to encode.", hint="Name files.")
    if quick and all_presets:
        raise UsageError("--quick and --all-presets contradict each other.", hint="Give one of them.")
    scope = Scope(
        files=tuple(str(file) for file in files), generated=not only_files, quick=quick, all_presets=all_presets,
        gpu_preset=settings.gpu_preset,
    )  # fmt: skip
    if quick:
        scope = msgspec.structs.replace(scope, **_QUICK)
    if clip_size is not None:
        width, height = split_size(clip_size)
        if not (64 <= width <= 4096 and 64 <= height <= 4096) or width % 2 or height % 2:
            raise UsageError(f"--clip-size cannot be {clip_size!r}.", hint="accepted: even sides from 64 to 4096")
        scope = msgspec.structs.replace(scope, width=width, height=height)
    if clip_seconds is not None:
        try:
            seconds = float(clip_seconds)
        except ValueError:
            seconds = 0.0
        if not 0.2 <= seconds <= 60:
            raise UsageError(f"--clip-seconds cannot be {clip_seconds!r}.", hint="accepted: 0.2 to 60")
        scope = msgspec.structs.replace(scope, seconds=seconds)
    return scope


def _report(calibration: Calibration, host: HostFacts, folder: Path) -> CalibrationReport:
    return CalibrationReport(
        calibration=calibration, rows=summary(calibration), curves=curve_states(calibration, host),
        file=str(calibration_file(folder)),
    )  # fmt: skip


def _tell(report: CalibrationReport, *, as_json: bool, took_s: float | None) -> int:
    if as_json:
        sys.stdout.write(to_json(report).decode() + "\n")
    else:
        print_report(report, Console(file=sys.stdout, highlight=False), took_s=took_s)
    return int(ExitCode.CHECK_NOT_MET if report.failed or report.not_stored else ExitCode.DONE)


def print_report(report: CalibrationReport, console: Console, *, took_s: float | None) -> None:
    """Print what a calibration says, at most 80 columns wide."""
    made = report.calibration
    points = sum(len(curve.points) for curve in made.curves)
    took = f" in {human_time(took_s)}" if took_s is not None else ""
    names = ", ".join(clip.name for clip in made.clips)
    head = f"{len(made.curves)} curves of {points} points over {len(made.clips)} clips ({names}){took}"
    console.print(Text(plain_text(f"Calibration of {made.made_at[:10]}: {head}")))
    console.print(Text("Settings that look like libx264 lean at the CRF above them, by VMAF:"))
    table = Table(box=None, pad_edge=False)
    table.add_column("encoder")
    table.add_column("preset")
    for crf in COLUMNS:
        table.add_column(f"CRF {crf:g}", justify="right")
    for title in ("among clips", "size", "CPU s/s"):
        table.add_column(title, justify="right")
    for row in report.rows:
        at_23 = row.equal[1]
        table.add_row(
            row.encoder, row.preset, *(_setting(equal) for equal in row.equal),
_spread(at_23),
            f"x{row.size_ratio:.2f}" if row.size_ratio is not None else "-",
            f"{row.cpu_s_per_s:.2f}" if row.cpu_s_per_s is not None else "-",
        )  # fmt: skip
    console.print(table)
    console.print(Text("Spread among clips, size and CPU seconds of a second of programme are those at CRF 23."))
    if any(row.equal[1] is not None and row.equal[1].beyond for row in report.rows):
        console.print(Text("+: a clip's lies beyond the settings that were measured."))
    for label, why in report.failed:
        console.print(Text(plain_text(f"Not finished: {label}: {why}")), style="red")
    for why in dict.fromkeys(state.why_not for state in report.curves if state.why_not is not None):
        which = ", ".join(f"{s.encoder} {s.preset}" for s in report.curves if s.why_not == why)
        console.print(Text(plain_text(f"Not used: {which}: {why}.")), style="yellow")
    if report.kept:
        console.print(Text(plain_text(f"Kept of an earlier calibration: {', '.join(report.kept)}.")))
    if report.not_stored is not None:
        console.print(Text(plain_text(f"Not stored: {report.not_stored}")), style="red")
    else:
        console.print(Text(plain_text(f"Kept in {report.file}")), soft_wrap=True)


def _spread(equal: EqualQuality | None) -> str:
    if equal is None:
        return "-"
    return f"{equal.low:.1f}-{equal.high:.1f}{'+' if equal.beyond else ''}"


def _setting(equal: EqualQuality | None) -> str:
    return "-" if equal is None else f"{equal.quality:.1f}"


def _step_text(step: Step) -> str:
    return f"{step.done} of {step.of} trials: {step.text}" if step.of else step.text
