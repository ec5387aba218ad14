"""HLS playlists (RFC 8216), written from what segments are. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from reelpress.facts.values import Value
from reelpress.plan.streaming import Streams


class Segment(Value, frozen=True, kw_only=True):
    """One segment as it lies on disk; ``start`` and ``duration`` count the track's timescale."""

    name: str
    size_bytes: int
    start: int
    duration: int
    samples: int
    keyframes: int
    starts_with_keyframe: bool


class Representation(Value, frozen=True, kw_only=True):
    """One track of a ladder: its initialization segment's facts, and its segments in order."""

    number: int
    timescale: int
    codec: str  # as RFC 6381 has it
    segments: tuple[Segment, ...]

    @property
    def durations_s(self) -> tuple[float, ...]:
        """How long each segment is."""
        return tuple(s.duration / self.timescale for s in self.segments)

    @property
    def target_s(self) -> int:
        """The target duration: the longest segment in whole seconds."""
        return max(1, math.floor(max(self.durations_s) + 0.5))

    @property
    def peak_bps(self) -> int:
        """The largest rate of segments in a row that last half to one and a half times the target, in bit/s.

        RFC 8216, 4.1: a last segment of one packet is no peak. Of what is shorter in all it is the mean.
        """
        peak = 0
        for first in range(len(self.segments)):
            size = ticks = 0
            for segment in self.segments[first:]:
                size, ticks = size + segment.size_bytes, ticks + segment.duration
                if ticks > 1.5 * self.target_s * self.timescale:
                    break
                if ticks >= 0.5 * self.target_s * self.timescale:
                    peak = max(peak, math.ceil(size * 8 * self.timescale / ticks))
        return peak or self.average_bps

    @property
    def average_bps(self) -> int:
        """The rate over all of it, in bit/s."""
        total = sum(s.duration for s in self.segments)
        return math.ceil(sum(s.size_bytes for s in self.segments) * 8 * self.timescale / total)


def media_name(number: int) -> str:
    """Return the name of a representation's playlist."""
    return f"media-{number}.m3u8"


def media_playlist(track: Representation) -> str:
    """Return the playlist of one track."""
    lines = [
        "#EXTM3U", "#EXT-X-VERSION:7", f"#EXT-X-TARGETDURATION:{track.target_s}",
        "#EXT-X-MEDIA-SEQUENCE:1", "#EXT-X-PLAYLIST-TYPE:VOD", "#EXT-X-INDEPENDENT-SEGMENTS",
        f'#EXT-X-MAP:URI="init-{track.number}.mp4"',
    ]  # fmt: skip
    for segment, duration_s in zip(track.segments, track.durations_s, strict=True):
        lines += [f"#EXTINF:{duration_s:.6f},", segment.name]
    return "\n".join((*lines, "#EXT-X-ENDLIST", ""))


def master_playlist(parts: Streams, tracks: Sequence[Representation]) -> str:
    """Return the playlist that names all rungs, best first: rates are those of the segments, with their sound."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    for number, sound in enumerate(parts.sounds, start=len(parts.rungs)):
        lines.append(
            f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="sound-{number}",NAME="Main",DEFAULT=YES,AUTOSELECT=YES,'
            f'CHANNELS="{sound.channels}",URI="{media_name(number)}"'
        )
    rate = "" if parts.fps is None else f",FRAME-RATE={float(parts.fps):.3f}"
    for place, rung in enumerate(parts.rungs):
        video, with_it = tracks[place], parts.sound_of(place)
        peak, average, codecs, group = video.peak_bps, video.average_bps, video.codec, ""
        if with_it is not None:
            sounds = tracks[with_it]
            peak, average = peak + sounds.peak_bps, average + sounds.average_bps
            codecs, group = f"{codecs},{sounds.codec}", f',AUDIO="sound-{with_it}"'
        rates = f'BANDWIDTH={peak},AVERAGE-BANDWIDTH={average},CODECS="{codecs}"'
        lines.append(f"#EXT-X-STREAM-INF:{rates},RESOLUTION={rung.width}x{rung.height}{rate}{group}")
        lines.append(media_name(place))
    return "\n".join((*lines, ""))
