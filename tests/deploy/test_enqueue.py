"""Tasks as they reach Cloud Tasks: Google's own client against a local server that speaks its gRPC API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.api_core.exceptions import GoogleAPICallError, InvalidArgument, PermissionDenied
from google.cloud.tasks_v2 import CloudTasksClient, CreateTaskRequest, Task
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport

from cloudrun.deployment import Deployment, read_deployment
from cloudrun.enqueue import enqueue, task_of

QUEUE = "projects/my-project/locations/europe-west1/queues/reelpress-videos-dev"
URL = "https://worker.example"


class Queue:
    """What the API does with a task: takes it once, and refuses what its documentation says that it refuses."""

    def __init__(self) -> None:
        self.tasks: dict[str, Task] = {}
        self.denied = False

    def create(self, request: CreateTaskRequest, context: grpc.ServicerContext) -> Task:
        task = request.task
        deadline_s = task.dispatch_deadline.total_seconds()
        if self.denied:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "cloudtasks.tasks.create")
        if request.parent != QUEUE or not task.name.startswith(f"{QUEUE}/tasks/"):
            context.abort(grpc.StatusCode.NOT_FOUND, "no such queue")
        if not 15 <= deadline_s <= 1800:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "dispatch deadline must be between 15s and 30m")
        if len(Task.serialize(task)) > 100 * 1024:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "task is too large")
        if task.name in self.tasks:
            context.abort(grpc.StatusCode.ALREADY_EXISTS, "a task of this name was there")
        self.tasks[task.name] = task
        return task


@pytest.fixture
def queue() -> Iterator[tuple[Queue, CloudTasksClient]]:
    played = Queue()
    handler = grpc.unary_unary_rpc_method_handler(
        played.create, request_deserializer=CreateTaskRequest.deserialize, response_serializer=Task.serialize
    )
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("google.cloud.tasks.v2.CloudTasks", {"CreateTask": handler})]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    yield played, CloudTasksClient(transport=CloudTasksGrpcTransport(channel=channel))
    channel.close()
    server.stop(None).wait()


def deployment(**more: str) -> Deployment:
    given = {"PROJECT": "my-project", "REGION": "europe-west1", **more}
    return read_deployment(given, needs=("project",), file=Path("/nonexistent"))


def request(of: Deployment, **more: Any) -> CreateTaskRequest:
    return task_of(of, URL, **{"video_id": "v1", "key": "uploads/v1.mov", "user_id": "u1", **more})


def test_a_task_has_the_deadline_that_gcloud_cannot_set_and_calls_as_the_tasks_account(
    queue: tuple[Queue, CloudTasksClient],
) -> None:
    played, client = queue
    assert enqueue(client, request(deployment()))
    (task,) = played.tasks.values()
    assert task.dispatch_deadline.total_seconds() == 1800
    sent = task.http_request
    assert sent.url == f"{URL}/process-video"
    assert json.loads(sent.body) == {"video_id": "v1", "r2_key": "uploads/v1.mov", "user_id": "u1"}
    assert sent.oidc_token.service_account_email == "reelpress-tasks-dev@my-project.iam.gserviceaccount.com"
    assert sent.oidc_token.audience == deployment().audience


def test_a_repeat_is_one_task_and_another_key_another(queue: tuple[Queue, CloudTasksClient]) -> None:
    played, client = queue
    assert [enqueue(client, request(deployment(), key=key)) for key in ("a.mov", "a.mov", "b.mov")] == [
        True,
        False,
        True,
    ]
    assert len(played.tasks) == 2


def test_a_shorter_request_limit_is_the_deadline(queue: tuple[Queue, CloudTasksClient]) -> None:
    played, client = queue
    enqueue(client, request(deployment(TIMEOUT="900")))
    assert [task.dispatch_deadline.total_seconds() for task in played.tasks.values()] == [900]


def test_refusals_are_not_taken_for_success(queue: tuple[Queue, CloudTasksClient]) -> None:
    played, client = queue
    late = request(deployment())
    late.task.dispatch_deadline = {"seconds": 3600}
    with pytest.raises(InvalidArgument):
        enqueue(client, late)
    played.denied = True
    with pytest.raises(PermissionDenied):
        enqueue(client, request(deployment()))
    with pytest.raises(GoogleAPICallError):
        enqueue(client, request(deployment(QUEUE="another")))
    assert played.tasks == {}
