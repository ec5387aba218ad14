"""How much of its input an output must hold, and how much less what the input's decoders gave excuses. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from reelpress.facts.media import AudioTrack
from reelpress.plan.model import Expectation
from reelpress.run.report import DecodeReport

# Where damage is seen: a picture that is lost takes those along that are shown before it and built on it.
EXCUSED_S = 1.0
# Of what nobody counted so much may be lost to damage.
UNCOUNTED_SHARE = 0.1


def frames_given(expect: Expectation, report: DecodeReport | None) -> int | None:
    """Return how many frames the plan leaves of those that the decoder gave, ``None`` where that is not known."""
    if report is None or expect.frames_every is None:
        return None
    return ceil(report.frames / expect.frames_every)


def frames_due(expect: Expectation, report: DecodeReport | None, *, damaged: bool) -> tuple[int, int] | None:
    """Return how many frames there are at least and at most, ``None`` where nobody knows."""
    given = frames_given(expect, report)
    if expect.frames is None:
        least = least_frames(expect, report)
        return None if expect.frames_at_most is None else (least or 1, expect.frames_at_most)
    if given is None:
        return None if damaged else (expect.frames, expect.frames)
    due = min(expect.frames, given)
    return due, due


def least_frames(expect: Expectation, report: DecodeReport | None) -> int | None:
    """Return how many frames there are at least where they are kept by their times, ``None`` where nobody knows."""
    least = expect.frames_at_least
    if least is None or report is None or report.frames >= report.packets:
        return least
    # with the first frames goes what their times are counted from: two that had a slot each may share one
    return max(1, (least - (report.packets - report.frames)) // 2)


def lost_pictures(expect: Expectation, report: DecodeReport | None) -> float | None:
    """Return the share of its pictures that the input's decoder did not give, ``None`` where that is not known."""
    if report is None:
        return None
    given = frames_given(expect, report)
    if given is not None and expect.frames:
        return max(0.0, 1 - given / expect.frames)
    return max(0.0, 1 - report.frames / report.packets) if report.packets else 0.0


def lost_sound(want_s: float, heard_s: float | None) -> float | None:
    """Return the share of a sound that the input's decoder did not give, ``None`` where that is not known."""
    return None if heard_s is None or want_s <= 0 else max(0.0, 1 - heard_s / want_s)


def excused_s(want_s: float, lost: float | None) -> float:
    """Return how many seconds of ``want_s`` may be missing of a damaged input that lost this share of it.

    What is lost may be shown for twice as long as what is not.
    """
    return EXCUSED_S + want_s * (UNCOUNTED_SHARE if lost is None else min(1.0, 2 * lost))


def missing_s(
    expect: Expectation,
    report: DecodeReport | None,
    sound: AudioTrack | None,
    samples: Mapping[int, int],
    *,
    damaged: bool,
) -> tuple[float, float]:
    """Return how many seconds of the pictures and of ``sound`` may be missing.

    ``samples`` are how many the decoders gave, by stream. The last packets of an input that is whole may hold no new
    picture, too.
    """
    lost = lost_pictures(expect, report)
    pictures_s = excused_s(expect.duration_s or 0.0, lost) if damaged or lost else 0.0
    if not damaged or sound is None or sound.duration_s is None:
        return pictures_s, 0.0
    return pictures_s, excused_s(sound.duration_s, lost_sound(sound.duration_s, heard_s(sound, samples)))


def heard_s(sound: AudioTrack, samples: Mapping[int, int]) -> float | None:
    """Return how many seconds of a sound its decoder gave, ``None`` where nobody counted: of one that was copied."""
    count = samples.get(sound.index)
    return None if count is None or not sound.sample_rate_hz else count / sound.sample_rate_hz
