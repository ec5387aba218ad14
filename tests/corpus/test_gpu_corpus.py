"""Real files through the ladder on a fake GPU: the same gates, and the same result in structure as on the CPU.

Every twelfth file, for the fake interprets CUDA's kernels; with ``REELPRESS_GPU_CORPUS=all`` all of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

import driver
from both_ways import MANIFEST, MEDIA, Corpus, disagreements, rows, rung_of, why_not_all_on_the_gpu
from independent import FFPROBE

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.gpu_fake,
    pytest.mark.skipif(not MANIFEST.is_file(), reason=f"no media folder at {MEDIA}"),
    pytest.mark.skipif(FFPROBE is None, reason="no ffprobe to judge by"),
]

_ALL = rows()
ROWS = _ALL if os.environ.get("REELPRESS_GPU_CORPUS") == "all" else _ALL[::24]
# What is done on the CPU all the same: nothing but these may be the reason.
# Its first picture stays for a third of a second: FFmpeg dates the decoding of NVENC's pictures by that, and the file
# says that it lasts longer than it does.
FALL_TO_THE_CPU = {"sample_android_slow_motion.mp4"}
RIGHT_REASONS = ("is smaller than h264_nvenc takes", "is larger than h264_nvenc takes")


@pytest.fixture(scope="module")
def corpus(
    request: pytest.FixtureRequest, fake_nvidia: driver.FakeNvidia, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Corpus]:
    chosen = {item.callspec.params["name"] for item in request.session.items if hasattr(item, "callspec")
              and item.path == request.path and "name" in item.callspec.params}  # fmt: skip
    files = [row for row in ROWS if row["name"] in chosen]
    with pytest.MonkeyPatch.context() as patch:
        made = Corpus(fake_nvidia, tmp_path_factory.mktemp("both_ways"), files, patch)
        yield made
        made.close()


@pytest.mark.parametrize("name", [row["name"] for row in ROWS])
def test_the_gpu_gives_what_the_cpu_gives(corpus: Corpus, name: str) -> None:
    both = corpus.result(name)
    assert both.gpu.status in ("encoded", "copied", "skipped", "rejected"), (both.gpu.error, both.gpu.evidence)
    assert disagreements(both) == []
    if name.rsplit("/", maxsplit=1)[-1] in FALL_TO_THE_CPU:
        assert [attempt.failure for attempt in both.gpu.attempts] == ["check_not_met", None]
        return
    seen = {gate.name: gate for gate in both.gpu.gates}.get("pictures")
    assert (seen is not None) == rung_of(both.gpu).startswith("gpu")
    assert seen is None or seen.verdict == "passed", seen
    if both.gpu.status == "encoded" and not rung_of(both.gpu).startswith("gpu"):
        assert any(text in why for why in why_not_all_on_the_gpu(both.gpu) for text in RIGHT_REASONS), both.gpu.reasons
    assert not [why for why in why_not_all_on_the_gpu(both.gpu) if "because" in why]  # no rung was tried in vain
