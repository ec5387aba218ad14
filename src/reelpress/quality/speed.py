"""Whether the sound of an encode is the reference's, played slower or faster, and so ever further off. Pure."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from reelpress.facts.quality import Finding
from reelpress.facts.values import Value

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.int16]
    Floats = NDArray[np.float64]

_HZ = 2000  # enough of speech and music to know them by; less has to be slid
_PART_S, _PARTS = 1.0, 10
# Speeds up to that of film at 24 frames a second shown at 25 (4.3 %), in steps that leave a second of 500 Hz alike.
_MOST, _STEP = 0.06, 0.001
_REACH_S = 10.0  # how far a part is slid
_WITHIN_S = _REACH_S / _MOST  # later, sound of the fastest speed is out of reach
_SILENT = 12.0  # root mean square in steps of 16 bits
# Correlation of one sound at the right speed, encoded twice: 0.8 and more. Of other sounds, at the best of all speeds
# and places, up to 0.45.
_ALIKE = 0.6
_AGREE, _AGREE_S = 0.0021, 0.025  # parts are of one speed, and lie where that speed puts them
_LEAST_PARTS = 2


class Speed(Value, frozen=True, kw_only=True):
    """The encode's sound runs at ``factor`` of the reference's speed (below 1: slower), by so many parts."""

    factor: float
    parts: int
    heard: int


def find_speed(made: Samples, wanted: Samples, rate_hz: int) -> Speed | None:
    """Return at which other speed the encode's sound is the reference's; ``None``: at none that is looked for."""
    import numpy as np

    x, y = _fewer(made, rate_hz), _fewer(wanted, rate_hz)
    part = round(_PART_S * _HZ)
    last = min(len(x), len(y), round(_WITHIN_S * _HZ)) - part
    if last < 0:
        return None
    found = []
    heard = 0
    for start in np.linspace(0, last, min(_PARTS, 1 + last // (part // 2))).astype(np.int64):
        piece = x[start : start + part]
        if piece.std() < _SILENT:
            continue
        heard += 1
        alike, factor, at_s = _best(piece, y, int(start))
        if alike >= _ALIKE:
            found.append((factor, start / _HZ, at_s))
    if len(found) < _LEAST_PARTS:
        return None
    # the places tell the speed finer than the steps that were tried
    factor = float(np.median([(b[2] - a[2]) / (b[1] - a[1]) for a, b in itertools.combinations(found, 2)]))
    begin_s = float(np.median([at_s - factor * start_s for _, start_s, at_s in found]))
    fit = [
        abs(own - factor) <= _AGREE and abs(begin_s + factor * start_s - at_s) <= _AGREE_S
        for own, start_s, at_s in found
    ]
    usual = float(np.median([own for own, _, _ in found]))
    if sum(fit) < _LEAST_PARTS or sum(fit) <= heard // 2 or min(abs(factor - 1), abs(usual - 1)) < _STEP / 2:
        return None
    return Speed(factor=factor, parts=sum(fit), heard=heard)


def judge_speed(found: Speed | None) -> list[Finding]:
    """Tell that sound runs at another speed than its pictures do."""
    if found is None:
        return []
    how = "slower" if found.factor < 1 else "faster"
    text = f"Sound runs {abs(found.factor - 1) * 100:.1f} % {how} than the reference's."
    evidence = f"{found.parts} of {found.heard} stretches are the reference's at {found.factor:.3f} of its speed"
    return [Finding(code="sound_drifts", text=text, evidence=evidence)]


def _fewer(sound: Samples, rate_hz: int) -> Floats:
    """Return sound at :data:`_HZ`, each sample the mean of those it stands for."""
    import numpy as np

    step = rate_hz // _HZ
    kept = sound[: round(_WITHIN_S + _REACH_S + 2 * _PART_S) * rate_hz]
    return np.asarray(kept[: len(kept) // step * step].astype(np.float64).reshape(-1, step).mean(axis=1))


def _best(piece: Floats, sound: Floats, start: int) -> tuple[float, float, float]:
    """Return how alike a part is to the reference at the best speed and place, that speed, and the place in seconds."""
    import numpy as np

    reach = round(_REACH_S * _HZ)
    low, high = max(0, start - reach), min(len(sound), start + len(piece) + reach)
    near = sound[low:high] - sound[low:high].mean()
    size = 1 << int(np.ceil(np.log2(len(near) + 2 * len(piece))))
    spectrum = np.fft.rfft(near, size)
    sums = np.concatenate(([0.0], np.cumsum(near**2)))
    best = (0.0, 1.0, 0.0)
    for step in range(-round(_MOST / _STEP), round(_MOST / _STEP) + 1):
        factor = 1 + step * _STEP
        count = int((len(piece) - 1) * factor)
        if count >= len(near):
            continue
        # on the reference's clock a slower sound's second is less than one
        moved = np.interp(np.arange(count) / factor, np.arange(len(piece)), piece)
        moved -= moved.mean()
        product = np.fft.irfft(spectrum * np.conj(np.fft.rfft(moved, size)), size)[: len(near) - count + 1]
        energy = np.sqrt(np.maximum(sums[count:] - sums[:-count], 1e-9))
        floor = 0.05 * float(energy.max()) + 1e-9  # what is nearly silent is like nothing
        alike = product / (np.maximum(energy, floor) * np.sqrt((moved**2).sum()) + 1e-9)
        place = int(alike.argmax())
        if alike[place] > best[0]:
            best = (float(alike[place]), factor, (low + place) / _HZ)
    return best
