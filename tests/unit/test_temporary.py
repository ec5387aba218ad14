"""Folders for a while: none outlives its maker for longer than until the next one is made."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reelpress.errors import OutputError
from reelpress.run.temporary import temporary_folder

MAKES_ONE = """
import sys, time
from pathlib import Path
from reelpress.run.temporary import temporary_folder
with temporary_folder("clip-", Path(sys.argv[1])) as folder:
    (folder / "captions.ass").write_text("x")
    print("made", flush=True)
    time.sleep(60)
"""


def test_a_folder_is_private_and_gone_afterwards(tmp_path: Path) -> None:
    with temporary_folder("clip-", tmp_path) as one, temporary_folder("clip-", tmp_path) as two:
        (one / "file").write_text("x")
        assert one != two
        assert one.stat().st_mode & 0o077 == 0
        assert one.is_dir(), "another maker sweeps no folder that is in use"
    assert list(tmp_path.iterdir()) == []


def test_an_error_inside_leaves_nothing(tmp_path: Path) -> None:
    with contextlib.suppress(KeyError), temporary_folder("clip-", tmp_path) as folder:
        (folder / "file").write_text("x")
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_swept_by_the_next(tmp_path: Path) -> None:
    (tmp_path / "other-x").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", MAKES_ONE, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as maker:  # fmt: skip
        assert maker.stdout is not None
        assert maker.stdout.readline() == "made\n"
        with temporary_folder("clip-", tmp_path):
            assert len(list(tmp_path.glob("clip-*"))) == 2, "its maker lives"
        os.kill(maker.pid, signal.SIGKILL)
        maker.wait()
    assert len(list(tmp_path.glob("clip-*"))) == 1
    with temporary_folder("clip-", tmp_path) as folder:
        assert list(tmp_path.glob("clip-*")) == [folder]
    assert [path.name for path in tmp_path.iterdir()] == ["other-x"]


def test_a_root_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError), temporary_folder("clip-", tmp_path / "missing"):
        pass
