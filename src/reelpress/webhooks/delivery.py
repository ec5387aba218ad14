"""One try to deliver one event."""

from __future__ import annotations

import time
import unicodedata
from typing import Literal, TypeAlias

import httpx

from reelpress.errors import AddressError, NetError, UsageError
from reelpress.facts.values import Value
from reelpress.net.answers import retry_after_s
from reelpress.net.client import public_client, read_at_most
from reelpress.net.wire import Patience
from reelpress.webhooks.signing import signed_headers

# What a try means for the event: it arrived, it may arrive later, or trying again is pointless.
Verdict: TypeAlias = Literal["delivered", "again", "never"]

_PATIENCE = Patience(connect_s=5.0, silence_s=15.0, answer_s=15.0, total_s=15.0, least_bytes_per_s=0.0)
_MOST_READ_BYTES = 4096
_MOST_SHOWN_CHARS = 1000
_GONE = 410


class Delivery(Value, frozen=True, kw_only=True):
    """What to send where: ``payload`` is JSON text and goes out byte for byte as it is signed."""

    id: str
    url: str
    payload: str
    secret: str

    def __repr__(self) -> str:
        return f"Delivery(id={self.id!r})"  # neither the secret nor a URL that may hold one


class Outcome(Value, frozen=True, kw_only=True):
    """What came of a try: the HTTP status where there was an answer, and how the answer begins.

    ``error`` says in a few words why it is no success. ``retry_after_s`` is what a receiver asked for that is
    overloaded.
    """

    verdict: Verdict
    status: int | None
    duration_ms: int
    error: str | None = None
    response_excerpt: str = ""
    retry_after_s: float = 0.0


def deliver(
    request: Delivery,
    *,
    now: float,
    allow_private: bool = False,
    patience: Patience = _PATIENCE,
    client: httpx.Client | None = None,
) -> Outcome:
    """Send an event once and say what came of it; ``now``, in epoch seconds, is when it is signed.

    Any 2xx is success. Redirects are not followed: the event would be shown to somebody nobody named. 410 says that the
    receiver is gone for good. A refused address or secret will not get better either. Never raises for these.
    """
    began = time.monotonic()

    def outcome(verdict: Verdict, error: str | None, status: int | None = None) -> Outcome:
        return Outcome(verdict=verdict, status=status, error=error, duration_ms=_since_ms(began))

    try:
        headers = signed_headers(request.secret, request.id, request.payload, now)
        headers["Content-Type"] = "application/json"
        with client or public_client(allow_private=allow_private, patience=patience) as caller:
            asked = caller.build_request("POST", request.url, content=request.payload.encode(), headers=headers)
            response = caller.send(asked, stream=True)
            try:
                return _read(response, began, now)
            finally:
                response.close()
    except (AddressError, UsageError) as error:
        return outcome("never", _told(error))
    except httpx.InvalidURL:
        return outcome("never", "This URL is not accepted.")
    except NetError as error:
        return outcome("again", _told(error))


def _read(response: httpx.Response, began: float, now: float) -> Outcome:
    status = response.status_code
    try:
        body = read_at_most(response, _MOST_READ_BYTES)
    except NetError:  # the status has been said; what else was to come is for people to read
        body = b""
    verdict: Verdict = "delivered" if response.is_success else "never" if status == _GONE else "again"
    error = None if response.is_success else f"HTTP {status}"
    if response.is_redirect:
        error = f"HTTP {status}: redirects are not followed, name the last address instead"
    elif verdict == "never":
        error = f"HTTP {status}: the receiver is gone for good"
    asked_s = retry_after_s(response, now) if status in {429, 503} else None
    return Outcome(
        verdict=verdict, status=status, duration_ms=_since_ms(began), error=error, response_excerpt=_shown(body),
        retry_after_s=asked_s or 0.0,
    )  # fmt: skip


def _shown(body: bytes) -> str:
    """Return text that no terminal and no page can take for anything else."""
    text = body.decode("utf-8", "replace")
    kept = "".join(c if c == "\n" or unicodedata.category(c)[0] != "C" else "\N{REPLACEMENT CHARACTER}" for c in text)
    return kept[:_MOST_SHOWN_CHARS]


def _told(error: NetError | UsageError) -> str:
    return f"{error.what} ({error.evidence})" if error.evidence else error.what


def _since_ms(began: float) -> int:
    return round(1000 * (time.monotonic() - began))
