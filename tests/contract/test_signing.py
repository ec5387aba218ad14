"""Signed addresses: used as a browser would, refused where they cannot be, and never shown."""

from __future__ import annotations

import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reelpress.errors import ExitCode, StorageError, UsageError
from reelpress.storage.opening import open_store
from reelpress.storage.orphans import sweep_orphans
from reelpress.storage.segments import collect, discard, missing_segments, plan_upload, sign_segment
from reelpress.storage.signing import (
    LONGEST_S,
    MOST_BYTES_OF_PUT,
    SignedUrl,
    can_sign,
    sign_download,
    sign_upload,
    signed_place,
)  # fmt: skip
from reelpress.storage.store import Store

import holdings
from conftest import SECRET, s3_store

FILM = holdings.noise(2500)


@pytest.fixture
def s3(s3_server: tuple[str, int], tmp_path: Path, clean_environment: None) -> Store:
    return s3_store("http://{}:{}".format(*s3_server), f"tests/{tmp_path.name}")


def use(signed: SignedUrl, body: bytes | None = None, **headers: str) -> bytes:
    """Do what a browser does with it: no credentials but the address."""
    headers = {"Content-Type": "video/mp4", **signed.headers, **headers}
    request = urllib.request.Request(signed.url, data=body, headers=headers, method=signed.method)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
        return answer.read()


def test_a_browser_fetches_and_sends_without_credentials(s3: Store):
    use(sign_upload(s3, "in/ü b.mp4", size_bytes=2500), FILM)
    assert holdings.get(s3, "in/ü b.mp4") == FILM
    signed = sign_download(s3, "in/ü b.mp4", expires_s=60)
    assert use(signed) == FILM
    assert use(signed, Range="bytes=10-19") == FILM[10:20]
    assert abs(signed.expires_at - datetime.now(UTC) - timedelta(seconds=60)) < timedelta(seconds=30)


def test_a_resumable_upload_sends_only_what_is_missing(s3: Store, tmp_path: Path):
    plan = plan_upload(2500, segment_bytes=1000)
    assert missing_segments(s3, plan) == [0, 1, 2]
    use(sign_segment(s3, plan, 0), FILM[:1000])
    use(sign_segment(s3, plan, 2), FILM[2000:2400])  # broke off
    assert missing_segments(s3, plan) == [1, 2]
    with pytest.raises(StorageError):
        collect(s3, plan, tmp_path / "in")
    use(sign_segment(s3, plan, 1), FILM[1000:2000])
    with pytest.raises(StorageError) as caught:
        collect(s3, plan, tmp_path / "in")
    assert caught.value.reason == "corrupt"
    use(sign_segment(s3, plan, 2), FILM[2000:])
    assert missing_segments(s3, plan) == []
    got = collect(s3, plan, tmp_path / "in", sha256=holdings.sha256(FILM))
    assert (got.size_bytes, (tmp_path / "in").read_bytes()) == (2500, FILM)
    discard(s3, plan)
    assert holdings.keys(s3) == []


def test_segments_in_any_store_become_one_file(store: Store, tmp_path: Path):
    plan = plan_upload(2500, segment_bytes=999)
    for number, key in enumerate(plan.keys):
        holdings.put(store, key, FILM[number * 999 : (number + 1) * 999])
    holdings.put(store, ".reelpress/uploads/other/00000", b"theirs")
    assert [plan.bytes_of(n) for n in range(plan.count)] == [999, 999, 502]
    assert missing_segments(store, plan) == []
    assert collect(store, plan, tmp_path / "in").sha256 == holdings.sha256(FILM)
    discard(store, plan)
    assert holdings.keys(store) == [".reelpress/uploads/other/00000"]


def test_abandoned_segments_are_swept(store: Store):
    plan = plan_upload(10)
    holdings.put(store, plan.keys[0], b"1")
    holdings.put(store, f".reelpress/uploads/{plan.upload_id}/notes", b"1")
    later = datetime.now(UTC) + timedelta(days=3)
    assert [info.key for info in sweep_orphans(store, older_than_s=86400, now=later)] == plan.keys
    assert holdings.keys(store) == [f".reelpress/uploads/{plan.upload_id}/notes"]


@pytest.mark.parametrize(("size", "count", "longest"), [(0, 1, 0), (1, 1, 1), (32 * 2**20 + 1, 2, 32 * 2**20)])
def test_plans_cover_every_byte(size: int, count: int, longest: int):
    plan = plan_upload(size)
    assert (plan.count, plan.bytes_of(0)) == (count, longest)
    assert sum(plan.bytes_of(n) for n in range(plan.count)) == size


def test_a_huge_file_has_larger_segments_not_more():
    plan = plan_upload(2**42)
    assert plan.count <= 10_000
    assert sum(plan.bytes_of(n) for n in range(plan.count)) == 2**42


@pytest.mark.parametrize("address", ["memory://", "file://{}"])
def test_stores_without_addresses_say_so(address: str, tmp_path: Path):
    store = open_store(address.format(tmp_path))
    assert not can_sign(store)
    with pytest.raises(StorageError) as caught:
        sign_download(store, "a")
    assert (caught.value.reason, caught.value.retryable) == ("unsupported", False)
    assert caught.value.exit_code == ExitCode.OUTPUT_FAILED


def test_what_cannot_be_signed_is_refused(s3: Store):
    for seconds in (0, -1, LONGEST_S + 1):
        with pytest.raises(UsageError):
            sign_download(s3, "a", expires_s=seconds)
    for size in (-1, MOST_BYTES_OF_PUT + 1):
        with pytest.raises(UsageError):
            sign_upload(s3, "a", size_bytes=size)
    for key in ("../a", ".reelpress/tmp/a", "/a"):
        with pytest.raises(UsageError):
            sign_download(s3, key)
    with pytest.raises(UsageError):
        sign_segment(s3, plan_upload(5), 1)


def test_an_address_is_not_shown_by_accident(s3: Store):
    signed = sign_download(s3, "a")
    assert "Signature" in signed.url
    assert "Signature" not in f"{signed!r} {signed}"
    assert SECRET not in signed.url


def test_azure_needs_a_header_of_its_own(clean_environment: None):
    store = open_store("az://box/in", account_name="shop", account_key="c2VjcmV0")
    signed = sign_upload(store, "a b.mp4", size_bytes=1)
    assert signed.url.startswith("https://shop.blob.core.windows.net/box/in/a%20b.mp4?")
    assert signed.headers == {"x-ms-blob-type": "BlockBlob"}
    assert sign_download(store, "a").headers == {}


@pytest.mark.parametrize(
    ("address", "options", "environ"),
    [
        ("az://box", {"account_name": "me", "sas_key": "sv=2022&sig=abc%3D"}, {}),
        ("az://box", {"account_name": "me"}, {"AZURE_STORAGE_SAS_KEY": "sv=2022&sig=abc%3D"}),
        ("s3://videos", {"region": "r", "skip_signature": True}, {}),
        ("s3://videos", {"region": "r"}, {"AWS_SKIP_SIGNATURE": "true"}),
    ],
)
def test_who_holds_nothing_to_sign_with_is_not_asked_to(
    address: str, options: dict[str, Any], environ: dict[str, str], clean_environment: None,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    store = open_store(address, **options)
    assert not can_sign(store)
    assert signed_place(store) is None
    with pytest.raises(StorageError) as caught:
        sign_download(store, "a.mp4")
    assert caught.value.reason == "unsupported"


def test_a_key_signs_also_beside_a_shared_access_signature(clean_environment: None):
    assert sign_download(open_store("az://box", account_name="me", account_key="aGVsbG8=", sas_key="sig=a"), "a").url
