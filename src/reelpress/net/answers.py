"""What answers mean: statuses, redirects followed by hand, and how long a server asks to be left alone."""

from __future__ import annotations

import contextlib
import email.utils
import time
from collections.abc import Iterator, Mapping

import httpx

from reelpress.errors import AddressError, NetError, NetReason
from reelpress.net.addresses import check_url, shown

MAX_REDIRECTS = 5
_REDIRECTS = {301, 302, 303, 307, 308}
_BY_STATUS: dict[int, NetReason] = {
    401: "denied", 403: "denied", 404: "missing", 408: "timed_out", 410: "missing", 412: "changed", 416: "changed",
    429: "throttled", 503: "throttled",
}  # fmt: skip


@contextlib.contextmanager
def get(
    client: httpx.Client, url: str, headers: Mapping[str, str] | None = None, *, allow_private: bool
) -> Iterator[httpx.Response]:
    """Ask for a URL, through at most five redirects, and give the first other answer, its body unread.

    Every hop is checked like the first, and none leads from https to http. Raises :class:`AddressError`,
    :class:`NetError` and :class:`Cancelled`.
    """
    at = check_url(url, allow_private=allow_private)
    for _ in range(MAX_REDIRECTS + 1):
        response = client.send(client.build_request("GET", at, headers=headers), stream=True)
        try:
            if response.status_code not in _REDIRECTS:
                yield response
                return
            at = _next(at, response, allow_private=allow_private)
        finally:
            response.close()
    raise NetError(f"{shown(at)} leads nowhere.", reason="refused", evidence=f"more than {MAX_REDIRECTS} redirects")


def refusal(response: httpx.Response) -> NetError:
    """Return the error that an answer other than the hoped for one stands for."""
    status = response.status_code
    reason = _BY_STATUS.get(status, "unreachable" if status >= 500 else "refused")
    return NetError(
        f"{shown(response.request.url)} does not deliver.", reason=reason, status=status,
        retry_after_s=retry_after_s(response), evidence=f"HTTP {status}",
    )  # fmt: skip


def retry_after_s(response: httpx.Response, now: float | None = None) -> float | None:
    """Return the seconds that ``Retry-After`` asks for, from 0 to a day, or ``None``; ``now`` is in epoch seconds."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        seconds = float(text[:9])
    else:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - (time.time() if now is None else now)
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), 86_400.0)


def _next(at: httpx.URL, response: httpx.Response, *, allow_private: bool) -> httpx.URL:
    try:
        there = at.join(response.headers.get("Location", ""))
    except (httpx.InvalidURL, UnicodeError):
        raise AddressError("A redirect leads to something that is no URL.", evidence=f"from {shown(at)}") from None
    if there == at:
        raise NetError(f"{shown(at)} leads to itself.", reason="refused", evidence=f"HTTP {response.status_code}")
    if at.scheme == "https" and there.scheme == "http":
        raise AddressError("A redirect from https to http is not followed.", evidence=f"from {shown(at)}")
    return check_url(str(there), allow_private=allow_private)
