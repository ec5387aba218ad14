"""Reads every packet of an opened file within a time budget; decodes nothing.

Header claims about counts and lengths are often wrong; packets are what a decoder will get.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import av
from av.container import InputContainer
from av.packet import Packet

from reelpress.facts.values import Value
from reelpress.probe.media_stream import StreamScan

_DISCONTINUOUS = 0x0200  # AVFMT_TS_DISCONT: this container's clock may jump
_MAX_RETRIES = 100
_HEAD_PACKETS = 256


class Scan(Value, frozen=True, kw_only=True):
    """How reading all packets ended; ``reached_s`` is how far into the file it came when the budget ran out."""

    is_complete: bool
    error: str | None = None
    reached_s: float | None = None


def scan_packets(
    container: InputContainer,
    scans: Mapping[int, StreamScan],
    feed: Callable[[Packet[av.stream.Stream]], None],
    budget_s: float,
) -> Scan:
    """Count every packet into ``scans`` (by stream index) and hand it to ``feed``, for at most ``budget_s`` seconds.

    The first ``_HEAD_PACKETS`` are read in any case: without them nothing could be said.
    """
    deadline = time.monotonic() + budget_s
    retries = 0
    while True:
        try:
            for count, packet in enumerate(container.demux()):
                if count % 64 == 0 and count >= _HEAD_PACKETS and time.monotonic() > deadline:
                    return Scan(is_complete=False, reached_s=_reached_s(scans))
                if packet.size and (scan := scans.get(packet.stream_index)) is not None:
                    scan.add(packet)
                    feed(packet)
        except av.BlockingIOError:
            retries += 1
            if retries > _MAX_RETRIES:
                return Scan(is_complete=True, error="the demuxer asks for more time without end")
        except (av.FFmpegError, OSError, ValueError) as error:
            # FFmpeg itself stops reading here, so this is where the input ends.
            return Scan(is_complete=True, error=str(getattr(error, "strerror", None) or error))
        else:
            return Scan(is_complete=True)


def is_discontinuous(container: InputContainer) -> bool:
    """Tell whether this container's clock may jump without being broken (MPEG-TS)."""
    return bool(container.format.flags & _DISCONTINUOUS)


def _reached_s(scans: Mapping[int, StreamScan]) -> float | None:
    ends = [float(s.end * s.time_base) for s in scans.values() if s.end is not None and s.kind in {"video", "audio"}]
    return max(ends, default=None)
