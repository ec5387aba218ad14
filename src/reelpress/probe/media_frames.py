"""Decodes a few frames of a video stream in software and keeps what they say: size, pixels, colour, rotation, fields.

What the bitstream says wins over the container: FFmpeg's decoders fall back to the container where it is silent.
"""

from __future__ import annotations

import math
import struct
import time
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import Type
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from reelpress.facts.media import Chroma, Colour, ContentLight, MasteringDisplay
from reelpress.facts.values import Value

HEAD_FRAMES = 3
_MAX_HEAD_PACKETS = 300  # a stream cut out of a broadcast may begin seconds before its first keyframe
_MAX_DECODE_S = 4.0
_8K_PIXELS, _4K_PIXELS = 7680 * 4320 * 9 // 10, 3840 * 2160 * 9 // 10

PRIMARIES = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020", 10: "smpte428",
    11: "smpte431", 12: "smpte432", 22: "ebu3213",
}  # fmt: skip
TRANSFERS = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "linear", 9: "log100", 10: "log316",
    11: "iec61966-2-4", 12: "bt1361e", 13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084",
    17: "smpte428", 18: "arib-std-b67",
}  # fmt: skip
MATRICES = {
    0: "gbr", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco", 9: "bt2020nc",
    10: "bt2020c", 11: "smpte2085", 12: "chroma-derived-nc", 13: "chroma-derived-c", 14: "ictcp", 15: "ipt-c2",
    16: "ycgco-re", 17: "ycgco-ro",
}  # fmt: skip


class Orientation(Value, frozen=True, kw_only=True):
    """How to show a picture upright: flip it top to bottom if ``mirrored``, then turn it clockwise by ``degrees``.

    ``degrees`` is exact, so a matrix that turns by 45 shows as 45.
    """

    degrees: float = 0.0
    mirrored: bool = False


class FrameSampler:
    """Collects what the decoded frames of one stream say; one frame of an 8K stream, at most nine of others."""

    def __init__(self, stream: VideoStream, max_pixels: int, threads: int = 1) -> None:
        self.stream = stream
        self.frames = 0
        self.first_pts: int | None = None  # of the first frame that comes out at the stream's beginning
        self.first_dts: int | None = None  # of the packet that brought it out
        self.errors: list[str] = []
        self.sizes: set[tuple[int, int]] = set()
        self.format: VideoFormat | None = None
        self.colour = Colour()
        self.orientation: Orientation | None = None
        self.interlaced_frames = 0
        self.has_closed_captions = False
        self.has_dolby_vision = False
        self.corrupt_frames = 0
        self.last_pts: int | None = None  # of the frame that came out last
        self._places_seen: set[int | None] = set()  # the times of keyframes that were decoded from
        self._head_packets = 0
        self._spent_s = 0.0
        context = stream.codec_context
        self.declared = (context.width, context.height) if context is not None else None  # decoding changes these
        if context is not None:
            # more than one multiply memory, and delay the first frame
            context.thread_count, context.thread_type = threads, "AUTO"
            # only what frames say about themselves is read, so the loop filter, a third of decoding, is left out
            context.options = {"max_pixels": str(max_pixels), "skip_loop_filter": "all"}

    @property
    def pixels(self) -> int:
        """Pixels of the largest frame seen."""
        return max((w * h for w, h in self.sizes), default=0)

    def feed(self, packet: Packet[Any] | None) -> None:
        """Decode one packet of the stream's beginning, or flush, while more frames are wanted there."""
        if self._head_packets < _MAX_HEAD_PACKETS and self.frames < (1 if self.pixels >= _8K_PIXELS else HEAD_FRAMES):
            self._head_packets += 1
            if packet is not None and packet.is_keyframe:
                self._places_seen.add(packet.dts)
            self._decode(packet, are_errors_kept=True)

    def take(self, packet: Packet[Any] | None) -> list[VideoFrame]:
        """Decode one packet of many, or flush; of the frames, which are returned, the first few are looked at."""
        frames = self.stream.decode(packet)
        for frame in frames[: max(0, HEAD_FRAMES - self.frames)]:
            self._look(frame)
        return frames

    @property
    def later_frames(self) -> int:
        """How many frames are worth decoding at a place in the middle; none once decoding has taken its time."""
        if self.pixels >= _8K_PIXELS or self._spent_s > _MAX_DECODE_S:
            return 0
        return 1 if self.pixels >= _4K_PIXELS else 2

    def feed_later(self, packet: Packet[Any]) -> None:
        """Decode one packet from the middle."""
        self._decode(packet, are_errors_kept=False)

    def sample_later(self, container: InputContainer, start: int, end: int) -> None:
        """Seek into the middle and decode two frames at each place, to see sizes and fields change."""
        if self.frames == 0 or self.pixels >= _8K_PIXELS or end <= start:
            return
        for place in (0.5,) if self.pixels >= _4K_PIXELS else (0.35, 0.65, 0.95):
            wanted, has_key = self.frames + self.later_frames, False
            try:
                container.seek(start + int((end - start) * place), stream=self.stream)
                for count, packet in enumerate(container.demux(self.stream)):
                    if not has_key and packet.is_keyframe and packet.size:
                        if packet.dts in self._places_seen:
                            break  # the same keyframe as before
                        self._places_seen.add(packet.dts)
                        has_key = True
                    if self.frames >= wanted or count >= 300 or self._spent_s > _MAX_DECODE_S:
                        break
                    if has_key:
                        self._decode(packet, are_errors_kept=False)
            except (av.FFmpegError, OSError, ValueError):
                return  # a file that cannot be seeked was read through all the same

    def _decode(self, packet: Packet[Any] | None, *, are_errors_kept: bool) -> None:
        began = time.monotonic()
        try:
            for frame in self.stream.decode(packet):
                self._look(frame)
        except (av.FFmpegError, ValueError, MemoryError) as error:
            text = str(getattr(error, "strerror", None) or error or type(error).__name__)
            if are_errors_kept and text not in self.errors and len(self.errors) < 5:
                self.errors.append(text)
        self._spent_s += time.monotonic() - began
        if self._spent_s > _MAX_DECODE_S:
            self._head_packets = _MAX_HEAD_PACKETS

    def _look(self, frame: VideoFrame) -> None:
        if self.frames == 0:
            self.first_pts, self.first_dts = frame.pts, frame.dts
        self.frames += 1
        self.last_pts = frame.pts
        self.sizes.add((frame.width, frame.height))
        self.interlaced_frames += frame.interlaced_frame
        self.corrupt_frames += frame.is_corrupt
        if self.format is None:
            self.format = frame.format
        sides = {side.type: bytes(side) for side in _known_side_data(frame)}
        self.has_closed_captions |= Type.A53_CC in sides
        self.has_dolby_vision |= Type.DOVI_METADATA in sides or Type.DOVI_RPU_BUFFER in sides
        if self.orientation is None and Type.DISPLAYMATRIX in sides:
            self.orientation = read_matrix(sides[Type.DISPLAYMATRIX])
        seen = Colour(
            range=read_range(frame.color_range, frame.format.name),
            primaries=PRIMARIES.get(frame.color_primaries),
            transfer=TRANSFERS.get(frame.color_trc),
            matrix=MATRICES.get(frame.colorspace),
            mastering_display=read_mastering(sides.get(Type.MASTERING_DISPLAY_METADATA, b"")),
            content_light=read_content_light(sides.get(Type.CONTENT_LIGHT_LEVEL, b"")),
        )
        kept = self.colour
        self.colour = Colour(
            range=kept.range or seen.range,
            primaries=kept.primaries or seen.primaries,
            transfer=kept.transfer or seen.transfer,
            matrix=kept.matrix or seen.matrix,
            mastering_display=kept.mastering_display or seen.mastering_display,
            content_light=kept.content_light or seen.content_light,
        )


def _known_side_data(frame: VideoFrame) -> list[Any]:
    """Return the frame's side data, or none when it is of a kind this PyAV has no name for."""
    try:
        return list(frame.side_data)
    except ValueError:
        return []


def read_range(number: int, pix_fmt: str | None) -> Any:  # noqa: ANN401 - Literal["limited", "full"] or None
    """Return ``limited``, ``full`` or ``None``; the deprecated yuvj formats mean full."""
    if pix_fmt is not None and pix_fmt.startswith("yuvj"):
        return "full"
    return {1: "limited", 2: "full"}.get(int(number))


def read_matrix(raw: bytes) -> Orientation | None:
    """Return what a display matrix (nine native int32) does, ``None`` when it squashes the picture to nothing."""
    if len(raw) < 36:
        return None
    a, b, _, c, d = struct.unpack("=5i", raw[:20])
    if a * d == b * c:
        return None
    degrees = math.degrees(math.atan2(b / math.hypot(b, d), a / math.hypot(a, c))) % 360
    return Orientation(degrees=round(degrees, 1) % 360, mirrored=a * d < b * c)


def read_mastering(raw: bytes) -> MasteringDisplay | None:
    """Return the values of an AVMasteringDisplayMetadata that has both its halves."""
    if len(raw) < 88:
        return None
    numbers = struct.unpack("=22i", raw[:88])
    pairs = list(zip(numbers[0:20:2], numbers[1:20:2], strict=True))
    if not (numbers[20] and numbers[21]) or any(denominator == 0 for _, denominator in pairs):
        return None
    red_x, red_y, green_x, green_y, blue_x, blue_y, white_x, white_y, low, high = (Fraction(n, d) for n, d in pairs)
    return MasteringDisplay(
        red=(red_x, red_y),
        green=(green_x, green_y),
        blue=(blue_x, blue_y),
        white=(white_x, white_y),
        min_luminance=low,
        max_luminance=high,
    )


def read_content_light(raw: bytes) -> ContentLight | None:
    """Return the values of an AVContentLightMetadata; both zero means that nobody measured."""
    if len(raw) < 8:
        return None
    max_cll, max_fall = struct.unpack("=2I", raw[:8])
    return ContentLight(max_cll=max_cll, max_fall=max_fall) if max_cll or max_fall else None


def read_format(pixels: VideoFormat | None) -> tuple[int | None, Chroma | None, bool]:
    """Return bit depth, chroma subsampling and whether there is an alpha plane."""
    if pixels is None or not pixels.components:
        return None, None, False
    depth = 8 if pixels.has_palette else max(c.bits for c in pixels.components)
    has_alpha = any(c.is_alpha for c in pixels.components)
    chroma: Chroma | None
    if pixels.is_rgb or pixels.has_palette:
        chroma = "rgb"
    elif len(pixels.components) - has_alpha == 1:
        chroma = "gray"
    else:
        ratios: dict[tuple[int, int], Chroma] = {
            (2, 2): "420", (2, 1): "422", (1, 1): "444", (4, 1): "411", (4, 4): "410", (1, 2): "440",
        }  # fmt: skip
        chroma = ratios.get((64 // max(pixels.chroma_width(64), 1), 64 // max(pixels.chroma_height(64), 1)))
    return depth, None if pixels.name.startswith(("xyz", "bayer")) else chroma, has_alpha
