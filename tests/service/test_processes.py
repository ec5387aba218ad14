"""The real processes: they start, answer, give up on clients that say nothing, and end with 0 when told to."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from reelpress.service import server as service_server
from reelpress.service.patience import PatientH11

from served import without_settings

Start = Callable[..., tuple[subprocess.Popen[str], str]]
_LISTENING = re.compile(r"listening on (http://[0-9.:]+)")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a command, and return it with the address it listens on."""
    running: list[subprocess.Popen[str]] = []
    env = {**os.environ, "REELPRESS_LOG_FORMAT": "text", "NO_PROXY": "*"}

    def begin(*command: str) -> tuple[subprocess.Popen[str], str]:
        argv = [sys.executable, "-m", "reelpress", *command, "--data-dir", str(tmp_path / "data")]
        process = subprocess.Popen(argv, env=env, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
        running.append(process)
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if match := _LISTENING.search(line):
                return process, match[1]
        raise AssertionError(said)

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def test_a_server_answers_and_ends_when_told_to_with_a_stream_open(start: Start) -> None:
    process, url = start("serve", "--port", "0")
    with httpx.Client(base_url=url, trust_env=False) as client:
        assert client.get("/health").json()["status"] == "ok"
        with client.stream("GET", "/v1/events") as stream:
            blocks = stream.iter_text()
            next(blocks)
            process.send_signal(signal.SIGTERM)
            assert "".join(blocks) == ""
    assert process.wait(60) == 0


def test_a_worker_says_how_it_is_and_ends(start: Start) -> None:
    process, url = start("worker", "--health-port", "0", "--worker-jobs", "1")
    with httpx.Client(base_url=url, trust_env=False) as client:
        assert client.get("/health").status_code == 200
        assert client.get("/v1/jobs").status_code == 404
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0


def test_a_worker_can_be_asked_until_its_last_job_has_ended() -> None:
    """Its figures of these would be lost."""
    begun, ended, told, said = threading.Event(), threading.Event(), threading.Event(), []

    class Draining:
        def drain(self, _grace_s: float) -> None:
            begun.set()
            assert ended.wait(60)

    app = FastAPI()
    app.get("/health")(lambda: "ok")
    app.state.feed = SimpleNamespace(stop=lambda: None)
    app.state.readiness = SimpleNamespace(end=lambda: said.append("not ready"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/health"
        told.set()
        running = threading.Thread(
            target=service_server._run,
            args=(app, listening, Draining(), 1.0, told),
            kwargs={"answers_last": True},
        )
        running.start()
        assert begun.wait(60)
        try:
            assert (httpx.get(url, trust_env=False).status_code, said) == (200, ["not ready"])
        finally:
            ended.set()
            running.join(60)
    assert not running.is_alive()
    with pytest.raises(httpx.TransportError):
        httpx.get(url, trust_env=False)


def test_an_open_server_says_how_to_make_a_key_and_takes_it(start: Start, tmp_path: Path) -> None:
    env = {**os.environ, "REELPRESS_DATA_DIR": str(tmp_path / "data")}
    process, url = start("serve", "--port", "0", "--host", "0.0.0.0", "--worker-jobs", "0")
    url = url.replace("0.0.0.0", "127.0.0.1")

    def keys(*arguments: str) -> str:
        argv = [sys.executable, "-m", "reelpress", "keys", *arguments]
        return subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    made = json.loads(keys("create", "--user", "ann", "--scope", "read", "--expires", "1", "--json"))
    headers = {"Authorization": f"Bearer {made['key']}"}
    with httpx.Client(base_url=url, trust_env=False) as client:
        assert client.get("/v1/jobs").status_code == 401
        assert client.get("/v1/jobs", headers=headers).status_code == 200
        assert client.post("/v1/webhooks/test", json={}, headers=headers).status_code == 403
        assert f"{made['id']}  ann  read  expires" in keys("list")
        keys("revoke", made["id"])
        assert client.get("/v1/jobs", headers=headers).status_code == 401
        assert "revoked" in keys("list")
    process.terminate()
    assert process.wait(60) == 0


def test_an_open_server_without_a_key_says_so_first(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "reelpress", "serve", "--port", "0", "--host", "0.0.0.0", "--worker-jobs", "0"]
    process = subprocess.Popen(
        [*argv, "--data-dir", str(tmp_path / "data")], stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert process.stderr is not None
    assert "reelpress keys create --user NAME" in process.stderr.readline()
    process.kill()
    process.communicate()


def test_a_port_that_is_taken_is_said_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        argv = [sys.executable, "-m", "reelpress", "serve", "--port", str(taken.getsockname()[1]), "--worker-jobs", "0"]
        done = subprocess.run(
            [*argv, "--data-dir", str(tmp_path / "data")], capture_output=True, text=True, cwd=tmp_path, check=False
        )
    assert done.returncode == 2
    assert "Nothing can listen" in done.stderr


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: a", b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /"])
def test_a_client_that_never_finishes_its_head_is_left(sent: bytes) -> None:
    async def app(scope: dict, receive: Callable, send: Callable) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def ask() -> bytes:
        hasty = type("Hasty", (PatientH11,), {"head_s": 0.2})
        config = uvicorn.Config(app, http=hasty, lifespan="off", log_config=None, timeout_keep_alive=1)
        server = uvicorn.Server(config)
        listening = socket.create_server(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        serving = asyncio.ensure_future(server.serve(sockets=[listening]))
        while not server.started:
            await asyncio.sleep(0.01)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        async with asyncio.timeout(20):
            got = await reader.read()
        writer.close()
        server.should_exit = True
        await serving
        return got

    got = asyncio.run(ask())
    assert got.startswith(b"HTTP/1.1 204") == sent.endswith(b"GET /")


def test_an_address_that_is_listened_on_takes_connections_before_the_server_runs() -> None:
    listening = service_server._listen("127.0.0.1", 0)
    with listening, socket.create_connection(listening.getsockname(), timeout=5):
        pass


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_what_is_told_to_end_while_it_starts_ends_in_order(tmp_path: Path, command: str) -> None:
    env = {**without_settings(), "REELPRESS_DATA_DIR": str(tmp_path / "data"), "REELPRESS_PORT": "0"}
    with (tmp_path / "log").open("wb") as out:
        process = subprocess.Popen([sys.executable, "-m", "reelpress", command], env=env, stderr=out, stdout=out)
    deadline = time.monotonic() + 60
    while "jobs at once" not in (tmp_path / "log").read_text():  # its worker is known, and not yet at work
        assert process.poll() is None, (tmp_path / "log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.terminate()
    assert process.wait(60) == 0, (tmp_path / "log").read_text()
