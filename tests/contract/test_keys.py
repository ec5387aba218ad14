"""Keys and names: whatever strangers call their files, nothing leaves its place."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelpress.errors import UsageError
from reelpress.storage.keys import (
    MAX_KEY_BYTES,
    MAX_NAME_BYTES,
    check_key,
    check_prefix,
    is_temporary,
    safe_name,
    temporary_key,
)

REFUSED = [
    "", "/", "/a", "a/", "a//b", ".", "..", "a/./b", "a/../b", "../a", "a/..", "a\\b", "a\x00b", "a\nb", "a\x7fb",
    "a\u200bb", "a\u202eb", "a\u2028b", "\ud800", "e\u0301", "a" * 241, "/".join(["a" * 99] * 10), "é" * 121,
    "a#1", "x#12/y",
    ".reelpress", ".reelpress/tmp/j/0",
]  # fmt: skip
ACCEPTED = [
    "a", "a/b/c.mp4", "...", "..a", "a..", ".a", "a b", "é", "日本/映画.mp4", "a" * 240, "a#b", "#1x", "reelpress/tmp",
    "x/.reelpress",
    ".reelpressed/a",
]  # fmt: skip


@pytest.mark.parametrize("key", REFUSED)
def test_refused(key: str):
    with pytest.raises(UsageError):
        check_key(key)


@pytest.mark.parametrize("key", ACCEPTED)
def test_accepted_as_it_is(key: str):
    assert check_key(key) == key


def test_a_prefix_may_be_ours_or_nothing():
    assert check_prefix("") == ""
    assert check_prefix(".reelpress/x") == ".reelpress/x"
    with pytest.raises(UsageError):
        check_prefix("../x")


segments = st.text(st.sampled_from("./\\ae\u0301\u200b\x00#1 é日"), max_size=12)


@given(st.one_of(segments, st.text(max_size=40)))
def test_what_is_accepted_stays_below_its_store(key: str):
    try:
        check_key(key)
    except UsageError as error:
        error.evidence.encode("ascii")  # fit for any log
        return
    path = PurePosixPath("/store") / key
    assert path.is_relative_to("/store")
    assert ".." not in path.parts
    assert str(path) == f"/store/{key}"  # one spelling, so one object
    assert len(key.encode()) <= MAX_KEY_BYTES


@given(st.one_of(segments, st.text(max_size=300)))
def test_every_name_becomes_a_segment_that_is_accepted(name: str):
    safe = safe_name(name)
    assert check_key(f"in/{safe}") == f"in/{safe}"
    assert "/" not in safe
    assert not safe.startswith(".")
    assert len(safe.encode()) <= MAX_NAME_BYTES
    assert unicodedata.is_normalized("NFC", safe)
    assert safe_name(safe) == safe


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("Talk at the fair.MOV", "Talk at the fair.MOV"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\film.mp4", "film.mp4"),
        ("e\u0301te\u0301.mp4", "été.mp4"),
        ("invoice\u202e4pm.exe", "invoice4pm.exe"),
        ("a\nb\tc.mp4", "abc.mp4"),
        ('<b>"x"|y?.mp4', "_b__x__y_.mp4"),
        (".htaccess", "htaccess"),
        ("...", "video"),
        ("", "video"),
        ("日本の映画.mp4", "日本の映画.mp4"),
        ("x" * 400 + ".mp4", "x" * 146 + ".mp4"),
        ("movie#1", "movie_1"),
    ],
)
def test_names(name: str, safe: str):
    assert safe_name(name) == safe


def test_temporary_keys_are_new_and_known():
    made = {temporary_key("job-1") for _ in range(100)}
    assert len(made) == 100
    assert all(is_temporary(key) and key.startswith(".reelpress/tmp/job-1/") for key in made)
    with pytest.raises(UsageError):
        temporary_key("a/../b")
