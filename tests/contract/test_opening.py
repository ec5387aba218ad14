"""Addresses of stores: what is meant, what is refused, and what is never shown."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reelpress.errors import STORAGE_REASONS, ExitCode, StorageError, UsageError
from reelpress.storage.calls import Calls
from reelpress.storage.download import download
from reelpress.storage.failures import explain, of_os_error
from reelpress.storage.opening import open_store
from reelpress.storage.orphans import sweep_orphans
from reelpress.storage.upload import upload
from reelpress.storage.waiting import wait_for

import holdings
from conftest import SECRET

pytestmark = pytest.mark.usefixtures("clean_environment")


@pytest.mark.parametrize(
    ("url", "kind", "shown"),
    [
        ("s3://videos", "s3", "s3://videos"),
        ("s3://videos/a/b/", "s3", "s3://videos/a/b"),
        ("s3://videos/a%20b", "s3", "s3://videos/a b"),
        ("gs://videos/a", "gcs", "gs://videos/a"),
        ("az://box/a", "azure", "az://box/a"),
        ("memory://", "memory", "memory://"),
    ],
)
def test_what_is_meant(url: str, kind: str, shown: str):
    options = {"account_name": "shop"} if kind == "azure" else {}
    store = open_store(url, **options)
    assert (store.kind, store.url) == (kind, shown)


@pytest.mark.parametrize(
    "url",
    [
        "", "videos", "/srv", "http://host/a", "ftp://a", "s3://", "s3:///a", "s3://a", "s3://v..", "s3://b\\c/x",
        "s3://videos/../x", "s3://videos/a//b", "s3://videos/" + "a" * 121, "file://host/srv", "file://srv", "file:srv",
        "file:///nothing/here", "file:///srv/../etc", "memory://a", "memory:///a", "s3://videos?x=1", "s3://videos#x", "s3://[x",
    ],
)  # fmt: skip
def test_what_cannot_be_meant(url: str):
    with pytest.raises(UsageError) as caught:
        open_store(url)
    assert caught.value.exit_code == ExitCode.USAGE


def test_azure_without_an_account_is_refused():
    with pytest.raises(UsageError):
        open_store("az://box")


@pytest.mark.parametrize(
    "endpoint",
    [
        "host:9000", "ftp://host", "https://", f"https://me:{SECRET}@host", f"https://host?k={SECRET}", "http://[::1",
        "https://host:99999", f"https://host:{SECRET}",
    ],
)  # fmt: skip
def test_bad_endpoints_are_refused_unseen(endpoint: str):
    with pytest.raises(UsageError) as caught:
        open_store("s3://videos", endpoint=endpoint)
    assert SECRET not in "".join(caught.value.lines())


def test_options_of_other_stores_are_refused_by_name():
    with pytest.raises(UsageError, match="no option 'secret'") as caught:
        open_store("s3://videos", secret=SECRET)
    assert SECRET not in "".join(caught.value.lines())
    with pytest.raises(UsageError):
        open_store("memory://", endpoint="http://x")


def test_secrets_in_an_address_are_refused_and_not_repeated():
    for url in (f"s3://AK:{SECRET}@videos/a", f"s3://videos/a?X-Amz-Signature={SECRET}", f"az://box#{SECRET}"):
        with pytest.raises(UsageError) as caught:
            open_store(url)
        assert SECRET not in "".join(caught.value.lines())
        assert caught.value.__context__ is None


def test_a_store_shows_no_secrets(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AK")
    with caplog.at_level(logging.DEBUG):
        store = open_store("s3://videos/a")
        assert SECRET not in f"{store!r} {store} {store.calls!r} {store.calls.handle()!r}"
    assert SECRET not in caplog.text


def test_credentials_and_endpoint_come_from_the_environment(
    s3_server: tuple[str, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AK")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*s3_server))
    upload(open_store("s3://videos/env"), holdings.file(tmp_path, b"1"), "a", job="j")
    assert open_store("s3://videos").find("env/a").size_bytes == 1


def test_copies_are_conditional_in_the_way_of_each_store():
    modes = {
        endpoint: open_store("s3://videos", endpoint=endpoint, access_key_id="a", secret_access_key="b")
        .calls.handle()
        .config["copy_if_not_exists"]
        for endpoint in ("https://abc.r2.cloudflarestorage.com", "https://minio.example")
    }
    assert list(modes.values()) == ["header:cf-copy-destination-if-none-match:*", "multipart"]


def test_a_prefix_keeps_stores_apart(s3_server: tuple[str, int]):
    options = {"endpoint": "http://{}:{}".format(*s3_server), "access_key_id": "AK", "secret_access_key": SECRET}
    one, other = (open_store(f"s3://videos/{name}", **options) for name in ("apart/one", "apart/other"))
    holdings.put(one, "a", b"1")
    assert (one.find("a").size_bytes, other.find("a")) == (1, None)


def test_a_missing_bucket_is_missing(s3_server: tuple[str, int], tmp_path: Path):
    options = {"endpoint": "http://{}:{}".format(*s3_server), "access_key_id": "AK", "secret_access_key": SECRET}
    with pytest.raises(StorageError) as caught:
        upload(open_store("s3://nowhere", **options), holdings.file(tmp_path, b"1"), "a", job="j")
    assert (caught.value.reason, caught.value.exit_code) == ("missing", ExitCode.OUTPUT_FAILED)
    assert "NoSuchBucket" in caught.value.evidence


# Folders


def test_links_do_not_lead_out_of_a_folder(tmp_path: Path):
    outside = tmp_path / "outside"
    inside = tmp_path / "store"
    for folder in (outside, inside):
        folder.mkdir()
    (outside / "secret").write_bytes(b"1")
    (inside / "file").symlink_to(outside / "secret")
    (inside / "folder").symlink_to(outside)
    store = open_store(f"file://{inside}")
    for key in ("file", "folder/secret"):
        for act in (
            lambda key=key: download(store, key, tmp_path / "got"),
            lambda key=key: upload(store, holdings.file(tmp_path, b"2"), key, job="j", overwrite=True),
            lambda key=key: store.find(key),
            lambda key=key: store.delete(key),
        ):
            with pytest.raises(StorageError) as caught:
                act()
            assert caught.value.reason == "denied"
    assert (outside / "secret").read_bytes() == b"1"
    assert not (tmp_path / "got").exists()


def test_a_folder_reached_by_a_link_is_a_store(tmp_path: Path):
    (tmp_path / "real").mkdir()
    (tmp_path / "a link").symlink_to("real")
    store = open_store(f"file://{tmp_path}/a%20link")
    upload(store, holdings.file(tmp_path, b"1"), "x/a", job="j")
    assert (tmp_path / "real" / "x" / "a").read_bytes() == b"1"


def test_uploads_leave_no_folders_of_their_own(tmp_path: Path):
    (tmp_path / "store").mkdir()
    store = open_store(f"file://{tmp_path}/store")
    upload(store, holdings.file(tmp_path, b"1"), "a", job="j")
    assert not (tmp_path / "store" / ".reelpress" / "tmp" / "j").exists()


def test_a_folder_stays_when_its_last_object_goes(tmp_path: Path):
    (tmp_path / "store").mkdir()
    store = open_store(f"file://{tmp_path}/store")
    holdings.put(store, "a", b"1")
    holdings.put(store, "x/a", b"1")
    store.delete("x/a")
    store.delete("a")
    assert holdings.names(tmp_path / "store") == []


def test_what_a_kill_left_half_written_in_a_folder_is_swept(tmp_path: Path):
    root = tmp_path / "store"
    root.mkdir()
    store, token = open_store(f"file://{root}"), "0123456789abcdef" * 2
    staged: list[str] = []

    async def content() -> AsyncIterator[bytes]:
        yield b"1" * 6 * 2**20
        staged.extend(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
        raise ZeroDivisionError

    key = f".reelpress/tmp/j1/{token}"
    with pytest.raises((StorageError, ZeroDivisionError)):
        wait_for(store.calls.put_parts(key, content(), "video/mp4", part_bytes=5 * 2**20, parallel=1))
    (left,) = staged  # as the library calls it
    segment = f".reelpress/uploads/{token}/00003#2"
    others = [f".reelpress/tmp/j1/{token}#x", f".reelpress/tmp/{token}#1", "a#1", f"in/.reelpress/tmp/j1/{token}#1"]
    for name in (left, segment, *others):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"1")
    later = datetime.now(UTC) + timedelta(hours=2)
    assert sweep_orphans(store, older_than_s=7201, now=later) == []
    kept = sweep_orphans(store, older_than_s=3600, now=later, keep_uploads={token})
    assert [(info.key, info.size_bytes) for info in kept] == [(left, 1)]
    assert [info.key for info in sweep_orphans(store, older_than_s=3600, now=later)] == [segment]
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()) == sorted(others)


def test_a_full_scratch_disk_is_named_and_cleared(tmp_path: Path):
    store = open_store("memory://")
    holdings.put(store, "a", b"1" * 3000)
    target = tmp_path / "here"
    target.mkdir()

    def full(*_args: object) -> int:
        raise OSError(28, "No space left on device", "/somewhere/secret")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("reelpress.storage.landing.os.pwrite", full)
        with pytest.raises(StorageError) as caught:
            download(store, "a", target / "a")
    assert (caught.value.reason, caught.value.exit_code) == ("full", ExitCode.OUTPUT_FAILED)
    assert "secret" not in "".join(caught.value.lines())
    assert holdings.names(target) == []


# Errors


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("status code: 503 Service: <Code>SlowDown</Code>", "throttled"),
        ("status code: 429 Too Many Requests", "throttled"),
        ("status code: 409 Conflict: <Code>ConditionalRequestConflict</Code>", "throttled"),
        ("status code: 500 Internal", "unreachable"),
        ("status code: 502 Bad Gateway", "unreachable"),
        ("status code: 507 Insufficient Storage", "full"),
        ("status code: 400 Bad Request: <Code>InvalidPart</Code>", "refused"),
        ("status code: 416 Range", "changed"),
        ("kind: Timeout,", "timed_out"),
        ("kind: Connect,", "unreachable"),
        ("x (os error 28)", "full"),
        ("x (os error 13)", "denied"),
        ("something new", "refused"),
    ],
)
def test_what_errors_mean(text: str, reason: str):
    from obstore.exceptions import GenericError

    error = explain(GenericError(f"https://host/b?sig={SECRET} {text}"), "do it")
    assert error.reason == reason
    assert SECRET not in "".join(error.lines())


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.EIO, errno.ENOSPC])
def test_a_file_of_this_machine_is_not_looked_for_in_a_bucket(number: int):
    hint = of_os_error(OSError(number, os.strerror(number)), "write a").hint
    assert hint is not None
    assert not {"key", "bucket", "credentials", "endpoint", "network"} & set(hint.replace(",", "").split())


def test_missing_credentials_are_said_to_be_missing():
    from obstore.exceptions import GenericError

    text = "Error performing PUT http://169.254.169.254/latest/api/token in 1s - HTTP error: kind: Timeout,"
    error = explain(GenericError(text), "do it")
    assert (error.reason, error.retryable) == ("denied", False)
    assert error.evidence.startswith("no credentials")
    assert explain(GenericError("key http://169.254.169.254/ status code: 500"), "do it").reason == "unreachable"


def test_exit_codes_tell_inputs_from_the_rest():
    def code(reason: str, **options: bool) -> ExitCode:
        return StorageError("x", reason=reason, **options).exit_code

    unusable = {reason for reason in STORAGE_REASONS if code(reason, reading=True) == ExitCode.INPUT_UNUSABLE}
    assert unusable == {"missing", "too_large", "corrupt"}
    assert {code(reason) for reason in STORAGE_REASONS} == {ExitCode.OUTPUT_FAILED}
    assert code("corrupt", reading=True, retryable=True) == ExitCode.OUTPUT_FAILED


def test_the_command_line_and_the_package_do_without_obstore():
    code = (
        "import sys; sys.modules['obstore'] = None; import reelpress, reelpress.cli.app, reelpress.api;"
        "from reelpress.storage import keys, scratch, opening; from reelpress.errors import UsageError\n"
        "try: opening.open_store('memory://')\n"
        "except UsageError as error: print(error.hint)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "pip install 'reelpress[service]'"


def test_calls_end_when_the_store_never_does(monkeypatch: pytest.MonkeyPatch):
    import asyncio

    from reelpress.storage import calls
    from reelpress.storage.calls import Patience

    store = open_store("memory://", patience=Patience(retry_s=0.01, request_s=0.01))
    monkeypatch.setattr(calls, "_SLACK_S", 0.01)
    monkeypatch.setattr(calls.obstore, "head_async", lambda *_args: asyncio.Event().wait())
    assert isinstance(store.calls, Calls)
    with pytest.raises(StorageError) as caught:
        store.find("a")
    assert (caught.value.reason, caught.value.retryable) == ("timed_out", True)
