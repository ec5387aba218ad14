"""The planner: ``plan(media, host, request) -> Plan``. Pure and total: valid facts get an answer with reasons."""

from __future__ import annotations

import msgspec

from reelpress.facts.host import HostFacts
from reelpress.facts.media import MediaFacts, VideoTrack
from reelpress.plan.calibration import calibrated_default
from reelpress.plan.colour import plan_colour
from reelpress.plan.encoders import LEAN, STILL_FROM_P_SKIP, STILL_FROM_P_SKIP_SMALL, EncoderRow, cpu_row
from reelpress.plan.expect import copied_codecs, expect_encode, instead, video_decisions
from reelpress.plan.geometry import crop_filter, fit, timing
from reelpress.plan.gpu_ladder import gpu_ladder
from reelpress.plan.ladder import Shape, cpu_attempts
from reelpress.plan.model import Attempt, Copy, Encode, Plan, Reason, Reject, Skip
from reelpress.plan.tracks import plan_tracks
from reelpress.plan.worth import SampleFacts, is_still, outlook, sampled_outlook
from reelpress.request import Request


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
        *video_decisions(media, track, "encode", row.codec, f"{track.codec} becomes {row.codec}."),
        *tracks.streams,
    )
    clock, clock_reasons = timing(track, request)
    colour = plan_colour(track, size, row, request)
    fields, field_reasons = deinterlace(track)
    before_scale = (*crop_filter(track), *fields)
    otherwise = instead(media, track, host, request, tracks)
    verdict = outlook(track, size, None if clock.fps is None else float(clock.fps))
    if samples is not None and samples.encoded_bytes_per_s is not None:
        verdict = sampled_outlook(media, track, samples.encoded_bytes_per_s, samples, request.min_saving)
    worth = Reason(code=f"worth_{verdict.verdict}", text=verdict.text, fact=None)
    if verdict.verdict == "no" and not request.always_encode:
        return _with_reasons(otherwise, (worth,))
    crf, crf_reasons = _crf(host, request, row)
    preset = request.preset or row.preset_default
    skip = samples.p_skip if samples is not None else None
    small = samples is not None and (samples.encoded_bytes_per_s is None or samples.p_skip_of_small)
    still_from = STILL_FROM_P_SKIP_SMALL if small else STILL_FROM_P_SKIP
    still = preset == LEAN and (is_still(track) if skip is None else skip >= still_from)
    encoded_tracks = plan_tracks(media, request, copy_audio=False) if copied_codecs(tracks) else None
    shape = Shape(
        media=media, track=track, request=request, size=size, colour=colour, clock=clock, before_scale=before_scale,
        tracks=tracks, encoded_tracks=encoded_tracks, crf=crf,
    )  # fmt: skip
    devices = _devices(shape, host, row, preset=preset, still=still)
    if isinstance(devices, Reject):
        return devices
    attempts, device_reasons = devices
    if not attempts:
        text = f"No FFmpeg here has {row.name} and the filters this input needs."
        return Reject(
            code="hardware_absent",
            reasons=(Reason(code="encoder_missing", text=text, fact=row.name),),
            hint="Run `reelpress doctor`, or reinstall imageio-ffmpeg, whose FFmpeg has them all.",
        )
    content = (_content_reason(track, skip),) if still and attempts[0].device == "cpu" else ()
    return Encode(
        attempts=attempts,
        expect=expect_encode(
            media,
            track,
            request,
            row=row,
            size=size,
            clock=clock,
            colour=colour,
            tracks=tracks,
            before_scale=before_scale,
        ),
        streams=streams,
        reasons=(
            *device_reasons,
            *crf_reasons,
            *content,
            *size_reasons,
            *field_reasons,
            *colour.reasons,
            *clock_reasons,
            worth,
        ),
        otherwise=otherwise,
    )


def _devices(
    shape: Shape, host: HostFacts, row: EncoderRow, *, preset: str, still: bool
) -> tuple[tuple[Attempt, ...], tuple[Reason, ...]] | Reject:
    """Return the attempts on GPU and CPU, best first, and why they are these."""
    policy = shape.request.hardware
    settings = Reason(code="settings", text=f"{row.name}, preset {preset}, CRF {shape.crf:g}.", fact=None)
    if policy == "off":
        asked = Reason(code="cpu_asked", text="The CPU was asked for.", fact=None)
        return cpu_attempts(shape, host, row, preset=preset, still=still), (settings, asked)
    on_gpu = gpu_ladder(shape, host, row, preset=preset, still=still)
    if policy == "require":
        return hardware_absent(on_gpu.why_none) if on_gpu.why_none is not None else (on_gpu.attempts, on_gpu.reasons)
    attempts = (*on_gpu.attempts, *cpu_attempts(shape, host, row, preset=preset, still=still))
    if on_gpu.why_none is not None:
        only = Reason(code="cpu_only", text=f"Encoded on the CPU: {on_gpu.why_none}.", fact=None)
        return attempts, (settings, only)
    return attempts, on_gpu.reasons


def _crf(host: HostFacts, request: Request, row: EncoderRow) -> tuple[float, tuple[Reason, ...]]:
    """Return the CRF that was asked for, the one measured here if that was asked for, or the default."""
    if request.crf is not None:
        return request.crf, ()
    if request.calibration == "defaults" and (found := calibrated_default(host.calibration, host, row)) is not None:
        crf, basis = found
        text = f"CRF {crf:g} instead of {row.crf_default:g}, the default: measured on this machine."
        return crf, (Reason(code="crf_calibrated", text=text, fact=basis),)
    return row.crf_default, ()


def _content_reason(track: VideoTrack, skip: float | None) -> Reason:
    if skip is None:
        text = "The input spends so little that most of its picture must repeat: the encoder may search less."
        return Reason(code="content_still", text=text, fact=f"{track.bitrate_bps} bit/s")
    text = f"{skip:.0%} of the picture repeats from frame to frame in samples: the encoder may search less."
    return Reason(code="content_still", text=text, fact=f"P-skip {skip:.0%}")


def _not_for_us(media: MediaFacts, host: HostFacts, request: Request) -> Plan | None:
    """Return the answer for inputs and machines no encode can be planned for."""
    if request.hardware == "require" and host.gpu_note is not None:
        return hardware_absent(host.gpu_note)
    if not host.ffmpegs:
        return Reject(
            code="hardware_absent",
            reasons=(Reason(code="no_ffmpeg", text="No FFmpeg was found.", fact=None),),
            hint="Reinstall imageio-ffmpeg, or set REELPRESS_FFMPEG to a binary.",
        )
    if media.main_video is None:
        return no_video(media)
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


def no_video(media: MediaFacts) -> Skip | Reject:
    """Return the answer for a file without a picture that decodes."""
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


def deinterlace(track: VideoTrack) -> tuple[tuple[str, ...], tuple[Reason, ...]]:
    """Return the filters that make whole frames of fields, where a track has fields, and why they are these."""
    if not track.is_interlaced:
        return (), ()
    if track.rotation_deg in (90, 270):
        # FFmpeg turns the picture before our filters see it, and fields of a turned picture are columns
        text = "Interlaced and turned by a quarter: fields cannot be told apart after the turn, so they stay."
        return (), (Reason(code="interlaced_kept", text=text, fact=track.field_order),)
    text = "Interlaced frames are deinterlaced, one frame per frame."
    reason = Reason(code="deinterlaced", text=text, fact=track.field_order or "flagged frames")
    return ("bwdif=mode=send_frame:parity=auto:deint=interlaced",), (reason,)


def hardware_absent(why: str) -> Reject:
    """Return what is answered where a GPU was required; ``why`` says why none encodes."""
    text = "Hardware was required; no GPU encodes this here."
    return Reject(
        code="hardware_absent",
        reasons=(Reason(code="hardware_required", text=text, fact=why),),
        hint="Use --hardware auto to let the CPU do it, or see `reelpress doctor`.",
    )


def _with_reasons(answer: Copy | Skip, reasons: tuple[Reason, ...]) -> Copy | Skip:
    return msgspec.structs.replace(answer, reasons=(*reasons, *answer.reasons))
