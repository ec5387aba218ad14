"""Who may do what: keys, scopes, others' things, and pages of other sites that a browser brings along."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
import pytest
from fastapi.testclient import TestClient

from reelpress.errors import UsageError
from reelpress.jobs.house import House
from reelpress.service.keys import check_key, create_key, has_good_key, list_keys, revoke_key
from reelpress.service.rates import Rates

URL_JOB = {"input": {"url": "https://example.com/talk.mov"}}
MakeKey = Callable[..., dict[str, str]]


def refused(answer, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def test_beyond_this_machine_a_good_key_is_needed(public: TestClient, key_of: MakeKey) -> None:
    answer = public.get("/v1/jobs")
    refused(answer, 401, "key_needed")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    good = key_of("ann")
    assert public.get("/v1/jobs", headers=good).status_code == 200
    assert public.get("/v1/jobs", headers={"X-API-Key": good["Authorization"][7:]}).status_code == 200
    text = good["Authorization"]
    for forged in (text[:-1] + ("a" if text[-1] != "a" else "b"), text[:20], "Bearer rp__", "Basic YTpi", "Bearer é"):
        refused(public.get("/v1/jobs", headers={"Authorization": forged.encode()}), 401, "key_needed")


def test_a_key_beside_the_token_of_what_stands_in_front_counts(public: TestClient, key_of: MakeKey) -> None:
    """A Cloud Run that is closed wants its own token in Authorization, and hands it on."""
    front = {"Authorization": "Bearer eyJhbGciOiJSUzI1NiJ9.e30.SIGNATURE_REMOVED_BY_GOOGLE"}
    refused(public.get("/v1/jobs", headers=front), 401, "key_needed")
    key = key_of("ann")["Authorization"][7:]
    path = f"/v1/jobs/{public.post('/v1/jobs', json=URL_JOB, headers={**front, 'X-API-Key': key}).json()['id']}"
    assert public.get(path, headers={"X-API-Key": key}).json()["user_id"] == "ann"
    assert public.get("/ready", headers={**front, "X-API-Key": key}).json()["checks"] != []
    refused(public.get("/v1/jobs", headers={**front, "X-API-Key": f"{key}a"}), 401, "key_needed")
    # of two keys the bearer is the one that counts
    refused(public.get(path, headers={**key_of("bob"), "X-API-Key": key}), 404, "not_found")
    refused(public.get(path, headers={"Authorization": "Bearer rp_no_no", "X-API-Key": key}), 401, "key_needed")


def test_host_and_forwarding_headers_make_nobody_local(public: TestClient) -> None:
    for headers in ({"Host": "127.0.0.1:8001"}, {"Host": "localhost"}, {"X-Forwarded-For": "127.0.0.1"}):
        refused(public.get("/v1/jobs", headers=headers), 401, "key_needed")


def test_on_this_machine_foreign_pages_are_refused(client: TestClient) -> None:
    assert client.get("/v1/jobs").status_code == 200
    assert client.get("/v1/jobs", headers={"Origin": "http://127.0.0.1:8001"}).status_code == 200
    assert client.get("/v1/jobs", headers={"Host": "localhost:8001"}).status_code == 200
    for headers in (
        {"Host": "evil.example"}, {"Host": "127.0.0.1.evil.example"}, {"Host": ""}, {"Host": "[::"},
        {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:9"},
        {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
    ):  # fmt: skip
        refused(client.post("/v1/jobs", json=URL_JOB, headers=headers), 403, "foreign_page")
    refused(client.get("/v1/jobs", headers={"X-Forwarded-For": "203.0.113.9"}), 401, "key_needed")
    refused(client.get("/v1/jobs", headers={"Authorization": "Bearer rp_no_no"}), 401, "key_needed")
    assert client.get("/v1/jobs").json()["jobs"] == []


def test_scopes_hold(public: TestClient, key_of: MakeKey) -> None:
    reader, writer = key_of("ann", "read"), key_of("ann", "write")
    refused(public.post("/v1/jobs", json=URL_JOB, headers=reader), 403, "scope_needed")
    job_id = public.post("/v1/jobs", json=URL_JOB, headers=writer).json()["id"]
    refused(public.get(f"/v1/jobs/{job_id}", headers=writer), 403, "scope_needed")
    assert public.get(f"/v1/jobs/{job_id}", headers=reader).status_code == 200


def test_others_jobs_are_not_there(public: TestClient, key_of: MakeKey) -> None:
    ann, bob, admin = key_of("ann"), key_of("bob"), key_of("root", "admin")
    job_id = public.post("/v1/jobs", json=URL_JOB, headers=ann).json()["id"]
    for method, path in (
        ("GET", ""), ("GET", "/receipt"), ("POST", "/cancel"), ("POST", "/retry"),
    ):  # fmt: skip
        refused(public.request(method, f"/v1/jobs/{job_id}{path}", headers=bob), 404, "not_found")
    assert public.get("/v1/jobs", headers=bob).json() == {"jobs": [], "next_cursor": None, "counts": {}}
    assert public.get("/v1/jobs", params={"user": "ann"}, headers=bob).json()["jobs"] == []
    assert public.get("/v1/jobs", params={"user": "ann"}, headers=admin).json()["jobs"][0]["id"] == job_id
    assert public.get(f"/v1/jobs/{job_id}", headers=ann).json()["status"] == "queued"


def test_keys_of_one_user_are_not_anothers(public: TestClient, key_of: MakeKey) -> None:
    ann, bob = key_of("ann"), key_of("bob")
    headers = {"Idempotency-Key": "same"}
    first = public.post("/v1/jobs", json=URL_JOB, headers=ann | headers).json()["id"]
    assert public.post("/v1/jobs", json=URL_JOB, headers=bob | headers).json()["id"] != first


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"object": "users/ann/uploads/a.mp4"}, 201),
        ({"object": "users/bob/uploads/a.mp4"}, 403),
        ({"object": "users/ann/../bob/a.mp4"}, 422),
        ({"object": "users/ann//a.mp4"}, 422),
        ({"object": "users/anna/a.mp4"}, 403),
        ({"object": ".reelpress/uploads/x/00000"}, 422),
        ({"object": "/etc/passwd"}, 422),
        ({"path": "/etc/passwd"}, 403),
        ({"url": "file:///etc/passwd"}, 422),
        ({"url": "ftp://example.com/a"}, 422),
        ({"url": "https://ann:secret@example.com/a"}, 422),
        ({"url": "https://example.com/a\nb"}, 422),
        ({"url": "https:///a"}, 422),
        ({"url": "http://[::1/"}, 422),
        ({"url": "http://169.254.169.254/latest/meta-data"}, 422),
        ({"url": "http://[::ffff:127.0.0.1]/a"}, 422),
        ({"url": "http://2130706433/a"}, 422),
        ({"upload": "0" * 32}, 404),
        ({"upload": "../x"}, 422),
        ({"upload": "\0" * 32}, 422),
    ],
)
def test_inputs_stay_inside(public: TestClient, key_of: MakeKey, given: dict[str, str], status: int) -> None:
    answer = public.post("/v1/jobs", json={"input": given}, headers=key_of("ann"))
    assert answer.status_code == status, answer.text
    assert "secret" not in answer.text


def test_outputs_and_webhooks_stay_inside(public: TestClient, key_of: MakeKey) -> None:
    for more, status in (
        ({"output_key": "users/ann/small/a.mp4"}, 201),
        ({"output_key": "users/bob/a.mp4"}, 403),
        ({"output_key": "../a.mp4"}, 422),
        ({"webhook": "https://example.com/hook"}, 201),
        ({"webhook": "javascript:alert(1)"}, 422),
        ({"webhook": "https://me@example.com/hook"}, 422),
        ({"webhook": "http://10.0.0.1/hook"}, 422),
    ):
        assert public.post("/v1/jobs", json={**URL_JOB, **more}, headers=key_of("ann")).status_code == status, more


def test_paths_are_admins_and_inside_the_folders(client: TestClient, house: House, tmp_path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    (videos / "a.mp4").write_bytes(b"")
    (videos / "out").symlink_to("/etc")
    house.settings = msgspec.structs.replace(house.settings, local_paths=(str(videos),))
    taken = client.post("/v1/jobs", json={"input": {"path": f"{videos}/a.mp4"}})
    assert taken.json()["spec"]["input"]["value"] == str(videos / "a.mp4")
    for path in (f"{videos}/out/passwd", f"{videos}/../x", "/etc/passwd", "a.mp4", f"{videos}/a\0b", f"{videos}-2/a"):
        assert client.post("/v1/jobs", json={"input": {"path": path}}).status_code == 422, path


def test_requests_that_change_things_are_rationed(public: TestClient, key_of: MakeKey) -> None:
    public.app.state.rates = Rates(2)  # type: ignore[attr-defined]
    ann = key_of("ann")
    answers = [public.post("/v1/jobs", json=URL_JOB, headers=ann) for _ in range(3)]
    assert [a.status_code for a in answers] == [201, 201, 429]
    assert 1 <= int(answers[2].headers["retry-after"]) <= 30
    assert public.get("/v1/jobs", headers=ann).status_code == 200
    assert public.post("/v1/jobs", json=URL_JOB, headers=key_of("bob")).status_code == 201


def test_a_bucket_fills_evenly() -> None:
    now = [0.0]
    rates = Rates(60, clock=lambda: now[0])
    assert [rates.wait_s("a") for _ in range(61)][-2:] == [0.0, 1.0]
    now[0] = 0.5
    assert rates.wait_s("a") == pytest.approx(0.5)
    now[0] = 1.0
    assert rates.wait_s("a") == 0.0


def test_a_key_ends(house: House) -> None:
    database = house.database
    key, text = create_key(database, "ann", now=100.0, expires_at=200.0)
    found = check_key(database, text, now=150.0)
    assert found is not None
    assert (found.user_id, found.scopes) == ("ann", ("read", "write"))
    assert check_key(database, text, now=200.0) is None
    with database.reading() as connection:
        assert has_good_key(connection, 150.0)
        assert list_keys(connection)[0].last_used_at == 150.0
        stored = connection.exec_driver_sql("SELECT * FROM api_keys").one()
    assert text.split("_", 2)[2] not in map(str, stored)
    assert revoke_key(database, key.id, now=160.0).revoked_at == 160.0
    assert revoke_key(database, key.id, now=170.0).revoked_at == 160.0
    assert check_key(database, text, now=150.0) is None


def test_keys_that_cannot_be_are_refused(house: House) -> None:
    for user_id, scopes in (("", ["read"]), ("a\nb", ["read"]), ("a", ["root"]), ("a", [])):
        with pytest.raises(UsageError):
            create_key(house.database, user_id, now=time.time(), scopes=scopes)
    with pytest.raises(UsageError):
        revoke_key(house.database, "none", now=1.0)


def test_bodies_have_a_limit(client: TestClient) -> None:
    long = {"input": {"url": "https://example.com/"}, "labels": {"a": "x" * 70_000}}
    refused(client.post("/v1/jobs", json=long), 413, "too_large")

    def endless():
        for _ in range(100):
            yield b'{"a":"' + b"x" * 1000

    answer = client.post("/v1/jobs", content=endless(), headers={"Content-Type": "application/json"})
    refused(answer, 413, "too_large")


def test_answers_keep_browsers_strict(client: TestClient) -> None:
    for path in ("/v1/jobs", "/nowhere", "/openapi.json"):
        headers = client.get(path, headers={"Origin": "http://127.0.0.1:8001"}).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "access-control-allow-origin" not in headers
