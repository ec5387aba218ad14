"""One decode of a stretch at 360 lines: a line for every picture, and five pictures a second to look at.

FFmpeg decodes in software, and only the stretch. What it tells of every picture (how far it is from the one before,
whether it is black) comes as lines; the pictures to look at go to a small file, which is read one by one, so that
memory does not grow with the stretch. These are what a viewer sees at their times: one that is held is there again and
again, also where it was shown before the stretch begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import av
import msgspec
import numpy as np
from numpy.typing import NDArray

from reelpress.errors import Cancelled, EncodeError, InputError, OutputError
from reelpress.facts.failure import FailureKind
from reelpress.facts.formats import QUIET, RUN_UP_S, container_args
from reelpress.facts.media import MediaFacts, VideoTrack
from reelpress.plan.clip_graph import keeps_graph
from reelpress.plan.colour import hidden_matrix
from reelpress.plan.geometry import crop_filter
from reelpress.plan.stretch_place import stretch_place
from reelpress.probe.scenes import CLOCK_HZ, FRAME_LINE, LOOK_FILTERS, read_value
from reelpress.probe.shots import Look
from reelpress.reframe.evidence import SHOWN_FROM_S
from reelpress.run.failures import classify
from reelpress.run.process import CancelToken, Finished, Limits, run
from reelpress.source.opening import OpenSource

Picture = NDArray[np.uint8]

LINES = 360  # of the shorter side
SAMPLES_PER_S = 5
_STEADY_FPS = 10  # below, pictures are held for long
_SHORT_S = 1.0  # less of the stretch than this may be missing without a question
_SLOW = 2  # seconds that decoding one second takes at most
_MEMORY_BYTES = 16 * 10**9  # address space
# What ends FFmpeg before all was seen, and is no fault of the source: seen another time, it would be more.
_NOT_WRITTEN = {FailureKind.OUTPUT_FULL, FailureKind.OUTPUT_DENIED, FailureKind.OUTPUT_LIMIT}
_BROKEN_OFF = {
    FailureKind.OUT_OF_MEMORY, FailureKind.CRASHED, FailureKind.KILLED, FailureKind.CPU_LIMIT, FailureKind.STALLED,
    FailureKind.TIMED_OUT,
}  # fmt: skip


def size_of(track: VideoTrack) -> tuple[int, int]:
    """Return width and height of the pictures that are looked at: even, upright, with square pixels."""
    shown_w, shown_h = track.display_width, track.display_height
    scale = min(1.0, LINES / min(shown_w, shown_h))
    return max(16, 2 * round(shown_w * scale / 2)), max(16, 2 * round(shown_h * scale / 2))


def limits_of(facts: MediaFacts, track: VideoTrack, start_s: float, duration_s: float) -> Limits:
    """Return how long FFmpeg may take for a stretch, and for what it has to decode before."""
    place = stretch_place(facts, track, start_s, duration_s)
    back_s = 2 * (track.longest_gop_s or 0.0) if place.seek_args else start_s
    before_s = _SLOW * max(RUN_UP_S, min(start_s, back_s))
    return Limits(wall_s=120 + 30 * duration_s + before_s, stall_s=60 + RUN_UP_S, memory_bytes=_MEMORY_BYTES)


def take_proxy(
    source: OpenSource, facts: MediaFacts, track: VideoTrack, *, ffmpeg: str, start_s: float, end_s: float,
    target: Path, cancel: CancelToken, spend: Callable[[float], None], on_share: Callable[[float], None],
) -> list[Look]:  # fmt: skip
    """Decode a stretch (programme seconds), write its sampled pictures to ``target`` and return a look at each picture.

    ``on_share`` is told how much is done, from 0 to 1. Raises :class:`InputError` when nothing of the stretch can be
    decoded, what kept the source from being read where that is why, :class:`OutputError` where the pictures could not
    be written, :class:`EncodeError` where FFmpeg was ended before it was done, and :class:`Cancelled`.
    """
    duration_s = end_s - start_s
    place = stretch_place(facts, track, start_s, duration_s)
    width, height = size_of(track)
    until, late_s = f"trim=end={duration_s:.6f}", _late_s(track)
    chain = ",".join((
        *place.clock, until, *crop_filter(track), *hidden_matrix(track), f"scale={width}:{height}:flags=area",
        "setsar=1", "format=yuv420p",
        *LOOK_FILTERS,
        # of FFmpeg 5.1 `fps` drops a last picture that comes before its first slot ends
        f"tpad=stop_mode=clone:stop_duration={1 / SAMPLES_PER_S}",
        f"setpts=PTS-{late_s + SHOWN_FROM_S:.6f}/TB", f"fps=fps={SAMPLES_PER_S}:start_time=0:round=up",
        "tpad=stop=-1:stop_mode=clone", until, f"settb=1/{CLOCK_HZ}", f"setpts=PTS+{late_s:.6f}/TB",
    ))  # fmt: skip
    # a graph that is set up anew midway, for pictures of another size, would count time from 0 again
    steady = (f"-reinit_filter:{track.index}", "0") if keeps_graph(track) else ()
    reader = _Looks(lambda t_s: on_share(min(1.0, max(0.0, t_s / duration_s))))
    done = run(
        (
            ffmpeg, *QUIET, "-y",
            "-protocol_whitelist", source.protocols, *container_args(facts.container),
            *source.input_options, *place.seek_args, *steady, "-i", source.url,
            "-filter_complex", f"[0:{track.index}]{chain}[few]", "-map", "[few]", "-fps_mode", "passthrough",
            "-c:v", "mjpeg", "-q:v", "3", "-f", "matroska", f"file:{target}",
        ),
        limits=limits_of(facts, track, start_s, duration_s),
        cancel=cancel, on_line=reader.feed,
    )  # fmt: skip
    spend(done.cpu_s)
    if done.stopped == "cancelled":
        raise Cancelled
    if done.returncode != 0 or not reader.looks or reader.looks[-1].t_s < duration_s - _SHORT_S:
        source.check_unchanged()  # FFmpeg takes what could not be read for the end
        if source.failure is not None:
            raise source.failure
    _refuse_part(done)
    looks = reader.of_stretch(is_inside=track.duration_s is not None and start_s < track.duration_s)
    if not looks:
        raise InputError(
            "Nothing of the stretch could be decoded.",
            evidence=done.last_words()[:300],
            hint="Choose a stretch inside the video, and check whether it plays elsewhere.",
        )  # fmt: skip
    return looks


def _late_s(track: VideoTrack) -> float:
    """Return how long after each fifth of a second is looked: almost as long as what begins there is shown."""
    fps = track.fps_avg
    return 0.0 if fps is None or fps < _STEADY_FPS else max(0.0, float(1 / fps) - 2 * SHOWN_FROM_S)


def _refuse_part(done: Finished) -> None:
    """Raise what kept FFmpeg from looking at all that the source has. Of damaged ones it shows what can be seen."""
    failure = classify(done.returncode, done.stderr_tail, done.stopped)
    if failure is None or failure.kind not in _NOT_WRITTEN | _BROKEN_OFF:
        return
    if failure.kind in _NOT_WRITTEN:
        raise OutputError("The pictures to look at could not be written.", evidence=failure.evidence, hint=failure.hint)
    raise EncodeError("The stretch could not be looked at to its end.", evidence=failure.evidence, hint=failure.hint)


def read_pictures(path: Path) -> Iterator[tuple[float, Picture]]:
    """Yield time and picture (height, width, BGR) of what :func:`take_proxy` wrote, one by one."""
    with av.open(f"file:{path}", "r", format="matroska", options={"protocol_whitelist": "file"}) as container:
        for frame in container.decode(video=0):
            if frame.time is not None:
                yield float(frame.time), frame.to_ndarray(format="bgr24").astype(np.uint8, copy=False)


class _Looks:
    """Gathers what FFmpeg tells of each picture; of those before the stretch only the last is kept."""

    def __init__(self, on_time: Callable[[float], None]) -> None:
        self.looks: list[Look] = []
        self._on_time = on_time

    def of_stretch(self, *, is_inside: bool) -> list[Look]:
        """Return the looks, at 0 the one at what is shown when the stretch begins.

        There are none where nothing begins within a stretch that is not inside of what the source has.
        """
        if not self.looks or self.looks[0].t_s >= 0:
            return self.looks
        if len(self.looks) == 1 and not is_inside:
            return []
        return [Look(t_s=0.0, difference=0.0, score=0.0, black_percent=self.looks[0].black_percent), *self.looks[1:]]

    def feed(self, line: str) -> None:
        if (frame := FRAME_LINE.match(line)) is not None:
            t_s = int(frame[1]) / CLOCK_HZ
            if self.looks and self.looks[-1].t_s < 0 and t_s <= 0:
                self.looks.pop()
            self.looks.append(Look(t_s=t_s, difference=0.0, score=0.0))
            self._on_time(t_s)
        elif self.looks and (told := read_value(line)) is not None:
            name, value = told
            self.looks[-1] = msgspec.structs.replace(
                self.looks[-1], **{name: int(value) if name == "black_percent" else value}
            )
