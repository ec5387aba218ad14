"""Jobs over HTTP: taken once, listed in pages, changed only as makes sense, and every error a problem."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from sqlalchemy.exc import OperationalError

from reelpress.jobs.house import House
from reelpress.jobs.tables import JOBS
from reelpress.service.app import create_app

LOCAL = "http://127.0.0.1:8001"
URL_JOB = {"input": {"url": "https://example.com/talk.mov"}}


def problem(answer, status: int, code: str) -> dict[str, object]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.json()
    assert (found["status"], found["code"]) == (status, code)
    assert found["type"] == f"urn:reelpress:problem:{code}"
    return found


def test_a_job_is_taken_and_found_under_its_location(client: TestClient) -> None:
    taken = client.post("/v1/jobs", json={**URL_JOB, "settings": {"codec": "hevc", "crf": 24.5, "max_size": "640x360"}})
    assert taken.status_code == 201
    job = client.get(taken.headers["location"]).json()
    assert job == taken.json()
    assert (job["status"], job["user_id"], job["percent"]) == ("queued", "local", 0.0)
    assert job["spec"]["settings"] == {"codec": "hevc", "crf": "24.5", "max_width": "640", "max_height": "360"}


def test_the_same_key_finds_the_same_job_and_refuses_another_request(client: TestClient) -> None:
    headers = {"Idempotency-Key": "one"}
    first = client.post("/v1/jobs", json=URL_JOB, headers=headers)
    again = client.post("/v1/jobs", json=URL_JOB, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    other = client.post("/v1/jobs", json={"input": {"url": "https://example.com/b"}}, headers=headers)
    assert problem(other, 422, "key_reused")["title"] == "Unprocessable Content"  # whichever Python it is


def test_jobs_come_in_pages_with_counts(client: TestClient) -> None:
    ids = [client.post("/v1/jobs", json=URL_JOB).json()["id"] for _ in range(5)]
    client.post(f"/v1/jobs/{ids[0]}/cancel")
    seen, cursor = [], None
    for _ in range(3):
        page = client.get("/v1/jobs", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        assert page["counts"] == {"queued": 4, "cancelled": 1}
        seen += [job["id"] for job in page["jobs"]]
        cursor = page["next_cursor"]
    assert cursor is None
    assert seen == ids[::-1]
    only = client.get("/v1/jobs", params={"status": ["cancelled", "dead"]}).json()
    assert [job["id"] for job in only["jobs"]] == [ids[0]]


def test_a_job_is_cancelled_and_done_again(client: TestClient) -> None:
    job_id = client.post("/v1/jobs", json=URL_JOB).json()["id"]
    problem(client.post(f"/v1/jobs/{job_id}/retry"), 409, "not_finished")
    assert client.post(f"/v1/jobs/{job_id}/cancel").json()["status"] == "cancelled"
    assert client.post(f"/v1/jobs/{job_id}/cancel").json()["status"] == "cancelled"
    again = client.post(f"/v1/jobs/{job_id}/retry").json()
    assert (again["status"], again["run"]) == ("queued", 2)


def test_a_receipt_is_given_as_it_was_written(client: TestClient, house: House) -> None:
    job_id = client.post("/v1/jobs", json=URL_JOB).json()["id"]
    problem(client.get(f"/v1/jobs/{job_id}/receipt"), 404, "not_found")
    with house.database.writing() as connection:
        connection.execute(sa.update(JOBS).values(receipt='{"status":"encoded"}'))
    assert client.get(f"/v1/jobs/{job_id}/receipt").json() == {"status": "encoded"}


def test_what_can_never_be_done_is_refused_at_once(client: TestClient) -> None:
    for settings in (
        {"codec": "vp9"}, {"crf": 99}, {"codec": "av1", "preset": "slow"}, {"max_size": "big"}, {"max_fps": 0},
        {"audio_bitrate": "1"}, {"hardware": "maybe"}, {"unknown": 1},
    ):  # fmt: skip
        answer = client.post("/v1/jobs", json={**URL_JOB, "settings": settings})
        assert answer.status_code == 422, settings
        assert answer.headers["content-type"] == "application/problem+json"
    assert client.get("/v1/jobs").json()["jobs"] == []


def test_errors_are_problems(client: TestClient) -> None:
    problem(client.get("/v1/jobs/job_none"), 404, "not_found")
    problem(client.get("/nowhere"), 404, "not_found")
    problem(client.put("/v1/jobs"), 405, "method_not_allowed")
    problem(client.get("/v1/jobs", params={"cursor": "AAAA"}), 422, "bad_cursor")
    problem(client.post("/v1/jobs", content=b"{", headers={"Content-Type": "application/json"}), 422, "invalid")
    missing = problem(client.post("/v1/jobs", json={"input": {"url": "https://a", "path": "/b"}}), 422, "invalid")
    assert "exactly one" in str(missing["evidence"])


def test_a_full_queue_says_when_to_come_back(client: TestClient, house: House) -> None:
    import msgspec

    house.settings = msgspec.structs.replace(house.settings, max_queued=1)
    client.post("/v1/jobs", json=URL_JOB)
    refused = client.post("/v1/jobs", json=URL_JOB)
    problem(refused, 429, "queue_full")
    assert int(refused.headers["retry-after"]) > 0


def test_a_bug_tells_nothing_of_the_inside(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object, **_more: object) -> None:
        raise RuntimeError("the password is swordfish")

    monkeypatch.setattr("reelpress.service.jobs_routes.list_jobs", broken)
    with TestClient(create_app(house), base_url=LOCAL) as client:
        answer = client.get("/v1/jobs")
    problem(answer, 500, "bug")
    assert "swordfish" not in answer.text


def test_a_bug_is_counted_logged_and_guarded_like_every_answer(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_args: object, **_more: object) -> None:
        raise RuntimeError

    with TestClient(create_app(house), base_url=LOCAL) as client, caplog.at_level("INFO", "reelpress"):
        good = client.get("/v1/jobs")
        monkeypatch.setattr("reelpress.service.jobs_routes.list_jobs", broken)
        bad = client.get("/v1/jobs")
        counted = client.get("/metrics").text
    assert bad.status_code == 500
    assert good.headers.keys() - {"content-length", "content-type"} <= bad.headers.keys()
    assert bad.headers["content-security-policy"] == good.headers["content-security-policy"]
    assert 'reelpress_http_requests_total{method="GET",route="/v1/jobs",status="500"} 1.0' in counted
    assert [record.getMessage() for record in caplog.records if record.exc_info] == ["GET /v1/jobs failed"]
    assert "GET /v1/jobs 500" in caplog.messages


def test_a_database_that_is_away_is_worth_asking_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_args: object, **_more: object) -> None:
        raise OperationalError("SELECT secret", {}, Exception("connection refused"))

    monkeypatch.setattr("reelpress.service.jobs_routes.list_jobs", away)
    with TestClient(create_app(house), base_url=LOCAL) as client:
        answer = client.get("/v1/jobs")
    problem(answer, 503, "database_away")
    assert answer.headers["retry-after"]
    assert "secret" not in answer.text
