"""Health, readiness, metrics, guards and logs."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest
from fastapi.testclient import TestClient
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from reelpress.facts.host import EncoderFacts
from reelpress.jobs.house import House
from reelpress.service import readiness
from reelpress.service.guards import BoundedBodies
from reelpress.service.logs import JsonLines, TextLines, redact, set_up_logs
from reelpress.service.readiness import ReadinessCheck
from reelpress.settings import load

MakeKey = Callable[..., dict[str, str]]


def test_health_needs_nothing_and_says_little(public: TestClient) -> None:
    answer = public.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


def test_a_stranger_learns_only_whether_it_is_ready(public: TestClient, key_of: MakeKey) -> None:
    assert public.get("/ready").json() == {"ready": True, "checks": [], "encoders": []}
    assert public.get("/ready", headers={"X-API-Key": "rp_a_b"}).json()["checks"] == []
    seen = public.get("/ready", headers=key_of("ann", "read")).json()
    assert {check["name"]: check["is_good"] for check in seen["checks"]} == {
        "database": True, "storage": True, "scratch": True,
    }  # fmt: skip


def test_it_is_not_ready_without_its_store_or_room(client: TestClient, house: House, monkeypatch) -> None:
    monkeypatch.setattr(readiness, "RESERVE_BYTES", 1 << 62)
    (house.settings.data / "objects").rmdir()
    answer = client.get("/ready")
    assert answer.status_code == 503
    bad = {check["name"]: check["note"] for check in answer.json()["checks"] if not check["is_good"]}
    assert bad.keys() == {"scratch", "storage"}
    assert str(house.settings.data) not in answer.text


def test_a_database_that_is_away_is_asked_once_in_two_seconds(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each try may wait for seconds, and a probe comes again before that."""
    asked: list[str] = []

    def away() -> NoReturn:
        asked.append("database")
        raise OperationalError("SELECT", {}, Exception("connection timed out"))

    house.settings = msgspec.structs.replace(house.settings, budget_usd=10.0)
    monkeypatch.setattr(readiness, "_CHECKS_LAST_S", 1e9)
    monkeypatch.setattr(house.database, "reading", away)
    check = ReadinessCheck(house, None, load(environ={}, env_file=None))
    for _ in range(3):
        seen = check.look()
        assert {c.name: c.is_good for c in seen.checks} == {"database": False, "storage": True, "scratch": True}
    assert asked == ["database"]


def test_who_was_told_to_end_is_not_ready(house: House) -> None:
    check = ReadinessCheck(house, None, load(environ={}, env_file=None))
    assert check.look().ready
    check.end()
    assert not check.look().ready


def test_encoders_that_open_are_found_by_trying(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def try_encoder(_build: object, row: object) -> EncoderFacts:
        name = row.name  # type: ignore[attr-defined]
        return EncoderFacts(name=name, opens=name == "libx264", why_not=None if name == "libx264" else "broken")

    monkeypatch.setattr(readiness, "try_encoder", try_encoder)
    monkeypatch.setattr(readiness, "device_present", lambda: False)
    check = ReadinessCheck(house, object(), load(environ={}, env_file=None))  # type: ignore[arg-type]
    assert not check.look().ready
    deadline = time.monotonic() + 20
    while not (found := check.look()).ready and time.monotonic() < deadline:
        time.sleep(0.05)
    states = {state.name: (state.opens, state.why_not) for state in found.encoders}
    assert found.ready
    assert states["libx264"] == (True, None)
    assert states["libx265"] == (False, "broken")
    assert states["h264_nvenc"][0] is False
    assert states["h264_nvenc"][1]


def test_metrics_are_totals_for_admins(public: TestClient, key_of: MakeKey) -> None:
    assert public.get("/metrics").status_code == 401
    assert public.get("/metrics", headers=key_of("ann")).status_code == 403
    job = public.post("/v1/jobs", json={"input": {"url": "https://example.com/a"}}, headers=key_of("ann")).json()["id"]
    public.get(f"/v1/jobs/{job}", headers=key_of("ann"))
    text = public.get("/metrics", headers=key_of("root", "admin")).text
    assert 'reelpress_jobs{kind="compress",status="queued"} 1.0' in text
    assert 'route="/v1/jobs/{job_id}",status="200"} 1.0' in text
    assert "process_resident_memory_bytes" in text
    assert "reelpress_queue_age_seconds" in text
    assert job not in text
    assert "ann" not in text


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async def app(scope: object, receive: Callable, send: object) -> None:
        while (await receive()).get("more_body"):
            pass

    async def ask(pieces: list[bytes], pause_s: float) -> None:
        left = iter(pieces)

        async def receive() -> dict[str, object]:
            await asyncio.sleep(pause_s)
            return {"type": "http.request", "body": next(left), "more_body": True}

        scope = {"type": "http", "method": "POST", "path": "/v1/jobs", "headers": []}
        await BoundedBodies(app, body_s=0.05, silence_s=0.02)(scope, receive, None)  # type: ignore[arg-type]

    with pytest.raises(HTTPException) as silent:
        asyncio.run(ask([b"x"], 5))
    with pytest.raises(HTTPException) as drip:
        asyncio.run(ask([b"x"] * 1000, 0.01))
    with pytest.raises(HTTPException) as long:
        asyncio.run(ask([b"x" * 40_000] * 3, 0))
    assert (silent.value.status_code, drip.value.status_code, long.value.status_code) == (408, 408, 413)


@pytest.mark.parametrize(
    ("secret", "line"),
    [
        ("s3cr3tpart-_x", "key rp_0123456789ab_s3cr3tpart-_x was used"),
        ("hunter22222", "Authorization: Bearer hunter22222"),
        ("hunter22222", "{'x-api-key': 'hunter22222'}"),
        ("abcdef123", "GET https://bucket.example/key?X-Amz-Signature=abcdef123 HTTP/1.1"),
        ("pass", "fetching https://user:pass@example.com/a"),
        ("pass@word", "postgresql://me:pass%40word@db/videos".replace("%40", "@")),
        ("c2VjcmV0", "whsec_c2VjcmV0"),
        ("eyJhbGciOi.eyJzdWIi.c2ln", "token eyJhbGciOi.eyJzdWIi.c2ln"),
    ],
)
def test_secrets_do_not_reach_the_log(secret: str, line: str) -> None:
    assert secret not in redact(line)
    assert redact("job_01a1ffb1a4a191bf889e6c0ce925 done in 3 s") == "job_01a1ffb1a4a191bf889e6c0ce925 done in 3 s"


@pytest.fixture
def clean_root() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def test_log_lines_carry_job_and_user(clean_root: None) -> None:
    out = io.StringIO()
    set_up_logs("auto", out)
    logging.getLogger("reelpress.x").info("job_01a1ffb1a4a191bf889e6c0ce925 began", extra={"user": "ann"})
    try:
        int("https://a:b@c/")
    except ValueError:
        logging.getLogger("reelpress.x").exception("broken")
    first, second = map(json.loads, out.getvalue().splitlines())
    assert (first["job"], first["user"], first["level"]) == ("job_01a1ffb1a4a191bf889e6c0ce925", "ann", "info")
    assert "a:b@" not in second["exception"]
    assert isinstance(logging.getLogger().handlers[0].formatter, JsonLines)


def test_names_cannot_write_lines_of_their_own() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "got %s", ("a\n12:00:00 error fake\x1b[31m",), None)
    assert "\n" not in TextLines().format(record)
    assert "\x1b" not in TextLines().format(record)


def test_every_request_leaves_a_line_without_its_query(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="reelpress.access"):
        client.get("/v1/jobs?cursor=c2VjcmV0")
        client.get("/health")
    (line,) = [record for record in caplog.records if record.name == "reelpress.access"]
    assert line.getMessage() == "GET /v1/jobs 422"
    assert line.user == "local"  # type: ignore[attr-defined]


def test_a_worker_that_only_works_answers_for_its_health_alone(house: House) -> None:
    from reelpress.service.app import create_health_app

    class Idle:
        id = "worker_x"
        encoding = msgspec.defstruct("E", [("settings", object)])(load({"use_gpu": "false"}, environ={}, env_file=None))

    with TestClient(create_health_app(house, Idle()), base_url="http://127.0.0.1") as client:  # type: ignore[arg-type]
        assert client.get("/health").status_code == 200
        assert client.get("/v1/jobs").status_code == 404
        assert "reelpress_jobs" in client.get("/metrics").text


def test_the_document_describes_every_answer(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    for path, route in document["paths"].items():
        for method, operation in route.items():
            assert operation["responses"]["401"]["content"].keys() == {"application/problem+json"}, (path, method)
    schemas = document["components"]["schemas"]
    assert {"Problem", "Job", "JobSpec", "JobPage", "UploadState", "JobShape"} <= schemas.keys()
    text = json.dumps(document)
    for reference in {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}:
        assert reference in schemas


def test_the_page_names_every_route(client: TestClient) -> None:
    docs = Path(__file__).parents[2] / "docs"
    page = (docs / "service.md").read_text() + (docs / "clips-api.md").read_text()
    for path, route in client.get("/openapi.json").json()["paths"].items():
        for method in route:
            assert f"{method.upper()} {path}`" in page, (method, path)
