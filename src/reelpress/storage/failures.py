"""What obstore's errors mean, read from their kind, the HTTP status and S3's own code; pure.

Nothing of an error's text is passed on but words matched here: it quotes addresses, and an Azure address may carry its
signature.
"""

from __future__ import annotations

import errno
import re

from reelpress.errors import StorageError, StorageReason

_STATUS = re.compile(r"\bstatus(?: code)?: (\d{3})\b")
_S3_CODE = re.compile(r"<Code>([A-Za-z.]{1,60})</Code>")
_HTTP_KIND = re.compile(r"\bkind: (Connect|Request|Timeout|Interrupted|Decode|Unknown)\b")
_OS_CODE = re.compile(r"\bos error (\d{1,3})\)")

# Without keys in options or environment, obstore asks the cloud's own machine for some.
_METADATA = re.compile(r"Error performing [A-Z]+ http://(?:169\.254\.\d+\.\d+|metadata\.google\.internal|metadata)[:/]")

_BY_STATUS: dict[int, StorageReason] = {
    401: "denied", 403: "denied", 404: "missing", 408: "timed_out", 412: "changed", 413: "too_large",
    416: "changed",  # the object became shorter than what was asked for
    429: "throttled", 503: "throttled", 507: "full",
}  # fmt: skip
_BY_ERRNO: dict[int, StorageReason] = {
    errno.ENOSPC: "full", errno.EDQUOT: "full", errno.EFBIG: "full", errno.EACCES: "denied", errno.EPERM: "denied",
    errno.EROFS: "denied", errno.ENOENT: "missing", errno.EIO: "unreachable", errno.ESTALE: "unreachable",
}  # fmt: skip
# By name, so that nothing needs obstore to speak of failures.
_BY_TYPE: dict[str, StorageReason] = {
    "FileNotFoundError": "missing", "AlreadyExistsError": "exists", "PreconditionError": "changed",
    "NotModifiedError": "changed", "PermissionDeniedError": "denied", "UnauthenticatedError": "denied",
    "PermissionError": "denied", "NotSupportedError": "unsupported", "NotImplementedError": "unsupported",
}  # fmt: skip
_BUSY_CODES = {"SlowDown", "RequestLimitExceeded", "ConditionalRequestConflict", "OperationAborted", "ServerBusy"}
_HINTS: dict[StorageReason, str] = {
    "missing": "check the key, the bucket's name and the prefix of the store",
    "denied": "check the credentials and what they may do in this bucket",
    "throttled": "try again later, or with fewer jobs at once",
    "unreachable": "check the endpoint and the network, and try again",
    "timed_out": "check the network, and try again",
    "full": "free some space",
    "exists": "choose another key, or allow overwriting",
}
_HINTS_HERE: dict[StorageReason, str] = {  # of files of this machine
    "missing": "make the folder first, and check the name",
    "denied": "check the permissions of the file and of its folder",
    "unreachable": "the disk, or the connection to it, fails",
    "full": "free some space",
}


def explain(error: Exception, doing: str, *, reading: bool = False) -> StorageError:
    """Return what went wrong while ``doing`` something ("read a.mp4"); ``reading`` as in :class:`StorageError`."""
    reason, evidence = _read(error)
    return failure(f"Could not {doing}.", reason, evidence=evidence, reading=reading)


def failure(
    what: str, reason: StorageReason, *, evidence: str | None, reading: bool = False, retryable: bool | None = None
) -> StorageError:
    """Return an error with the hint that goes with its reason."""
    return StorageError(
        what, reason=reason, evidence=evidence, reading=reading, retryable=retryable, hint=_HINTS.get(reason)
    )


def of_os_error(error: OSError, doing: str) -> StorageError:
    """Return what a failure of our own with a file on this machine means."""
    reason = _BY_ERRNO.get(error.errno or 0, "refused")
    return StorageError(
        f"Could not {doing}.", reason=reason, evidence=os_words(error), hint=_HINTS_HERE.get(reason)
    )  # fmt: skip


def os_words(error: OSError) -> str:
    """Return the system's own words, without the path."""
    return error.strerror or type(error).__name__


def _read(error: Exception) -> tuple[StorageReason, str]:
    text = str(error)
    if _METADATA.search(text):
        return "denied", "no credentials in options or environment, and none from a metadata server"
    status, code, kind, number = (_first(p, text) for p in (_STATUS, _S3_CODE, _HTTP_KIND, _OS_CODE))
    said = [f"HTTP {status}" if status else "", code or "", f"system error {number}" if number else ""]
    if not status and kind:
        said.append(f"HTTP client: {kind.lower()}")
    evidence = ", ".join(filter(None, said)) or type(error).__name__
    return _reason(error, int(status or 0), code, kind, int(number or 0)), evidence


def _reason(error: Exception, status: int, code: str | None, kind: str | None, number: int) -> StorageReason:
    if code in _BUSY_CODES:  # S3 answers 409 and 503 for these, which obstore takes for an existing object
        return "throttled"
    if (reason := _BY_TYPE.get(type(error).__name__)) is not None:
        return reason
    if status:
        return _BY_STATUS.get(status, "unreachable" if status >= 500 else "refused")
    if number in _BY_ERRNO:
        return _BY_ERRNO[number]
    if kind is not None:
        return "timed_out" if kind == "Timeout" else "unreachable"
    return "refused"


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return found.group(1) if found else None
