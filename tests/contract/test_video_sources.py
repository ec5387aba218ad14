"""Where clips read their video in a store that signs addresses: the bytes they need, and no others."""

from __future__ import annotations

import contextlib
import urllib.request

import pytest

from reelpress.errors import InputError
from reelpress.jobs.clip_model import VideoSource
from reelpress.jobs.private_folder import PrivateFolder
from reelpress.jobs.sources import Sources, version_of_object
from reelpress.run.process import CancelToken
from reelpress.service_settings import load_service
from reelpress.storage.opening import open_store
from reelpress.storage.scratch import Scratch

import holdings
from conftest import s3_store
from faulty import Proxy

pytestmark = pytest.mark.usefixtures("clean_environment")
SIZE_BYTES = 8 * 2**20


@pytest.fixture
def sources(s3_server, tmp_path):
    settings = load_service({"data_dir": str(tmp_path)}, environ={}, env_file=None)
    settings.scratch.mkdir(parents=True)
    store = s3_store(f"http://{s3_server[0]}:{s3_server[1]}", tmp_path.name)
    return Sources(settings, store, Scratch(settings.scratch), PrivateFolder(settings.scratch)), store


def source_of(store, key="long.mp4"):
    holdings.put(store, key, bytes(range(256)) * (SIZE_BYTES // 256))
    version = version_of_object(store, key)
    return VideoSource(
        kind="object", value=key, size_bytes=SIZE_BYTES, version=version, name=key, is_ours=True
    )  # fmt: skip


def test_a_signed_address_is_read_in_ranges(sources):
    opened_by, store = sources
    known = source_of(store)
    with opened_by.opened("v", known, cancel=CancelToken()) as source:
        assert (source.path, source.size_bytes) == (None, SIZE_BYTES)
        assert source.read_bytes < SIZE_BYTES / 4
        assert "X-Amz" not in source.url + source.name
        with opened_by.opened("v", known, cancel=CancelToken()) as other:
            assert other is source


def test_an_address_that_the_store_takes_no_longer_is_signed_anew(s3_server, tmp_path):
    settings = load_service({"data_dir": str(tmp_path)}, environ={}, env_file=None)
    settings.scratch.mkdir(parents=True)
    with Proxy(s3_server, "403", 10**6) as proxy:
        store = s3_store(proxy.endpoint, tmp_path.name)
        opened_by = Sources(settings, store, Scratch(settings.scratch), PrivateFolder(settings.scratch))
        with opened_by.opened("v", source_of(store), cancel=CancelToken()) as source:
            proxy.at = len(proxy.seen) + 1  # as with passing credentials, which end before what they signed
            request = urllib.request.Request(source.url, headers={"Range": "bytes=5000000-5000255"})
            with urllib.request.urlopen(request) as answer:
                assert answer.read() == bytes((5_000_000 + n) % 256 for n in range(256))
            assert proxy.hit
            source.check_unchanged()


def test_a_video_that_was_brought_here_is_counted_once_and_gone_afterwards(tmp_path):
    settings = load_service({"data_dir": str(tmp_path)}, environ={}, env_file=None)
    settings.scratch.mkdir(parents=True)
    store, scratch, folder = open_store("memory://"), Scratch(settings.scratch), PrivateFolder(settings.scratch)
    known = source_of(store)
    with Sources(settings, store, scratch, folder).opened("v", known, cancel=CancelToken()) as source:
        assert source.path is not None
        assert source.path.stat().st_blocks * 512 >= SIZE_BYTES
        assert scratch.room().promised_bytes == 0
    assert list(folder.path.iterdir()) == []


def test_another_object_under_the_key_is_refused(sources):
    opened_by, store = sources
    known = source_of(store)
    holdings.put(store, "long.mp4", b"x" * SIZE_BYTES)
    with pytest.raises(InputError) as refused, contextlib.ExitStack() as stack:
        stack.enter_context(opened_by.opened("v", known, cancel=CancelToken()))
    assert refused.value.reason == "changed"
    store.delete("long.mp4")
    with pytest.raises(InputError) as refused, contextlib.ExitStack() as stack:
        stack.enter_context(opened_by.opened("v", known, cancel=CancelToken()))
    assert refused.value.reason == "missing"
