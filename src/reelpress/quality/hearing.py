"""Whether the sound of an encode is the reference's at all: missing, silent in places, or another. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reelpress.facts.quality import Finding
from reelpress.quality.telling import runs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.int16]
    Floats = NDArray[np.float64]

_BLOCK_S = 0.05
# Root mean square in steps of 16 bits. 100 is -50 dBFS: quiet, but no noise of a room. Encoders leave silence below 12.
_HEARD, _SILENT = 100.0, 12.0
_FALLEN = 0.03  # of the reference's level, 30 dB less: no encode for a quieter programme does that in places
_LEAST_S = 0.25  # shorter holes are what codecs make at ends and beginnings
_PART_S, _PARTS, _REACH_S = 2.0, 6, 2.6
# The highest correlation at any place. One sound encoded twice gives 0.6 and more; two sounds of a kind up to 0.25.
_ALIKE = 0.3
_OTHER_SHARE = 0.8  # of the parts that can be heard


def is_heard(sound: Samples, rate_hz: int) -> bool:
    """Tell whether there is anything to hear."""
    return bool((_levels(sound, rate_hz) >= _HEARD).any())


def judge_heard(made: Samples, wanted: Samples, rate_hz: int, lag_s: float | None) -> list[Finding]:
    """Judge the encode's sound; both begin with the first picture, and the encode's is the reference's ``lag_s`` later.

    Where the lag is not known, sounds of which no part is like the other's are two.
    """
    import numpy as np

    shift = round((lag_s or 0.0) * rate_hz)
    wanted = wanted[shift:] if shift >= 0 else np.concatenate((np.zeros(-shift, np.int16), wanted))
    reference = _levels(wanted, rate_hz)
    encode = np.zeros(len(reference))
    found = _levels(made[: len(wanted)], rate_hz)
    encode[: len(found)] = found[: len(encode)]
    heard = reference >= _HEARD
    if not heard.any():
        return []
    lost = heard & (encode <= np.maximum(_SILENT, _FALLEN * reference))
    if lost.sum() >= 0.9 * heard.sum():
        return [Finding(code="sound_missing", text="The encode's sound is silence.", evidence=_evidence(lost, heard))]
    if lag_s is None and _is_other(made, wanted, rate_hz):
        return [Finding(code="sound_other", text="The encode's sound is not the reference's.")]
    holes = [(first, last + 1) for first, last in runs(lost) if (last + 1 - first) * _BLOCK_S >= _LEAST_S]
    if not holes:
        return []
    at_s, long_s = holes[0][0] * _BLOCK_S, sum(b - a for a, b in holes) * _BLOCK_S
    places = "one place" if len(holes) == 1 else f"{len(holes)} places"
    text = f"Sound is missing at {places}, {long_s:.1f} s in all, the first at {at_s:.1f} s."
    return [Finding(code="sound_missing", text=text, at_s=round(at_s, 3), evidence=_evidence(lost, heard))]


def _evidence(lost: NDArray[np.bool_], heard: NDArray[np.bool_]) -> str:
    return f"silent for {lost.sum() * _BLOCK_S:.1f} s of the {heard.sum() * _BLOCK_S:.1f} s that can be heard"


def _levels(sound: Samples, rate_hz: int) -> Floats:
    """Return the root mean square of every block, without what is constant in it."""
    import numpy as np

    size = round(_BLOCK_S * rate_hz)
    blocks = sound[: len(sound) // size * size].astype(np.float64).reshape(-1, size)
    return np.asarray(blocks.std(axis=1), np.float64)


def _is_other(made: Samples, wanted: Samples, rate_hz: int) -> bool:
    """Tell whether hardly a part of the encode's sound is found anywhere near in the reference's."""
    import numpy as np

    part = min(round(_PART_S * rate_hz), len(made) // 2)
    if part < rate_hz // 2:
        return False
    likeness = []
    for start in np.linspace(0, len(made) - part, _PARTS).astype(np.int64):
        piece = made[start : start + part]
        near = wanted[max(0, start - round(_REACH_S * rate_hz)) : start + part + round(_REACH_S * rate_hz)]
        # a part with much silence in it is like many things
        if len(near) >= part and (_levels(piece, rate_hz) >= _HEARD).mean() >= 0.5 and is_heard(near, rate_hz):
            likeness.append(_likeness(piece.astype(np.float64), near.astype(np.float64)))
    return len(likeness) >= 2 and sum(one < _ALIKE for one in likeness) >= _OTHER_SHARE * len(likeness)


def _likeness(piece: Floats, near: Floats) -> float:
    import numpy as np

    piece, near = piece - piece.mean(), near - near.mean()
    size = 1 << int(np.ceil(np.log2(len(piece) + len(near))))
    product = np.fft.irfft(np.fft.rfft(near, size) * np.conj(np.fft.rfft(piece, size)), size)
    product = product[: len(near) - len(piece) + 1]
    sums = np.concatenate(([0.0], np.cumsum(near**2)))
    energy = np.sqrt(np.maximum(sums[len(piece) :] - sums[: -len(piece)], 1e-9))[: len(product)]
    floor = 0.05 * float(energy.max()) + 1e-9
    return float((product / (np.maximum(energy, floor) * np.sqrt((piece**2).sum()))).max())
