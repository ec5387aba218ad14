"""What FFmpeg's own description of a file says of its streams, beyond what PyAV tells. For the probe's child."""

from __future__ import annotations

import re

import av.logging
from av.container import InputContainer

from reelpress.probe.media_crop import container_crop, is_cut_left_or_top
from reelpress.probe.media_tracks import StreamLine

_DOVI_LINE = re.compile(r"^ +DOVI configuration record: .*profile: (\d+),.*compatibility id: (\d+)", re.MULTILINE)


def stream_lines(container: InputContainer) -> dict[int, StreamLine]:
    """Return what FFmpeg's own description of the streams says, by stream index."""
    av.logging.set_level(av.logging.INFO)  # the level of the description
    description: str = container.dumps_format()  # type: ignore[attr-defined]  # PyAV's stubs lack it
    av.logging.set_level(av.logging.ERROR)
    cut = {stream.index for stream in container.streams.video if is_cut_left_or_top(stream)}
    lines: dict[int, StreamLine] = {}
    parts = re.split(r"^  Stream #0:(\d+)", description, flags=re.MULTILINE)
    for index, body in zip(parts[1::2], parts[2::2], strict=True):
        codec = re.match(r".*?: (?:Video|Audio|Subtitle|Data|Attachment|Unknown): ([\w.]+)", body)
        size = re.match(r".*?: Video: .*?, (\d{1,6})x(\d{1,6})", body)
        dovi = _DOVI_LINE.search(body)
        lines.setdefault(
            int(index),
            StreamLine(
                codec=codec[1] if codec else None,
                size=(int(size[1]), int(size[2])) if size else None,
                dovi_profile=int(dovi[1]) if dovi else None,
                dovi_compatibility_id=int(dovi[2]) if dovi else None,
                crop=container_crop(body),
                is_cut_left_or_top=int(index) in cut,
            ),
        )
    return lines
