"""What a service, or the store that it sends us on to, answers in place of what was asked for."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import httpx

from reelpress.errors import ExitCode, ReelpressError


class ServiceRefused(ReelpressError):  # noqa: N818 - the error tree's names say what happened
    """The service answered that it will not, or cannot; ``status`` is HTTP's, 0 where there was no answer."""

    def __init__(
        self, status: int, code: str, what: str, *, evidence: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(what, evidence=evidence, hint=hint)
        self.status, self.code = status, code
        theirs = status in (0, 429) or status >= 500
        self.exit_code = ExitCode.OUTPUT_FAILED if theirs else ExitCode.USAGE


class StoreRefused(ServiceRefused):
    """The store that the service sends us on to said no: an address that has expired, as a rule."""

    def __init__(self, response: httpx.Response) -> None:
        said = f"The store answered {response.status_code} {response.reason_phrase}.".replace(" .", ".")
        hint = "Try again: an address in the store is good for a while, and what was sent is not sent again."
        super().__init__(response.status_code, "store_refused", said, hint=hint)
        self.exit_code = ExitCode.OUTPUT_FAILED


def good(response: httpx.Response) -> httpx.Response:
    """Return an answer of the service, if it is what was asked for. Raises :class:`ServiceRefused`."""
    if response.is_success:
        return response
    said: dict[str, Any] = {}
    with contextlib.suppress(ValueError, httpx.HTTPError):
        response.read()
        loaded = json.loads(response.content)
        said = loaded if isinstance(loaded, dict) else {}
    status = response.status_code
    what = said.get("detail") or said.get("title") or f"The service answered {status} {response.reason_phrase}."
    hint = said.get("hint")
    if status in (401, 403) and not hint:
        hint = "Give a key that is good for this: --key or REELPRESS_API_KEY."
    code, evidence = said.get("code"), said.get("evidence")
    raise ServiceRefused(status, str(code or "refused"), str(what), evidence=evidence, hint=hint)


def good_of_store(response: httpx.Response) -> httpx.Response:
    """Return an answer of the store, if it is what was asked for. Raises :class:`StoreRefused`."""
    if response.is_success:
        return response
    raise StoreRefused(response)
