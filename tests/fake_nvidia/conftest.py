"""One FFmpeg at a time, and a source to decode."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path

import pytest

import clips
from gpu_runs import SECONDS, SMALL, FFmpeg, run


@pytest.fixture(params=["bundled", "path"])
def ffmpeg_path(request: pytest.FixtureRequest) -> str:
    path = clips.ffmpeg() if request.param == "bundled" else shutil.which("ffmpeg", path="/usr/bin:/usr/local/bin")
    if path is None:
        pytest.skip("no FFmpeg on PATH")
    return path


@pytest.fixture
def ffmpeg(ffmpeg_path: str) -> FFmpeg:
    """Called with a machine and arguments."""
    return functools.partial(run, ffmpeg_path)


@pytest.fixture(scope="session")
def h264_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With B-frames, so that decoding order is not display order."""
    more = ("-preset", "veryfast", "-bf", "2", "-g", "12")
    return clips.plain(tmp_path_factory.mktemp("source") / "h264.mp4", *more, size=SMALL, seconds=SECONDS)
