"""Every real file ends with a status and a reason, and what was encoded satisfies a judge that is not ours."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from reelpress.api import compress

from independent import FFPROBE, complaints, ffprobe

ROOT = Path(__file__).resolve().parents[2]
MEDIA = Path(os.environ.get("REELPRESS_MEDIA", ROOT.parent / "shared" / "media"))
MANIFEST = MEDIA / "manifest.csv"

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(not MANIFEST.is_file(), reason=f"no media folder at {MEDIA}"),
    pytest.mark.skipif(FFPROBE is None, reason="no ffprobe to judge by"),
]

_ALL = list(csv.DictReader(MANIFEST.read_text().splitlines())) if MANIFEST.is_file() else []
ROWS = _ALL if os.environ.get("REELPRESS_THOROUGH") else _ALL[::8]


@pytest.mark.parametrize("row", ROWS, ids=[r["name"] for r in ROWS])
def test_file_ends_with_a_reason_and_a_sound_output(row: dict[str, str], tmp_path: Path) -> None:
    source, target = MEDIA / "files" / row["name"], tmp_path / "out.mp4"
    receipt = compress(source, target)
    assert receipt.status in ("encoded", "copied", "skipped", "rejected"), (receipt.error, receipt.evidence)
    assert receipt.error if receipt.status == "rejected" else receipt.reasons
    assert target.exists() == (receipt.status in ("encoded", "copied"))
    assert list(tmp_path.iterdir()) == ([target] if target.exists() else [])
    assert receipt.exit_code in {"rejected": (3,), "skipped": (0,)}.get(receipt.status, (0, 1))
    if receipt.result is not None:
        assert receipt.result.size_bytes <= source.stat().st_size * 1.02 + 65_536
    if receipt.status == "encoded":
        assert complaints(ffprobe(source), target) == []
    if receipt.exit_code == 1:
        assert any(g.verdict == "damaged_input" for g in receipt.gates)
