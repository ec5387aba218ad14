"""Where FFmpeg may begin to read so that what is shown at a time decodes well, whatever the container. Pure."""

from __future__ import annotations

from reelpress.facts.formats import ELEMENTARY_FORMATS, INDEXED_FORMATS, RUN_UP_S
from reelpress.facts.media import MOST_PAUSES, PAUSE_S, MediaFacts, VideoTrack
from reelpress.facts.values import Value

# Nothing is sought this near to the beginning: it costs as much, and FFmpeg ends at once where it seeks an FLV there.
READ_ANYWAY_S = 1.0
# A keyframe is sought this much before its decode time, which containers round.
_ENTRY_S = 0.02
_MARGIN_S = 1.0  # what is decoded last before a time may be shown as much earlier than it stands in the file
# Pictures by which encoders decode one before those that are shown earlier: two with x264, three with x265, at their
# presets. MP4 is sought by decode times, and after a pause that of a keyframe lies before the pause.
_REORDERED = 4


class Pauses(Value, frozen=True, kw_only=True):
    """Where one picture stays, in seconds from the first; elsewhere they are at most ``step_s`` apart."""

    between_s: tuple[tuple[float, float], ...]
    step_s: float
    still_from_s: float | None  # when the last picture comes, where it stays

    def decoded_from_s(self, shown_s: float) -> float:
        """Return a time before which decoding begins for all that is shown from ``shown_s`` on."""
        at_s = shown_s if self.still_from_s is None else min(shown_s, self.still_from_s)
        for _ in range(1 + _REORDERED):
            at_s = next((begin for begin, end in self.between_s if begin < at_s <= end), at_s - self.step_s)
        return at_s


def pauses_of(track: VideoTrack) -> Pauses:
    """Return where the pictures of a track pause."""
    if track.is_vfr:
        shortest_s = min((end - begin for begin, end in track.pauses_s), default=PAUSE_S)
        step_s = shortest_s if len(track.pauses_s) == MOST_PAUSES else PAUSE_S
    else:
        step_s = 1 / float(track.fps_avg) if track.fps_avg else 0.0
    return Pauses(between_s=track.pauses_s, step_s=step_s, still_from_s=track.still_from_s)


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
