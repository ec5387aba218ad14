"""Samples of a source: short stretches as an encoder would be given them, kept without loss so that trials are cheap.

A trial then decodes neither the source nor what lies before a stretch, and frames of encode and reference are the same
frames without any doubt about time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from reelpress.errors import ReelpressError
from reelpress.facts.formats import OUR_MP4, container_args, protocol_whitelist, run_up_s
from reelpress.facts.media import MediaFacts
from reelpress.facts.quality import Window
from reelpress.facts.values import Value
from reelpress.quality.packets import media_bytes
from reelpress.run.process import CancelToken, Limits, run
from reelpress.run.progress import ProgressParser

_LIMITS = Limits(wall_s=600, stall_s=120)
# fine enough for every rate in use, and what the product's own outputs are counted in at most
TIMESCALE = 90_000


class Sample(Value, frozen=True, kw_only=True):
    """One stretch of a source, prepared and without loss, in a file of ours (MP4, H.264 at QP 0, one track)."""

    path: str
    window: Window  # in the source
    frames: int
    size_bytes: int


class SampleError(ReelpressError):
    """A stretch of the source could not be decoded, or gave no frame; nothing can be said from it."""

    code = "sample_failed"


def cut_samples(
    ffmpeg: str,
    source: Path,
    facts: MediaFacts,
    windows: Sequence[Window],
    folder: Path,
    *,
    filters: str,
    pix_fmt: str,
    cancel: CancelToken | None = None,
    spend: Callable[[float], None],
) -> tuple[Sample, ...]:
    """Cut stretches out of a source into ``folder``, through these filters, and keep them without loss.

    ``filters`` are what an encoder's pictures go through (a plan's). Places are sought by keyframe and as exact as the
    container seeks; all frames are whole. ``spend`` is told CPU seconds. Raises :class:`SampleError`.
    """
    track = facts.main_video
    if track is None:
        raise SampleError("There is no video to take samples of.")
    made = []
    for number, window in enumerate(windows):
        path = folder / f"sample-{number}.mp4"
        # what is decoded first after a seek without an index may be broken; it is decoded, and thrown away
        early_s = min(window.start_s, run_up_s(facts.container, track.codec))
        at_s = (track.start_s or 0.0) + window.start_s - early_s
        seek = ("-seek_timestamp", "1", "-ss", f"{at_s:.3f}") if window.start_s > early_s else ()
        args = (
            ffmpeg, "-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+error", "-progress", "pipe:1", "-y",
            "-protocol_whitelist", protocol_whitelist(), *container_args(facts.container), *seek,
            "-i", f"file:{source}",
            "-map", f"0:{track.index}", "-ss", f"{early_s:.3f}", "-t", f"{window.duration_s:.3f}",
            "-filter:v:0", filters, "-c:v", "libx264", "-preset", "ultrafast", "-qp", "0", "-pix_fmt", pix_fmt,
            "-fps_mode", "vfr", "-enc_time_base", f"1/{TIMESCALE}", "-video_track_timescale", str(TIMESCALE),
            "-map_metadata", "-1", "-map_chapters", "-1", "-f", "mp4", f"file:{path}",
        )  # fmt: skip
        frames = [0]
        parser = ProgressParser()

        def on_line(line: str, parser: ProgressParser = parser, frames: list[int] = frames) -> None:
            progress = parser.feed(line)
            if progress is not None and progress.frames:
                frames.append(progress.frames)

        done = run(args, limits=_LIMITS, cancel=cancel, on_line=on_line)
        spend(done.cpu_s)
        if done.returncode != 0 or not frames[-1]:
            raise SampleError(
                f"The stretch at {window.start_s:.1f} s could not be decoded.",
                evidence=done.stderr_tail.strip().splitlines()[-1] if done.stderr_tail.strip() else done.stop_reason,
            )
        made.append(Sample(path=str(path), window=window, frames=frames[-1], size_bytes=media_bytes(path)))
    return tuple(made)


def sample_input(path: str) -> tuple[str, ...]:
    """Return FFmpeg's options for a sample, or what a trial made of it, up to and including its name."""
    return (*OUR_MP4, "-i", f"file:{path}")
