"""Which of the reference's frames an encode of a lower rate left out rightly: one was kept of every slot. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Places = NDArray[np.int64]
    Flags = NDArray[np.bool_]

# Rates that encoders cap at or convert to. Any other whole rate has to show that it is one: no slot of it may lack a
# picture, and frames be left out at so many places.
_USUAL = (20.0, 24000 / 1001, 24.0, 25.0, 30000 / 1001, 30.0, 48.0, 50.0, 60.0)
_OTHER, _PROVEN = range(1, 121), 4
_SLOWER = 0.985  # with more than this share of the reference's frames none was meant to be left out
_VARIES = 0.8  # of the mean distance of frames: where a tenth of them come sooner, theirs counts
_NEAR = 0.1  # share by which a rate may miss what was kept a second
_PHASES = 50  # places where slots may begin that are tried
_SAME_S = 0.0015  # times that are told apart by less are one: Matroska rounds to milliseconds
_TWICE = 0.01  # share of what was kept, and one more, that may be second in its slot


def left_out_evenly(at_s: Floats, due: Places, shown: Places) -> Flags:
    """Return which frames of the reference are no loss though they are not shown: a lower rate has others for them.

    ``at_s`` are its frames' times, ``due`` and ``shown`` which of them the encode's should show by their times, and
    do. Of every slot of a rate, or of every so many frames, one has to be there, and hardly ever a second.
    """
    import numpy as np

    most = np.zeros(len(at_s), np.bool_)
    kept = np.unique(due)
    if len(kept) < 2 or len(kept) - 1 > _SLOWER * (kept[-1] - kept[0]):
        return most
    unseen = np.ones(len(at_s), np.bool_)
    unseen[shown] = False
    for slots, phases, slack, has_to_prove in _ways(at_s, kept):
        begin = _begin(slots, phases, slack, kept)
        if begin is None:
            continue
        found = unseen & _has_one(slots - begin, slack, np.concatenate((kept, shown)))
        lost = unseen & ~found
        if has_to_prove and (lost.any() or np.count_nonzero(np.diff(kept) > 1) < _PROVEN):
            continue
        if found.sum() > most.sum():
            most = found
        if not lost.any():
            break
    return most


def _ways(at_s: Floats, kept: Places) -> Iterator[tuple[Floats, int, float, bool]]:
    """Yield for each way in which frames may have been left out each frame's time in slots.

    With it come how many beginnings of slots are to be told apart, what part of a slot is no time at all, and whether
    the way has to be proven.
    """
    import numpy as np

    steps = np.diff(kept)
    every = int(np.bincount(steps).argmax())
    if every > 1:
        yield np.arange(len(at_s)) / every, every, 0.0, False
    gaps_s, all_s = np.diff(at_s[kept]), np.diff(at_s)
    fast_s, mean_s = float(np.quantile(all_s, 0.1)), float(all_s.mean())
    fastest_s = max(1e-3, fast_s if fast_s < _VARIES * mean_s else mean_s)
    least = (1 - _NEAR) / max(1e-3, float(gaps_s.mean()))
    most = min((1 + _NEAR) / max(1e-3, float(np.quantile(gaps_s, 0.05))), _SLOWER / fastest_s)
    for rates, has_to_prove in ((_USUAL, False), (_OTHER, True)):
        for rate in rates:
            if least <= rate <= most:
                yield at_s * rate, _PHASES, _SAME_S * rate, has_to_prove


def _begin(slots: Floats, phases: int, slack: float, kept: Places) -> float | None:
    """Return where slots begin so that the fewest frames are in one without any that was kept.

    ``None`` says that frames were kept too often for slots of this length, wherever they begin.
    """
    import numpy as np

    # what stays for long is kept besides, or what came just before would stay
    stays = np.append(np.diff(slots), 0.0)[kept] >= 1
    best: tuple[int, int, float] | None = None
    own = slots[0] - 0.25  # where the plan's rule has it (plan/geometry.py)
    for phase in (own, *(np.arange(phases) + 0.5) / phases):
        shifted = slots - phase
        second = (np.diff(np.floor(shifted[kept])) == 0) & ~stays[1:]
        if second.sum() > 1 + _TWICE * len(kept):
            continue
        # of beginnings that do alike the one furthest from what was kept, whose times may be rounded
        empty, doubtful = (int((~_has_one(shifted, by, kept)).sum()) for by in (0.0, -slack))
        best = min(best or (empty, doubtful, float(phase)), (empty, doubtful, float(phase)))
    return None if best is None else best[2]


def _has_one(slots: Floats, slack: float, kept: Places) -> Flags:
    """Tell which frames are in a slot that has a kept one; below 0 ``slack`` is how far inside it has to be."""
    import numpy as np

    numbers = np.floor(slots).astype(np.int64)
    low = int(numbers.min()) - 1
    taken = np.zeros(int(numbers.max()) - low + 2, np.bool_)
    early, late = (np.floor(slots[kept] + by).astype(np.int64) - low for by in (-abs(slack), abs(slack)))
    if slack < 0:
        taken[early[early == late]] = True
    else:
        taken[early] = taken[late] = True
    return taken[numbers - low]
