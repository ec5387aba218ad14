"""Scores that Netflix publishes for its own files, measured by ``reelpress compare``'s core."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from reelpress.facts.quality import Measuring
from reelpress.probe.host import probe_host
from reelpress.probe.media import probe
from reelpress.quality.measure import measure
from reelpress.run.process import run

MEDIA = Path(os.environ.get("REELPRESS_MEDIA") or Path(__file__).resolve().parents[3] / "shared" / "media")
TRUTH = MEDIA / "truth" / "vmaf_scores.json"
YUV = MEDIA / "files" / "Netflix_vmaf_resource"

pytestmark = [pytest.mark.corpus, pytest.mark.skipif(not TRUTH.is_file(), reason=f"no {TRUTH}")]


def test_scores_are_those_that_netflix_publishes(tmp_path: Path) -> None:
    host = probe_host()
    scorer = host.scorer
    assert scorer is not None
    for pair in json.loads(TRUTH.read_bytes())["pairs"]:
        files = {}
        for side in ("ref", "dis"):
            files[side] = tmp_path / f"{side}.mkv"
            raw = ("-f", "rawvideo", "-pix_fmt", pair["pix_fmt"], "-s", f"{pair['w']}x{pair['h']}", "-r", "25")
            wrapped = run(
                (scorer.path, "-v", "error", "-y", *raw, "-i", str(YUV / pair[side]), "-c:v", "ffv1", str(files[side]))
            )
            assert wrapped.returncode == 0, wrapped.stderr_tail
        facts = {side: probe(path) for side, path in files.items()}
        for made, wanted in (("dis", pair["vmaf"]), ("ref", pair["vmaf_ref_vs_ref"])):
            found = measure(
                files["ref"], facts["ref"], files[made], facts[made], how=Measuring(whole=True, ssim=True), host=host
            )  # fmt: skip
            assert found.verdict == "measured", found.cause
            assert found.frames == pair["frames"]
            assert found.vmaf is not None
            assert found.vmaf.mean == pytest.approx(wanted, abs=0.05)
            if made == "dis":
                assert found.psnr_y_db is not None
                assert found.psnr_y_db.mean == pytest.approx(pair["float_psnr"], abs=0.05)
                assert found.ssim is not None
                assert found.ssim.mean == pytest.approx(100 * pair["float_ssim"], abs=0.1)
