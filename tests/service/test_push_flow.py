"""The whole flow as a client meets it: an object store, Cloud Tasks, the service as a process, a webhook's receiver."""

from __future__ import annotations

import hashlib
import http.server
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from standardwebhooks import Webhook

from reelpress.jobs.database import open_database
from reelpress.jobs.ending import secret_of

import clips
from cloud_tasks import Backoff, CloudTasks
from served import Service

ACCOUNT = "tasks@project.iam.gserviceaccount.com"
AUDIENCE = "https://videos.example"
BUCKET = "videos"


class Hook(http.server.ThreadingHTTPServer):
    """A receiver that keeps what it is sent."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


@pytest.fixture(scope="session")
def s3() -> Iterator[tuple[Any, str]]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s"
    )
    client.create_bucket(Bucket=BUCKET)
    yield client, url
    server.stop()


@pytest.fixture
def tasks() -> Iterator[CloudTasks]:
    with CloudTasks(email=ACCOUNT, audience=AUDIENCE) as queue:
        yield queue


@pytest.fixture
def hook() -> Iterator[Hook]:
    server = Hook()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def serve(tmp_path: Path, s3: tuple[Any, str], tasks: CloudTasks, hook: Hook) -> Iterator[Callable[..., Service]]:
    begun: list[Service] = []

    def start(**more: str) -> Service:
        env = {
            "REELPRESS_DATA_DIR": str(tmp_path / "data"), "REELPRESS_STORAGE_URL": f"s3://{BUCKET}/{tmp_path.name}",
            "AWS_ENDPOINT_URL": s3[1], "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s",
            "AWS_REGION": "us-east-1", "REELPRESS_PUSH_AUDIENCE": AUDIENCE, "REELPRESS_PUSH_SERVICE_ACCOUNT": ACCOUNT,
            "REELPRESS_PUSH_JWKS_URL": tasks.jwks_url, "REELPRESS_ALLOW_PRIVATE_URLS": "true",
            "REELPRESS_WEBHOOK_URL": f"http://127.0.0.1:{hook.server_port}/hook", "REELPRESS_HEARTBEAT": "0.2",
            "REELPRESS_DEAD_AFTER": "1.5", "REELPRESS_GRACE": "1", "REELPRESS_PORT": "0", **more,
        }  # fmt: skip
        begun.append(Service(env, tmp_path / f"serve-{len(begun)}.log"))
        return begun[-1]

    yield start
    for service in begun:
        service.end(signal.SIGKILL)


def put(s3: tuple[Any, str], folder: str, key: str, path: Path) -> None:
    s3[0].upload_file(str(path), BUCKET, f"{folder}/{key}")


def body(key: str, video: str = "v1") -> dict[str, str]:
    return {"video_id": video, "r2_key": key, "user_id": "u1"}


def events_of(hook: Hook, service: Service, count: int, within_s: float = 20) -> list[dict[str, Any]]:
    """What the receiver was told, each signature verified."""
    deadline = time.monotonic() + within_s
    while len(hook.got) < count and time.monotonic() < deadline:
        time.sleep(0.05)
    secret = secret_of(open_database(None, service.data), "u1")
    return [Webhook(secret).verify(content, headers) for headers, content in hook.got]


def test_from_upload_to_webhook(
    serve: Callable[..., Service], s3: tuple[Any, str], tasks: CloudTasks, hook: Hook, tmp_path: Path, tiny_model: Path
) -> None:
    put(s3, tmp_path.name, "uploads/v1.mov", clips.with_sound(tmp_path / "v1.mov"))
    service = serve(REELPRESS_TRANSCRIBE_MODEL=str(tiny_model))
    task = tasks.create_task(f"{service.url}/process-video", body("uploads/v1.mov"))
    assert task.wait() == "done", service.log.read_text()
    assert len(task.attempts) == 1, task.attempts
    attempt = task.attempts[0]
    answer = json.loads(attempt.answer)
    assert (attempt.status, answer["status"], answer["video_id"]) == (200, "done", "v1")
    output = answer["result"]["output"]
    stored = s3[0].get_object(Bucket=BUCKET, Key=f"{tmp_path.name}/{output['key']}")["Body"].read()
    assert (len(stored), hashlib.sha256(stored).hexdigest()) == (output["size_bytes"], output["sha256"])
    transcript = answer["result"]["transcript"]
    assert (answer["result"]["transcript_status"], set(transcript)) == ("done", {"vtt", "srt", "json"})
    for kind, file in transcript.items():
        text = s3[0].get_object(Bucket=BUCKET, Key=f"{tmp_path.name}/{file['key']}")["Body"].read()
        assert hashlib.sha256(text).hexdigest() == file["sha256"], kind
    (event,) = events_of(hook, service, 1)
    assert (event["type"], event["data"]["id"]) == ("job.done", answer["job"])
    assert event["data"]["result"]["output"] == output
    # delivered once more, as at-least-once means: the same answer, and nothing done or told again
    again = tasks.run(task)
    assert (again.status, json.loads(again.answer)) == (200, answer)
    assert service.get(f"/v1/jobs/{answer['job']}")["attempts"] == 1
    assert len(hook.got) == 1
    assert service.end() == 0


def test_what_no_retry_mends_is_told_once(
    serve: Callable[..., Service], s3: tuple[Any, str], tasks: CloudTasks, tmp_path: Path
) -> None:
    text = tmp_path / "no.mov"
    text.write_text("this is no video" * 100)
    put(s3, tmp_path.name, "uploads/no.mov", text)
    service = serve()
    url = f"{service.url}/process-video"
    for key, code in (("uploads/no.mov", "not_media"), ("uploads/none.mov", "missing")):
        task = tasks.create_task(url, body(key, video=key))
        assert task.wait() == "done"
        assert len(task.attempts) == 1, task.attempts
        attempt = task.attempts[0]
        answer = json.loads(attempt.answer)
        assert (answer["status"], answer["error"]["code"], answer["error"]["retryable"]) == ("failed", code, False)
        other = httpx.post(url, json=body(key, video=key), timeout=30)
        assert (other.status_code, other.headers["content-type"]) == (422, "application/problem+json")
        assert other.json()["code"] == code


def test_a_redelivery_while_it_runs_waits_and_does_not_run_it_twice(
    serve: Callable[..., Service], s3: tuple[Any, str], tasks: CloudTasks, hook: Hook, tmp_path: Path
) -> None:
    clip = clips.plain(tmp_path / "long.mp4", size="1280x720", seconds=8)
    put(s3, tmp_path.name, "uploads/long.mp4", clip)
    service = serve(REELPRESS_WORKER_JOBS="1")
    url = f"{service.url}/process-video"
    task = tasks.create_task(url, body("uploads/long.mp4"))
    while service.get("/v1/jobs")["counts"].get("running", 0) == 0:
        time.sleep(0.05)
    other = httpx.post(url, json=body("uploads/long.mp4"), timeout=30)
    assert (other.status_code, other.json()["code"]) == (503, "running")
    assert int(other.headers["retry-after"]) > 0
    full = httpx.post(url, json=body("uploads/other.mp4", video="v2"), timeout=30)
    assert (full.status_code, full.json()["code"]) == (429, "no_room")
    assert task.wait(120) == "done"
    (job,) = [job for job in service.get("/v1/jobs")["jobs"] if job["status"] == "done"]
    assert job["attempts"] == 1
    assert len(events_of(hook, service, 1)) == 1


def test_an_instance_that_dies_is_replaced_by_the_next_delivery(
    serve: Callable[..., Service], s3: tuple[Any, str], tasks: CloudTasks, hook: Hook, tmp_path: Path
) -> None:
    clip = clips.plain(tmp_path / "long.mp4", size="1280x720", seconds=8)
    put(s3, tmp_path.name, "uploads/long.mp4", clip)
    first = serve()
    port = first.url.rsplit(":", 1)[1]
    task = tasks.create_task(
        f"{first.url}/process-video", body("uploads/long.mp4"), backoff=Backoff(min_s=0.5, max_s=2.0)
    )
    while not any(job["stage"] == "compress" for job in first.get("/v1/jobs")["jobs"]):
        time.sleep(0.05)
    first.end(signal.SIGKILL)
    second = serve(REELPRESS_PORT=port)
    assert second.url == first.url
    assert task.wait(120) == "done", second.log.read_text()
    (job,) = second.get("/v1/jobs")["jobs"]
    assert (job["status"], job["attempts"]) == ("done", 2)
    assert len(events_of(hook, second, 1)) == 1


@pytest.mark.thorough
def test_what_takes_longer_than_the_request_may_last_goes_to_the_workers(
    serve: Callable[..., Service], s3: tuple[Any, str], tasks: CloudTasks, hook: Hook, tmp_path: Path
) -> None:
    clip = clips.plain(tmp_path / "longer.mp4", size="1280x720", seconds=90)
    put(s3, tmp_path.name, "uploads/longer.mp4", clip)
    service = serve(REELPRESS_PUSH_DEADLINE="15", REELPRESS_WORKER_JOBS="1")
    task = tasks.create_task(f"{service.url}/process-video", body("uploads/longer.mp4"), deadline_s=15)
    assert task.wait(60) == "done"
    answer = json.loads(task.attempts[-1].answer)
    assert (task.attempts[-1].status, answer["status"], len(task.attempts)) == (202, "queued", 1)
    (event,) = events_of(hook, service, 1, within_s=120)
    assert (event["type"], event["data"]["id"]) == ("job.done", answer["job"])
    job = service.get(f"/v1/jobs/{answer['job']}")
    assert (job["status"], job["attempts"], job["queue"]) == ("done", 1, "pull")
    again = tasks.run(task)  # what was handed over is found done
    assert (again.status, json.loads(again.answer)["status"]) == (200, "done")


FORGED = (
    {"aud": "https://other.example"},
    {"email": "somebody@else.example"},
    {"exp": 1_000_000_000},
    {"iss": "https://issuer.example"},
    {"email_verified": False},
)


def test_forged_tokens_are_refused(serve: Callable[..., Service], tasks: CloudTasks) -> None:
    service = serve()
    url = f"{service.url}/process-video"
    for claims in FORGED:
        token = tasks.token(url, **claims)
        answer = httpx.post(url, json=body("uploads/x.mov"), headers={"Authorization": f"Bearer {token}"}, timeout=30)
        assert (answer.status_code, answer.json()["code"]) == (401, "token_refused"), claims
        assert token not in service.log.read_text()
    assert service.get("/v1/jobs")["jobs"] == []


def test_a_token_that_cannot_be_checked_for_want_of_keys_is_asked_for_again(
    serve: Callable[..., Service], tasks: CloudTasks
) -> None:
    service = serve(REELPRESS_PUSH_JWKS_URL="http://127.0.0.1:9/certs")
    url = f"{service.url}/process-video"
    token = tasks.token(url)
    answer = httpx.post(url, json=body("uploads/x.mov"), headers={"Authorization": f"Bearer {token}"}, timeout=30)
    assert (answer.status_code, answer.json()["code"]) == (503, "net_failed")
    assert int(answer.headers["retry-after"]) > 0
    assert service.get("/v1/jobs")["jobs"] == []
