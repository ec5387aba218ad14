"""The classes a failed run falls into, and what each asks for: whether another attempt can help, and where."""

from __future__ import annotations

from enum import StrEnum

from reelpress.facts.values import Value


class FailureKind(StrEnum):
    """Why a run of FFmpeg did not deliver; the text of each is in docs/errors.md."""

    INPUT_UNREADABLE = "input_unreadable"
    INPUT_REFUSED = "input_refused"
    NO_DECODER = "no_decoder"
    TOO_MANY_PIXELS = "too_many_pixels"
    DECODE_ERRORS = "decode_errors"
    ENCODER_MISSING = "encoder_missing"
    ENCODER_REFUSED = "encoder_refused"
    OPTION_REJECTED = "option_rejected"
    FILTER_FAILED = "filter_failed"
    OUTPUT_FULL = "output_full"
    OUTPUT_LIMIT = "output_limit"
    OUTPUT_DENIED = "output_denied"
    OUT_OF_MEMORY = "out_of_memory"
    CRASHED = "crashed"
    KILLED = "killed"
    CPU_LIMIT = "cpu_limit"
    STALLED = "stalled"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    STOPPED = "stopped"
    CHECK_NOT_MET = "check_not_met"
    AUDIO_NOT_MET = "audio_not_met"
    QUALITY_NOT_MET = "quality_not_met"
    DRIVER_TOO_OLD = "driver_too_old"
    GPU_LIBRARY_MISSING = "gpu_library_missing"
    GPU_DRIVER_BROKEN = "gpu_driver_broken"
    NO_GPU_ENCODER = "no_gpu_encoder"
    GPU_FEATURE_MISSING = "gpu_feature_missing"
    GPU_UNSUPPORTED = "gpu_unsupported"
    SESSION_LIMIT = "session_limit"
    GPU_OUT_OF_MEMORY = "gpu_out_of_memory"
    DEVICE_LOST = "device_lost"
    GPU_DECODE_FAILED = "gpu_decode_failed"
    GPU_COPY_FAILED = "gpu_copy_failed"
    UNKNOWN = "unknown"


class Action(StrEnum):
    """What a failure asks for, on the device it happened on."""

    NEXT = "next"  # the next rung of the ladder
    WAIT = "wait"  # the device is busy: wait for a slot and try the same again, then the next rung
    THIS_JOB = "this_job"  # the next rung; says nothing about the device
    SUSPECT = "suspect"  # the next rung off this GPU, and examine the GPU before it is used again
    GPU_OFF = "gpu_off"  # the next rung; this build and GPU will not work together while this process lives
    STOP = "stop"  # no other way of encoding mends it


class Failure(Value, frozen=True, kw_only=True):
    """One classified failure with the line it was read from."""

    kind: FailureKind
    evidence: str
    hint: str | None = None


_GPU_ACTIONS: dict[FailureKind, Action] = {
    FailureKind.DRIVER_TOO_OLD: Action.GPU_OFF,
    FailureKind.GPU_LIBRARY_MISSING: Action.GPU_OFF,
    FailureKind.GPU_DRIVER_BROKEN: Action.GPU_OFF,
    FailureKind.NO_GPU_ENCODER: Action.GPU_OFF,
    FailureKind.GPU_FEATURE_MISSING: Action.NEXT,
    FailureKind.GPU_UNSUPPORTED: Action.THIS_JOB,
    FailureKind.SESSION_LIMIT: Action.WAIT,
    FailureKind.GPU_OUT_OF_MEMORY: Action.WAIT,
    FailureKind.DEVICE_LOST: Action.SUSPECT,
    FailureKind.GPU_DECODE_FAILED: Action.NEXT,
    FailureKind.GPU_COPY_FAILED: Action.SUSPECT,
    FailureKind.CRASHED: Action.SUSPECT,
    FailureKind.STALLED: Action.SUSPECT,
    FailureKind.TIMED_OUT: Action.SUSPECT,
    FailureKind.CHECK_NOT_MET: Action.SUSPECT,
    FailureKind.UNKNOWN: Action.SUSPECT,
    FailureKind.AUDIO_NOT_MET: Action.THIS_JOB,
    # a damaged input that NVDEC gives up on may still be salvaged by the software decoder
    FailureKind.DECODE_ERRORS: Action.THIS_JOB,
    FailureKind.NO_DECODER: Action.THIS_JOB,
    FailureKind.ENCODER_MISSING: Action.THIS_JOB,
    FailureKind.ENCODER_REFUSED: Action.THIS_JOB,
    FailureKind.OPTION_REJECTED: Action.THIS_JOB,
    FailureKind.FILTER_FAILED: Action.THIS_JOB,
    FailureKind.OUT_OF_MEMORY: Action.THIS_JOB,
    FailureKind.CPU_LIMIT: Action.THIS_JOB,
}


def gpu_action(kind: FailureKind) -> Action:
    """Return what a failure of an attempt on a GPU asks for; what is not about the GPU stops the job."""
    return _GPU_ACTIONS.get(kind, Action.STOP)


# What an attempt on a GPU may be followed by another for.
NOT_THE_INPUTS_FAULT = tuple(kind for kind in FailureKind if gpu_action(kind) is not Action.STOP)
