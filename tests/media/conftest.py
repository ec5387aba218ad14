"""One FFmpeg at a time: every test of this tier runs with the bundled build and with the one on PATH."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reelpress.engine import compress_file
from reelpress.facts.host import HostFacts
from reelpress.probe.host import probe_host
from reelpress.receipt import Receipt
from reelpress.request import Request

import clip_work

HOST = probe_host()


@pytest.fixture(params=["bundled", "path"])
def host(request: pytest.FixtureRequest) -> HostFacts:
    builds = tuple(f for f in HOST.ffmpegs if f.origin == request.param)
    if not builds:
        where = shutil.which("ffmpeg")
        pytest.skip(f"no {request.param} FFmpeg on this machine ({where})")
    return msgspec.structs.replace(HOST, ffmpegs=builds)


Compress = Callable[..., Receipt]


@pytest.fixture
def compress(host: HostFacts, tmp_path: Path) -> Compress:
    """Compress with one build, quickly and whatever it saves; fails unless every gate passed."""

    def run(source: Path, target: str = "out.mp4", *, status: str = "encoded", **wishes: Any) -> Receipt:
        wish = Request(**{"preset": "ultrafast", "always_encode": True, **wishes})
        receipt = compress_file(source, tmp_path / target, host=host, request=wish)
        assert receipt.status == status, (receipt.error, receipt.evidence, receipt.reasons)
        if status in ("encoded", "copied"):
            assert [g for g in receipt.gates if g.verdict not in ("passed", "unmeasured")] == []
            assert receipt.exit_code == 0
        assert list(tmp_path.glob(".*part*")) == []
        return receipt

    return run


@pytest.fixture
def cut(host: HostFacts, tmp_path: Path) -> clip_work.Cut:
    """Cut a clip into ``clip.mp4`` with one build; fails unless every gate passed."""

    def run(source: Path, start_s: float, end_s: float, **wishes: Any) -> Receipt:
        receipt = clip_work.cut(source, tmp_path / "clip.mp4", host, start_s, end_s, overwrite=True, **wishes)
        assert receipt.status == "encoded", (receipt.error, receipt.evidence, receipt.attempts[-1:])
        assert [g for g in receipt.gates if g.verdict != "passed"] == []
        assert receipt.exit_code == 0
        assert list(tmp_path.glob(".*part*")) == []
        return receipt

    return run
