"""Every fault of the matrix as data: what breaks, when, and what must become of the job.

A fault strikes device 0, which is the one that is used first, unless it is of the whole driver. *At open* it strikes
before the first picture. *Mid-stream* it strikes among the pictures; of calls that are made only at the start it is the
next program's that fails, after the first was spoilt by a picture that was not decoded.
"""

from __future__ import annotations

from dataclasses import dataclass

from reelpress.facts.failure import FailureKind as K

# A picture is not decoded, once; then this call fails in every program but the first.
_SPOILT = "dev0:cuvidDecodePicture@10=700!"


@dataclass(frozen=True)
class Strike:
    """A fault at a time. ``kinds``: the classes of the failed attempts in order, each once; none: nothing fails.

    ``one`` and ``several``: the rung that delivers on a machine with one GPU, and with another that is healthy.
    """

    faults: str
    kinds: tuple[K, ...]
    one: str
    several: str
    is_new: bool = False  # the job is the first of its process, which asks the driver for its GPUs once more

    @property
    def is_silent(self) -> bool:
        """Whether the driver's journal says nothing of it: no fault, one that only takes time, or one of NVML.

        NVML is asked by a process that may write to no file, the journal included.
        """
        return all(call.endswith("ms") or call.startswith("nvml") for call in self.faults.split(",") if call)


@dataclass(frozen=True)
class Fault:
    name: str
    at_open: Strike
    mid_stream: Strike


def _strike(faults: str, kinds: K | tuple[K, ...], one: str, several: str) -> Strike:
    return Strike(faults, kinds if isinstance(kinds, tuple) else (kinds,), one, several)


def _device(name: str, call: str, kind: K, late: int | None = None, mid_kind: K | None = None) -> Fault:
    """Return a fault of one device, after which another one does the work, and where there is none the CPU."""
    return Fault(name, _strike(f"dev0:{call}", kind, "cpu", "gpu"), _mid(call, late, mid_kind or kind))


def _mid(call: str, late: int | None, kind: K) -> Strike:
    if late is None:
        return _strike(f"{_SPOILT},dev0:{call}~", (K.GPU_DECODE_FAILED, kind), "cpu", "gpu_encode")
    before, _, what = call.partition("=")
    return _strike(f"dev0:{before}@{late}={what}", kind, "cpu", "gpu")


def _driver(name: str, calls: str, kind: K) -> Fault:
    """Return a fault of the driver, which takes all GPUs along."""
    late = ",".join(f"{call}~" for call in calls.split(","))
    return Fault(
        name,
        _strike(calls, kind, "cpu", "cpu"),
        _strike(f"{_SPOILT},{late}", (K.GPU_DECODE_FAILED, kind), "cpu", "cpu"),
    )


def _refusal(name: str, call: str) -> Fault:
    """Return a refusal that every GPU of this kind would repeat: the CPU does it."""
    return Fault(
        name,
        _strike(f"dev0:{call}", K.GPU_UNSUPPORTED, "cpu", "cpu"),
        _strike(f"{_SPOILT},dev0:{call}~", (K.GPU_DECODE_FAILED, K.GPU_UNSUPPORTED), "cpu", "cpu"),
    )


def _step(name: str, call: str, kind: K, late: int) -> Fault:
    """Return a fault of a step that software does just as well: only the encoder stays on the GPU."""
    before, _, what = call.partition("=")
    return Fault(
        name,
        _strike(f"dev0:{call}", kind, "gpu_encode", "gpu_encode"),
        _strike(f"dev0:{before}@{late}={what}", kind, "gpu_encode", "gpu_encode"),
    )


def _none(name: str, at_open: str, mid_stream: str, *, is_new: bool = False) -> Fault:
    """Return a fault that must cost time at most."""
    return Fault(name, *(Strike(faults, (), "gpu", "gpu", is_new) for faults in (at_open, mid_stream)))


def _kernels(name: str, call: str) -> Fault:
    """Return a refusal of FFmpeg's kernels by every GPU; mid-stream, once memory had run out in the first program."""
    late = (K.GPU_OUT_OF_MEMORY, K.GPU_UNSUPPORTED)
    return Fault(
        name,
        _strike(call, K.GPU_UNSUPPORTED, "gpu_encode", "gpu_encode"),
        _strike(f"encode@10=10!,{call}~", late, "gpu_encode", "gpu_encode"),
    )


# NVDEC refuses, so that FFmpeg decodes in software and copies each picture to the GPU, with either FFmpeg.
_COPYING = "dev0:cuvidCreateDecoder=100"


def _copy(name: str, call: str) -> Fault:
    before, _, what = call.partition("=")
    return Fault(
        name,
        _strike(f"{_COPYING},dev0:{call}", K.GPU_COPY_FAILED, "cpu", "gpu"),
        _strike(f"{_COPYING},dev0:{before}@20={what}", K.GPU_COPY_FAILED, "cpu", "gpu"),
    )


FAULTS: tuple[Fault, ...] = (
    _none("nothing breaks", "", ""),
    # --- the driver as a whole ---
    _driver("driver and kernel module differ", "cuInit=803,nvmlInit=18", K.GPU_DRIVER_BROKEN),
    _driver("driver shows no device", "cuInit=100", K.GPU_DRIVER_BROKEN),
    _driver("driver not ready", "cuInit=802", K.GPU_DRIVER_BROKEN),
    _driver("driver fails to start", "cuInit=999", K.GPU_DRIVER_BROKEN),
    _driver("driver starts without memory", "cuInit=2", K.GPU_OUT_OF_MEMORY),
    _driver("driver crashes at its start", "cuInit=crash", K.CRASHED),
    _driver("driver hangs at its start", "cuInit=hang", K.STALLED),
    _none("NVML fails", "nvmlInit=999", "nvml=999", is_new=True),
    _none("NVML crashes", "nvmlInit=crash", "nvml=crash", is_new=True),
    # --- the device and its context ---
    _device("GPU lost", "cuCtxCreate=lost", K.DEVICE_LOST),
    _driver("device invalid", "cuDeviceGet=101", K.GPU_DRIVER_BROKEN),
    _device("no memory for a context", "cuCtxCreate=2", K.GPU_OUT_OF_MEMORY),
    _device("GPU taken by another process", "cuCtxCreate=46", K.SESSION_LIMIT),
    _device("uncorrectable memory error", "cuCtxCreate=214", K.DEVICE_LOST),
    _device("context fails", "cuCtxCreate=999", K.DEVICE_LOST),
    _device("context lost", "cuCtxPushCurrent=709", K.DEVICE_LOST, 40),
    Fault(  # the encoder alone needs no memory of CUDA's
        "no memory for pictures",
        _strike("dev0:cuMemAlloc=2", K.GPU_OUT_OF_MEMORY, "gpu_encode", "gpu"),
        _strike("dev0:cuMemAlloc@6=2", K.GPU_OUT_OF_MEMORY, "gpu_encode", "gpu"),
    ),
    # --- encoder sessions ---
    _device("no session free (older drivers)", "open=10", K.SESSION_LIMIT),
    _device("no session free (newer drivers)", "open=21", K.SESSION_LIMIT),
    _device("encoder busy at open", "open=18", K.SESSION_LIMIT),
    _device("GPU without an encoder", "open=2", K.NO_GPU_ENCODER),
    _device("no encoder device", "open=1", K.NO_GPU_ENCODER),
    _device("session of a newer API", "open=15", K.DRIVER_TOO_OLD),
    _device("session hangs", "open=hang", K.STALLED),
    _device("session crashes", "open=crash", K.CRASHED),
    _driver("driver older than this FFmpeg", "instance=15", K.DRIVER_TOO_OLD),
    _driver("encoder library fails", "instance=20", K.GPU_DRIVER_BROKEN),
    # --- setting an encoder up ---
    _refusal("invalid parameter", "initialize=8"),
    _refusal("unsupported parameter", "initialize=12"),
    _refusal("preset refused", "preset=12"),
    _device("no memory for an encoder", "initialize=10", K.GPU_OUT_OF_MEMORY),
    _device("encoder fails to start", "initialize=20", K.DEVICE_LOST),
    _device("no memory for its output", "createbitstream=10", K.GPU_OUT_OF_MEMORY),
    _device("pictures cannot be registered", "register=23", K.DEVICE_LOST, 2),
    # --- encoding ---
    _device("generic error", "encode=20", K.DEVICE_LOST, 15),
    _device("device does not exist", "encode=5", K.DEVICE_LOST, 15),
    _device("no memory while encoding", "encode=10", K.GPU_OUT_OF_MEMORY, 15),
    _device("GPU lost while encoding", "encode=lost", K.DEVICE_LOST, 15),
    _device("driver crashes while encoding", "encode=crash", K.CRASHED, 15),
    _device("driver hangs while encoding", "encode=hang", K.STALLED, 15),
    _device("mapping fails", "map=20", K.DEVICE_LOST, 15),
    _device("output cannot be locked", "lock=20", K.DEVICE_LOST, 15),
    _none("encoder busy for a moment", "dev0:encode@1+1=18", "dev0:encode@15+1=18"),
    _none("slow", "dev0:open=300ms", "dev0:encode@10=10ms"),
    # --- decoding, copying, scaling ---
    Fault(  # FFmpeg decodes in software; mid-stream, once memory had run out in the first program
        "NVDEC cannot tell what it can",
        Strike("dev0:cuvidGetDecoderCaps=999", (), "gpu", "gpu"),
        _strike("encode@10=10!,cuvidGetDecoderCaps=999~", K.GPU_OUT_OF_MEMORY, "gpu", "gpu"),
    ),
    Fault(
        "NVDEC does not start",
        Strike("dev0:cuvidCreateDecoder=2", (), "gpu", "gpu"),
        _strike("encode@10=10!,cuvidCreateDecoder=2~", K.GPU_OUT_OF_MEMORY, "gpu", "gpu"),
    ),
    _step("pictures are not decoded", "cuvidDecodePicture=700", K.GPU_DECODE_FAILED, 12),
    _step("decoded pictures cannot be had", "cuvidMapVideoFrame=999", K.GPU_DECODE_FAILED, 12),
    _copy("copies fail", "cuMemcpy2D=700"),
    _copy("copies fail for no known reason", "cuMemcpy2D=999"),
    _kernels("kernels too new for the driver", "cuModuleLoadData=222"),
    _kernels("no kernels for this GPU", "cuModuleLoadData=209"),
    _kernels("a kernel is missing", "cuModuleGetFunction=500"),
    _device("kernels fail", "cuLaunchKernel=700", K.DEVICE_LOST, 20),
    _device("kernels do not fit", "cuLaunchKernel=701", K.DEVICE_LOST, 20),
    _device("pictures cannot be sampled", "cuTexObjectCreate=1", K.DEVICE_LOST, 20),
)  # fmt: skip
