"""Quotes over HTTP: asked for like jobs, made by workers, and held against the jobs that follow."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from test_jobs_api import problem

from reelpress.jobs.ledger import entries

import clips as media
from conftest import open_house
from served import Asked, Service

URL = {"input": {"url": "https://example.com/talk.mov"}}


def test_a_quote_is_taken_and_found_under_its_location(client: TestClient) -> None:
    taken = client.post("/v1/quotes", json={**URL, "settings": {"codec": "hevc"}, "encoders": ["av1", "h264"]})
    assert taken.status_code == 201
    found = client.get(taken.headers["location"])
    assert found.json() == taken.json()
    quote = found.json()
    assert (quote["status"], quote["quote"], quote["error"]) == ("queued", None, None)
    assert quote["id"].startswith("quo_")
    wants = client.get(f"/v1/jobs/{quote['id']}").json()["spec"]["wants"]
    assert wants == {"kind": "quote", "codecs": ["h264", "av1"], "quick": False, "budget_s": 60.0}
    assert client.get("/v1/jobs").json()["jobs"] == []
    assert client.post(f"/v1/jobs/{quote['id']}/cancel").json()["status"] == "cancelled"


def test_without_encoders_the_codec_of_the_settings_is_quoted(client: TestClient) -> None:
    taken = client.post("/v1/quotes", json={**URL, "settings": {"codec": "hevc"}}).json()
    assert client.get(f"/v1/jobs/{taken['id']}").json()["spec"]["wants"]["codecs"] == ["hevc"]


@pytest.mark.parametrize(
    "more",
    [
        {"encoders": []}, {"encoders": ["vp9"]}, {"budget_s": -1}, {"budget_s": 601}, {"settings": {"crf": 99}},
        {"quick": "perhaps"}, {"webhook": "https://example.com"},
    ],
)  # fmt: skip
def test_what_cannot_be_quoted_is_refused(client: TestClient, more: dict[str, Any]) -> None:
    assert client.post("/v1/quotes", json={**URL, **more}).status_code == 422


def test_quotes_are_their_users_own(public: TestClient, key_of) -> None:
    mine, yours = key_of("me"), key_of("you")
    assert public.post("/v1/quotes", json=URL).status_code == 401
    assert public.post("/v1/quotes", json=URL, headers=key_of("reader", "read")).status_code == 403
    quote = public.post("/v1/quotes", json=URL, headers=mine).json()["id"]
    assert public.get(f"/v1/quotes/{quote}", headers=mine).status_code == 200
    problem(public.get(f"/v1/quotes/{quote}", headers=yours), 404, "not_found")
    problem(public.post("/v1/jobs", json={**URL, "quote": quote}, headers=yours), 404, "not_found")
    theirs = {"input": {"object": "users/you/inputs/a.mp4"}}
    problem(public.post("/v1/quotes", json=theirs, headers=mine), 403, "not_yours")
    problem(public.post("/v1/quotes", json={"input": {"path": "/etc/hosts"}}, headers=mine), 403, "scope_needed")


def test_a_job_names_only_a_quote_that_is_made(client: TestClient) -> None:
    job = client.post("/v1/jobs", json=URL).json()["id"]
    quote = client.post("/v1/quotes", json=URL).json()["id"]
    problem(client.post("/v1/jobs", json={**URL, "quote": job}), 404, "not_found")
    problem(client.post("/v1/jobs", json={**URL, "quote": quote}), 409, "quote_not_ready")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("quotes")
    started = Service(
        {
            "REELPRESS_DATA_DIR": str(folder / "data"), "REELPRESS_PORT": "0", "GPU_ENABLED": "false",
            "REELPRESS_CACHE_DIR": str(folder / "cache"),
        },
        folder / "log",
    )  # fmt: skip
    yield started
    assert started.end() == 0, started.log.read_text()


@pytest.fixture
def ask(service: Service):
    asked = Asked(service)
    yield asked
    asked.client.close()


def test_a_quote_of_an_upload_and_the_job_that_follows(ask: Asked, service: Service, tmp_path: Path) -> None:
    content = media.with_sound(tmp_path / "clip.mp4", "-crf", "4").read_bytes()
    upload = ask("POST", "/v1/uploads", json={"name": "clip.mp4", "size_bytes": len(content)})
    ask("PUT", upload["send"][0]["url"], content=content, expect=(204,))
    ask("POST", f"/v1/uploads/{upload['id']}/complete")
    wanted = {"input": {"upload": upload["id"]}, "settings": {"preset": "ultrafast"}}
    asked = ask("POST", "/v1/quotes", json=wanted)
    made = ask.wait(f"/v1/quotes/{asked['id']}", "done")
    [offer] = made["quote"]["offers"]
    assert (made["quote"]["quote"], made["quote"]["input"]) == (asked["id"], "clip.mp4")
    assert (offer["outcome"], offer["encoder"], offer["predicted"]["basis"]) == ("encoded", "libx264", "rehearsed")
    folders, deadline = service.data / "scratch" / "jobs", time.monotonic() + 10
    while list(folders.glob("*")):  # they are removed a moment after the job has ended
        assert time.monotonic() < deadline
        time.sleep(0.05)

    job = ask("POST", "/v1/jobs", json={**wanted, "quote": asked["id"]})
    done = ask.wait(f"/v1/jobs/{job['id']}", "done")
    receipt = ask("GET", f"/v1/jobs/{job['id']}/receipt")
    assert receipt["predicted"] == offer["predicted"]
    assert done["result"]["output"]["size_bytes"] == offer["predicted"]["size_bytes"]["likely"]
    house = open_house(service.data)
    with house.database.reading() as connection:
        [entry] = entries(connection)
    house.close()
    assert entry.predicted is not None
    assert entry.predicted.quote == asked["id"]


def test_a_quote_of_what_is_no_video_fails_with_the_reason(ask: Asked, tmp_path: Path) -> None:
    upload = ask("POST", "/v1/uploads", json={"name": "text.mp4", "size_bytes": 8})
    ask("PUT", upload["send"][0]["url"], content=b"no video", expect=(204,))
    ask("POST", f"/v1/uploads/{upload['id']}/complete")
    asked = ask("POST", "/v1/quotes", json={"input": {"upload": upload["id"]}})
    failed = ask.wait(f"/v1/quotes/{asked['id']}", "failed")
    assert failed["quote"] is None
    assert failed["error"]["code"] == "not_media"
