"""Who is signed in, by an ID token of Firebase Authentication: a user of the project, and never of a key.

What is checked is what Firebase's documentation asks of those who verify tokens without its SDK: the signature by a key
of the issuer's, RS256 alone, the project as audience and issuer, the times, and a subject. Whether a user was disabled
or their sessions were revoked is not in a token; it lasts an hour at most.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from reelpress.errors import UsageError
from reelpress.facts.values import Value
from reelpress.jobs.house import House
from reelpress.jobs.owners import FIREBASE
from reelpress.service.oidc import LEEWAY_S, FetchJwks, TokenCheck, fetch_jwks_at, refused

ISSUER = "https://securetoken.google.com/"
_REQUIRED = ("iss", "aud", "sub", "exp", "iat", "auth_time")
_MOST_UID_CHARS = 128  # Firebase's own limit


class FirebaseUser(Value, frozen=True, kw_only=True):
    """Who signed in. ``user_id`` is ``firebase:`` and Firebase's own id, which no user of a key can be called."""

    user_id: str
    is_admin: bool


class FirebaseVerifier:
    """Checks ID tokens of one Firebase project; safe to share between threads.

    ``user_claim`` names a custom claim that must be ``true``; without one, whoever can sign in to the project may use
    the service. ``admin_claim`` names one that makes an administrator; without one, nobody is.
    """

    def __init__(
        self,
        *,
        project: str,
        jwks_url: str,
        user_claim: str | None = None,
        admin_claim: str | None = None,
        fetch_jwks: FetchJwks = fetch_jwks_at,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not project:
            raise UsageError("ID tokens are checked against a Firebase project.")
        self._user_claim, self._admin_claim, self._now = user_claim, admin_claim, now
        self._check = TokenCheck(
            audience=(project,), issuers=(ISSUER + project,), required=_REQUIRED, jwks_url=jwks_url,
            fetch_jwks=fetch_jwks, clock=clock,
        )  # fmt: skip

    def verify(self, token: str) -> FirebaseUser:
        """Return who is signed in; errors as :meth:`reelpress.service.oidc.TokenCheck.claims`."""
        claims = self._check.claims(token)
        uid, signed_in_at, about = claims["sub"], claims["auth_time"], claims.get("firebase")
        if not isinstance(uid, str) or not 1 <= len(uid) <= _MOST_UID_CHARS or not uid.isprintable():
            raise refused("sub")
        if isinstance(signed_in_at, bool) or not isinstance(signed_in_at, int | float):
            raise refused("auth_time")
        if signed_in_at > self._now() + LEEWAY_S:
            raise refused("auth_time", "it is in the future")
        if claims["aud"] != claims["iss"].removeprefix(ISSUER):  # a list of audiences is none of Firebase's
            raise refused("aud")
        if isinstance(about, dict) and about.get("tenant") is not None:
            raise refused("tenant", "two tenants may give out the same id")
        is_admin = self._admin_claim is not None and claims.get(self._admin_claim) is True
        if self._user_claim is not None and claims.get(self._user_claim) is not True and not is_admin:
            raise refused(self._user_claim, "this user may not use the service")
        return FirebaseUser(user_id=f"{FIREBASE}{uid}", is_admin=is_admin)


def firebase_of(house: House) -> FirebaseVerifier | None:
    """Return what checks Firebase's ID tokens, where settings name a project."""
    settings = house.settings
    if settings.firebase_project is None:
        return None
    return FirebaseVerifier(
        project=settings.firebase_project, jwks_url=settings.firebase_jwks_url,
        user_claim=settings.firebase_user_claim, admin_claim=settings.firebase_admin_claim,
        fetch_jwks=partial(fetch_jwks_at, allow_private=settings.allow_private_urls),
    )  # fmt: skip
