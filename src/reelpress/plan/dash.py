"""A DASH manifest (ISO/IEC 23009-1), written from what segments are. Pure; every value in it is ours."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from reelpress.plan.hls import Representation
from reelpress.plan.streaming import Streams


def manifest(parts: Streams, tracks: Sequence[Representation]) -> str:
    """Return the MPD of a ladder: a set of all rungs, and one of the sounds.

    ``bandwidth`` is that of the largest segment: a client that fetches so much never waits once it has
    ``minBufferTime`` (5.3.5.2).
    """
    count = len(parts.rungs)
    length = max(sum(track.durations_s) for track in tracks)
    longest = max(duration for track in tracks for duration in track.durations_s)
    head = (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-live:2011" type="static" '
        f'mediaPresentationDuration="PT{length:.3f}S" maxSegmentDuration="PT{longest:.3f}S" '
        f'minBufferTime="PT{parts.segment_s:.3f}S">'
    )
    lines = [head, '  <Period id="0" start="PT0S">', _set(0, "video")]
    rate = f' frameRate="{parts.fps.numerator}/{parts.fps.denominator}"' if parts.fps is not None else ""
    for rung, track in zip(parts.rungs, tracks[:count], strict=True):
        size = f'width="{rung.width}" height="{rung.height}" sar="1:1"{rate}'
        lines += _representation(track, size, ())
    lines.append("    </AdaptationSet>")
    if parts.sounds:
        lines.append(_set(1, "audio"))
        for sound, track in zip(parts.sounds, tracks[count:], strict=True):
            scheme = "urn:mpeg:dash:23003:3:audio_channel_configuration:2011"
            channels = f'<AudioChannelConfiguration schemeIdUri="{scheme}" value="{sound.channels}"/>'
            lines += _representation(track, f'audioSamplingRate="{track.timescale}"', (channels,))
        lines.append("    </AdaptationSet>")
    return "\n".join((*lines, "  </Period>", "</MPD>", ""))


def _set(number: int, kind: str) -> str:
    aligned = 'segmentAlignment="true" startWithSAP="1"'
    return f'    <AdaptationSet id="{number}" contentType="{kind}" mimeType="{kind}/mp4" {aligned}>'


def _representation(track: Representation, more: str, inside: Sequence[str]) -> list[str]:
    told = f'id="{track.number}" codecs="{track.codec}" bandwidth="{track.peak_bps}" {more}'
    template = (
        f'timescale="{track.timescale}" initialization="init-$RepresentationID$.mp4" '
        'media="seg-$RepresentationID$-$Number%05d$.m4s" startNumber="1"'
    )
    return [
        f"      <Representation {told}>", *(f"        {line}" for line in inside),
        f"        <SegmentTemplate {template}>", "          <SegmentTimeline>", *_timeline(track),
        "          </SegmentTimeline>", "        </SegmentTemplate>", "      </Representation>",
    ]  # fmt: skip


def _timeline(track: Representation) -> list[str]:
    """Return how long segments are, those alike in a row as one; segments follow each other without a gap."""
    lines, start = [], f't="{track.segments[0].start}" '
    for duration, alike in itertools.groupby(segment.duration for segment in track.segments):
        again = len(list(alike)) - 1
        repeated = f' r="{again}"' if again else ""
        lines.append(f'            <S {start}d="{duration}"{repeated}/>')
        start = ""
    return lines
