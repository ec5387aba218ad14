"""The half of the probe that touches hostile bytes: reads a JSON request on stdin, prints one JSON answer on stdout.

Run by :mod:`reelpress.probe.media` as a process of its own, under limits. It opens exactly one file, by an absolute
name behind ``file:``, with allow-lists of protocols and demuxers, and can open no other once it has: descriptors run
out. A crash, a hang or a memory bomb in a demuxer or decoder ends this process and nothing else.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path
from typing import BinaryIO

import av
import av.audio.codeccontext
import av.audio.stream
import av.logging

# PyAV imports these on first use, which is when no file can be opened any more.
import av.subtitles.codeccontext
import av.subtitles.stream
import av.video.codeccontext
import av.video.stream

from reelpress.facts.formats import format_whitelist, protocol_whitelist
from reelpress.facts.values import from_json, to_json
from reelpress.probe.isobmff import read_boxes
from reelpress.probe.media_reader import Reader
from reelpress.probe.media_refusal import RefusedError, not_read, refuse_by_content, regular_size, why_not_opened
from reelpress.probe.media_request import Answer, Refusal, Request

# Opening decodes a picture of each stream to learn what an MP4 tells anyway, and what the first frames tell us later.
# Without it FFmpeg reads on for some MB, in vain: no matter on a disk, where all is read anyway.
_UNSEEN = [{"skip_frame": "all"}] * 32


def answer(request: Request) -> Answer:
    """Look at the file and answer; what cannot be used is a refusal, never an exception."""
    try:
        return _look(request)
    except RefusedError as refused:
        return Answer(refused=refused.refusal)
    except MemoryError:
        return Answer(refused=Refusal(kind="too_costly", what="reading the file takes more memory than allowed"))


def _look(request: Request) -> Answer:
    path = os.fsdecode(request.path)
    size = regular_size(path) if request.url is None else request.size_bytes
    try:
        with Path(path).open("rb") if request.url is None else _at_gateway(request.url, size) as file:
            head = file.read(4096)
            boxes = read_boxes(file, size)
    except OSError as error:
        raise not_read(error) from error
    refuse_by_content(head, boxes)
    av.logging.set_level(av.logging.ERROR)
    options = {
        "protocol_whitelist": request.protocols or protocol_whitelist(),
        "format_whitelist": format_whitelist(),
        "max_pixels": str(request.max_pixels),
        "enable_drefs": "0",
        "fflags": "-genpts",
        "threads": "1",
        **dict(request.options),
    }
    with av.logging.Capture(local=False) as logs:
        # A seek over the network connects anew before it hangs up.
        _forbid_more_files(but=1 if request.url is None else 2)
        try:
            container = av.open(
                request.url or f"file:{path}", options=options, metadata_errors="replace",
                stream_options=_UNSEEN if boxes is not None and request.url is None else None,  # type: ignore[arg-type]  # the stub says strings
            )  # fmt: skip
        except (av.FFmpegError, OSError, ValueError) as error:
            raise why_not_opened(error, logs, head, boxes) from error
        with container:
            container.flags &= ~0x0400  # AVFMT_FLAG_GENPTS, which PyAV sets: it reads ahead without bound
            reader = Reader(container, boxes, logs, request)
            return Answer(facts=reader.facts(size), decoded=reader.decoded)


def _at_gateway(url: str, size: int) -> BinaryIO:
    # A fifth of what a child takes to start, and most read what lies on a disk.
    from reelpress.probe.ranged_file import RangedFile

    return RangedFile.buffered(url, size)


def _forbid_more_files(but: int = 1) -> None:
    """Leave this process ``but`` descriptors, for the file. Whatever refers to another file then fails to open it."""
    next_free = os.dup(0)
    os.close(next_free)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_free + but, hard))


def main() -> None:
    """Answer the request on stdin; without one there is nothing to do."""
    asked = sys.stdin.buffer.read()
    if not asked:
        return
    request = from_json(asked, Request)
    sys.stdout.buffer.write(to_json(answer(request)))
    sys.stdout.buffer.flush()
    os._exit(0)  # somebody waits for this end, and taking all modules apart would take as long as reading a short file


if __name__ == "__main__":
    main()
