"""Who is asking: a key or a Firebase ID token says so, or the request comes from this machine without either."""

from __future__ import annotations

import ipaddress
import math
import time
from collections.abc import Callable
from typing import Annotated, Any, NoReturn
from urllib.parse import urlsplit

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from reelpress.errors import TokenError
from reelpress.facts.values import Value
from reelpress.jobs.house import House
from reelpress.jobs.model import Job
from reelpress.service.firebase import FirebaseVerifier
from reelpress.service.keys import SCOPES, check_key
from reelpress.service.oidc import Verifier
from reelpress.service.problems import RequestRefused, not_found

LOCAL_USER = "local"
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
BEARER = HTTPBearer(auto_error=False, description="An API key, as rp_..., or an ID token of Firebase's.")
KEY_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same key in a header of its own.")


class Caller(Value, frozen=True, kw_only=True):
    """Who asks, and what they may do. ``is_local`` is somebody on this machine without a key."""

    user_id: str
    scopes: frozenset[str]
    is_local: bool = False

    def may(self, scope: str) -> bool:
        """Tell whether the caller has a scope; ``admin`` has them all."""
        return scope in self.scopes or "admin" in self.scopes

    @property
    def sees(self) -> str | None:
        """Whose things the caller sees: one user's, or with ``None`` everybody's."""
        return None if "admin" in self.scopes else self.user_id

    def own(self, job: Job | None) -> Job:
        """Return the job if the caller may see it; others' jobs are as absent as none. Raises ``not_found``."""
        if job is None or self.sees not in (None, job.user_id):
            not_found()
        return job


async def house_of(request: Request) -> House:
    """Return what the server has open."""
    house: House = request.app.state.house
    return house


def identify(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)],
    header: Annotated[str | None, Security(KEY_HEADER)],
) -> Caller:
    """Return who asks. Raises :class:`RequestRefused`: 401 without a good key, 403 for what a browser was tricked into.

    A key that was sent must be good, also on this machine. Raises :class:`NetError` where a token cannot be checked.
    """
    if bearer is not None and not _is_key(bearer):
        firebase: FirebaseVerifier | None = request.app.state.firebase
        if header:
            bearer = None  # it was for whoever stands in front: a closed Cloud Run wants its own token there
        elif firebase is not None:
            return _signed_in(firebase, bearer.credentials)
    text = bearer.credentials if bearer is not None else header
    if text is not None or "authorization" in request.headers:
        key = check_key(request.app.state.house.database, text or "", now=time.time())
        if key is None:
            _ask_for_key("This API key is not good.", "forged, expired or revoked")
        return Caller(user_id=key.user_id, scopes=frozenset(key.scopes))
    if not is_loopback(request.app.state.house.settings.host) or any(name in request.headers for name in _FORWARDED):
        _ask_for_key("An API key is needed.", None)
    _refuse_foreign_pages(request)
    return Caller(user_id=LOCAL_USER, scopes=frozenset(SCOPES), is_local=True)


def service_account_or_caller(
    request: Request, verifier: Verifier | None, bearer: HTTPAuthorizationCredentials | None, header: str | None
) -> Caller | None:
    """Return ``None`` for the service account whose tokens ``verifier`` accepts, else who asks with a key.

    A token beside a key in ``header`` is for whoever stands in front, and not looked at.

    Raises :class:`RequestRefused` 401 for a token or key that is not good, :class:`NetError` where that is not known.
    """
    if bearer is None or _is_key(bearer) or header or verifier is None:
        return identify(request, bearer, header)
    try:
        verifier.verify(bearer.credentials, seen_by_google=_is_only_token(request))
    except TokenError as error:
        raise RequestRefused(401, error.code, error.what, evidence=error.evidence) from None
    return None


def _is_only_token(request: Request) -> bool:
    """Tell whether what a closed Cloud Run has looked at is the token in ``Authorization``.

    Of two it looks at the other one, and hands this one on as it is
    (https://cloud.google.com/run/docs/authenticating/service-to-service).
    """
    return "x-serverless-authorization" not in request.headers and len(request.headers.getlist("authorization")) == 1


def _is_key(bearer: HTTPAuthorizationCredentials) -> bool:
    return bearer.credentials.startswith("rp_")


def _signed_in(firebase: FirebaseVerifier, token: str) -> Caller:
    try:
        user = firebase.verify(token)
    except TokenError as error:
        raise RequestRefused(
            401, error.code, error.what, evidence=error.evidence, hint="Sign in again.",
            headers={"WWW-Authenticate": 'Bearer realm="reelpress", error="invalid_token"'},
        ) from None  # fmt: skip
    scopes = SCOPES if user.is_admin else ("read", "write")
    return Caller(user_id=user.user_id, scopes=frozenset(scopes))


def is_loopback(host: str) -> bool:
    """Tell whether an address, or ``localhost``, can be reached from this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _refuse_foreign_pages(request: Request) -> None:
    """Refuse requests that a page of another site had a browser on this machine send.

    Its Origin gives it away; a name of its own that was made to point here (DNS rebinding) stands in Host.
    """
    host = request.headers.get("host", "")
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        name = ""
    origin = request.headers.get("origin")
    foreign_origin = origin is not None and origin.lower() != f"{request.url.scheme}://{host}".lower()
    foreign_site = request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
    if not is_loopback(name) or foreign_origin or foreign_site:
        raise RequestRefused(
            403, "foreign_page", "Without a key, only programs and pages of this machine are served.",
            evidence="the Host or Origin of the request", hint="Open http://127.0.0.1, or send an API key.",
        )  # fmt: skip


def _ask_for_key(what: str, evidence: str | None) -> NoReturn:
    raise RequestRefused(
        401, "key_needed", what, evidence=evidence, headers={"WWW-Authenticate": 'Bearer realm="reelpress"'},
        hint="Send Authorization: Bearer rp_...; reelpress keys create --user NAME makes one.",
    )  # fmt: skip


def _needs(scope: str) -> Callable[[Request, Caller], Any]:
    async def check(request: Request, caller: Annotated[Caller, Depends(identify)]) -> Caller:
        request.state.user_id = caller.user_id
        if not caller.may(scope):
            raise RequestRefused(403, "scope_needed", f"This key lacks the scope {scope}.")
        if scope == "write" and (wait_s := request.app.state.rates.wait_s(caller.user_id)):
            raise RequestRefused(
                429, "too_fast", "Too many requests.", hint="Ask again after the time in Retry-After.",
                headers={"Retry-After": str(math.ceil(wait_s))},
            )  # fmt: skip
        return caller

    return check


HouseOf = Annotated[House, Depends(house_of)]
Reader = Annotated[Caller, Depends(_needs("read"))]
Writer = Annotated[Caller, Depends(_needs("write"))]
Admin = Annotated[Caller, Depends(_needs("admin"))]
