"""What is held to the contract: stores in memory, in a folder, and on S3 as moto plays it."""

from __future__ import annotations

import http.client
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from reelpress.storage.calls import Patience
from reelpress.storage.opening import open_store
from reelpress.storage.store import Store

BUCKET = "videos"
SECRET = "wJalrXUtnFEMI-not-a-real-secret"
# One try, no pauses: what a request meets is what our own code must deal with.
HASTY = Patience(connect_s=5, stall_s=20, request_s=30, copy_s=30, retries=0, retry_s=30)
SIGNED = "AWS4-HMAC-SHA256 Credential=AK/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"

# No proxy of this machine's may come between the tests and their own servers.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"


@pytest.fixture(scope="session")
def s3_server() -> Iterator[tuple[str, int]]:
    """moto's server, in this process, on a port of the system's choosing."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    connection = http.client.HTTPConnection(host, port)
    connection.request("PUT", f"/{BUCKET}", headers={"Authorization": SIGNED, "Content-Length": "0"})
    assert connection.getresponse().status == 200
    connection.close()
    yield host, port
    server.stop()


def s3_store(endpoint: str, prefix: str, patience: Patience = HASTY) -> Store:
    return open_store(
        f"s3://{BUCKET}/{prefix}", endpoint=endpoint, region="us-east-1", access_key_id="AK", secret_access_key=SECRET,
        patience=patience,
    )  # fmt: skip


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials or endpoints of this machine's."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_")):
            monkeypatch.delenv(name)


@pytest.fixture(params=["memory", "local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, clean_environment: None) -> Store:
    """An empty store of each kind."""
    if request.param == "memory":
        return open_store("memory://")
    if request.param == "local":
        (tmp_path / "store").mkdir()
        return open_store(f"file://{tmp_path}/store")
    host, port = request.getfixturevalue("s3_server")
    return s3_store(f"http://{host}:{port}", f"tests/{tmp_path.name}")
