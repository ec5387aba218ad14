"""Fetching a file from a URL: whole or not at all, and nothing twice."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from reelpress.errors import AddressError, Cancelled, NetError, StorageError
from reelpress.net import fetch as fetching
from reelpress.net.fetch import Fetched, fetch, name_of
from reelpress.net.wire import Patience

from peer import RESET, Asked, Pause, Peer, said, wait_until

CONTENT = random.Random(4).randbytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(fetching, "_PAUSE_S", 0.0)


def to(target: Path, peer: Peer, path: str = "/in/my%20talk.mov?sig=S1GN", **options) -> Fetched:
    options = {"max_bytes": 10**6, "allow_private": True, **options}
    return fetch(peer.url + path, target, **options)


class Files:
    """A server of one file, with ranges, that breaks off after so many bytes of each of the first answers."""

    def __init__(self, *breaks: int, etag: str = '"v1"', content: bytes = CONTENT, ranges: bool = True) -> None:
        self.breaks, self.etag, self.content, self.ranges = list(breaks), etag, content, ranges

    def __call__(self, asked: Asked):
        start = 0
        if self.ranges and (wanted := asked.headers.get("range")) and asked.headers.get("if-range") == self.etag:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
        body, size = self.content[start:], len(self.content)
        headers = {"ETag": self.etag}
        if start:
            headers["Content_Range"] = f"bytes {start}-{size - 1}/{size}"
        whole = said(body, "206 Partial Content" if start else "200 OK", **headers)[0]
        if self.breaks:
            yield whole[: len(whole) - len(body) + self.breaks.pop(0)]
            yield Pause(0.05)  # so that what was sent is read before the reset throws it away
            yield RESET
        else:
            yield whole


def test_a_file_arrives_whole_under_a_safe_name(tmp_path):
    seen = []
    with Peer(Files()) as peer:
        got = to(tmp_path / "in.mov", peer, on_progress=lambda done, of: seen.append((done, of)))
    assert (tmp_path / "in.mov").read_bytes() == CONTENT
    assert (got.size_bytes, got.sha256, got.etag, got.name) == (len(CONTENT), SHA256, '"v1"', "my talk.mov")
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [path.name for path in tmp_path.iterdir()] == ["in.mov"]


def test_connections_that_break_are_gone_on_with(tmp_path):
    with Peer(Files(100_000, 50_000, 0, 1)) as peer:
        assert to(tmp_path / "in.mov", peer).sha256 == SHA256
        ranges = [asked.headers.get("range") for asked in peer.asked]
    assert ranges == [None, "bytes=100000-", "bytes=150000-", "bytes=150000-", "bytes=150001-"]


def test_a_server_that_always_breaks_off_is_given_up_and_what_came_is_used_later(tmp_path):
    with Peer(Files(*[1000] * 5)) as peer:
        with pytest.raises(NetError) as caught:
            to(tmp_path / "in.mov", peer)
        assert caught.value.retryable
        assert not (tmp_path / "in.mov").exists()
        got = to(tmp_path / "in.mov", peer, path="/in/my%20talk.mov?sig=another")
        assert (got.resumed_from, got.sha256) == (5000, SHA256)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mov"]


CHILD = """
import sys
from pathlib import Path
from reelpress.net.fetch import fetch
fetch(sys.argv[1], Path(sys.argv[2]), max_bytes=10**6, allow_private=True)
"""


def test_a_killed_process_leaves_what_the_next_goes_on_with(tmp_path):
    stall = threading.Event()

    class Stalls(Files):
        def __call__(self, asked):
            if stall.is_set():
                yield from super().__call__(asked)
            else:
                stall.set()
                yield next(iter(super().__call__(asked)))[:200_000]
                yield Pause(60)

    def partial_bytes() -> int:
        return sum(path.stat().st_size for path in tmp_path.iterdir())

    with Peer(Stalls()) as peer:
        child = subprocess.Popen([sys.executable, "-c", CHILD, f"{peer.url}/a.mov", str(tmp_path / "in.mov")])
        try:
            assert wait_until(lambda: partial_bytes() > 190_000)
        finally:
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
        assert not (tmp_path / "in.mov").exists()
        got = to(tmp_path / "in.mov", peer, path="/a.mov")
    assert got.resumed_from > 190_000
    assert got.sha256 == SHA256
    assert peer.asked[-1].headers["range"] == f"bytes={got.resumed_from}-"


def test_a_file_that_changes_is_never_mixed(tmp_path):
    new = Files(content=CONTENT[::-1], etag='"v2"')
    old = Files(100_000)
    with Peer(lambda asked: new(asked) if len(peer.asked) > 1 else old(asked)) as peer:
        got = to(tmp_path / "in.mov", peer)
    assert (tmp_path / "in.mov").read_bytes() == CONTENT[::-1]
    assert (got.etag, got.resumed_from) == ('"v2"', 0)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Range": "bytes 0-199999/300000"}, {"Content_Range": "bytes 100000-299999/300001"},
        {"Content_Range": "nonsense"}, {"Content_Range": ""},
        {"Content_Range": "bytes 100000-299999/300000", "ETag": '"v2"'},
    ],
)  # fmt: skip
def test_a_range_that_is_not_the_one_asked_for_is_not_taken(tmp_path, headers):
    first = Files(*[100_000] * 9)

    def answer(asked):
        if "range" in asked.headers:
            return said(CONTENT[100_000:], "206 Partial Content", **{"ETag": '"v1"', **headers})
        return first(asked)

    with Peer(answer) as peer, pytest.raises(NetError) as caught:
        to(tmp_path / "in.mov", peer)
    assert caught.value.reason == "changed"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("etag", ['W/"v1"', '"é"', ""])
def test_without_a_strong_etag_nothing_is_gone_on_with(tmp_path, etag):
    with Peer(Files(100_000, etag=etag)) as peer:
        with pytest.raises(NetError) as caught:
            to(tmp_path / "in.mov", peer)
        assert caught.value.retryable
        got = to(tmp_path / "in.mov", peer)
    assert (got.resumed_from, got.sha256) == (0, SHA256)
    assert [asked.headers.get("range") for asked in peer.asked] == [None, None]


def test_a_server_without_ranges_is_asked_for_all_again(tmp_path):
    with Peer(Files(100_000, ranges=False)) as peer:
        assert to(tmp_path / "in.mov", peer).sha256 == SHA256


def test_a_body_in_chunks_has_no_size_and_arrives(tmp_path):
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (CONTENT[:7], CONTENT[7:])) + b"0\r\n\r\n"
    with Peer(lambda _: [*said(Content_Length="", Transfer_Encoding="chunked"), chunks]) as peer:
        assert to(tmp_path / "in.mov", peer).sha256 == SHA256


def endless(_):
    yield from said(Content_Length="", Transfer_Encoding="chunked", ETag='"v1"')
    while True:
        yield b"8000\r\n" + b"x" * 0x8000 + b"\r\n"


@pytest.mark.parametrize(
    ("answer", "reason", "retryable"),
    [
        (lambda _: said(CONTENT, Content_Length="10000001"), "too_large", False),
        (endless, "too_large", False),
        (lambda _: said(CONTENT, Content_Encoding="gzip"), "refused", False),
        (lambda _: said(CONTENT, Content_Length=""), "refused", False),
        (lambda _: [b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"], "unreachable", True),
        (lambda _: said(CONTENT, Content_Length="300001"), "truncated", True),
        (lambda _: said(status="401 x"), "denied", False),
        (lambda _: said(status="403 x"), "denied", False),
        (lambda _: said(status="404 x"), "missing", False),
        (lambda _: said(status="410 x"), "missing", False),
        (lambda _: said(status="204 x"), "refused", False),
        (lambda _: said(status="206 x"), "refused", False),
        (lambda _: said(status="304 x"), "refused", False),
        (lambda _: said(status="418 x"), "refused", False),
        (lambda _: said(status="429 x", Retry_After="7"), "throttled", True),
        (lambda _: said(status="500 x"), "unreachable", True),
        (lambda _: said(status="503 x"), "throttled", True),
        (lambda _: [RESET], "unreachable", True),
    ],
)
def test_what_is_of_no_use_leaves_no_file(tmp_path, answer, reason, retryable):
    with Peer(answer) as peer, pytest.raises(NetError) as caught:
        to(tmp_path / "in.mov", peer)
    assert (caught.value.reason, caught.value.retryable) == (reason, retryable)
    assert caught.value.exit_code == (5 if retryable else 3)
    assert "S1GN" not in str(caught.value.lines())
    assert not (tmp_path / "in.mov").exists()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 10**6
    assert caught.value.retry_after_s == (7 if "429" in str(caught.value.evidence) else None)


def test_more_than_the_limit_is_never_written_however_it_comes(tmp_path):
    # A server that breaks off promises nothing about the rest: here it is longer than what was announced.
    def answer(asked):
        if "range" not in asked.headers:
            return Files(1000)(asked)
        return [*said(b"", "206 x", Content_Range="bytes 1000-299999/*", Content_Length="", ETag='"v1"',
                      Transfer_Encoding="chunked"), b"200000\r\n", b"x" * 0x200000]  # fmt: skip

    with Peer(answer) as peer, pytest.raises(NetError) as caught:
        to(tmp_path / "in.mov", peer, max_bytes=len(CONTENT))
    assert caught.value.reason == "too_large"
    assert list(tmp_path.iterdir()) == []


def test_a_drip_is_not_waited_for_again_and_again(tmp_path):
    def drip(_):
        yield from said(Content_Length="300000", ETag='"v1"')
        while True:
            yield b"x"
            yield Pause(0.05)

    patience = Patience(least_bytes_per_s=1000, window_s=0.3)
    with Peer(drip) as peer, pytest.raises(NetError) as caught:
        to(tmp_path / "in.mov", peer, patience=patience)
    assert (caught.value.reason, caught.value.retryable) == ("timed_out", True)
    assert len(peer.asked) == 1


class Token:
    is_cancelled = False


def test_a_wish_to_stop_ends_a_download(tmp_path):
    token = Token()

    def stop(done: int, _of: int | None) -> None:
        token.is_cancelled = done > 0

    with (
        Peer(lambda _: [*said(CONTENT[:100_000], Content_Length="300000"), Pause(60)]) as peer,
        pytest.raises(Cancelled),
    ):
        to(tmp_path / "in.mov", peer, cancel=token, on_progress=stop)
    assert not (tmp_path / "in.mov").exists()


def test_two_downloads_to_one_target_do_not_meet(tmp_path):
    with Peer(lambda _: [*said(CONTENT[:1000], Content_Length="300000", ETag='"v1"'), Pause(60)]) as peer:
        token = Token()
        errors = []

        def first() -> None:
            try:
                to(tmp_path / "in.mov", peer, cancel=token)
            except Cancelled as error:
                errors.append(error)

        thread = threading.Thread(target=first)
        thread.start()
        assert wait_until(lambda: any(tmp_path.iterdir()))
        with pytest.raises(StorageError) as caught:
            to(tmp_path / "in.mov", peer)
        token.is_cancelled = True
        thread.join()
    assert (caught.value.reason, caught.value.retryable, len(errors)) == ("exists", True, 1)


def test_private_addresses_are_not_fetched_from(tmp_path):
    with Peer(Files()) as peer:
        with pytest.raises(AddressError):
            to(tmp_path / "in.mov", peer, allow_private=False)
        assert peer.asked == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("", "video"), ("/", "video"), ("/a/b/talk.mov", "talk.mov"), ("/a/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "passwd"),
        ("/..%5c..%5cwin.mp4", "win.mp4"), ("/a%00b.mp4", "ab.mp4"), ("/%ff%fe.mp4", "\ufffd\ufffd.mp4"),
        ("/talk.mov/", "talk.mov"), ("/a%2525.mp4", "a_25.mp4"),
        ("/talk.mov?name=../../x", "talk.mov"), ("/.bashrc", "bashrc"),
    ],
)  # fmt: skip
def test_names_come_from_the_path_and_are_safe(path, name):
    assert name_of(f"https://video.example{path}") == name
