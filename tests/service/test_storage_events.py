"""Events of a bucket: as Eventarc and Pub/Sub deliver them, again and again, wrong, forged, and about our own files."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fastapi.testclient import TestClient

from reelpress.errors import UsageError
from reelpress.jobs.house import House
from reelpress.jobs.reading import list_jobs
from reelpress.service import storage_events_routes
from reelpress.service.app import create_app
from reelpress.service.storage_events import Ignored, NewInput, NewObject, input_of_event
from reelpress.service_settings import load_service
from reelpress.storage.opening import open_store

from cloud_tasks import CloudTasks
from conftest import MakeKey, open_house
from fake_gcs import service_account_key

BUCKET, ACCOUNT, AUDIENCE = "demo-project.appspot.com", "events@demo.iam.gserviceaccount.com", "https://api.example"
KEY = "firebase/Ab3/uploads/Talk 1.MOV"
Post = Callable[..., Any]


@pytest.fixture(scope="module")
def google() -> Iterator[CloudTasks]:
    """Whoever signs Google's tokens."""
    with CloudTasks(email=ACCOUNT, audience=AUDIENCE) as signs:
        yield signs


@pytest.fixture
def public_house(tmp_path: Path, google: CloudTasks, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setattr(storage_events_routes, "fetch_jwks_at", lambda _url, allow_private: google.jwks())
    named = {"events_audience": AUDIENCE, "events_service_account": ACCOUNT}
    opened = open_house(tmp_path / "data", host="0.0.0.0", **named)
    opened.store = open_store(f"gs://{BUCKET}/in", service_account_key=service_account_key())
    yield opened
    opened.close()


@pytest.fixture
def post(public: TestClient, google: CloudTasks) -> Post:
    def send(body: object, *, token: str | None = None, **headers: str) -> Any:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Authorization": f"Bearer {token or google.token('x')}", "Content-Type": "application/json"}
        return public.post("/events/storage", content=raw, headers={**sent, **headers})

    return send


def attributes(kind: str = "google.cloud.storage.object.v1.finalized", key: str = KEY, **more: str) -> dict[str, str]:
    return {
        "specversion": "1.0", "id": "1096434104173400", "type": kind, "time": "2026-11-22T13:37:33.647776Z",
        "source": f"//storage.googleapis.com/projects/_/buckets/{BUCKET}", "subject": f"objects/in/{key}",
        "datacontenttype": "application/json", "bucket": BUCKET, **more,
    }  # fmt: skip


def stored(key: str = KEY, generation: str = "1587627537231057", **more: object) -> dict[str, object]:
    """An object as Cloud Storage describes it."""
    return {
        "kind": "storage#object", "id": f"{BUCKET}/in/{key}/{generation}", "name": f"in/{key}", "bucket": BUCKET,
        "generation": generation, "metageneration": "1", "contentType": "video/quicktime", "size": "352",
        "md5Hash": "bHVjaw==", "storageClass": "STANDARD", "metadata": {"note": "x"}, **more,
    }  # fmt: skip


def binary(**more: str) -> dict[str, str]:
    """The headers of an event of Eventarc's, in the mode it uses."""
    said = attributes(**more)
    kind = said.pop("datacontenttype")
    return {"Content-Type": f"{kind}; charset=utf-8", **{f"ce-{name}": value for name, value in said.items()}}


def pushed(key: str = KEY, generation: str = "1587627537231057", event: str = "OBJECT_FINALIZE", **more: object) -> Any:
    """What a push subscription to a bucket's notifications delivers."""
    told = {
        "notificationConfig": f"projects/_/buckets/{BUCKET}/notificationConfigs/1", "eventType": event,
        "payloadFormat": "JSON_API_V1", "bucketId": BUCKET, "objectId": f"in/{key}", "objectGeneration": generation,
        "eventTime": "2026-11-22T13:37:33.647776Z",
    }  # fmt: skip
    data = base64.b64encode(json.dumps(stored(key, generation)).encode()).decode()
    message = {"attributes": told, "data": data, "messageId": "7", "message_id": "7", "publishTime": "x", **more}
    return {"message": message, "subscription": "projects/demo/subscriptions/videos", "deliveryAttempt": 1}


def jobs(house: House) -> list[Any]:
    with house.database.reading() as connection:
        return list_jobs(connection, user_id=None, limit=10)


def test_every_form_of_one_event_is_one_job(post: Post, public_house: House) -> None:
    first = post(stored(), **binary())
    assert first.status_code == 200, first.text
    assert first.json()["is_new"]
    structured = {**attributes(id="2"), "data": stored()}
    published = {**attributes("google.cloud.pubsub.topic.v1.messagePublished", id="3"), "data": pushed()}
    for body, headers in (
        (stored(), binary()),  # delivered again, as at-least-once means
        (stored(), binary(id="another")),  # told of by two triggers
        (structured, {"Content-Type": "application/cloudevents+json"}),
        (published, {"Content-Type": "application/cloudevents+json; charset=utf-8"}),
        (pushed(), {}),
        (pushed(data=None), {}),  # payload format NONE
    ):
        answer = post(body, **headers)
        assert (answer.status_code, answer.json()) == (200, {**first.json(), "is_new": False})
    (job,) = jobs(public_house)
    assert (job.id, job.user_id, job.status) == (first.json()["job"], "firebase:Ab3", "queued")
    assert (job.spec.input.kind, job.spec.input.value, job.spec.input.name) == ("object", KEY, "Talk 1.MOV")
    assert post(pushed(generation="1587627537231058")).json()["is_new"]  # the name has another content now
    assert post(pushed("users/ann/uploads/sub/a.mp4")).json()["is_new"]
    assert {job.user_id for job in jobs(public_house)} == {"firebase:Ab3", "ann"}


NOTHING = [
    (stored(), binary(kind="google.cloud.storage.object.v1.deleted")),
    (stored(), binary(kind="google.cloud.storage.object.v1.metadataUpdated")),
    (stored(bucket="elsewhere"), binary()),
    (stored(name="users/ann/uploads/a.mp4"), binary()),  # outside of the store's prefix
    (pushed(event="OBJECT_DELETE"), {}),
    (pushed("firebase/Ab3/outputs/job_1/a.mp4"), {}),  # our own
    (pushed("firebase/Ab3/videos/vid_1/proxy.mp4"), {}),
    (pushed(".reelpress/uploads/0123/00000"), {}),
    (pushed(".reelpress/tmp/j/x.mp4"), {}),
    (pushed("firebase/Ab3/uploads/a.txt"), {}),
    (pushed("firebase/Ab3/uploads/"), {}),
    (pushed("firebase/Ab3/uploadsx/a.mp4"), {}),
    (pushed("firebase/Ab3/a.mp4"), {}),
    (pushed("uploads/a.mp4"), {}),
    (pushed("firebase/../Ab3/uploads/a.mp4"), {}),
    (pushed("firebase/Ab3/uploads/\u202ea.mp4"), {}),
    (pushed("firebase/Ab3/uploads/\ud800.mp4"), {}),
]  # fmt: skip


def test_what_asks_for_nothing_is_acknowledged_with_the_reason(post: Post, public_house: House) -> None:
    for body, headers in NOTHING:
        answer = post(body, **headers)
        assert (answer.status_code, answer.content) == (204, b""), body
        assert answer.headers["reelpress-reason"].isascii()
    assert jobs(public_house) == []


MALFORMED = [
    b"", b"{", b"[]", b"null", b"\xff", b"1" * 5000, b"[" * 30_000, {}, {"message": None}, {"message": {}},
    pushed(data="???"), pushed(data=7), pushed(attributes={}), pushed(attributes={"eventType": 1}),
    pushed(generation="x"), pushed(generation=""), pushed("x" * 1025),
]  # fmt: skip
MALFORMED_EVENTS = [
    (b"", binary()), (b"[]", binary()), (b"{", binary()), (stored(generation=7), binary()), (stored(name=""), binary()),
    (stored(), binary(specversion="9")), (stored(), binary(time="yesterday")), (stored(), binary(source="")),
    (b"[]", {"Content-Type": "application/cloudevents+json"}), (b"", {"Content-Type": "application/cloudevents+json"}),
    ({"specversion": "1.0"}, {"Content-Type": "application/cloudevents+json"}),
    ([], {"Content-Type": "application/cloudevents-batch+json"}),
]  # fmt: skip


def test_what_is_no_event_is_a_problem_to_people_and_not_retried_by_google(
    post: Post, public_house: House, key_of: MakeKey
) -> None:
    admin = key_of("root", "admin")["Authorization"].removeprefix("Bearer ")
    for body, headers in [*((body, {}) for body in MALFORMED), *MALFORMED_EVENTS]:
        answer = post(body, token=admin, **headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_event"), (body, headers, answer.text)
        heard = post(body, **headers)
        assert heard.status_code == 204, body
        assert heard.headers["reelpress-reason"].isascii()
    assert jobs(public_house) == []


def test_what_a_retry_mends_is_not_acknowledged(
    post: Post, public_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:

    assert post(pushed()).status_code == 200
    public_house.settings = msgspec.structs.replace(public_house.settings, max_queued=1)
    assert post(pushed(generation="2")).status_code == 429
    assert post(pushed()).status_code == 200  # what is there is found


FORGED = [
    {"aud": "https://other.example"}, {"email": "tasks@demo.iam.gserviceaccount.com"}, {"exp": 1_000_000_000},
    {"iss": "https://issuer.example"}, {"email_verified": False},
]  # fmt: skip


def test_forged_senders_are_refused(post: Post, public_house: House, google: CloudTasks) -> None:
    for claims in FORGED:
        answer = post(pushed(), token=google.token("x", **claims))
        assert (answer.status_code, answer.json()["code"]) == (401, "token_refused"), claims
    assert jobs(public_house) == []


def test_keys_send_events_of_their_own_users_alone(post: Post, public: TestClient, key_of: MakeKey) -> None:
    def token(*of: str) -> str:
        return key_of(*of)["Authorization"].removeprefix("Bearer ")

    mine = pushed("users/ann/uploads/a.mp4")
    assert public.post("/events/storage", json=mine).status_code == 401
    assert post(mine, token=token("bob")).status_code == 403
    assert post(mine, token=token("ann", "read")).status_code == 403
    assert post(mine, token=token("ann")).status_code == 200
    assert post(pushed(), token=token("root", "admin")).status_code == 200


def test_outputs_are_not_put_where_new_objects_become_jobs(public: TestClient, key_of: MakeKey) -> None:
    body = {"input": {"url": "https://example.com/a.mp4"}, "output_key": "users/ann/uploads/b.mp4"}
    refused = public.post("/v1/jobs", json=body, headers=key_of("ann"))
    assert (refused.status_code, refused.json()["detail"]) == (422, "Outputs are not put among the inputs.")
    body["output_key"] = "users/ann/uploadsx/b.mp4"
    assert public.post("/v1/jobs", json=body, headers=key_of("ann")).status_code == 201


@pytest.mark.parametrize(
    "settings",
    [
        {"events_folder": "outputs"}, {"events_folder": "/videos/x"}, {"events_folder": "/"},
        {"events_folder": "a/../b"},
        {"events_endings": "mp4"}, {"events_endings": ".mp4,"}, {"events_endings": ""},
    ],
)  # fmt: skip
def test_settings_that_would_feed_on_themselves_are_refused(settings: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        load_service(settings, environ={}, env_file=None)


def test_half_of_a_sender_is_refused(tmp_path: Path) -> None:
    house = open_house(tmp_path / "data", events_audience=AUDIENCE)
    try:
        with pytest.raises(UsageError, match="set together"):
            create_app(house)
    finally:
        house.close()


def test_the_rules_are_those_of_the_settings() -> None:
    new = NewObject(bucket="b", name="users/ann/raw/a.MKV", generation="1")
    rules = {"store_url": "gs://b", "folder": "raw", "endings": (".mkv",)}
    assert input_of_event(new, **rules) == NewInput(user_id="ann", key="users/ann/raw/a.MKV")
    for other in ({"store_url": "gs://b2"}, {"store_url": "s3://b"}, {"folder": "uploads"}, {"endings": (".mp4",)}):
        assert isinstance(input_of_event(new, **{**rules, **other}), Ignored)


def test_a_token_without_signature_is_believed_only_where_google_looked_at_that_one(
    tmp_path: Path, google: CloudTasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two tokens Cloud Run looks at the one in X-Serverless-Authorization, and hands the other on as it is."""
    monkeypatch.setenv("K_SERVICE", "api")
    monkeypatch.setattr(storage_events_routes, "fetch_jwks_at", lambda _url, allow_private: google.jwks())
    named = {"events_audience": AUDIENCE, "events_service_account": ACCOUNT, "iam_checked": "true"}
    house = open_house(tmp_path / "data", host="0.0.0.0", **named)
    house.store = open_store(f"gs://{BUCKET}/in", service_account_key=service_account_key())
    unsigned = f"{google.token('x').rpartition('.')[0]}.SIGNATURE_REMOVED_BY_GOOGLE"
    with TestClient(create_app(house)) as client:

        def sent(token: str, *headers: tuple[str, str]) -> int:
            named = [("Authorization", f"Bearer {token}"), *binary().items(), *headers]
            return client.post("/events/storage", content=json.dumps(stored()), headers=named).status_code

        beside = ("X-Serverless-Authorization", "Bearer good.of.another")
        assert sent(unsigned, beside) == 401
        assert sent(unsigned, ("Authorization", "Bearer good.of.another")) == 401
        assert jobs(house) == []
        assert sent(google.token("x"), beside) == 200
        assert sent(unsigned) == 200
    house.close()
