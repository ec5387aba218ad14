"""``reelpress doctor``: what works on this machine, found out by encoding, and what to change where it does not."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import msgspec

from reelpress.cli.doctor_screen import print_findings
from reelpress.diagnosis.causes import Surroundings
from reelpress.diagnosis.findings import Build, CalibrationState, Findings
from reelpress.diagnosis.gpu import GpuReport, SlotReport, needed_api, report
from reelpress.diagnosis.machine import machine_problems
from reelpress.diagnosis.problems import Problem
from reelpress.errors import ExitCode, ReelpressError
from reelpress.facts.host import EncoderFacts, GpuFacts, HostFacts
from reelpress.facts.values import Value, to_json
from reelpress.plan.calibration import curve_states
from reelpress.plan.encoders import ENCODERS
from reelpress.probe.gpu_finding import GpuFinding, finding_of
from reelpress.probe.gpu_survey import driver_facts, survey
from reelpress.probe.host import probe_host
from reelpress.probe.nvml import device_present
from reelpress.probe.trial import try_encoder
from reelpress.run.breaker import Breaker
from reelpress.run.host_state import host_folder
from reelpress.run.slots import UNMEASURED, GpuSlots
from reelpress.settings import Settings, load, request_from

_SESSIONS = 4  # how many encodes at once are worth trying; finding out more costs more
_DRIVER_PARTS = ("libnvidia-encode.so.1", "libnvcuvid.so.1", "libnvidia-ml.so.1")


class _NvidiaSide(Value, frozen=True, kw_only=True):
    """What was found of the GPUs: the short answer, each GPU, and what is wrong with the machine."""

    answer: GpuFinding
    gpus: tuple[GpuReport, ...] = ()
    problems: tuple[Problem, ...] = ()
    advice: tuple[str, ...] = ()


def run_doctor(hardware: str | None, *, as_json: bool) -> int:
    """Examine this machine; the exit code says whether what was asked for works."""
    settings = load()
    found = examine(request_from(settings, hardware=hardware).hardware, settings)
    if as_json:
        sys.stdout.write(to_json(found).decode() + "\n")
    else:
        print_findings(found)
    return found.exit_code


def examine(asked: str, settings: Settings) -> Findings:
    """Try every CPU encoder of every FFmpeg, and every path of every GPU, unless ``asked`` is ``off``."""
    began = time.monotonic()
    cache_dir = settings.cache_path
    host = probe_host(ffmpeg=settings.ffmpeg, cache_dir=cache_dir)
    rows = [row for row in ENCODERS if row.device == "cpu"]
    tried = {f.path: tuple(try_encoder(f, row) for row in rows) for f in host.ffmpegs}
    healthy = any(each.opens for encoders in tried.values() for each in encoders if each.name == "libx264")
    gpu_began = time.monotonic()
    nvidia = _NvidiaSide(answer=_no_gpu("not asked for")) if asked == "off" else _examine_gpus(host, cache_dir)
    ended = time.monotonic()
    is_met = nvidia.answer.available if asked == "require" else healthy
    every = (*nvidia.problems, *(problem for gpu in nvidia.gpus for problem in gpu.problems))
    changes = (problem.change for problem in every if problem.change)
    gpus = [one.gpu for one in nvidia.gpus]
    return Findings(
        asked=asked, exit_code=int(ExitCode.DONE if is_met else ExitCode.HARDWARE_ABSENT), healthy=healthy,
        wall_s=round(ended - began, 3), gpu_s=round(ended - gpu_began, 3), cores=host.cores, memory_mb=host.memory_mb,
        builds=tuple(
            Build(
                path=f.path, origin=f.origin, version=f.version, encoders=tried[f.path],
                nvenc_api=needed_api(f.path, gpus),
            )
            for f in host.ffmpegs
        ),
        gpu=nvidia.answer, gpus=nvidia.gpus, problems=nvidia.problems,
        advice=tuple(dict.fromkeys([*_cpu_advice(tried), *nvidia.advice, *changes])),
        calibration=_calibration(host, None if asked == "off" else tuple(gpus)),
    )  # fmt: skip


def _calibration(host: HostFacts, gpus: tuple[GpuFacts, ...] | None) -> CalibrationState | None:
    """Return which measured curves hold; where GPUs were not looked at (``None``), those of the CPU alone."""
    made = host.calibration
    if made is None:
        return None
    if gpus is None:
        made = msgspec.structs.replace(made, curves=tuple(curve for curve in made.curves if curve.gpu is None))
    states = curve_states(made, msgspec.structs.replace(host, gpus=gpus or ()))
    return CalibrationState(made_at=made.made_at, curves=states)


def _cpu_advice(tried: dict[str, tuple[EncoderFacts, ...]]) -> list[str]:
    if not tried:
        return ["No FFmpeg was found: reinstall imageio-ffmpeg, or set REELPRESS_FFMPEG to a binary."]
    works = {each.name for encoders in tried.values() for each in encoders if each.opens}
    missing = [row.name for row in ENCODERS if row.device == "cpu" and row.name not in works]
    if not missing:
        return []
    return [f"No FFmpeg here encodes with {', '.join(missing)}: install imageio-ffmpeg, whose build does."]


def _examine_gpus(host: HostFacts, cache_dir: Path | None) -> _NvidiaSide:
    around = Surroundings.of(os.environ, stray_library=_stray_library())
    if not device_present():
        problems = machine_problems((), around, lists_gpus=False, device_present=False)
        return _NvidiaSide(answer=_no_gpu(problems[0].what), problems=problems)
    driver = driver_facts(cache_dir=cache_dir, fresh=True)
    # a driver that lists no GPU may be one that hangs: it is not asked again
    gpus = survey(host, cache_dir=cache_dir, fresh=True, sessions=_SESSIONS) if driver.gpus else ()
    problems = machine_problems(driver.notes, around, lists_gpus=bool(gpus), device_present=True)
    if not gpus:
        return _NvidiaSide(answer=_no_gpu(problems[0].what), problems=problems)
    answer = finding_of(gpus, host)
    if answer.gpu is not None:
        answer = msgspec.structs.replace(answer, gpu=msgspec.structs.replace(answer.gpu, paths=()))
    reports, trouble = _with_shared_state(tuple(report(gpu, host.ffmpegs, around) for gpu in gpus))
    return _NvidiaSide(answer=answer, gpus=reports, problems=problems, advice=trouble)


def _no_gpu(reason: str) -> GpuFinding:
    return GpuFinding(available=False, gpu=None, encoder=None, reason=reason)


def _stray_library() -> str | None:
    """Return a library of the driver in a folder of ``LD_LIBRARY_PATH`` that lacks the main one."""
    folders = [folder for folder in os.environ.get("LD_LIBRARY_PATH", "").split(":") if folder]
    return next((name for folder in folders for name in _DRIVER_PARTS if Path(folder, name).exists()), None)


def _with_shared_state(reports: tuple[GpuReport, ...]) -> tuple[tuple[GpuReport, ...], tuple[str, ...]]:
    """Add slots and circuits as all processes see them; nothing of them is changed."""
    measured = {one.gpu.uuid: one.gpu.sessions for one in reports if one.gpu.uuid and one.gpu.sessions}
    found = []
    try:
        folder = host_folder()
        slots, circuits = GpuSlots(folder, measured), Breaker(folder).snapshot()
        for one in reports:
            uuid = one.gpu.uuid or ""
            capacity = slots.capacity(uuid)
            basis = "measured" if uuid in measured else "starting_value"
            if capacity < measured.get(uuid, UNMEASURED):
                basis = "lowered"
            found.append(
                msgspec.structs.replace(
                    one, slots=SlotReport(held=slots.held(uuid), capacity=capacity, basis=basis),
                    breakers=tuple(each for each in circuits if each.gpu == uuid),
                )
            )  # fmt: skip
    except ReelpressError as error:
        return reports, (f"Slots and breakers cannot be told: {' '.join(error.lines())}",)
    return tuple(found), ()
