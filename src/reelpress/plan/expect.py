"""What an output must be, and what to deliver where encoding does not pay. Pure."""

from __future__ import annotations

from math import ceil

from reelpress.facts.formats import ELEMENTARY_FORMATS
from reelpress.facts.host import HostFacts
from reelpress.facts.media import MediaFacts, VideoTrack
from reelpress.facts.values import Value
from reelpress.plan.colour import ColourPlan
from reelpress.plan.encoders import EncoderRow
from reelpress.plan.geometry import Size, Timing
from reelpress.plan.ladder import copy_attempts
from reelpress.plan.model import Action, Copy, Expectation, Reason, Skip, StreamDecision
from reelpress.plan.tracks import TrackPlan
from reelpress.request import Request

DURATION_TOLERANCE_S = 0.1
AUDIO_TOLERANCE_S = 0.15
AUDIO_MOST_S = 1.0  # of a sound whose length was measured, however long it is
COPYABLE = frozenset({"h264", "hevc", "av1"})
INTERLACED_ORDERS = frozenset({"tt", "bb", "tb", "bt"})


def video_decisions(
    media: MediaFacts, track: VideoTrack, action: Action, codec: str, reason: str
) -> tuple[StreamDecision, ...]:
    """Return what becomes of each video stream: this one is kept, the others are not."""

    def decide(video: VideoTrack) -> StreamDecision:
        if video.index == track.index:
            return StreamDecision(index=video.index, kind="video", action=action, codec=codec, reason=reason)
        text = "Only the largest video stream is kept."
        return StreamDecision(index=video.index, kind="video", action="drop", codec=None, reason=text)

    return tuple(decide(v) for v in media.video)


def expect_encode(
    media: MediaFacts,
    track: VideoTrack,
    request: Request,
    *,
    row: EncoderRow,
    size: Size,
    clock: Timing,
    colour: ColourPlan,
    tracks: TrackPlan,
    before_scale: tuple[str, ...],
) -> Expectation:
    """Return what an encode must come to."""
    counted = media.scan_complete
    frame_s = 1 / float(clock.fps) if clock.fps else 0.0
    sound = _sound(track, tracks)
    limit = None if request.always_encode else int(media.size_bytes * (1 - request.min_saving))
    return Expectation(
        codec=row.codec, width=size.width, height=size.height, pix_fmt=colour.pix_fmt,
        sample_aspect_ratio=None, rotation_deg=0,
        frames=ceil(track.frames / clock.every) if counted and track.frames and clock.every else None,
        frames_at_most=clock.frames_at_most if counted else None,
        frames_at_least=clock.frames_at_least if counted else None, frames_every=clock.every,
        duration_s=track.duration_s, duration_tolerance_s=max(DURATION_TOLERANCE_S, 2 * frame_s),
        promised_s=_promised_s(media), last_s=track.last_s if track.ends_still else None,
        colour_transfer=colour.transfer, colour_primaries=colour.primaries, colour_matrix=colour.matrix,
        colour_range=colour.range,
        copied_codecs=(), max_bytes=limit, picture_filters=",".join((*before_scale, *colour.filters)),
        audio=sound.audio, audio_tolerance_s=AUDIO_TOLERANCE_S, audio_offset_s=sound.offset_s,
        audio_most_s=AUDIO_MOST_S if media.scan_complete else None,
        subtitles=tracks.subtitles, chapters=_chapters(media),
    )  # fmt: skip


def copied_codecs(tracks: TrackPlan) -> tuple[str, ...]:
    """Return the codecs of the streams that are copied."""
    return tuple(sorted({s.codec for s in tracks.streams if s.action == "copy" and s.codec is not None}))


def _chapters(media: MediaFacts) -> int:
    """Return how many chapters FFmpeg carries over: those that do not end before the programme begins."""
    return sum(round(chapter.end_s - (media.start_s or 0.0), 6) >= 0 for chapter in media.chapters)


def _promised_s(media: MediaFacts) -> float | None:
    """Return the header's duration where the file was seen to be cut short of it."""
    cut_short = any(text.startswith("file ends early") for text in media.damage)
    return media.header_duration_s if cut_short else None


class _Sound(Value, frozen=True, kw_only=True):
    audio: tuple[float | None, ...]
    offset_s: float | None


def _sound(track: VideoTrack, tracks: TrackPlan) -> _Sound:
    """Return what encode and copy expect alike: how long each audio stream is, and when the first one starts."""
    first = tracks.audio[0] if tracks.audio else None
    offset = None
    if first is not None and first.start_s is not None and track.start_s is not None:
        offset = first.start_s - track.start_s
    return _Sound(audio=tuple(a.duration_s for a in tracks.audio), offset_s=offset)


def instead(media: MediaFacts, track: VideoTrack, host: HostFacts, request: Request, tracks: TrackPlan) -> Copy | Skip:
    """Return what to deliver where encoding does not pay: a remux every player takes, or the input itself."""
    obstacle = _copy_obstacle(media, track, request)
    if obstacle is not None:
        return Skip(reasons=(Reason(code="kept", text=f"The input is kept as it is: {obstacle}.", fact=track.codec),))
    sound = _sound(track, tracks)
    attempts = copy_attempts(media, track, host, request, tracks=tracks)
    text = f"Its {track.codec} video goes into an MP4 as it is, without a second lossy generation."
    streams = video_decisions(media, track, "copy", track.codec, "Copied unchanged.")
    expect = Expectation(
        codec=track.codec, width=track.width, height=track.height, pix_fmt=track.pix_fmt,
        sample_aspect_ratio=track.sample_aspect_ratio, rotation_deg=track.rotation_deg,
        frames=track.frames if media.scan_complete else None, frames_at_most=None, frames_every=1,
        duration_s=track.duration_s, duration_tolerance_s=DURATION_TOLERANCE_S,
        promised_s=_promised_s(media),
        colour_transfer=track.colour.transfer, colour_primaries=track.colour.primaries,
        colour_matrix=track.colour.matrix, colour_range=None,
        copied_codecs=(track.codec, *copied_codecs(tracks)),
        # a remux may cost a little: sample tables where the input had none, faststart
        max_bytes=int(media.size_bytes * 1.02) + 65_536,
        audio=sound.audio, audio_tolerance_s=AUDIO_TOLERANCE_S, audio_offset_s=sound.offset_s,
        audio_most_s=AUDIO_MOST_S if media.scan_complete else None,
        subtitles=tracks.subtitles, chapters=_chapters(media),
    )  # fmt: skip
    return Copy(
        attempts=attempts, expect=expect, streams=(*streams, *tracks.streams),
        reasons=(Reason(code="copied", text=text, fact=track.codec),),
    )  # fmt: skip


_WITHOUT_TIMES = frozenset({"avi", "asf", "asf_o", *ELEMENTARY_FORMATS})


def _copy_obstacle(media: MediaFacts, track: VideoTrack, request: Request) -> str | None:
    """Return why the video cannot be delivered without encoding, or ``None``."""
    interlaced = track.is_interlaced or track.field_order in INTERLACED_ORDERS
    checks = (
        (track.codec not in COPYABLE, f"{track.codec} has no common place in MP4"),
        (track.codec not in ("h264", request.codec), f"{track.codec} is not the codec that was asked for"),
        (
            track.pix_fmt not in ("yuv420p", "yuvj420p") and track.codec == "h264",
            f"{track.pix_fmt} plays in few players",
        ),
        (bool(interlaced), "it is interlaced"),
        # FFmpeg writes the times of decoding for those of showing then: B-frames are played in the wrong order
        (media.container in _WITHOUT_TIMES, "its container does not say when a picture is shown"),
        (track.mirrored, "its picture is mirrored by a flag few players honour"),
        (len([e for e in track.edits if e.media_time_s is not None]) > 1, "its edit list cuts the video"),
        (track.changes_size, "its picture changes size midway"),
        (track.crop is not None, "its picture is cropped by a note few players heed"),
    )
    return next((text for hit, text in checks if hit), None)
