"""Users who signed in with Firebase, beside those who have keys."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from reelpress.errors import NetError, UsageError
from reelpress.jobs.house import House
from reelpress.service import firebase
from reelpress.service.app import create_app
from reelpress.service.keys import create_key

from conftest import LOCAL, MakeKey, open_house
from firebase_tokens import PROJECT, bearer, jwks

JOB = {"input": {"url": "https://example.com/talk.mov"}}


@pytest.fixture
def public_house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setattr(firebase, "fetch_jwks_at", lambda _url, allow_private: jwks())
    opened = open_house(tmp_path / "data", host="0.0.0.0", firebase_project=PROJECT, firebase_admin_claim="boss")
    yield opened
    opened.close()


def test_who_signed_in_has_things_of_their_own(public: TestClient, key_of: MakeKey) -> None:
    mine = public.post("/v1/jobs", json=JOB, headers=bearer("Ab3"))
    assert (mine.status_code, mine.json()["user_id"]) == (201, "firebase:Ab3")
    path = f"/v1/jobs/{mine.json()['id']}"
    assert public.get(path, headers=bearer("Ab3")).status_code == 200
    assert public.get("/v1/events?poll=0", headers=bearer("Ab3")).json()["last"] > 0
    for other in (bearer("ab3"), bearer("firebase:Ab3"), key_of("Ab3"), key_of("local")):
        assert public.get(path, headers=other).status_code == 404
    assert public.get(path, headers=bearer("root", boss=True)).status_code == 200
    key = {"input": {"object": "firebase/Ab3/uploads/a.mp4"}}
    assert public.post("/v1/jobs", json=key, headers=bearer("Ab3")).status_code == 201
    assert public.post("/v1/jobs", json=key, headers=bearer("Ab4")).status_code == 403
    assert public.post("/v1/jobs", json=key, headers=key_of("ann")).status_code == 403


def test_scopes_are_those_of_an_ordinary_user(public: TestClient) -> None:
    assert public.get("/metrics", headers=bearer()).status_code == 403
    assert public.get("/metrics", headers=bearer(admin=True)).status_code == 403
    assert public.get("/metrics", headers=bearer(boss=True)).status_code == 200


def test_other_tokens_and_no_token_are_refused(public: TestClient, key_of: MakeKey) -> None:
    for headers in (bearer(aud="other"), bearer(exp=1), bearer(key="stranger"), {"Authorization": "Bearer nonsense"}):
        answer = public.get("/v1/jobs", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "token_refused")
        assert "invalid_token" in answer.headers["www-authenticate"]
    assert public.get("/v1/jobs").json()["code"] == "key_needed"
    assert public.get("/v1/jobs", headers={"X-API-Key": bearer()["Authorization"][7:]}).status_code == 401
    # a key that was sent is who asks, and must be good, whatever is in the other header
    key = key_of("ann")["Authorization"][7:]
    assert public.get("/v1/jobs", headers={**bearer(exp=1), "X-API-Key": key}).status_code == 200
    assert public.get("/v1/jobs", headers={**bearer(), "X-API-Key": f"{key}a"}).status_code == 401
    assert public.get("/v1/jobs", headers=key_of("ann")).status_code == 200
    assert public.get("/ready", headers=bearer(exp=1)).json().keys() == public.get("/ready").json().keys()


def test_without_the_keys_nobody_is_told_that_a_token_is_wrong(
    public_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_url: str, allow_private: bool) -> bytes:
        raise NetError("It does not answer.", reason="unreachable")

    monkeypatch.setattr(firebase, "fetch_jwks_at", away)
    with TestClient(create_app(public_house), base_url="http://video.example") as client:
        answer = client.get("/v1/jobs", headers=bearer())
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
        assert client.get("/ready", headers=bearer()).status_code in (200, 503)


def test_no_key_is_made_for_a_name_of_theirs(house: House) -> None:
    with pytest.raises(UsageError, match="not called as"):
        create_key(house.database, "firebase:Ab3", now=time.time())


def test_without_a_project_no_token_is_looked_at(house: House) -> None:
    with TestClient(create_app(house), base_url=LOCAL) as client:
        answer = client.get("/v1/jobs", headers=bearer())
        assert (answer.status_code, answer.json()["code"]) == (401, "key_needed")
