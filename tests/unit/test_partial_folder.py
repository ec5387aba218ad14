"""Folders that get their name when they are whole."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from reelpress.errors import OutputError
from reelpress.run import partial_folder, parts
from reelpress.run.partial_folder import PartialFolder


def opened(target: Path, *, overwrite: bool = False) -> PartialFolder:
    return PartialFolder.open(target, overwrite=overwrite, may_replace=lambda name: name == "ours")


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_gets_its_name_with_all_that_is_in_it_and_takes_the_place_of_another(tmp_path: Path) -> None:
    for content in ("one", "two"):
        with opened(tmp_path / "out", overwrite=True) as part:
            assert part.path.name.startswith(".out.")
            (part.path / "ours").write_text(content)
            assert part.publish() == tmp_path / "out"
        assert (tmp_path / "out" / "ours").read_text() == content
        assert names_in(tmp_path) == ["out"]


def no_exchange(_one: Path, _other: Path) -> int:
    return errno.EINVAL


@pytest.mark.parametrize("exchanging", [partial_folder.exchange, no_exchange])
def test_an_old_folder_is_replaced_with_or_without_an_exchange(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanging: Callable[[Path, Path], int]
) -> None:
    monkeypatch.setattr(partial_folder, "exchange", exchanging)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "ours").write_text("old")
    with opened(tmp_path / "out", overwrite=True) as part:
        (part.path / "ours").write_text("new")
        part.publish()
    assert (tmp_path / "out" / "ours").read_text() == "new"
    assert names_in(tmp_path) == ["out"]


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_folder_that_came_while_ours_was_made_is_not_replaced(tmp_path: Path, *, overwrite: bool) -> None:
    with opened(tmp_path / "out", overwrite=overwrite) as part:
        (part.path / "ours").write_bytes(b"one")
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "poster.jpg").write_bytes(b"theirs")
        with pytest.raises(OutputError, match="other things than a ladder" if overwrite else "exists"):
            part.publish()
    assert (tmp_path / "out" / "poster.jpg").read_bytes() == b"theirs"
    assert names_in(tmp_path) == ["out"]


@pytest.mark.parametrize("exchanging", [partial_folder.exchange, no_exchange])
def test_what_comes_into_the_old_folder_in_the_last_moment_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanging: Callable[[Path, Path], int]
) -> None:
    def late(one: Path, other: Path) -> int:
        if not list(tmp_path.glob("*/poster.jpg")):
            (other / "poster.jpg").write_bytes(b"theirs")
        return exchanging(one, other)

    monkeypatch.setattr(partial_folder, "exchange", late)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "ours").write_text("old")
    with opened(tmp_path / "out", overwrite=True) as part:
        (part.path / "ours").write_text("new")
        with pytest.raises(OutputError, match="other things than a ladder"):
            part.publish()
    assert names_in(tmp_path / "out") == ["ours", "poster.jpg"]
    assert (tmp_path / "out" / "ours").read_text() == "old"
    assert names_in(tmp_path) == ["out"]


def test_what_cannot_be_given_back_is_kept_beside_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def once(one: Path, other: Path) -> int:
        if list(tmp_path.glob("*/poster.jpg")):
            return errno.EIO
        (other / "poster.jpg").write_bytes(b"theirs")
        return exchange(one, other)

    exchange = partial_folder.exchange
    monkeypatch.setattr(partial_folder, "exchange", once)
    (tmp_path / "out").mkdir()
    with opened(tmp_path / "out", overwrite=True) as part:
        (part.path / "ours").write_text("new")
        with pytest.raises(OutputError, match="other things than a ladder"):
            part.publish()
    with opened(tmp_path / "out", overwrite=True):  # whose sweep takes away what the dead left
        (kept,) = tmp_path.glob("**/poster.jpg")
    assert kept.parent.name.endswith(".reelpress-old")


def test_an_old_folder_stays_where_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def broken(path: Path, target: Path) -> Path:
        if path.name.endswith(parts.PART_SUFFIX):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return rename(path, target)

    monkeypatch.setattr(partial_folder, "exchange", no_exchange)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "ours").write_text("old")
    with opened(tmp_path / "out", overwrite=True) as part:
        (part.path / "ours").write_text("new")
        monkeypatch.setattr(Path, "rename", broken)
        with pytest.raises(OutputError, match="cannot write"):
            part.publish()
    assert (tmp_path / "out" / "ours").read_text() == "old"
    assert names_in(tmp_path) == ["out"]


def test_what_was_not_published_leaves_nothing(tmp_path: Path) -> None:
    with opened(tmp_path / "out") as part:
        (part.path / "ours").write_bytes(b"one")
    assert names_in(tmp_path) == []


def test_what_the_dead_left_is_swept_and_what_the_living_make_is_not(tmp_path: Path) -> None:
    left = tmp_path / ".out.0123456789ab.reelpress-part"
    left.mkdir()
    (left / "ours").write_bytes(b"half")
    file = tmp_path / ".out.ba9876543210.reelpress-part"  # of a file of that name, which is for its like to sweep
    file.write_bytes(b"half")
    with opened(tmp_path / "out") as one, opened(tmp_path / "out") as other:
        assert names_in(tmp_path) == sorted([one.path.name, other.path.name, file.name])


def test_a_folder_swept_before_it_was_locked_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, swept = parts._lock, []

    def swept_first(fd: int, *, wait: bool) -> bool | None:
        if wait and not swept:
            swept.append(names_in(tmp_path)[0])
            (tmp_path / swept[0]).rmdir()
        return lock(fd, wait=wait)

    monkeypatch.setattr(parts, "_lock", swept_first)
    with opened(tmp_path / "out") as part:
        assert part.path.name != swept[0]
        assert part.path.is_dir()


def test_a_disk_that_fails_to_keep_the_files_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with opened(tmp_path / "out") as part:
        (part.path / "ours").write_bytes(b"one")
        monkeypatch.setattr(os, "fsync", broken)
        with pytest.raises(OutputError, match="cannot write"):
            part.publish()
    assert names_in(tmp_path) == []


def test_a_folder_that_may_only_be_written_is_not_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(_path: Path) -> list[Path]:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "iterdir", closed)
        part = opened(tmp_path / "out")
    with part:
        assert part.path.is_dir()
