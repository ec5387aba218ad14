"""What a programme is like from end to end, for little: what its packets weigh, and how its keyframes look.

Nothing is decoded but keyframes, and those only where they are few enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from reelpress.facts.formats import QUIET, container_args, protocol_whitelist
from reelpress.facts.media import MediaFacts, VideoTrack
from reelpress.facts.values import Value
from reelpress.quality.framecrc import Packet, PacketReader
from reelpress.quality.samples import MAX_PIXELS, refuse_cancelled
from reelpress.run.process import CancelToken, Limits, run

_LIMITS = Limits(wall_s=120, stall_s=60)
SLOT_S = 0.5
_ROUNDING = 1e-6  # of a slot: a packet that begins with one is in it
_MOST_SLOTS = 400_000  # two days
# Keyframes are looked at up to so many pixels in all: 200 of 1080 lines, which take a second or two.
_MOST_KEY_PIXELS = 420_000_000
THUMB_WIDTH, THUMB_HEIGHT = 32, 18
_THUMB_BYTES = THUMB_WIDTH * THUMB_HEIGHT


class Keyframe(Value, frozen=True, kw_only=True):
    """When a keyframe is shown, in seconds from the first picture, and how it looks: 32x18 values of brightness."""

    at_s: float
    thumb: bytes


class Overview(Value, frozen=True, kw_only=True):
    """``slot_bytes`` is what the packets of each half second weigh; ``keyframes`` are none where nobody looked."""

    duration_s: float
    slot_bytes: tuple[int, ...]
    keyframes: tuple[Keyframe, ...] = ()


def take_overview(
    ffmpeg: str,
    source: Path,
    facts: MediaFacts,
    *,
    max_pixels: int = MAX_PIXELS,
    cancel: CancelToken | None = None,
    spend: Callable[[float], None],
) -> Overview | None:
    """Look over a programme; ``None`` where its length is unknown. Raises :class:`Cancelled`."""
    track = facts.main_video
    if track is None or not track.duration_s:
        return None
    head = (
        ffmpeg, *QUIET,
        "-protocol_whitelist", protocol_whitelist(), *container_args(facts.container), "-max_pixels", str(max_pixels),
    )  # fmt: skip
    of = ("-i", f"file:{source}", "-map", f"0:{track.index}")
    reader = PacketReader()
    done = run((*head, *of, "-c", "copy", "-f", "framecrc", "-"), limits=_LIMITS, cancel=cancel, on_line=reader.feed)
    spend(done.cpu_s)
    refuse_cancelled(done)
    keyframes: tuple[Keyframe, ...] = ()
    packets = reader.streams.get(0, [])
    times = keyframes_s(packets)
    if 1 < len(times) <= _MOST_KEY_PIXELS // max(1, track.width * track.height):
        small = f"scale={THUMB_WIDTH}:{THUMB_HEIGHT}:flags=area,format=gray"
        looked = run(
            (*head, "-skip_frame", "nokey", *of, "-filter:v", small, "-fps_mode", "passthrough", "-f", "rawvideo", "-"),
            limits=_LIMITS, cancel=cancel,
        )  # fmt: skip
        spend(looked.cpu_s)
        refuse_cancelled(looked)
        keyframes = _keyframes(times, looked.stdout)
    return Overview(
        duration_s=track.duration_s, slot_bytes=slots(packets, _slot_count(track)), keyframes=keyframes
    )  # fmt: skip


def slots(packets: Sequence[Packet], count: int) -> tuple[int, ...]:
    """Return the bytes of each half second from the first packet on; none where there is no packet."""
    if not packets:
        return ()
    first_s = min(packet.at_s for packet in packets)
    found = [0] * count
    for packet in packets:
        place = int((packet.at_s - first_s) / SLOT_S + _ROUNDING)
        if place < count:
            found[place] += packet.size_bytes
    return tuple(found)


def keyframes_s(packets: Sequence[Packet]) -> tuple[float, ...]:
    """Return when keyframes are shown, in seconds from the first picture."""
    first_s = min((packet.at_s for packet in packets), default=0.0)
    return tuple(sorted(packet.at_s - first_s for packet in packets if packet.is_key and packet.is_shown))


def _slot_count(track: VideoTrack) -> int:
    return min(_MOST_SLOTS, max(1, int((track.duration_s or 0.0) / SLOT_S)))


def _keyframes(times_s: tuple[float, ...], pictures: bytes) -> tuple[Keyframe, ...]:
    """Return keyframes with their looks; none where there are not as many pictures as packets."""
    if len(pictures) != len(times_s) * _THUMB_BYTES:
        return ()
    return tuple(
        Keyframe(at_s=at_s, thumb=pictures[n * _THUMB_BYTES : (n + 1) * _THUMB_BYTES]) for n, at_s in enumerate(times_s)
    )
