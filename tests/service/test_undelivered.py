"""The last delivery of a task: what it leaves undone is parked where people look, since the queue tells nobody."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from reelpress.jobs.database import encode
from reelpress.jobs.model import JobError
from reelpress.jobs.reading import get_job
from reelpress.jobs.tables import JOBS
from reelpress.jobs.undelivered import park_undelivered
from reelpress.service.app import create_app
from reelpress.service.logs import JsonLines

from cloud_tasks import CloudTasks
from conftest import LOCAL, open_house
from job_table import enlist, put

ACCOUNT, AUDIENCE = "tasks@project.iam.gserviceaccount.com", "https://videos.example"
BODY = {"video_id": "v1", "r2_key": "users/u1/v1.mov", "user_id": "u1"}


@pytest.fixture
def tasks() -> Iterator[CloudTasks]:
    with CloudTasks(email=ACCOUNT, audience=AUDIENCE) as queue:
        yield queue


@pytest.fixture
def client(tasks: CloudTasks, tmp_path: Path) -> Iterator[TestClient]:
    """A service that has no room, of a queue that delivers three times."""
    house = open_house(
        tmp_path / "data", push_audience=AUDIENCE, push_service_account=ACCOUNT, push_jwks_url=tasks.jwks_url,
        allow_private_urls="true", push_max_attempts="3", max_queued="2",
    )  # fmt: skip
    with TestClient(create_app(house), base_url=LOCAL) as opened:
        opened.house = house  # type: ignore[attr-defined]
        yield opened
    house.close()


def deliver(client: TestClient, tasks: CloudTasks, number: int) -> Any:
    """Deliver the task; ``number`` counts from 1."""
    headers = {
        "Authorization": f"Bearer {tasks.token('')}", "X-CloudTasks-TaskName": "t1",
        "X-CloudTasks-TaskRetryCount": str(number - 1),
    }  # fmt: skip
    return client.post("/process-video", json=BODY, headers=headers)


def test_the_last_delivery_parks_the_job_and_says_so_once(client: TestClient, tasks: CloudTasks) -> None:
    assert [deliver(client, tasks, number).status_code for number in (1, 2)] == [429, 429]
    last = deliver(client, tasks, 3)
    assert (last.status_code, last.json()["status"], last.json()["error"]["code"]) == (
        200,
        "failed",
        "deliveries_spent",
    )
    job = client.get(f"/v1/jobs/{last.json()['job']}").json()
    assert (job["status"], "3 deliveries" in job["error"]["text"]) == ("dead", True)
    kinds = [event["kind"] for event in client.get(f"/v1/jobs/{job['id']}/events?poll=0").json()["events"]]
    assert kinds.count("dead") == 1
    assert 'reelpress_jobs{kind="compress",status="dead"} 1.0' in client.get("/metrics").text
    # mended: somebody retries it, or it is put into the queue again
    assert client.post(f"/v1/jobs/{job['id']}/retry").json()["status"] == "queued"
    assert deliver(client, tasks, 1).status_code == 429


def test_what_is_logged_of_a_delivery_names_user_and_job(
    client: TestClient, tasks: CloudTasks, caplog: pytest.LogCaptureFixture
) -> None:
    """By the names under which log lines show them."""
    with caplog.at_level("INFO", "reelpress"):
        job = [deliver(client, tasks, number) for number in (1, 2, 3)][-1].json()["job"]
    said = [JsonLines().parts(record) for record in caplog.records if record.getMessage().startswith("task t1")]
    assert [(line["job"], line["user"]) for line in said] == [(job, BODY["user_id"])] * 4


def test_who_is_not_the_queue_parks_nothing(client: TestClient, tasks: CloudTasks) -> None:
    headers = {"X-CloudTasks-TaskName": "t1", "X-CloudTasks-TaskRetryCount": "99"}
    assert client.post("/process-video", json=BODY, headers=headers).status_code == 429


@pytest.mark.parametrize(("status", "after"), [("failed", "dead"), ("running", "running"), ("done", "done")])
def test_only_what_waits_or_failed_is_parked(client: TestClient, tasks: CloudTasks, status: str, after: str) -> None:
    deliver(client, tasks, 1)
    database = client.house.database  # type: ignore[attr-defined]
    job_id = client.get("/v1/jobs").json()["jobs"][0]["id"]
    error = encode(JobError(code="storage_failed", text="The store was away.", retryable=True))
    with database.writing() as connection:
        connection.execute(JOBS.update().values(status=status, error=error if status == "failed" else None))
    told: list[str] = []
    job = park_undelivered(
        database, job_id, deliveries=3, now=time.time(), on_end=lambda _connection, ended: told.append(ended.status)
    )
    assert job.status == after
    assert told == [], "a failed job's end was told when it failed"
    if after == "dead":
        assert job.error is not None
        assert job.error.text.endswith("The store was away.")
    with database.reading() as connection:
        assert get_job(connection, job_id).status == after


def test_what_failed_in_passing_and_was_pushed_again_is_not_left_to_workers_that_are_not_there(
    client: TestClient, tasks: CloudTasks
) -> None:
    """Answered 202 the task is deleted, and nobody would take the job."""
    deliver(client, tasks, 1)
    database = client.house.database  # type: ignore[attr-defined]
    error = encode(JobError(code="storage_failed", text="The store was away.", retryable=True))
    with database.writing() as connection:
        connection.execute(JOBS.update().values(status="failed", error=error, finished_at=time.time()))
    assert deliver(client, tasks, 1).status_code == 429
    with database.writing() as connection:  # another instance has it
        connection.execute(JOBS.update().values(status="running"))
    answer = deliver(client, tasks, 1)
    assert (answer.status_code, answer.json()["code"]) == (503, "running")


@pytest.mark.parametrize(("workers", "status"), [((), 503), (("w1",), 202)])
def test_what_workers_have_is_answered_for_while_there_are_workers(
    client: TestClient, tasks: CloudTasks, workers: tuple[str, ...], status: int
) -> None:
    deliver(client, tasks, 1)
    database = client.house.database  # type: ignore[attr-defined]
    enlist(database, *workers, seen_at=time.time())
    with database.writing() as connection:
        connection.execute(JOBS.update().values(status="running", queue="pull"))
    assert deliver(client, tasks, 1).status_code == status


@pytest.mark.parametrize("number", [1, 3])
def test_what_any_worker_may_take_is_the_workers_and_not_given_up(
    client: TestClient, tasks: CloudTasks, number: int
) -> None:
    """As what somebody retried: it waits its turn, and is no matter of this queue's any more."""
    deliver(client, tasks, 1)
    database = client.house.database  # type: ignore[attr-defined]
    with database.writing() as connection:
        connection.execute(JOBS.update().values(status="dead", finished_at=time.time()))
    [job] = client.get("/v1/jobs").json()["jobs"]
    client.post(f"/v1/jobs/{job['id']}/retry")
    enlist(database, "w1", seen_at=time.time())
    answer = deliver(client, tasks, number)
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    assert client.get(f"/v1/jobs/{job['id']}").json()["status"] == "queued"


def test_a_video_for_which_the_queue_was_too_full_to_the_last_is_shown(client: TestClient, tasks: CloudTasks) -> None:
    """The task is dropped, and nothing else would tell that there was such a video."""
    database = client.house.database  # type: ignore[attr-defined]
    others = {put(database, "u1").id for _ in range(2)}
    refused = [deliver(client, tasks, number) for number in (1, 2)]
    assert [(answer.status_code, answer.json()["code"]) for answer in refused] == [(429, "queue_full")] * 2
    last = deliver(client, tasks, 3).json()
    assert (last["status"], last["error"]["code"]) == ("failed", "deliveries_spent")
    states = {job["id"]: job["status"] for job in client.get("/v1/jobs").json()["jobs"]}
    assert states == dict.fromkeys(others, "queued") | {last["job"]: "dead"}
