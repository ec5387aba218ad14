"""Measuring an encode against its reference, on clips whose differences are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from reelpress.facts.host import HostFacts
from reelpress.facts.quality import Comparison, Measuring, Window
from reelpress.probe.host import probe_host
from reelpress.probe.media import probe
from reelpress.quality.measure import measure, scorer_of
from reelpress.run.process import run

pytestmark = pytest.mark.media

HOST = probe_host()


def ffmpeg(*args: str) -> None:
    scorer = scorer_of(HOST)
    assert scorer is not None
    done = run((scorer.path, "-hide_banner", "-nostdin", "-loglevel", "error", "-y", *args))
    assert done.returncode == 0, done.stderr_tail


def compare(reference: Path, encoded: Path, host: HostFacts = HOST, **how: Any) -> Comparison:
    return measure(reference, probe(reference), encoded, probe(encoded), how=Measuring(**how), host=host)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of moving pictures at 30 fps, and noise that fades in and out."""
    path = tmp_path_factory.mktemp("compare") / "source.mp4"
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=s=320x180:r=30:d=2", "-f", "lavfi", "-i", "anoisesrc=d=2:a=0.4:seed=7",
        "-af", "tremolo=f=1.3:d=0.9", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "12", "-bf", "2",
        "-pix_fmt", "yuv420p", "-c:a", "aac", str(path),
    )  # fmt: skip
    return path


def test_a_file_against_itself_is_what_the_model_gives_for_identical_pictures(source: Path) -> None:
    found = compare(source, source)
    assert found.verdict == "measured", found.cause
    assert found.frames == found.looked_frames == 60
    assert found.psnr_y_db is not None
    assert found.psnr_cr_db is not None
    assert found.psnr_y_db.min == found.psnr_cr_db.min == 60.0
    assert found.vmaf is not None
    assert found.vmaf.min > 97
    assert found.self_test is not None
    assert found.self_test.passed
    assert found.findings == ()


def test_coarser_encodes_score_less(source: Path, tmp_path: Path) -> None:
    means = []
    for crf in (20, 40):
        made = tmp_path / f"{crf}.mp4"
        ffmpeg("-i", str(source), "-c:v", "libx264", "-crf", str(crf), "-c:a", "copy", str(made))
        found = compare(source, made, ssim=True, xpsnr=True)
        assert found.vmaf is not None
        assert found.ssim is not None
        assert found.xpsnr_db is not None
        assert found.damage == ()
        means.append((found.vmaf.mean, found.ssim.mean, found.xpsnr_db.mean))
    assert all(fine > coarse + 1 for fine, coarse in zip(*means, strict=True))


def test_windows_are_scored_like_the_same_frames_of_the_whole(source: Path, tmp_path: Path) -> None:
    made = tmp_path / "made.mkv"
    ffmpeg("-i", str(source), "-c:v", "libx264", "-crf", "35", "-c:a", "copy", str(made))
    whole = compare(source, made, whole=True).by_frame
    part = compare(source, made, windows=(Window(start_s=1.0, duration_s=0.5),)).by_frame
    assert whole is not None
    assert part is not None
    assert part.at_s == pytest.approx(whole.at_s[30:45], abs=1e-3)
    assert part.psnr_y_db == pytest.approx(whole.psnr_y_db[30:45], abs=1e-3)
    # the last frame's movement is that to the frame after it, where there is one
    assert part.vmaf[:-1] == pytest.approx(whole.vmaf[30:44], abs=1e-3)


def test_without_libvmaf_it_is_unmeasured_and_never_bad(source: Path) -> None:
    builds = tuple(msgspec.structs.replace(f, filters=f.filters - {"libvmaf"}) for f in HOST.ffmpegs)
    found = compare(source, source, host=msgspec.structs.replace(HOST, ffmpegs=builds))
    assert (found.verdict, found.cause_code, found.vmaf) == ("unmeasured", "no_libvmaf", None)
