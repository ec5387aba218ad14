"""Reads the beginning of an opened file and a few seconds of each stretch that is wanted, instead of every packet.

For clips out of long files: what holds for the whole (counts, sums of sizes) stays unknown, and what is said of rates,
fields and pictures holds for the stretches.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from reelpress.facts.media import Stretch
from reelpress.probe.media_frames import FrameSampler
from reelpress.probe.media_scan import StreamScan
from reelpress.probe.media_timing import Timing, frame_timing

_HEAD_S, _MOST_HEAD_S = 0.5, 4.0
_MAX_HEAD_PACKETS = 3000
_WINDOW_S = 3.0
_MAX_WINDOW_PACKETS = 6000  # the keyframe may be far before the window
_MAX_WINDOW_BYTES = 48 * 2**20
_BACK_S = (0.0, 2.0, 12.0)
# Where no index tells keyframes (MPEG-TS) seeking leads to any frame: a stretch is entered from the nearest keyframe
# that is found before it. Each try but the last ends at the first keyframe, so the next one costs little more.
_SEARCH_S = (0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 12.0)
_REORDER_S = 0.5  # frames may be stored this long after some that are shown later
_SAME_RATE = 0.002  # a few seconds do not tell rates that are nearer to each other


class Stretches:
    """What was seen in the stretches; ``missing`` says, in words, of which no picture could be read."""

    def __init__(self) -> None:
        self.missing: list[str] = []
        self.read: list[Stretch] = []
        self.are_all_read = True
        self._seen: dict[int, list[tuple[int, Timing]]] = {}  # by stream: frames, and the rates they show

    def add(self, stream: VideoStream, pts: Sequence[int], last_duration: int) -> None:
        """Take what a window shows of a stream's rates."""
        if len(pts) > 1 and stream.time_base is not None:
            self._seen.setdefault(stream.index, []).append(
                (len(pts), frame_timing(pts, stream.time_base, last_duration, claimed_rates(stream)))
            )

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
    sampler = samplers[main.index]
    # Some containers are sought in by decode times, which begin a little before the first picture.
    floor = zero - round(1 / (main.time_base or 1))
    for start_s, end_s in stretches:
        windows: list[_Window] = []
        for begin_s, until_s in _windows(start_s, end_s):
            if time.monotonic() > deadline:
                found.are_all_read = False
                return found
            begin, until = (zero + int(t / (main.time_base or 1)) for t in (begin_s, until_s))
            frames, wanted = sampler.frames, sampler.later_frames
            searches = not is_indexed and not windows
            for back_s in _SEARCH_S if searches else _BACK_S:
                window = _Window(container, samplers, main, is_discontinuous=is_discontinuous)
                sought = max(floor, begin - round(back_s / (main.time_base or 1)))
                is_last = back_s == _SEARCH_S[-1] or sought == floor
                problem = window.read(sought, until, key_by=begin if searches and not is_last else None)
                is_there = window.has_reached(begin) and (sampler.frames > frames or not wanted)
                if is_there:
                    break
            windows.append(window)
            if not is_there and begin_s == start_s:
                found.missing.append(f"no picture could be read from {start_s:.3f} s on: {problem or 'none came'}")
            for index, scan in window.scans.items():
                found.add(
                    samplers[index].stream,
                    window.settled(index, float(until * (main.time_base or 1))),
                    scan.last_duration,
                )
        found.read.append(_told(start_s, end_s, windows, zero=zero, searched=not is_indexed))
    return found


def _told(start_s: float, end_s: float, windows: Sequence[_Window], *, zero: int, searched: bool) -> Stretch:
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


class _Window:
    """The packets from a keyframe to the end of one window."""

    def __init__(
        self, container: InputContainer, samplers: Mapping[int, FrameSampler], main: VideoStream, *,
        is_discontinuous: bool,
    ) -> None:  # fmt: skip
        self._container, self._samplers, self._main = container, samplers, main
        self.scans = {i: StreamScan(s.stream, is_discontinuous=is_discontinuous) for i, s in samplers.items()}
        self._first_shown: dict[int, int] = {}
        self.entry: Packet[av.stream.Stream] | None = None  # the main stream's first keyframe
        self._is_decoded = False
        self.is_clean = False  # whether the first picture that came out is that keyframe's, undamaged
        self.begin_byte: int | None = None
        self.end_byte: int | None = None

    def read(self, begin: int, until: int, key_by: int | None = None) -> str | None:
        """Read the window; return what went wrong. ``key_by`` has it end where the first keyframe is shown later."""
        main = self._main
        wanted = {index: sampler.frames + sampler.later_frames for index, sampler in self._samplers.items()}
        read_bytes, far_enough = 0, until + round(_REORDER_S / (main.time_base or 1))
        try:
            self._container.seek(begin, stream=main)
            streams = [sampler.stream for sampler in self._samplers.values()]
            for count, packet in enumerate(self._container.demux(streams)):
                if not packet.size:  # the end of the file
                    self._decode(packet, wanted)
                    continue
                read_bytes += packet.size
                is_entry = packet.stream_index == main.index and packet.is_keyframe and self.entry is None
                if is_entry and key_by is not None and (packet.pts is None or packet.pts > key_by):
                    return "no keyframe was found before it"
                self._take(packet, wanted)
                clock = packet.pts if packet.dts is None else packet.dts
                if self.entry is not None and clock is not None and clock < until:
                    self._note_place(packet)
                is_past = packet.stream_index == main.index and clock is not None and clock >= far_enough
                is_past &= main.index in self._first_shown  # some containers are sought in without keyframes
                if is_past or count >= _MAX_WINDOW_PACKETS or read_bytes >= _MAX_WINDOW_BYTES:
                    break
        except (av.FFmpegError, OSError, ValueError) as error:
            return str(getattr(error, "strerror", None) or error)
        return None

    def _take(self, packet: Packet[av.stream.Stream], wanted: Mapping[int, int]) -> None:
        index = packet.stream_index
        if index not in self._first_shown:
            if not packet.is_keyframe:
                return
            self._first_shown[index] = -(1 << 62) if packet.pts is None else packet.pts
            if index == self._main.index:
                self.entry = packet
        self.scans[index].add(packet)
        self._decode(packet, wanted)

    def _note_place(self, packet: Packet[av.stream.Stream]) -> None:
        at = packet.pos
        if at is not None and at >= 0:
            self.begin_byte = at if self.begin_byte is None else min(self.begin_byte, at)
            self.end_byte = max(self.end_byte or 0, at + packet.size)

    def _decode(self, packet: Packet[av.stream.Stream], wanted: Mapping[int, int]) -> None:
        index = packet.stream.index  # the packet of the end says 0 for its own
        sampler = self._samplers[index]
        if index not in self._first_shown or sampler.frames >= wanted[index]:
            return
        frames, corrupt = sampler.frames, sampler.corrupt_frames
        sampler.feed_later(packet)
        if index == self._main.index and self.entry is not None and sampler.frames > frames and not self._is_decoded:
            self._is_decoded = True
            self.is_clean = sampler.last_pts == self.entry.pts and sampler.corrupt_frames == corrupt

    def has_reached(self, begin: int) -> bool:
        """Tell whether a frame was read that is shown at or after a time."""
        end = self.scans[self._main.index].end
        return end is not None and end > begin

    def settled(self, index: int, until_s: float) -> array[int]:
        """Return the times of the frames from the keyframe on and before ``until_s``, in order.

        Frames that are shown before the keyframe may need what was not read.
        """
        scan = self.scans[index]
        first, until = self._first_shown.get(index, 0), until_s / scan.time_base
        return array("q", sorted(t for t in scan.pts or () if scan.jumps or first <= t < until))


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
