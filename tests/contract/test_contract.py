"""What every store must do, asked of each that can run here: memory, a folder, S3."""

from __future__ import annotations

import asyncio
import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import obstore
import pytest

from reelpress import CancelToken
from reelpress.errors import Cancelled, ExitCode, StorageError, UsageError
from reelpress.storage import landing
from reelpress.storage import upload as uploading
from reelpress.storage.calls import Calls
from reelpress.storage.download import Wanted, download
from reelpress.storage.landing import Landing
from reelpress.storage.opening import open_store
from reelpress.storage.orphans import find_orphans, sweep_orphans
from reelpress.storage.store import Store
from reelpress.storage.transfer import Transfer
from reelpress.storage.upload import upload
from reelpress.storage.waiting import wait_for

import holdings

SMALL_PARTS = Transfer(part_bytes=1000, parallel=3)
KEY = "in/talk é.mp4"
FILM = holdings.noise(4500)


def test_what_goes_up_comes_down(store: Store, tmp_path: Path):
    sent = upload(store, holdings.file(tmp_path, FILM), KEY, job="j1", content_type="video/mp4")
    assert (sent.key, sent.size_bytes, sent.sha256, sent.existed) == (KEY, 4500, holdings.sha256(FILM), False)
    assert holdings.keys(store) == [KEY]
    got = download(store, KEY, tmp_path / "in.mp4", transfer=SMALL_PARTS)
    assert (got.size_bytes, got.sha256, got.etag, got.resumed_from) == (4500, sent.sha256, sent.etag, 0)
    assert (tmp_path / "in.mp4").read_bytes() == FILM
    assert [n for n in holdings.names(tmp_path) if n.endswith("-get")] == []


def test_what_comes_down_may_be_read_by_whom_the_umask_lets(store: Store, tmp_path: Path):
    holdings.put(store, KEY, FILM)
    before = os.umask(0o027)
    try:
        download(store, KEY, tmp_path / "a")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_empty_objects_are_objects(store: Store, tmp_path: Path):
    upload(store, holdings.file(tmp_path, b""), KEY, job="j1")
    assert download(store, KEY, tmp_path / "in.mp4").size_bytes == 0
    assert (tmp_path / "in.mp4").read_bytes() == b""


def test_a_large_file_goes_up_in_parts(store: Store, tmp_path: Path):
    film = holdings.noise(11 * 2**20)
    seen: list[tuple[int, int]] = []
    transfer = Transfer(part_bytes=5 * 2**20)
    source = holdings.file(tmp_path, film)
    upload(store, source, KEY, job="j1", transfer=transfer, on_progress=lambda *at: seen.append(at))
    assert holdings.get(store, KEY) == film
    assert seen == [(5 * 2**20, len(film)), (10 * 2**20, len(film)), (len(film), len(film))]


def test_progress_of_a_download_counts_up_to_all(store: Store, tmp_path: Path):
    holdings.put(store, KEY, FILM)
    seen: list[tuple[int, int]] = []
    download(store, KEY, tmp_path / "a", transfer=SMALL_PARTS, on_progress=lambda *at: seen.append(at))
    assert seen == [(done, 4500) for done in (0, 1000, 2000, 3000, 4000, 4500)]


def test_find_and_delete(store: Store):
    assert store.find(KEY) is None
    store.delete(KEY)
    holdings.put(store, KEY, FILM)
    info = store.find(KEY)
    assert (info.key, info.size_bytes) == (KEY, 4500)
    assert abs(info.modified - datetime.now(UTC)) < timedelta(hours=1)
    store.delete(KEY)
    assert holdings.keys(store) == []


@pytest.mark.parametrize(
    "key", ["a/../b", "/etc/passwd", "../x", "a//b", "a\\b", ".reelpress/tmp/j/x", "a\nb", "\u202ea"]
)
def test_keys_that_are_not_accepted_reach_no_store(store: Store, tmp_path: Path, key: str):
    source = holdings.file(tmp_path, FILM)
    for act in (
        lambda: upload(store, source, key, job="j1"),
        lambda: download(store, key, tmp_path / "got"),
        lambda: store.find(key),
        lambda: store.delete(key),
    ):
        with pytest.raises(UsageError):
            act()
    assert holdings.keys(store) == []
    assert not (tmp_path / "got").exists()


@pytest.mark.parametrize(
    "key", ["a b", "a+b", "a%2Fb", "a%20b", "ü/日本.mp4", "a#b", "a?b=c&d", "a'(b)", "~a", "a;b", "a:b", "a#1b"]
)
def test_odd_keys_name_one_object_each(store: Store, tmp_path: Path, key: str):
    upload(store, holdings.file(tmp_path, FILM), key, job="j1")
    assert holdings.keys(store) == [key]
    download(store, key, tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == FILM


# Downloads


def test_a_missing_input_is_an_input_that_cannot_be_used(store: Store, tmp_path: Path):
    with pytest.raises(StorageError) as caught:
        download(store, KEY, tmp_path / "a")
    assert (caught.value.reason, caught.value.retryable) == ("missing", False)
    assert caught.value.exit_code == ExitCode.INPUT_UNUSABLE
    assert holdings.names(tmp_path) in ([], ["store"])


@pytest.mark.parametrize(
    ("wanted", "reason", "code"),
    [
        (Wanted(max_bytes=4499), "too_large", ExitCode.INPUT_UNUSABLE),
        (Wanted(size_bytes=4499), "corrupt", ExitCode.INPUT_UNUSABLE),
        (Wanted(sha256="0" * 64), "corrupt", ExitCode.INPUT_UNUSABLE),
        (Wanted(etag='"other"'), "changed", ExitCode.OUTPUT_FAILED),
    ],
)
def test_what_is_not_wanted_does_not_arrive(store: Store, tmp_path: Path, wanted: Wanted, reason: str, code: int):
    holdings.put(store, KEY, FILM)
    target = tmp_path / "here"
    target.mkdir()
    with pytest.raises(StorageError) as caught:
        download(store, KEY, target / "a", wanted=wanted)
    assert (caught.value.reason, caught.value.retryable, caught.value.exit_code) == (reason, False, code)
    assert holdings.names(target) == []


def test_limits_are_kept_before_the_first_byte(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    holdings.put(store, KEY, FILM)
    monkeypatch.setattr(Calls, "read", None)
    with pytest.raises(StorageError, match="too large"):
        download(store, KEY, tmp_path / "a", wanted=Wanted(max_bytes=4499))


def test_what_is_wanted_arrives(store: Store, tmp_path: Path):
    holdings.put(store, KEY, FILM)
    info = store.find(KEY)
    wanted = Wanted(max_bytes=4500, size_bytes=4500, etag=info.etag, sha256=holdings.sha256(FILM).upper())
    assert download(store, KEY, tmp_path / "a", wanted=wanted).etag == info.etag


@pytest.mark.parametrize("what", ["folder", "pipe", "link to a pipe", "long name"])
def test_what_is_no_file_is_not_replaced_and_said_before_anything_is_fetched(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
):
    holdings.put(store, KEY, FILM)
    target = tmp_path / "here" / ("é" * 128 if what == "long name" else "a")
    target.parent.mkdir()
    if what == "folder":
        target.mkdir()
    elif what == "pipe":
        os.mkfifo(target)
    elif what == "link to a pipe":
        os.mkfifo(tmp_path / "pipe")
        target.symlink_to(tmp_path / "pipe")
    before = holdings.names(target.parent)
    monkeypatch.setattr(Calls, "read", None)
    with pytest.raises(StorageError) as caught:
        download(store, KEY, target)
    assert (caught.value.exit_code, caught.value.retryable) == (ExitCode.OUTPUT_FAILED, False)
    assert holdings.names(target.parent) == before
    assert "pipe" not in what or target.is_fifo()


def test_a_target_that_no_file_can_be_called_is_refused(store: Store):
    holdings.put(store, KEY, FILM)
    with pytest.raises(UsageError):
        download(store, KEY, Path("a\0b"))


def break_off(store: Store, target: Path) -> None:
    """Download a beginning: 2000 bytes."""

    def on_progress(done: int, _all: int) -> None:
        if done == 2000:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        download(store, KEY, target, transfer=SMALL_PARTS, on_progress=on_progress)
    assert not target.exists()


def test_a_download_goes_on_where_it_broke_off(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    holdings.put(store, KEY, FILM)
    break_off(store, tmp_path / "a")
    asked: list[tuple[int, int]] = []
    real = Calls.read

    async def read(self: Calls, key: str, start: int, end: int, etag: str | None, **options: bool) -> bytes:
        asked.append((start, end))
        return await real(self, key, start, end, etag, **options)

    monkeypatch.setattr(Calls, "read", read)
    got = download(store, KEY, tmp_path / "a", transfer=SMALL_PARTS, wanted=Wanted(sha256=holdings.sha256(FILM)))
    assert (got.resumed_from, got.sha256) == (2000, holdings.sha256(FILM))
    assert asked == [(2000, 3000), (3000, 4000), (4000, 4500)]
    assert (tmp_path / "a").read_bytes() == FILM


def test_a_beginning_of_another_version_is_not_gone_on_with(store: Store, tmp_path: Path):
    holdings.put(store, KEY, FILM)
    target = tmp_path / "here"
    target.mkdir()
    break_off(store, target / "a")
    newer = holdings.noise(4500, seed=2)
    holdings.put(store, KEY, newer)
    got = download(store, KEY, target / "a", transfer=SMALL_PARTS)
    assert (got.resumed_from, got.sha256) == (0, holdings.sha256(newer))
    assert holdings.names(target) == ["a"]


def test_a_spoilt_beginning_is_fetched_anew(store: Store, tmp_path: Path):
    holdings.put(store, KEY, FILM)
    target = tmp_path / "here"
    target.mkdir()
    break_off(store, target / "a")
    (partial,) = target.iterdir()
    partial.write_bytes(b"\0" * 2000)
    got = download(store, KEY, target / "a", transfer=SMALL_PARTS, wanted=Wanted(sha256=holdings.sha256(FILM)))
    assert got.resumed_from == 0
    assert (target / "a").read_bytes() == FILM


def replace_at(store: Store, done: int, times: int):
    """Put another version in the way whenever a download has come this far."""
    versions = [holdings.noise(4500, seed=10 + n) for n in range(times)]

    def on_progress(at: int, _all: int) -> None:
        if at == done and versions:
            holdings.put(store, KEY, versions.pop(0))

    return on_progress


def test_an_object_that_changes_is_read_again_from_its_start(store: Store, tmp_path: Path):
    holdings.put(store, KEY, FILM)
    one_at_a_time = Transfer(part_bytes=1000, parallel=1)
    on_progress = replace_at(store, 2000, times=2)
    got = download(store, KEY, tmp_path / "a", transfer=one_at_a_time, on_progress=on_progress)
    assert got.sha256 == holdings.sha256(holdings.noise(4500, seed=11))
    assert holdings.sha256((tmp_path / "a").read_bytes()) == got.sha256


@pytest.mark.parametrize("keeps_to_it", [True, False])
def test_every_range_insists_on_the_version_and_the_answer_is_not_believed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keeps_to_it: bool
):
    holdings.put(store, KEY, FILM)
    etag = store.find(KEY).etag
    insisted: list[str | None] = []
    real = obstore.get_async

    def get(handle: object, key: str, *, options: dict[str, object]) -> object:
        insisted.append(options.get("if_match"))
        if not keeps_to_it:  # as a store that does not know If-Match
            options = {name: value for name, value in options.items() if name != "if_match"}
        return real(handle, key, options=options)

    monkeypatch.setattr("reelpress.storage.calls.obstore.get_async", get)
    one_at_a_time = Transfer(part_bytes=1000, parallel=1)
    download(store, KEY, tmp_path / "a", transfer=one_at_a_time)
    assert insisted == [etag] * 5
    on_progress = replace_at(store, 2000, times=1)
    download(store, KEY, tmp_path / "a", transfer=one_at_a_time, on_progress=on_progress)
    assert (tmp_path / "a").read_bytes() == holdings.noise(4500, seed=10)


def test_an_object_that_never_stops_changing_is_given_up(store: Store, tmp_path: Path):
    holdings.put(store, KEY, FILM)
    one_at_a_time = Transfer(part_bytes=1000, parallel=1)
    target = tmp_path / "here"
    target.mkdir()
    with pytest.raises(StorageError) as caught:
        download(store, KEY, target / "a", transfer=one_at_a_time, on_progress=replace_at(store, 2000, times=3))
    assert (caught.value.reason, caught.value.retryable) == ("changed", True)
    assert holdings.names(target) == []


def test_two_downloads_of_one_target_do_not_mix(store: Store, tmp_path: Path):
    holdings.put(store, KEY, FILM)
    refused: list[StorageError] = []
    version = Landing.open(tmp_path / "a", "any", limit_bytes=0, keep=False)
    with version, pytest.MonkeyPatch.context() as patch:
        patch.setattr(landing, "_VERSION_CHARS", 0)  # so that all versions are one
        patch.setattr(
            version, "path", version.path.rename(tmp_path / f"{landing._prefix(tmp_path / 'a')}.reelpress-get")
        )
        with pytest.raises(StorageError) as caught:
            download(store, KEY, tmp_path / "a")
        refused.append(caught.value)
    assert (refused[0].reason, refused[0].retryable) == ("exists", True)
    download(store, KEY, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == FILM


def test_a_cancelled_download_delivers_nothing_and_can_go_on(store: Store, tmp_path: Path):
    holdings.put(store, KEY, FILM)
    token = CancelToken()
    reached = threading.Event()

    def on_progress(done: int, _all: int) -> None:
        if done == 2000:
            token.cancel()
            reached.wait(20)  # until the caller has taken notice

    def run() -> None:
        with pytest.raises(Cancelled):
            download(store, KEY, tmp_path / "a", transfer=SMALL_PARTS, on_progress=on_progress, cancel=token)
        reached.set()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert reached.is_set()
    assert not (tmp_path / "a").exists()


def cancel_in(patch: pytest.MonkeyPatch, where: object, name: str, store: Store, target: Path, *, before: bool) -> int:
    """Cancel a download while a thread is before, or after, a call; return when the thread has no more to do.

    The answer is how many open files of this process are in the target's folder then.
    """
    token, is_there, may_go_on = CancelToken(), threading.Event(), threading.Event()
    thread: list[int] = []
    real = getattr(where, name)

    def pause() -> None:
        thread.append(threading.get_ident())
        is_there.set()
        may_go_on.wait(20)

    def slowly(*args: object) -> object:
        if before:
            pause()
        got = real(*args)
        if not before:
            pause()
        return got

    def stop() -> None:
        is_there.wait(20)
        token.cancel()

    with patch.context() as slow:
        slow.setattr(where, name, slowly)
        threading.Thread(target=stop).start()
        with pytest.raises(Cancelled):
            download(store, KEY, target, cancel=token)
        may_go_on.set()
        while wait_for(asyncio.to_thread(threading.get_ident)) != thread[0]:
            pass
    wait_for(asyncio.sleep(0.05))  # what waited for the thread in the loop
    return sum(fd.resolve().parent == target.parent for fd in Path("/proc/self/fd").iterdir())


def test_a_download_that_is_cancelled_at_its_end_gives_no_file_its_name_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store = open_store("memory://")
    holdings.put(store, KEY, FILM)
    target = tmp_path / "here" / "a"
    target.parent.mkdir()
    assert cancel_in(monkeypatch, landing.os, "fsync", store, target, before=False) == 0
    assert not target.exists()
    assert download(store, KEY, target).resumed_from == len(FILM)


def test_a_download_that_is_cancelled_at_its_beginning_holds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = open_store("memory://")
    holdings.put(store, KEY, FILM)
    target = tmp_path / "here" / "a"
    target.parent.mkdir()
    break_off(store, target)
    assert cancel_in(monkeypatch, Landing, "_begin", store, target, before=True) == 0
    assert download(store, KEY, target, transfer=SMALL_PARTS).resumed_from == 2000


def test_reading_a_long_beginning_again_ends_when_nobody_wants_it_any_more(tmp_path: Path):
    target = tmp_path / "a"
    with Landing.open(target, "v", limit_bytes=4500, keep=True) as begun:
        begun.append(FILM[:2000])
    with pytest.raises(Cancelled):
        Landing.open(target, "v", limit_bytes=4500, keep=True, is_over=lambda: True)
    with Landing.open(target, "v", limit_bytes=4500, keep=True) as again:
        assert again.size_bytes == 2000


# Uploads


def test_an_upload_asked_for_twice_is_done_once(store: Store, tmp_path: Path):
    source = holdings.file(tmp_path, FILM)
    first = upload(store, source, KEY, job="j1")
    again = upload(store, source, KEY, job="j1")
    assert (first.existed, again.existed) == (False, True)
    assert (first.etag, first.sha256) == (again.etag, again.sha256)
    assert holdings.keys(store) == [KEY]


@pytest.mark.parametrize("other", [holdings.noise(4500, seed=2), b"short"])
def test_another_object_is_never_overwritten(store: Store, tmp_path: Path, other: bytes):
    holdings.put(store, KEY, other)
    with pytest.raises(StorageError) as caught:
        upload(store, holdings.file(tmp_path, FILM), KEY, job="j1")
    assert (caught.value.reason, caught.value.retryable) == ("exists", False)
    assert holdings.get(store, KEY) == other
    assert holdings.keys(store) == [KEY]


def appear_before_publishing(monkeypatch: pytest.MonkeyPatch, store: Store, content: bytes) -> None:
    real = Calls.publish

    async def publish(self: Calls, *args: str, **options: bool) -> None:
        await obstore.put_async(store.calls.handle(), KEY, content)
        await real(self, *args, **options)

    monkeypatch.setattr(Calls, "publish", publish)


def test_an_object_that_came_meanwhile_is_not_overwritten(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    appear_before_publishing(monkeypatch, store, b"theirs")
    with pytest.raises(StorageError) as caught:
        upload(store, holdings.file(tmp_path, FILM), KEY, job="j1")
    assert caught.value.reason == "exists"
    assert holdings.get(store, KEY) == b"theirs"
    assert holdings.keys(store) == [KEY]


def test_the_same_content_that_came_meanwhile_is_success(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    appear_before_publishing(monkeypatch, store, FILM)
    assert upload(store, holdings.file(tmp_path, FILM), KEY, job="j1").existed
    assert holdings.keys(store) == [KEY]


def test_overwriting_replaces(store: Store, tmp_path: Path):
    holdings.put(store, KEY, b"old")
    assert not upload(store, holdings.file(tmp_path, FILM), KEY, job="j1", overwrite=True).existed
    assert holdings.get(store, KEY) == FILM
    assert holdings.keys(store) == [KEY]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("arrived", [holdings.noise(4500, seed=2), FILM[:4499], FILM + b"x", b""])
def test_what_arrives_otherwise_than_it_was_sent_gets_no_key(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool, arrived: bytes
):
    real = Calls.put

    async def put(self: Calls, key: str, _content: bytes, content_type: str) -> None:
        await real(self, key, arrived, content_type)

    with monkeypatch.context() as patch:
        patch.setattr(Calls, "put", put)
        with pytest.raises(StorageError) as caught:
            upload(store, holdings.file(tmp_path, FILM), KEY, job="j1", overwrite=overwrite)
    assert (caught.value.reason, caught.value.retryable) == ("corrupt", True)
    assert holdings.keys(store) == []
    upload(store, holdings.file(tmp_path, FILM), KEY, job="j1", overwrite=overwrite)
    assert holdings.get(store, KEY) == FILM


def test_a_file_with_another_hash_than_promised_is_refused(store: Store, tmp_path: Path):
    source = holdings.file(tmp_path, FILM)
    with pytest.raises(StorageError) as caught:
        upload(store, source, KEY, job="j1", sha256="0" * 64)
    assert (caught.value.reason, caught.value.retryable) == ("corrupt", False)
    assert holdings.keys(store) == []
    assert upload(store, source, KEY, job="j1", sha256=holdings.sha256(FILM)).sha256 == holdings.sha256(FILM)


def test_a_file_with_another_hash_than_promised_is_refused_also_where_it_is_in_the_store(store: Store, tmp_path: Path):
    source = holdings.file(tmp_path, FILM)
    upload(store, source, KEY, job="j1")
    with pytest.raises(StorageError) as caught:
        upload(store, source, KEY, job="j1", sha256=holdings.sha256(b"what was made"))
    assert caught.value.reason == "corrupt"
    assert upload(store, source, KEY, job="j1", sha256=holdings.sha256(FILM)).existed


def test_a_file_that_grows_while_it_is_sent_is_refused(store: Store, tmp_path: Path):
    film = holdings.noise(11 * 2**20)
    source = holdings.file(tmp_path, film)

    def on_progress(_done: int, _all: int) -> None:
        with source.open("ab") as more:
            more.write(b"more")

    with pytest.raises(StorageError) as caught:
        upload(store, source, KEY, job="j1", transfer=Transfer(part_bytes=5 * 2**20), on_progress=on_progress)
    assert (caught.value.reason, caught.value.retryable) == ("changed", True)
    assert holdings.keys(store) == []


def test_a_file_that_is_not_there_is_said_so(store: Store, tmp_path: Path):
    with pytest.raises(StorageError) as caught:
        upload(store, tmp_path / "nothing", KEY, job="j1")
    assert caught.value.reason == "missing"
    with pytest.raises(UsageError):
        upload(store, tmp_path, KEY, job="j1")


@pytest.mark.parametrize("job", ["", "a/b", "..", "a..b", ".", "-a", "a b", "x" * 101])
def test_bad_ids_of_jobs_are_refused(store: Store, tmp_path: Path, job: str):
    with pytest.raises(UsageError):
        upload(store, holdings.file(tmp_path, FILM), KEY, job=job)
    assert holdings.keys(store) == []


def test_what_is_cancelled_beforehand_is_not_begun():
    token, begun = CancelToken(), []

    async def work() -> None:
        begun.append(1)

    token.cancel()
    with pytest.raises(Cancelled):
        wait_for(work(), token)
    wait_for(asyncio.sleep(0))
    assert begun == []


def test_a_cancelled_upload_leaves_nothing(store: Store, tmp_path: Path):
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        upload(store, holdings.file(tmp_path, FILM), KEY, job="j1", cancel=token)
    assert KEY not in holdings.keys(store)


def test_what_the_store_cannot_copy_is_written_straight_or_not_at_all(store: Store, tmp_path: Path):
    small = Store(store.url, store.calls, copy_limit_bytes=4499)
    source = holdings.file(tmp_path, FILM)
    with pytest.raises(StorageError) as caught:
        upload(small, source, KEY, job="j1")
    assert (caught.value.reason, caught.value.retryable) == ("too_large", False)
    assert holdings.keys(store) == []
    upload(small, source, KEY, job="j1", overwrite=True)
    assert holdings.get(store, KEY) == FILM


def test_an_upload_that_is_cancelled_midway_leaves_nothing(store: Store, tmp_path: Path):
    token = CancelToken()
    source = holdings.file(tmp_path, holdings.noise(11 * 2**20))
    transfer = Transfer(part_bytes=5 * 2**20, parallel=1)
    noticed = threading.Event()

    def on_progress(_done: int, _all: int) -> None:
        token.cancel()
        noticed.wait(2)  # this holds up the upload, not who waits for it

    with pytest.raises(Cancelled):
        upload(store, source, KEY, job="j1", transfer=transfer, on_progress=on_progress, cancel=token)
    noticed.set()
    assert holdings.keys(store) == []


def test_a_cancelled_upload_does_not_wait_for_a_store_that_says_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    token, ended = CancelToken(), threading.Event()

    async def say_nothing(self: Calls, key: str, *_: object) -> None:
        token.cancel()
        while not ended.is_set():
            await asyncio.sleep(0.05)

    def run() -> None:
        with pytest.raises(Cancelled):
            upload(store, holdings.file(tmp_path, FILM), KEY, job="j1", cancel=token)
        ended.set()

    monkeypatch.setattr(uploading, "_TIDY_S", 0.2)
    monkeypatch.setattr(Calls, "put", say_nothing)
    monkeypatch.setattr(Calls, "delete", say_nothing)
    thread = threading.Thread(target=run)
    thread.start()
    was_noticed = ended.wait(20)
    ended.set()
    thread.join()
    assert was_noticed


def test_a_reader_of_progress_that_fails_ends_the_upload(store: Store, tmp_path: Path):
    def on_progress(_done: int, _all: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        upload(store, holdings.file(tmp_path, FILM), KEY, job="j1", on_progress=on_progress)
    assert holdings.keys(store) == []


# Orphans


def left_behind(store: Store) -> list[str]:
    """One real orphan, and many keys that are nearly one."""
    token = "0123456789abcdef" * 2
    neighbours = [
        "a.mp4", "tmp/j1/" + token, "reelpress/tmp/j1/" + token, ".reelpress/other/j1/" + token,
        ".reelpress/tmp/" + token,
        ".reelpress/tmp/j1/" + token[:-1], ".reelpress/tmp/j1/" + token.upper(), ".reelpress/tmp/j1/x/" + token,
        f"in/.reelpress/tmp/j1/{token}", f".reelpress/tmp/j1/{token}.mp4", f".reelpress/tmpx/j1/{token}",
    ]  # fmt: skip
    for key in neighbours:
        holdings.put(store, key, b"1")
    holdings.put(store, f".reelpress/tmp/j1/{token}", b"1")
    return neighbours


def test_sweeping_takes_old_temporary_objects_and_nothing_else(store: Store):
    neighbours = left_behind(store)
    orphan = ".reelpress/tmp/j1/" + "0123456789abcdef" * 2
    assert sweep_orphans(store, older_than_s=7200) == []
    assert sweep_orphans(store, older_than_s=7200, now=datetime.now(UTC) + timedelta(minutes=119)) == []
    later = datetime.now(UTC) + timedelta(minutes=125)
    assert [info.key for info in find_orphans(store, older_than_s=7200, now=later)] == [orphan]
    assert orphan in holdings.keys(store)
    assert [info.key for info in sweep_orphans(store, older_than_s=7200, now=later)] == [orphan]
    assert holdings.keys(store) == sorted(neighbours)


def test_an_upload_that_was_killed_is_an_orphan(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        patch.setattr(Calls, "publish", _as_if_killed)
        patch.setattr(Calls, "delete", _as_if_killed)
        with pytest.raises(RuntimeError):
            upload(store, holdings.file(tmp_path, FILM), KEY, job="j1")
    (orphan,) = holdings.keys(store)
    later = datetime.now(UTC) + timedelta(hours=2)
    assert [info.key for info in sweep_orphans(store, older_than_s=3600, now=later)] == [orphan]


def test_what_may_not_be_deleted_keeps_nothing_else_from_being_swept(store: Store, monkeypatch: pytest.MonkeyPatch):
    orphans = [f".reelpress/tmp/j{n}/" + "0123456789abcdef" * 2 for n in range(4)]
    for orphan in orphans:
        holdings.put(store, orphan, b"1")
    real, reasons = Calls.delete, {orphans[0]: "denied"}

    async def delete(self: Calls, key: str) -> None:
        if key in reasons:  # held by a rule of the bucket, or the store is gone
            raise StorageError("x", reason=reasons[key])
        await real(self, key)

    monkeypatch.setattr(Calls, "delete", delete)
    later = datetime.now(UTC) + timedelta(hours=2)
    reasons[orphans[2]] = "unreachable"
    with pytest.raises(StorageError) as caught:
        sweep_orphans(store, older_than_s=3600, now=later)
    assert caught.value.reason == "unreachable"
    del reasons[orphans[2]]
    with pytest.raises(StorageError) as caught:
        sweep_orphans(store, older_than_s=3600, now=later)
    assert (caught.value.reason, holdings.keys(store)) == ("denied", orphans[:1])


async def _as_if_killed(self: Calls, *_args: str, **_options: bool) -> None:
    raise RuntimeError("nothing after this")


@pytest.mark.parametrize("age", [0, 3599, -1, float("nan")])
def test_young_objects_are_nobodys_to_sweep(store: Store, age: float):
    with pytest.raises(UsageError):
        sweep_orphans(store, older_than_s=age)
