"""What is cut off a decoded picture: by the container, which a decoder leaves to the player, and by the bitstream."""

from __future__ import annotations

import re

import av
import av.logging
from av.bitstream import BitStreamFilterContext
from av.video.stream import VideoStream

from reelpress.facts.media import Crop

_CONTAINERS = re.compile(r"^ +Frame Cropping: (\d+)/(\d+)/(\d+)/(\d+)$", re.MULTILINE)
# H.264's and HEVC's own names in their headers, in units of one or two pixels
_BITSTREAMS = re.compile(r"\b(?:frame_crop|conf_win)_(?:left|top)_offset +[01]+ = [1-9]")


def container_crop(description: str) -> Crop | None:
    """Return what FFmpeg's description of a stream says that its container crops, ``None`` for nothing."""
    found = _CONTAINERS.search(description)
    if found is None:
        return None
    left, right, top, bottom = map(int, found.groups())
    return Crop(left=left, right=right, top=top, bottom=bottom) if left or right or top or bottom else None


def is_cut_left_or_top(stream: VideoStream) -> bool:
    """Tell whether the stream's own headers cut pixels off at the left or the top, as few encoders do.

    FFmpeg's header parser reads them; headers that are not in front of the first frame are not seen.
    """
    context = stream.codec_context
    if context is None or context.name not in {"h264", "hevc"} or not context.extradata:
        return False
    av.logging.set_level(av.logging.INFO)  # the level of the parser's account
    try:
        with av.logging.Capture(local=False) as told:
            BitStreamFilterContext("trace_headers", in_stream=stream)
    except (av.FFmpegError, ValueError):
        return False
    finally:
        av.logging.set_level(av.logging.ERROR)
    return any(_BITSTREAMS.search(message) for _, _, message in told)
