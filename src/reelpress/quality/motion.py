"""What is wrong with the order and the times of an encode's pictures: lost, frozen, shifted. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reelpress.facts.quality import Finding
from reelpress.facts.values import Value
from reelpress.quality.evenly import left_out_evenly
from reelpress.quality.standing import frozen_frames
from reelpress.quality.telling import few, frames, runs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from reelpress.quality.align import Matched

_SLOT = 2.3  # of a burst that is faster than the encode ever is, neighbours lie up to two slots apart
_END_SHARE = 0.75  # of the encode's frame: a picture that comes sooner after its last has no place of its own


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
    even = left_out_evenly(matched.wanted.at_s, due, shown)
    findings = [
        *_told_frozen(matched, frozen),
        *_told_lost(matched, frozen, even, frame_s, made_frame_s),
        *(_told_ends(matched, even, made_frame_s) if is_all else ()),
        *_told_shift(matched, lags, usual, lag_s, frozen),
    ]
    return Motion(lag_s=lag_s, findings=tuple(findings))


def _told_frozen(matched: Matched, frozen: NDArray[np.bool_]) -> list[Finding]:
    found = []
    for first, last in runs(frozen):
        count, at_s = last - first + 1, float(matched.made.at_s[first])
        text = f"{frames(count)} from {at_s:.2f} s on {'shows' if count == 1 else 'show'} the picture before once more."
        found.append(Finding(code="frozen", text=text, at_s=round(at_s, 3), evidence=f"{count} repeated"))
    return few(found, "Pictures stand still", counts=True)


def _told_lost(
    matched: Matched, frozen: NDArray[np.bool_], even: NDArray[np.bool_], frame_s: float, made_frame_s: float
) -> list[Finding]:  # fmt: skip
    import numpy as np

    made_s, wanted_s = matched.made.at_s, matched.wanted.at_s
    skips = np.diff(matched.shown) - 1
    if not len(skips):
        return []
    faster = _is_faster(matched, skips, frame_s, made_frame_s)
    found = []
    stood = 0  # pictures that were repeated before: what is skipped then was never to be seen
    for number, skip in enumerate(skips, start=1):
        again = matched.shown[number] <= matched.shown[number - 1] and matched.due[number] > matched.due[number - 1]
        stood = stood + 1 if again or frozen[number] else stood
        if skip <= 0 or faster[number - 1]:
            continue
        first, last = int(matched.shown[number - 1]) + 1, int(matched.shown[number])
        more = int(skip) - int(even[first:last].sum())
        if more <= 0:
            continue
        caught_up, stood = min(more, stood), max(0, stood - more)
        more -= caught_up
        if more <= 0 or _is_still(matched, range(first, last), (first - 1, last)):
            continue
        at_s = float(wanted_s[first])
        gap_ms = 1000 * float(made_s[number] - made_s[number - 1])
        text = f"{frames(more)} of the reference from {at_s:.2f} s on {'is' if more == 1 else 'are'} missing."
        found.append(
            Finding(code="frames_lost", text=text, at_s=round(at_s, 3), evidence=f"{more} lost, {gap_ms:.0f} ms apart")
        )
    return few(found, "Frames of the reference are missing", counts=True)


def _is_faster(
    matched: Matched, skips: NDArray[np.int64], frame_s: float, made_frame_s: float
) -> NDArray[np.bool_]:  # fmt: skip
    """Tell between which neighbours of the encode the reference runs faster than the encode ever does: it is capped."""
    import numpy as np

    apart_s = np.diff(matched.wanted.at_s[matched.shown])
    local_s = apart_s / np.maximum(1, skips + 1)
    fast = (skips > 0) & (local_s < 0.9 * made_frame_s) & (local_s < 0.9 * frame_s)
    return np.asarray(fast & (apart_s <= _SLOT * made_frame_s), np.bool_)


def _is_still(matched: Matched, lost: range, kept: tuple[int, ...]) -> bool:
    """Tell whether lost pictures are nothing but one of those that were kept beside them again, to the bit."""
    import numpy as np

    luma = matched.wanted.luma
    return all(any(np.array_equal(luma[n], luma[other]) for other in kept) for n in lost)


def _told_ends(matched: Matched, even: NDArray[np.bool_], made_frame_s: float) -> list[Finding]:
    """Tell what is missing before the first picture that was kept, and after the last.

    Pictures that the last one of the encode stands for are a matter of what is frozen, and those that come sooner
    after it than the encode's next could be of no rate's.
    """
    found = []
    wanted_s, shown = matched.wanted.at_s, matched.shown
    first, last = int(shown[0]), int(shown[-1])
    before, after = range(first), range(last + 1, len(wanted_s))
    lost = len(before) - int(even[:first].sum())
    if lost > 0 and not _is_still(matched, before, (first,)):
        text = f"The first {frames(lost).lower()} of the reference {'is' if lost == 1 else 'are'} missing."
        found.append(Finding(code="frames_lost", text=text, at_s=0.0, evidence=f"{lost} lost at the start"))
    lost = len(after) - int(even[last + 1 :].sum()) - _stands_at_end(matched)
    late_s = float(wanted_s[-1] - wanted_s[last])
    if lost > 0 and late_s > _END_SHARE * made_frame_s and not _is_still(matched, after, (last,)):
        at_s = float(wanted_s[last + 1])
        text = f"The last {frames(lost).lower()} of the reference {'is' if lost == 1 else 'are'} missing."
        found.append(Finding(code="frames_lost", text=text, at_s=round(at_s, 3), evidence=f"{lost} lost at the end"))
    return found


def _stands_at_end(matched: Matched) -> int:
    """Return for how many of the encode's last frames the picture is one that was shown before, when another is due."""
    import numpy as np

    moves = (np.diff(matched.shown) > 0) | (np.diff(matched.due) <= 0)
    return int(np.argmax(moves[::-1])) if moves.any() else 0


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
