"""Every fault at every request of a transfer, one after the other: a right result or a clear error, and never a lie.

Nothing is retried here (``HASTY``), so each fault reaches our own code; that retries help is asked once, at the end.
"""

from __future__ import annotations

import http.client
import os
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import obstore
import pytest

from reelpress import CancelToken
from reelpress.errors import STORAGE_REASONS, Cancelled, StorageError
from reelpress.storage import upload as uploading
from reelpress.storage.calls import Patience
from reelpress.storage.download import Wanted, download
from reelpress.storage.store import Store
from reelpress.storage.transfer import Transfer
from reelpress.storage.upload import upload

import holdings
from conftest import BUCKET, HASTY, SECRET, SIGNED, s3_store
from faulty import FAULTS, Proxy
from peer import wait_until
from thorough import every_second

FILM = holdings.noise(2500)
OLD = b"what was there before"
KEY = "out/film.mp4"
ONE_BY_ONE = Transfer(part_bytes=1000, parallel=1)
WHOLE = Transfer()
IMPATIENT = msgspec.structs.replace(HASTY, request_s=0.5, stall_s=0.5, copy_s=0.6)
SENDING = {"clipped", "spoilt"}
MOST_REQUESTS = 40
MB = 2**20

pytestmark = pytest.mark.usefixtures("clean_environment")


def at_every_request(
    server: tuple[str, int],
    fault: str,
    prefix: str,
    transfer: Callable[[Store, int], object],
    judge: Callable[[int], None],
) -> list[str]:
    """Do a transfer again and again, with the fault at the first request, the second, until it meets none.

    Return the requests of that last one.
    """
    patience = IMPATIENT if fault == "drip" else HASTY
    for at in range(1, MOST_REQUESTS):
        failed: StorageError | None = None
        with Proxy(server, fault, at) as proxy:
            try:
                transfer(s3_store(proxy.endpoint, f"{prefix}/{at}", patience), at)
            except StorageError as error:
                failed = error
        if failed is not None:
            is_clear(failed)
        judge(at)
        if not proxy.hit and failed is None:
            return proxy.seen
    pytest.fail("the fault was still met")


def is_clear(error: StorageError) -> None:
    told = "\n".join(error.lines())
    assert error.reason in STORAGE_REASONS
    assert error.evidence
    assert SECRET not in told
    assert "127.0.0.1" not in told
    assert "http://" not in told
    assert error.__cause__ is None
    assert error.__context__ is None


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - SENDING))
def test_downloads(s3_server: tuple[str, int], tmp_path: Path, fault: str):
    direct = f"http://{s3_server[0]}:{s3_server[1]}"
    prefix = f"faults/{tmp_path.name}"
    wanted = Wanted(sha256=holdings.sha256(FILM))

    def transfer(store: Store, at: int) -> None:
        holdings.put(s3_store(direct, f"{prefix}/{at}"), KEY, FILM)
        (tmp_path / str(at)).mkdir()
        download(store, KEY, tmp_path / str(at) / "in.mp4", wanted=wanted, transfer=ONE_BY_ONE)

    def judge(at: int) -> None:
        folder = tmp_path / str(at)
        if (folder / "in.mp4").exists():
            assert (folder / "in.mp4").read_bytes() == FILM
        store = s3_store(direct, f"{prefix}/{at}")
        download(store, KEY, folder / "in.mp4", wanted=wanted, transfer=ONE_BY_ONE)
        assert (folder / "in.mp4").read_bytes() == FILM
        assert holdings.names(folder) == ["in.mp4"]

    requests = at_every_request(s3_server, fault, prefix, transfer, judge)
    assert [request.split()[0] for request in requests] == ["HEAD", "GET", "GET", "GET"]


def upload_matrix(
    server: tuple[str, int], tmp_path: Path, fault: str, *, overwrite: bool, transfer: Transfer = WHOLE
) -> list[str]:
    direct = "http://{}:{}".format(*server)
    prefix = f"faults/{tmp_path.name}"
    source = holdings.file(tmp_path, FILM)
    allowed = {OLD, FILM} if overwrite else {None, FILM}

    def send(store: Store, at: int) -> None:
        if overwrite:
            holdings.put(s3_store(direct, f"{prefix}/{at}"), KEY, OLD)
        upload(store, source, KEY, job="j1", overwrite=overwrite, transfer=transfer)
        assert holdings.get(s3_store(direct, f"{prefix}/{at}"), KEY) == FILM

    def judge(at: int) -> None:
        store = s3_store(direct, f"{prefix}/{at}")
        there = holdings.get(store, KEY) if KEY in holdings.keys(store) else None
        assert there in allowed
        upload(store, source, KEY, job="j1", overwrite=overwrite, transfer=transfer)
        assert holdings.get(store, KEY) == FILM
        rest = [key for key in holdings.keys(store) if key != KEY]
        assert all(key.startswith(".reelpress/tmp/j1/") for key in rest)

    return at_every_request(server, fault, prefix, send, judge)


@pytest.mark.parametrize("fault", every_second(sorted(FAULTS)))
def test_uploads(s3_server: tuple[str, int], tmp_path: Path, fault: str):
    requests = upload_matrix(s3_server, tmp_path, fault, overwrite=False)
    # look for the key, send, look, read back, three requests of a conditional copy, look, delete
    methods = [request.split()[0] for request in requests]
    assert methods == ["HEAD", "PUT", "HEAD", "GET", "POST", "PUT", "POST", "HEAD", "DELETE"]


@pytest.mark.parametrize("fault", ["500", "done, then reset", "etag", "spoilt"])
def test_uploads_that_overwrite(s3_server: tuple[str, int], tmp_path: Path, fault: str):
    requests = upload_matrix(s3_server, tmp_path, fault, overwrite=True)
    assert [request.split()[0] for request in requests] == ["PUT", "HEAD", "GET", "PUT", "HEAD", "DELETE"]


@pytest.mark.parametrize("fault", every_second(["done, then 500", "reset", "spoilt", "clipped"]))
def test_uploads_in_parts(s3_server: tuple[str, int], tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(uploading, "S3_LEAST_PART_BYTES", 1)
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 1)
    requests = upload_matrix(s3_server, tmp_path, fault, overwrite=False, transfer=ONE_BY_ONE)
    assert [request.split()[0] for request in requests][:6] == ["HEAD", "POST", "PUT", "PUT", "PUT", "POST"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("500", "unreachable"),
        ("403", "denied"),
        ("reset", "unreachable"),
        ("drip", "timed_out"),
        ("truncated", "unreachable"),
    ],
)
def test_what_lasts_is_named(s3_server: tuple[str, int], tmp_path: Path, fault: str, reason: str):
    holdings.put(s3_store("http://{}:{}".format(*s3_server), tmp_path.name), KEY, FILM)
    patience = IMPATIENT if fault == "drip" else HASTY
    with Proxy(s3_server, fault, 2, for_ever=True) as proxy, pytest.raises(StorageError) as caught:
        download(s3_store(proxy.endpoint, tmp_path.name, patience), KEY, tmp_path / "in.mp4", transfer=ONE_BY_ONE)
    assert (caught.value.reason, caught.value.retryable) == (reason, reason != "denied")
    is_clear(caught.value)
    assert not (tmp_path / "in.mp4").exists()


def test_a_server_that_is_not_there(tmp_path: Path):
    with pytest.raises(StorageError) as caught:
        download(s3_store("http://127.0.0.1:1", "x"), KEY, tmp_path / "in.mp4")
    assert (caught.value.reason, caught.value.retryable) == ("unreachable", True)
    is_clear(caught.value)


@pytest.mark.parametrize("fault", ["500", "reset", "done, then 500", "truncated"])
def test_retries_carry_a_transfer_over_one_fault(s3_server: tuple[str, int], tmp_path: Path, fault: str):
    holdings.put(s3_store("http://{}:{}".format(*s3_server), tmp_path.name), KEY, FILM)
    patience = Patience(retries=2, backoff_s=0.01, max_backoff_s=0.02)
    with Proxy(s3_server, fault, 2) as proxy:
        download(s3_store(proxy.endpoint, tmp_path.name, patience), KEY, tmp_path / "in.mp4", transfer=ONE_BY_ONE)
    assert proxy.hit
    assert (tmp_path / "in.mp4").read_bytes() == FILM


@pytest.mark.parametrize("fault", every_second(["done, then 500", "500"]))
@pytest.mark.parametrize("parts", [WHOLE, ONE_BY_ONE], ids=["whole", "parts"])
def test_retries_carry_an_upload_over_one_fault_wherever(
    s3_server: tuple[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, parts: Transfer
):
    monkeypatch.setattr(uploading, "S3_LEAST_PART_BYTES", 1)
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 1)
    patience = Patience(retries=2, backoff_s=0.01, max_backoff_s=0.02)
    source = holdings.file(tmp_path, FILM)
    for at in range(1, MOST_REQUESTS):
        with Proxy(s3_server, fault, at) as proxy:
            store = s3_store(proxy.endpoint, f"{tmp_path.name}/{at}", patience)
            upload(store, source, KEY, job="j1", transfer=parts)
        assert holdings.get(s3_store("http://{}:{}".format(*s3_server), f"{tmp_path.name}/{at}"), KEY) == FILM
        if not proxy.hit:
            break
    assert at > 9


@pytest.mark.parametrize("overwrite", [False, True])
def test_the_type_of_content_arrives(s3_server: tuple[str, int], tmp_path: Path, overwrite: bool):
    store = s3_store("http://{}:{}".format(*s3_server), tmp_path.name)
    source = holdings.file(tmp_path, FILM)
    upload(store, source, KEY, job="j1", content_type="video/mp4", overwrite=overwrite)
    assert obstore.get(store.calls.handle(), KEY).attributes["Content-Type"] == "video/mp4"


def test_retries_come_to_an_end(s3_server: tuple[str, int], tmp_path: Path):
    patience = Patience(retries=3, backoff_s=0.01, max_backoff_s=0.02)
    with Proxy(s3_server, "500", 1, for_ever=True) as proxy, pytest.raises(StorageError):
        s3_store(proxy.endpoint, tmp_path.name, patience).find(KEY)
    assert len(proxy.seen) == 4


def test_an_upload_in_parts_that_is_cancelled_leaves_no_parts(
    s3_server: tuple[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    prefix, token, noticed = tmp_path.name, CancelToken(), threading.Event()

    def on_progress(done: int, _all: int) -> None:
        if done > 11 * MB:
            token.cancel()
            noticed.wait(20)  # until who asked has gone

    def parts_are_kept() -> bool:
        connection = http.client.HTTPConnection(*s3_server)
        connection.request("GET", f"/{BUCKET}?uploads", headers={"Authorization": SIGNED})
        content = connection.getresponse().read()
        connection.close()
        return f"<Key>{prefix}/".encode() in content

    monkeypatch.setattr(uploading, "_TIDY_S", 0.1)
    store = s3_store("http://{}:{}".format(*s3_server), prefix)
    source = holdings.file(tmp_path, holdings.noise(21 * MB))
    parts = Transfer(part_bytes=5 * MB, parallel=1)
    with pytest.raises(Cancelled):
        upload(store, source, "a", job="j1", transfer=parts, on_progress=on_progress, cancel=token)
    assert parts_are_kept()
    noticed.set()
    assert wait_until(lambda: not parts_are_kept())
    assert holdings.keys(store) == []


def test_no_proxy_of_the_machine_is_between():
    assert "127.0.0.1" in os.environ["NO_PROXY"]
