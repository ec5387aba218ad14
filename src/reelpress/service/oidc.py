"""Who calls, by an OpenID Connect token of Google's kind: what Cloud Tasks and Pub/Sub put before their requests.

The signing keys come from an address (a JWKS) and are kept for an hour. A token that names a key which is not among
them makes them be fetched again, so that a rotation is noticed; but at most once a minute, or strangers could have it
done at will.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection
from typing import Any, TypeAlias

import jwt
import msgspec
from jwt.exceptions import InvalidSubjectError

from reelpress.errors import NetError, TokenError, UsageError
from reelpress.facts.values import Value
from reelpress.net.answers import get, refusal
from reelpress.net.client import public_client, read_at_most
from reelpress.net.wire import Patience
from reelpress.service_settings import ServiceSettings

GOOGLE_ISSUERS = ("https://accounts.google.com", "accounts.google.com")
GOOGLE_JWKS_URL = "https://www.googleapis.com/oauth2/v3/certs"

# Returns the JSON of a JWKS; raises NetError.
FetchJwks: TypeAlias = Callable[[str], bytes]
# How much the clocks of two machines may differ.
LEEWAY_S = 60
# What Cloud Run puts in place of the signature of a token that it has checked itself.
_SIGNATURE_TAKEN_OFF = "SIGNATURE_REMOVED_BY_GOOGLE"
_KEYS_LAST_S = 3600.0
_LEAST_BETWEEN_S = 60.0
_MOST_TOKEN_CHARS = 16 * 1024
_MOST_JWKS_BYTES = 2**20
_CLAIMS = ("iss", "aud", "exp", "iat", "email", "email_verified")
_CLAIM_OF: dict[type[jwt.InvalidTokenError], str] = {
    jwt.ExpiredSignatureError: "exp", jwt.InvalidAudienceError: "aud", jwt.InvalidIssuerError: "iss",
    jwt.InvalidIssuedAtError: "iat", jwt.ImmatureSignatureError: "iat", jwt.InvalidSignatureError: "signature",
    jwt.InvalidAlgorithmError: "alg", InvalidSubjectError: "sub",
}  # fmt: skip


class Caller(Value, frozen=True, kw_only=True):
    """Whom a token was made out to; ``expires_at`` is in epoch seconds."""

    email: str
    subject: str
    issuer: str
    expires_at: int


def fetch_jwks_at(url: str, *, allow_private: bool = False) -> bytes:
    """Return what is at the address of a JWKS, which must be public unless others are allowed.

    Raises :class:`NetError`.
    """
    patience = Patience(answer_s=10.0, total_s=15.0)
    opened = public_client(patience=patience, allow_private=allow_private)
    with opened as client, get(client, url, allow_private=allow_private) as response:
        if response.status_code != 200:
            raise refusal(response)
        return read_at_most(response, _MOST_JWKS_BYTES)


class TokenCheck:
    """What every token of one kind is checked for: RS256 by a key of the issuer's, audience, issuer, times, claims.

    Safe to share between threads. ``required`` are the claims that may not be missing. With ``iam_checked``, a token
    that has Cloud Run's word in place of its signature is one whose signature Google has checked.
    """

    def __init__(
        self,
        *,
        audience: Collection[str],
        issuers: Collection[str],
        required: Collection[str],
        jwks_url: str,
        fetch_jwks: FetchJwks = fetch_jwks_at,
        clock: Callable[[], float] = time.monotonic,
        iam_checked: bool = False,
    ) -> None:
        self._iam_checked = iam_checked
        self._audience, self._issuers, self._required = tuple(audience), tuple(issuers), tuple(required)
        self._jwks_url, self._fetch_jwks, self._clock = jwks_url, fetch_jwks, clock
        self._lock = threading.Lock()
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = self._tried_at = float("-inf")

    def claims(self, token: str, *, seen_by_google: bool = True) -> dict[str, Any]:
        """Return what a token says; one that is not ``seen_by_google`` needs its signature in any case.

        Raises :class:`TokenError` that names the claim that is wrong, and :class:`NetError` if there is no key to check
        the token with: then it is not known whether it is right.
        """
        kid = _kid_of(token)
        unsigned = self._iam_checked and seen_by_google and token.rpartition(".")[2] == _SIGNATURE_TAKEN_OFF
        try:
            claims: dict[str, Any] = jwt.decode(
                token, "" if unsigned else self._key_of(kid), algorithms=["RS256"], audience=self._audience,
                issuer=self._issuers, leeway=LEEWAY_S,
                # without a signature, none of these would be checked unless asked for by name
                options={"require": list(self._required), "verify_signature": not unsigned, "verify_exp": True,
                         "verify_iat": True, "verify_nbf": True, "verify_aud": True, "verify_iss": True},
            )  # fmt: skip
        except jwt.MissingRequiredClaimError as error:
            raise refused(error.claim, "it is missing") from None
        except jwt.InvalidTokenError as error:
            claim = _CLAIM_OF.get(type(error), "token")
            raise refused(claim, "it has expired" if claim == "exp" else None) from None
        return claims

    def _key_of(self, kid: str) -> jwt.PyJWK:
        with self._lock:
            now = self._clock()
            stale = now - self._fetched_at >= _KEYS_LAST_S
            if (stale or kid not in self._keys) and now - self._tried_at >= _LEAST_BETWEEN_S:
                self._tried_at = now
                try:
                    self._keys = _read(self._fetch_jwks(self._jwks_url))
                    self._fetched_at = now
                except NetError:
                    # Keys that are an hour old are better than none: Google announces new ones days ahead.
                    if kid not in self._keys:
                        raise
            if not self._keys:
                raise NetError("The keys that tokens are checked with are not known.", reason="unreachable")
            if kid not in self._keys:
                raise refused("kid", "no such key")
            return self._keys[kid]


class Verifier:
    """Checks tokens of service accounts; safe to share between threads.

    ``audience`` is what the token must be made out for, any one of them; ``email`` is the one service account that may
    call. Raises :class:`UsageError` if one of them is empty, because then everybody might.
    """

    def __init__(
        self,
        *,
        audience: Collection[str],
        email: str,
        issuers: Collection[str] = GOOGLE_ISSUERS,
        jwks_url: str = GOOGLE_JWKS_URL,
        fetch_jwks: FetchJwks = fetch_jwks_at,
        clock: Callable[[], float] = time.monotonic,
        iam_checked: bool = False,
    ) -> None:
        if isinstance(audience, str) or not audience or not all(audience) or not email or not issuers:
            raise UsageError("Tokens are checked against at least one audience, an issuer and a service account.")
        self._email = email
        self._check = TokenCheck(
            audience=audience, issuers=issuers, required=_CLAIMS, jwks_url=jwks_url, fetch_jwks=fetch_jwks, clock=clock,
            iam_checked=iam_checked,
        )  # fmt: skip

    def verify(self, token: str, *, seen_by_google: bool = True) -> Caller:
        """Return who calls; arguments and errors as :meth:`TokenCheck.claims`."""
        claims = self._check.claims(token, seen_by_google=seen_by_google)
        if claims["email_verified"] is not True:
            raise refused("email_verified")
        if claims["email"] != self._email:
            raise refused("email", "another account than the one that may call")
        return Caller(
            email=self._email, subject=str(claims.get("sub", "")), issuer=claims["iss"], expires_at=int(claims["exp"])
        )


def is_iam_checked(settings: ServiceSettings) -> bool:
    """Whether Google checks callers before us. Raises :class:`UsageError` where it does not: not on Cloud Run."""
    if settings.iam_checked and "K_SERVICE" not in os.environ:
        raise UsageError(
            "REELPRESS_IAM_CHECKED is for Cloud Run: nobody else takes signatures off tokens.",
            hint="Leave it out; tokens are checked here.",
        )
    return settings.iam_checked


def _kid_of(token: str) -> str:
    if len(token) > _MOST_TOKEN_CHARS:
        raise refused("token", "it is too long")
    try:
        header = jwt.get_unverified_header(token)
    except jwt.InvalidTokenError:
        raise refused("token", "it is no JSON Web Token") from None
    if header.get("alg") != "RS256":
        raise refused("alg", "only RS256 is accepted")
    kid = header.get("kid")
    if not isinstance(kid, str):
        raise refused("kid", "it is missing")
    return kid


def _read(jwks: bytes) -> dict[str, jwt.PyJWK]:
    """Return the RSA keys of a JWKS by their ids."""
    try:
        keys = jwt.PyJWKSet.from_dict(msgspec.json.decode(jwks, type=dict[str, Any])).keys
    except (msgspec.DecodeError, jwt.PyJWTError):
        raise NetError("The keys that tokens are checked with cannot be read.", reason="unreachable") from None
    return {key.key_id: key for key in keys if key.key_id and key.key_type == "RSA"}


def refused(claim: str, evidence: str | None = None) -> TokenError:
    """Return the error for a token whose ``claim`` is wrong."""
    return TokenError("This token is not accepted.", claim=claim, evidence=f"{claim}: {evidence or 'it is wrong'}")
