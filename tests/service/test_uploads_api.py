"""Files in segments and what comes back: by the service, and by signed addresses of S3."""

from __future__ import annotations

import hashlib
import http.client
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from reelpress.errors import StorageError
from reelpress.jobs.clip_model import StoredObject
from reelpress.jobs.database import encode
from reelpress.jobs.house import House
from reelpress.jobs.model import JobInput, JobResult, JobSpec
from reelpress.jobs.submission import submit
from reelpress.jobs.tables import JOBS
from reelpress.service.app import create_app
from reelpress.service.objects import disposition
from reelpress.service.uploads_routes import UploadState
from reelpress.storage.opening import open_store
from reelpress.storage.segments import collect, plan_upload
from reelpress.storage.upload import upload

MakeKey = Callable[..., dict[str, str]]
CONTENT = os.urandom(250_000)
_SIGNED = "AWS4-HMAC-SHA256 Credential=AK/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "reelpress.service.uploads_routes.plan_upload", lambda size: plan_upload(size, segment_bytes=100_000)
    )


@pytest.fixture
def s3_house(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A server whose objects are in S3, as moto plays it."""
    from moto.server import ThreadedMotoServer

    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    connection = http.client.HTTPConnection(host, port)
    connection.request("PUT", "/videos", headers={"Authorization": _SIGNED, "Content-Length": "0"})
    assert connection.getresponse().status == 200
    connection.close()
    house.store = open_store(
        "s3://videos/x", endpoint=f"http://{host}:{port}", region="us-east-1", access_key_id="AK", secret_access_key="S"
    )
    yield house
    server.stop()


def begin(client: TestClient, **more: object) -> UploadState:
    answer = client.post("/v1/uploads", json={"name": "../talk.mov", "size_bytes": len(CONTENT), **more})
    assert answer.status_code == 201, answer.text
    return msgspec.json.decode(answer.content, type=UploadState)


def part(state: UploadState, number: int) -> bytes:
    return CONTENT[number * state.segment_bytes : (number + 1) * state.segment_bytes]


def test_a_file_comes_in_segments_and_becomes_the_input_of_a_job(
    client: TestClient, house: House, tmp_path: Path
) -> None:
    state = begin(client, sha256=hashlib.sha256(CONTENT).hexdigest().upper())
    assert (state.name, state.count, state.missing) == ("talk.mov", 3, (0, 1, 2))
    for address in state.send[1:]:
        assert client.put(address.url, content=part(state, address.number)).status_code == 204
    refused = client.post(f"/v1/uploads/{state.id}/complete")
    assert (refused.status_code, refused.json()["code"]) == (409, "segments_missing")
    early = client.post("/v1/jobs", json={"input": {"upload": state.id}})
    assert (early.status_code, early.json()["code"]) == (409, "upload_incomplete")
    left = msgspec.json.decode(client.get(f"/v1/uploads/{state.id}").content, type=UploadState)
    assert [address.number for address in left.send] == [0]
    assert client.put(left.send[0].url, content=part(state, 0)).status_code == 204
    for _ in range(2):
        assert client.post(f"/v1/uploads/{state.id}/complete").json()["is_complete"]
    job = client.post("/v1/jobs", json={"input": {"upload": state.id}})
    wanted = msgspec.convert(job.json()["spec"]["input"], JobInput)
    assert (wanted.name, wanted.size_bytes, wanted.segment_bytes) == ("talk.mov", len(CONTENT), 100_000)
    plan = msgspec.structs.replace(plan_upload(len(CONTENT), segment_bytes=100_000), upload_id=wanted.value)
    assert collect(house.store, plan, tmp_path / "got", sha256=wanted.sha256).size_bytes == len(CONTENT)
    late = client.put(state.send[0].url, content=part(state, 0))
    assert (late.status_code, late.json()["code"]) == (409, "upload_complete")


def test_segments_have_their_length_or_are_not_there(client: TestClient) -> None:
    state = begin(client)
    short = client.put(state.send[0].url, content=b"x" * 99_999)
    assert (short.status_code, short.json()["evidence"]) == (409, "99999 of 100000 bytes")

    def endless() -> Iterator[bytes]:
        for _ in range(10_000):
            yield b"x" * 10_000

    assert client.put(state.send[0].url, content=b"x" * 100_001).status_code == 413
    assert client.put(state.send[0].url, content=endless()).status_code == 413
    assert client.put(f"/v1/uploads/{state.id}/segments/3", content=b"x").status_code == 422
    assert client.get(f"/v1/uploads/{state.id}").json()["missing"] == [0, 1, 2]


def test_what_is_too_large_is_refused_before_it_comes(client: TestClient, house: House) -> None:
    house.settings = msgspec.structs.replace(house.settings, max_upload_bytes=1000)
    answer = client.post("/v1/uploads", json={"name": "a", "size_bytes": 1001})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_an_upload_is_deleted_with_what_was_sent(client: TestClient, house: House, tmp_path: Path) -> None:
    state = begin(client)
    client.put(state.send[0].url, content=part(state, 0))
    assert any(path.is_file() for path in (house.settings.data / "objects").rglob("*"))
    assert client.delete(f"/v1/uploads/{state.id}").status_code == 204
    assert not any(path.is_file() for path in (house.settings.data / "objects").rglob("*"))
    assert client.get(f"/v1/uploads/{state.id}").status_code == 404


def test_an_upload_that_was_deleted_in_part_is_not_complete(
    client: TestClient, house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job of it could only fail; deleting goes on when it is asked for again."""
    state = begin(client)
    for address in state.send:
        client.put(address.url, content=part(state, address.number))
    client.post(f"/v1/uploads/{state.id}/complete")
    real, deleted = house.store.calls.delete, []

    async def delete(key: str) -> None:
        if deleted:
            raise StorageError("The store is away.", reason="unreachable")
        deleted.append(key)
        await real(key)

    with monkeypatch.context() as away:
        away.setattr(house.store.calls, "delete", delete)
        assert client.delete(f"/v1/uploads/{state.id}").status_code == 503
    left = msgspec.json.decode(client.get(f"/v1/uploads/{state.id}").content, type=UploadState)
    assert (left.is_complete, len(left.missing)) == (False, 1)
    assert client.post("/v1/jobs", json={"input": {"upload": state.id}}).json()["code"] == "upload_incomplete"
    assert client.delete(f"/v1/uploads/{state.id}").status_code == 204
    assert client.get(f"/v1/uploads/{state.id}").status_code == 404


def test_others_uploads_are_not_there(public: TestClient, key_of: MakeKey) -> None:
    ann, bob = key_of("ann"), key_of("bob")
    upload_id = public.post("/v1/uploads", json={"name": "a", "size_bytes": 10}, headers=ann).json()["id"]
    path = f"/v1/uploads/{upload_id}"
    for method, url in (
        ("GET", path), ("PUT", f"{path}/segments/0"), ("POST", f"{path}/complete"), ("DELETE", path),
    ):  # fmt: skip
        assert public.request(method, url, headers=bob).status_code == 404
        assert public.request(method, url).status_code == 401
    public.put(f"{path}/segments/0", content=b"0123456789", headers=ann)
    public.post(f"{path}/complete", headers=ann)
    assert public.post("/v1/jobs", json={"input": {"upload": upload_id}}, headers=bob).status_code == 404


def test_browsers_send_to_s3_itself(s3_house: House, tmp_path: Path) -> None:
    with TestClient(create_app(s3_house), base_url="http://127.0.0.1:8001") as client:
        state = begin(client)
        for address in state.send:
            assert address.url.startswith("http://127.0.0.1:")
            assert address.expires_at is not None
            sent = httpx.put(address.url, content=part(state, address.number), headers=address.headers)
            assert sent.status_code == 200
        assert client.post(f"/v1/uploads/{state.id}/complete").status_code == 200
        again = begin(client)
        by_us = client.put(f"/v1/uploads/{again.id}/segments/2", content=part(again, 2))
        assert by_us.status_code == 204
        assert client.get(f"/v1/uploads/{again.id}").json()["missing"] == [0, 1]


def finished_job(house: House, folder: Path, name: str = 'Öl & "x".mp4', user_id: str = "local") -> str:
    """A job whose output and transcript are in the store."""
    file = folder / "made.mp4"
    file.write_bytes(CONTENT)
    spec = JobSpec(input=JobInput(kind="url", value="https://example.com/a.mov"))
    job_id = submit(house.database, spec, user_id=user_id, now=time.time()).job.id
    key = f"users/{user_id}/outputs/{job_id}/{name}"
    upload(house.store, file, key, job=job_id, content_type="video/mp4")
    stored = StoredObject(key=key, size_bytes=len(CONTENT), sha256="0" * 64, content_type="video/mp4")
    result = JobResult(
        outcome="encoded", encoder="libx264", device="cpu", input_key=None, input_bytes=1, output=stored, receipt=None,
        saved_share=0.5, transcript={"vtt": msgspec.structs.replace(stored, content_type="text/vtt")},
    )  # fmt: skip
    with house.database.writing() as connection:
        connection.execute(sa.update(JOBS).where(JOBS.c.id == job_id).values(status="done", result=encode(result)))
    return job_id


def test_an_output_is_streamed_whole_and_in_ranges(client: TestClient, house: House, tmp_path: Path) -> None:
    path = f"/v1/jobs/{finished_job(house, tmp_path)}/output"
    whole = client.get(path)
    assert whole.content == CONTENT
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["content-disposition"].startswith('attachment; filename="')
    for asked, expected in (
        ("bytes=0-0", CONTENT[:1]), ("bytes=100-199", CONTENT[100:200]), ("bytes=249000-", CONTENT[249_000:]),
        ("bytes=-10", CONTENT[-10:]), ("bytes=0-999999999", CONTENT), ("bytes=-999999999", CONTENT),
    ):  # fmt: skip
        part = client.get(path, headers={"Range": asked})
        assert (part.status_code, part.content == expected) == (206, True), asked
        assert part.headers["content-range"].endswith(f"/{len(CONTENT)}")
    for asked in ("bytes=250000-", "bytes=9-1", "bytes=-0", "bytes=-"):
        unmet = client.get(path, headers={"Range": asked})
        assert (unmet.status_code, unmet.headers["content-range"]) == (416, f"bytes */{len(CONTENT)}"), asked
    for asked in ("bytes=0-1,5-6", "lines=1-2", "nonsense"):
        assert client.get(path, headers={"Range": asked}).content == CONTENT
    tag = whole.headers["etag"]
    assert client.get(path, headers={"If-None-Match": tag}).status_code == 304
    assert client.get(path, headers={"Range": "bytes=0-0", "If-Range": tag}).status_code == 206
    assert client.get(path, headers={"Range": "bytes=0-0", "If-Range": '"other"'}).status_code == 200


def test_what_was_not_delivered_is_not_there(client: TestClient, house: House, tmp_path: Path) -> None:
    job_id = finished_job(house, tmp_path)
    assert client.get(f"/v1/jobs/{job_id}/transcript/vtt").headers["content-type"].startswith("text/vtt")
    assert client.get(f"/v1/jobs/{job_id}/transcript/srt").status_code == 404
    assert client.get(f"/v1/jobs/{job_id}/transcript/exe").status_code == 422
    queued = client.post("/v1/jobs", json={"input": {"url": "https://example.com/a"}}).json()["id"]
    early = client.get(f"/v1/jobs/{queued}/output")
    assert (early.status_code, early.json()["code"]) == (409, "no_result")


def test_others_outputs_are_not_there(public: TestClient, public_house: House, key_of: MakeKey, tmp_path: Path) -> None:
    job_id = finished_job(public_house, tmp_path, user_id="ann")
    for path in ("output", "transcript/vtt", "receipt", "events"):
        assert public.get(f"/v1/jobs/{job_id}/{path}", headers=key_of("bob")).status_code == 404
        assert public.get(f"/v1/jobs/{job_id}/{path}").status_code == 401
    assert public.get(f"/v1/jobs/{job_id}/output", headers=key_of("ann")).content == CONTENT


def test_an_output_in_s3_is_fetched_from_there(s3_house: House, tmp_path: Path) -> None:
    with TestClient(create_app(s3_house), base_url="http://127.0.0.1:8001") as client:
        job_id = finished_job(s3_house, tmp_path, name="small.mp4")
        answer = client.get(f"/v1/jobs/{job_id}/output", follow_redirects=False)
        address = client.get(f"/v1/jobs/{job_id}/output?as_address=true").json()
    assert answer.status_code == 307
    assert httpx.get(answer.headers["location"]).content == CONTENT
    assert httpx.get(address["url"]).content == CONTENT


def test_an_output_in_a_folder_has_no_address_of_its_own(client: TestClient, house: House, tmp_path: Path) -> None:
    job_id = finished_job(house, tmp_path)
    assert client.get(f"/v1/jobs/{job_id}/output?as_address=true").json() == {"url": None}


def test_names_of_files_cannot_leave_their_header() -> None:
    for name in ('a"; filename="b.exe', "a\r\nSet-Cookie: x", "../../etc/passwd", "💾.mp4", ""):
        header = disposition(name)
        assert header.isascii()
        assert header.count('"') == 2
        assert not {"\r", "\n", "/"} & set(header)
