"""Files as sources: what they are known by, what is refused, and noticing that somebody writes to one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reelpress.errors import Cancelled, InputError
from reelpress.run.process import CancelToken
from reelpress.source import fingerprint
from reelpress.source.opening import open_source

MIB = 2**20


def test_a_file_is_opened_by_its_absolute_name_and_nothing_of_it_comes_over_the_network(tmp_path, monkeypatch):
    (tmp_path / "my talk.mp4").write_bytes(b"abc")
    monkeypatch.chdir(tmp_path)
    with open_source("my talk.mp4") as source:
        assert (source.name, source.path, source.size_bytes) == ("my talk.mp4", tmp_path / "my talk.mp4", 3)
        assert (source.url, source.protocols) == (f"file:{tmp_path}/my talk.mp4", "file")
        assert (source.input_options, source.read_bytes, source.failure) == ((), 0, None)
        source.check_unchanged()


@pytest.mark.parametrize("name", ["-y.mp4", "a%03d.mp4", "a\nb.mp4", "concat:a|b", "https:", os.fsdecode(b"\xff.mp4")])
def test_odd_names_are_names(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"abc")
    with open_source(path) as source:
        assert source.url == f"file:{path}"


def test_the_fingerprint_is_of_the_content_and_not_of_the_name(tmp_path):
    def of(path: Path) -> str:
        with open_source(path) as source:
            return source.fingerprint

    path = tmp_path / "a.mp4"
    path.write_bytes(b"abc")
    first = of(path)
    assert len(first) == 64
    os.utime(path, (1, 1))
    assert of(path.rename(tmp_path / "b.mp4")) == first
    (tmp_path / "b.mp4").write_bytes(b"abd")
    assert of(tmp_path / "b.mp4") != first


def test_of_a_large_file_its_size_its_ends_and_blocks_between_them_count(tmp_path):
    path, size = tmp_path / "a.mkv", fingerprint.WHOLE_BYTES + MIB

    def of(place: int | None, length: int = size) -> str:
        with path.open("wb") as file:
            file.truncate(length)
            if place is not None:
                file.seek(place)
                file.write(b"x")
        return fingerprint.of_file(path, length, CancelToken())

    seen = [of(None), of(None, size + 1), of(0), of(size - 1), of(4 * MIB), of(size - 4 * MIB - 1)]
    assert len(set(seen)) == len(seen)
    assert of(None) == seen[0]
    assert of(4 * MIB + 300 * 1024) == seen[0]  # between two blocks: what is not read


def test_a_stretch_of_a_large_file_is_read_and_not_the_file(tmp_path):
    path = tmp_path / "a.mkv"
    with path.open("wb") as file:
        file.truncate(20 * 2**30)
    before = _read_chars()
    fingerprint.of_file(path, 20 * 2**30, CancelToken())
    assert _read_chars() - before < 17 * MIB


def _read_chars() -> int:
    return int(Path("/proc/self/io").read_text().split()[1])


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty.mp4").touch()
    for name, reason in (("pipe", "not_a_file"), ("", "not_a_file"), ("empty.mp4", "empty"), ("missing.mp4", None)):
        with pytest.raises(InputError) as caught:
            open_source(tmp_path / name)
        assert caught.value.reason == reason


@pytest.mark.parametrize("address", ["ftp://host/a.mp4?sig=S1GN", "s3://bucket/a.mp4", "file:///etc/passwd"])
def test_other_schemes_are_refused_without_repeating_the_address(address):
    with pytest.raises(InputError) as caught:
        open_source(address)
    assert "host" not in " ".join(caught.value.lines())


def test_a_file_that_changes_is_noticed(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"abc")
    with open_source(path) as source:
        with path.open("ab") as file:
            file.write(b"d")
        with pytest.raises(InputError, match="changed") as caught:
            source.check_unchanged()
        assert caught.value.reason == "changed"


def test_opening_can_be_cancelled(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"abc")
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        open_source(path, cancel=cancel)
