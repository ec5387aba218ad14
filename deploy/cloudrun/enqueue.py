"""Puts a video into Cloud Tasks' queue: what an upload service does when an upload is complete.

``python3 -m cloudrun.enqueue --video-id v1 --key uploads/v1.mov --user u1``

gcloud has no flag for the dispatch deadline (``gcloud tasks create-http-task``), and its default is 10 minutes; the API
takes 15 s to 30 minutes. A task that ran into it is delivered again while the first delivery still runs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys

from google.api_core.exceptions import AlreadyExists, GoogleAPICallError
from google.cloud.tasks_v2 import CloudTasksClient, CreateTaskRequest, HttpMethod, HttpRequest, OidcToken, Task
from google.protobuf.duration_pb2 import Duration

from cloudrun.deployment import Deployment, read_deployment
from reelpress.errors import ReelpressError


def task_of(deployment: Deployment, worker_url: str, *, video_id: str, key: str, user_id: str) -> CreateTaskRequest:
    """Return the task for one video. Its name follows from video and key: a repeat is refused as one, for an hour."""
    queue = f"projects/{deployment.project}/locations/{deployment.region}/queues/{deployment.queue_name}"
    # a hash first: names in rising order would make the queue slow
    name = hashlib.sha256(f"{video_id}\0{key}".encode()).hexdigest()
    task = Task(
        name=f"{queue}/tasks/{name}",
        dispatch_deadline=Duration(seconds=deployment.dispatch_deadline_s),
        http_request=HttpRequest(
            http_method=HttpMethod.POST, url=f"{worker_url}/process-video",
            headers={"Content-Type": "application/json"},
            body=json.dumps({"video_id": video_id, "r2_key": key, "user_id": user_id}).encode(),
            oidc_token=OidcToken(service_account_email=deployment.account("tasks"), audience=deployment.audience),
        ),
    )  # fmt: skip
    return CreateTaskRequest(parent=queue, task=task)


def enqueue(client: CloudTasksClient, request: CreateTaskRequest) -> bool:
    """Put a task into its queue; whether it is new. Raises ``GoogleAPICallError``."""
    try:
        client.create_task(request)
    except AlreadyExists:
        return False
    return True


def main() -> int:
    """Enqueue one video; return the exit code."""
    parser = argparse.ArgumentParser(prog="cloudrun.enqueue", description="Puts a video into Cloud Tasks' queue.")
    for name, meaning in (
        ("--video-id", "id of the video"), ("--key", "key of the object"), ("--user", "whose it is"),
        ("--worker-url", "address of the worker: gcloud run services describe ... --format='value(status.url)'"),
    ):  # fmt: skip
        parser.add_argument(name, required=True, help=meaning)
    given = parser.parse_args()
    try:
        deployment = read_deployment(needs=("project", "region"))
        request = task_of(
            deployment, given.worker_url.rstrip("/"), video_id=given.video_id, key=given.key, user_id=given.user
        )
        print("queued" if enqueue(CloudTasksClient(), request) else "was queued before")
    except ReelpressError as error:
        print("\n".join(error.lines()), file=sys.stderr)
        return int(error.exit_code)
    except GoogleAPICallError as error:
        print(f"Cloud Tasks refuses: {error}", file=sys.stderr)
        return 5
    return 0


if __name__ == "__main__":
    sys.exit(main())
