"""The one error tree, and the exit codes that go with it.

::

    ReelpressError            70  our bug, unless a subclass says otherwise
    ├── UsageError             2  settings, flags or arguments that cannot be meant
    ├── InputError             3  the input cannot be used, and no retry will change that
    ├── HardwareError          4  hardware was required and does not work here
    ├── OutputError            5  the output could not be written or kept
    ├── EncodeError            1  every attempt was made and none delivered
    └── Cancelled            130  somebody asked us to stop

An error carries *what* happened, the *evidence* it rests on and a *hint*: what to change.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process tells its caller; stable, documented in docs/cli.md."""

    DONE = 0
    CHECK_NOT_MET = 1
    USAGE = 2
    INPUT_UNUSABLE = 3
    HARDWARE_ABSENT = 4
    OUTPUT_FAILED = 5
    BUG = 70
    INTERRUPTED = 130


class ReelpressError(Exception):
    """Something went wrong that has a name.

    ``what`` is one sentence; ``evidence`` quotes what was seen (a line of FFmpeg, a value); ``hint`` says what to do.
    """

    code = "bug"
    exit_code = ExitCode.BUG

    def __init__(self, what: str, *, evidence: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.evidence = evidence
        self.hint = hint

    def lines(self) -> list[str]:
        """Return the error as at most three lines: what, evidence, hint."""
        out = [self.what]
        if self.evidence:
            out.append(f"evidence: {self.evidence}")
        if self.hint:
            out.append(f"hint: {self.hint}")
        return out


class UsageError(ReelpressError):
    """The request contradicts itself or names something that is not accepted."""

    code = "usage"
    exit_code = ExitCode.USAGE


class InputError(ReelpressError):
    """The input cannot be opened, is not a video, or is refused for safety.

    ``reason`` is one stable word for programs (``image``, ``empty``, ``playlist``), where there is one.
    """

    code = "input_unusable"
    exit_code = ExitCode.INPUT_UNUSABLE

    def __init__(
        self, what: str, *, evidence: str | None = None, hint: str | None = None, reason: str | None = None
    ) -> None:
        super().__init__(what, evidence=evidence, hint=hint)
        self.reason = reason


class HardwareError(ReelpressError):
    """Hardware was required and none was proven to work."""

    code = "hardware_absent"
    exit_code = ExitCode.HARDWARE_ABSENT


class OutputError(ReelpressError):
    """The output could not be created, written in full, or moved into place."""

    code = "output_failed"
    exit_code = ExitCode.OUTPUT_FAILED


class EncodeError(ReelpressError):
    """All attempts of a plan ended without an output that passed its checks."""

    code = "encode_failed"
    exit_code = ExitCode.CHECK_NOT_MET


class Cancelled(ReelpressError):  # noqa: N818 - not a fault of anybody
    """The caller asked for the work to stop; nothing was delivered."""

    code = "cancelled"
    exit_code = ExitCode.INTERRUPTED
