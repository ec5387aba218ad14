"""ID tokens of Firebase's that are accepted, and all the others."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from reelpress.errors import NetError, TokenError, UsageError
from reelpress.jobs.owners import owner_of, user_prefix
from reelpress.service.firebase import FirebaseVerifier

from firebase_tokens import KEYS, PROJECT, id_token, jwks

OTHER = "https://securetoken.google.com/other-project"


def verifier(**options) -> FirebaseVerifier:
    return FirebaseVerifier(
        **{"project": PROJECT, "jwks_url": "https://keys.example/", "fetch_jwks": lambda _url: jwks(), **options}
    )


def refused(text: str, **options) -> str:
    with pytest.raises(TokenError) as caught:
        verifier(**options).verify(text)
    if text:
        assert text not in str(caught.value.lines())
    return caught.value.claim


def test_a_right_token_says_who_signed_in():
    user = verifier().verify(id_token("Ab3"))
    assert (user.user_id, user.is_admin) == ("firebase:Ab3", False)
    assert verifier().verify(id_token("x" * 128)).user_id == "firebase:" + "x" * 128


@pytest.mark.parametrize(
    ("claims", "claim"),
    [
        ({"aud": "other-project"}, "aud"), ({"iss": OTHER}, "iss"), ({"aud": "other-project", "iss": OTHER}, "iss"),
        ({"aud": [PROJECT, "other-project"]}, "aud"), ({"iss": f"https://securetoken.google.com/{PROJECT}/"}, "iss"),
        ({"iss": "https://accounts.google.com"}, "iss"),
        ({"iss": f"https://session.firebase.google.com/{PROJECT}"}, "iss"),
        ({"exp": 0}, "exp"), ({"exp": int(time.time()) - 61}, "exp"),
        ({"iat": int(time.time()) + 10**6}, "iat"), ({"nbf": int(time.time()) + 10**6}, "iat"),
        ({"auth_time": int(time.time()) + 10**6}, "auth_time"), ({"auth_time": "now"}, "auth_time"),
        ({"auth_time": True}, "auth_time"), ({"auth_time": None}, "auth_time"),
        ({"sub": ""}, "sub"), ({"sub": "x" * 129}, "sub"), ({"sub": 7}, "sub"), ({"sub": "a\nb"}, "sub"),
        ({"sub": None}, "sub"), ({"sub": ["a"]}, "sub"), ({"firebase": {"tenant": "t-1"}}, "tenant"),
    ],
)  # fmt: skip
def test_every_claim_is_checked(claims, claim):
    assert refused(id_token(**claims)) == claim


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "exp", "iat", "auth_time"])
def test_no_claim_may_be_missing(claim):
    assert refused(id_token(without=claim)) == claim


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_forged_tokens_are_refused():
    header, claims, signature = id_token().split(".")
    payload = json.loads(base64.urlsafe_b64decode(claims + "=="))
    assert refused(id_token(key="stranger")) == "signature"
    assert refused(id_token(key="stranger", kid="stranger")) == "kid"
    assert refused(f"{header}.{encoded({**payload, 'sub': 'me'})}.{signature}") == "signature"
    # as the emulator issues them: without a signature
    for algorithm in ("none", "None"):
        assert refused(f"{encoded({'alg': algorithm, 'kid': 'k1', 'typ': 'JWT'})}.{claims}.") == "alg"
    # signed with the public key as if it were a shared secret
    public = KEYS["k1"].public_key()
    secret = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    start = f"{encoded({'alg': 'HS256', 'kid': 'k1', 'typ': 'JWT'})}.{claims}"
    made = base64.urlsafe_b64encode(hmac.new(secret, start.encode(), hashlib.sha256).digest()).rstrip(b"=")
    assert refused(f"{start}.{made.decode()}") == "alg"
    assert refused(jwt.encode(payload, KEYS["k1"], "PS256", headers={"kid": "k1"})) == "alg"
    assert refused(jwt.encode(payload, KEYS["k1"], "RS256")) == "kid"
    for text in ("", "a.b.c", "a" * 20_000, id_token(pad="x" * 16_384)):
        assert refused(text) == "token"


def test_custom_claims_let_in_and_make_administrators_only_where_settings_name_them():
    assert not verifier().verify(id_token(admin=True)).is_admin
    named = {"user_claim": "editor", "admin_claim": "boss"}
    assert refused(id_token(), **named) == "editor"
    assert refused(id_token(editor="true"), **named) == "editor"
    assert not verifier(**named).verify(id_token(editor=True)).is_admin
    assert not verifier(**named).verify(id_token(editor=True, boss=1)).is_admin
    assert verifier(**named).verify(id_token(boss=True)).is_admin


def test_a_check_of_no_project_cannot_be_set_up_and_without_keys_nothing_is_known():
    with pytest.raises(UsageError):
        verifier(project="")
    with pytest.raises(NetError):
        verifier(fetch_jwks=lambda _url: b"{}").verify(id_token())


def test_no_two_users_share_a_place_and_it_says_whose_it_is():
    users = [
        "ann",
        "firebase",
        "firebase:ann",
        "firebase:",
        ".firebase",
        "firebase:é",
        "firebase:a/b",
        "é",
        "users/ann",
        *(f"urn:example:{'x' * 100}{end}" for end in "ab"),  # alike in as much as fits a name
        *("\u6c34" * 60 + end for end in "ab"),
    ]
    assert len({user_prefix(user) for user in users}) == len(users)
    assert all(len(user_prefix(user)) <= 240 for user in users)
    assert user_prefix("firebase:Ab3") == "firebase/Ab3"
    for user in ("ann", "firebase:Ab3", "firebase"):
        assert owner_of(f"{user_prefix(user)}/uploads/a.mp4") == (user, "uploads/a.mp4")
    for key in ("", "a", "users", "users/ann", "users/ann/", "users//a", "users/firebase:ann/a", "users/.ab/a",
                "firebase/.0/a", "other/ann/a", "firebase//a"):  # fmt: skip
        assert owner_of(key) is None
