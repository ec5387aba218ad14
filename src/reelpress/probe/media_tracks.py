"""The facts of sound, subtitles and other streams, and what all streams have in common."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer
from av.stream import Disposition, Stream

from reelpress.facts.media import AudioTrack, Crop, OtherTrack, StreamKind, SubtitleTrack
from reelpress.facts.values import Value
from reelpress.probe.isobmff import TrackBoxes
from reelpress.probe.media_stream import StreamScan

_MAX_TEXT = 1_000
_BITMAP_SUBTITLES = frozenset({"hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle", "dvb_teletext", "xsub"})
_DECODED_BY_OTHERS = "arib_caption"  # has no decoder in PyAV, but in the FFmpeg that comes with us


class StreamLine(Value, frozen=True, kw_only=True):
    """What FFmpeg's own summary of a stream says; it names codecs that have no decoder."""

    codec: str | None = None
    size: tuple[int, int] | None = None
    dovi_profile: int | None = None
    dovi_compatibility_id: int | None = None
    crop: Crop | None = None
    is_cut_left_or_top: bool = False


def text(raw: str | None) -> str | None:
    """Return a tag's text, bounded, or ``None`` when it is empty."""
    cleaned = (raw or "").strip()[:_MAX_TEXT]
    return cleaned or None


def _language(stream: Stream) -> str | None:
    language = text(stream.metadata.get("language"))
    return None if language in {None, "und", "```"} else language


def codec_name(stream: Stream, line: StreamLine) -> str | None:
    """Return FFmpeg's name of the codec, also where no decoder is built in; ``None`` when FFmpeg does not know it."""
    context = stream.codec_context
    if context is not None:
        return str(context.codec.canonical_name)
    return line.codec if line.codec not in {None, "none", "unknown"} else None


def profile_name(stream: Stream) -> str | None:
    """Return FFmpeg's name of the profile."""
    try:
        return text(stream.profile)
    except (ValueError, TypeError):
        return None


def tag_name(stream: Stream) -> str | None:
    """Return the codec's four characters in the container, unprintable ones as ``[1]``."""
    try:
        tag = str(stream.codec_context.codec_tag) if stream.codec_context is not None else ""
    except ValueError:
        return None  # four bytes that are no ASCII
    tag = "".join(c if c.isprintable() else f"[{ord(c)}]" for c in tag)
    return None if tag in {"", "[0][0][0][0]"} else tag


def _seconds(ticks: int | None, time_base: Fraction) -> float | None:
    return None if ticks is None else float(ticks * time_base)


class Times(Value, frozen=True, kw_only=True):
    """One stream's counts and times, measured or, when the scan did not finish, claimed."""

    shown: int | None
    start_s: float | None
    duration_s: float | None
    size_bytes: int | None
    bitrate_bps: int | None
    keyframes: int | None
    keyframe_times_s: tuple[float, ...]
    longest_gop_s: float | None


def stream_times(stream: Stream, scan: StreamScan, *, is_complete: bool) -> Times:
    """Return measured values after a complete scan, else what a complete index or the header claims."""
    base = scan.time_base
    if is_complete:
        duration_s = None if scan.start is None or scan.end is None else float((scan.end - scan.start) * base)
        shown, size, keyframes = scan.shown, scan.size_bytes, scan.keyframes
        start = scan.start
    else:
        duration_s = _seconds(stream.duration, base)
        shown = size = keyframes = None  # type: ignore[assignment]
        entries = stream.index_entries
        if stream.frames and len(entries) == stream.frames:  # mov and mp4: every sample is in the index
            shown = size = keyframes = 0
            for entry in entries:
                shown += not entry.is_discard
                keyframes += entry.is_keyframe
                size += entry.size
        start = scan.start if scan.start is not None else stream.start_time
    gop = scan.longest_gop(scan.end) if is_complete and scan.end is not None and scan.keyframe_pts else None
    declared = getattr(stream.codec_context, "bit_rate", None)
    measured = round(size * 8 / duration_s) if size and duration_s else None
    # in the order of decoding, which a broken table of times need not keep to
    keyframe_times = tuple(sorted(round(float(pts * base), 3) for pts in scan.keyframe_pts))
    return Times(
        shown=shown,
        start_s=_seconds(start, base),
        duration_s=duration_s,
        size_bytes=size,
        bitrate_bps=measured or declared or None,
        keyframes=keyframes,
        keyframe_times_s=keyframe_times if is_complete else (),
        longest_gop_s=None if gop is None else float(gop * base),
    )


def no_decoder(boxes: TrackBoxes | None, line: StreamLine) -> str:
    """Return why a stream without a decoder has none."""
    known = line.codec if line.codec not in {None, "none", "unknown"} else boxes and boxes.sample_entry
    return f"no decoder for {known}" if known else "the file does not say which codec this is"


def build_audio(
    stream: Any,  # noqa: ANN401
    scan: StreamScan,
    boxes: TrackBoxes | None,
    line: StreamLine,
    *,
    unknown: dict[str, str],
    position: int,
    is_complete: bool,
    begins_late: bool = False,
) -> AudioTrack:
    """Return the facts of one audio stream; its decoder is opened, and was run only if the stream ``begins_late``."""
    context = stream.codec_context
    why = _why_no_audio(context, boxes, line)
    if why is not None:
        unknown[f"audio.{position}.decodes"] = why
    layout = context.layout.name if context is not None and context.channels else None
    if layout is not None and layout.endswith(" channels"):  # a count, not an arrangement
        layout = None
    times = stream_times(stream, scan, is_complete=is_complete)
    return AudioTrack(
        index=stream.index,
        codec=codec_name(stream, line),
        profile=profile_name(stream),
        sample_rate_hz=(context.sample_rate or None) if context is not None else None,
        channels=(context.channels or None) if context is not None else None,
        layout=layout or None,
        bitrate_bps=times.bitrate_bps,
        size_bytes=times.size_bytes,
        start_s=times.start_s,
        duration_s=times.duration_s,
        language=_language(stream),
        title=text(stream.metadata.get("title")),
        is_default=bool(stream.disposition & Disposition.default),
        edits=boxes.edits if boxes is not None else (),
        decodes=why is None,
        begins_late=begins_late,
    )


def _why_no_audio(context: Any, boxes: TrackBoxes | None, line: StreamLine) -> str | None:  # noqa: ANN401
    """Return why the audio does not decode, ``None`` when its decoder opens."""
    if boxes is not None and boxes.is_encrypted:
        return f"encrypted (sample entry {boxes.sample_entry})"
    if context is None:
        return no_decoder(boxes, line)
    if not context.sample_rate or not context.channels:
        return "the file does not say how many channels, or at which rate"
    try:
        context.open(strict=False)
    except (av.FFmpegError, ValueError) as error:
        return f"the {context.name} decoder does not open: {error}"
    return None


def build_subtitle(stream: Stream, line: StreamLine) -> SubtitleTrack:
    """Return the facts of one subtitle stream."""
    codec = codec_name(stream, line)
    return SubtitleTrack(
        index=stream.index,
        codec=codec,
        is_text=codec is not None and codec not in _BITMAP_SUBTITLES,
        language=_language(stream),
        title=text(stream.metadata.get("title")),
        is_default=bool(stream.disposition & Disposition.default),
        is_forced=bool(stream.disposition & Disposition.forced),
        decodes=stream.codec_context is not None or codec == _DECODED_BY_OTHERS,
    )


def build_other(stream: Stream, line: StreamLine) -> OtherTrack:
    """Return the facts of a stream that is neither picture, sound nor subtitle."""
    kind: StreamKind = "unknown"
    if stream.disposition & Disposition.attached_pic:
        kind = "attached_picture"
    elif stream.type == "data":
        kind = "data"
    elif stream.type == "attachment":
        kind = "attachment"
    title = stream.metadata.get("title") or stream.metadata.get("filename")
    return OtherTrack(index=stream.index, kind=kind, codec=codec_name(stream, line), title=text(title))


def finite(number: float | None) -> float | None:
    """Return the number, or ``None`` for NaN and infinities, which JSON cannot carry."""
    return number if number is not None and math.isfinite(number) else None


def claimed_s(container: InputContainer) -> float | None:
    """Return the duration that the header claims."""
    header_s = None if container.duration is None else finite(container.duration / 1_000_000)
    if header_s is None or container.format.name != "avi":
        return header_s
    # an AVI's index stands at its end, and FFmpeg trusts what it finds; its header counts the frames there should be
    claims = (s.frames / s.average_rate for s in container.streams.video if s.frames and s.average_rate)
    return max(header_s, *(float(claim) for claim in claims), 0.0)
