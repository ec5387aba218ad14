"""The doctor's findings as one screen: 80 columns, readable without colour."""

from __future__ import annotations

import shutil
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import click

from reelpress.cli.render import plain_text
from reelpress.diagnosis.findings import Build, CalibrationState, Findings
from reelpress.diagnosis.gpu import BuildReport, GpuReport, short_names
from reelpress.diagnosis.problems import BUSY, LIMITS, Problem
from reelpress.run.breaker import CircuitReport

_WIDEST = 100
_QUOTE = 110  # characters of what the driver or FFmpeg said
_BASIS = {
    "measured": "measured, {n} ran at once", "starting_value": "a starting value, not measured",
    "lowered": "lowered after refusals by the driver",
}  # fmt: skip
# These say in their own words all that the evidence says.
_UNQUOTED = LIMITS | {"driver_too_old", "video_capability", "library_missing", "driver_not_found", "no_answer", "other"}


class Line(NamedTuple):
    """A line with what continued ones are indented by, and its colour."""

    text: str
    indent: int = 0
    colour: str | None = None
    bold: bool = False


def print_findings(found: Findings) -> None:
    """Print the screen on stdout, in colour on a terminal."""
    width = min(_WIDEST, max(40, shutil.get_terminal_size().columns))
    for line in screen(found, now=time.time()):
        wrapped = textwrap.wrap(
            plain_text(line.text), width, subsequent_indent=" " * line.indent, break_on_hyphens=False
        )
        for text in wrapped or [""]:
            click.echo(click.style(text, fg=line.colour, bold=line.bold), file=sys.stdout)


def screen(found: Findings, *, now: float) -> Iterator[Line]:
    """Yield the lines of the screen; ``now`` is Unix time."""
    memory = f", {found.memory_mb / 1024:.1f} GiB" if found.memory_mb else ""
    yield Line(f"This machine: {found.cores} cores{memory}; examined in {found.wall_s:.1f} s", bold=True)
    names = short_names((build.path, build.origin, build.version) for build in found.builds)
    for build in found.builds:
        yield from _build(build, names[build.path])
    for number, gpu in enumerate(found.gpus):
        yield Line("")
        alike = next((other for other in found.gpus[:number] if _is_alike(other, gpu)), None)
        yield from _gpu(gpu, names, now, alike)
    if found.calibration is not None:
        yield Line("")
        yield from _calibration(found.calibration)
    if found.problems:
        yield Line("")
    for problem in found.problems:
        yield from _problem(problem, "")
    if found.asked == "off":
        yield Line("GPU: not looked at, as asked")
    told = {each.change for each in (*found.problems, *(p for gpu in found.gpus for p in gpu.problems))}
    for text in found.advice:
        if text not in told:
            yield Line(f"Change: {text}", 8, "yellow")
    yield Line("")
    yield _result(found, names)


def _build(build: Build, name: str) -> Iterator[Line]:
    yield Line(f"{name} ({build.origin}: {build.version})", 2)
    works = [encoder.name for encoder in build.encoders if encoder.opens]
    if works:
        yield Line(f"  CPU    {', '.join(works)}: encoded, decoded, compared", 9)
    for why in dict.fromkeys(encoder.why_not for encoder in build.encoders if not encoder.opens):
        which = [encoder.name for encoder in build.encoders if not encoder.opens and encoder.why_not == why]
        yield Line(f"  FAILS  {', '.join(which)}: {why}", 9, "red")
    if build.nvenc_api is not None:
        most = "" if build.nvenc_api.exact else " or an older one"
        yield Line(f"  NVENC  asks for API {build.nvenc_api.version}{most}", 9)


def _gpu(one: GpuReport, names: Mapping[str, str], now: float, alike: GpuReport | None) -> Iterator[Line]:
    gpu = one.gpu
    facts = [
        gpu.name, f"{gpu.memory_mb / 1024:.0f} GiB" if gpu.memory_mb else None,
        f"driver {gpu.driver_version or 'unknown'}",
        f"NVENC API {gpu.nvenc_api}" if gpu.nvenc_api else "no NVENC API",
    ]  # fmt: skip
    yield Line(f"GPU {gpu.index}: {', '.join(fact for fact in facts if fact)}", 2, bold=True)
    if alike is None:
        column = max((len(names[build.ffmpeg]) for build in one.builds), default=0) + 4
        for build in one.builds:
            yield from _paths(build, names[build.ffmpeg], column)
        for problem in one.problems:
            yield from _problem(problem, "  ")
    else:
        yield Line(f"  the same as GPU {alike.gpu.index}")
    in_doubt = [each for each in one.breakers if each.state != "closed"]
    if one.slots is not None:
        basis = _BASIS[one.slots.basis].format(n=one.slots.capacity)
        slots = f"{one.slots.held} of {one.slots.capacity} held; {basis}"
        if not one.slots.held and not any(build.encodes or build.busy for build in one.builds):
            slots = "none, for nothing encodes"
        calm = "" if in_doubt else "; breaker closed"
        yield Line(f"  slots  {slots}{calm}", 9)
    for each in in_doubt:
        yield Line(f"  breaker {_circuit(each, names, now)}", 10, "red")


def _calibration(state: CalibrationState) -> Iterator[Line]:
    holds = [f"{curve.encoder} {curve.preset}" for curve in state.curves if curve.why_not is None]
    told = f"holds for {', '.join(holds)}" if holds else "holds for nothing here"
    yield Line(f"Calibration of {state.made_at[:10]}: {told}", 2)
    for why in dict.fromkeys(curve.why_not for curve in state.curves if curve.why_not is not None):
        which = ", ".join(f"{curve.encoder} {curve.preset}" for curve in state.curves if curve.why_not == why)
        yield Line(f"  stale  {which}: {why}", 9, "yellow")
        yield Line("         Change: run `reelpress calibrate` again", 9, "yellow")


def _is_alike(one: GpuReport, other: GpuReport) -> bool:
    return (one.gpu.name, one.builds, one.problems) == (other.gpu.name, other.builds, other.problems)


def _paths(build: BuildReport, name: str, column: int) -> Iterator[Line]:
    encodes = ", ".join(build.encodes) or ("nothing now" if build.busy else "nothing")
    yield Line(f"  {name:{column - 2}}encodes {encodes}", column + 8, "green" if build.encodes else None)
    if build.without:
        yield Line(f"{'':{column}}without {', '.join(build.without)}", column + 8)
    does = [f"decodes {', '.join(build.decodes)}"] if build.decodes else []
    does += [f"filters {', '.join(build.filters)}"] if build.filters else []
    if does:
        yield Line(f"{'':{column}}{'; '.join(does)}", column + 8)


def _problem(problem: Problem, margin: str) -> Iterator[Line]:
    word, colour = _word(problem)
    indent = len(margin) + 7
    where = "" if problem.code == "no_device" else f"{problem.where}: "
    quoted = "" if problem.code in _UNQUOTED or not problem.evidence else f" ({_short(problem.evidence)})"
    yield Line(f"{margin}{word}  {where}{problem.what}{quoted}", indent, colour)
    if problem.change:
        yield Line(f"{margin}       Change: {_small(problem.change)}", indent, colour)


def _word(problem: Problem) -> tuple[str, str | None]:
    if problem.code in LIMITS:
        return "lacks", None
    if problem.code == "no_device":
        return "GPU  ", None
    return ("busy ", "yellow") if problem.code in BUSY else ("FAILS", "red")


def _short(evidence: str) -> str:
    text = evidence.removesuffix(": (no details)").rstrip(".")
    return text if len(text) <= _QUOTE else text[:_QUOTE].rstrip() + "…"


def _small(text: str) -> str:
    """Return a sentence as it stands after a colon; names in capitals stay."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def _circuit(circuit: CircuitReport, names: Mapping[str, str], now: float) -> str:
    whose = f" for {names.get(circuit.ffmpeg, circuit.ffmpeg)}" if circuit.ffmpeg else ""
    left_s = (circuit.next_probe_at or now) - now
    after = "a job tries it again " + (f"in {left_s:.0f} s" if left_s > 0 else "when one comes")
    if circuit.state == "half_open":
        after = "a trial is running that decides"
    return f"{circuit.state.replace('_', '-')}{whose}: {circuit.why or 'no reason noted'}; {after}"


def _result(found: Findings, names: Mapping[str, str]) -> Line:
    encodes = [
        f"GPU {one.gpu.index} encodes {', '.join(build.encodes)} with {names[build.ffmpeg]}"
        for one in found.gpus
        for build in one.builds
        if build.encodes
    ]
    code = f"; exit code {found.exit_code}" if found.exit_code else ""
    if encodes:
        return Line(f"Result: {encodes[0]}{code}", 2, "green", bold=True)
    if found.asked == "off":
        works = "the CPU encodes" if found.healthy else "libx264 does not work"
        return Line(f"Result: {works}{code}", 2, "green" if found.healthy else "red", bold=True)
    cpu = "; the CPU does the work" if found.healthy and not found.exit_code else ""
    if found.gpu.busy:
        return Line(f"Result: the GPU is busy, so none encodes now{cpu}{code}", 2, "yellow", bold=True)
    return Line(f"Result: no GPU encodes here{cpu}{code}", 2, "yellow" if found.healthy else "red", bold=True)
