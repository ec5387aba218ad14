"""A process of the service keeps its temporary files to itself, and still meets all others of the machine."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from reelpress.jobs.private_folder import PrivateFolder
from reelpress.run.host_state import host_folder


def test_processes_with_temporary_files_of_their_own_share_the_slots_of_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "system").mkdir()
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "system"))
    before = host_folder()
    mine = PrivateFolder(tmp_path / "scratch")
    mine.take_temporary_files()
    try:
        assert Path(tempfile.mkdtemp()).is_relative_to(mine.path)
        assert host_folder() == before
    finally:
        mine.remove()
    assert not list((tmp_path / "scratch" / "processes").iterdir())


def test_folders_of_processes_that_are_gone_are_swept_and_those_in_use_are_not(tmp_path: Path) -> None:
    mine, another = PrivateFolder(tmp_path), PrivateFolder(tmp_path)
    in_use = {mine.path, another.path}
    (tmp_path / "processes" / "left" / "behind").mkdir(parents=True)
    mine.sweep()
    assert set((tmp_path / "processes").iterdir()) == in_use
    another.remove()
    assert set((tmp_path / "processes").iterdir()) == {mine.path}
    mine.remove()
