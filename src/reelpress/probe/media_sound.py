"""Sound that begins later than FFmpeg reads when it opens a file: its first packets are decoded to tell what it is."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import av
from av.audio.frame import AudioFrame
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

_MOST_PACKETS = 50  # of one stream, decoded in vain
_MOST_READ_PACKETS, _MOST_READ_BYTES = 3000, 8 * 2**20  # of all streams, at one place
_END_S = 3.0  # how long before the end of a stretch


class LateSound:
    """The streams of which no rate or no channels were known when the file was open; ``late`` are their indices."""

    def __init__(self, container: InputContainer) -> None:
        self._container = container
        self._untold = {s.index: _MOST_PACKETS for s in container.streams.audio if _is_untold(s.codec_context)}
        self.late = frozenset(self._untold)
        self.packet_s: dict[int, Fraction] = {}  # how long a packet of each is, of those that have told

    def feed(self, packet: Packet[Any]) -> None:
        """Decode a packet of a stream that has told nothing yet; the stream's context then knows."""
        index = packet.stream_index
        left = self._untold.get(index)
        if left is None:
            return
        self._untold[index] = left - 1
        try:
            for frame in packet.decode():
                if isinstance(frame, AudioFrame) and frame.sample_rate:
                    self.packet_s[index] = Fraction(frame.samples, frame.sample_rate)
        except (av.FFmpegError, ValueError):
            pass  # its first packets may need what came before them
        if left == 1 or not _is_untold(packet.stream.codec_context):
            del self._untold[index]

    def look_at(self, stretches: Sequence[tuple[float, float]], *, zero: int, main: VideoStream) -> None:
        """Read at the beginning and the end of stretches until all have told; they are in seconds from ``zero``."""
        for at_s in (t for begin_s, end_s in stretches for t in (begin_s, max(begin_s, end_s - _END_S))):
            if self._untold:
                self._read_from(zero + int(at_s / (main.time_base or 1)), main)

    def _read_from(self, place: int, main: VideoStream) -> None:
        read_bytes = 0
        try:
            self._container.seek(place, stream=main)
            for count, packet in enumerate(self._container.demux()):
                read_bytes += packet.size
                if packet.size:
                    self.feed(packet)
                if not self._untold or count >= _MOST_READ_PACKETS or read_bytes >= _MOST_READ_BYTES:
                    return
        except (av.FFmpegError, OSError, ValueError):
            return  # what cannot be read there is told of the pictures


def _is_untold(context: Any) -> bool:  # noqa: ANN401 - PyAV's attributes of sound appear only where there is a decoder
    return context is not None and not (context.sample_rate and context.channels)
