"""One comparison, step by step: look at both files, align them, prove the way of measuring, score."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from reelpress.facts.media import AudioTrack
from reelpress.facts.quality import Comparison, Finding, FrameScores, Measuring, SelfTest, Window
from reelpress.quality.align import Alignment, match, slack, usual_gap
from reelpress.quality.damage import judge_levels, judge_pictures, levels_of
from reelpress.quality.displaced import judge_place
from reelpress.quality.graph import (
    HALF_TICK_S,
    LEAD_S,
    SOUND_HZ,
    Side,
    Span,
    first_picture,
    listen,
    look,
    score,
    small_size,
    xpsnr,
)
from reelpress.quality.hearing import is_heard, judge_heard
from reelpress.quality.looking import MeasuringError, Runner, Seen, Times, read_seen, read_sound
from reelpress.quality.matrices import judge_matrix
from reelpress.quality.motion import judge_motion
from reelpress.quality.outliers import judge_colour_scores, judge_outliers
from reelpress.quality.selftest import SELF_FRAMES, judge_self
from reelpress.quality.sound import find_lag, judge_sound
from reelpress.quality.speed import find_speed, judge_speed
from reelpress.quality.views import View, judge_shape
from reelpress.quality.vmaf import LogReader, XpsnrReader, pool
from reelpress.quality.windows import choose_windows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Pair = tuple[Seen, Seen]  # of the encode and of the reference, on their programme's clocks


class Work:
    """What a comparison is about, how it is carried out, and what was found on the way."""

    def __init__(
        self, *, ffmpeg: str, runner: Runner, folder: Path, how: Measuring, view: View, encoded: Side, reference: Side,
        threads: int,
    ) -> None:  # fmt: skip
        self.ffmpeg, self.runner, self.folder, self.how, self.view = ffmpeg, runner, folder, how, view
        self.encoded, self.reference, self.threads = encoded, reference, threads
        self.findings: list[Finding] = []
        self.self_test: SelfTest | None = None
        self.looks = 0
        self.origins: dict[str, float] = {}  # when their first pictures are shown, on the clock they were looked at
        self.heard: dict[str, Path] = {}  # sound that was written along with a whole file's pictures

    def brought(self, side: Side, small: tuple[int, int] | None = None) -> Side:
        """Return a side with the filters that bring it to the compared size, or to one to look at."""
        name: Literal["reference", "encoded"] = "encoded" if side is self.encoded else "reference"
        return msgspec.structs.replace(side, filters=self.view.filters(name, small))

    def look_at(self, side: Side, window: Window | None) -> Seen:
        """Decode a file, or a stretch of it, small; of a whole file its sound, too."""
        self.looks += 1
        target = self.folder / f"look-{self.looks}"
        small = small_size(self.view)
        track = side.facts.main_audio if window is None else None
        argv = look(self.ffmpeg, self.brought(side, small), window, target, sound=track.index if track else None)
        self.runner.run(argv, f"{_who(self, side)} could not be decoded.", grows=target)
        if track is not None:
            self.heard[side.path] = target.with_name(f"{target.name}.sound")
        return read_seen(target, small)

    def first_picture_s(self, side: Side, *, as_written: bool = False) -> float:
        """Return when the first picture is shown, on the container's own clock, or as its edit list is written."""
        target = self.folder / "first.times"
        argv = first_picture(self.ffmpeg, side, target, as_written=as_written)
        self.runner.run(argv, f"{_who(self, side)} could not be decoded.")
        at_s = Times(target).at_s
        if not at_s:
            raise MeasuringError(f"{_who(self, side)} gave no picture.", reason="undecodable")
        return at_s[0]


def compare_pictures(work: Work, base: Comparison) -> Comparison:
    """Return a comparison with its scores. Raises :class:`MeasuringError` where they cannot be had or believed."""
    programme_s = _programme_s(work)
    windows = () if work.how.whole else work.how.windows or choose_windows(programme_s)
    pairs = _look(work, windows)
    alignment, findings = _align(pairs, is_all=not windows or work.how.look == "whole")
    if windows and work.how.look == "windows" and findings:
        # whether it is the encode or how it was sought is told by reading both from their beginnings
        work.how = msgspec.structs.replace(work.how, look="whole")
        pairs = _look(work, windows)
        alignment, findings = _align(pairs, is_all=True)
    sound_s, sound_findings = _listen(work, alignment)
    shape = judge_shape(work.reference.track, work.encoded.track)
    work.findings += [*shape, *findings, *sound_findings]
    runs: Sequence[Window | None] = windows or (None,)
    _prove(work, pairs, runs)
    scored = [_score(work, pairs, window, alignment) for window in runs]
    by_frame = _together(scored)
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


def _who(work: Work, side: Side) -> str:
    return "The encode" if side.path == work.encoded.path else "The reference"


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
            raise MeasuringError(f"{_who(work, side)} gave no picture.", reason="undecodable")
    origins = float(made.at_s[0]), float(wanted.at_s[0])
    work.origins = dict(zip((work.encoded.path, work.reference.path), origins, strict=True))
    return [(made.moved(-origins[0]), wanted.moved(-origins[1]))]


def _align(pairs: Sequence[Pair], *, is_all: bool) -> tuple[Alignment, list[Finding]]:
    """Match what was seen, and judge it."""
    full = [(made, wanted) for made, wanted in pairs if len(made) and len(wanted)]
    if not full:
        raise MeasuringError("There is no picture where it was to be measured.", reason="no_frames")
    made_s, wanted_s = usual_gap([made for made, _ in full]), usual_gap([wanted for _, wanted in full])
    slack_s = slack(made_s, wanted_s)
    matched = [match(made, wanted, slack_s) for made, wanted in full]
    levels = levels_of(matched)
    findings = judge_levels(levels)
    if findings:
        matched = [match(made, wanted, slack_s, levels) for made, wanted in full]
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
    work.runner.run(argv, f"The sound of {_who(work, side).lower()} could not be decoded.", grows=target)
    return read_sound(target)


def _prove(work: Work, pairs: Sequence[Pair], runs: Sequence[Window | None]) -> None:
    """Score the reference against itself, a few frames of every stretch on the way that the encode will go.

    Raises :class:`MeasuringError` where identical pictures are not found identical.
    """
    frames, scores = 0, []
    reference = work.brought(work.reference)
    for number, window in enumerate(runs):
        wanted = pairs[min(number, len(pairs) - 1)][1].at_s
        from_s = window.start_s - HALF_TICK_S if window is not None else 0.0
        to_s = from_s + window.duration_s if window is not None else float("inf")
        inside = [float(t) for t in wanted if from_s <= t < to_s][:SELF_FRAMES]
        if not inside:
            continue
        reader = LogReader()
        argv = score(
            work.ffmpeg, reference, reference, work.view, window, work.folder,
            Span(late_s=_EXACT_S, from_s=inside[0], until_s=inside[-1]), threads=work.threads,
        )  # fmt: skip
        work.runner.run(argv, "The reference could not be scored against itself.", on_line=reader.feed)
        made, again = Times(work.folder / "made.times"), Times(work.folder / "wanted.times")
        found = judge_self(reader, made, again, expected_s=inside, late_s=_EXACT_S, pix_fmt=work.view.pix_fmt)
        frames += found.frames
        scores += list(reader.column("vmaf"))
        mean = round(sum(scores) / len(scores), 3) if scores else None
        work.self_test = msgspec.structs.replace(found, frames=frames, vmaf=mean)
        if not found.passed:
            raise MeasuringError(
                "The reference against itself is not what identical pictures are.", evidence=found.why_not,
                reason="self_test",
            )  # fmt: skip
    if work.self_test is None:
        raise MeasuringError("The reference has no picture where it was to be measured.", reason="no_frames")


_EXACT_S = 0.0002  # lest rounding puts a frame before itself


class _Scored:
    def __init__(self, at_s: list[float], reader: LogReader, leads: int = 0) -> None:
        all_frames = reader.scores(at_s)
        names = ("at_s", "vmaf", "psnr_y_db", "psnr_cb_db", "psnr_cr_db")
        self.frames = FrameScores(**{name: getattr(all_frames, name)[leads:] for name in names})
        self.ssim = reader.column("float_ssim")[leads:]
        self.xpsnr: tuple[float, ...] = ()


def _score(work: Work, pairs: Sequence[Pair], window: Window | None, alignment: Alignment) -> _Scored:
    """Score one stretch. Raises :class:`MeasuringError` where other frames were compared than should have been."""
    expected, leads = _to_score(pairs, window, alignment)
    if not expected:
        return _Scored([], LogReader())
    encoded = work.brought(work.encoded)
    reference = work.brought(work.reference)
    reader = LogReader()
    features = ("psnr", "float_ssim") if work.how.ssim else ("psnr",)
    span = Span(late_s=alignment.late_s, from_s=expected[0], until_s=expected[-1])
    place = (work.ffmpeg, encoded, reference, work.view, window, work.folder, span)
    argv = score(*place, threads=work.threads, features=features, every=work.how.every)
    work.runner.run(argv, "The encode could not be scored.", on_line=reader.feed)
    made, wanted = Times(work.folder / "made.times"), Times(work.folder / "wanted.times")
    times = [t - alignment.late_s for t in made.at_s]
    off_s = max((abs(a - b) for a, b in zip(times, expected, strict=False)), default=0.0)
    numbers = reader.numbers()
    right = len(times) == len(expected) and off_s < _SAME_S and wanted.at_s[:1] <= made.at_s[:1]
    if not right or numbers != tuple(range(0, len(times), work.how.every)):
        told = f"{len(expected)} frames to compare, {len(times)} came, {len(numbers)} scored, {off_s * 1000:.1f} ms off"
        where = f" at {window.start_s:.1f} s" if window is not None else ""
        raise MeasuringError(
            f"Other frames were compared{where} than should have been.", evidence=told, reason="pairing"
        )  # fmt: skip
    found = _Scored([round(max(0.0, times[n]) + alignment.lag_s, 6) for n in numbers], reader, leads)
    if work.how.xpsnr:
        lines = XpsnrReader()
        work.runner.run(xpsnr(*place), "XPSNR could not be measured.", on_line=lines.feed)
        found.xpsnr = tuple(lines.luma_db[n] for n in numbers if n < len(lines.luma_db))[leads:]
    return found


_SAME_S = 0.0015  # times that are told apart by less are one: Matroska rounds to milliseconds


def _to_score(pairs: Sequence[Pair], window: Window | None, alignment: Alignment) -> tuple[list[float], int]:
    """Return the times of the encode's frames to compare, on its own clock, and how many of them only lead there.

    They are all for which the reference has a picture. VMAF takes the first frame of all for one without movement, so
    a window begins with the frame before it, whose score is thrown away.
    """
    found: list[float] = []
    leads = 0
    for made, wanted in pairs:
        if not len(made) or not len(wanted):
            continue
        first, last = float(wanted.at_s[0]), float(wanted.at_s[-1]) + alignment.frame_s
        times = [float(t) for t in made.at_s if first <= t + alignment.late_s and t + alignment.lag_s <= last]
        if window is None:
            return times, 0
        begin_s = window.start_s - HALF_TICK_S
        inside = [t for t in times if begin_s <= t < begin_s + window.duration_s]
        before = [t for t in times if begin_s - LEAD_S <= t < begin_s][-1:]
        if inside:
            found, leads = [*before, *inside], len(before)
    return found, leads


def _together(scored: Sequence[_Scored]) -> FrameScores:
    names = ("at_s", "vmaf", "psnr_y_db", "psnr_cb_db", "psnr_cr_db")
    return FrameScores(**{name: tuple(v for one in scored for v in getattr(one.frames, name)) for name in names})
