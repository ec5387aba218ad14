"""What is wrong with the NVIDIA side of a machine as a whole, read from what its driver says. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from reelpress.diagnosis.causes import (
    DEVICE_LOST,
    NO_ANSWER,
    NO_GPU_SHOWN,
    Cause,
    Surroundings,
    broken_driver,
    missing_library,
)
from reelpress.diagnosis.problems import Problem
from reelpress.probe.nvml import NO_DEVICE

_SILENT_GPU = re.compile(r"GPU (\d+) does not answer")
_CRASHED = "ended with signal"
_HIDDEN = ("", "none", "void", "-1", "NoDevFiles")
# What explains these, where it is said besides.
_CAUSES_OF_OTHERS = frozenset({"driver_mismatch", "driver_not_found", "no_gpu_shown", "no_answer"})
_CONSEQUENCES = frozenset({"driver_broken", "video_capability", "library_missing"})
_NO_NVML = Cause(
    code="nvml", what="it does not tell all, so sessions and load of other programs are not seen",
    change="Give the container the utility capability; after a driver update restart the machine",
)  # fmt: skip


def machine_problems(
    notes: Sequence[str], around: Surroundings, *, lists_gpus: bool, device_present: bool
) -> tuple[Problem, ...]:
    """Return what keeps GPUs of this machine from being examined, or from being known well.

    ``notes`` are the driver's; ``lists_gpus`` tells whether there was any GPU to examine, whose own paths then say
    what they lack.
    """
    if not device_present:
        return (_problem("NVIDIA GPU", _no_device(around), None),)
    found: dict[str, Problem] = {}
    for note in notes:
        if silent := _SILENT_GPU.search(note):
            found[silent[0]] = _problem(f"GPU {silent[1]}", DEVICE_LOST, note)
        elif not lists_gpus:
            cause = _driver(note, around)
            found.setdefault(cause.code, _problem("NVIDIA driver", cause, note))
        elif (note.startswith("NVML: ") or _CRASHED in note) and not any(_SILENT_GPU.search(each) for each in notes):
            found.setdefault("nvml", _problem("NVML", _NO_NVML, note))
    if found.keys() & _CAUSES_OF_OTHERS:
        found = {code: each for code, each in found.items() if code not in _CONSEQUENCES}
    if not found and not lists_gpus:
        found["none"] = _problem("NVIDIA driver", _no_gpu_shown(around), None)
    return tuple(found.values())


def _problem(where: str, cause: Cause, evidence: str | None) -> Problem:
    return Problem(code=cause.code, where=where, what=cause.what, change=cause.change, evidence=evidence)


def _no_device(around: Surroundings) -> Cause:
    change = None
    if around.stray_library is not None:
        return Cause(
            code="driver_not_found",
            what=f"LD_LIBRARY_PATH leads to {around.stray_library} and not to libcuda.so.1",
            change="Name the folder in LD_LIBRARY_PATH where the whole driver is mounted",
        )
    if around.nvidia_visible is not None and around.nvidia_visible not in _HIDDEN:
        change = f"NVIDIA_VISIBLE_DEVICES={around.nvidia_visible} asks for one: start the container with --gpus all"
    elif around.library_path and re.search(r"nvidia|cuda", around.library_path, re.IGNORECASE):
        change = f"If there is one, LD_LIBRARY_PATH is wrong: no libcuda.so.1 in {around.library_path!r}"
    return Cause(code="no_device", what=NO_DEVICE, change=change)


def _driver(note: str, around: Surroundings) -> Cause:
    """Return what a note of a driver that lists no GPU means."""
    if "cannot load" in note:
        return missing_library(note, around, has_nvenc=False)
    if "did not answer within" in note:
        return NO_ANSWER
    if _CRASHED in note:
        return msgspec.structs.replace(NO_ANSWER, code="driver_crashed", what="the driver crashed when it was asked")
    if "Insufficient Permissions" in note:
        change = "Run as a user who may open /dev/nvidia*, or give the container the devices"
        return Cause(code="no_permission", what="its device may not be opened", change=change)
    cause = broken_driver(note)
    return _no_gpu_shown(around) if cause is NO_GPU_SHOWN else cause


def _no_gpu_shown(around: Surroundings) -> Cause:
    hiding = None
    if around.cuda_visible is not None:
        hiding = f"CUDA_VISIBLE_DEVICES={around.cuda_visible!r}"
    elif around.nvidia_visible in _HIDDEN:
        hiding = f"NVIDIA_VISIBLE_DEVICES={around.nvidia_visible!r}"
    if hiding is None:
        return NO_GPU_SHOWN
    return msgspec.structs.replace(NO_GPU_SHOWN, change=f"{hiding} hides GPUs: unset it or name one")
