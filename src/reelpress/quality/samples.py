"""Samples of a source: short stretches as an encoder would be given them, kept without loss so that trials are cheap.

A trial then decodes neither the source nor what lies before a stretch, and frames of encode and reference are the same
frames without any doubt about time. A sample is longer than its stretch by a tail that is encoded and not looked at:
encoders spend less on what nothing after it refers to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from reelpress.errors import Cancelled, ReelpressError
from reelpress.facts.formats import OUR_MP4, QUIET, container_args, protocol_whitelist
from reelpress.facts.media import MediaFacts, VideoTrack
from reelpress.facts.quality import Window
from reelpress.facts.values import Value
from reelpress.plan.model import Expectation
from reelpress.plan.stretch_place import stretch_place
from reelpress.quality.packets import media_bytes, packet_table
from reelpress.quality.vmaf import too_small
from reelpress.run.process import CancelToken, Finished, Limits, run

_LIMITS = Limits(wall_s=600, stall_s=120)
# fine enough for every rate in use, and what the product's own outputs are counted in at most
TIMESCALE = 90_000
# Six stretches of 2 s of a film (24 frames a second), encoded with x264, x265 and SVT-AV1, against the same frames in
# encodes of the whole: without a tail VMAF was 0.2 to 1.1 too low and bytes 4 to 29 % too few; with 12 frames at most
# 0.2 and 15 %, with 24 at most 0.05 and 3 %.
TAIL_FRAMES = 25
_SHORTEST_TAIL_S, LONGEST_TAIL_S = 0.8, 2.5
MAX_PIXELS = 8192 * 8192  # as a request's default


class Sample(Value, frozen=True, kw_only=True):
    """One stretch of a source, prepared and without loss, in a file of ours (MP4, H.264 at QP 0, one track).

    ``frames`` and ``seconds`` are of the stretch, ``coded_*`` of the file with its tail. ``whole`` says that it is all
    of the programme.
    """

    path: str
    window: Window  # in the source
    frames: int
    seconds: float
    coded_frames: int
    coded_seconds: float
    size_bytes: int
    whole: bool


class SampleError(ReelpressError):
    """A stretch of the source could not be decoded, or holds no picture, or no time; nothing can be said from it."""

    code = "sample_failed"


def refuse_small(expect: Expectation) -> None:
    """Raise :class:`SampleError` where samples of a plan's pictures could not be scored."""
    why = too_small(expect.width, expect.height)
    if why is not None:
        raise SampleError(why)


def cut_samples(
    ffmpeg: str,
    source: Path,
    facts: MediaFacts,
    windows: Sequence[Window],
    folder: Path,
    *,
    filters: str,
    pix_fmt: str,
    tail_s: float | None = None,
    max_pixels: int = MAX_PIXELS,
    most_bytes: int | None = None,
    cancel: CancelToken | None = None,
    spend: Callable[[float], None],
) -> tuple[Sample, ...]:
    """Cut stretches out of a source into ``folder``, through these filters, and keep them without loss.

    ``filters`` are what an encoder's pictures go through in software: :func:`reelpress.quality.trial.software_filters`.
    Places are found by :func:`reelpress.plan.stretch_place.stretch_place`; all frames are whole. ``tail_s``
    follows the frame rate. ``most_bytes`` is what all samples together may take. ``spend`` is told CPU seconds. Raises
    :class:`SampleError`, and :class:`Cancelled`.
    """
    track = facts.main_video
    if track is None:
        raise SampleError("There is no video to take samples of.")
    tail = usual_tail_s(track) if tail_s is None else tail_s
    made: list[Sample] = []
    left = most_bytes
    for number, window in enumerate(windows):
        path = folder / f"sample-{number}.mp4"
        args = _command(ffmpeg, source, facts, track, window, path, filters, pix_fmt, tail, max_pixels)
        limits = Limits(wall_s=_LIMITS.wall_s, stall_s=_LIMITS.stall_s, file_size_bytes=left)
        done = run(args, limits=limits, cancel=cancel)
        spend(done.cpu_s)
        refuse_cancelled(done)
        if done.returncode != 0:
            raise SampleError(
                f"The stretch at {window.start_s:.1f} s could not be decoded.", evidence=done.last_words()
            )
        sample = _described(path, window, track)
        if sample is None:  # its last picture stays on the screen
            raise SampleError(f"No picture begins at {window.start_s:.1f} s or later.")
        if sample.seconds == 0:
            raise SampleError("Nobody knows how long the programme is.", evidence="one frame, shown for no time")
        made.append(sample)
        left = None if left is None else max(1, left - sample.size_bytes)
    return tuple(made)


def usual_tail_s(track: VideoTrack) -> float:
    """Return how long the tail of a sample is, in seconds; where nothing is known of the frame rate, a second."""
    fps = track.fps_avg
    return min(max(TAIL_FRAMES / float(fps), _SHORTEST_TAIL_S), LONGEST_TAIL_S) if fps else 1.0


def sample_input(path: str) -> tuple[str, ...]:
    """Return FFmpeg's options for a sample, or what a trial made of it, up to and including its name."""
    return (*OUR_MP4, "-i", f"file:{path}")


def refuse_cancelled(done: Finished) -> None:
    """Raise :class:`Cancelled` where a program ended because of a wish to stop."""
    if done.stopped == "cancelled":
        raise Cancelled("Stopped while samples were tried.")


def _command(
    ffmpeg: str, source: Path, facts: MediaFacts, track: VideoTrack, window: Window, path: Path, filters: str,
    pix_fmt: str, tail_s: float, max_pixels: int,
) -> tuple[str, ...]:  # fmt: skip
    place = stretch_place(facts, track, window.start_s, window.duration_s + tail_s)
    # a sample begins with its first frame, whenever that is shown
    through = ",".join((*place.filters, "setpts=PTS-STARTPTS", filters))
    return (
        ffmpeg, *QUIET, "-progress", "pipe:1", "-y",
        "-protocol_whitelist", protocol_whitelist(), *container_args(facts.container),
        "-max_pixels", str(max_pixels), *place.seek_args, "-i", f"file:{source}",
        "-map", f"0:{track.index}", "-filter:v:0", through,
        # without B-frames the order of packets is that of pictures
        "-c:v", "libx264", "-preset", "ultrafast", "-qp", "0", "-bf", "0", "-pix_fmt", pix_fmt,
        "-fps_mode", "vfr", "-enc_time_base", f"1/{TIMESCALE}", "-video_track_timescale", str(TIMESCALE),
        "-map_metadata", "-1", "-map_chapters", "-1", "-f", "mp4", f"file:{path}",
    )  # fmt: skip


def _described(path: Path, window: Window, track: VideoTrack) -> Sample | None:
    """Return what was cut, or ``None`` where it holds no frame."""
    table = packet_table(path)
    frames = len(table.before(window.duration_s))
    if not frames:
        return None
    length = track.duration_s
    left_s = max(0.0, length - window.start_s) if length is not None else None
    # the programme may end before the stretch or its tail does
    coded_s = table.shown_s[-1] * len(table.sizes) / max(1, len(table.sizes) - 1)
    seconds = window.duration_s if frames < len(table.sizes) else min(window.duration_s, left_s or coded_s)
    return Sample(
        path=str(path), window=window, frames=frames, seconds=seconds, coded_frames=len(table.sizes),
        coded_seconds=max(seconds, coded_s), size_bytes=media_bytes(path),
        whole=window.start_s == 0 and length is not None and window.duration_s >= length,
    )  # fmt: skip
