"""The one error tree, and the exit codes that go with it.

::

    ReelpressError            70  our bug, unless a subclass says otherwise
    ├── UsageError             2  settings, flags or arguments that cannot be meant
    ├── InputError             3  the input cannot be used, and no retry will change that
    ├── HardwareError          4  hardware was required and does not work here
    ├── OutputError            5  the output could not be written or kept
    ├── StorageError           5  an object store did not do its part (3 when it is the input that cannot be used)
    ├── NetError               5  an HTTP server did not do its part (3 when trying again changes nothing)
    │   └── AddressError       3  an address that may not be called
    ├── TokenError             2  a token of a caller's that is not accepted
    ├── QualityError           1  no encode within the budget met the gates on quality and size
    ├── EncodeError            1  every attempt was made and none delivered
    ├── TranscribeError        1  there is no transcript; what became of the video is another matter
    └── Cancelled            130  somebody asked us to stop

An error carries *what* happened, the *evidence* it rests on and a *hint*: what to change.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Literal, get_args

StorageReason = Literal[
    "missing",  # no such object, or no such bucket
    "denied",  # the credentials may not do this, or there are none
    "throttled",  # the store asks for fewer requests
    "changed",  # the object is not the one it was a moment ago
    "corrupt",  # the bytes are not the ones that were promised or sent
    "too_large",  # beyond a limit of the caller's or the store's
    "unreachable",  # no connection, or an error of the store's own
    "full",  # no space, here or there
    "exists",  # something else has the key, and overwriting was not asked for
    "timed_out",  # no answer, or too slow a one
    "unsupported",  # this store cannot do that at all
    "refused",  # the store answered with an error that none of these words fits
]

NetReason = Literal[
    "address",  # not an address that may be called
    "missing",  # no such name, or nothing there
    "denied",  # the server wants credentials
    "throttled",  # the server asks for fewer requests
    "changed",  # what is there is not what was there a moment ago
    "truncated",  # the body ended early
    "too_large",  # beyond the caller's limit
    "unreachable",  # no connection, or an error of the server's own
    "untrusted",  # its certificate is not valid for its name
    "timed_out",  # no answer, or too slow a one
    "refused",  # any other answer that is of no use
]


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
    receipt_json: str | None = None  # of the work that ended with this, where there is one

    def __init__(self, what: str, *, evidence: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.evidence = evidence
        self.hint = hint

    @property
    def in_a_line(self) -> str:
        """What happened and its evidence, for a sentence about something else."""
        return f"{self.what} {self.evidence or ''}".strip()

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


class StorageError(ReelpressError):
    """An object could not be read, written or kept as it should be.

    ``reason`` is one stable word for programs, ``retryable`` tells whether the same call may succeed later. Evidence
    holds statuses and error codes, never an address with its query: that may be a signature.

    ``reading`` says that the object was an input of the job. What is missing, too large or not what was promised then
    counts as an input that cannot be used (exit code 3), since trying again changes nothing; all else is exit code 5.
    """

    code = "storage_failed"
    exit_code = ExitCode.OUTPUT_FAILED

    def __init__(
        self,
        what: str,
        *,
        reason: StorageReason,
        retryable: bool | None = None,
        reading: bool = False,
        evidence: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(what, evidence=evidence, hint=hint)
        self.reason = reason
        self.retryable = reason in _PASSING if retryable is None else retryable
        if reading and not self.retryable and reason in _UNUSABLE:
            self.exit_code = ExitCode.INPUT_UNUSABLE


class NetError(ReelpressError):
    """A server named by somebody's URL could not be asked, or its answer is of no use.

    ``reason`` is one stable word for programs, ``retryable`` tells whether the same call may succeed later; if not, the
    exit code is 3. ``status`` is the HTTP status where there was one, ``retry_after_s`` what the server asked for.
    Nothing in it repeats a path or a query: they may hold a secret.
    """

    code = "net_failed"
    exit_code = ExitCode.OUTPUT_FAILED

    def __init__(
        self,
        what: str,
        *,
        reason: NetReason,
        retryable: bool | None = None,
        status: int | None = None,
        retry_after_s: float | None = None,
        evidence: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(what, evidence=evidence, hint=hint)
        self.reason = reason
        self.retryable = reason in _PASSING if retryable is None else retryable
        self.status = status
        self.retry_after_s = retry_after_s
        if not self.retryable:
            self.exit_code = ExitCode.INPUT_UNUSABLE


class AddressError(NetError):
    """A URL that is malformed, or leads to an address that is not public; it was not called."""

    code = "address_refused"
    exit_code = ExitCode.INPUT_UNUSABLE

    def __init__(self, what: str, *, evidence: str | None = None, hint: str | None = None) -> None:
        super().__init__(what, reason="address", evidence=evidence, hint=hint)


class PrivateAddressError(AddressError):
    """A URL that leads into a private network, which only the operator may allow."""


class TokenError(ReelpressError):
    """A caller's token is not accepted; ``claim`` is the part that is wrong. The token is never repeated."""

    code = "token_refused"
    exit_code = ExitCode.USAGE

    def __init__(self, what: str, *, claim: str, evidence: str | None = None) -> None:
        super().__init__(what, evidence=evidence)
        self.claim = claim


_PASSING = {"throttled", "changed", "unreachable", "timed_out", "truncated"}
_UNUSABLE = {"missing", "too_large", "corrupt"}
STORAGE_REASONS: tuple[StorageReason, ...] = get_args(StorageReason)


class QualityError(ReelpressError):
    """What was made is right, and not as good or as small as was asked; nothing was delivered."""

    code = "quality_not_met"
    exit_code = ExitCode.CHECK_NOT_MET


class EncodeError(ReelpressError):
    """All attempts of a plan ended without an output that passed its checks."""

    code = "encode_failed"
    exit_code = ExitCode.CHECK_NOT_MET


class TranscribeError(ReelpressError):
    """Speech could not be made text: no model, no extra, broken sound, or the machine gave out."""

    code = "transcribe_failed"
    exit_code = ExitCode.CHECK_NOT_MET


class Cancelled(ReelpressError):  # noqa: N818 - not a fault of anybody
    """The caller asked for the work to stop; nothing was delivered."""

    code = "cancelled"
    exit_code = ExitCode.INTERRUPTED

    def __init__(self, what: str = "Stopped as asked; nothing was delivered.") -> None:
        super().__init__(what)
