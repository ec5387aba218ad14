"""The facts of one video stream, from its header, packets, boxes and decoded frames."""

from __future__ import annotations

from array import array
from fractions import Fraction
from typing import Any, Literal

import av
from msgspec.structs import replace

from reelpress.facts.media import HDR_TRANSFERS, Colour, Crop, DolbyVision, FieldOrder, VideoTrack
from reelpress.probe.isobmff import TrackBoxes
from reelpress.probe.media_frames import (
    MATRICES,
    PRIMARIES,
    TRANSFERS,
    FrameSampler,
    Orientation,
    read_format,
    read_range,
)
from reelpress.probe.media_stream import StreamScan
from reelpress.probe.media_stretches import Stretches, claimed_rates
from reelpress.probe.media_timing import Timing, filled_slots, frame_timing, held_frames, pauses
from reelpress.probe.media_tracks import StreamLine, codec_name, no_decoder, profile_name, stream_times, tag_name

FIELD_ORDERS: dict[int, FieldOrder] = {1: "progressive", 2: "tt", 3: "bb", 4: "tb", 5: "bt"}
# Matroska keeps their alpha as a second picture beside each, of which the pixel format says nothing.
_ALPHA_ASIDE = frozenset({"vp8", "vp9"})
_MAX_SAR = 16  # beyond, the ratio is a broken header, not a lens


def build_video(
    stream: Any,  # noqa: ANN401 - PyAV's video attributes appear only where there is a decoder
    scan: StreamScan,
    sampler: FrameSampler,
    boxes: TrackBoxes | None,
    line: StreamLine,
    *,
    unknown: dict[str, str],
    position: int,
    is_complete: bool,
    stretches: Stretches | None = None,
) -> VideoTrack:
    """Return the facts of one video stream; reasons go into ``unknown`` under ``video.N.field``."""
    why = {}
    context = stream.codec_context
    is_encrypted = boxes is not None and boxes.is_encrypted  # a decoder makes something of ciphertext, too
    decodes = sampler.frames > 0 and not is_encrypted
    if not decodes:
        why["decodes"] = _why_not(context, scan, sampler, boxes, line)
    width, height, pixels = _size_and_pixels(context, scan, sampler, line)
    if width <= 0 or height <= 0:
        why["width"] = "no header and no decoded frame tells the size"
        width = height = 0
    ratio = _aspect(stream, context, why)
    rotation, mirrored = _rotation(sampler.orientation, why)
    crop, shown_width, shown_height = _cropped(line.crop, width, height, why)
    wide, high = max(round(shown_width * ratio), 1) if width else 0, shown_height
    if rotation in {90, 270}:
        wide, high = high, wide
    depth, chroma, has_alpha = read_format(pixels)
    codec = codec_name(stream, line) or (boxes and boxes.sample_entry) or "unknown"
    if pixels is None:
        why["pix_fmt"] = why["bit_depth"] = why["chroma"] = "no frame was decoded and no header tells"
    field_order = FIELD_ORDERS.get(int(context.field_order)) if context is not None else None
    is_interlaced, field_order = _fields(sampler, field_order, why)
    times = stream_times(stream, scan, is_complete=is_complete)
    timing = _timing(stream, scan, why, is_complete=is_complete, stretches=stretches)
    varying = scan.pts if scan.pts is not None and timing.is_vfr and is_complete and not scan.jumps else ()
    last_from_s, last_s = (
        _last_picture(scan, is_complete=is_complete) if stretches is None else stretches.last_picture(stream.index)
    )
    all_varying = varying if scan.all_pts_kept else ()
    for name in ("shown", "start_s", "duration_s", "size_bytes", "keyframes"):
        if getattr(times, name) is None:
            why["frames" if name == "shown" else name] = (
                "no packet carries a time" if is_complete else "not every packet was read, and no index tells"
            )
    unknown.update({f"video.{position}.{name}": reason for name, reason in why.items()})
    return VideoTrack(
        index=stream.index,
        codec=codec,
        profile=profile_name(stream),
        codec_tag=tag_name(stream) or (boxes.sample_entry if boxes is not None else None),
        width=width,
        height=height,
        sample_aspect_ratio=ratio,
        rotation_deg=rotation,
        mirrored=mirrored,
        display_width=wide,
        display_height=high,
        pix_fmt=None if pixels is None else pixels.name,
        bit_depth=depth,
        chroma=chroma,
        has_alpha=has_alpha or (codec in _ALPHA_ASIDE and _keeps_alpha_aside(stream)),
        colour=_colour(context, sampler, boxes, line),
        field_order=field_order,
        is_interlaced=is_interlaced,
        time_base=scan.time_base,
        fps_avg=timing.fps_avg,
        fps_nominal=timing.fps_nominal,
        fps_peak=timing.fps_peak,
        is_vfr=timing.is_vfr,
        frames=times.shown,
        start_s=times.start_s,
        duration_s=times.duration_s,
        size_bytes=times.size_bytes,
        bitrate_bps=times.bitrate_bps,
        keyframes=times.keyframes,
        keyframe_times_s=times.keyframe_times_s,
        longest_gop_s=times.longest_gop_s,
        clock_jumps=len(scan.jumps),
        held_s=held_frames(varying, scan.time_base),
        pauses_s=pauses(varying, scan.time_base) if stretches is None else stretches.pauses_s(stream.index),
        last_from_s=last_from_s,
        last_s=last_s,
        filled_slots=filled_slots(all_varying, scan.time_base, timing.fps_peak or 0.0),
        bytes_by_s=scan.bytes_by_s() if is_complete else (),
        has_closed_captions=sampler.has_closed_captions,
        edits=boxes.edits if boxes is not None else (),
        decodes=decodes,
        changes_size=len(sampler.sizes | scan.sizes) > 1,
        crop=crop,
        is_cut_left_or_top=line.is_cut_left_or_top,
    )


def _last_picture(scan: StreamScan, *, is_complete: bool) -> tuple[float | None, float | None]:
    """Return when the last picture comes, from the first one on, and how long it stays, in seconds."""
    if not is_complete or not scan.last_duration or scan.start is None or scan.last_pts < scan.start:
        return None, None
    base = scan.time_base
    return round(float((scan.last_pts - scan.start) * base), 6), round(float(scan.last_duration * base), 6)


def _why_not(
    context: av.CodecContext | None,
    scan: StreamScan,
    sampler: FrameSampler,
    boxes: TrackBoxes | None,
    line: StreamLine,
) -> str:
    if boxes is not None and boxes.is_encrypted:
        return f"encrypted (sample entry {boxes.sample_entry})"
    if boxes is not None and boxes.is_external:
        return "its data is in another file, and other files are never opened"
    if context is None:
        return no_decoder(boxes, line)
    if scan.packets == 0:
        return "the stream has no packets"
    reason = sampler.errors[0] if sampler.errors else "it gave no error"
    return f"no frame came out of the {context.name} decoder: {reason}"


def _size_and_pixels(context: Any, scan: StreamScan, sampler: FrameSampler, line: StreamLine) -> tuple[int, int, Any]:  # noqa: ANN401
    """Return the size to plan for: the container's where sizes change and it is one of them, else the largest."""
    sizes = sampler.sizes | scan.sizes
    if sampler.frames:
        return *(
            sampler.declared if sampler.declared in sizes else max(sizes, key=lambda s: s[0] * s[1])
        ), sampler.format
    if context is not None:
        return context.width, context.height, context.format
    return *(line.size or (0, 0)), None


def _cropped(crop: Crop | None, width: int, height: int, why: dict[str, str]) -> tuple[Crop | None, int, int]:
    """Return the crop that can be meant, and the size it leaves."""
    if crop is None:
        return None, width, height
    left_over = width - crop.left - crop.right, height - crop.top - crop.bottom
    if min(left_over) < 1:
        why["crop"] = f"the file cuts off {crop.left}+{crop.right} of {width} columns, {crop.top}+{crop.bottom} of rows"
        return None, width, height
    return crop, *left_over


def _keeps_alpha_aside(stream: Any) -> bool:  # noqa: ANN401
    """Tell whether Matroska's AlphaMode is set, which FFmpeg writes in small letters or large."""
    return any(name.lower() == "alpha_mode" and value == "1" for name, value in stream.metadata.items())


def _aspect(stream: Any, context: Any, why: dict[str, str]) -> Fraction:  # noqa: ANN401
    ratio = stream.sample_aspect_ratio if context is not None else None
    ratio = ratio or getattr(context, "sample_aspect_ratio", None) or Fraction(1)
    if not Fraction(1, _MAX_SAR) <= ratio <= _MAX_SAR:
        why["sample_aspect_ratio"] = f"the file says {ratio}, which no picture has; taken as 1"
        return Fraction(1)
    return Fraction(ratio)


def _rotation(orientation: Orientation | None, why: dict[str, str]) -> tuple[Literal[0, 90, 180, 270], bool]:
    if orientation is None:
        return 0, False
    turn = round(orientation.degrees / 90) % 4
    if abs((orientation.degrees - turn * 90 + 180) % 360 - 180) > 1:
        why["rotation_deg"] = f"the file asks for a turn by {orientation.degrees:g} degrees; taken as {turn * 90}"
    angles: tuple[Literal[0, 90, 180, 270], ...] = (0, 90, 180, 270)
    return angles[turn], orientation.mirrored


def _fields(
    sampler: FrameSampler, order: FieldOrder | None, why: dict[str, str]
) -> tuple[bool | None, FieldOrder | None]:
    """Return whether the stream is interlaced, and its field order, which a flagged frame may contradict."""
    if sampler.interlaced_frames and order == "progressive":
        order = None
    if sampler.interlaced_frames or order not in {None, "progressive"}:
        if order is None:
            why["field_order"] = "frames are flagged interlaced; nothing says which field comes first"
        return True, order
    if sampler.frames == 0 and order is None:
        why["is_interlaced"] = why["field_order"] = "no frame was decoded and no header tells"
        return None, None
    return False, "progressive"


def _timing(
    stream: Any,  # noqa: ANN401
    scan: StreamScan,
    why: dict[str, str],
    *,
    is_complete: bool,
    stretches: Stretches | None,
) -> Timing:
    claims = claimed_rates(stream)
    pts: array[int] = scan.pts if scan.pts is not None else array("q")
    if stretches is not None and (seen := stretches.timing(stream.index)) is not None:
        judged_by, timing = f"{seen[0]} frames of the stretches", seen[1]
    elif not pts and is_complete:
        timing = Timing(
            fps_nominal=next((c for c in claims[1:] if c and c <= 1000), None), why="no packet carries a time"
        )
        if scan.untimed == 0:
            timing = replace(timing, why="no frames")
    else:
        judged_by = f"the first {len(pts)} frames"
        timing = frame_timing(pts, scan.time_base, scan.last_duration, claims)
    if timing.why is not None:
        for name in ("fps_avg", "fps_peak", "is_vfr"):
            why[name] = timing.why
    elif scan.counted:
        why["is_vfr"] = "the file carries no times; frames are counted at the rate it claims"
    elif not is_complete or not scan.all_pts_kept:
        why["is_vfr"] = f"judged by {judged_by}"
    if timing.fps_nominal is None:
        why["fps_nominal"] = "the file claims none that can be meant"
    return timing


def _colour(context: Any, sampler: FrameSampler, boxes: TrackBoxes | None, line: StreamLine) -> Colour:  # noqa: ANN401
    colour = sampler.colour
    if sampler.frames == 0 and context is not None:
        colour = Colour(
            range=read_range(context.color_range, context.pix_fmt),
            primaries=PRIMARIES.get(int(context.color_primaries)),
            transfer=TRANSFERS.get(int(context.color_trc)),
            matrix=MATRICES.get(int(context.colorspace)) if context.colorspace else None,
        )
    profile, compatibility = line.dovi_profile, line.dovi_compatibility_id
    if boxes is not None and boxes.dolby_vision_profile is not None:
        profile, compatibility = boxes.dolby_vision_profile, boxes.dolby_vision_compatibility_id
    if profile is None and not sampler.has_dolby_vision:
        return colour
    base: Literal["hdr10", "hlg", "sdr", "none"] | None
    base = {0: "none", 1: "hdr10", 2: "sdr", 4: "hlg", 6: "hdr10"}.get(-1 if compatibility is None else compatibility)  # type: ignore[assignment]
    if base is None and colour.transfer in HDR_TRANSFERS:
        base = "hdr10" if colour.transfer == "smpte2084" else "hlg"
    return replace(colour, dolby_vision=DolbyVision(profile=profile, compatibility_id=compatibility, base_layer=base))
