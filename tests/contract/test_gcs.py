"""Google Cloud Storage, as a server here plays it that checks every signature: up, down, and by browsers."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import obstore
import pytest

from reelpress.errors import StorageError, UsageError
from reelpress.storage.download import download
from reelpress.storage.opening import open_store
from reelpress.storage.segments import collect, discard, missing_segments, plan_upload, sign_segment
from reelpress.storage.signing import SignedUrl, can_sign, sign_download, sign_upload, signed_place
from reelpress.storage.store import Store
from reelpress.storage.transfer import Transfer
from reelpress.storage.upload import upload

import holdings
from conftest import HASTY, SECRET
from fake_gcs import FakeGcs, service_account_key

pytestmark = pytest.mark.usefixtures("clean_environment")
BUCKET = "demo-project.firebasestorage.app"  # how Firebase calls the default bucket of a new project
FILM = holdings.noise(2500)


@pytest.fixture
def gcs() -> Iterator[FakeGcs]:
    with FakeGcs(BUCKET) as server:
        yield server


@pytest.fixture
def store(gcs: FakeGcs) -> Store:
    return open_at(gcs)


def open_at(gcs: FakeGcs) -> Store:
    return open_store(
        f"gs://{BUCKET}/site a", endpoint=gcs.url, service_account_key=service_account_key(), patience=HASTY
    )


def use(signed: SignedUrl, body: bytes | None = None, **headers: str) -> bytes:
    """Do what a browser does with it: no credentials but the address."""
    request = urllib.request.Request(signed.url, data=body, headers=headers, method=signed.method)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
        return answer.read()


def test_a_file_goes_up_in_parts_gets_its_key_by_a_copy_and_comes_down(gcs: FakeGcs, store: Store, tmp_path: Path):
    film = holdings.noise(6 * 2**20)
    source = holdings.file(tmp_path, film)
    transfer = Transfer(part_bytes=5 * 2**20)
    sent = upload(store, source, "users/ann/ü b.mp4", job="j1", content_type="video/mp4", transfer=transfer)
    assert gcs.keys(BUCKET) == ["site a/users/ann/ü b.mp4"]  # and nothing temporary
    (stored,) = gcs.objects.values()
    assert (stored.content, stored.content_type) == (film, "video/mp4")
    assert any("x-goog-copy-source" in headers for _, _, headers in gcs.seen)
    assert not gcs.uploads
    again = upload(store, source, "users/ann/ü b.mp4", job="j2", content_type="video/mp4", transfer=transfer)
    assert (sent.existed, again.existed, again.sha256) == (False, True, holdings.sha256(film))
    got = download(store, "users/ann/ü b.mp4", tmp_path / "in.mp4", transfer=transfer)
    assert (got.sha256, got.etag) == (sent.sha256, sent.etag)


def test_nothing_is_overwritten_unasked(gcs: FakeGcs, store: Store, tmp_path: Path):
    other = holdings.file(tmp_path, FILM[::-1], "other")
    upload(store, other, "a.mp4", job="j1")
    with pytest.raises(StorageError) as caught:
        upload(store, holdings.file(tmp_path, FILM), "a.mp4", job="j2")
    assert caught.value.reason == "exists"
    # also where the other came between the look and the copy: the copy itself is conditional
    real = store.calls.find

    async def late(key: str) -> None:
        return None

    store.calls.find = late
    with pytest.raises(StorageError) as caught:
        upload(store, holdings.file(tmp_path, FILM), "a.mp4", job="j3")
    store.calls.find = real
    assert caught.value.reason == "exists"
    assert holdings.get(store, "a.mp4") == FILM[::-1]
    upload(store, holdings.file(tmp_path, FILM), "a.mp4", job="j4", overwrite=True)
    assert holdings.get(store, "a.mp4") == FILM


def test_a_download_notices_that_the_object_changed(gcs: FakeGcs, store: Store, tmp_path: Path):
    holdings.put(store, "a.mp4", FILM)
    old = store.find("a.mp4")
    holdings.put(store, "a.mp4", FILM[::-1])
    assert (old.etag, old.size_bytes) != (store.find("a.mp4").etag, 0)
    with pytest.raises(StorageError) as caught:
        asyncio.run(store.calls.read("a.mp4", 0, 10, old.etag))
    assert caught.value.reason == "changed"


def test_a_browser_sends_segments_and_fetches_ranges_by_signed_addresses(gcs: FakeGcs, store: Store, tmp_path: Path):
    plan = plan_upload(2500, segment_bytes=1000)
    for number in (2, 0):
        use(sign_segment(store, plan, number), FILM[number * 1000 : (number + 1) * 1000])
    assert missing_segments(store, plan) == [1]
    use(sign_segment(store, plan, 1), FILM[1000:2000])
    assert [method for method, _ in gcs.signed] == ["PUT"] * 3
    assert collect(store, plan, tmp_path / "in", sha256=holdings.sha256(FILM)).size_bytes == 2500
    discard(store, plan)
    assert gcs.keys(BUCKET) == []
    holdings.put(store, "out/ü b~.mp4", FILM)
    signed = sign_download(store, "out/ü b~.mp4", expires_s=60)
    assert use(signed) == FILM
    assert use(signed, Range="bytes=10-19") == FILM[10:20]


def test_addresses_hold_for_one_object_one_method_and_a_time(gcs: FakeGcs, store: Store):
    holdings.put(store, "a.mp4", FILM)
    holdings.put(store, "b.mp4", FILM)
    signed = sign_download(store, "a.mp4")
    for forged in (
        signed.url.replace("a.mp4", "b.mp4"),
        signed.url.replace("X-Goog-Expires=3600", "X-Goog-Expires=604800"),
        signed.url[:-2] + ("00" if signed.url[-2:] != "00" else "11"),
        signed.url.partition("?")[0],
    ):
        assert refused_as(SignedUrl(method="GET", url=forged, headers={}, expires_at=signed.expires_at)) in (401, 403)
    put = SignedUrl(method="PUT", url=signed.url, headers={}, expires_at=signed.expires_at)
    assert refused_as(put, b"x") == 403
    gcs.other_key()
    assert refused_as(signed) == 403
    with pytest.raises(StorageError) as caught:  # nor is the service itself known any more
        store.find("a.mp4")
    assert caught.value.reason == "denied"


def test_an_address_that_ended_is_refused(gcs: FakeGcs, store: Store, monkeypatch: pytest.MonkeyPatch):
    signed = sign_upload(store, "a.mp4", size_bytes=1, expires_s=60)
    monkeypatch.setattr("fake_gcs.time.time", lambda: signed.expires_at.timestamp() + 5)
    assert refused_as(signed, b"x") == 400


def refused_as(signed: SignedUrl, body: bytes | None = None) -> int:
    with pytest.raises(urllib.error.HTTPError) as caught:
        use(signed, body)
    with caught.value:
        return caught.value.code


def test_the_place_of_signed_addresses_is_the_bucket_and_prefix(gcs: FakeGcs, store: Store):
    place = signed_place(store)
    assert place == f"{gcs.url}/{BUCKET}/site%20a/"
    for key in ("x", "a/b/c d.mp4", "users/ü.mp4"):
        assert sign_download(store, key).url.startswith(place)
    real = open_store(f"gs://{BUCKET}", service_account_key=service_account_key())
    assert signed_place(real) == f"https://storage.googleapis.com/{BUCKET}/"
    assert signed_place(open_store("memory://")) is None


@pytest.mark.parametrize("key", ["talk (1).mp4", "a+b=", "it's", "a;b,c", "a@b!", "a:b", "$a&b*"])
def test_what_obstore_would_sign_otherwise_than_google_is_not_signed(gcs: FakeGcs, store: Store, key: str):
    holdings.put(store, key, FILM)
    assert not can_sign(store, key)
    with pytest.raises(StorageError) as caught:
        sign_download(store, key)
    assert caught.value.reason == "unsupported"
    url = obstore.sign(store.calls.handle(), "GET", key, timedelta(seconds=60))
    assert refused_as(SignedUrl(method="GET", url=url, headers={}, expires_at=datetime.now(UTC))) == 403
    assert holdings.get(store, key) == FILM


@pytest.mark.parametrize("endpoint", ["host:9000", f"https://me:{SECRET}@host"])
def test_bad_endpoints_are_refused_unseen(endpoint: str):
    with pytest.raises(UsageError) as caught:
        open_store("gs://videos", endpoint=endpoint)
    assert SECRET not in "".join(caught.value.lines())
