"""The packets of one window of an opened file, from a keyframe on, and what of them is decoded."""

from __future__ import annotations

from array import array
from collections.abc import Mapping

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from reelpress.probe.media_frames import FrameSampler
from reelpress.probe.media_stream import StreamScan

_MAX_WINDOW_PACKETS = 6000  # the keyframe may be far before the window
_MAX_WINDOW_BYTES = 48 * 2**20
_REORDER_S = 0.5  # frames may be stored this long after some that are shown later


class Window:
    """The packets from a keyframe to the end of one window."""

    def __init__(
        self, container: InputContainer, samplers: Mapping[int, FrameSampler], main: VideoStream, *,
        is_discontinuous: bool,
    ) -> None:  # fmt: skip
        self._container, self._samplers, self._main = container, samplers, main
        self.scans = {i: StreamScan(s.stream, is_discontinuous=is_discontinuous) for i, s in samplers.items()}
        self._first_shown: dict[int, int] = {}
        self.entry: Packet[av.stream.Stream] | None = None  # the main stream's first keyframe
        self._late: Packet[av.stream.Stream] | None = None  # a keyframe that nothing else was read for
        self._is_decoded = self._has_ended = False
        self.is_clean = False  # whether the first picture that came out is that keyframe's, undamaged
        self.begin_byte: int | None = None
        self.end_byte: int | None = None

    def read(self, begin: int, until: int, key_by: int | None = None) -> str | None:
        """Read the window; return what went wrong. ``key_by`` has it end where the first keyframe is shown later.

        Keyframes that do not say when they are shown are late for those who search, where no index tells them.
        """
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
                    self._late = packet
                    return "no keyframe was found before it"
                self._take(packet, wanted)
                clock = packet.pts if packet.dts is None else packet.dts
                if self.entry is not None and clock is not None and clock < until:
                    self._note_place(packet)
                is_past = packet.stream_index == main.index and clock is not None and clock >= far_enough
                is_past &= main.index in self._first_shown  # some containers are sought in without keyframes
                if is_past or count >= _MAX_WINDOW_PACKETS or read_bytes >= _MAX_WINDOW_BYTES:
                    break
            else:
                self._has_ended = True
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

    @property
    def is_late(self) -> bool:
        """Whether reading ended at a keyframe that is shown after the time it was wanted by."""
        return self._late is not None

    @property
    def key_before(self) -> int | None:
        """Where the keyframe before the late one is by the index of the file, ``None`` where there is none of both.

        MP4 is sought by decode times: within a long pause that leads to the keyframe behind it.
        """
        if self._late is None or self._late.dts is None or self._late.pts is None:
            return None
        entries = self._main.index_entries
        at = entries.search_timestamp(self._late.dts - 1)
        return entries[at].timestamp if at >= 0 else None

    @property
    def shown(self) -> array[int]:
        """The times of the main stream's frames from the keyframe on, in order; some of the last may be missing."""
        first = self._first_shown.get(self._main.index, 0)
        return array("q", sorted(t for t in self.scans[self._main.index].pts or () if t >= first))

    @property
    def last(self) -> tuple[int, int] | None:
        """When the main stream's last picture comes, and how long it stays; ``None`` where that was not seen."""
        scan = self.scans[self._main.index]
        if not self._has_ended or not scan.pts or scan.end is None or scan.end == scan.last_pts:
            return None
        return scan.last_pts, scan.end - scan.last_pts

    def settled(self, index: int, until_s: float) -> array[int]:
        """Return the times of the frames from the keyframe on and before ``until_s``, in order.

        Frames that are shown before the keyframe may need what was not read.
        """
        scan = self.scans[index]
        first, until = self._first_shown.get(index, 0), until_s / scan.time_base
        return array("q", sorted(t for t in scan.pts or () if scan.jumps or first <= t < until))
