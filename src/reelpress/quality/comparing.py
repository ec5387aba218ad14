"""One comparison, step by step: look at both files, align them, prove the way of measuring, score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from reelpress.facts.media import AudioTrack
from reelpress.facts.quality import Comparison, Finding, Window
from reelpress.quality.align import Alignment, match, slack, usual_gap
from reelpress.quality.damage import judge_levels, judge_pictures, levels_of
from reelpress.quality.displaced import judge_place
from reelpress.quality.graph import (
    SOUND_HZ,
    Side,
    listen,
)
from reelpress.quality.hearing import is_heard, judge_heard
from reelpress.quality.looking import MeasuringError, read_sound
from reelpress.quality.matrices import judge_matrix
from reelpress.quality.motion import judge_motion
from reelpress.quality.outliers import judge_colour_scores, judge_outliers
from reelpress.quality.scored import prove, score_stretch, together
from reelpress.quality.sound import find_lag, judge_sound
from reelpress.quality.speed import find_speed, judge_speed
from reelpress.quality.views import judge_shape
from reelpress.quality.vmaf import pool
from reelpress.quality.windows import choose_windows
from reelpress.quality.work import Pair, Run, Work

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def compare_pictures(work: Work, base: Comparison) -> Comparison:
    """Return a comparison with its scores. Raises :class:`MeasuringError` where they cannot be had or believed."""
    programme_s = _programme_s(work)
    windows = () if work.how.whole else work.how.windows or choose_windows(programme_s)
    pairs = _look(work, windows)
    alignment, findings = _align(pairs, is_all=not windows or work.how.look == "whole", go_on=work.runner.go_on)
    if windows and work.how.look == "windows" and findings:
        # whether it is the encode or how it was sought is told by reading both from their beginnings
        work.how = msgspec.structs.replace(work.how, look="whole")
        pairs = _look(work, windows)
        alignment, findings = _align(pairs, is_all=True, go_on=work.runner.go_on)
    sound_s, sound_findings = _listen(work, alignment)
    shape = judge_shape(work.reference.track, work.encoded.track)
    work.findings += [*shape, *findings, *sound_findings]
    # looks at two windows may overlap: each window has its own, and all have one of the whole
    of_each = pairs if len(pairs) == len(windows) else pairs * max(1, len(windows))
    runs: list[Run] = list(zip(windows or (None,), of_each, strict=True))
    prove(work, runs)
    scored = [score_stretch(work, run, alignment) for run in runs]
    by_frame = together(scored)
    if not by_frame.vmaf:
        raise MeasuringError("No frame could be scored.", reason="no_frames")
    if not any(one.severity == "damage" for one in work.findings):  # which would be told twice
        work.findings += [*judge_colour_scores(by_frame), *judge_outliers(by_frame, [wanted for _, wanted in pairs])]
    at_s = by_frame.at_s
    more: dict[str, object] = {}
    if work.how.ssim:
        more["ssim"] = pool([100 * value for one in scored for value in one.ssim], at_s)
    if work.how.xpsnr:
        more["xpsnr_db"] = pool([value for one in scored for value in one.xpsnr], at_s)
    shown = windows or (Window(start_s=0.0, duration_s=round(programme_s, 3)),)
    return msgspec.structs.replace(
        base, verdict="measured", windows=shown, scored_s=round(sum(w.duration_s for w in shown), 3),
        programme_s=round(programme_s, 3), frames=len(at_s), looked_frames=sum(len(made) for made, _ in pairs),
        vmaf=pool(by_frame.vmaf, at_s), psnr_y_db=pool(by_frame.psnr_y_db, at_s),
        psnr_cb_db=pool(by_frame.psnr_cb_db, at_s), psnr_cr_db=pool(by_frame.psnr_cr_db, at_s), by_frame=by_frame,
        self_test=work.self_test, lag_s=round(alignment.lag_s, 4),
        sound_lag_s=None if sound_s is None else round(sound_s, 4), findings=tuple(work.findings), **more,
    )  # fmt: skip


def _programme_s(work: Work) -> float:
    known = (work.reference.track.duration_s, work.reference.facts.duration_s, work.encoded.facts.duration_s)
    return next((value for value in known if value is not None), 0.0)


def _look(work: Work, windows: Sequence[Window]) -> list[Pair]:
    """Look at both files, and set the clocks of both sides by their first pictures."""
    if windows:
        work.encoded, work.reference = (
            msgspec.structs.replace(side, first_s=work.first_picture_s(side)) for side in (work.encoded, work.reference)
        )
        if work.how.look == "windows":
            return [(work.look_at(work.encoded, w), work.look_at(work.reference, w)) for w in windows]
    made, wanted = work.look_at(work.encoded, None), work.look_at(work.reference, None)
    for seen, side in ((made, work.encoded), (wanted, work.reference)):
        if not len(seen):
            raise MeasuringError(f"{work.name_of(side)} gave no picture.", reason="undecodable")
    origins = float(made.at_s[0]), float(wanted.at_s[0])
    work.origins = dict(zip((work.encoded.path, work.reference.path), origins, strict=True))
    return [(made.moved(-origins[0]), wanted.moved(-origins[1]))]


def _align(pairs: Sequence[Pair], *, is_all: bool, go_on: Callable[[], None]) -> tuple[Alignment, list[Finding]]:
    """Match what was seen, and judge it."""
    full = [(made, wanted) for made, wanted in pairs if len(made) and len(wanted)]
    if not full:
        raise MeasuringError("There is no picture where it was to be measured.", reason="no_frames")
    made_s, wanted_s = usual_gap([made for made, _ in full]), usual_gap([wanted for _, wanted in full])
    slack_s = slack(made_s, wanted_s)
    matched = [match(made, wanted, slack_s, go_on=go_on) for made, wanted in full]
    levels = levels_of(matched)
    findings = judge_levels(levels)
    if findings:
        matched = [match(made, wanted, slack_s, levels, go_on) for made, wanted in full]
    else:
        levels = (1.0, 0.0)
    motions = [judge_motion(one, frame_s=wanted_s, made_frame_s=made_s, is_all=is_all) for one in matched]
    findings += [finding for motion in motions for finding in motion.findings]
    findings += [*judge_pictures(matched, levels), *judge_matrix(matched), *judge_place(matched)]
    lags = sorted(motion.lag_s for motion in motions)
    lag_s = lags[len(lags) // 2]
    return Alignment(lag_s=lag_s, slack_s=slack_s, frame_s=wanted_s or 0.04, made_frame_s=made_s or 0.04), findings


def _listen(work: Work, alignment: Alignment) -> tuple[float | None, list[Finding]]:
    """Return by how much the encode's sound comes early against its pictures, and what is wrong with that."""
    wanted, made = work.reference.facts.main_audio, work.encoded.facts.main_audio
    if wanted is None or made is None:
        if wanted is not None:
            heard = is_heard(_sound(work, work.reference, wanted), SOUND_HZ)
            severity: Literal["damage", "note"] = "damage" if heard else "note"
            return None, [Finding(code="sound_missing", text="The encode has no sound.", severity=severity)]
        return None, []
    parts = _sound(work, work.encoded, made), _sound(work, work.reference, wanted)
    lag = find_lag(parts[0], parts[1], SOUND_HZ)
    if not lag.is_clear and (other := judge_speed(find_speed(parts[0], parts[1], SOUND_HZ))):
        return None, other
    containers = work.encoded.facts.container, work.reference.facts.container
    about = (lag, alignment.lag_s, (made, wanted), containers, alignment.made_frame_s)
    off_s, findings = judge_sound(*about)
    if any(one.code == "sound_shifted" for one in findings):
        misread_s = _misread_s(work, work.encoded), _misread_s(work, work.reference)
        off_s, findings = judge_sound(*about, misread_s)
    return off_s, [*findings, *judge_heard(*parts, SOUND_HZ, lag.lag_s)]


def _misread_s(work: Work, side: Side) -> float:
    """Return by how much FFmpeg puts a side's pictures too early: where its edit list begins within a picture."""
    edits = [edit for edit in side.track.edits if edit.media_time_s is not None]
    if len(edits) != 1:
        return 0.0
    return work.first_picture_s(side, as_written=True) - work.first_picture_s(side)


def _sound(work: Work, side: Side, track: AudioTrack) -> NDArray[np.int16]:
    """Return a file's sound from its first picture on, as it was heard along with the pictures or by itself."""
    along = work.heard.get(side.path)
    if along is not None:
        return read_sound(along)[round(work.origins[side.path] * SOUND_HZ) :]
    target = work.folder / f"sound-{'made' if side is work.encoded else 'wanted'}"
    argv = listen(work.ffmpeg, side, track.index, target)
    work.runner.run(argv, f"The sound of {work.name_of(side).lower()} could not be decoded.", grows=target)
    return read_sound(target)
