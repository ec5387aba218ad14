"""Webhooks over HTTP: secrets of one's own, a test call, and what became of it."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
from fastapi.testclient import TestClient

from reelpress.jobs.ending import on_end
from reelpress.jobs.house import House
from reelpress.jobs.reading import get_job

MakeKey = Callable[..., dict[str, str]]


def test_each_user_has_a_secret_and_may_change_it(public: TestClient, key_of: MakeKey) -> None:
    ann, bob = key_of("ann"), key_of("bob")
    first = public.get("/v1/webhooks/secret", headers=ann).json()["secret"]
    assert first.startswith("whsec_")
    assert public.get("/v1/webhooks/secret", headers=ann).json()["secret"] == first
    assert public.get("/v1/webhooks/secret", headers=bob).json()["secret"] != first
    second = public.post("/v1/webhooks/secret/rotate", headers=ann).json()["secret"]
    assert public.get("/v1/webhooks/secret", headers=ann).json()["secret"] == second != first
    assert public.get("/v1/webhooks/secret", headers=key_of("ann", "read")).status_code == 403


def test_a_test_call_is_put_on_its_way(public: TestClient, key_of: MakeKey) -> None:
    ann = key_of("ann")
    sent = public.post("/v1/webhooks/test", json={"url": "https://example.com/hook"}, headers=ann)
    assert sent.status_code == 202
    (event,) = public.get("/v1/webhooks/deliveries", headers=ann).json()["deliveries"]
    assert (event["id"], event["kind"], event["state"]) == (sent.json()["id"], "webhook.test", "pending")
    assert public.get("/v1/webhooks/deliveries", headers=key_of("bob")).json() == {"deliveries": []}


def test_a_test_call_goes_nowhere_private(client: TestClient, house: House) -> None:
    for url in ("http://127.0.0.1:1/", "http://169.254.169.254/", "file:///etc/passwd", "https://a:b@example.com/"):
        answer = client.post("/v1/webhooks/test", json={"url": url})
        assert (answer.status_code, answer.json()["code"]) == (422, "address_refused")
    assert client.post("/v1/webhooks/test", json={}).json()["code"] == "no_url"
    house.settings = msgspec.structs.replace(house.settings, webhook_url="https://example.com/all")
    client.post("/v1/webhooks/test", json={})
    (event,) = client.get("/v1/webhooks/deliveries").json()["deliveries"]
    assert event["url"] == "https://example.com/all"


def test_a_jobs_events_are_its_owners(public: TestClient, public_house: House, key_of: MakeKey) -> None:
    ann, wanted = key_of("ann"), {"input": {"url": "https://example.com/a"}, "webhook": "https://example.com/hook"}
    job_id = public.post("/v1/jobs", json=wanted, headers=ann).json()["id"]
    with public_house.database.writing() as connection:
        job = msgspec.structs.replace(get_job(connection, job_id), status="failed", finished_at=time.time())
        on_end(public_house)(connection, job)
    for headers in (ann, key_of("root", "admin")):
        (event,) = public.get(f"/v1/jobs/{job_id}/deliveries", headers=headers).json()["deliveries"]
        assert (event["kind"], event["job_id"]) == ("job.failed", job_id)
    assert public.get(f"/v1/jobs/{job_id}/deliveries", headers=key_of("bob")).status_code == 404
