"""Google's APIs by HTTP: a token, patience with what passes, errors with a name."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from reelpress.errors import NetError

_PASSING = {408, 429, 500, 502, 503, 504}
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class GoogleApi:
    """One API at one address; a context manager.

    Reads are tried ``tries`` times, with pauses; what changes something is tried once.
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: Callable[[], str] | None = None,
        tries: int = 5,
        timeout_s: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = httpx.Client(base_url=base_url, timeout=timeout_s)
        self._token = token or (_no_token if _is_here(base_url) else _default_token())
        self._tries, self._sleep = tries, sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, params: dict[str, Any] | list[tuple[str, Any]] | None = None) -> dict[str, Any]:
        """Return what is there. Raises :class:`NetError`."""
        for number in range(1, self._tries + 1):
            try:
                return self._ask("GET", path, params=params)
            except NetError as error:
                if not error.retryable or number == self._tries:
                    raise
                self._sleep(min(0.5 * 2**number, 10.0))
        raise AssertionError("unreachable")

    def patch(self, path: str, body: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        """Change what is there, and return what the API answers.

        Raises :class:`NetError`; unless ``status`` is in it, it is not known whether the change was made.
        """
        return self._ask("PATCH", path, params=params, json=body)

    def _ask(self, method: str, path: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - httpx's own
        host = self._client.base_url.host
        try:
            answer = self._client.request(method, path, headers={"Authorization": f"Bearer {self._token()}"}, **more)
        except httpx.TimeoutException as error:
            raise NetError(f"{host} has not answered in time.", reason="timed_out") from error
        except httpx.HTTPError as error:
            evidence = type(error).__name__
            raise NetError(f"{host} cannot be reached.", reason="unreachable", evidence=evidence) from error
        if answer.status_code == 200:
            return answer.json()  # type: ignore[no-any-return]
        passing = answer.status_code in _PASSING
        raise NetError(
            f"{host} refuses {method}.", reason="throttled" if answer.status_code == 429 else "refused",
            retryable=passing, status=answer.status_code, evidence=_message(answer),
        )  # fmt: skip


def _message(answer: httpx.Response) -> str:
    try:
        return f"{answer.status_code}: {answer.json()['error']['message']}"[:500]
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status_code}"


def _is_here(base_url: str) -> bool:
    """Whether an address is this machine's own: then it is a stand-in, and no token may go there."""
    host = urlsplit(base_url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _no_token() -> str:
    return "none"


def _default_token() -> Callable[[], str]:
    """Return what gives tokens of the account that Google's libraries find."""
    import google.auth
    import google.auth.exceptions
    from google.auth.transport.requests import Request

    try:
        credentials, _project = google.auth.default(scopes=[_SCOPE])
    except google.auth.exceptions.DefaultCredentialsError as error:
        hint = "Run gcloud auth application-default login."
        raise NetError("There are no credentials for Google Cloud.", reason="denied", hint=hint) from error

    def token() -> str:
        if not credentials.valid:
            credentials.refresh(Request())  # type: ignore[no-untyped-call]
        return str(credentials.token)

    return token
