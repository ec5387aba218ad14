"""Tokens that are accepted, and all the others."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from reelpress.errors import AddressError, NetError, TokenError, UsageError
from reelpress.service.oidc import Verifier, fetch_jwks_at, is_iam_checked
from reelpress.service_settings import load_service

AUDIENCE, EMAIL = "https://reelpress.example", "tasks@project.iam.gserviceaccount.com"
KEYS = {name: rsa.generate_private_key(public_exponent=65537, key_size=2048) for name in ("k1", "k2", "stranger")}


def jwks(*names: str, **more: object) -> bytes:
    keys = [
        {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEYS[name].public_key())), "kid": name, "alg": "RS256", **more}
        for name in names
    ]
    return json.dumps({"keys": keys}).encode()


class Server:
    """Where keys are fetched; counts how often."""

    def __init__(self, *names: str) -> None:
        self.answer: bytes | Exception = jwks(*names)
        self.count = 0

    def __call__(self, url: str) -> bytes:
        self.count += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def verifier(server: Server | None = None, **options) -> Verifier:
    options = {"audience": [AUDIENCE, "https://other.example"], "email": EMAIL, **options}
    return Verifier(jwks_url="https://keys.example/", fetch_jwks=server or Server("k1"), **options)


def token(key: str = "k1", *, without: str = "", headers: dict | None = None, **claims: object) -> str:
    now = int(time.time())
    whole = {
        "iss": "https://accounts.google.com", "aud": AUDIENCE, "email": EMAIL, "email_verified": True, "sub": "1234",
        "iat": now, "exp": now + 3600, **claims,
    }  # fmt: skip
    whole.pop(without, None)
    return jwt.encode(whole, KEYS[key], "RS256", headers={"kid": key, **(headers or {})})


def refused(text: str, checks: Verifier | None = None) -> str:
    with pytest.raises(TokenError) as caught:
        (checks or verifier()).verify(text)
    if text:
        assert text not in str(caught.value.lines())
    return caught.value.claim


def test_a_right_token_says_who_calls():
    caller = verifier().verify(token())
    assert (caller.email, caller.subject, caller.issuer) == (EMAIL, "1234", "https://accounts.google.com")
    for other in ({"iss": "accounts.google.com"}, {"aud": "https://other.example"}, {"aud": ["x", AUDIENCE]}):
        assert verifier().verify(token(**other)).email == EMAIL


@pytest.mark.parametrize(
    ("claims", "claim"),
    [
        ({"iss": "https://accounts.google.com.evil.example"}, "iss"), ({"iss": "google"}, "iss"),
        ({"aud": "https://reelpress.example.evil"}, "aud"), ({"aud": []}, "aud"), ({"aud": ""}, "aud"),
        ({"email": "other@project.iam.gserviceaccount.com"}, "email"), ({"email": EMAIL.upper()}, "email"),
        ({"email_verified": False}, "email_verified"), ({"email_verified": "true"}, "email_verified"),
        ({"exp": int(time.time()) - 61}, "exp"), ({"exp": 0}, "exp"),
        ({"iat": int(time.time()) + 10**7}, "iat"), ({"nbf": int(time.time()) + 10**7}, "iat"),
        ({"iat": "now"}, "iat"), ({"exp": "never"}, "token"),
    ],
)  # fmt: skip
def test_every_claim_is_checked(claims, claim):
    assert refused(token(**claims)) == claim


@pytest.mark.parametrize("claim", ["iss", "aud", "exp", "iat", "email", "email_verified"])
def test_no_claim_may_be_missing(claim):
    assert refused(token(without=claim)) == claim


def test_clocks_may_differ_by_less_than_a_minute():
    now = int(time.time())
    assert verifier().verify(token(exp=now - 40)).expires_at == now - 40
    assert verifier().verify(token(iat=now + 40))


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_forged_tokens_are_refused():
    good = token()
    header, claims, signature = good.split(".")
    payload = json.loads(base64.urlsafe_b64decode(claims + "=="))
    # of another key, under the right id
    assert refused(jwt.encode(payload, KEYS["stranger"], "RS256", headers={"kid": "k1"})) == "signature"
    # changed afterwards
    assert refused(f"{header}.{encoded({**payload, 'sub': 'me'})}.{signature}") == "signature"
    assert refused(f"{header}.{claims}.") == "signature"
    # without a signature
    for algorithm in ("none", "None", "nOnE"):
        assert refused(f"{encoded({'alg': algorithm, 'kid': 'k1', 'typ': 'JWT'})}.{claims}.") == "alg"
    # signed with the public key as if it were a shared secret
    public = KEYS["k1"].public_key()
    for form in (serialization.Encoding.PEM, serialization.Encoding.DER):
        secret = public.public_bytes(form, serialization.PublicFormat.SubjectPublicKeyInfo)
        start = f"{encoded({'alg': 'HS256', 'kid': 'k1', 'typ': 'JWT'})}.{claims}"
        made = base64.urlsafe_b64encode(hmac.new(secret, start.encode(), hashlib.sha256).digest()).rstrip(b"=")
        assert refused(f"{start}.{made.decode()}") == "alg"
    # of the right key, by another algorithm
    assert refused(jwt.encode(payload, KEYS["k1"], "RS512", headers={"kid": "k1"})) == "alg"
    assert refused(jwt.encode(payload, KEYS["k1"], "PS256", headers={"kid": "k1"})) == "alg"
    # that brings its own key along
    own = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEYS["stranger"].public_key()))
    brought = {"kid": "k1", "jwk": own, "jku": "https://evil.example/keys"}
    assert refused(jwt.encode(payload, KEYS["stranger"], "RS256", headers=brought)) == "signature"


def taken_off(text: str) -> str:
    """The token as Cloud Run hands it on when it has checked it."""
    return f"{text.rpartition('.')[0]}.SIGNATURE_REMOVED_BY_GOOGLE"


def test_a_signature_that_google_took_off_is_taken_for_checked_only_where_google_checks():
    checked = verifier(iam_checked=True)
    assert checked.verify(taken_off(token())).email == EMAIL
    assert checked.verify(token()).email == EMAIL
    assert refused(taken_off(token())) == "signature"


@pytest.mark.parametrize(
    ("claims", "claim"),
    [({"aud": "x"}, "aud"), ({"iss": "x"}, "iss"), ({"email": "x"}, "email"), ({"exp": 0}, "exp"),
     ({"iat": int(time.time()) + 10**7}, "iat"), ({"nbf": int(time.time()) + 10**7}, "iat")],
)  # fmt: skip
def test_without_its_signature_every_claim_is_checked_all_the_same(claims, claim):
    assert refused(taken_off(token(**claims)), verifier(iam_checked=True)) == claim


def test_without_the_word_of_google_a_signature_is_checked_all_the_same():
    checked = verifier(iam_checked=True)
    start = token().rpartition(".")[0]
    for end in ("", "SIGNATURE_REMOVED_BY_GOOGLE_", "c2lnbmF0dXJl"):
        assert refused(f"{start}.{end}", checked) == "signature"
    none = f"{encoded({'alg': 'none', 'kid': 'k1'})}.{start.partition('.')[2]}"
    assert refused(f"{none}.SIGNATURE_REMOVED_BY_GOOGLE", checked) == "alg"


def test_no_signature_is_taken_for_checked_outside_cloud_run(monkeypatch):
    settings = load_service({"iam_checked": "true"}, environ={}, env_file=None)
    monkeypatch.delenv("K_SERVICE", raising=False)
    with pytest.raises(UsageError, match="Cloud Run"):
        is_iam_checked(settings)
    monkeypatch.setenv("K_SERVICE", "reelpress-worker")
    assert is_iam_checked(settings)


@pytest.mark.parametrize("text", ["", "abc", "a.b.c", "..", "\x00", "é.é.é", "a" * 20_000, "e30.e30.e30"])
def test_what_is_no_token_is_refused(text):
    assert refused(text) in {"token", "alg"}


def test_a_key_must_be_named():
    now = int(time.time())
    assert refused(jwt.encode({"exp": now + 60}, KEYS["k1"], "RS256")) == "kid"


def test_keys_are_kept_and_rotations_noticed_at_most_once_a_minute():
    server, now = Server("k1"), [0.0]
    checks = verifier(server, clock=lambda: now[0])
    for _ in range(5):
        assert checks.verify(token())
    assert server.count == 1
    # A stranger's ids do not make it fetch again and again.
    for number in range(5):
        assert refused(token("stranger", headers={"kid": f"x{number}"}), checks) == "kid"
    assert server.count == 1
    server.answer, now[0] = jwks("k2"), 61.0
    assert checks.verify(token("k2"))
    assert server.count == 2
    assert refused(token("k1"), checks) == "kid"
    now[0] = 61.0 + 3600
    assert checks.verify(token("k2"))
    assert server.count == 3


def test_old_keys_serve_while_new_ones_cannot_be_fetched():
    server, now = Server("k1"), [0.0]
    checks = verifier(server, clock=lambda: now[0])
    checks.verify(token())
    server.answer, now[0] = NetError("no", reason="unreachable"), 4000.0
    assert checks.verify(token())
    now[0] = 4100.0
    with pytest.raises(NetError):
        checks.verify(token("k2"))


@pytest.mark.parametrize(
    "answer", [b"", b"[]", b"{}", b'{"keys": []}', b'{"keys": [{"kty": "oct", "k": "AAAA"}]}', b"<html>"]
)
def test_without_keys_nobody_is_told_that_a_token_is_wrong(answer):
    server = Server("k1")
    server.answer = answer
    checks = verifier(server)
    for _ in range(2):
        with pytest.raises(NetError):
            checks.verify(token())


def test_a_shared_secret_among_the_keys_is_not_used():
    server = Server("k1")
    shared = {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "kid": "k2"}
    server.answer = json.dumps({"keys": [shared, *json.loads(jwks("k1"))["keys"]]}).encode()
    checks = verifier(server)
    assert checks.verify(token())
    assert refused(token("k2"), checks) == "kid"


@pytest.mark.parametrize(
    "options", [{"audience": []}, {"audience": [""]}, {"audience": AUDIENCE}, {"email": ""}, {"issuers": ()}]
)
def test_a_check_of_nothing_cannot_be_set_up(options):
    with pytest.raises(UsageError):
        verifier(**options)


def test_keys_are_fetched_from_public_addresses_alone():
    with pytest.raises(AddressError):
        fetch_jwks_at("http://127.0.0.1:1/keys")
