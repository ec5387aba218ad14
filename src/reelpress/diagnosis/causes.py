"""Why something of a GPU does not work, in plain words, and what to change. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from reelpress.facts.failure import FailureKind
from reelpress.facts.host import GpuFacts, GpuPath
from reelpress.facts.values import Value
from reelpress.probe.gpu_decode import SOFTWARE_ALONE
from reelpress.run.gpu_failures import nvenc_versions

K = FailureKind

# The oldest Linux driver that offers an NVENC API; from the release notes of NVIDIA's Video Codec SDK.
DRIVERS = {
    "11.1": "470.57.02", "12.1": "530.41.03", "12.2": "550.54.14", "13.0": "570", "13.1": "610.00",
}  # fmt: skip
# Maxwell, Pascal and Volta get no driver of a later branch than this.
_LAST_FOR_OLD_CHIPS, _OLD_CHIPS = 580, (7, 5)
_CHIPS_WITHOUT_ENCODER = frozenset({"8.0", "9.0", "10.0"})  # A100 and A30; H100 and H200; B200
_LIBRARY = re.compile(r"\blib[\w-]+\.so(?:\.\d+)*")
_RESTART = "Restart the machine; look for Xid lines in dmesg before that"


class Surroundings(Value, frozen=True, kw_only=True):
    """The variables around this process that decide what of a driver it sees; ``None`` where not set.

    ``stray_library`` is a library of the driver that ``LD_LIBRARY_PATH`` leads to.
    """

    library_path: str | None = None
    cuda_visible: str | None = None
    nvidia_visible: str | None = None
    capabilities: str | None = None
    stray_library: str | None = None

    @classmethod
    def of(cls, environ: Mapping[str, str], *, stray_library: str | None = None) -> Surroundings:
        """Read them."""
        return cls(
            library_path=environ.get("LD_LIBRARY_PATH"), cuda_visible=environ.get("CUDA_VISIBLE_DEVICES"),
            nvidia_visible=environ.get("NVIDIA_VISIBLE_DEVICES"),
            capabilities=environ.get("NVIDIA_DRIVER_CAPABILITIES"), stray_library=stray_library,
        )  # fmt: skip


class Cause(Value, frozen=True, kw_only=True):
    """What is wrong: a stable ``code``, one clause, and what to change, ``None`` where nothing need be."""

    code: str
    what: str
    change: str | None = None


NOT_IN_BUILD = Cause(code="not_in_build", what="not in this FFmpeg")
NOT_ON_THIS_GPU = Cause(code="not_on_this_gpu", what="this GPU does not do it")
_UNTRIED = Cause(code="untried", what="not tried, for this FFmpeg cannot make a clip of it")
NO_ANSWER = Cause(code="no_answer", what="the driver hangs: it did not answer in time", change=_RESTART)
DEVICE_LOST = Cause(code="device_lost", what="the GPU or its driver failed", change=_RESTART)
NO_GPU_SHOWN = Cause(
    code="no_gpu_shown", what="the driver shows no GPU",
    change="Start the container with --gpus all; outside one, restart the machine",
)  # fmt: skip
MISMATCH = Cause(
    code="driver_mismatch", what="the driver's kernel module and its libraries are of different versions",
    change="Restart the machine after the driver update, and its containers",
)  # fmt: skip
_BROKEN = Cause(
    code="driver_broken", what="the driver does not start", change="Restart the machine, or install the driver again"
)
_SESSIONS_USED = Cause(
    code="sessions_used_up", what="all encoder sessions are in use",
    change="Wait, or run fewer jobs at once; nothing is broken",
)  # fmt: skip
_EXCLUSIVE = Cause(
    code="in_exclusive_use", what="another process has the GPU for itself",
    change="Wait for it, or set the compute mode to Default (nvidia-smi -c DEFAULT)",
)  # fmt: skip
_MEMORY_FULL = Cause(code="memory_full", what="the GPU's memory is full", change="Wait, or run fewer jobs at once")
_WRONG_PICTURES = Cause(
    code="wrong_pictures", what="its pictures cannot be trusted",
    change="Do not use it with this driver and FFmpeg; report both",
)  # fmt: skip
_KERNELS_REFUSED = Cause(
    code="kernels_refused", what="the driver cannot run this FFmpeg's filters",
    change="Install a newer driver, or leave it: the CPU scales",
)  # fmt: skip
_NO_ENCODER = Cause(
    code="no_encoder", what="this chip has no video encoder",
    change="Choose a GPU with NVENC, such as T4, L4 or RTX; the CPU encodes here",
)  # fmt: skip
_ENCODER_REFUSED = Cause(
    code="no_encoder", what="the driver offers no video encoder on this GPU",
    change="If NVIDIA lists one for it, restart the container: it may disagree with the driver; else take another GPU",
)  # fmt: skip

_BY_KIND = {
    K.ENCODER_MISSING: NOT_IN_BUILD, K.FILTER_FAILED: NOT_IN_BUILD, K.TIMED_OUT: NO_ANSWER, K.STALLED: NO_ANSWER,
    K.DEVICE_LOST: DEVICE_LOST, K.GPU_OUT_OF_MEMORY: _MEMORY_FULL, K.CHECK_NOT_MET: _WRONG_PICTURES,
    K.GPU_COPY_FAILED: _WRONG_PICTURES,
}  # fmt: skip


def cause_of(  # noqa: PLR0911 - a table
    path: GpuPath, gpu: GpuFacts, around: Surroundings, works_with: str | None
) -> Cause:
    """Return why a path does not work; ``works_with`` names another FFmpeg that encodes on this GPU."""
    words = path.why_not or "no reason given"
    match path.failure:
        case K.DRIVER_TOO_OLD:
            return _driver_too_old(words, gpu, works_with)
        case K.GPU_LIBRARY_MISSING:
            return missing_library(words, around, has_nvenc=gpu.nvenc_api is not None)
        case K.GPU_DRIVER_BROKEN:
            return broken_driver(words)
        case K.NO_GPU_ENCODER:
            return _NO_ENCODER if gpu.compute_capability in _CHIPS_WITHOUT_ENCODER else _ENCODER_REFUSED
        case K.SESSION_LIMIT:
            return _EXCLUSIVE if "DEVICE_UNAVAILABLE" in words else _SESSIONS_USED
        case K.ENCODER_MISSING if path.kind == "decode":
            return _UNTRIED
        case K.GPU_UNSUPPORTED if words == SOFTWARE_ALONE:
            return NOT_IN_BUILD
        case K.GPU_UNSUPPORTED:
            return _KERNELS_REFUSED if "cuModule" in words else NOT_ON_THIS_GPU
        case kind if kind in _BY_KIND:
            return _BY_KIND[kind]
        case _:
            hint = path.hint[:1].upper() + path.hint[1:] if path.hint else None
            return Cause(code="other", what=words, change=hint)


def missing_library(words: str, around: Surroundings, *, has_nvenc: bool) -> Cause:
    """Return what a library that cannot be loaded means; ``has_nvenc``: NVENC's can be."""
    found = _LIBRARY.search(words)
    library = found[0] if found else "a library of the driver"
    if library.startswith("libcuda"):
        now = repr(around.library_path) if around.library_path else "not set"
        return Cause(
            code="driver_not_found", what=f"{library} is not found: no driver here, or LD_LIBRARY_PATH is wrong",
            change=f"Start the container with --gpus all, or put its folder into LD_LIBRARY_PATH (now {now})",
        )  # fmt: skip
    is_video = library.startswith(("libnvidia-encode", "libnvcuvid"))
    if not is_video or (has_nvenc and library.startswith("libnvcuvid")):
        return Cause(code="library_missing", what=f"{library} is missing", change="Install the whole driver")
    mounted = set((around.capabilities or "").replace(" ", "").split(","))
    if mounted & {"video", "all"}:
        return Cause(
            code="video_capability",
            what=f"{library} is missing although NVIDIA_DRIVER_CAPABILITIES={around.capabilities} asks for it",
            change="Install the whole driver on the machine that runs the container, then start the container anew",
        )
    now = f"it is {around.capabilities!r}" if around.capabilities is not None else "the default lacks video"
    return Cause(
        code="video_capability", what=f"{library} is missing: the container lacks the video capability",
        change=f"Start it with NVIDIA_DRIVER_CAPABILITIES=compute,video,utility ({now}); outside a container "
        "install the whole driver",
    )  # fmt: skip


def broken_driver(words: str) -> Cause:
    """Return what a driver that does not start means."""
    if re.search(r"MISMATCH|version mismatch", words):
        return MISMATCH
    if re.search(r"NO_DEVICE|Driver Not Loaded|No CUDA capable devices", words):
        return NO_GPU_SHOWN
    return _BROKEN


def driver_for(api: str) -> str | None:
    """Return the oldest driver that offers an NVENC API, ``None`` where no driver is known to."""
    return next((driver for known, driver in DRIVERS.items() if number(known) >= number(api)), None)


def number(version: str | None) -> tuple[int, ...]:
    """Return a version as something to compare; an unknown one is the lowest."""
    return tuple(int(part) for part in re.findall(r"\d+", version or ""))


def _driver_too_old(words: str, gpu: GpuFacts, works_with: str | None) -> Cause:
    versions = nvenc_versions(words)
    what, driver = "the driver is too old for this FFmpeg", None
    if versions is not None:
        required, offered = versions
        what = f"the driver is too old: this FFmpeg asks for NVENC API {required}, the driver has {offered}"
        driver = driver_for(required)
    change = f"Install driver {driver} or newer" if driver else "Install a newer driver"
    is_old_chip = gpu.compute_capability is not None and number(gpu.compute_capability) < _OLD_CHIPS
    ends = is_old_chip and driver is not None and number(driver)[0] > _LAST_FOR_OLD_CHIPS
    if ends:
        change = f"Drivers for this GPU end with {_LAST_FOR_OLD_CHIPS}"
    if works_with is not None:
        change = f"Nothing: {works_with} encodes with this driver. {change}" + ("" if ends else " to use both")
    else:
        change += ", so name" if ends else ", or name"
        change += " an older FFmpeg with REELPRESS_FFMPEG"
        if number(gpu.driver_version) >= number(DRIVERS["11.1"]):
            change += " (Debian 12's 5.1 works with this driver)"
    return Cause(code="driver_too_old", what=what, change=change)
