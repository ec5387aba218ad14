"""Sources for the faults: one that takes seconds, one that takes none."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import clips
import reel

# An encode of the long clip that is nowhere near its end for as long as any test looks at it.
SLOW = ("--codec", "hevc", "--preset", "veryslow")


@pytest.fixture(scope="session")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds at 640x360: half a minute with SLOW, a second or two with a fast preset."""
    return clips.plain(tmp_path_factory.mktemp("long") / "long.mp4", "-crf", "8", size="640x360", seconds=10)


@pytest.fixture(scope="session")
def short_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a second at 96x64, with sound, worth encoding."""
    out = tmp_path_factory.mktemp("short") / "short.mp4"
    sound = ("-c:a", "aac", "-b:a", "64k")
    return clips.make(
        out, *clips.picture("96x64", seconds=0.6), *clips.tone(seconds=0.6), *clips.X264, "-crf", "4", *sound
    )


@pytest.fixture(params=list(reel.builds()), scope="module")
def build(request: pytest.FixtureRequest) -> str:
    """Each FFmpeg of this machine in turn, as a path for REELPRESS_FFMPEG."""
    return reel.builds()[request.param]


@pytest.fixture(autouse=True)
def _interrupts_are_not_ignored():
    """A shell starts background jobs with SIGINT ignored, and what is ignored stays so in every child."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
