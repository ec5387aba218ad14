"""Subtitles that other people wrote, in six languages, are read and can be drawn."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reelpress.captions.fonts import not_in_font
from reelpress.captions.reading import read_captions

MEDIA = Path(os.environ.get("REELPRESS_MEDIA") or Path(__file__).resolve().parents[3] / "shared" / "media")


@pytest.mark.corpus
@pytest.mark.skipif(not MEDIA.is_dir(), reason=f"no media folder at {MEDIA}")
@pytest.mark.parametrize("language", ["english", "french", "german", "italian", "russian", "spanish"])
def test_subtitles_of_a_film(language: str) -> None:
    cues = read_captions(MEDIA / "truth" / f"agent327_{language}.vtt").cues
    assert len(cues) == 16
    assert (cues[0].start_s, cues[0].end_s) == (12.72, 15.12)
    assert not_in_font("".join(cue.text for cue in cues).replace("\n", "")) == ""
