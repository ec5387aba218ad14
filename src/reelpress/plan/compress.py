"""The planner: ``plan(media, host, request) -> Plan``. Pure and total: valid facts get an answer with reasons."""

from __future__ import annotations

import msgspec

from reelpress.facts.host import HostFacts
from reelpress.facts.media import MediaFacts, VideoTrack
from reelpress.facts.values import Value
from reelpress.plan.colour import ColourPlan, plan_colour
from reelpress.plan.encoders import LEAN, STILL_FROM_P_SKIP, EncoderRow, cpu_row
from reelpress.plan.geometry import Size, Timing, fit, timing
from reelpress.plan.ladder import copy_attempts, cpu_attempts
from reelpress.plan.model import Action, Copy, Encode, Expectation, Plan, Reason, Reject, Skip, StreamDecision
from reelpress.plan.tracks import TrackPlan, plan_tracks
from reelpress.plan.worth import SampleFacts, is_still, outlook, sampled_outlook
from reelpress.request import Request

DURATION_TOLERANCE_S = 0.1
AUDIO_TOLERANCE_S = 0.15
COPYABLE = frozenset({"h264", "hevc", "av1"})
INTERLACED_ORDERS = frozenset({"tt", "bb", "tb", "bt"})


def plan(media: MediaFacts, host: HostFacts, request: Request, samples: SampleFacts | None = None) -> Plan:
    """Decide what to do with one file.

    ``samples`` are results of the test encodes that :func:`reelpress.plan.worth.sample_windows` asked for; without
    them a doubtful case is encoded and judged by its size.
    """
    early = _not_for_us(media, host, request)
    if early is not None:
        return early
    track = media.main_video
    assert track is not None  # noqa: S101 - _not_for_us has answered otherwise
    row = cpu_row(request.codec)
    size, size_reasons = fit(track, request)
    if size.width < row.min_width or size.height < row.min_height:
        text = f"{size.width}x{size.height} is smaller than {row.name} can encode; there is nothing to gain."
        return Skip(reasons=(Reason(code="too_small", text=text, fact=f"{size.width}x{size.height}"),))
    tracks = plan_tracks(media, request)
    streams = (
        *_video_decisions(media, track, "encode", row.codec, f"{track.codec} becomes {row.codec}."),
        *tracks.streams,
    )
    clock, clock_reasons = timing(track, request)
    colour = plan_colour(track, size, row, request)
    deinterlace, field_reasons = _deinterlace(track)
    instead = _instead(media, track, host, request, tracks)
    verdict = outlook(track, size, None if clock.fps is None else float(clock.fps))
    if samples is not None and samples.encoded_bytes_per_s is not None:
        verdict = sampled_outlook(media, track, samples.encoded_bytes_per_s, samples, request.min_saving)
    worth = Reason(code=f"worth_{verdict.verdict}", text=verdict.text, fact=None)
    if verdict.verdict == "no" and not request.always_encode:
        return _with_reasons(instead, (worth,))
    crf = row.crf_default if request.crf is None else request.crf
    preset = request.preset or row.preset_default
    skip = samples.p_skip if samples is not None else None
    still = preset == LEAN and (is_still(track) if skip is None else skip >= STILL_FROM_P_SKIP)
    encoded_tracks = plan_tracks(media, request, copy_audio=False) if _copied(tracks) else None
    attempts = cpu_attempts(
        media, track, host, row, request,
        colour=colour, clock=clock, before_scale=deinterlace, tracks=tracks, encoded_tracks=encoded_tracks,
        crf=crf, preset=preset, still=still,
    )  # fmt: skip
    if not attempts:
        text = f"No FFmpeg here has {row.name} and the filters this input needs."
        return Reject(
            code="hardware_absent",
            reasons=(Reason(code="encoder_missing", text=text, fact=row.name),),
            hint="Run `reelpress doctor`, or reinstall imageio-ffmpeg, whose FFmpeg has them all.",
        )
    settings = Reason(code="settings", text=f"{row.name}, preset {preset}, CRF {crf:g}.", fact=None)
    content = (_content_reason(track, skip),) if still else ()
    return Encode(
        attempts=attempts,
        expect=_expect(media, track, request, row=row, size=size, clock=clock, colour=colour, tracks=tracks),
        streams=streams,
        reasons=(
            settings,
            *content,
            *_hardware_reason(host, request),
            *size_reasons,
            *field_reasons,
            *colour.reasons,
            *clock_reasons,
            worth,
        ),
        otherwise=instead,
    )


def _content_reason(track: VideoTrack, skip: float | None) -> Reason:
    if skip is None:
        text = "The input spends so little that most of its picture must repeat: the encoder may search less."
        return Reason(code="content_still", text=text, fact=f"{track.bitrate_bps} bit/s")
    text = f"{skip:.0%} of the picture repeats from frame to frame in samples: the encoder may search less."
    return Reason(code="content_still", text=text, fact=f"P-skip {skip:.0%}")


def _not_for_us(media: MediaFacts, host: HostFacts, request: Request) -> Plan | None:
    """Return the answer for inputs and machines no encode can be planned for."""
    if request.hardware == "require":
        note = host.gpu_note or "This version proves GPU encoders but does not drive them yet."
        return Reject(
            code="hardware_absent",
            reasons=(
                Reason(code="hardware_required", text="Hardware was required; no GPU path works here.", fact=note),
            ),
            hint="Use --hardware auto to let the CPU do it, or see `reelpress doctor`.",
        )
    if not host.ffmpegs:
        return Reject(
            code="hardware_absent",
            reasons=(Reason(code="no_ffmpeg", text="No FFmpeg was found.", fact=None),),
            hint="Reinstall imageio-ffmpeg, or set REELPRESS_FFMPEG to a binary.",
        )
    if media.main_video is None:
        return _no_video(media)
    if media.size_bytes > request.max_input_bytes and not request.always_encode:
        text = f"{media.size_bytes} bytes is above the limit of {request.max_input_bytes} (COMPRESSION_MAX_FILE_SIZE)."
        return Skip(reasons=(Reason(code="above_size_limit", text=text, fact=str(media.size_bytes)),))
    colour = media.main_video.colour
    if colour.dolby_vision is not None and colour.dolby_vision.base_layer == "none":
        text = "Dolby Vision profile 5 has no base layer: decoded without Dolby's own mapping its colours are wrong."
        return Skip(
            reasons=(Reason(code="dolby_vision_only", text=text, fact=f"profile {colour.dolby_vision.profile}"),)
        )
    return None


def _no_video(media: MediaFacts) -> Plan:
    if media.video:
        why = next(
            (text for key, text in media.unknown.items() if key.endswith("decodes")),
            "no frame could be decoded",
        )
        codecs = ", ".join(v.codec for v in media.video)
        return Reject(
            code="input_unusable",
            reasons=(Reason(code="undecodable", text=f"Its video ({codecs}) cannot be decoded: {why}.", fact=codecs),),
            hint="Check the file in a player; if it plays there, its codec is one this FFmpeg lacks.",
        )
    if any(a.decodes for a in media.audio):
        return Skip(
            reasons=(Reason(code="audio_only", text="The file holds sound but no video.", fact=media.container),)
        )
    return Reject(
        code="input_unusable",
        reasons=(
            Reason(
                code="no_media",
                text="The file holds neither video nor sound that can be decoded.",
                fact=media.container,
            ),
        ),
        hint="Check that the upload is complete and is a video.",
    )


def _video_decisions(
    media: MediaFacts, track: VideoTrack, action: Action, codec: str, reason: str
) -> tuple[StreamDecision, ...]:
    def decide(video: VideoTrack) -> StreamDecision:
        if video.index == track.index:
            return StreamDecision(index=video.index, kind="video", action=action, codec=codec, reason=reason)
        text = "Only the largest video stream is kept."
        return StreamDecision(index=video.index, kind="video", action="drop", codec=None, reason=text)

    return tuple(decide(v) for v in media.video)


def _deinterlace(track: VideoTrack) -> tuple[tuple[str, ...], tuple[Reason, ...]]:
    if not track.is_interlaced:
        return (), ()
    if track.rotation_deg in (90, 270):
        # FFmpeg turns the picture before our filters see it, and fields of a turned picture are columns
        text = "Interlaced and turned by a quarter: fields cannot be told apart after the turn, so they stay."
        return (), (Reason(code="interlaced_kept", text=text, fact=track.field_order),)
    text = "Interlaced frames are deinterlaced, one frame per frame."
    reason = Reason(code="deinterlaced", text=text, fact=track.field_order or "flagged frames")
    return ("bwdif=mode=send_frame:parity=auto:deint=interlaced",), (reason,)


def _hardware_reason(host: HostFacts, request: Request) -> tuple[Reason, ...]:
    if request.hardware == "off":
        return (Reason(code="cpu_asked", text="The CPU was asked for.", fact=None),)
    note = host.gpu_note or "a GPU is present, but this version does not drive GPU encoders yet"
    return (Reason(code="cpu_only", text=f"Encoded on the CPU: {note}.", fact=None),)


def _expect(
    media: MediaFacts,
    track: VideoTrack,
    request: Request,
    *,
    row: EncoderRow,
    size: Size,
    clock: Timing,
    colour: ColourPlan,
    tracks: TrackPlan,
) -> Expectation:
    counted = media.scan_complete
    frame_s = 1 / float(clock.fps) if clock.fps else 0.0
    sound = _sound(track, tracks)
    limit = None if request.always_encode else int(media.size_bytes * (1 - request.min_saving))
    return Expectation(
        codec=row.codec, width=size.width, height=size.height, pix_fmt=colour.pix_fmt,
        sample_aspect_ratio=None, rotation_deg=0,
        frames=track.frames if counted and clock.keeps_all_frames else None,
        frames_at_most=clock.frames_at_most if counted else None,
        duration_s=track.duration_s, duration_tolerance_s=max(DURATION_TOLERANCE_S, 2 * frame_s),
        promised_s=_promised_s(media),
        colour_transfer=colour.transfer, colour_primaries=colour.primaries, colour_matrix=colour.matrix,
        colour_range=colour.range,
        copied_codecs=(), max_bytes=limit,
        audio=sound.audio, audio_tolerance_s=AUDIO_TOLERANCE_S, audio_offset_s=sound.offset_s,
        subtitles=tracks.subtitles, chapters=len(media.chapters),
    )  # fmt: skip


def _copied(tracks: TrackPlan) -> tuple[str, ...]:
    return tuple(sorted({s.codec for s in tracks.streams if s.action == "copy" and s.codec is not None}))


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


def _instead(media: MediaFacts, track: VideoTrack, host: HostFacts, request: Request, tracks: TrackPlan) -> Copy | Skip:
    """Return what to deliver where encoding does not pay: a remux every player takes, or the input itself."""
    obstacle = _copy_obstacle(track, request)
    if obstacle is not None:
        return Skip(reasons=(Reason(code="kept", text=f"The input is kept as it is: {obstacle}.", fact=track.codec),))
    sound = _sound(track, tracks)
    attempts = copy_attempts(media, track, host, request, tracks=tracks)
    text = f"Its {track.codec} video goes into an MP4 as it is, without a second lossy generation."
    streams = _video_decisions(media, track, "copy", track.codec, "Copied unchanged.")
    expect = Expectation(
        codec=track.codec, width=track.width, height=track.height, pix_fmt=track.pix_fmt,
        sample_aspect_ratio=track.sample_aspect_ratio, rotation_deg=track.rotation_deg,
        frames=track.frames if media.scan_complete else None, frames_at_most=None,
        duration_s=track.duration_s, duration_tolerance_s=DURATION_TOLERANCE_S,
        promised_s=_promised_s(media),
        colour_transfer=track.colour.transfer, colour_primaries=track.colour.primaries,
        colour_matrix=track.colour.matrix, colour_range=None,
        copied_codecs=(track.codec, *_copied(tracks)),
        # a remux may cost a little: sample tables where the input had none, faststart
        max_bytes=int(media.size_bytes * 1.02) + 65_536,
        audio=sound.audio, audio_tolerance_s=AUDIO_TOLERANCE_S, audio_offset_s=sound.offset_s,
        subtitles=tracks.subtitles, chapters=len(media.chapters),
    )  # fmt: skip
    return Copy(
        attempts=attempts, expect=expect, streams=(*streams, *tracks.streams),
        reasons=(Reason(code="copied", text=text, fact=track.codec),),
    )  # fmt: skip


def _copy_obstacle(track: VideoTrack, request: Request) -> str | None:
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
        (track.mirrored, "its picture is mirrored by a flag few players honour"),
        (len([e for e in track.edits if e.media_time_s is not None]) > 1, "its edit list cuts the video"),
        (track.changes_size, "its picture changes size midway"),
    )
    return next((text for hit, text in checks if hit), None)


def _with_reasons(answer: Copy | Skip, reasons: tuple[Reason, ...]) -> Copy | Skip:
    return msgspec.structs.replace(answer, reasons=(*reasons, *answer.reasons))
