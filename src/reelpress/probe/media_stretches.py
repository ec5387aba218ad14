"""Reads the beginning of an opened file and a few seconds of each stretch that is wanted, instead of every packet.

For clips out of long files: what holds for the whole (counts, sums of sizes) stays unknown, and what is said of rates,
fields and pictures holds for the stretches.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import partial
from heapq import nlargest

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from reelpress.facts.media import MOST_PAUSES, Stretch
from reelpress.probe.media_frames import FrameSampler
from reelpress.probe.media_stream import StreamScan
from reelpress.probe.media_timing import Timing, frame_timing, pauses
from reelpress.probe.media_window import Window

_HEAD_S, _MOST_HEAD_S = 0.5, 4.0
_MAX_HEAD_PACKETS = 3000
_WINDOW_S = 3.0
_BACK_S = (0.0, 2.0, 12.0)
# Where no index tells keyframes (MPEG-TS) seeking leads to any frame: a stretch is entered from the nearest keyframe
# that is found before it. Each try but the last ends at the first keyframe, so the next one costs little more.
_SEARCH_S = (0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 12.0)
_SAME_RATE = 0.002  # a few seconds do not tell rates that are nearer to each other


class Stretches:
    """What was seen in the stretches; ``missing`` says when those begin of which no picture could be read, and why."""

    def __init__(self) -> None:
        self.missing: list[tuple[float, str]] = []
        self.read: list[Stretch] = []
        self.are_all_read = True
        self._seen: dict[int, list[tuple[int, Timing]]] = {}  # by stream: frames, and the rates they show
        self._pauses_s: dict[int, set[tuple[float, float]]] = {}
        self._last: dict[int, tuple[float, float]] = {}

    def add(self, stream: VideoStream, pts: Sequence[int], last_duration: int) -> None:
        """Take what a window shows of a stream's rates."""
        if len(pts) > 1 and stream.time_base is not None:
            self._seen.setdefault(stream.index, []).append(
                (len(pts), frame_timing(pts, stream.time_base, last_duration, claimed_rates(stream)))
            )

    def add_pauses(self, stream: VideoStream, window: Window, zero: int) -> None:
        """Take where a window shows one picture stay; ``zero`` is when the first of all comes."""
        base, shown = stream.time_base, window.shown
        if base is None or not shown:
            return
        off_s = float((shown[0] - zero) * base)
        found = self._pauses_s.setdefault(stream.index, set())
        found |= {(round(a + off_s, 4), round(b + off_s, 4)) for a, b in pauses(shown, base)}
        if window.last is not None:
            at, length = window.last
            self._last[stream.index] = round(float((at - zero) * base), 6), round(float(length * base), 6)

    def pauses_s(self, index: int) -> tuple[tuple[float, float], ...]:
        """Return where one picture of a stream stays, as far as was seen: the longest such pauses, in order."""
        longest = nlargest(MOST_PAUSES, self._pauses_s.get(index, ()), key=lambda pause: pause[1] - pause[0])
        return tuple(sorted(longest))

    def last_picture(self, index: int) -> tuple[float | None, float | None]:
        """Return when a stream's last picture comes, and how long it stays; nothing where that was not seen."""
        return self._last.get(index, (None, None))

    def timing(self, index: int) -> tuple[int, Timing] | None:
        """Return the rates of a stream over all stretches, and by how many frames; ``None`` where none was there."""
        seen = self._seen.get(index)
        return None if seen is None else (sum(count for count, _ in seen), _merged(seen))


def claimed_rates(stream: VideoStream) -> list[Fraction | None]:
    """Return the container's and the codec's own rates, the most trusted first."""
    context = stream.codec_context
    return [stream.base_rate, stream.guessed_rate, stream.average_rate, getattr(context, "framerate", None)]


def read_head(
    container: InputContainer,
    scans: Mapping[int, StreamScan],
    samplers: Mapping[int, FrameSampler],
    feed: Callable[[Packet[av.stream.Stream]], None],
) -> str | None:
    """Count the first packets into ``scans`` and hand them to ``feed``; return why it ended early.

    They are those of half a second, and more where a stream begins late or with pictures that need what is not there.
    """
    timed = [scan for scan in scans.values() if scan.kind in {"video", "audio"}]
    try:
        for count, packet in enumerate(container.demux()):
            if packet.size and (scan := scans.get(packet.stream_index)) is not None:
                scan.add(packet)
                feed(packet)
            if count % 8 == 0 and count >= 32:
                read = [_length_s(scan) for scan in timed] or [0.0]
                is_enough = min(read) >= _HEAD_S and all(s.frames or s.errors for s in samplers.values())
                # what has not begun by then is left to the header
                if is_enough or max(read) >= _MOST_HEAD_S or count >= _MAX_HEAD_PACKETS:
                    break
    except (av.FFmpegError, OSError, ValueError) as error:
        return str(getattr(error, "strerror", None) or error)
    return None


def read_stretches(
    container: InputContainer,
    samplers: Mapping[int, FrameSampler],
    stretches: Sequence[tuple[float, float]],
    *,
    zero: int,
    main: VideoStream,
    is_discontinuous: bool,
    is_indexed: bool,
    budget_s: float,
) -> Stretches:
    """Read the first and last seconds of each stretch, and decode a frame or two there.

    Stretches are in seconds from ``zero``, a time of ``main``, the stream that is sought in. Where the container is
    not ``is_indexed`` they are begun at a keyframe before them. What is not read after ``budget_s`` seconds is left.
    """
    found, deadline = Stretches(), time.monotonic() + budget_s
    new_window = partial(Window, container, samplers, main, is_discontinuous=is_discontinuous)
    sampler = samplers[main.index]
    # Some containers are sought in by decode times, which begin a little before the first picture.
    floor = zero - round(1 / (main.time_base or 1))
    for start_s, end_s in stretches:
        windows: list[Window] = []
        for begin_s, until_s in _windows(start_s, end_s):
            if time.monotonic() > deadline:
                found.are_all_read = False
                return found
            begin, until = (zero + int(t / (main.time_base or 1)) for t in (begin_s, until_s))
            frames, wanted = sampler.frames, sampler.later_frames
            searches = not is_indexed and not windows
            for back_s in _SEARCH_S if searches else _BACK_S:
                sought = max(floor, begin - round(back_s / (main.time_base or 1)))
                is_last = back_s == _SEARCH_S[-1] or sought == floor
                key_by = begin if is_indexed or (searches and not is_last) else None
                window, problem = _read(new_window, sought, until, key_by, is_indexed=is_indexed)
                is_there = window.has_reached(begin) and (sampler.frames > frames or not wanted)
                if is_there:
                    break
            windows.append(window)
            found.add_pauses(main, window, zero)
            if not is_there and begin_s == start_s:
                found.missing.append((start_s, problem or "none came"))
            for index, scan in window.scans.items():
                found.add(
                    samplers[index].stream,
                    window.settled(index, float(until * (main.time_base or 1))),
                    scan.last_duration,
                )
        found.read.append(_told(start_s, end_s, windows, zero=zero, searched=not is_indexed))
    return found


def _read(
    new_window: Callable[[], Window], sought: int, until: int, key_by: int | None, *, is_indexed: bool
) -> tuple[Window, str | None]:
    """Read a window and return what went wrong; by an index from ever earlier keyframes while the first is late."""
    window = new_window()
    problem = window.read(sought, until, key_by=key_by)
    while is_indexed and window.is_late:
        before = window.key_before
        if before is None or before >= sought:  # a broken index may lead to the same place again
            key_by = None
        else:
            sought = before
        window = new_window()
        problem = window.read(sought, until, key_by=key_by)
    return window, problem


def _told(start_s: float, end_s: float, windows: Sequence[Window], *, zero: int, searched: bool) -> Stretch:
    """Return what the windows of a stretch tell of it."""
    first, entry = windows[0], windows[0].entry
    base = float(first.scans[entry.stream_index].time_base) if entry is not None else 0.0
    keyframe_s = enter_s = None
    if searched and first.is_clean and entry is not None and entry.pts is not None and entry.dts is not None:
        keyframe_s, enter_s = (entry.pts - zero) * base, (entry.dts - zero) * base
    return Stretch(
        start_s=start_s, end_s=end_s, keyframe_s=keyframe_s, enter_s=enter_s,
        begin_byte=min((w.begin_byte for w in windows if w.begin_byte is not None), default=None),
        end_byte=max((w.end_byte for w in windows if w.end_byte is not None), default=None),
    )  # fmt: skip


def _windows(start_s: float, end_s: float) -> tuple[tuple[float, float], ...]:
    if end_s - start_s <= 2 * _WINDOW_S:
        return ((start_s, end_s),)
    return (start_s, start_s + _WINDOW_S), (end_s - _WINDOW_S, end_s)


def _length_s(scan: StreamScan) -> float:
    return 0.0 if scan.start is None or scan.end is None else float((scan.end - scan.start) * scan.time_base)


def _merged(seen: Sequence[tuple[int, Timing]]) -> Timing:
    """Return the rates that several windows show together: constant where each is, and at the same rate."""
    told = [(count, timing, timing.fps_avg) for count, timing in seen if timing.fps_avg is not None]
    if not told:
        return seen[0][1]
    rates = [float(fps) for _, _, fps in told]
    if not any(timing.is_vfr for _, timing, _ in told) and max(rates) <= min(rates) * (1 + _SAME_RATE):
        return max(told, key=lambda each: each[0])[1]
    frames = sum(count for count, _, _ in told)
    return Timing(
        fps_avg=(frames / sum((count / fps for count, _, fps in told), Fraction(0))).limit_denominator(100_000),
        fps_nominal=max(told, key=lambda each: each[0])[1].fps_nominal,
        fps_peak=max(timing.fps_peak or 0.0 for _, timing, _ in told),
        is_vfr=True,
    )
