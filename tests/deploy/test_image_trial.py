"""What tries images refuses what is none: too large a root, one that lacks what is started, a service that fails."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from deployed import ROOT

sys.path.insert(0, str(ROOT / "scripts"))

import try_image

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("bwrap", "tini"))), reason="needs root, bubblewrap and tini"
)
IMAGE = try_image.Dockerfile(ROOT / "deploy/Dockerfile")
SYSTEM = [
    "--ro-bind", "/usr", "/usr", "--ro-bind", "/etc", "/etc",
    *(part for name in ("bin", "sbin", "lib", "lib64") for part in ("--symlink", f"usr/{name}", f"/{name}")),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with places for volumes and for an installation."""
    for name in ("volumes", "reelpress/bin"):
        (tmp_path / name).mkdir(parents=True)
    shutil.copytree(ROOT / "deploy/image", tmp_path / "reelpress/image")
    return tmp_path


def box(folder: Path, reelpress: str) -> try_image.Box:
    """This machine's own programs, with a ``reelpress`` that is none."""
    program = folder / "reelpress/bin/reelpress"
    program.write_text(f"#!/bin/sh\n{reelpress}\n")
    program.chmod(0o755)
    root = [*SYSTEM, "--dir", "/opt", "--ro-bind", str(folder / "reelpress"), "/opt/reelpress"]
    return try_image.Box(IMAGE, root, folder / "volumes")


def test_a_root_s_weight_is_that_of_its_files(folder: Path) -> None:
    (folder / "model.bin").write_bytes(bytes(2_000_000))
    (folder / "again.bin").hardlink_to(folder / "model.bin")
    assert try_image.size_mb(folder) == pytest.approx(2.0, abs=0.2)


def test_an_image_that_is_too_large_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "model.bin").write_bytes(bytes(2_000_000))
    monkeypatch.setattr(sys, "argv", ["try_image.py", "--root", str(folder), "--most-mb", "1"])
    with pytest.raises(try_image.Failed, match="too large"):
        try_image.main()


def test_a_box_that_is_not_tight_is_found(folder: Path) -> None:
    try_image.check_box(box(folder, 'touch /data/x || exit 1; echo "started"'))
    (folder / "other").mkdir()
    (folder / "other/volumes").mkdir()
    (folder / "other/reelpress").symlink_to(folder / "reelpress")
    loose = try_image.Box(IMAGE, ["--bind", "/usr", "/usr", *SYSTEM[3:], "--dir", "/opt"], folder / "other/volumes")
    with pytest.raises(try_image.Failed, match="not tight"):
        try_image.check_box(loose)


@pytest.mark.parametrize(
    ("reelpress", "what"),
    [
        ("echo broken >&2; exit 70", "no key"),
        ('[ "$1" = keys ] && echo \'{"key": "rp_1"}\' && exit 0; echo broken >&2; exit 70', "/health"),
    ],
)
def test_a_service_that_fails_is_refused(folder: Path, reelpress: str, what: str) -> None:
    with pytest.raises(try_image.Failed, match=what) as refused:
        try_image.try_start(box(folder, reelpress), folder)
    assert "broken" in str(refused.value)
