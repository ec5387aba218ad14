"""What is wrong with the order and the times of an encode's pictures: lost, frozen, shifted. Pure."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import TYPE_CHECKING

from reelpress.facts.quality import Finding
from reelpress.facts.values import Value
from reelpress.quality.standing import frozen_frames
from reelpress.quality.telling import few, frames, runs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from reelpress.quality.align import Matched

# Rates that encoders cap at or convert to.
_RATES = tuple(Fraction(n, d) for n, d in ((24000, 1001), (24, 1), (25, 1), (30000, 1001), (30, 1), (50, 1), (60, 1)))
_RATE_SHARE = 0.004  # how near to one of them an average is
_SLOWER = 0.985  # an encode with less than this share of the reference's rate was meant to have fewer frames
_REGULAR = 0.9  # share of its steps that are alike where every n-th frame was kept
_SLOT = 2.3  # where one frame in a slot of time was kept they lie up to two slots apart


class Motion(Value, frozen=True, kw_only=True):
    """What the order of pictures says; ``lag_s`` is by how much most of them come early."""

    lag_s: float
    findings: tuple[Finding, ...]


def judge_motion(matched: Matched, *, frame_s: float, made_frame_s: float, is_all: bool) -> Motion:
    """Judge one stretch; ``is_all`` says that it is all of both files, whose ends then have to fit too."""
    import numpy as np

    shown, due = matched.shown, matched.due
    lags = matched.wanted.at_s[shown] - matched.wanted.at_s[due]
    values, counts = np.unique(np.round(shown - due).astype(np.int64), return_counts=True)
    usual = int(values[counts.argmax()])
    lag_s = float(np.median(lags[(shown - due) == usual]))
    frozen = frozen_frames(matched, frame_s)
    findings = [
        *_told_frozen(matched, frozen),
        *_told_lost(matched, frozen, frame_s, made_frame_s),
        *(_told_ends(matched, frame_s, made_frame_s) if is_all else ()),
        *_told_shift(matched, lags, usual, lag_s, frozen),
    ]
    return Motion(lag_s=lag_s, findings=tuple(findings))


def _commonest(numbers: NDArray[np.int64]) -> int:
    return int(Counter(numbers.tolist()).most_common(1)[0][0])


def _told_frozen(matched: Matched, frozen: NDArray[np.bool_]) -> list[Finding]:
    found = []
    for first, last in runs(frozen):
        count, at_s = last - first + 1, float(matched.made.at_s[first])
        text = f"{frames(count)} from {at_s:.2f} s on {'shows' if count == 1 else 'show'} the picture before once more."
        found.append(Finding(code="frozen", text=text, at_s=round(at_s, 3), evidence=f"{count} repeated"))
    return few(found, "Pictures stand still", counts=True)


def _told_lost(
    matched: Matched, frozen: NDArray[np.bool_], frame_s: float, made_frame_s: float
) -> list[Finding]:  # fmt: skip
    import numpy as np

    made_s, wanted_s = matched.made.at_s, matched.wanted.at_s
    skips = np.diff(matched.shown) - 1
    if not len(skips):
        return []
    legitimate = _legitimate(matched, skips, frame_s, made_frame_s)
    found = []
    stood = 0  # pictures that were repeated before: what is skipped then was never to be seen
    for number, skip in enumerate(skips, start=1):
        again = matched.shown[number] <= matched.shown[number - 1] and matched.due[number] > matched.due[number - 1]
        stood = stood + 1 if again or frozen[number] else stood
        more = int(skip) - int(legitimate[number - 1])
        if more <= 0:
            continue
        caught_up, stood = min(more, stood), max(0, stood - more)
        more -= caught_up
        first, last = int(matched.shown[number - 1]) + 1, int(matched.shown[number])
        if more <= 0 or _is_still(matched, first - 1, last):
            continue
        at_s = float(wanted_s[first])
        gap_ms = 1000 * float(made_s[number] - made_s[number - 1])
        text = f"{frames(more)} of the reference from {at_s:.2f} s on {'is' if more == 1 else 'are'} missing."
        found.append(
            Finding(code="frames_lost", text=text, at_s=round(at_s, 3), evidence=f"{more} lost, {gap_ms:.0f} ms apart")
        )
    return few(found, "Frames of the reference are missing", counts=True)


def _legitimate(
    matched: Matched, skips: NDArray[np.int64], frame_s: float, made_frame_s: float
) -> NDArray[np.int64]:  # fmt: skip
    """Return how many frames of the reference may lie between neighbours of the encode, for each pair of them."""
    import numpy as np

    made_s, wanted_s = matched.made.at_s, matched.wanted.at_s
    usual = max(0, _commonest(skips))
    allowed = np.full(len(skips), usual)
    span_made, span_wanted = float(made_s[-1] - made_s[0]), float(wanted_s[-1] - wanted_s[0])
    if span_made <= 0 or span_wanted <= 0:
        return allowed
    rate, wanted_rate = (len(made_s) - 1) / span_made, (len(wanted_s) - 1) / span_wanted
    fewer = rate < _SLOWER * wanted_rate
    capped = fewer and any(abs(rate / float(r) - 1) <= _RATE_SHARE for r in _RATES)
    regular = (skips == usual).sum() >= _REGULAR * len(skips)
    if fewer and (capped or not regular):
        slots = np.diff(made_s) <= _SLOT / rate
        allowed = np.where(slots, np.maximum(allowed, skips), allowed)
    # stretches in which the reference runs faster than the encode ever does: its rate is capped
    local_s = np.diff(wanted_s[matched.shown]) / np.maximum(1, skips + 1)
    faster = (skips > 0) & (local_s < 0.9 * made_frame_s) & (local_s < 0.9 * frame_s)
    return np.where(faster, np.maximum(allowed, skips), allowed)


def _is_still(matched: Matched, first: int, last: int) -> bool:
    """Tell whether the pictures between two are nothing but one of the two again, to the bit."""
    import numpy as np

    luma = matched.wanted.luma
    return all(
        np.array_equal(luma[n], luma[first]) or np.array_equal(luma[n], luma[last]) for n in range(first + 1, last)
    )


def _told_ends(matched: Matched, frame_s: float, made_frame_s: float) -> list[Finding]:
    found = []
    usual = max(1, round(made_frame_s / frame_s)) if frame_s and made_frame_s else 1
    first, last = int(matched.shown[0]), len(matched.wanted) - 1 - int(matched.shown[-1])
    if first > 0 and not _is_still(matched, 0, first):
        text = f"The first {frames(first).lower()} of the reference {'is' if first == 1 else 'are'} missing."
        found.append(Finding(code="frames_lost", text=text, at_s=0.0, evidence=f"{first} lost at the start"))
    if last >= usual and not _is_still(matched, int(matched.shown[-1]), len(matched.wanted) - 1):
        at_s = float(matched.wanted.at_s[int(matched.shown[-1]) + 1])
        text = f"The last {frames(last).lower()} of the reference {'is' if last == 1 else 'are'} missing."
        found.append(Finding(code="frames_lost", text=text, at_s=round(at_s, 3), evidence=f"{last} lost at the end"))
    return found


def _told_shift(
    matched: Matched, lags: NDArray[np.float64], usual: int, lag_s: float, frozen: NDArray[np.bool_]
) -> list[Finding]:  # fmt: skip
    """Tell where pictures come early or late for good: most of them, or all from some time on."""
    import numpy as np

    offsets = matched.shown - matched.due
    if usual:
        how = "early" if lag_s > 0 else "late"
        text = f"Pictures come {abs(lag_s) * 1000:.0f} ms {how} ({frames(abs(usual)).lower()})."
        return [Finding(code="video_shifted", text=text, evidence=f"{abs(usual)} frames {how}")]
    last = int(offsets[-1])
    if not last:
        return []
    begin = len(offsets) - int(np.argmax(offsets[::-1] != last))
    if len(offsets) - begin < 3 or frozen[begin:].all():
        return []
    moved_s = float(lags[begin])
    how = "early" if moved_s > 0 else "late"
    at_s = float(matched.made.at_s[begin])
    text = f"Pictures come {abs(moved_s) * 1000:.0f} ms {how} from {at_s:.2f} s on."
    return [Finding(code="video_shifted", text=text, at_s=round(at_s, 3), evidence=f"{abs(last)} frames {how}")]
