"""Audio, subtitles and everything else: which streams come along, as what, and why the others do not."""

from __future__ import annotations

from reelpress.facts.media import AudioTrack, MediaFacts
from reelpress.facts.values import Value
from reelpress.plan.model import Action, StreamDecision
from reelpress.request import Request

# AAC up to this much above the wished bit rate is copied: a second lossy generation costs more than it saves.
COPY_HEADROOM = 1.25
MAX_SAMPLE_RATE_HZ = 48_000
MIN_BITRATE_BPS = 32_000
MAX_CHANNELS = 8
BROKEN_PACKETS = "Its packets do not decode cleanly."


class TrackPlan(Value, frozen=True, kw_only=True):
    """Arguments for every stream beside the main video, and the decision on each stream of the input."""

    args: tuple[str, ...]
    maps: tuple[str, ...]
    streams: tuple[StreamDecision, ...]
    audio: tuple[AudioTrack, ...]  # those that reach the output, in order
    subtitles: int


def plan_tracks(media: MediaFacts, request: Request, *, copy_audio: bool = True) -> TrackPlan:
    """Keep all audio and text subtitles; drop the rest, each with its reason."""
    args: list[str] = []
    maps: list[str] = []
    streams: list[StreamDecision] = []
    kept: list[AudioTrack] = []
    for track in media.audio:
        if not track.decodes:
            streams.append(_drop(track.index, "audio", f"No decoder for its codec ({track.codec or 'unknown'})."))
            continue
        if track.size_bytes == 0 and media.scan_complete:
            streams.append(_drop(track.index, "audio", "The stream holds no packets."))
            continue
        maps += ["-map", f"0:{track.index}"]
        action, options, text = _audio(track, request, may_copy=copy_audio)
        args += [f"-{name}:a:{len(kept)}" if i % 2 == 0 else name for i, name in enumerate(options)]
        streams.append(StreamDecision(index=track.index, kind="audio", action=action, codec="aac", reason=text))
        kept.append(track)
    subtitles = 0
    for sub in media.subtitles:
        if not sub.is_text:
            text = f"Bitmap subtitles ({sub.codec or 'unknown'}) have no place in MP4."
            streams.append(_drop(sub.index, "subtitle", text))
            continue
        if not sub.decodes:
            streams.append(_drop(sub.index, "subtitle", f"No decoder for its subtitles ({sub.codec or 'unknown'})."))
            continue
        maps += ["-map", f"0:{sub.index}"]
        args += [f"-c:s:{subtitles}", "mov_text"]
        text = f"{sub.codec} becomes mov_text." if sub.codec != "mov_text" else "Kept as mov_text."
        streams.append(
            StreamDecision(index=sub.index, kind="subtitle", action="convert", codec="mov_text", reason=text)
        )
        subtitles += 1
    for other in media.other:
        name = other.kind.replace("_", " ")
        streams.append(
            _drop(other.index, other.kind, f"Its {name} stream ({other.codec or 'unknown'}) is not carried over.")
        )
    return TrackPlan(args=tuple(args), maps=tuple(maps), streams=tuple(streams), audio=tuple(kept), subtitles=subtitles)


def _drop(index: int, kind: str, text: str) -> StreamDecision:
    return StreamDecision(index=index, kind=kind, action="drop", codec=None, reason=text)  # type: ignore[arg-type]


def _audio(track: AudioTrack, request: Request, *, may_copy: bool) -> tuple[Action, list[str], str]:
    """Return the action, alternating option names and values, and the reason for one audio track."""
    channels = track.channels or 2
    target = _target_bitrate(track, request)
    downmix = request.audio_channels == "stereo" and channels > 2
    # one channel may keep what two were allowed: there is little to save, and a generation to lose
    limit = round(request.audio_bitrate_bps * max(channels, 2) / 2 * COPY_HEADROOM)
    obstacle = _copy_obstacle(track, limit, downmix=downmix) if may_copy else BROKEN_PACKETS
    if obstacle is None:
        rate = f" at {track.bitrate_bps // 1000} kb/s" if track.bitrate_bps else ""
        return "copy", ["c", "copy"], f"AAC{rate} fits: copied, not encoded again."
    options = ["c", "aac", "b", str(target)]
    if downmix or channels > MAX_CHANNELS:
        options += ["ac", "2"]
    if track.sample_rate_hz is not None and track.sample_rate_hz > MAX_SAMPLE_RATE_HZ:
        options += ["ar", str(MAX_SAMPLE_RATE_HZ)]
    mixed = " mixed down to stereo" if downmix else ""
    return "encode", options, f"{obstacle} Encoded to AAC at {target // 1000} kb/s{mixed}."


def _copy_obstacle(track: AudioTrack, limit_bps: int, *, downmix: bool) -> str | None:
    """Return why the track cannot be copied, or ``None`` when it can."""
    checks = (
        (track.codec != "aac", f"{track.codec or 'Unknown codec'} is not AAC."),
        (downmix, f"{track.channels} channels were asked to become two."),
        # FFmpeg has to know both when it writes the header
        (track.begins_late, "Its rate and channels are known only where it begins."),
        (track.bitrate_bps is None, "Its bit rate is unknown."),
        (
            track.bitrate_bps is not None and track.bitrate_bps > limit_bps,
            f"{(track.bitrate_bps or 0) // 1000} kb/s is above the wished rate.",
        ),
        ((track.sample_rate_hz or 0) > MAX_SAMPLE_RATE_HZ, f"{track.sample_rate_hz} Hz is above 48 kHz."),
        # Packets cannot be cut: an edit that starts inside the stream is only exact after decoding.
        (_has_cuts(track), "Its edit list cuts into the audio."),
    )
    return next((text for hit, text in checks if hit), None)


def _has_cuts(track: AudioTrack) -> bool:
    """Tell whether edits do more than skip encoder priming (under 0.1 s) or delay the start."""
    media = [e for e in track.edits if e.media_time_s is not None]
    return len(media) > 1 or any(e.media_time_s is not None and e.media_time_s > 0.1 for e in media)


def _target_bitrate(track: AudioTrack, request: Request) -> int:
    """Return the AAC bit rate in bit/s: the setting is meant for stereo and scales with pairs of channels.

    It never exceeds what the source spends, since bits cannot bring back what is gone.
    """
    channels = 2 if request.audio_channels == "stereo" else min(track.channels or 2, MAX_CHANNELS)
    target = round(request.audio_bitrate_bps * max(channels, 1) / 2)
    lossless = (track.codec or "").startswith(("pcm", "flac", "alac", "truehd", "mlp"))
    if track.bitrate_bps and not lossless:
        target = min(target, max(track.bitrate_bps, MIN_BITRATE_BPS * max(channels, 1) // 2))
    return max(target, MIN_BITRATE_BPS // 2)
