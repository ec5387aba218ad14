"""``reelpress jobs`` and the page of jobs on the real service: what they expect of it is what it answers."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
import uvicorn
from fastapi.testclient import TestClient

import reelpress
from reelpress.jobs.clip_model import StoredObject
from reelpress.jobs.database import encode
from reelpress.jobs.house import House
from reelpress.jobs.model import JobResult
from reelpress.jobs.tables import JOBS
from reelpress.service.app import create_app
from reelpress.storage.segments import plan_upload
from reelpress.storage.upload import upload


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "reelpress.service.uploads_routes.plan_upload", lambda size: plan_upload(size, segment_bytes=1_000)
    )


@pytest.fixture
def url(house: House) -> Iterator[str]:
    config = uvicorn.Config(create_app(house), port=0, log_level="error", ws="none", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def start(url: str, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environ = {name: text for name, text in os.environ.items() if not name.startswith("REELPRESS_")}
    environ["PYTHONPATH"] = str(Path(reelpress.__file__).parents[1])
    environ |= {"REELPRESS_URL": url, "XDG_CACHE_HOME": str(folder / "cache")}
    argv = [sys.executable, "-m", "reelpress", "jobs", *arguments]
    return subprocess.Popen(argv, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(url: str, folder: Path, *arguments: str) -> str:
    child = start(url, folder, *arguments)
    out, errors = child.communicate(timeout=60)
    assert child.returncode == 0, errors
    return out


def test_a_job_from_upload_to_download(house: House, url: str, tmp_path: Path) -> None:
    content = os.urandom(250_500)  # 251 segments: more than one answer names
    (tmp_path / "in.mov").write_bytes(content)
    job = json.loads(run(url, tmp_path, "submit", "in.mov", "--max-size", "640x360", "--label", "a=b", "--json"))
    assert (job["status"], job["spec"]["input"]["name"], job["spec"]["labels"]) == ("queued", "in.mov", {"a": "b"})
    assert job["spec"]["input"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert job["id"] in run(url, tmp_path, "list", "--status", "queued", "--status", "running")

    child = start(url, tmp_path, "watch", job["id"], "--json")
    assert child.stdout is not None
    child.stdout.readline()
    deliver(house, job["id"], tmp_path)
    out, errors = child.communicate(timeout=60)
    assert (child.returncode, json.loads(out.splitlines()[-1])["status"]) == (0, "done"), errors
    assert "small.mp4: 300 kB, hash verified" in run(url, tmp_path, "download", job["id"], "-o", "small.mp4")
    assert run(url, tmp_path, "logs", job["id"]).splitlines()[0].split()[2] == "queued"


def deliver(house: House, job_id: str, folder: Path) -> None:
    """Do what a worker does at the end."""
    path = folder / "made.mp4"
    path.write_bytes(content := os.urandom(300_000))
    key = f"users/local/outputs/{job_id}/in.mp4"
    upload(house.store, path, key, job=job_id)
    stored = StoredObject(
        key=key, size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest(), content_type="video/mp4"
    )
    result = JobResult(
        outcome="encoded", encoder="libx264", device="cpu", input_key=None, input_bytes=900_000, output=stored,
        receipt=None, saved_share=0.6,
    )  # fmt: skip
    values = {"status": "done", "result": encode(result), "updated_at": time.time(), "finished_at": time.time()}
    with house.database.writing() as connection:
        connection.execute(sa.update(JOBS).where(JOBS.c.id == job_id).values(**values))


def test_cancel_and_retry(url: str, tmp_path: Path) -> None:
    job = json.loads(run(url, tmp_path, "submit", "key:users/local/a.mov", "--json"))
    assert "cancelled" in run(url, tmp_path, "cancel", job["id"])
    assert "queued" in run(url, tmp_path, "retry", job["id"])


def test_every_setting_of_submit_is_one_of_the_services(url: str, tmp_path: Path) -> None:
    options = {
        "--codec": "hevc", "--crf": "24", "--preset": "slow", "--max-size": "640x360", "--max-fps": "30000/1001",
        "--audio-bitrate": "96k", "--audio-channels": "stereo", "--hdr": "keep", "--hardware": "off",
        "--min-saving": "0.1", "--decode-check": "whole", "--priority": "low", "--webhook": "https://example.com/h",
    }  # fmt: skip
    flags = ("--always-encode", "--no-transcript", "--no-reuse")
    given = [text for pair in options.items() for text in pair]
    job = json.loads(run(url, tmp_path, "submit", "https://example.com/a.mov", *given, *flags, "--json"))
    assert job["spec"]["settings"]["audio_bitrate_bps"] == "96k"
    assert (job["priority"], job["spec"]["reuse"], job["spec"]["transcribe"]) == ("low", False, False)


def test_the_page_is_served_under_its_own_policy_and_needs_no_key(public: TestClient) -> None:
    page = public.get("/jobs")
    assert page.status_code == 200
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-cache"
    assert public.get("/web/jobs.js").status_code == 200
    assert msgspec.json.decode(public.get("/web/nothing.js").content)["status"] == 404
    assert public.get("/v1/jobs").status_code == 401
