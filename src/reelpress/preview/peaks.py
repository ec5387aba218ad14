"""The waveform: raw sound in, the loudest sample of each short stretch out."""

from __future__ import annotations

from math import ceil
from pathlib import Path

from reelpress.errors import Cancelled
from reelpress.facts.values import to_json
from reelpress.preview.graph import WAVE_HZ
from reelpress.run.process import CancelToken

PEAKS_PER_S = 100
MAX_PEAKS = 60_000
_LOUDEST = 127
# How far each value of unsigned 8-bit sound is from silence, which is 128.
_DISTANCE = bytes(min(_LOUDEST, abs(value - 128)) for value in range(256))
_BLOCK_PEAKS = 4096


def write_peaks(wave: Path, target: Path, cancel: CancelToken) -> None:
    """Read unsigned 8-bit mono sound of ``WAVE_HZ`` and write ``{"per_s": float, "peaks": [0..127, ...]}``.

    There are ``PEAKS_PER_S`` peaks a second, or as many fewer as leave at most ``MAX_PEAKS``. Raises
    :class:`Cancelled`.
    """
    samples = max(WAVE_HZ // PEAKS_PER_S, ceil(wave.stat().st_size / MAX_PEAKS))
    peaks: list[int] = []
    with wave.open("rb") as file:
        while block := file.read(samples * _BLOCK_PEAKS):
            if cancel.is_cancelled:
                raise Cancelled("making a preview was cancelled")
            distances = block.translate(_DISTANCE)
            peaks += [max(distances[at : at + samples]) for at in range(0, len(distances), samples)]
    target.write_bytes(to_json({"per_s": WAVE_HZ / samples, "peaks": peaks}))
