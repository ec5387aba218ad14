"""The worst frames of an encode beside the reference's, as pictures for the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from reelpress.errors import ReelpressError
from reelpress.facts.formats import QUIET
from reelpress.facts.media import MediaFacts, VideoTrack
from reelpress.facts.quality import Comparison, FrameScores, Window
from reelpress.facts.values import Value
from reelpress.plan.colour import players_guess
from reelpress.quality.graph import BEFORE_S, HALF_TICK_S, Side, first_picture, input_args
from reelpress.quality.looking import Times
from reelpress.quality.views import View, decide_view
from reelpress.run.process import CancelToken, Limits, run

MOST_FRAMES = 4
_LIMITS = Limits(wall_s=120, stall_s=60)
_FAR_S = 60.0  # how far back a picture is looked for before all that comes before it is read
_BT601 = frozenset({"bt601", "smpte170m", "bt470bg"})
_JPEG_Q = "3"  # of 2 to 31: marks of JPEG itself must not be taken for the encode's


class WorstFrame(Value, frozen=True, kw_only=True):
    """One frame to be shown; times are in seconds from the reference's first picture."""

    at_s: float
    vmaf: float
    psnr_y_db: float | None = None


class Pictures(Value, frozen=True, kw_only=True):
    """A frame of the encode and what the reference shows at its time, as JPEG at the compared size."""

    frame: WorstFrame
    reference: bytes
    encoded: bytes


class PictureError(ReelpressError):
    """A frame could not be taken out of a video; the report goes without it."""

    code = "picture_failed"


def worst_frames(scores: FrameScores, most: int = MOST_FRAMES) -> tuple[WorstFrame, ...]:
    """Return the frames with the lowest VMAF, none close to another: a bad second is one place, not thirty. Pure."""
    if not scores.at_s:
        return ()
    apart_s = max(1.0, (scores.at_s[-1] - scores.at_s[0]) / (4 * most))
    chosen: list[int] = []
    for n in sorted(range(len(scores.at_s)), key=lambda n: (scores.vmaf[n], scores.at_s[n])):
        if all(abs(scores.at_s[n] - scores.at_s[other]) >= apart_s for other in chosen):
            chosen.append(n)
        if len(chosen) == most:
            break
    return tuple(
        WorstFrame(
            at_s=scores.at_s[n], vmaf=scores.vmaf[n], psnr_y_db=scores.psnr_y_db[n] if scores.psnr_y_db else None
        )
        for n in chosen
    )


def take_pictures(
    ffmpeg: str,
    comparison: Comparison,
    reference: MediaFacts,
    encoded: MediaFacts,
    frames: Sequence[WorstFrame],
    folder: Path,
    *,
    cancel: CancelToken | None = None,
) -> tuple[Pictures, ...]:
    """Take frames out of both files, prepared as they were compared; one that cannot be had is left out.

    Raises :class:`PictureError` where a file gives no picture at all.
    """
    tracks = reference.main_video, encoded.main_video
    if tracks[0] is None or tracks[1] is None:
        return ()
    view = decide_view(tracks[0], tracks[1], comparison.how)
    if not isinstance(view, View):
        return ()
    sides = [
        _opened(ffmpeg, file.path, facts, track, steps(view.width, view.height), folder, cancel)
        for file, facts, track, steps in (
            (comparison.reference, reference, tracks[0], view.reference),
            (comparison.encoded, encoded, tracks[1], view.encoded),
        )
    ]
    matrix = _matrix(tracks[0])
    # containers round times each in their own way: less than a quarter of a frame is no other frame
    slack_s = 0.25 / float(tracks[0].fps_avg or 25)
    taken = []
    for frame in frames:
        # the scores' times are those of the encode's frames, where they belong in the reference: later by the lag
        try:
            wanted = _shown_at(ffmpeg, sides[0], frame.at_s, slack_s, folder, matrix, cancel)
            made = _shown_at(ffmpeg, sides[1], frame.at_s - comparison.lag_s, HALF_TICK_S, folder, matrix, cancel)
        except PictureError:
            continue
        taken.append(Pictures(frame=frame, reference=wanted, encoded=made))
    return tuple(taken)


def _opened(
    ffmpeg: str, path: str, facts: MediaFacts, track: VideoTrack, filters: str, folder: Path, cancel: CancelToken | None
) -> Side:
    side = Side(path=path, facts=facts, track=track, filters=filters)
    target = folder / "picture.times"
    done = run(first_picture(ffmpeg, side, target), limits=_LIMITS, cancel=cancel)
    at_s = Times(target).at_s if done.returncode == 0 else []
    if not at_s:
        raise PictureError("A video gave no picture.", evidence=done.last_words("no frame"))
    return msgspec.structs.replace(side, first_s=at_s[0])


def _matrix(track: VideoTrack) -> str:
    """Return the matrix of what a track was brought to: BT.601's is kept, all else is or becomes BT.709's."""
    said = track.colour.matrix
    if said is None and track.chroma != "rgb":
        return "bt601" if players_guess(track.width, track.height) in _BT601 else "bt709"
    return "bt601" if said in _BT601 else "bt709"


def _shown_at(
    ffmpeg: str, side: Side, at_s: float, slack_s: float, folder: Path, matrix: str, cancel: CancelToken | None
) -> bytes:
    """Return the frame that is on the screen at a time: of those up to then and ``slack_s`` more, the last."""
    target = folder / "picture.jpg"
    target.unlink(missing_ok=True)
    until = f"trim=end={max(0.0, at_s) + slack_s:.6f}"
    # JPEG's samples are of full range and, by JFIF, of BT.601's matrix
    # (of primaries and curves FFmpeg must know nothing here: it would convert them, too)
    untagged = "setparams=colorspace=unknown:color_primaries=unknown:color_trc=unknown"
    jpeg = f"{untagged},scale=in_range=tv:out_range=pc:in_color_matrix={matrix}:out_color_matrix=bt601,format=yuvj444p"
    told = "no frame"
    # a picture may stay on the screen for long: what is shown may be from the very beginning
    for before_s in (BEFORE_S, _FAR_S, max(_FAR_S, at_s)):
        name, cut = input_args(side, Window(start_s=max(0.0, at_s), duration_s=slack_s), before_s=before_s)
        done = run(
            (
                ffmpeg, *QUIET, "-y", *name,
                "-filter_complex", f"[0:{side.track.index}]{','.join((*cut, side.filters, until, jpeg))}[picture]",
                "-map", "[picture]", "-fps_mode", "passthrough", "-c:v", "mjpeg", "-q:v", _JPEG_Q, "-f", "image2",
                "-update", "1", f"file:{target}",
            ),
            limits=_LIMITS, cancel=cancel,
        )  # fmt: skip
        told = done.last_words("no frame")
        if done.returncode == 0 and target.exists():
            return target.read_bytes()
        if before_s >= at_s:
            break
    raise PictureError(f"The frame at {at_s:.2f} s could not be taken out.", evidence=told)
