"""The classes a failed run falls into: what decides whether another attempt can help."""

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
    UNKNOWN = "unknown"


class Failure(Value, frozen=True, kw_only=True):
    """One classified failure with the line it was read from."""

    kind: FailureKind
    evidence: str
    hint: str | None = None
