"""What the packets of one stream add up to: counts, sizes and times, on a clock that does not jump."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from fractions import Fraction
from itertools import pairwise

import av
from av.packet import Packet

MAX_TIMESTAMPS = 4_000_000  # per stream: 18 hours at 60 frames a second, 32 MB
_JUMP_S = 10.0  # FFmpeg's -dts_delta_threshold
_JUMP_BACK_S = 0.1  # how far a decode time may go back before FFmpeg shifts what follows
_MAX_KEYFRAMES_KEPT = 16
_MAX_BYTES_KEPT = 32


class Clock:
    """A container's clock: by how much it was set where it last jumped, which streams that begin behind it go by."""

    def __init__(self) -> None:
        self.shift_s = Fraction(0)


class StreamScan:
    """What the packets of one stream add up to; times are ticks of the stream's time base.

    ``start`` and ``end`` span the packets that are shown. ``shown`` leaves out packets an edit list discards and
    frames marked invisible; ``size_bytes`` counts every packet, since all of them are in the file.
    """

    def __init__(self, stream: av.stream.Stream, *, is_discontinuous: bool, clock: Clock | None = None) -> None:
        self.index, self.kind = stream.index, stream.type
        self.time_base = stream.time_base or Fraction(1, 1_000_000)
        context = stream.codec_context
        self._is_visible = {"vp8": self._is_visible_vp8, "vp9": _is_visible_vp9}.get(context.name if context else "")
        self.packets = self.shown = self.size_bytes = self.keyframes = self.corrupt = 0
        self.start: int | None = None
        self.end: int | None = None
        self.last_duration = 0
        self.pts: array[int] | None = array("q") if stream.type == "video" else None
        self.untimed = self.counted = 0  # shown packets without a time: left out, or placed by their lengths
        self.jumps: list[tuple[float, float]] = []  # (seconds into the stream, seconds jumped)
        self.sizes: set[tuple[int, int]] = set()
        self.keyframe_pts: list[int] = []  # at most twice as many as are wanted, spread over what was read
        self._keyframe_stride = self._bytes_stride = 1
        self._bytes_by: list[tuple[int, int]] = []  # as many at most, and spread as well
        self._last_keyframe: int | None = None
        self._longest_gop = 0
        self._clock, self._shift = clock or Clock(), 0
        self._delays: set[int] = set()  # from decoding to showing; no more than two
        # of these a picture that others need is shown when the next of them is decoded
        self._is_one_late = context is not None and context.name in {"mpeg1video", "mpeg2video"}
        self._owed: tuple[int, int, bool] | None = None  # one without a time: its place in ``pts``, length, keyframe?
        self._previous: int | None = None
        self.last_pts = self._heard_from = -(1 << 62)  # when what is shown last comes
        self._dts_before: int | None = None
        self._is_last = False  # whether the packet before is the one that is shown last
        self._tail = self._count_on = 0
        self._without_pts = self._untimed_behind = 0  # the latter: since the one that is shown last
        self._back = int(_JUMP_BACK_S / self.time_base) if is_discontinuous else 1 << 62
        self._forth = int(_JUMP_S / self.time_base) if is_discontinuous else 1 << 62

    def add(self, packet: Packet[av.stream.Stream]) -> None:
        """Count one packet."""
        self.packets += 1
        self.size_bytes += packet.size
        self.corrupt += packet.is_corrupt
        if self.kind == "audio" and packet.has_sidedata("skip_samples"):
            self._note_skipped(packet)
        is_shown = not packet.is_discard and (self._is_visible is None or self._is_visible(packet))
        self.shown += is_shown
        shown_at = self._place(packet) if is_shown else None
        if packet.is_keyframe:  # only now is it known whether the clock jumped to it
            self._note_keyframe(packet)
        if not is_shown:
            return
        if shown_at is None:
            self.untimed += 1
            self._untimed_behind += 1
            return
        duration = packet.duration or 0
        end = shown_at + duration - self._tail
        begin = shown_at if shown_at >= self._heard_from else min(self._heard_from, end)
        if self.start is None or self.start < self._heard_from:  # of what came before nothing was heard
            self.start = begin
        self.start = min(self.start, begin)
        if self.pts is not None:
            self._note_picture(self.pts, packet, shown_at)
            return
        self.end = end if self.end is None else max(self.end, end)
        if shown_at > self.last_pts:
            self.last_pts, self.last_duration, self._untimed_behind = shown_at, duration, 0

    def _note_picture(self, pts: array[int], packet: Packet[av.stream.Stream], shown_at: int) -> None:
        duration, before, self._dts_before = packet.duration or 0, self._dts_before, packet.dts
        step = None if packet.dts is None or before is None else packet.dts - before
        if shown_at > self.last_pts:
            self.last_pts, self.last_duration, self._is_last = shown_at, duration, True
        elif self._is_last:
            if step == self.last_duration:
                self.last_duration = 0  # that was the way to this packet, which is shown before
            self._is_last = False
        self.end = self.last_pts + self.last_duration  # all others end when the next is shown
        if duration != step:  # else the way from one to the next, written once more where there is no next
            self.end = max(self.end, shown_at + duration)
        if len(pts) < MAX_TIMESTAMPS:
            pts.append(shown_at)
        if (self.shown - 1) % self._bytes_stride == 0:
            self._bytes_by.append((shown_at, self.size_bytes - packet.size))
            if len(self._bytes_by) == 2 * _MAX_BYTES_KEPT:
                del self._bytes_by[1::2]
                self._bytes_stride *= 2
        if self._is_one_late and packet.pts is None and len(self._delays) == 2 and len(pts) < MAX_TIMESTAMPS:
            self._owed = len(pts) - 1, duration, packet.is_keyframe

    def _settle(self, shown_at: int) -> None:
        """Put the picture that had no time where it is shown, as is known by now."""
        if self._owed is None or self.pts is None:
            return
        (place, duration, is_keyframe), self._owed = self._owed, None
        self.pts[place] = shown_at
        if shown_at > self.last_pts:
            self.last_pts, self.last_duration = shown_at, duration
            self.end = shown_at + duration
        if is_keyframe:
            self._time_keyframe(shown_at)

    def _note_keyframe(self, packet: Packet[av.stream.Stream]) -> None:
        self.keyframes += 1
        if packet.pts is not None:
            self._time_keyframe(packet.pts + self._shift)

    def _time_keyframe(self, at: int) -> None:
        if (self.keyframes - 1) % self._keyframe_stride == 0 and self.kind == "video":
            self.keyframe_pts.append(at)
            if len(self.keyframe_pts) == 2 * _MAX_KEYFRAMES_KEPT:
                del self.keyframe_pts[1::2]
                self._keyframe_stride *= 2
        self._longest_gop = self.longest_gop(at)
        self._last_keyframe = at

    def bytes_by_s(self) -> tuple[tuple[float, int], ...]:
        """Return how many bytes come before a time, in seconds from the first picture shown, up to the end."""
        if self.start is None or self.end is None:
            return ()
        points = [*self._bytes_by, (self.end, self.size_bytes)]
        # packets come in the order of decoding, some a few frames before those shown earlier
        times = sorted(max(0, at - self.start) for at, _ in points)
        return tuple((round(float(t * self.time_base), 3), sent) for t, (_, sent) in zip(times, points, strict=True))

    def longest_gop(self, end: int) -> int:
        """Return the longest way from one keyframe to the next, or from the last one to ``end``."""
        return max(self._longest_gop, 0 if self._last_keyframe is None else end - self._last_keyframe)

    def _place(self, packet: Packet[av.stream.Stream]) -> int | None:
        """Return when a packet is shown, on a clock that runs on where the container's jumps."""
        pts, dts = packet.pts, packet.dts
        if pts is not None and dts is not None and len(self._delays) < 2:
            self._delays.add(pts - dts)
        elif pts is None and dts is not None and len(self._delays) == 1 and 0 not in self._delays:
            pts = dts + next(iter(self._delays))  # as of the last picture of a programme stream
        self._without_pts += pts is None
        clock = pts if dts is None else dts
        if clock is None and packet.duration and self.counted == self.shown - 1:
            # A bare stream has no times; like FFmpeg, count on at the rate it claims.
            self.counted += 1
            clock, self._count_on = self._count_on, self._count_on + packet.duration
        if clock is None:
            return None
        if self._previous is None:
            self._shift = round(self._clock.shift_s / self.time_base)
        else:
            step = clock - self._previous
            if step > self._forth or (step < -self._back and dts is not None):
                self._note_jump(step)
        if dts is not None and pts != dts:
            self._settle(dts + self._shift)
        self._previous = clock
        return (clock if pts is None else pts) + self._shift

    def close(self, *, has_durations: bool, first_pts: int | None, first_dts: int | None) -> None:
        """Put the times in order, and correct both ends by what is now known.

        Frames before ``first_pts``, the first that a decoder put out, are not shown: a stream cut out of a longer one
        begins with frames that need what was cut off. Where no packet says when it is shown (AVI), frames come as late
        as the decoder's reordering makes them: at ``first_dts``. The last frame gets a length where none is stored.
        """
        self._settle_last()
        if self.pts is None or len(self.pts) < 2 or self.end is None:
            return
        self.last_duration = self.end - self.last_pts
        self.pts = array("q", sorted(self.pts))
        usual = sorted(b - a for a, b in pairwise(self.pts))[len(self.pts) // 2 - 1]
        if 10 * self._without_pts > self.shown:
            if first_dts is not None and 0 < (late := bisect_left(self.pts, first_dts)) < len(self.pts):
                self.start, self.end = self.pts[late], self.end + late * usual
        elif first_pts is not None and 0 < (lost := bisect_left(self.pts, first_pts)) < len(self.pts):
            self.pts = self.pts[lost:]
            self.shown -= lost
            self.start = self.pts[0]
        if self.last_duration == 0 or (not has_durations and 2 * self.last_duration < usual):
            self.last_duration = usual
            self.end = max(self.end, self.pts[-1] + usual)

    def lengthen(self, packet_s: Fraction) -> None:
        """Have sound whose packets do not say how long they are end when they do, at so many seconds for each."""
        if self.end is not None and self.end == self.last_pts:
            self.end += round((1 + self._untimed_behind) * packet_s / self.time_base)

    @property
    def all_pts_kept(self) -> bool:
        """False when there were more timestamps than are kept."""
        return self.pts is not None and len(self.pts) + self.untimed == self.shown

    def _settle_last(self) -> None:
        if self._owed is not None and self._previous is not None:
            self._settle(self._previous + self._shift + self._owed[1])

    def _note_jump(self, step: int) -> None:
        self._settle_last()
        if len(self.jumps) < 100 and self.start is not None and self._previous is not None:
            at = self._previous + self._shift - self.start
            self.jumps.append((float(at * self.time_base), float(step * self.time_base)))
        self._shift -= step - max(self.last_duration, 1)
        self._clock.shift_s = self._shift * self.time_base

    def _note_skipped(self, packet: Packet[av.stream.Stream]) -> None:
        """Note the samples a player throws away: encoder delay, which may span several packets, and padding."""
        raw = bytes(packet.get_sidedata("skip_samples"))
        rate = getattr(packet.stream.codec_context, "sample_rate", None)
        if len(raw) < 8 or not rate or packet.pts is None:
            return
        per_sample = 1 / (rate * self.time_base)
        head, tail = (int.from_bytes(raw[i : i + 4], "little") for i in (0, 4))
        if head and self.start is None:
            self._heard_from = packet.pts + self._shift + round(head * per_sample)
        self._tail = min(round(tail * per_sample), packet.duration or 0)

    def _is_visible_vp8(self, packet: Packet[av.stream.Stream]) -> bool:
        """Read show_frame, and the size a keyframe carries (RFC 6386 §9.1)."""
        head = bytes(memoryview(packet)[:10])
        if len(head) == 10 and head[3:6] == b"\x9d\x01\x2a":
            width, height = (int.from_bytes(head[i : i + 2], "little") & 0x3FFF for i in (6, 8))
            if len(self.sizes) < 100:
                self.sizes.add((width, height))
        return bool(head) and bool(head[0] & 0x10)


def _is_visible_vp9(packet: Packet[av.stream.Stream]) -> bool:
    """Read show_existing_frame and show_frame; a superframe ends with one that is shown (VP9 §6.2, Annex B)."""
    data = memoryview(packet)
    first, last = data[0], data[-1]
    if first >> 6 != 0b10 or last & 0xE0 == 0xC0:
        return True  # no VP9 header here, or a superframe: leave it to the decoder
    bit = 2 if first & 0x30 == 0x30 else 3  # profile 3 has a reserved bit more
    return bool(first >> bit & 1) or bool(first >> (bit - 2) & 1)
