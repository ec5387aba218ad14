"""Where FFmpeg may begin to read so that what is shown at a time decodes well, whatever the container. Pure."""

from __future__ import annotations

from reelpress.facts.formats import ELEMENTARY_FORMATS, INDEXED_FORMATS, RUN_UP_S
from reelpress.facts.media import MediaFacts, VideoTrack

# Nothing is sought this near to the beginning: it costs as much, and FFmpeg ends at once where it seeks an FLV there.
READ_ANYWAY_S = 1.0
# A keyframe is sought this much before its decode time, which containers round.
_ENTRY_S = 0.02
_MARGIN_S = 1.0  # what is decoded last before a time may be shown as much earlier than it stands in the file


def can_seek(media: MediaFacts, track: VideoTrack) -> bool:
    """Tell whether things are where their times say: not behind a jump of the clock, and bare streams have no times."""
    return not track.clock_jumps and media.container not in ELEMENTARY_FORMATS


def run_up_s(media: MediaFacts, track: VideoTrack, *, indexed_s: float = 0.0) -> float:
    """Return how much earlier than a time to seek so that all from then on decodes well.

    It is ``indexed_s`` where FFmpeg seeks to keyframes by an index.
    """
    # its decoder for VVC makes other pictures than from the beginning when it starts midway
    if media.container in INDEXED_FORMATS and track.codec != "vvc":
        return indexed_s
    gop_s = track.longest_gop_s
    if gop_s is None and track.keyframes and track.duration_s:
        gop_s = track.duration_s / track.keyframes
    # a place between keyframes leads to the next; what one cuts off (open GOPs) is whole after the one that follows
    return RUN_UP_S if gop_s is None else _MARGIN_S + 2 * gop_s


def entry_before(media: MediaFacts, track: VideoTrack, start_s: float) -> float | None:
    """Return the time to seek to for what is shown at ``start_s``; both in seconds from the first picture.

    ``None`` where no keyframe is known that it can be decoded from.
    """
    if track.codec == "vvc":  # as for :func:`run_up_s`
        return None
    known = (s for s in media.stretches if s.keyframe_s is not None and s.keyframe_s <= start_s < s.end_s)
    return max((s.enter_s - _ENTRY_S for s in known if s.enter_s is not None), default=None)


def seek_args(seek_s: float) -> tuple[str, ...]:
    """Return the options that have an input begin at or before a time on its container's clock, and keep that clock.

    FFmpeg's own, with 0 where it was sought, is wrong for MPEG-TS by its start where a stream that is not used begins
    before those that are.
    """
    return ("-copyts", "-noaccurate_seek", "-seek_timestamp", "1", "-ss", f"{seek_s:.6f}")
